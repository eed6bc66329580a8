//! W3C trace context: the text `traceparent` that requests carry, by which systems find out that their spans belong together. It knows
//! neither jobs nor how spans are sent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of the header.
pub const TRACEPARENT: &str = "traceparent";

/// The bytes of the header in the version that is known.
const LENGTH: usize = 55;

/// A span, as others are told of it: the trace that it is in, its id, and whether the trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    /// The trace; never zero.
    pub trace_id: [u8; 16],
    /// The span; never zero.
    pub span_id: [u8; 8],
    /// Whoever began the trace records it.
    pub sampled: bool,
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no W3C traceparent")]
pub struct NoTraceParent;

impl TraceParent {
    /// Reads the header. What a later version adds at the end is left out, as the recommendation says.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let known = text.get(..LENGTH)?;
        let rest = text.get(LENGTH..)?;
        let mut parts = known.split('-');
        let [version] = hex(parts.next()?)?;
        let (trace_id, span_id) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let [flags] = hex(parts.next()?)?;
        let well_formed = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let valid = well_formed && parts.next().is_none() && trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(TraceParent { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// Two digits in lower case for each byte.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NoTraceParent;

    fn try_from(text: String) -> Result<Self, NoTraceParent> {
        TraceParent::parse(&text).ok_or(NoTraceParent)
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> String {
        parent.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of the recommendation.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        let parent = TraceParent::parse(EXAMPLE).unwrap();
        assert_eq!((parent.trace_id.first(), parent.span_id.last(), parent.sampled), (Some(&0x4b), Some(&0xb7), true));
        assert_eq!(parent.to_string(), EXAMPLE);
        let json = serde_json::to_string(&parent).unwrap();
        assert_eq!(serde_json::from_str::<TraceParent>(&json).unwrap(), parent);
    }

    #[test]
    fn flags_and_later_versions_are_read_as_the_recommendation_says() {
        let parent = |from: &str, to: &str| TraceParent::parse(&EXAMPLE.replacen(from, to, 1));
        assert!(!parent("b7-01", "b7-02").unwrap().sampled);
        assert!(parent("b7-01", "b7-03").unwrap().sampled);
        assert_eq!(parent("00-4b", "cc-4b").unwrap().to_string(), EXAMPLE);
        assert!(parent("00-4b", "cc-4b").is_some_and(|_| TraceParent::parse(&format!("cc{}-later", &EXAMPLE[2..])).is_some()));
    }

    #[test]
    fn what_is_none_is_refused() {
        let zero_trace = EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16));
        let later = format!("{EXAMPLE}-later");
        let glued = format!("cc{}later", &EXAMPLE[2..]);
        let cases = [
            "",
            "00",
            &EXAMPLE[1..],
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace("00-4b", "ff-4b"),
            &EXAMPLE.replace("-00f0", "000f0"),
            &EXAMPLE.replace("4bf9", "4bfg"),
            &EXAMPLE.replace("4b", "é"),
            &zero_trace,
            &zero_span,
            &later,
            &glued,
        ];
        for text in cases {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
