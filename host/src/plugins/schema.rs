//! Reads a converter's JSON Schema of its options, which comes from a stranger and is evaluated in the daemon: it has to be finite, and
//! to refer to nothing but itself. It knows no converter and no configuration.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// The longest schema, in bytes of text.
const MAX_BYTES: usize = 256 << 10;

/// Schemas inside the schema, each counted as often as a reference leads to it. It bounds what one validation can cost: doubling
/// references (`a` twice in `b`, `b` twice in `c`, …) would make a small schema run for ever.
const MAX_EXPANDED: usize = 10_000;

/// How deep schemas may nest, references followed.
const MAX_DEPTH: usize = 100;

/// Keywords with one schema.
const ONE: [&str; 11] = [
    "not",
    "if",
    "then",
    "else",
    "items",
    "contains",
    "additionalItems",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords with an array of schemas.
const MANY: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords with an object of schemas.
const NAMED: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// References that depend on where they are evaluated.
const DYNAMIC: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// Why a schema is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// More than the contract allows.
    #[error("it has {0} bytes, and the most is {MAX_BYTES}")]
    TooLong(usize),
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// JSON, but not what the contract asks for.
    #[error("its root must be a JSON object that describes an object (`\"type\": \"object\"`)")]
    Root,
    /// Another draft.
    #[error("its `$schema` is `{0}`; the contract asks for `https://json-schema.org/draft/2020-12/schema`")]
    Draft(String),
    /// A reference that is not followed.
    #[error("it refers to `{0}`; only references inside the schema, such as `#/$defs/name`, are followed")]
    Reference(String),
    /// A reference that leads nowhere.
    #[error("it refers to `{0}`, which it does not hold")]
    Nowhere(String),
    /// A cycle.
    #[error("it refers to itself through `{0}`; options cannot be recursive")]
    Recursive(String),
    /// An `$id` below the root.
    #[error("it has an `$id` below its root (`{0}`), which would change what its references mean")]
    NestedId(String),
    /// Too much.
    #[error("it is too large: with references followed, the most is {MAX_EXPANDED} schemas, nested {MAX_DEPTH} deep")]
    TooLarge,
    /// What the library says.
    #[error("it is not a valid JSON Schema: {0}")]
    Invalid(String),
}

/// A schema that is safe to evaluate.
#[derive(Debug)]
pub struct Schema {
    /// The document.
    pub root: Value,
    /// The same, compiled.
    pub validator: Validator,
}

impl Schema {
    /// Reads and compiles a schema.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn parse(text: &str) -> Result<Schema, SchemaError> {
        if text.len() > MAX_BYTES {
            return Err(SchemaError::TooLong(text.len()));
        }
        let root: Value = serde_json::from_str(text).map_err(|error| SchemaError::Json(error.to_string()))?;
        let object = root.as_object().ok_or(SchemaError::Root)?;
        match object.get("type") {
            None => {}
            Some(Value::String(name)) if name == "object" => {}
            Some(_) => return Err(SchemaError::Root),
        }
        if let Some(draft) = object.get("$schema").and_then(Value::as_str)
            && draft.trim_end_matches('#') != "https://json-schema.org/draft/2020-12/schema"
        {
            return Err(SchemaError::Draft(draft.to_owned()));
        }
        Expansion { root: &root, open: Vec::new(), count: 0 }.visit(&root, 0)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            // Time linear in the text, whatever the pattern.
            .with_pattern_options(PatternOptions::regex())
            .build(&root)
            .map_err(|error| SchemaError::Invalid(error.to_string()))?;
        Ok(Schema { root, validator })
    }

    /// Follows references until there is none; `schema` itself where it has none. Only for schemas inside [`Schema::root`], which are
    /// known not to be recursive.
    pub fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let Some(target) = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else { break };
            schema = target;
        }
        schema
    }
}

/// Walks every schema as often as references lead to it.
struct Expansion<'a> {
    root: &'a Value,
    /// The references that led here.
    open: Vec<&'a str>,
    count: usize,
}

impl<'a> Expansion<'a> {
    fn visit(&mut self, schema: &'a Value, depth: usize) -> Result<(), SchemaError> {
        self.count += 1;
        if self.count > MAX_EXPANDED || depth > MAX_DEPTH {
            return Err(SchemaError::TooLarge);
        }
        // `true` and `false` are schemas too.
        let Some(object) = schema.as_object() else { return Ok(()) };
        if depth > 0
            && let Some(id) = object.get("$id")
        {
            return Err(SchemaError::NestedId(id.to_string()));
        }
        if let Some(reference) = DYNAMIC.iter().find_map(|keyword| object.get(*keyword)) {
            return Err(SchemaError::Reference(reference.to_string()));
        }
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            self.follow(reference, depth)?;
        }
        for schema in ONE.iter().filter_map(|keyword| object.get(*keyword)) {
            self.visit(schema, depth + 1)?;
        }
        for schema in MANY.iter().filter_map(|keyword| object.get(*keyword)?.as_array()).flatten() {
            self.visit(schema, depth + 1)?;
        }
        for schema in NAMED.iter().filter_map(|keyword| object.get(*keyword)?.as_object()).flat_map(serde_json::Map::values) {
            self.visit(schema, depth + 1)?;
        }
        Ok(())
    }

    fn follow(&mut self, reference: &'a str, depth: usize) -> Result<(), SchemaError> {
        let pointer = match reference.strip_prefix('#') {
            Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => pointer,
            _ => return Err(SchemaError::Reference(reference.to_owned())),
        };
        // The root is open from the beginning.
        if pointer.is_empty() || self.open.contains(&reference) {
            return Err(SchemaError::Recursive(reference.to_owned()));
        }
        let target = self.root.pointer(pointer).ok_or_else(|| SchemaError::Nowhere(reference.to_owned()))?;
        self.open.push(reference);
        self.visit(target, depth + 1)?;
        self.open.pop();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(schema: &Value) -> String {
        Schema::parse(&schema.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn what_schemars_makes_is_accepted() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Options", "type": "object",
            "properties": {
                "mode": {"$ref": "#/$defs/Mode", "default": "auto"},
                "inner": {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]},
            },
            "$defs": {"Mode": {"enum": ["auto", "off"]}, "Inner": {"type": "object", "properties": {"mode": {"$ref": "#/$defs/Mode"}}}},
        });
        let schema = Schema::parse(&schema.to_string()).unwrap();
        assert!(schema.validator.is_valid(&json!({"mode": "off", "inner": null})));
        assert!(!schema.validator.is_valid(&json!({"mode": "on"})));
        assert_eq!(schema.resolve(&json!({"$ref": "#/$defs/Mode"})), &json!({"enum": ["auto", "off"]}));
    }

    #[test]
    fn what_is_no_closed_finite_schema_of_an_object_is_refused() {
        let cases = [
            (json!("x"), "its root must be a JSON object"),
            (json!(true), "its root must be a JSON object"),
            (json!({"type": "array"}), "its root must be a JSON object"),
            (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "`$schema` is `http://json-schema.org/draft-07/schema#`"),
            (json!({"properties": {"a": {"$ref": "https://example.com/s.json"}}}), "refers to `https://example.com/s.json`"),
            (json!({"properties": {"a": {"$ref": "other.json#/a"}}}), "refers to `other.json#/a`"),
            (json!({"$dynamicRef": "#node"}), "refers to `\"#node\"`"),
            (json!({"$ref": "#/$defs/none"}), "`#/$defs/none`, which it does not hold"),
            (json!({"properties": {"a": {"$ref": "#"}}}), "refers to itself through `#`"),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}), "refers to itself through `#/$defs/a`"),
            (json!({"properties": {"a": {"$id": "https://example.com/"}}}), "has an `$id` below its root"),
            (json!({"properties": {"a": {"type": "strung"}}}), "not a valid JSON Schema"),
            (json!({"properties": {"a": {"pattern": "(?=x)("}}}), "not a valid JSON Schema"),
        ];
        for (schema, expected) in &cases {
            let message = refusal(schema);
            assert!(message.contains(expected), "{schema} gave: {message}");
        }
        assert!(Schema::parse("{").unwrap_err().to_string().contains("not JSON"));
        assert!(matches!(Schema::parse(&" ".repeat(MAX_BYTES + 1)), Err(SchemaError::TooLong(_))));
    }

    #[test]
    fn a_schema_that_doubles_at_every_step_is_refused() {
        let mut definitions = serde_json::Map::new();
        definitions.insert("d0".to_owned(), json!({"type": "string"}));
        for n in 1..40 {
            let below = format!("#/$defs/d{}", n - 1);
            definitions.insert(format!("d{n}"), json!({"allOf": [{"$ref": below}, {"$ref": below}]}));
        }
        assert!(refusal(&json!({"$ref": "#/$defs/d39", "$defs": definitions})).contains("too large"));
        let deep = (0..120).fold(json!({}), |inner, _| json!({"not": inner}));
        assert!(matches!(Schema::parse(&deep.to_string()), Err(SchemaError::TooLarge | SchemaError::Json(_))));
    }
}
