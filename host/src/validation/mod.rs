//! Checks documents whose media type has a published schema, before anybody gets them. It knows media types and their schemas, and nothing
//! else of what documents mean.

mod stream;

use std::io::{self, Read};
use std::sync::LazyLock;

use crate::config::OnInvalid;
use crate::sandbox::{Conversion, ConversionError, Document, ErrorType, Outcome, Problem, Severity};
use stream::{Invalid, StreamSchema};

/// A media type, and its schema.
struct Known {
    media_type: &'static str,
    schema: StreamSchema,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    [("application/vnd.wats.wsjf+json", include_str!("../../../schemas/wsjf.schema.json"))]
        .into_iter()
        .filter_map(|(media_type, schema)| match StreamSchema::parse(schema) {
            Ok(schema) => Some(Known { media_type, schema }),
            // A test reads them all.
            Err(error) => {
                tracing::error!(media_type, error, "a defect of Dropforge: the schema of a media type cannot be read");
                None
            }
        })
        .collect()
});

/// Checks the documents of a conversion, each as `open` gives it by its number. What does not fit fails the conversion as `bad_output`, or is
/// a problem of it.
pub fn check<R: Read>(conversion: &mut Conversion, policy: OnInvalid, open: impl Fn(u32) -> io::Result<R>) {
    if policy == OnInvalid::Ignore || !matches!(conversion.result, Ok(Outcome::Converted)) {
        return;
    }
    for document in &conversion.documents {
        let Some(schema) = schema_of(&document.media_type) else { continue };
        let invalid = match open(document.number).and_then(|content| schema.check(content)) {
            Ok(None) => continue,
            Ok(Some(invalid)) => invalid,
            Err(error) => {
                let message = format!("document {} (`{}`) cannot be read again: {error}", document.number, document.name);
                conversion.result = Err(ConversionError { error_type: ErrorType::Io, code: "spool".into(), message, at: None });
                return;
            }
        };
        let error = explain(document, &invalid);
        if policy == OnInvalid::Fail {
            conversion.result = Err(error);
            return;
        }
        conversion.problems.push(Problem { severity: Severity::Warning, error });
    }
}

fn schema_of(media_type: &str) -> Option<&'static StreamSchema> {
    let name = media_type.split(';').next().unwrap_or_default().trim();
    KNOWN.iter().find(|known| known.media_type.eq_ignore_ascii_case(name)).map(|known| &known.schema)
}

fn explain(document: &Document, invalid: &Invalid) -> ConversionError {
    let place = if invalid.pointer.is_empty() { "its root" } else { &invalid.pointer };
    let message = format!(
        "document {} (`{}`) is not what its media type `{}` promises: at {place}: {}; the converter must mend that, or the route says \
         on_invalid = \"warn\"",
        document.number, document.name, document.media_type, invalid.message
    );
    ConversionError { error_type: ErrorType::BadOutput, code: "schema".into(), message, at: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_known_schema_can_be_read() {
        for (name, expected) in [
            ("application/vnd.wats.wsjf+json", true),
            ("Application/VND.wats.wsjf+json; charset=utf-8", true),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(schema_of(name).is_some(), expected, "{name}");
        }
    }
}
