//! Files of stations that the converters of reports are tested with, and routes for them. What comes of each is in `tests/data/golden/`.

use std::fs;
use std::path::Path;

/// A converter, its file below `tests/data`, and how many reports come of it.
pub const FILES: [(&str, &str, usize); 13] = [
    ("csv", "csv-reports/three-runs.csv", 4),
    ("gr228x", "gr228x/43420_BIO2_Extended.LOG", 3),
    ("klippel", "klippel/DUT xyz115 2020-05-14 10-01-37-5 UTC+0200.txt", 1),
    ("listen", "listen/three-units.txt", 3),
    ("spea", "spea/three-runs.csv", 3),
    ("stdf", "stdf/small.stdf", 4),
    ("takaya", "takaya/small.ATD", 3),
    ("takaya", "takaya/attempts.atdx", 4),
    ("teststand", "teststand/three-units.xml", 3),
    ("wats", "wats/new_report_example.json", 1),
    ("wats", "wats/three-units.wstf.txt", 3),
    ("wats", "wats/uut-wsxf-export.xml", 1),
    ("xjtag", "xjtag/demonstration.xjlog", 6),
];

/// The converters of [`FILES`], each once.
pub fn converters() -> Vec<&'static str> {
    let mut converters: Vec<&str> = FILES.iter().map(|(converter, ..)| *converter).collect();
    converters.dedup();
    converters
}

/// The name of a file of [`FILES`] without its folder.
pub fn name_of(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Puts into an inbox what belongs to a file of [`FILES`]: the folder of its name without the extension, where there is one.
///
/// # Errors
/// Where that cannot be copied.
pub fn put_members(inbox: &Path, file: &str) -> std::io::Result<()> {
    let folder = crate::data(file).with_extension("");
    if !folder.is_dir() {
        return Ok(());
    }
    let into = inbox.join(folder.file_name().unwrap_or_default());
    fs::create_dir_all(&into)?;
    for member in fs::read_dir(folder)? {
        let member = member?;
        fs::copy(member.path(), into.join(member.file_name()))?;
    }
    Ok(())
}

/// A route from a folder of the converter's name, as TOML.
pub fn route(converter: &str, destination: &str, more: &str) -> String {
    // What is a report already says all of it itself, and so does a guest of the tests.
    let says_all = ["wats", "misbehave"].contains(&converter);
    let report = if converter == "csv" { "output = 'report', " } else { "" };
    let options = if says_all { "{}".into() } else { format!("{{ {report}part_number = 'PN-1', revision = 'A', operation_code = 10 }}") };
    // A header whose tables are in a folder beside it.
    let members = if converter == "klippel" { ", include = ['DUT *.txt'], members = ['{stem}/**'], quiet_seconds = 0.5" } else { "" };
    format!(
        "[[routes]]\nname = '{converter}'\nconverter = '{converter}'\ntimezone = 'Europe/Oslo'\n\
         context = {{ station = 'ST-1', location = 'Line 1', purpose = 'Test', operator = 'Somebody' }}\n\
         intake = {{ path = '{{dir}}/{converter}', create = true{members} }}\noptions = {options}\ndestinations = [{destination}]\n{more}\n"
    )
}
