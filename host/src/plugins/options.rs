//! A converter's options: what a route configures, checked against the converter's schema and completed with its defaults.

use serde::Serialize;
use serde_json::{Map, Value};

use jsonschema::error::ValidationErrorKind;

use super::schema::{Schema, SchemaError};

/// Problems named in one error.
const MAX_PROBLEMS: usize = 10;

/// How alike two names must be (Jaro-Winkler) for one to be suggested for the other.
const ALIKE: f64 = 0.8;

/// Why options cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the options for the converter `{converter}` are wrong: {}", problems.join("; "))]
pub struct OptionsError {
    /// The converter's name.
    pub converter: String,
    /// One sentence each: the option, its place, what to do.
    pub problems: Vec<String>,
}

/// One option, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionInfo {
    /// Its name.
    pub name: String,
    /// What it takes, such as `integer` or `"auto" | "on"`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What counts where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether it must be set.
    pub required: bool,
    /// What it is for.
    pub description: String,
}

/// The options of one converter.
#[derive(Debug)]
pub struct Options {
    /// None: there are no options.
    schema: Option<Schema>,
}

impl Options {
    /// Reads a descriptor's schema; empty text stands for no options.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn new(schema: &str) -> Result<Options, SchemaError> {
        let schema = if schema.trim().is_empty() { None } else { Some(Schema::parse(schema)?) };
        Ok(Options { schema })
    }

    /// Fills in the defaults of absent properties, checks the result, and gives it as JSON text.
    ///
    /// # Errors
    /// What is wrong, by option.
    pub fn complete(&self, converter: &str, configured: &Map<String, Value>) -> Result<String, OptionsError> {
        let failed = |problems| OptionsError { converter: converter.to_owned(), problems };
        let Some(schema) = &self.schema else {
            if let Some(name) = configured.keys().next() {
                return Err(failed(vec![format!("it has no options, but `{name}` is set: remove it")]));
            }
            return Ok("{}".to_owned());
        };
        let mut options = configured.clone();
        fill(schema, &schema.root, &mut options);
        let options = Value::Object(options);
        let problems: Vec<String> = schema.validator.iter_errors(&options).take(MAX_PROBLEMS).map(|error| self.describe(&error)).collect();
        if problems.is_empty() { Ok(options.to_string()) } else { Err(failed(problems)) }
    }

    /// Every option, in the order of the names.
    pub fn list(&self) -> Vec<OptionInfo> {
        let Some(schema) = &self.schema else { return Vec::new() };
        let required: Vec<&str> = strings(schema.resolve(&schema.root).get("required"));
        let info = |(name, property): (&String, &Value)| {
            let resolved = schema.resolve(property);
            let keyword = |keyword| property.get(keyword).or_else(|| resolved.get(keyword));
            OptionInfo {
                name: name.clone(),
                kind: kind(schema, property, 0),
                default: keyword("default").cloned(),
                required: required.contains(&name.as_str()),
                description: keyword("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            }
        };
        properties(schema, &schema.root).map(info).collect()
    }

    /// The value that a person means who writes `text` for the option `name` on a command line: the text itself where the schema takes
    /// it as a string, else the JSON that it is, else the text.
    pub fn value_of_text(&self, name: &str, text: &str) -> Value {
        let string = Value::String(text.to_owned());
        // An enumeration lists its texts as JSON.
        let quoted = string.to_string();
        let takes_text = self.schema.as_ref().is_some_and(|schema| {
            let property = properties(schema, &schema.root).find(|(property, _)| *property == name);
            property.is_some_and(|(_, property)| kind(schema, property, 0).split(" | ").any(|kind| kind == "string" || kind == quoted))
        });
        if takes_text { string } else { serde_json::from_str(text).unwrap_or(string) }
    }

    /// One validation error as a sentence.
    fn describe(&self, error: &jsonschema::ValidationError<'_>) -> String {
        let place = place(error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let unknown: Vec<String> = unexpected.iter().map(|name| self.unknown(&place, name)).collect();
                unknown.join("; ")
            }
            ValidationErrorKind::Required { property } => {
                format!("the option `{}` is missing: set it", join(&place, property.as_str().unwrap_or_default()))
            }
            ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::Constant { .. }
            | ValidationErrorKind::OneOfNotValid { .. }
            | ValidationErrorKind::AnyOf { .. }
            | ValidationErrorKind::Type { .. }
                if let Some(kind) = self.kind_at(error.instance_path().as_str()) =>
            {
                refused(&place, error.instance(), &kind)
            }
            _ if place.is_empty() => error.to_string(),
            _ => format!("the option `{place}` has a value that it does not take: {error}"),
        }
    }

    /// What the value at a JSON pointer may be, in a few words; none where the schema names no such place.
    fn kind_at(&self, pointer: &str) -> Option<String> {
        let schema = self.schema.as_ref()?;
        let mut at = &schema.root;
        let mut parts = pointer.split('/').skip(1).peekable();
        parts.peek()?;
        for part in parts {
            let name = part.replace("~1", "/").replace("~0", "~");
            let property = properties(schema, at).find(|(property, _)| **property == name).map(|(_, property)| property);
            at = property.or_else(|| schema.resolve(at).get("items"))?;
        }
        Some(kind(schema, at, 0)).filter(|kind| kind != "any")
    }

    /// A name that is not there: the nearest is suggested, or all are listed.
    fn unknown(&self, place: &str, name: &str) -> String {
        let known: Vec<String> = if place.is_empty() { self.list().into_iter().map(|option| option.name).collect() } else { Vec::new() };
        let nearest = known.iter().map(|known| (strsim::jaro_winkler(known, name), known)).max_by(|a, b| a.0.total_cmp(&b.0));
        let remedy = match nearest {
            Some((likeness, nearest)) if likeness >= ALIKE => format!("did you mean `{nearest}`?"),
            Some(_) => format!("there are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            None => "remove it".to_owned(),
        };
        format!("there is no option `{}`: {remedy}", join(place, name))
    }
}

/// A value that an option does not take, which is of this `kind`: it is said what it takes, and which of that is nearest.
fn refused(place: &str, value: &Value, kind: &str) -> String {
    let choices: Vec<&str> = kind.split(" | ").collect();
    let listed = match choices.as_slice() {
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
        [] => String::new(),
    };
    let text = value.as_str().unwrap_or_default().to_lowercase();
    let likeness = |choice: &&&str| strsim::jaro_winkler(&choice.trim_matches('"').to_lowercase(), &text);
    let quoted = choices.iter().filter(|choice| choice.starts_with('"') && !text.is_empty());
    let nearest = quoted.max_by(|one, other| likeness(one).total_cmp(&likeness(other))).filter(|choice| likeness(choice) >= ALIKE);
    let meant = nearest.map(|choice| format!("; did you mean {choice}?")).unwrap_or_default();
    format!("the option `{place}` cannot be {value}: it takes {listed}{meant}")
}

/// The properties of an object's schema, those of its `allOf` included.
fn properties<'a>(schema: &'a Schema, object: &'a Value) -> Box<dyn Iterator<Item = (&'a String, &'a Value)> + 'a> {
    let object_or_target = schema.resolve(object);
    let own = [Some(object), (!std::ptr::eq(object, object_or_target)).then_some(object_or_target)];
    let direct = own.into_iter().flatten().filter_map(|object| object.get("properties")?.as_object()).flatten();
    let parts = own.into_iter().flatten().filter_map(|object| object.get("allOf")?.as_array()).flatten();
    Box::new(direct.chain(parts.flat_map(|part| properties(schema, part))))
}

/// Inserts defaults where properties are absent, in nested objects too. It ends because the schema is not recursive.
fn fill(schema: &Schema, object: &Value, options: &mut Map<String, Value>) {
    for (name, property) in properties(schema, object) {
        if !options.contains_key(name)
            && let Some(default) = property.get("default").or_else(|| schema.resolve(property).get("default"))
        {
            options.insert(name.clone(), default.clone());
        }
        if let Some(Value::Object(nested)) = options.get_mut(name) {
            fill(schema, property, nested);
        }
    }
}

/// What a schema takes, in a few words.
fn kind(schema: &Schema, property: &Value, depth: usize) -> String {
    let property = schema.resolve(property);
    // Deeper than this, nobody reads it.
    if depth > 3 {
        return "…".to_owned();
    }
    if let Some(constant) = property.get("const") {
        return constant.to_string();
    }
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(choices) = property.get("oneOf").or_else(|| property.get("anyOf")).and_then(Value::as_array) {
        return choices.iter().map(|choice| kind(schema, choice, depth + 1)).collect::<Vec<_>>().join(" | ");
    }
    let types = match property.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        many => strings(many),
    };
    let name = |name: &str| match (name, property.get("items")) {
        ("array", Some(items)) => format!("array of {}", kind(schema, items, depth + 1)),
        _ => name.to_owned(),
    };
    if types.is_empty() { "any".to_owned() } else { types.into_iter().map(name).collect::<Vec<_>>().join(" | ") }
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The JSON pointer `/columns/2/name` as `columns[2].name`.
fn place(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |place, part| {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !place.is_empty() {
            format!("{place}[{part}]")
        } else {
            join(&place, &part.replace("~1", "/").replace("~0", "~"))
        }
    })
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options() -> Options {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["unit"],
            "properties": {
                "delimiter": {"type": ["string", "null"], "default": null, "maxLength": 1, "description": "What separates fields."},
                "header": {"$ref": "#/$defs/Header", "default": "auto"},
                "unit": {"type": "string"},
                "skip": {"type": "integer", "minimum": 0, "default": 0},
                "columns": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "numbers": {
                    "type": "object", "default": {}, "additionalProperties": false,
                    "properties": {"infer": {"type": "boolean", "default": true}, "decimal": {"type": "string", "default": "."}},
                },
            },
            "$defs": {"Header": {"oneOf": [{"const": "auto"}, {"const": "yes"}, {"const": "no"}]}},
        });
        Options::new(&schema.to_string()).unwrap()
    }

    fn complete(value: Value) -> Result<Value, String> {
        let Value::Object(configured) = value else { panic!("no object") };
        let text = options().complete("csv", &configured).map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn defaults_are_filled_in_at_every_depth_and_what_is_set_stays() {
        let completed = complete(json!({"unit": "V", "skip": 2, "numbers": {"infer": false}})).unwrap();
        let expected = json!({"unit": "V", "skip": 2, "delimiter": null, "header": "auto", "numbers": {"infer": false, "decimal": "."}});
        assert_eq!(completed, expected);
        let completed = complete(json!({"unit": "V"})).unwrap();
        assert_eq!(completed.get("numbers"), Some(&json!({"infer": true, "decimal": "."})));
    }

    #[test]
    fn every_problem_names_the_option_and_the_remedy() {
        let cases = [
            (json!({}), "the option `unit` is missing: set it"),
            (json!({"unit": "V", "delimeter": ","}), "there is no option `delimeter`: did you mean `delimiter`?"),
            (json!({"unit": "V", "zzz": 1}), "there is no option `zzz`: there are `columns`, `delimiter`"),
            (json!({"unit": "V", "numbers": {"x": 1}}), "there is no option `numbers.x`: remove it"),
            (json!({"unit": "V", "skip": -1}), "the option `skip` has a value that it does not take: -1 is less than the minimum of 0"),
            (json!({"unit": "V", "columns": [{}, {"name": 5}]}), "the option `columns[1].name` cannot be 5: it takes string"),
            (
                json!({"unit": "V", "header": "Auto"}),
                r#"the option `header` cannot be "Auto": it takes "auto", "yes" or "no"; did you mean "auto"?"#,
            ),
            (json!({"unit": "V", "header": 5}), r#"the option `header` cannot be 5: it takes "auto", "yes" or "no""#),
            (json!({"unit": null}), "the option `unit` cannot be null: it takes string"),
        ];
        for (configured, expected) in cases {
            let message = complete(configured.clone()).unwrap_err();
            assert!(message.starts_with("the options for the converter `csv` are wrong: "), "{message}");
            assert!(message.contains(expected), "{configured} gave: {message}");
        }
    }

    #[test]
    fn without_a_schema_there_are_no_options() {
        let options = Options::new(" ").unwrap();
        assert_eq!(options.complete("x", &Map::new()).unwrap(), "{}");
        let configured = Map::from_iter([("a".to_owned(), json!(1))]);
        let message = options.complete("x", &configured).unwrap_err().to_string();
        assert!(message.contains("it has no options, but `a` is set: remove it"), "{message}");
        assert!(options.list().is_empty());
    }

    #[test]
    fn options_are_listed_for_people() {
        let list = options().list();
        let short: Vec<(&str, &str)> = list.iter().map(|option| (option.name.as_str(), option.kind.as_str())).collect();
        let expected = [
            ("columns", "array of object"),
            ("delimiter", "string | null"),
            ("header", r#""auto" | "yes" | "no""#),
            ("numbers", "object"),
            ("skip", "integer"),
            ("unit", "string"),
        ];
        assert_eq!(short, expected);
        let delimiter = list.iter().find(|option| option.name == "delimiter").unwrap();
        assert_eq!((delimiter.default.as_ref(), delimiter.description.as_str()), (Some(&Value::Null), "What separates fields."));
        assert_eq!(list.iter().filter(|option| option.required).count(), 1);
    }

    #[test]
    fn text_from_a_command_line_becomes_what_the_schema_takes() {
        let options = options();
        assert_eq!(options.value_of_text("delimiter", "5"), json!("5"));
        assert_eq!(options.value_of_text("header", "yes"), json!("yes"));
        assert_eq!(options.value_of_text("skip", "5"), json!(5));
        assert_eq!(options.value_of_text("numbers", r#"{"infer":false}"#), json!({"infer": false}));
        assert_eq!(options.value_of_text("skip", "many"), json!("many"));
    }
}
