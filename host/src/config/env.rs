//! Settings from the environment: `DROPFORGE_<KEY>` for every key of the root that is one word or number.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::Value;

use super::shape;

const PREFIX: &str = "DROPFORGE_";

/// Names with our prefix that are read elsewhere.
const ELSEWHERE: [&str; 7] = [
    "DROPFORGE_API_TOKEN",
    "DROPFORGE_LOG",
    "DROPFORGE_LOG_FORMAT",
    "DROPFORGE_RELOADED",
    "DROPFORGE_CRASH_AT",
    "DROPFORGE_HOLD_AT",
    "DROPFORGE_HOLD_FILE",
];

/// Names that pyWATS clients are configured with, and our keys for them.
const ALIASES: [(&str, &str); 3] =
    [("PYWATS_HEALTH_PORT", "health_port"), ("PYWATS_ENABLE_CACHE", "enable_cache"), ("PYWATS_CACHE_TTL", "cache_ttl_seconds")];

/// What the environment sets.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// By key: the variable's name and its value. One that does not fit its key's type is text, for the check of the shape to find.
    pub settings: BTreeMap<String, (String, Value)>,
    /// One sentence for each variable that is ignored.
    pub warnings: Vec<String>,
    /// One sentence for each variable that cannot be read.
    pub errors: Vec<String>,
}

/// Reads the variables that concern us. An empty one counts as not set, as is the custom.
pub(super) fn read(schema: &Value, variables: &[(OsString, OsString)]) -> Environment {
    let types: BTreeMap<&str, &str> = shape::root_keys(schema).collect();
    let mut environment = Environment::default();
    let mut ours: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| concerns_us(name)) else { continue };
        match value.to_str() {
            Some("") => {}
            Some(value) => _ = ours.insert(name, value),
            None => environment.errors.push(format!("the value of {name} is not UTF-8; write one that is")),
        }
    }
    for (name, value) in ours.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        environment.ours(name, value, &types);
    }
    for (alias, key) in ALIASES {
        if let Some(value) = ours.get(alias) {
            environment.alias(alias, key, value, &types);
        }
    }
    environment
}

pub(super) fn concerns_us(name: &str) -> bool {
    (name.starts_with(PREFIX) && !ELSEWHERE.contains(&name)) || ALIASES.iter().any(|(alias, _)| *alias == name)
}

/// The variables by which OpenTelemetry's own libraries are told of a collector.
const COLLECTORS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// What to say where the environment names a collector, and the configuration none. It is meant for whatever runs on the machine: file names are
/// sent nowhere that the configuration does not say.
pub(super) fn collector_elsewhere(variables: &[(OsString, OsString)]) -> Option<String> {
    let is_set = |name: &&&str| variables.iter().any(|(other, value)| other == **name && !value.is_empty());
    let name = COLLECTORS.iter().find(is_set)?;
    Some(format!(
        "{name} is not read: to have spans sent to a collector, write its address as `endpoint` into a table [tracing] of the configuration"
    ))
}

impl Environment {
    fn ours(&mut self, name: &str, value: &str, types: &BTreeMap<&str, &str>) {
        let key = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        if self.is_injected(name, value) {
            return;
        }
        match types.get(key.as_str()) {
            Some(&("array" | "object")) => self
                .warnings
                .push(format!("{name} is ignored: `{key}` cannot be set in the environment; write it in the configuration file")),
            Some(kind) => {
                self.settings.insert(key, (name.into(), typed(kind, value)));
            }
            None => {
                let meant =
                    shape::nearest(&key, types.keys().copied()).map(|near| format!("; did you mean {PREFIX}{}?", near.to_uppercase()));
                self.warnings.push(format!("{name} is ignored: it is not a setting of Dropforge{}", meant.unwrap_or_default()));
            }
        }
    }

    fn alias(&mut self, alias: &str, key: &str, value: &str, types: &BTreeMap<&str, &str>) {
        if self.is_injected(alias, value) {
            return;
        }
        let value = typed(types.get(key).copied().unwrap_or_default(), value);
        match self.settings.get(key) {
            None => {
                self.settings.insert(key.into(), (alias.into(), value));
            }
            Some((name, ours)) if !is_same(ours, &value) => {
                self.warnings.push(format!("{alias} is ignored: {name} says otherwise, and goes before it"));
            }
            Some(_) => {}
        }
    }

    /// Whether the value is the address of a service, as Kubernetes sets it in every pod of the service's namespace. That is said.
    fn is_injected(&mut self, name: &str, value: &str) -> bool {
        let injected = name.ends_with("_PORT") && value.starts_with("tcp://");
        if injected {
            self.warnings
                .push(format!("{name} is ignored: its value is the address of a service, as Kubernetes injects it, and not a port"));
        }
        injected
    }
}

/// Whether two values are the same; `60` is `60.0`.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other)
}

/// The value as its key's type, or as text where it is something else.
fn typed(kind: &str, value: &str) -> Value {
    let word = value.trim().to_ascii_lowercase();
    let parsed = match (kind, word.as_str()) {
        ("boolean", "true" | "1" | "yes" | "on") => Some(Value::Bool(true)),
        ("boolean", "false" | "0" | "no" | "off") => Some(Value::Bool(false)),
        ("integer" | "number", number) => number.parse().ok().filter(Value::is_number),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(value.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::schema;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        read(&schema(), &variables.iter().map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>())
    }

    #[test]
    fn variables_have_the_types_of_their_keys() {
        let cases = [
            ("DROPFORGE_HEALTH_PORT", "8081", "health_port", json!(8081)),
            ("DROPFORGE_HEALTH_PORT", "eighty", "health_port", json!("eighty")),
            ("DROPFORGE_WORKERS", " 3 ", "workers", json!(3)),
            ("DROPFORGE_DRAIN_SECONDS", "2.5", "drain_seconds", json!(2.5)),
            ("DROPFORGE_ENABLE_METRICS", "False", "enable_metrics", json!(false)),
            ("DROPFORGE_ENABLE_METRICS", "1", "enable_metrics", json!(true)),
            ("DROPFORGE_ENABLE_METRICS", "maybe", "enable_metrics", json!("maybe")),
            ("DROPFORGE_INSTANCE_ID", "007", "instance_id", json!("007")),
            ("DROPFORGE_STATE_DIR", "/s", "state_dir", json!("/s")),
            ("DROPFORGE_BIND_ADDRESS", "0.0.0.0", "bind_address", json!("0.0.0.0")),
            ("PYWATS_HEALTH_PORT", "8081", "health_port", json!(8081)),
            ("PYWATS_ENABLE_CACHE", "no", "enable_cache", json!(false)),
            ("PYWATS_CACHE_TTL", "60", "cache_ttl_seconds", json!(60)),
        ];
        for (name, value, key, expected) in cases {
            let environment = environment(&[(name, value)]);
            assert_eq!(environment.settings, BTreeMap::from([(key.into(), (name.into(), expected))]), "{name}={value}");
            assert_eq!(environment.warnings, [""; 0], "{name}={value}");
        }
    }

    #[test]
    fn what_is_not_ours_is_ignored_and_said() {
        let cases = [
            (
                "DROPFORGE_HEALT_PORT",
                "1",
                "DROPFORGE_HEALT_PORT is ignored: it is not a setting of Dropforge; did you mean DROPFORGE_HEALTH_PORT?",
            ),
            ("DROPFORGE_SERVICE_HOST", "10.0.0.1", "DROPFORGE_SERVICE_HOST is ignored: it is not a setting of Dropforge"),
            (
                "DROPFORGE_ROUTES",
                "[]",
                "DROPFORGE_ROUTES is ignored: `routes` cannot be set in the environment; write it in the configuration file",
            ),
            (
                "DROPFORGE_UPSTREAM",
                "x",
                "DROPFORGE_UPSTREAM is ignored: `upstream` cannot be set in the environment; write it in the configuration file",
            ),
            (
                "DROPFORGE_HEALTH_PORT",
                "tcp://10.0.0.1:80",
                "DROPFORGE_HEALTH_PORT is ignored: its value is the address of a service, as Kubernetes injects it, and not a port",
            ),
            (
                "DROPFORGE_PORT",
                "tcp://1",
                "DROPFORGE_PORT is ignored: its value is the address of a service, as Kubernetes injects it, and not a port",
            ),
            (
                "PYWATS_HEALTH_PORT",
                "tcp://1",
                "PYWATS_HEALTH_PORT is ignored: its value is the address of a service, as Kubernetes injects it, and not a port",
            ),
        ];
        for (name, value, expected) in cases {
            let environment = environment(&[(name, value)]);
            assert_eq!(environment.warnings, [expected]);
            assert!(environment.settings.is_empty(), "{name}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_empty_or_of_others() {
        let environment = environment(&[
            ("DROPFORGE_HEALTH_PORT", ""),
            ("DROPFORGE_NONSENSE", ""),
            ("DROPFORGE_LOG", "debug"),
            ("PATH", "/bin"),
            ("PYWATS_URL", "x"),
        ]);
        assert!(environment.settings.is_empty() && environment.warnings.is_empty(), "{environment:?}");
    }

    #[test]
    fn a_collector_that_only_the_environment_names_is_said() {
        let said = |name: &str, value: &str| collector_elsewhere(&[(name.into(), value.into())]);
        assert!(said("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318").unwrap_or_default().contains("[tracing]"));
        assert_eq!(said("OTEL_EXPORTER_OTLP_ENDPOINT", ""), None);
        assert_eq!(said("OTEL_SERVICE_NAME", "x"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_must_be_utf8_if_it_is_ours() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![b'/', 0xff]);
        let environment = read(&schema(), &[("DROPFORGE_STATE_DIR".into(), value.clone()), ("OTHER".into(), value)]);
        assert_eq!(environment.errors, ["the value of DROPFORGE_STATE_DIR is not UTF-8; write one that is"]);
    }

    #[test]
    fn our_name_goes_before_an_alias() {
        let differing = environment(&[("PYWATS_HEALTH_PORT", "1"), ("DROPFORGE_HEALTH_PORT", "2")]);
        assert_eq!(differing.settings.get("health_port"), Some(&("DROPFORGE_HEALTH_PORT".into(), json!(2))));
        assert_eq!(differing.warnings, ["PYWATS_HEALTH_PORT is ignored: DROPFORGE_HEALTH_PORT says otherwise, and goes before it"]);
        let equal = environment(&[("PYWATS_HEALTH_PORT", "2"), ("DROPFORGE_HEALTH_PORT", "2")]);
        assert_eq!(equal.warnings, [""; 0]);
        let equal = environment(&[("PYWATS_CACHE_TTL", "60"), ("DROPFORGE_CACHE_TTL_SECONDS", "60.0")]);
        assert_eq!(equal.warnings, [""; 0]);
    }
}
