//! A converter that looks up what its input says, one path a line with `name=value` parameters after it, and writes a line for each answer.
//! It tries the same in `describe` and `probe`, where nothing may be looked up: the description and the reason hold what came of it.

wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "dropforge:converter/plugin-with-lookup" });

use dropforge::converter::io::{Input, create_document};
use dropforge::converter::lookup::{LookupError, get};
use exports::dropforge::converter::converter::{ConversionError, Descriptor, Guest, Outcome, ProbeResult};

struct LookupGuest;
export!(LookupGuest);

impl Guest for LookupGuest {
    fn describe() -> Descriptor {
        Descriptor {
            name: "lookup-guest".into(),
            version: "0.1.0".into(),
            description: answer("/"),
            patterns: vec!["*.lookup".into()],
            media_types_in: Vec::new(),
            media_types_out: Vec::new(),
            options_schema: String::new(),
            metrics: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn probe(input: &Input) -> ProbeResult {
        ProbeResult { confidence: if input.name().ends_with(".lookup") { 90 } else { 0 }, reason: answer("/") }
    }

    fn convert(input: &Input, _: String) -> Result<Outcome, ConversionError> {
        let script = String::from_utf8(input.read(1 << 20).unwrap()).unwrap();
        let document = create_document("text/plain", "answers.txt").unwrap();
        for line in script.lines() {
            document.write(format!("{}\n", answer(line)).as_bytes()).unwrap();
        }
        document.finish().unwrap();
        Ok(Outcome::Converted)
    }
}

fn answer(line: &str) -> String {
    let mut parts = line.split(' ');
    let path = parts.next().unwrap_or_default();
    let query: Vec<(String, String)> =
        parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    match get(path, &query) {
        Ok(response) => {
            let shown = if response.body.len() > 100 { format!("{} bytes", response.body.len()) } else { text(&response.body) };
            format!("{} {} {shown}", response.status, response.media_type)
        }
        Err(LookupError::Denied(text)) => format!("denied: {text}"),
        Err(LookupError::Budget(text)) => format!("budget: {text}"),
        Err(LookupError::Unavailable(text)) => format!("unavailable: {text}"),
        Err(LookupError::Other(text)) => format!("other: {text}"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
