//! Whether an answer may be kept, and for how long it is used: RFC 9111 with the choices of decision 0050. It knows headers and nothing of
//! where they came from.

use std::time::{Duration, SystemTime};

use reqwest::header::{
    AGE, CACHE_CONTROL, CONTENT_RANGE, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY,
};

/// However long a server says, what is stale is neither confirmed nor used in an emergency after this.
const LONGEST_STALE: Duration = Duration::from_secs(24 * 3600);

/// The headers that say how an answer may be kept.
const RULES: [HeaderName; 9] = [AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY];

/// For how long an answer is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    /// From the moment on when it was asked for.
    pub fresh: Duration,
    /// For so long beyond that in place of a server that does not answer, or fails.
    pub if_error: Duration,
    /// For so long beyond that it is worth asking the server whether it still holds.
    pub confirmable: Duration,
}

impl Freshness {
    /// What the headers of an answer with this status say; `age` is 0 when it is asked for. None where it must not be kept, or that would be
    /// of no use. `ttl` is the longest that it is used, and how long it is where the server does not say.
    pub fn of(status: u16, headers: &HeaderMap, ttl: Duration) -> Option<Freshness> {
        let directives = Directives::of(headers)?;
        let everything = !headers.get_all(VARY).iter().any(|value| value.as_bytes().contains(&b'*'));
        if directives.no_store || directives.private || headers.contains_key(SET_COOKIE) || !everything {
            return None;
        }
        // A part of something is nothing that could stand for the whole.
        if !(200..300).contains(&status) || status == 206 || headers.contains_key(CONTENT_RANGE) {
            return None;
        }
        let said = directives.shared_max_age.or(directives.max_age).or_else(|| expires(headers));
        // What RFC 9110 (15.1) lets be kept without further ado; of other successes the server must say it.
        if said.is_none() && !directives.public && !matches!(status, 200 | 203 | 204) {
            return None;
        }
        let lifetime = if directives.no_cache { Duration::ZERO } else { said.unwrap_or(ttl) };
        let fresh = lifetime.saturating_sub(age(headers)).min(ttl);
        // RFC 9111, 4.2.4 and 5.2.2.10: what must be confirmed is not used without.
        let strict = directives.must_revalidate || directives.no_cache || directives.shared_max_age.is_some();
        let if_error = if strict { Duration::ZERO } else { directives.stale_if_error.unwrap_or_default().min(LONGEST_STALE) };
        let confirmable = if has_validator(headers) { LONGEST_STALE } else { Duration::ZERO };
        let useful = !(fresh.is_zero() && if_error.is_zero() && confirmable.is_zero());
        useful.then_some(Freshness { fresh, if_error, confirmable })
    }
}

/// Those of an answer's headers that matter later.
pub(super) fn rules(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| RULES.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The rules of an answer after the server has confirmed it: what it says now replaces what it said.
pub(super) fn confirmed(rules: &HeaderMap, confirmation: &HeaderMap) -> HeaderMap {
    let mut merged = rules.clone();
    // It was just made.
    merged.remove(AGE);
    for name in RULES {
        if confirmation.contains_key(&name) {
            merged.remove(&name);
            for value in confirmation.get_all(&name) {
                merged.append(name.clone(), value.clone());
            }
        }
    }
    merged
}

/// Whether a confirmation can be one of the answer with these rules.
pub(super) fn confirms(rules: &HeaderMap, confirmation: &HeaderMap) -> bool {
    let tag = |headers: &HeaderMap| headers.get(ETAG).map(|tag| tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes()).to_vec());
    tag(confirmation).is_none_or(|new| tag(rules) == Some(new))
}

/// What a request must carry for the server to say only whether the answer with these rules still holds.
pub(super) fn conditions(rules: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    use reqwest::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
    let condition = |name, of| rules.get(of).map(|value| (name, value.clone()));
    [condition(IF_NONE_MATCH, ETAG), condition(IF_MODIFIED_SINCE, LAST_MODIFIED)].into_iter().flatten()
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

fn age(headers: &HeaderMap) -> Duration {
    let text = headers.get(AGE).and_then(|value| value.to_str().ok());
    text.and_then(seconds).unwrap_or_default()
}

/// `Expires` by the server's own clock. What is no date has expired (RFC 9111, 5.3), and so has a date beside none.
fn expires(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(EXPIRES)?;
    let date =
        |value: &HeaderValue| jiff::fmt::rfc2822::parse(value.to_str().ok()?.trim()).ok().map(|date| SystemTime::from(date.timestamp()));
    let lifetime = date(value).zip(headers.get(DATE).and_then(date)).and_then(|(expires, now)| expires.duration_since(now).ok());
    Some(lifetime.unwrap_or_default())
}

/// Whole seconds; more of them than anybody waits are many.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX).min(1 << 31)))
}

#[derive(Debug, Default)]
struct Directives {
    no_store: bool,
    private: bool,
    no_cache: bool,
    must_revalidate: bool,
    public: bool,
    max_age: Option<Duration>,
    shared_max_age: Option<Duration>,
    stale_if_error: Option<Duration>,
}

impl Directives {
    /// None where they cannot be read: they might say anything.
    fn of(headers: &HeaderMap) -> Option<Directives> {
        let mut directives = Directives::default();
        for value in headers.get_all(CACHE_CONTROL) {
            split(value.to_str().ok()?, |name, argument| directives.add(name, argument));
        }
        if !headers.contains_key(CACHE_CONTROL) {
            let pragma = headers.get(PRAGMA).and_then(|value| value.to_str().ok()).unwrap_or_default();
            directives.no_cache |= pragma.to_ascii_lowercase().contains("no-cache");
        }
        Some(directives)
    }

    fn add(&mut self, name: &str, argument: &str) {
        // Of several the shortest; what is no number is none (RFC 9111, 4.2.1).
        let shorter = |time: Option<Duration>| {
            let said = seconds(argument).unwrap_or_default();
            Some(time.map_or(said, |time| time.min(said)))
        };
        match name.to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            // With the name of a field they hold for that field only; that is not told apart.
            "private" => self.private = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "public" => self.public = true,
            "max-age" => self.max_age = shorter(self.max_age),
            "s-maxage" => self.shared_max_age = shorter(self.shared_max_age),
            "stale-if-error" => self.stale_if_error = shorter(self.stale_if_error),
            _ => {}
        }
    }
}

/// The directives of one line, each with its argument less the quotes. A comma in quotes is none.
fn split(line: &str, mut directive: impl FnMut(&str, &str)) {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(|character| {
        let was_escaped = escaped;
        escaped = quoted && character == '\\' && !was_escaped;
        quoted ^= character == '"' && !was_escaped;
        character == ',' && !quoted
    });
    for part in parts {
        let (name, argument) = part.split_once('=').unwrap_or((part, ""));
        directive(name.trim(), argument.trim().trim_matches('"'));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TTL: u64 = 300;
    const DAY: u64 = 24 * 3600;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    /// Seconds: fresh, in an emergency, confirmable.
    type Times = (u64, u64, u64);

    fn of(status: u16, lines: &[(&str, &str)]) -> Option<Times> {
        let mut map = HeaderMap::new();
        for (name, value) in headers(lines).iter() {
            map.append(name, value.clone());
        }
        let found = Freshness::of(status, &map, Duration::from_secs(TTL))?;
        Some((found.fresh.as_secs(), found.if_error.as_secs(), found.confirmable.as_secs()))
    }

    #[test]
    fn cache_control_is_honoured() {
        let cases: &[(&str, Option<Times>)] = &[
            ("", Some((TTL, 0, 0))),
            ("public", Some((TTL, 0, 0))),
            ("max-age=60", Some((60, 0, 0))),
            ("Max-Age=\"60\"", Some((60, 0, 0))),
            ("max-age=60, max-age=30", Some((30, 0, 0))),
            // The operator's bound holds for what the server would allow.
            ("max-age=99999999999999999999", Some((TTL, 0, 0))),
            ("max-age=60, s-maxage=20", Some((20, 0, 0))),
            ("max-age=0", None),
            ("max-age=soon", None),
            ("no-store", None),
            ("No-Store", None),
            ("max-age=60, no-store", None),
            ("private", None),
            ("private=\"x, y\", max-age=60", None),
            ("no-cache", None),
            ("extension=\"no-store, private\", max-age=60", Some((60, 0, 0))),
            ("extension=\"\\\", no-store\", max-age=60", Some((60, 0, 0))),
            ("max-age=60, stale-if-error=600", Some((60, 600, 0))),
            ("max-age=0, stale-if-error=600", Some((0, 600, 0))),
            ("max-age=60, stale-if-error=9999999", Some((60, DAY, 0))),
            ("max-age=60, stale-if-error=600, must-revalidate", Some((60, 0, 0))),
            ("s-maxage=60, stale-if-error=600", Some((60, 0, 0))),
        ];
        for (line, expected) in cases {
            assert_eq!(of(200, &[("cache-control", line)]), *expected, "{line}");
        }
    }

    #[test]
    fn what_can_be_confirmed_is_kept_for_that() {
        let tag = ("etag", "\"1\"");
        assert_eq!(of(200, &[tag]), Some((TTL, 0, DAY)));
        assert_eq!(of(200, &[tag, ("cache-control", "no-cache")]), Some((0, 0, DAY)));
        assert_eq!(of(200, &[tag, ("pragma", "no-cache")]), Some((0, 0, DAY)));
        assert_eq!(of(200, &[tag, ("pragma", "no-cache"), ("cache-control", "max-age=5")]), Some((5, 0, DAY)));
        assert_eq!(of(200, &[("last-modified", "Mon, 23 Nov 2026 00:00:00 GMT"), ("cache-control", "max-age=0")]), Some((0, 0, DAY)));
    }

    #[test]
    fn nothing_secret_partial_or_unsuccessful_is_kept() {
        for status in [100, 206, 301, 304, 401, 404, 500] {
            assert_eq!(of(status, &[("cache-control", "max-age=60"), ("etag", "1")]), None, "{status}");
        }
        for status in [200, 203, 204] {
            assert_eq!(of(status, &[]), Some((TTL, 0, 0)));
        }
        assert_eq!(of(202, &[]), None);
        assert_eq!(of(202, &[("cache-control", "max-age=9")]), Some((9, 0, 0)));
        assert_eq!(of(200, &[("set-cookie", "a=b"), ("cache-control", "max-age=60")]), None);
        assert_eq!(of(200, &[("vary", "accept, *")]), None);
        assert_eq!(of(200, &[("vary", "accept")]), Some((TTL, 0, 0)));
        assert_eq!(of(200, &[("content-range", "bytes 0-1/2")]), None);
        let mut unreadable = HeaderMap::new();
        unreadable.insert(CACHE_CONTROL, HeaderValue::from_bytes(b"max-age=60, \xff").unwrap());
        assert_eq!(Freshness::of(200, &unreadable, Duration::from_secs(TTL)), None);
    }

    #[test]
    fn ages_and_dates_are_those_of_the_server() {
        let date = ("date", "Mon, 23 Nov 2026 00:00:00 GMT");
        assert_eq!(of(200, &[date, ("expires", "Mon, 23 Nov 2026 00:01:00 GMT")]), Some((60, 0, 0)));
        assert_eq!(of(200, &[("expires", "Mon, 23 Nov 2026 00:01:00 GMT")]), None);
        assert_eq!(of(200, &[date, ("expires", "0")]), None);
        assert_eq!(of(200, &[date, ("expires", "0"), ("cache-control", "max-age=7")]), Some((7, 0, 0)));
        assert_eq!(of(200, &[("age", "50"), ("cache-control", "max-age=60")]), Some((10, 0, 0)));
        assert_eq!(of(200, &[("age", "60"), ("cache-control", "max-age=60")]), None);
        assert_eq!(of(200, &[("age", "-1"), ("cache-control", "max-age=60")]), Some((60, 0, 0)));
    }

    #[test]
    fn a_confirmation_replaces_what_the_server_said_before() {
        let before = headers(&[("etag", "W/\"1\""), ("age", "50"), ("cache-control", "max-age=60"), ("content-type", "text/plain")]);
        let before = rules(&before);
        assert!(!before.contains_key("content-type"));
        let conditions: Vec<_> = conditions(&before).map(|(name, value)| (name.to_string(), value)).collect();
        assert_eq!(conditions, [("if-none-match".to_owned(), "W/\"1\"".parse().unwrap())]);
        assert!(confirms(&before, &headers(&[])) && confirms(&before, &headers(&[("etag", "\"1\"")])));
        assert!(!confirms(&before, &headers(&[("etag", "\"2\"")])));
        let after = confirmed(&before, &headers(&[("cache-control", "max-age=30")]));
        assert_eq!(after, headers(&[("etag", "W/\"1\""), ("cache-control", "max-age=30")]));
    }
}
