//! WSXF: the same reports as XML. Steps are written as they are read; what else a report has is little, and is kept until its element ends.

mod table;

use std::collections::BTreeMap;
use std::io::BufRead;

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{Aside, Facts, MEDIA_TYPE};
use dropforge_xml::{Element, Place, Source, Text, Token, Xml};
use serde_json::{Map, Value};

use crate::wsjf::set_attributes;
use table::Table;

/// The longest text: an attachment.
const MAX_TEXT_BYTES: usize = 32 << 20;
/// The most characters of a text in the header.
const MAX_HEADER: usize = 100;
/// How many kinds of things that WSJF has no place for are told of one by one.
const MAX_UNKNOWN: usize = 50;

/// Whether these are the first elements of reports in WSXF.
pub(crate) fn is_wsxf(first: &Element, second: Option<&Element>) -> bool {
    let report = |element: &Element| {
        let has = |name: &str| element.attributes.iter().any(|(key, _)| key == name);
        element.name == "Report" && has("type") && has("SN")
    };
    report(first) || first.name == "Reports" && second.is_some_and(report)
}

/// Reads all reports of a file, and writes each.
///
/// # Errors
/// What the host fails with; the first error of a file without reports.
pub(crate) fn convert(input: &mut Input, output: &mut Output) -> Result<Outcome> {
    let name = input.name();
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let mut reports = Reports { stem, begun: 0, keys: BTreeMap::new(), unknown: BTreeMap::new() };
    let mut aside = Aside::default();
    let mut xml = Xml::new(Source::open(input)?);
    // What breaks the XML breaks all that follows; what was whole before has its report.
    let read = reports.all(&mut xml, &mut aside, output);
    aside.set_aside(output, read)?;
    if aside.nothing_yet() {
        return Err(Error::missing_field("there is no <Report>").code("empty").line(1));
    }
    for (what, (count, place)) in reports.unknown {
        let message = format!("WSJF has no place for {what}, which comes {count} times: it is left out");
        output.warn(place.of(Error::unsupported(message).code("unknown")))?;
    }
    aside.conclude(output)
}

struct Reports<'n> {
    stem: &'n str,
    begun: u32,
    /// Keys that were given, with how often.
    keys: BTreeMap<String, u32>,
    /// What WSJF has no place for, with how often it came, and where first.
    unknown: BTreeMap<String, (u64, Place)>,
}

/// What is read of a report besides its steps.
#[derive(Default)]
struct Rest {
    header: Map<String, Value>,
    uut: Option<Map<String, Value>>,
    misc: Vec<Value>,
    sub_units: Vec<Value>,
    assets: Vec<Value>,
}

impl Reports<'_> {
    fn all<R: BufRead>(&mut self, xml: &mut Xml<R>, aside: &mut Aside, output: &mut Output) -> Result<()> {
        loop {
            match xml.next(&mut Text::ignored())? {
                Token::Start(element) if element.name == "Report" => {
                    let depth = xml.depth();
                    let written = self.one(xml, &element, output);
                    if written.is_ok() {
                        aside.finished();
                    } else if xml.leave(depth).is_err() {
                        // It was the XML, or that is broken too: there is no going on.
                        return written;
                    }
                    aside.set_aside(output, written)?;
                }
                Token::Start(element) if element.name == "Reports" => {}
                Token::Start(element) => {
                    self.note(format!("<{}>", element.name), element.place);
                    xml.skip()?;
                }
                Token::End => {}
                Token::Eof => return Ok(()),
            }
        }
    }

    fn one<R: BufRead>(&mut self, xml: &mut Xml<R>, element: &Element, output: &mut Output) -> Result<()> {
        let mut rest = Rest { header: self.fields(element, table::REPORT)?, ..Rest::default() };
        let place = |error: Error| if error.at.is_some() { error } else { element.place.of(error) };
        match rest.header.get("type").and_then(Value::as_str) {
            Some("UUT") => drop(rest.header.insert("type".into(), "T".into())),
            Some("UUR") => {
                let message = "a report of a repair: what is wrong is said in it by ids that only the server knows; send repairs as WSJF";
                return Err(place(Error::unsupported(message).code("repair")));
            }
            other => {
                let message = format!("the type of the report is `{}`, and may be UUT", other.unwrap_or_default());
                return Err(place(Error::validation(message).code("value")));
            }
        }
        self.begun += 1;
        let mut document = output.document(MEDIA_TYPE, &format!("{}.{}.wsjf.json", self.stem, self.begun))?;
        document.write_all(b"{\"root\":")?;
        let mut root = false;
        while let Token::Start(child) = xml.next(&mut Text::ignored())? {
            match child.name.as_str() {
                "Step" if root => return Err(child.place.of(Error::unsupported("a report with two outermost steps").code("steps"))),
                "Step" => {
                    self.step(xml, &child, &mut document)?;
                    root = true;
                }
                "Process" => {
                    rest.header.extend(self.fields(&child, table::PROCESS)?);
                    xml.skip()?;
                }
                "UUT" => rest.uut = Some(self.with_text(xml, &child, table::UUT, "Comment", "comment")?),
                "MiscInfo" => {
                    let mut misc = self.fields(&child, table::MISC)?;
                    let text = self.text(xml)?;
                    if !text.is_empty() {
                        misc.insert("text".into(), text.into());
                    }
                    rest.misc.push(misc.into());
                }
                "ReportUnitHierarchy" => rest.sub_units.push(self.leaf(xml, &child, table::SUB_UNIT)?),
                "Assets" => {
                    while let Token::Start(asset) = xml.next(&mut Text::ignored())? {
                        if asset.name == "Asset" {
                            rest.assets.push(self.leaf(xml, &asset, table::ASSET)?);
                        } else {
                            self.leave_out(xml, &asset)?;
                        }
                    }
                }
                "Asset" => rest.assets.push(self.leaf(xml, &child, table::ASSET)?),
                _ => self.leave_out(xml, &child)?,
            }
        }
        if !root {
            return Err(place(Error::missing_field("the report has no steps").code("steps")));
        }
        let facts = rest.facts().map_err(place)?;
        rest.write(&mut document)?;
        let key = format!("{}@{}", facts.serial, facts.start);
        let count = self.keys.entry(key.clone()).or_default();
        *count += 1;
        document.set_key(&if *count == 1 { key } else { format!("{key}#{count}") })?;
        set_attributes(&mut document, &facts)?;
        document.finish()
    }

    /// Writes a step, whose element was begun.
    fn step<R: BufRead>(&mut self, xml: &mut Xml<R>, element: &Element, out: &mut Document) -> Result<()> {
        let fields = self.fields(element, table::STEP)?;
        let mut late: Map<String, Value> = Map::new();
        out.write_all(b"{")?;
        write_entries(out, &fields, true)?;
        let mut inside = false;
        while let Token::Start(child) = xml.next(&mut Text::ignored())? {
            let (key, table, several) = match child.name.as_str() {
                "Step" => {
                    out.write_all(match (inside, fields.is_empty()) {
                        (true, _) => b",",
                        (false, false) => b",\"steps\":[",
                        (false, true) => b"\"steps\":[",
                    })?;
                    inside = true;
                    self.step(xml, &child, out)?;
                    continue;
                }
                "ReportText" => {
                    late.insert("reportText".into(), self.text(xml)?.into());
                    continue;
                }
                "Chart" => {
                    late.insert("chart".into(), self.chart(xml, &child)?.into());
                    continue;
                }
                "Attachment" => {
                    let mut attachment = self.fields(&child, table::ATTACHMENT)?;
                    let data: String = self.text(xml)?.split_whitespace().collect();
                    attachment.insert("data".into(), data.into());
                    late.insert("attachment".into(), attachment.into());
                    continue;
                }
                "NumericLimit" => ("numericMeas", table::NUMERIC, true),
                "PassFail" => ("booleanMeas", table::PASS_FAIL, true),
                "StringValue" => ("stringMeas", table::STRING, true),
                "SequenceCall" => ("seqCall", table::SEQUENCE_CALL, false),
                "Loop" => ("loop", table::LOOP, false),
                "MessagePopup" => ("messagePopup", table::MESSAGE, false),
                "Callexe" => ("callExe", table::CALL_EXE, false),
                _ => {
                    self.leave_out(xml, &child)?;
                    continue;
                }
            };
            if key == "seqCall" {
                self.file_name(&child);
            }
            let value = self.leaf(xml, &child, table)?;
            if !several {
                late.insert(key.into(), value);
            } else if let Value::Array(all) = late.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
                all.push(value);
            }
        }
        if inside {
            out.write_all(b"]")?;
        }
        write_entries(out, &late, fields.is_empty() && !inside)?;
        Ok(out.write_all(b"}")?)
    }

    /// A sequence's file has a name and a path, of which WSJF has the path. Where that does not end with the name, the name is left out.
    fn file_name(&mut self, call: &Element) {
        let get = |name: &str| call.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        if !get("Filepath").ends_with(get("Filename")) {
            self.note("SequenceCall/@Filename, where the path does not end with it".into(), call.place);
        }
    }

    fn chart<R: BufRead>(&mut self, xml: &mut Xml<R>, element: &Element) -> Result<Map<String, Value>> {
        let mut chart = self.fields(element, table::CHART)?;
        let mut all = Vec::new();
        while let Token::Start(child) = xml.next(&mut Text::ignored())? {
            if child.name != "Series" {
                self.leave_out(xml, &child)?;
                continue;
            }
            let mut series = self.fields(&child, table::SERIES)?;
            while let Token::Start(points) = xml.next(&mut Text::ignored())? {
                match points.name.as_str() {
                    "xdata" | "ydata" => drop(series.insert(points.name.clone(), self.text(xml)?.into())),
                    _ => self.leave_out(xml, &points)?,
                }
            }
            all.push(Value::from(series));
        }
        chart.insert("series".into(), all.into());
        Ok(chart)
    }

    /// The fields of an element that has nothing but attributes.
    fn leaf<R: BufRead>(&mut self, xml: &mut Xml<R>, element: &Element, table: Table) -> Result<Value> {
        let fields = self.fields(element, table)?;
        while let Token::Start(child) = xml.next(&mut Text::ignored())? {
            self.leave_out(xml, &child)?;
        }
        Ok(fields.into())
    }

    /// The fields of an element, with the text of one that is in it.
    fn with_text<R: BufRead>(
        &mut self,
        xml: &mut Xml<R>,
        element: &Element,
        table: Table,
        name: &str,
        key: &str,
    ) -> Result<Map<String, Value>> {
        let mut fields = self.fields(element, table)?;
        while let Token::Start(child) = xml.next(&mut Text::ignored())? {
            if child.name == name {
                fields.insert(key.into(), self.text(xml)?.into());
            } else {
                self.leave_out(xml, &child)?;
            }
        }
        Ok(fields)
    }

    fn text<R: BufRead>(&mut self, xml: &mut Xml<R>) -> Result<String> {
        let mut text = Text::new(MAX_TEXT_BYTES);
        while let Token::Start(child) = xml.next(&mut text)? {
            self.leave_out(xml, &child)?;
        }
        Ok(text.into_string())
    }

    fn fields(&mut self, element: &Element, table: Table) -> Result<Map<String, Value>> {
        let (fields, unknown) = table::fields(element, table)?;
        for name in unknown {
            self.note(format!("{}/@{name}", element.name), element.place);
        }
        Ok(fields)
    }

    fn leave_out<R: BufRead>(&mut self, xml: &mut Xml<R>, element: &Element) -> Result<()> {
        self.note(format!("<{}>", element.name), element.place);
        xml.skip()
    }

    fn note(&mut self, what: String, place: Place) {
        if self.unknown.len() < MAX_UNKNOWN || self.unknown.contains_key(&what) {
            self.unknown.entry(what).or_insert((0, place)).0 += 1;
        }
    }
}

impl Rest {
    /// What the document says of the report; and whether the report has what it needs.
    fn facts(&self) -> Result<Facts> {
        let get = |key: &str| self.header.get(key).and_then(Value::as_str).unwrap_or_default();
        const TEXTS: [&str; 10] = ["id", "pn", "sn", "rev", "result", "machineName", "location", "purpose", "start", "startUTC"];
        let mut missing: Vec<&str> = TEXTS.into_iter().filter(|key| get(key).is_empty()).collect();
        missing.extend((!self.header.contains_key("processCode")).then_some("processCode"));
        missing.extend(self.uut.is_none().then_some("uut"));
        if !missing.is_empty() {
            return Err(Error::missing_field(format!("the report lacks {}", missing.join(", "))).code("header"));
        }
        if let Some(key) = TEXTS.into_iter().find(|key| get(key).chars().count() > MAX_HEADER) {
            let message = format!("`{key}` has {} characters, and a report allows {MAX_HEADER}", get(key).chars().count());
            return Err(Error::validation(message).code("too_long"));
        }
        let mut facts = Facts::default();
        for (key, field) in [
            ("id", &mut facts.id),
            ("type", &mut facts.kind),
            ("sn", &mut facts.serial),
            ("start", &mut facts.start),
            ("machineName", &mut facts.station),
            ("result", &mut facts.result),
        ] {
            *field = get(key).to_owned();
        }
        Ok(facts)
    }

    fn write(mut self, out: &mut Document) -> Result<()> {
        self.header.insert("uut".into(), self.uut.unwrap_or_default().into());
        for (key, all) in [("miscInfos", self.misc), ("subUnits", self.sub_units), ("assets", self.assets)] {
            self.header.insert(key.into(), all.into());
        }
        write_entries(out, &self.header, false)?;
        Ok(out.write_all(b"}")?)
    }
}

/// Writes entries of an object that is open.
fn write_entries(out: &mut Document, entries: &Map<String, Value>, mut first: bool) -> Result<()> {
    for (key, value) in entries {
        if !std::mem::take(&mut first) {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, key)?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut *out, value)?;
    }
    Ok(())
}
