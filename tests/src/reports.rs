//! Files of stations that the converters of reports are tested with, and routes for them. What comes of each is in `tests/data/golden/`.

/// A converter, its file below `tests/data`, and how many reports come of it.
pub const FILES: [(&str, &str, usize); 8] = [
    ("gr228x", "gr228x/43420_BIO2_Extended.LOG", 3),
    ("listen", "listen/three-units.txt", 3),
    ("spea", "spea/three-runs.csv", 3),
    ("stdf", "stdf/small.stdf", 4),
    ("takaya", "takaya/small.ATD", 3),
    ("teststand", "teststand/three-units.xml", 3),
    ("wats", "wats/uut-wsjf-export.json", 1),
    ("xjtag", "xjtag/demonstration.xjlog", 6),
];

/// The name of a file of [`FILES`] without its folder.
pub fn name_of(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// A route from a folder of the converter's name, as TOML.
pub fn route(converter: &str, destination: &str, more: &str) -> String {
    // What is a report already says all of it itself, and so does a guest of the tests.
    let says_all = ["wats", "misbehave"].contains(&converter);
    let options = if says_all { "{}" } else { "{ part_number = 'PN-1', revision = 'A', operation_code = 10 }" };
    format!(
        "[[routes]]\nname = '{converter}'\nconverter = '{converter}'\ntimezone = 'Europe/Oslo'\n\
         context = {{ station = 'ST-1', location = 'Line 1', purpose = 'Test', operator = 'Somebody' }}\n\
         intake = {{ path = '{{dir}}/{converter}', create = true }}\noptions = {options}\ndestinations = [{destination}]\n{more}\n"
    )
}
