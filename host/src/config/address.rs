//! Where a document goes: file names, URLs and object keys with named parts of the document and of its source.

use super::braces;

/// A text with named parts, such as `reports/{context.station}/{report_id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part { part: Part, otherwise: Option<String> },
}

/// A named part of a document or of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `{route}`: the route's name.
    Route,
    /// `{file}`: the source's name.
    File,
    /// `{stem}`: the source's name without its extension.
    Stem,
    /// `{dir1}`, `{dir2}`, …: the folders below the intake's that the source was in, from 1.
    Dir(usize),
    /// `{date}`: the UTC day of the conversion, as `2026-11-22`.
    Date,
    /// `{job}`: the job's id.
    Job,
    /// `{id}`: the document's id.
    Id,
    /// `{short_id}`: the first 16 digits of the document's id.
    ShortId,
    /// `{report_id}`: the id that stays when the same source is converted again.
    ReportId,
    /// `{key}`: what the converter says the document is about.
    Key,
    /// `{name}`: the name that the converter suggests.
    Name,
    /// `{unique_name}`: that name with the short id before its extension.
    UniqueName,
    /// `{number}`: the document's number among those of its source, from 0.
    Number,
    /// `{attribute.NAME}`: an attribute of the document.
    Attribute(String),
    /// `{context.NAME}`: an attribute of the source.
    Context(String),
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The part has no meaning.
    #[error(
        "there is no part `{{{0}}}`; there are {{name}}, {{unique_name}}, {{id}}, {{short_id}}, {{report_id}}, {{key}}, {{number}}, \
         {{attribute.NAME}}, {{route}}, {{file}}, {{stem}}, {{dir1}}, {{date}}, {{job}} and {{context.NAME}}, and {{{{ or }}}} for a brace"
    )]
    Unknown(String),
    /// A brace has no counterpart.
    #[error("`{0}` has a brace without its counterpart; write {{{{ or }}}} for a brace")]
    Unbalanced(String),
}

/// A document does not have a part that its address names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names {{{1}}}, which this document does not have; write {{{1}|TEXT}} with what is to stand there instead")]
pub struct MissingPart(String, String);

impl Address {
    /// Parses an address. `{part|text}` stands for `text` where a document does not have the part.
    ///
    /// # Errors
    /// A part without a meaning, or a brace without its counterpart.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let pieces = braces::pieces(text).ok_or_else(|| AddressError::Unbalanced(text.into()))?;
        let piece = |piece| match piece {
            braces::Piece::Text(text) => Ok(Piece::Text(text)),
            braces::Piece::Part(inside) => {
                let (name, otherwise) = match inside.split_once('|') {
                    Some((name, otherwise)) => (name, Some(otherwise.to_string())),
                    None => (inside, None),
                };
                let part = Part::named(name).ok_or_else(|| AddressError::Unknown(name.into()))?;
                Ok(Piece::Part { part, otherwise })
            }
        };
        let pieces = pieces.into_iter().map(piece).collect::<Result<_, _>>()?;
        Ok(Address { pieces })
    }

    /// The address of a document: `value` gives its parts, `escape` makes them fit for the place. What the address itself says is not escaped.
    ///
    /// # Errors
    /// A part that the document does not have, or has empty, and that the address has no other text for.
    pub fn fill(&self, value: impl Fn(&Part) -> Option<String>, escape: impl Fn(&str) -> String) -> Result<String, MissingPart> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Part { part, otherwise } => match value(part).filter(|value| !value.is_empty()).as_ref().or(otherwise.as_ref()) {
                    Some(value) => filled.push_str(&escape(value)),
                    None => return Err(MissingPart(self.to_string(), part.name())),
                },
            }
        }
        Ok(filled)
    }

    /// Whether no two documents have this address, but for a document and its later version.
    pub fn tells_documents_apart(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Part { part: Part::Id | Part::ShortId | Part::ReportId | Part::UniqueName, .. }))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Part { part, .. } => write!(f, "{{{}}}", part.name()),
        })
    }
}

impl Part {
    const PLAIN: [(&str, Part); 12] = [
        ("route", Part::Route),
        ("file", Part::File),
        ("stem", Part::Stem),
        ("date", Part::Date),
        ("job", Part::Job),
        ("id", Part::Id),
        ("short_id", Part::ShortId),
        ("report_id", Part::ReportId),
        ("key", Part::Key),
        ("name", Part::Name),
        ("unique_name", Part::UniqueName),
        ("number", Part::Number),
    ];

    fn named(name: &str) -> Option<Part> {
        if let Some((_, part)) = Part::PLAIN.into_iter().find(|(plain, _)| *plain == name) {
            return Some(part);
        }
        let of = |prefix: &str| name.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        if let Some(attribute) = of("attribute.") {
            return Some(Part::Attribute(attribute.into()));
        }
        if let Some(context) = of("context.") {
            return Some(Part::Context(context.into()));
        }
        let digits = of("dir").filter(|digits| digits.chars().all(|c| c.is_ascii_digit()))?;
        digits.parse().ok().filter(|depth| *depth >= 1).map(Part::Dir)
    }

    fn name(&self) -> String {
        match self {
            Part::Dir(depth) => format!("dir{depth}"),
            Part::Attribute(name) => format!("attribute.{name}"),
            Part::Context(name) => format!("context.{name}"),
            plain => Part::PLAIN.iter().find(|(_, part)| part == plain).map(|(name, _)| (*name).to_string()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, MissingPart> {
        let value = |part: &Part| match part {
            Part::Name => Some("a b".to_string()),
            Part::Attribute(name) => (name == "serial").then(|| "7".into()),
            Part::Dir(depth) => (*depth == 1).then(|| "st1".into()),
            Part::Key => Some(String::new()),
            other => Some(format!("<{}>", other.name())),
        };
        Address::parse(text).unwrap().fill(value, |text| text.replace(' ', "%20"))
    }

    #[test]
    fn parts_are_filled_in_and_escaped_and_the_rest_is_not() {
        let cases = [
            ("", ""),
            ("a b/{name}", "a b/a%20b"),
            ("{{{id}}}", "{<id>}"),
            ("{dir1}/{attribute.serial}/{attribute.other|none such}", "st1/7/none%20such"),
            ("{key|x}{route}{context.station}", "x<route><context.station>"),
        ];
        for (text, expected) in cases {
            assert_eq!(fill(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_a_document_does_not_have_is_said() {
        let message = "`u/{attribute.other}/{id}` names {attribute.other}, which this document does not have; write {attribute.other|TEXT} \
                       with what is to stand there instead";
        assert_eq!(fill("u/{attribute.other}/{id}").unwrap_err().to_string(), message);
        assert!(fill("{key}").is_err() && fill("{dir2}").is_err());
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (text, part) in [("{serial}", "serial"), ("{attribute.}", "attribute."), ("{dir0}", "dir0"), ("{}", "")] {
            assert_eq!(Address::parse(text), Err(AddressError::Unknown(part.into())), "{text}");
        }
        for text in ["{id", "a}"] {
            assert_eq!(Address::parse(text), Err(AddressError::Unbalanced(text.into())));
        }
    }

    #[test]
    fn an_address_tells_documents_apart_by_an_id() {
        for (text, expected) in [("{id}", true), ("a/{unique_name}", true), ("{report_id}", true), ("{name}", false), ("{key}", false)] {
            assert_eq!(Address::parse(text).unwrap().tells_documents_apart(), expected, "{text}");
        }
    }
}
