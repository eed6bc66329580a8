//! A configuration as people read it back: TOML, with secrets masked.

use serde_json::Value;

use super::Config;

const MASK: &str = "***";

impl Config {
    /// The configuration as TOML. Values in `options` and `context` whose names tell of a secret are masked, and `null`s, which TOML does not
    /// have, are left out: the text is for people.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&self.masked())
    }

    /// The same configuration, as it may be shown.
    pub(super) fn masked(&self) -> Config {
        let mut shown = self.clone();
        for route in &mut shown.routes {
            route.options.retain(|_, value| !value.is_null());
            for (name, value) in &mut route.options {
                redact(name, value);
            }
            for (name, value) in &mut route.context {
                if is_secret(name) {
                    *value = MASK.into();
                }
            }
        }
        shown
    }
}

fn redact(name: &str, value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            for (name, value) in table {
                redact(name, value);
            }
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            for item in items {
                redact(name, item);
            }
        }
        scalar if is_secret(name) => *scalar = MASK.into(),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let tells = ["password", "passwd", "secret", "token", "api_key", "apikey", "credential"].iter().any(|word| name.contains(word));
    // The path of a file is no secret.
    tells && !name.ends_with("_file")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::config::{Route, Upstream};

    fn config() -> Config {
        let mut route = Route::new("a", "/in", "/out");
        route.options = json!({ "delimiter": ";", "api_token": "hush", "absent": null, "server": { "Password": "hush", "port": 1 }, "tokens": ["hush", null] })
            .as_object()
            .unwrap()
            .clone();
        route.context = [("station", "{dir1}"), ("client_secret", "hush")].map(|(name, value)| (name.into(), value.into())).into();
        let upstream = Some(Upstream { token_file: Some("/token".into()), ..Upstream::new("https://server") });
        Config { state_dir: "/state".into(), upstream, routes: vec![route], ..Config::default() }
    }

    #[test]
    fn what_is_shown_can_be_read_and_is_the_same() {
        let mut config = config();
        config.routes.iter_mut().for_each(|route| {
            route.options.clear();
            route.context.clear();
        });
        let shown: Config = toml::from_str(&config.to_toml().unwrap()).unwrap();
        assert_eq!(shown, config);
    }

    #[test]
    fn secrets_are_masked() {
        let text = config().to_toml().unwrap();
        assert!(!text.contains("hush"), "{text}");
        assert_eq!(text.matches("\"***\"").count(), 4, "{text}");
        for expected in ["delimiter = \";\"", "port = 1", "station = \"{dir1}\"", "token_file = \"/token\""] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}
