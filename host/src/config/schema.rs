//! The JSON Schema of the configuration: what editors complete from, and what [`shape`](super::shape) checks a file by.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::Config;

/// The JSON Schema (draft 2020-12) of a configuration file. The doc comments of the types are its descriptions.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(unwrap_description));
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

/// Joins the lines of a description that the width of the source parted; paragraphs stay.
fn unwrap_description(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_key_is_described() {
        fn visit(schema: &Value, path: &str) {
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                for (key, property) in properties {
                    // The tag of a destination is described by what it is the tag of.
                    let described = property.get("description").is_some() || property.get("const").is_some();
                    assert!(described, "{path}.{key} has no description");
                }
            }
            for (key, child) in schema.as_object().into_iter().flatten() {
                visit(child, &format!("{path}.{key}"));
            }
            for child in schema.as_array().into_iter().flatten() {
                visit(child, path);
            }
        }
        visit(&schema(), "");
    }

    #[test]
    fn it_is_a_schema_that_accepts_the_defaults() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let defaults = serde_json::to_value(Config::default()).unwrap();
        assert!(validator.is_valid(&defaults));
        assert!(!validator.is_valid(&serde_json::json!({ "health_prot": 1 })));
    }

    #[test]
    fn descriptions_are_not_broken_into_lines() {
        let schema = schema();
        let description = schema.pointer("/properties/state_dir/description").and_then(Value::as_str).unwrap();
        assert!(!description.contains('\n'), "{description}");
    }
}
