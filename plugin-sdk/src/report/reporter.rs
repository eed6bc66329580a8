//! Makes a document of every unit of an input: the frame around the steps.

use std::collections::BTreeMap;
use std::io::Write;

use super::json::{self, Fields};
use super::lengths::{self, Texts};
use super::steps::{Steps, Writer};
use super::unit::{Asset, Failure, Misc, Repair, SubUnit, Unit};
use super::{Aside, Clock, MEDIA_TYPE, Mode, Moment, ReportOptions, Status, Verdict};
use crate::text::{DecimalSign, Line, Lines};
use crate::{Error, Input, Outcome, Output, Result};

/// What the outermost step is called in every report.
const ROOT: &str = "MainSequence Callback";
/// The operation code of repairs that name none.
const REPAIR: u32 = 500;

/// Writes the reports of one input.
pub struct Reporter {
    options: ReportOptions,
    clock: Clock,
    /// Attributes of the context.
    station: Option<String>,
    operator: Option<String>,
    location: Option<String>,
    purpose: Option<String>,
    path: String,
    stem: String,
    /// Keys that were given, with how often.
    keys: BTreeMap<String, u32>,
    begun: u32,
    aside: Aside,
}

/// The header of a report, complete.
struct Header<'h> {
    serial: &'h str,
    part_number: &'h str,
    revision: &'h str,
    operation_code: u32,
    station: &'h str,
    location: &'h str,
    purpose: &'h str,
    start: Moment,
}

impl Reporter {
    /// For one input, with its options and context.
    ///
    /// # Errors
    /// `Validation` for a time zone that there is not.
    pub fn open(input: &Input, options: &ReportOptions) -> Result<Self> {
        let attribute = |name: &str| input.attribute(name).filter(|value| !value.is_empty());
        let name = input.name();
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        Ok(Reporter {
            options: options.clone(),
            clock: Clock::open(input, options)?,
            station: attribute("station"),
            operator: attribute("operator"),
            location: attribute("location"),
            purpose: attribute("purpose"),
            path: input.path(),
            stem: if stem.is_empty() { name.clone() } else { stem.into() },
            keys: BTreeMap::new(),
            begun: 0,
            aside: Aside::default(),
        })
    }

    /// Makes points in time of what the file says.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What parts the whole number from its fraction.
    pub fn decimal_sign(&self) -> DecimalSign {
        self.options.decimal_sign
    }

    /// Writes one report of a test: `body` writes the steps, and gives what there is to say of the unit once all of it was read. Where it fails,
    /// there is no document; with [`Reporter::set_aside`] the others may still come.
    ///
    /// # Errors
    /// What `body` gives; `MissingField` for what a report needs and nothing says; `Validation` for texts that are too long.
    pub fn test(&mut self, output: &mut Output, body: impl FnOnce(&mut Steps<'_>) -> Result<Unit>) -> Result<()> {
        let mut writer = self.begin(output)?;
        let mut fields = Fields::open(&mut writer.document)?;
        fields.field(&mut writer.document, "type", "T")?;
        fields.key(&mut writer.document, "root")?;
        let root_id = writer.take_id();
        let mut root = Fields::open(&mut writer.document)?;
        for (key, value) in [("group", "M"), ("stepType", "SequenceCall"), ("name", ROOT)] {
            root.field(&mut writer.document, key, value)?;
        }
        root.field(&mut writer.document, "id", &root_id)?;
        root.key(&mut writer.document, "steps")?;
        writer.document.write_all(b"[")?;
        let mut steps = Steps::new(&mut writer);
        let unit = body(&mut steps)?;
        let parts = steps.status();
        if writer.broken {
            return Err(Error::internal("a step was not written, and the report went on"));
        }
        writer.document.write_all(b"]")?;
        let status = self.verdict(&mut writer, &unit, parts)?;
        self.finish_root(&mut writer, root, &unit, root_id, status)?;
        self.header(&mut writer, &mut fields, &unit, Verdict::from(status), self.options.operation_code)?;
        self.write_uut(&mut writer, &mut fields, &unit, status)?;
        self.lists(&mut writer, &mut fields, &unit)?;
        fields.key(&mut writer.document, "subUnits")?;
        let texts = &mut writer.texts;
        json::array(&mut writer.document, &unit.sub_units, |out, part| {
            let mut fields = Fields::open(out)?;
            sub_unit(out, &mut fields, texts, part)?;
            fields.close(out)
        })?;
        fields.close(&mut writer.document)?;
        self.end(output, writer)
    }

    /// Writes one report of a repair.
    ///
    /// # Errors
    /// As [`Reporter::test`].
    pub fn repair(&mut self, output: &mut Output, repair: &Repair) -> Result<()> {
        let mut writer = self.begin(output)?;
        let unit = &repair.unit;
        let mut fields = Fields::open(&mut writer.document)?;
        fields.field(&mut writer.document, "type", "R")?;
        let verdict = unit.verdict.unwrap_or(Verdict::Passed);
        self.header(&mut writer, &mut fields, unit, verdict, Some(REPAIR))?;
        fields.key(&mut writer.document, "uur")?;
        let mut uur = Fields::open(&mut writer.document)?;
        writer.text(&mut uur, "user", self.operator(unit), lengths::DEFAULT)?;
        writer.text(&mut uur, "comment", unit.comment.as_deref(), lengths::COMMENT)?;
        uur.some(&mut writer.document, "processCode", repair.test_operation_code)?;
        uur.some(&mut writer.document, "refUUT", repair.test_report.as_deref())?;
        uur.some(&mut writer.document, "confirmDate", repair.confirmed.map(|moment| moment.local()))?;
        uur.some(&mut writer.document, "finalizeDate", repair.finalized.map(|moment| moment.local()))?;
        uur.some(&mut writer.document, "execTime", unit.execution_time.filter(|time| time.is_finite()))?;
        uur.close(&mut writer.document)?;
        self.lists(&mut writer, &mut fields, unit)?;
        // The unit itself is the first of its parts, by the format's custom.
        let main = SubUnit {
            part_type: "Main".into(),
            part_number: unit.part_number.clone().or_else(|| self.options.part_number.clone()).unwrap_or_default(),
            serial: unit.serial.clone(),
            revision: unit.revision.clone().or_else(|| self.options.revision.clone()).unwrap_or_default(),
        };
        let parts: Vec<(SubUnit, Vec<Failure>)> =
            std::iter::once((main, repair.failures.clone())).chain(repair.parts.iter().cloned()).collect();
        fields.key(&mut writer.document, "subUnits")?;
        let texts = &mut writer.texts;
        let mut index = 0_u32;
        json::array(&mut writer.document, &parts, |out, (part, failures)| {
            let mut fields = Fields::open(out)?;
            sub_unit(out, &mut fields, texts, part)?;
            fields.field(out, "idx", &index)?;
            if index > 0 {
                fields.field(out, "parentIdx", &0)?;
            }
            index += 1;
            fields.key(out, "failures")?;
            json::array(out, failures, |out, failure| write_failure(out, texts, failure))?;
            fields.close(out)
        })?;
        fields.close(&mut writer.document)?;
        self.end(output, writer)
    }

    /// Reads an input in which lines begin units: `take` gets each line that is not part of a unit, and reads the unit that it begins. Where that
    /// fails, the unit is set aside, and reading goes on where `begins` says that the next one does.
    ///
    /// # Errors
    /// What reading gives, and what cannot be set aside.
    pub fn units(
        &mut self,
        lines: &mut Lines<'_, '_>,
        output: &mut Output,
        begins: impl Fn(&Line) -> bool,
        mut take: impl FnMut(&mut Self, &Line, &mut Lines<'_, '_>, &mut Output) -> Result<()>,
    ) -> Result<()> {
        loop {
            let result = match lines.next_line() {
                Ok(None) => return Ok(()),
                Ok(Some(line)) => take(self, &line, lines, output),
                Err(error) => Err(error),
            };
            if result.is_err() {
                self.set_aside(output, result)?;
                lines.skip_to(&begins)?;
            }
        }
    }

    /// Takes the result of one unit: see [`Aside::set_aside`].
    ///
    /// # Errors
    /// The error itself where going on makes no sense: the host failed.
    pub fn set_aside(&mut self, output: &mut Output, result: Result<()>) -> Result<()> {
        self.aside.set_aside(output, result)
    }

    /// Whether no unit was set aside, and none has a report either.
    pub fn nothing_yet(&self) -> bool {
        self.aside.nothing_yet()
    }

    /// Ends the conversion: see [`Aside::conclude`].
    ///
    /// # Errors
    /// The first error of an input without reports.
    pub fn conclude(self, output: &mut Output) -> Result<Outcome> {
        self.aside.conclude(output)
    }

    fn begin(&mut self, output: &mut Output) -> Result<Writer> {
        self.begun += 1;
        let name = format!("{}.{}.wsjf.json", self.stem, self.begun);
        let document = output.document(MEDIA_TYPE, &name)?;
        Ok(Writer::new(document, Texts::new(self.options.on_length), self.options.mode))
    }

    /// How the unit ended, and a warning where the file and its steps differ.
    fn verdict(&self, writer: &mut Writer, unit: &Unit, parts: Option<Status>) -> Result<Status> {
        if unit.verdict.is_none() && parts.is_none() {
            return Err(Error::missing_field("the unit has neither a result nor steps").code("result"));
        }
        let said = unit.verdict.map(Status::from);
        let status = writer.whole(said, parts);
        if let (Mode::Import, Some(said), Some(parts)) = (self.options.mode, said, parts)
            && said.is_bad() != parts.is_bad()
        {
            let message = format!(
                "the file says that `{}` ended as {}, and its steps as {}: the file's word was taken",
                unit.serial,
                said.letter(),
                parts.letter()
            );
            writer.warn(Error::validation(message).code("result_differs"));
        }
        Ok(status)
    }

    fn finish_root(&self, writer: &mut Writer, mut root: Fields, unit: &Unit, id: u32, status: Status) -> Result<()> {
        let caused = status.is_bad() && writer.cause.is_none();
        if caused {
            writer.cause = Some(id);
        }
        root.field(&mut writer.document, "status", &status)?;
        root.some(&mut writer.document, "totTime", unit.execution_time.filter(|time| time.is_finite()))?;
        root.field(&mut writer.document, "causedUUTFailure", &caused)?;
        root.key(&mut writer.document, "seqCall")?;
        let mut call = Fields::open(&mut writer.document)?;
        let name = unit.sequence_name.as_deref().or(self.options.sequence_name.as_deref()).unwrap_or(ROOT);
        let version = unit.sequence_version.as_deref().or(self.options.sequence_version.as_deref());
        writer.text(&mut call, "path", unit.sequence_path.as_deref(), lengths::PATH)?;
        writer.text(&mut call, "name", Some(name), lengths::NAME)?;
        writer.text(&mut call, "version", version, lengths::VERSION)?;
        call.close(&mut writer.document)?;
        root.close(&mut writer.document)
    }

    /// What both kinds of report begin with, the key and the attributes.
    fn header(
        &mut self,
        writer: &mut Writer,
        fields: &mut Fields,
        unit: &Unit,
        verdict: Verdict,
        operation_code: Option<u32>,
    ) -> Result<()> {
        let header = self.complete(unit, operation_code)?;
        let key = format!("{}@{}", header.serial, header.start.utc());
        let start = header.start;
        let (station, serial) = (header.station.to_owned(), header.serial.to_owned());
        for (name, text) in [("pn", header.part_number), ("sn", header.serial), ("rev", header.revision)] {
            writer.text(fields, name, Some(text), lengths::DEFAULT)?;
        }
        fields.field(&mut writer.document, "processCode", &header.operation_code)?;
        fields.field(&mut writer.document, "result", &verdict)?;
        for (name, text) in [("machineName", header.station), ("location", header.location), ("purpose", header.purpose)] {
            writer.text(fields, name, Some(text), lengths::DEFAULT)?;
        }
        fields.field(&mut writer.document, "start", &start.local())?;
        fields.field(&mut writer.document, "startUTC", &start.utc())?;
        let count = self.keys.entry(key.clone()).or_default();
        *count += 1;
        let key = if *count == 1 { key } else { format!("{key}#{count}") };
        // What a key may be is the contract's affair, and serial numbers may be anything.
        let key = if key.len() <= 1024 { key } else { super::id::digest(&key) };
        fields.field(&mut writer.document, "id", &super::id::report(self.station.as_deref().unwrap_or_default(), &self.path, &key))?;
        writer.document.set_key(&key)?;
        for (name, value) in
            [("serial", serial.as_str()), ("station", &station), ("start", &start.local()), ("result", Status::from(verdict).letter())]
        {
            writer.document.set_attribute(name, value)?;
        }
        Ok(())
    }

    fn complete<'h>(&'h self, unit: &'h Unit, operation_code: Option<u32>) -> Result<Header<'h>> {
        let mut missing = Vec::new();
        let mut need = |name: &'static str, from: [Option<&'h String>; 3]| {
            let found = from.into_iter().flatten().find(|text| !text.is_empty());
            if found.is_none() {
                missing.push(name);
            }
            found.map_or("", String::as_str)
        };
        let options = &self.options;
        let serial = need("the serial number", [Some(&unit.serial), None, None]);
        let part_number = need("`part_number`", [unit.part_number.as_ref(), options.part_number.as_ref(), None]);
        let revision = need("`revision`", [unit.revision.as_ref(), options.revision.as_ref(), None]);
        let station = need("`station`", [unit.station.as_ref(), options.station.as_ref(), self.station.as_ref()]);
        let location = need("`location`", [unit.location.as_ref(), options.location.as_ref(), self.location.as_ref()]);
        let purpose = need("`purpose`", [unit.purpose.as_ref(), options.purpose.as_ref(), self.purpose.as_ref()]);
        let operation_code = unit.operation_code.or(operation_code);
        if operation_code.is_none() {
            missing.push("`operation_code`");
        }
        if unit.start.is_none() {
            missing.push("the start");
        }
        let (Some(start), Some(operation_code), true) = (unit.start, operation_code, missing.is_empty()) else {
            let of = if unit.serial.is_empty() { String::new() } else { format!(" of `{}`", unit.serial) };
            let message = format!(
                "the report{of} lacks {}: neither the file nor the options say; station, location and purpose may come from the route's context",
                missing.join(", ")
            );
            return Err(Error::missing_field(message).code("header"));
        };
        Ok(Header { serial, part_number, revision, operation_code, station, location, purpose, start })
    }

    fn operator<'u>(&'u self, unit: &'u Unit) -> Option<&'u str> {
        unit.operator.as_deref().filter(|name| !name.is_empty()).or(self.options.operator.as_deref()).or(self.operator.as_deref())
    }

    fn write_uut(&self, writer: &mut Writer, fields: &mut Fields, unit: &Unit, status: Status) -> Result<()> {
        fields.key(&mut writer.document, "uut")?;
        let mut uut = Fields::open(&mut writer.document)?;
        writer.text(&mut uut, "user", self.operator(unit), lengths::DEFAULT)?;
        uut.some(&mut writer.document, "execTime", unit.execution_time.filter(|time| time.is_finite()))?;
        uut.some(&mut writer.document, "testSocketIndex", unit.socket_index)?;
        writer.text(&mut uut, "batchSN", unit.batch.as_deref(), lengths::DEFAULT)?;
        writer.text(&mut uut, "fixtureId", unit.fixture.as_deref(), lengths::DEFAULT)?;
        uut.some(&mut writer.document, "errorCode", unit.error_code)?;
        writer.text(&mut uut, "errorMessage", unit.error_message.as_deref(), lengths::ERROR_MESSAGE)?;
        writer.text(&mut uut, "comment", unit.comment.as_deref(), lengths::COMMENT)?;
        uut.some(&mut writer.document, "stepIdCausedUUTFailure", writer.cause.filter(|_| status.is_bad()))?;
        uut.close(&mut writer.document)
    }

    /// Misc infos, what was cut among them, and assets. Nothing that has a length comes after it but sub-units.
    fn lists(&self, writer: &mut Writer, fields: &mut Fields, unit: &Unit) -> Result<()> {
        fields.key(&mut writer.document, "assets")?;
        let texts = &mut writer.texts;
        json::array(&mut writer.document, &unit.assets, |out, Asset { serial, usage_count }| {
            let mut fields = Fields::open(out)?;
            fields.field(out, "assetSN", &texts.fit("assetSN", serial, lengths::DEFAULT)?)?;
            fields.field(out, "usageCount", usage_count)?;
            fields.close(out)
        })?;
        fields.key(&mut writer.document, "miscInfos")?;
        // Descriptions and texts of the facts themselves are fitted first, so that what is said of them is complete.
        let mut misc = Vec::with_capacity(unit.misc.len() + 1);
        for Misc { description, text, numeric } in &unit.misc {
            let description = writer.texts.fit("misc description", description, lengths::DEFAULT)?.into_owned();
            let text = text.as_deref().map(|text| writer.texts.fit("misc text", text, lengths::DEFAULT)).transpose()?;
            misc.push(Misc { description, text: text.map(Into::into), numeric: *numeric });
        }
        if let Some(said) = writer.texts.said() {
            let said: String = said.chars().take(lengths::DEFAULT).collect();
            misc.push(Misc::text("Dropforge", said));
        }
        json::array(&mut writer.document, &misc, |out, misc| {
            let mut fields = Fields::open(out)?;
            fields.field(out, "description", &misc.description)?;
            fields.some(out, "text", misc.text.as_deref())?;
            fields.some(out, "numeric", misc.numeric)?;
            fields.close(out)
        })
    }

    fn end(&mut self, output: &mut Output, mut writer: Writer) -> Result<()> {
        if let Some(said) = writer.texts.said() {
            writer.warn(Error::validation(said).code("truncated"));
        }
        writer.document.finish()?;
        self.aside.finished();
        for warning in writer.warnings {
            output.warn(warning)?;
        }
        if writer.more_warnings > 0 {
            output.warn(Error::validation(format!("{} more warnings about this report", writer.more_warnings)).code("warnings"))?;
        }
        Ok(())
    }
}

fn sub_unit(out: &mut impl Write, fields: &mut Fields, texts: &mut Texts, part: &SubUnit) -> Result<()> {
    fields.field(out, "partType", &texts.fit("partType", &part.part_type, lengths::PART_TYPE)?)?;
    for (key, text) in [("pn", &part.part_number), ("rev", &part.revision), ("sn", &part.serial)] {
        fields.field(out, key, &texts.fit(key, text, lengths::DEFAULT)?)?;
    }
    Ok(())
}

fn write_failure(out: &mut impl Write, texts: &mut Texts, failure: &Failure) -> Result<()> {
    if failure.category.is_empty() || failure.code.is_empty() {
        return Err(Error::missing_field("a failure has no category or no code").code("failure"));
    }
    let mut fields = Fields::open(out)?;
    fields.field(out, "category", &texts.fit("category", &failure.category, lengths::DEFAULT)?)?;
    fields.field(out, "code", &texts.fit("code", &failure.code, lengths::DEFAULT)?)?;
    for (key, text, most) in [
        ("comment", &failure.comment, lengths::COMMENT),
        ("comRef", &failure.component, lengths::PART_TYPE),
        ("artNumber", &failure.article, lengths::DEFAULT),
    ] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            fields.field(out, key, &texts.fit(key, text, most)?)?;
        }
    }
    fields.some(out, "refStepId", failure.step_id)?;
    fields.close(out)
}
