//! What an answer is kept under: everything of the request that the server may have looked at.

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};

/// A SHA-256 of a request: its address, what was presented with it, and its headers. So no secret is kept, what one credential was answered
/// is nobody else's, and whatever header `Vary` names, requests with one key have it in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) [u8; 32]);

/// What a request is about, whatever its query: a write to it makes what is kept of it worthless.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    pub(super) origin: Arc<str>,
    pub(super) path: Arc<str>,
}

impl Key {
    /// Of a GET. `credential` is a digest of what is presented with it.
    pub fn of(url: &Url, credential: Option<[u8; 32]>, headers: &HeaderMap) -> Key {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        let resource = Resource::of(url);
        part(resource.origin.as_bytes());
        part(resource.path.as_bytes());
        // As it is: a server may see a meaning in the order, and a question too many is better than an answer to another one.
        part(url.query().map(normalised).unwrap_or_default().as_bytes());
        part(&[u8::from(url.query().is_some())]);
        part(credential.as_ref().map_or(&[], |digest| digest.as_slice()));
        let mut headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        headers.sort_by_key(|(name, _)| *name);
        for (name, value) in headers {
            part(name.as_bytes());
            part(value);
        }
        Key(hasher.finalize().into())
    }
}

impl Resource {
    /// What an address names. `Url` has made scheme and host lower-case and has left out the scheme's own port.
    pub fn of(url: &Url) -> Resource {
        Resource { origin: url.origin().ascii_serialization().into(), path: normalised(url.path()).into() }
    }

    /// Its path on the server.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Percent-encoded bytes are the same in capitals as in small letters (RFC 3986, 6.2.2.1).
fn normalised(text: &str) -> String {
    let mut digits = 0;
    let upper = text.chars().map(|character| {
        if character == '%' {
            digits = 2;
        } else if digits > 0 {
            digits -= 1;
            return character.to_ascii_uppercase();
        }
        character
    });
    upper.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(url: &str) -> Key {
        Key::of(&Url::parse(url).unwrap(), None, &HeaderMap::new())
    }

    #[test]
    fn addresses_that_mean_the_same_have_one_key() {
        let same = ["https://server/a%C3%B8?x=%2f", "HTTPS://SERVER:443/a%c3%b8?x=%2F", "https://server/a%C3%B8?x=%2F#fragment"];
        assert!(same.iter().all(|url| key(url) == key("https://server/a%C3%B8?x=%2F")));
        let others = [
            "http://server/a",
            "https://server/a",
            "https://server:8443/a",
            "https://server/A",
            "https://server/a?",
            "https://server/a?x=1&y=2",
            "https://server/a?y=2&x=1",
            "https://server/a/",
        ];
        for (index, url) in others.iter().enumerate() {
            assert!(others.iter().skip(index + 1).all(|other| key(url) != key(other)), "{url}");
        }
    }

    #[test]
    fn what_is_presented_and_every_header_are_part_of_it() {
        let url = Url::parse("https://server/a").unwrap();
        let with = |credential, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            Key::of(&url, credential, &headers)
        };
        let all = [
            with(None, &[]),
            with(Some([1; 32]), &[]),
            with(Some([2; 32]), &[]),
            with(None, &[("accept", "text/plain")]),
            with(None, &[("accept", "text/html")]),
            with(None, &[("accept-language", "no")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| one != other));
        }
        assert!(with(None, &[("a", "1"), ("b", "2")]) == with(None, &[("b", "2"), ("a", "1")]));
    }

    #[test]
    fn a_resource_is_the_address_without_its_query() {
        let of = |url: &str| Resource::of(&Url::parse(url).unwrap());
        assert_eq!(of("https://server/a?x=1"), of("https://SERVER:443/a"));
        assert_ne!(of("https://server/a"), of("https://other/a"));
        assert_eq!(of("https://server/%c3%b8").path(), "/%C3%B8");
    }
}
