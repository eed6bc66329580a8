//! The converter `xjtag`: logs of XJTAG's test runner, one report for each run. `docs/converters/xjtag.md` says what goes where.

mod archive;
mod function;
mod html;
mod run;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, ReportOptions, Reporter};
use dropforge_xml::{Source, Text, Token, Xml};

use archive::{Archive, Entry};

/// The converter.
pub struct Xjtag;

/// How XJTAG writes times: as .NET's round trip has them.
const DATES: &str = "yyyy-MM-ddTHH:mm:ss.fffffffzzz";
/// The entry that says what the archive holds.
const INFO: &str = "Info.xml";
/// The longest text in it. Paths are the longest.
const MAX_INFO_BYTES: usize = 32 << 10;

impl Converter for Xjtag {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("xjtag", env!("CARGO_PKG_VERSION"), "Logs of XJTAG's test runner (xjlog, XML) to one test report for each run")
            .patterns(["*.xjlog", "*.xml"])
            .reads(["application/zip", "application/xml", "text/xml"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        match archive::first_name(input) {
            Ok(Some(name)) if name == INFO || run_number(&name).is_some() => {
                return Probe::new(95, "a zip archive that begins with a run, as XJTAG has them");
            }
            Ok(Some(_)) | Err(_) => return Probe::no("a zip archive that does not begin with a run"),
            Ok(None) => {}
        }
        let Ok(mut xml) = Source::open(input).map(Xml::new) else { return Probe::no("no XML") };
        match xml.next(&mut Text::ignored()) {
            Ok(Token::Start(root)) if root.name == "testrun" && root.attributes.iter().any(|(name, _)| name == "datetime") => {
                Probe::new(92, "the root element is <testrun>, with its time")
            }
            _ => Probe::no("neither a zip archive nor a <testrun>"),
        }
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let dates = options.dates(DATES)?;
        if archive::first_name(input)?.is_none() {
            let written = run::one(Xml::new(Source::open(input)?), None, &dates, &mut reports, output);
            reports.set_aside(output, written)?;
            return reports.conclude(output);
        }
        let archive = Archive::open(input)?;
        let mut runs: Vec<(u32, &Entry)> = archive.entries.iter().filter_map(|entry| Some((run_number(&entry.name)?, entry))).collect();
        runs.sort_by_key(|(number, _)| *number);
        let info = match archive.entries.iter().find(|entry| entry.name == INFO) {
            Some(entry) => Info::read(input, entry).map_err(|error| entry.place(error))?,
            None => Info::default(),
        };
        for (_, entry) in &runs {
            let written = archive::unpack(input, entry)
                .and_then(Source::open)
                .and_then(|source| run::one(Xml::new(source), info.project.as_deref(), &dates, &mut reports, output));
            reports.set_aside(output, written.map_err(|error| entry.place(error)))?;
        }
        if info.runs.is_some_and(|count| count != runs.len()) || runs.is_empty() {
            let said = info.runs.map_or(String::new(), |count| format!(", where {INFO} says {count}"));
            let message = format!("the archive has {} runs{said}", runs.len());
            reports.set_aside(output, Err(Error::missing_field(message).code("runs").offset(archive.directory)))?;
        }
        reports.conclude(output)
    }
}

/// The number of a run, where an entry is one: `Run 1.xml`.
fn run_number(name: &str) -> Option<u32> {
    name.strip_prefix("Run ")?.strip_suffix(".xml")?.parse().ok()
}

/// What `Info.xml` says.
#[derive(Default)]
struct Info {
    project: Option<String>,
    runs: Option<usize>,
}

impl Info {
    fn read(input: &mut Input, entry: &Entry) -> Result<Info> {
        let mut xml = Xml::new(Source::open(archive::unpack(input, entry)?)?);
        let mut info = Info::default();
        loop {
            match xml.next(&mut Text::ignored())? {
                Token::Start(element) if element.name == "ProjectPath" => info.project = run::text(&mut xml, MAX_INFO_BYTES)?,
                Token::Start(element) if element.name == "TestRunCount" => {
                    info.runs = run::text(&mut xml, MAX_INFO_BYTES)?.and_then(|text| text.parse().ok());
                }
                Token::Start(_) | Token::End => {}
                Token::Eof => return Ok(info),
            }
        }
    }
}

dropforge_sdk::export!(Xjtag);
