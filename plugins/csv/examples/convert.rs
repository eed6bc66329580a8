//! Converts a file natively, without sandbox: `convert FILE [OPTIONS-AS-JSON]`. The document goes to standard output; attributes,
//! problems, log and the time that it took to standard error.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::time::Instant;

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{TestInput, convert, probe};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a file to convert");
    let options = arguments.next().map_or(serde_json::json!({}), |text| serde_json::from_str(&text).expect("options as a JSON object"));
    let bytes = std::fs::read(&path).expect("a readable file");
    let size = bytes.len();
    let input = TestInput::new(path, bytes);
    eprintln!("{:?}", probe::<Csv>(input.clone()));
    let start = Instant::now();
    let run = convert::<Csv>(input, options);
    let seconds = start.elapsed().as_secs_f64();
    for line in &run.logs {
        eprintln!("{:?}: {}", line.level, line.message);
    }
    for (severity, error) in &run.problems {
        eprintln!("{severity:?}: {error}");
    }
    eprintln!("{:?}", run.result);
    for document in &run.documents {
        eprintln!("{} {:?}", document.name, document.attributes);
        std::io::stdout().write_all(&document.bytes).unwrap();
    }
    eprintln!("{size} bytes in {seconds:.3} s: {:.0} MB/s", size as f64 / seconds / 1e6);
}
