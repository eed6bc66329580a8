//! The converter, compiled natively, from a file to a file: what `cargo xtask bench` compares the sandbox with.

use std::path::Path;
use std::process::ExitCode;

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::convert_file;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        eprintln!("usage: native IN.csv OUT.jsonl");
        return ExitCode::from(2);
    };
    match convert_file::<Csv>(Path::new(input), serde_json::json!({}), Path::new(output)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{input}: {error}");
            ExitCode::FAILURE
        }
    }
}
