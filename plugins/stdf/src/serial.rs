//! How a part's serial number is made. Many testers count parts within a wafer or a lot; what tells them apart beyond that is the user's to say.

use dropforge_sdk::{Error, Result};

/// Texts and the names of facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Fact(String),
}

/// What a serial number may be made of.
const FACTS: [&str; 6] = ["part", "lot", "sublot", "wafer", "x", "y"];

impl Template {
    /// Reads the option.
    ///
    /// # Errors
    /// `Validation` for braces that do not pair, and for an unknown name.
    pub fn new(option: Option<&str>) -> Result<Self> {
        let wrong = |what: String| {
            let known = FACTS.map(|fact| format!("{{{fact}}}")).join(", ");
            Error::validation(format!("option `serial`: {what}; there are {known}")).code("options")
        };
        let mut rest = option.unwrap_or("{part}");
        let mut pieces = Vec::new();
        while let Some((text, after)) = rest.split_once('{') {
            let (fact, behind) = after.split_once('}').ok_or_else(|| wrong("a brace does not close".into()))?;
            if !FACTS.contains(&fact) {
                return Err(wrong(format!("`{{{fact}}}` is not known")));
            }
            pieces.extend([Piece::Text(text.into()), Piece::Fact(fact.into())]);
            rest = behind;
        }
        pieces.push(Piece::Text(rest.into()));
        if !pieces.iter().any(|piece| matches!(piece, Piece::Fact(_))) {
            return Err(wrong("without any name all parts would have the same".into()));
        }
        Ok(Template(pieces))
    }

    /// The serial number of a part, of which `fact` knows what the file says.
    ///
    /// # Errors
    /// `MissingField` for a fact that the file does not say.
    pub fn fill(&self, fact: impl Fn(&str) -> Option<String>) -> Result<String> {
        let mut serial = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => serial.push_str(text),
                Piece::Fact(name) => {
                    let message =
                        || format!("the file does not say `{{{name}}}`: make serial numbers of something else with the option `serial`");
                    serial.push_str(&fact(name).ok_or_else(|| Error::missing_field(message()).code("serial"))?);
                }
            }
        }
        Ok(serial)
    }
}
