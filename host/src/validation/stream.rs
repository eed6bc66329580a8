//! A JSON Schema that documents of any size are checked against in bounded memory: an array that the schema marks with `x-streamed` is checked
//! element by element, and the object that holds it as if it were empty.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, Read};

use jsonschema::{Draft, PatternOptions, Validator};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};

/// The keyword of an array whose elements are checked one by one. Its `items` is a reference, and the schema says nothing of their number.
const STREAMED: &str = "x-streamed";

/// Where a document does not fit, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The place, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// A compiled schema.
pub(super) struct StreamSchema {
    root: Value,
    whole: Validator,
    /// By the reference that elements of streamed arrays have.
    elements: HashMap<String, Validator>,
}

impl StreamSchema {
    pub fn parse(text: &str) -> Result<StreamSchema, String> {
        let root: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut elements = HashMap::new();
        for reference in streamed_references(&root) {
            let element = json!({ "$ref": reference, "$defs": root.get("$defs") });
            elements.insert(reference, compile(&element)?);
        }
        Ok(StreamSchema { whole: compile(&root)?, root, elements })
    }

    /// Gives the first place where a document does not fit.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn check(&self, content: impl Read) -> io::Result<Option<Invalid>> {
        let check = Check { schema: self, path: RefCell::default(), found: RefCell::default() };
        let mut reader = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, content));
        let read = Place { check: &check, schema: Some(&self.root), streamed: None }.deserialize(&mut reader);
        let read = read.and_then(|value| reader.end().map(|()| value));
        match read {
            Ok(value) => Ok(first_error(&self.whole, &value, "")),
            Err(error) if error.is_io() => Err(error.into()),
            Err(error) => Ok(Some(
                check.found.take().unwrap_or_else(|| Invalid { pointer: check.pointer(), message: format!("it is not JSON: {error}") }),
            )),
        }
    }

    /// The schema of a property, references followed.
    fn property<'a>(&'a self, schema: Option<&'a Value>, name: &str) -> Option<&'a Value> {
        Some(self.resolve(schema?.get("properties")?.get(name)?))
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|reference| self.root.pointer(reference.strip_prefix('#')?));
        target.unwrap_or(schema)
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|error| error.to_string())
}

/// What the elements of streamed arrays refer to.
fn streamed_references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(object) => {
            let own = object.get(STREAMED).and_then(|_| object.get("items")?.get("$ref")?.as_str().map(str::to_string));
            own.into_iter().chain(object.values().flat_map(streamed_references)).collect()
        }
        Value::Array(list) => list.iter().flat_map(streamed_references).collect(),
        _ => Vec::new(),
    }
}

fn first_error(validator: &Validator, value: &Value, above: &str) -> Option<Invalid> {
    let error = validator.iter_errors(value).next()?;
    // A value may be a whole picture: the message does not repeat it.
    Some(Invalid { pointer: format!("{above}{}", error.instance_path()), message: error.masked().to_string() })
}

/// One check of one document.
struct Check<'a> {
    schema: &'a StreamSchema,
    path: RefCell<Vec<String>>,
    /// What ended it.
    found: RefCell<Option<Invalid>>,
}

impl Check<'_> {
    fn pointer(&self) -> String {
        self.path.borrow().iter().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1"))).collect()
    }

    /// Calls `read` a step further down.
    fn below<T, E>(&self, token: String, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.path.borrow_mut().push(token);
        let value = read()?;
        // After an error the path stays: it is the place of the error.
        self.path.borrow_mut().pop();
        Ok(value)
    }
}

/// A value in the document, and what the schema says of it.
#[derive(Clone, Copy)]
struct Place<'a> {
    check: &'a Check<'a>,
    schema: Option<&'a Value>,
    /// It is a streamed array: how its elements are checked.
    streamed: Option<&'a Validator>,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let items = self.schema.and_then(|schema| schema.get("items")).map(|items| self.check.schema.resolve(items));
        let element = Place { check: self.check, schema: items, streamed: None };
        let mut kept = Vec::new();
        for index in 0_usize.. {
            let Some(value) = self.check.below(index.to_string(), || list.next_element_seed(element))? else { break };
            let Some(validator) = self.streamed else {
                kept.push(value);
                continue;
            };
            if !validator.is_valid(&value) {
                let above = format!("{}/{index}", self.check.pointer());
                self.check.found.replace(first_error(validator, &value, &above));
                return Err(A::Error::custom("it does not fit the schema"));
            }
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let schema = self.check.schema.property(self.schema, &name);
            let reference =
                schema.filter(|schema| schema.get(STREAMED).is_some()).and_then(|schema| schema.get("items")?.get("$ref")?.as_str());
            let streamed = reference.and_then(|reference| self.check.schema.elements.get(reference));
            let place = Place { check: self.check, schema, streamed };
            let value = self.check.below(name.clone(), || members.next_value_seed(place))?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{
        "type": "object", "required": ["top"],
        "properties": { "top": { "$ref": "#/$defs/step" } },
        "$defs": { "step": {
            "type": "object", "required": ["name"],
            "properties": {
                "name": { "type": "string", "maxLength": 5 },
                "steps": { "type": ["array", "null"], "x-streamed": true, "items": { "$ref": "#/$defs/step" } }
            },
            "if": { "properties": { "name": { "const": "seq" } } }, "then": { "required": ["steps"] }
        } }
    }"##;

    fn check(text: &str) -> Option<Invalid> {
        StreamSchema::parse(SCHEMA).unwrap().check(text.as_bytes()).unwrap()
    }

    fn at(pointer: &str, message: &str) -> Option<Invalid> {
        Some(Invalid { pointer: pointer.into(), message: message.into() })
    }

    #[test]
    fn what_fits_is_taken() {
        for text in [
            r#"{"top":{"name":"a"}}"#,
            r#"{"top":{"name":"seq","steps":[{"name":"b"},{"name":"seq","steps":[]}]},"other":[1,null,true,"x",1.5,-2]}"#,
            r#"{"top":{"name":"a","steps":null}}"#,
        ] {
            assert_eq!(check(text), None, "{text}");
        }
    }

    #[test]
    fn the_place_is_told_inside_of_streamed_arrays_and_outside() {
        let deep = r#"{"top":{"name":"a","steps":[{"name":"b"},{"name":"c","steps":[{"name":"d"},{"name":"too long"}]}]}}"#;
        assert_eq!(check(deep), at("/top/steps/1/steps/1/name", "value is longer than 5 characters"));
        let condition = r#"{"top":{"name":"a","steps":[{"name":"seq"}]}}"#;
        assert_eq!(check(condition), at("/top/steps/0", "\"steps\" is a required property"));
        assert_eq!(check(r#"{"top":{}}"#), at("/top", "\"name\" is a required property"));
        assert_eq!(check(r#"{"top":{"name":"a","steps":7}}"#).unwrap().pointer, "/top/steps");
        assert_eq!(check("[]").unwrap().pointer, "");
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        let broken = check("{\"top\":{\"name\":\"a\",\"steps\":[{\"name\":\"b\"},\n{\"name\" \"c\"}]}}").unwrap();
        assert_eq!(broken.pointer, "/top/steps/1/name");
        assert!(broken.message.contains("line 2 column 9"), "{}", broken.message);
        assert!(check("{\"top\":{\"name\":\"a\"}} x").unwrap().message.contains("trailing characters"));
        assert!(check("").unwrap().message.contains("EOF"));
        assert!(check("{\"top\":{\"name\":\"\u{0}\"}}").is_some());
    }

    /// As serde_json and the library see the whole document at once.
    #[test]
    fn streaming_changes_no_verdict() {
        let schema = StreamSchema::parse(SCHEMA).unwrap();
        let mut checked = [0, 0];
        for number in 0..2_000_u32 {
            // A tree by the digits of the number.
            let step = |digit: u32, below: Option<Value>| {
                let names = ["a", "seq", "too long", "b"];
                let mut step = json!({ "name": names[digit as usize % 4] });
                if !digit.is_multiple_of(3) {
                    step["steps"] = below.map_or(Value::Null, |below| json!([{ "name": "c" }, below]));
                }
                step
            };
            let tree =
                [number / 512, number / 64 % 8, number / 8 % 8, number % 8].into_iter().fold(None, |below, digit| Some(step(digit, below)));
            let document = json!({ "top": tree });
            let fits = schema.whole.is_valid(&document);
            assert_eq!(schema.check(document.to_string().as_bytes()).unwrap().is_none(), fits, "{document}");
            checked[usize::from(fits)] += 1;
        }
        assert!(checked.iter().all(|count| *count > 100), "{checked:?}");
    }
}
