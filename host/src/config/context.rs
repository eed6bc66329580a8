//! The attributes that converters see: values with named parts of a file's path.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Config, ConverterChoice, Route, braces};

/// A value of a route's context: text with named parts of a file's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The folder at this depth below the intake, from 1.
    Dir(usize),
    File,
    Stem,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The part has no meaning.
    #[error("there is no part `{{{0}}}`; write {{dir1}}, {{dir2}}, …, {{file}} or {{stem}}, and {{{{ or }}}} for a brace")]
    Unknown(String),
    /// A brace has no counterpart.
    #[error("`{0}` has a brace without its counterpart; write {{{{ or }}}} for a brace")]
    Unbalanced(String),
}

impl Template {
    /// Parses a template: `{dir1}`, `{dir2}`, …, `{file}`, `{stem}`, and `{{` and `}}` for braces.
    ///
    /// # Errors
    /// A part without a meaning, or a brace without its counterpart.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let pieces = braces::pieces(text).ok_or_else(|| TemplateError::Unbalanced(text.into()))?;
        let piece = |piece| match piece {
            braces::Piece::Text(text) => Ok(Piece::Text(text)),
            braces::Piece::Part(name) => Piece::named(name).ok_or_else(|| TemplateError::Unknown(name.into())),
        };
        let pieces = pieces.into_iter().map(piece).collect::<Result<_, _>>()?;
        Ok(Template { pieces })
    }

    /// The value for a file, by its path below the intake with `/` between its parts. A part that the path does not have is left out.
    pub fn resolve(&self, relative_path: &str) -> String {
        let mut folders: Vec<&str> = relative_path.split('/').filter(|part| !part.is_empty()).collect();
        let file = folders.pop().unwrap_or_default();
        let mut value = String::new();
        for piece in &self.pieces {
            value.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Dir(depth) => folders.get(depth - 1).copied().unwrap_or_default(),
                Piece::File => file,
                Piece::Stem => match file.rsplit_once('.') {
                    Some((stem, _)) if !stem.is_empty() => stem,
                    _ => file,
                },
            });
        }
        value
    }
}

impl Piece {
    fn named(name: &str) -> Option<Piece> {
        match name {
            "file" => Some(Piece::File),
            "stem" => Some(Piece::Stem),
            _ => {
                let digits = name.strip_prefix("dir").filter(|digits| digits.chars().all(|c| c.is_ascii_digit()))?;
                digits.parse().ok().filter(|depth| *depth >= 1).map(Piece::Dir)
            }
        }
    }
}

impl Route {
    /// The attributes of a file, by its path below the intake with `/` between its parts: the context with its parts filled in, `route`, and
    /// `timezone` where the route has one. An attribute whose value ends up empty is left out, and so is a template that does not parse (a
    /// loaded configuration has none).
    pub fn context_for(&self, relative_path: &str) -> BTreeMap<String, String> {
        let mut attributes: BTreeMap<String, String> = self
            .context
            .iter()
            .filter_map(|(name, text)| {
                let value = Template::parse(text).ok()?.resolve(relative_path);
                (!value.is_empty()).then(|| (name.clone(), value))
            })
            .collect();
        attributes.insert("route".into(), self.name.clone());
        if let Some(timezone) = &self.timezone {
            attributes.insert("timezone".into(), timezone.clone());
        }
        attributes
    }

    /// The options that this route gives a converter. Where it names its converter, `options` are that one's; where it is `auto`, they hold a
    /// table for each.
    pub fn options_for(&self, converter: &str) -> Map<String, Value> {
        match &self.converter {
            ConverterChoice::Named { name, .. } if name == converter => self.options.clone(),
            ConverterChoice::Named { .. } => Map::new(),
            ConverterChoice::Auto => self.options.get(converter).and_then(Value::as_object).cloned().unwrap_or_default(),
        }
    }
}

impl Config {
    /// All that converters see of a file's surroundings: what its route says, and `station` and `location` of the instance where the route says
    /// nothing else; sorted by name.
    pub fn attributes_for(&self, route: &Route, relative_path: &str) -> Vec<(String, String)> {
        let mut attributes = route.context_for(relative_path);
        for (name, value) in [("station", &self.station), ("location", &self.location)] {
            if !value.is_empty() {
                attributes.entry(name.into()).or_insert_with(|| value.clone());
            }
        }
        attributes.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_are_filled_in() {
        let cases = [
            ("Line 3", "a.csv", "Line 3"),
            ("{dir1}", "st1/a.csv", "st1"),
            ("{dir1}", "a.csv", ""),
            ("{dir2}-{dir1}", "x/y/z/a.csv", "y-x"),
            ("Line {dir2}", "x/a.csv", "Line "),
            ("{file} {stem}", "x/a.b.csv", "a.b.csv a.b"),
            ("{stem}", "Makefile", "Makefile"),
            ("{stem}", ".profile", ".profile"),
            ("{{dir1}} {{{dir1}}}", "x/a", "{dir1} {x}"),
            ("", "x/a", ""),
            ("é{dir1}ø", "å/a", "éåø"),
            ("{dir12}", "x/a", ""),
        ];
        for (template, path, expected) in cases {
            assert_eq!(Template::parse(template).unwrap().resolve(path), expected, "{template} for {path}");
        }
    }

    #[test]
    fn what_is_no_template_is_said() {
        let cases = [
            ("{dir0}", "there is no part `{dir0}`; write {dir1}, {dir2}, …, {file} or {stem}, and {{ or }} for a brace"),
            ("{dir}", "there is no part `{dir}`; write {dir1}, {dir2}, …, {file} or {stem}, and {{ or }} for a brace"),
            ("{dir+1}", "there is no part `{dir+1}`; write {dir1}, {dir2}, …, {file} or {stem}, and {{ or }} for a brace"),
            ("{}", "there is no part `{}`; write {dir1}, {dir2}, …, {file} or {stem}, and {{ or }} for a brace"),
            ("{dir1", "`{dir1` has a brace without its counterpart; write {{ or }} for a brace"),
            ("a}", "`a}` has a brace without its counterpart; write {{ or }} for a brace"),
        ];
        for (template, expected) in cases {
            assert_eq!(Template::parse(template).unwrap_err().to_string(), expected, "{template}");
        }
    }

    #[test]
    fn a_routes_attributes_are_its_context_its_name_and_its_zone() {
        let mut route = Route::new("ict", "in", "out");
        route.context = [("station", "{dir1}"), ("location", "Line 3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let attributes = |path: &str, route: &Route| route.context_for(path).into_iter().collect::<Vec<_>>();
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(attributes("st1/a.csv", &route), [pair("location", "Line 3"), pair("route", "ict"), pair("station", "st1")]);
        route.timezone = Some("Europe/Oslo".into());
        assert_eq!(attributes("a.csv", &route), [pair("location", "Line 3"), pair("route", "ict"), pair("timezone", "Europe/Oslo")]);
    }
}
