//! Writes steps as they close. Only what is open is in memory: one number for each level of sequences.

use std::io::Write;

use super::json::{self, Fields, Number};
use super::lengths::{self, Texts};
use super::step::{Attachment, Chart, Numeric, PassFail, Repetition, SequenceCall, Step, Text};
use super::{Mode, Status};
use crate::{Document, Error, Result};

/// How deep sequences may be nested.
const MAX_DEPTH: usize = 128;
/// How many warnings a report keeps; the rest are counted.
const MAX_WARNINGS: usize = 100;

/// A report that is being written.
pub(super) struct Writer {
    pub document: Document,
    pub texts: Texts,
    pub mode: Mode,
    next_id: u32,
    depth: usize,
    /// The step that failed first.
    pub cause: Option<u32>,
    /// A sequence was left with an error: the JSON is not whole any more.
    pub broken: bool,
    pub warnings: Vec<Error>,
    pub more_warnings: u64,
}

impl Writer {
    pub fn new(document: Document, texts: Texts, mode: Mode) -> Self {
        Writer { document, texts, mode, next_id: 1, depth: 0, cause: None, broken: false, warnings: Vec::new(), more_warnings: 0 }
    }

    /// The id of the next step, in the order in which steps begin.
    pub fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub fn warn(&mut self, warning: Error) {
        if self.warnings.len() < MAX_WARNINGS { self.warnings.push(warning) } else { self.more_warnings += 1 }
    }

    /// A text within its length, where there is one that is not empty.
    pub fn text(&mut self, fields: &mut Fields, key: &'static str, text: Option<&str>, most: usize) -> Result<()> {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => fields.field(&mut self.document, key, &self.texts.fit(key, text, most)?),
            None => Ok(()),
        }
    }

    /// What every step begins with: all but its status.
    fn step_head(&mut self, fields: &mut Fields, id: u32, kind: &str, step: &Step) -> Result<()> {
        if step.name.is_empty() {
            return Err(Error::missing_field("a step has no name").code("step_name"));
        }
        let out = &mut self.document;
        fields.field(out, "id", &id)?;
        fields.field(out, "group", step.group.letter())?;
        fields.field(out, "stepType", &self.texts.fit("stepType", kind, lengths::DEFAULT)?)?;
        fields.field(out, "name", &self.texts.fit("name", &step.name, lengths::DEFAULT)?)?;
        fields.some(out, "start", step.start.map(|start| start.local()))
    }

    /// What every step ends with.
    fn step_tail(&mut self, fields: &mut Fields, step: &Step, status: Status, caused: bool) -> Result<()> {
        fields.field(&mut self.document, "status", &status)?;
        let time = step.total_time.filter(|time| time.is_finite());
        fields.some(&mut self.document, "totTime", time)?;
        fields.field(&mut self.document, "causedUUTFailure", &caused)?;
        fields.some(&mut self.document, "errorCode", step.error_code)?;
        self.text(fields, "errorMessage", step.error_message.as_deref(), lengths::ERROR_MESSAGE)?;
        self.text(fields, "reportText", step.report_text.as_deref(), lengths::REPORT_TEXT)?;
        if let Some(repetition) = step.repetition {
            fields.key(&mut self.document, "loop")?;
            let mut inner = Fields::open(&mut self.document)?;
            match repetition {
                Repetition::Index(index) => inner.field(&mut self.document, "idx", &index)?,
                Repetition::Summary { count, ending_index, passed, failed } => {
                    inner.field(&mut self.document, "num", &count)?;
                    inner.field(&mut self.document, "endingIndex", &ending_index)?;
                    inner.field(&mut self.document, "passed", &passed)?;
                    inner.field(&mut self.document, "failed", &failed)?;
                }
            }
            inner.close(&mut self.document)?;
        }
        if let Some(chart) = &step.chart {
            fields.key(&mut self.document, "chart")?;
            self.chart(chart)?;
        }
        if let Some(attachment) = &step.attachment {
            fields.key(&mut self.document, "attachment")?;
            self.attachment(attachment)?;
        }
        Ok(())
    }

    fn chart(&mut self, chart: &Chart) -> Result<()> {
        let mut fields = Fields::open(&mut self.document)?;
        fields.field(&mut self.document, "chartType", chart.scale.name())?;
        self.text(&mut fields, "label", Some(&chart.label), lengths::DEFAULT)?;
        self.text(&mut fields, "xLabel", Some(&chart.x_label), lengths::DEFAULT)?;
        self.text(&mut fields, "xUnit", chart.x_unit.as_deref(), lengths::DEFAULT)?;
        self.text(&mut fields, "yLabel", Some(&chart.y_label), lengths::DEFAULT)?;
        self.text(&mut fields, "yUnit", chart.y_unit.as_deref(), lengths::DEFAULT)?;
        fields.key(&mut self.document, "series")?;
        let texts = &mut self.texts;
        json::array(&mut self.document, &chart.series, |out, series| {
            let mut fields = Fields::open(out)?;
            fields.field(out, "dataType", "XYG")?;
            fields.field(out, "name", &texts.fit("series name", &series.name, lengths::DEFAULT)?)?;
            for (key, y) in [("xdata", false), ("ydata", true)] {
                fields.key(out, key)?;
                out.write_all(b"\"")?;
                for (index, (at, value)) in series.points.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ";" };
                    write!(out, "{separator}{}", if y { value } else { at })?;
                }
                out.write_all(b"\"")?;
            }
            fields.close(out)
        })?;
        fields.close(&mut self.document)
    }

    fn attachment(&mut self, attachment: &Attachment) -> Result<()> {
        let mut fields = Fields::open(&mut self.document)?;
        self.text(&mut fields, "name", Some(&attachment.name), lengths::DEFAULT)?;
        self.text(&mut fields, "contentType", Some(&attachment.content_type), lengths::DEFAULT)?;
        fields.field(&mut self.document, "data", &super::base64::encode(&attachment.data))?;
        fields.close(&mut self.document)
    }

    /// Whether this step is the first that failed, which is then remembered.
    fn caused(&mut self, id: u32, status: Status) -> bool {
        let caused = status.is_bad() && self.cause.is_none();
        if caused {
            self.cause = Some(id);
        }
        caused
    }

    /// A judgement: what the file says or what the limits say, as the mode has it.
    fn judge(&self, said: Option<Status>, computed: Option<bool>) -> Status {
        match (self.mode, said, computed) {
            // What was not measured properly cannot be computed.
            (_, Some(said @ (Status::Skipped | Status::Error | Status::Terminated)), _) => said,
            (Mode::Active, _, Some(passed)) => Status::passed(passed),
            (_, Some(said), _) => said,
            (_, None, Some(passed)) => Status::passed(passed),
            (_, None, None) => Status::Passed,
        }
    }

    /// A step's status, of what the file says and what its parts are.
    pub fn whole(&self, said: Option<Status>, parts: Option<Status>) -> Status {
        match (self.mode, said, parts) {
            (_, Some(said @ (Status::Skipped | Status::Error | Status::Terminated)), _) => said,
            (Mode::Active, _, Some(parts)) => parts,
            (_, Some(said), _) => said,
            (_, None, parts) => parts.unwrap_or(Status::Passed),
        }
    }
}

/// The steps of one sequence. What is written through it nests as it should, whatever is done with it.
pub struct Steps<'r> {
    writer: &'r mut Writer,
    /// What the sequence is, by what it holds so far.
    status: Option<Status>,
    first: bool,
}

impl<'r> Steps<'r> {
    pub(super) fn new(writer: &'r mut Writer) -> Self {
        Steps { writer, status: None, first: true }
    }

    /// What the steps so far make of the sequence; none where there are none.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// Keeps a warning until the report is finished: it becomes a problem of severity `warning`.
    pub fn warn(&mut self, warning: Error) {
        self.writer.warn(warning);
    }

    /// A sequence, whose steps `inside` writes. What `inside` gives is the status that the file says it has; without one it is what its steps make
    /// of it.
    ///
    /// # Errors
    /// What `inside` gives, after which the report cannot be finished; `Unsupported` for more than 128 levels; as [`Steps::numeric`].
    pub fn sequence(
        &mut self,
        step: &Step,
        call: &SequenceCall,
        inside: impl FnOnce(&mut Steps<'_>) -> Result<Option<Status>>,
    ) -> Result<Status> {
        self.sequence_that_ends(step, call, |steps| Ok((inside(steps)?, None)))
    }

    /// The same, of a format that says only at its end what there is to say of a sequence: the step that `inside` gives stands for `step` in all
    /// that a report has behind the steps, which is everything but name, group and start.
    ///
    /// # Errors
    /// As [`Steps::sequence`].
    pub fn sequence_that_ends(
        &mut self,
        step: &Step,
        call: &SequenceCall,
        inside: impl FnOnce(&mut Steps<'_>) -> Result<(Option<Status>, Option<Step>)>,
    ) -> Result<Status> {
        if self.writer.depth >= MAX_DEPTH {
            return self.guard(Err(Error::unsupported(format!("more than {MAX_DEPTH} sequences inside one another")).code("too_deep")));
        }
        self.writer.depth += 1;
        let result = self.write_sequence(step, call, inside);
        self.writer.depth -= 1;
        self.guard(result)
    }

    fn write_sequence(
        &mut self,
        step: &Step,
        call: &SequenceCall,
        inside: impl FnOnce(&mut Steps<'_>) -> Result<(Option<Status>, Option<Step>)>,
    ) -> Result<Status> {
        let (id, mut fields) = self.open("SequenceCall", step)?;
        fields.key(&mut self.writer.document, "steps")?;
        self.writer.document.write_all(b"[")?;
        let mut steps = Steps::new(self.writer);
        let (said, ending) = inside(&mut steps)?;
        let parts = steps.status;
        self.writer.document.write_all(b"]")?;
        let status = self.writer.whole(said.or(step.status), parts);
        // A sequence that fails of itself, none of its steps having failed, is the cause.
        let caused = parts.is_none_or(|parts| !parts.is_bad()) && self.writer.caused(id, status);
        self.writer.step_tail(&mut fields, ending.as_ref().unwrap_or(step), status, caused)?;
        fields.key(&mut self.writer.document, "seqCall")?;
        let mut inner = Fields::open(&mut self.writer.document)?;
        self.writer.text(&mut inner, "path", call.path.as_deref(), lengths::PATH)?;
        let name = call.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&step.name);
        self.writer.text(&mut inner, "name", Some(name), lengths::NAME)?;
        self.writer.text(&mut inner, "version", call.version.as_deref(), lengths::VERSION)?;
        inner.close(&mut self.writer.document)?;
        self.close(fields, status)
    }

    /// A step with one number (`ET_NLT`).
    ///
    /// # Errors
    /// `MissingField` for a step without a name; `Validation` for a text that is too long, where those are not cut, and for a limit that is
    /// NaN; `Internal` where the host fails. After an error the report cannot be finished.
    pub fn numeric(&mut self, step: &Step, measured: &Numeric) -> Result<Status> {
        self.numbers("ET_NLT", step, std::slice::from_ref(measured))
    }

    /// A step with several numbers (`ET_MNLT`).
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn numerics(&mut self, step: &Step, measured: &[Numeric]) -> Result<Status> {
        self.numbers("ET_MNLT", step, measured)
    }

    /// A step with a diagram and numbers (`WATS_XYGMNLT`), of which there may be none.
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn chart(&mut self, step: &Step, measured: &[Numeric]) -> Result<Status> {
        self.numbers("WATS_XYGMNLT", step, measured)
    }

    fn numbers(&mut self, kind: &str, step: &Step, measured: &[Numeric]) -> Result<Status> {
        let judged: Vec<Status> = measured
            .iter()
            .map(|one| self.writer.judge(one.status, (one.limits != super::Limits::Log).then(|| one.limits.passes(one.value))))
            .collect();
        let several = kind != "ET_NLT";
        self.measurement(kind, step, &judged, |writer, fields| {
            fields.key(&mut writer.document, "numericMeas")?;
            writer.document.write_all(b"[")?;
            let mut first = true;
            for (one, status) in measured.iter().zip(&judged) {
                if one.limits.is_nan() {
                    let name = one.name.as_deref().unwrap_or(&step.name);
                    return Err(Error::validation(format!("a limit of `{name}` is no number")).code("limit"));
                }
                json::comma(&mut writer.document, &mut first)?;
                let mut fields = Fields::open(&mut writer.document)?;
                fields.field(&mut writer.document, "compOp", one.limits.comparator())?;
                writer.measurement_name(&mut fields, one.name.as_deref(), several.then_some(&step.name))?;
                fields.field(&mut writer.document, "status", status)?;
                writer.text(&mut fields, "unit", one.unit.as_deref(), lengths::DEFAULT)?;
                fields.field(&mut writer.document, "value", &Number(one.value))?;
                let (low, high) = one.limits.bounds();
                fields.some(&mut writer.document, "lowLimit", low.map(Number))?;
                fields.some(&mut writer.document, "highLimit", high.map(Number))?;
                fields.close(&mut writer.document)?;
            }
            Ok(writer.document.write_all(b"]")?)
        })
    }

    /// A step that passed or failed (`ET_PFT`).
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn pass_fail(&mut self, step: &Step, status: Status) -> Result<Status> {
        self.booleans("ET_PFT", step, &[PassFail { name: None, status }])
    }

    /// A step with several such judgements (`ET_MPFT`).
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn pass_fails(&mut self, step: &Step, judged: &[PassFail]) -> Result<Status> {
        self.booleans("ET_MPFT", step, judged)
    }

    fn booleans(&mut self, kind: &str, step: &Step, judged: &[PassFail]) -> Result<Status> {
        let statuses: Vec<Status> = judged.iter().map(|one| one.status).collect();
        let several = kind != "ET_PFT";
        self.measurement(kind, step, &statuses, |writer, fields| {
            fields.key(&mut writer.document, "booleanMeas")?;
            writer.document.write_all(b"[")?;
            let mut first = true;
            for one in judged {
                json::comma(&mut writer.document, &mut first)?;
                let mut fields = Fields::open(&mut writer.document)?;
                writer.measurement_name(&mut fields, one.name.as_deref(), several.then_some(&step.name))?;
                fields.field(&mut writer.document, "status", &one.status)?;
                fields.close(&mut writer.document)?;
            }
            Ok(writer.document.write_all(b"]")?)
        })
    }

    /// A step with one text (`ET_SVT`).
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn text(&mut self, step: &Step, read: &Text) -> Result<Status> {
        self.texts("ET_SVT", step, std::slice::from_ref(read))
    }

    /// A step with several texts (`ET_MSVT`).
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn several_texts(&mut self, step: &Step, read: &[Text]) -> Result<Status> {
        self.texts("ET_MSVT", step, read)
    }

    fn texts(&mut self, kind: &str, step: &Step, read: &[Text]) -> Result<Status> {
        let judged: Vec<Status> =
            read.iter().map(|one| self.writer.judge(one.status, one.limit.limit().map(|_| one.limit.passes(&one.value)))).collect();
        let several = kind != "ET_SVT";
        self.measurement(kind, step, &judged, |writer, fields| {
            fields.key(&mut writer.document, "stringMeas")?;
            writer.document.write_all(b"[")?;
            let mut first = true;
            for (one, status) in read.iter().zip(&judged) {
                json::comma(&mut writer.document, &mut first)?;
                let mut fields = Fields::open(&mut writer.document)?;
                fields.field(&mut writer.document, "compOp", one.limit.comparator())?;
                writer.measurement_name(&mut fields, one.name.as_deref(), several.then_some(&step.name))?;
                fields.field(&mut writer.document, "status", status)?;
                // An empty text was read too.
                let value = writer.texts.fit("value", &one.value, lengths::DEFAULT)?;
                fields.field(&mut writer.document, "value", &value)?;
                writer.text(&mut fields, "limit", one.limit.limit(), lengths::DEFAULT)?;
                fields.close(&mut writer.document)?;
            }
            Ok(writer.document.write_all(b"]")?)
        })
    }

    /// A step of another kind (`Action`, `Label`, `NI_Wait`), which measures nothing. Without a status it is done.
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn generic(&mut self, kind: &str, step: &Step) -> Result<Status> {
        let status = step.status.unwrap_or(Status::Done);
        self.other(kind, step, status, |_, _| Ok(()))
    }

    /// A question to the operator (`MessagePopup`), with the answer and the button.
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn message(&mut self, step: &Step, response: &str, button: i32) -> Result<Status> {
        let status = step.status.unwrap_or(Status::Done);
        self.other("MessagePopup", step, status, |writer, fields| {
            fields.key(&mut writer.document, "messagePopup")?;
            let mut inner = Fields::open(&mut writer.document)?;
            writer.text(&mut inner, "response", Some(response), lengths::DEFAULT)?;
            inner.field(&mut writer.document, "button", &button)?;
            inner.close(&mut writer.document)
        })
    }

    /// A program that was run (`CallExecutable`), with its exit code.
    ///
    /// # Errors
    /// As [`Steps::numeric`].
    pub fn executable(&mut self, step: &Step, exit_code: i64) -> Result<Status> {
        let status = step.status.unwrap_or(Status::Done);
        self.other("CallExecutable", step, status, |writer, fields| {
            fields.key(&mut writer.document, "callExe")?;
            let mut inner = Fields::open(&mut writer.document)?;
            inner.field(&mut writer.document, "exitCode", &exit_code)?;
            inner.close(&mut writer.document)
        })
    }

    /// A step whose status follows from what it measured.
    fn measurement(
        &mut self,
        kind: &str,
        step: &Step,
        judged: &[Status],
        body: impl FnOnce(&mut Writer, &mut Fields) -> Result<()>,
    ) -> Result<Status> {
        let parts = judged.iter().copied().reduce(Status::and);
        let status = self.writer.whole(step.status, parts);
        self.other(kind, step, status, body)
    }

    fn other(
        &mut self,
        kind: &str,
        step: &Step,
        status: Status,
        body: impl FnOnce(&mut Writer, &mut Fields) -> Result<()>,
    ) -> Result<Status> {
        let result = self.open(kind, step).and_then(|(id, mut fields)| {
            body(self.writer, &mut fields)?;
            let caused = self.writer.caused(id, status);
            self.writer.step_tail(&mut fields, step, status, caused)?;
            self.close(fields, status)
        });
        self.guard(result)
    }

    fn open(&mut self, kind: &str, step: &Step) -> Result<(u32, Fields)> {
        json::comma(&mut self.writer.document, &mut self.first)?;
        let id = self.writer.take_id();
        let mut fields = Fields::open(&mut self.writer.document)?;
        self.writer.step_head(&mut fields, id, kind, step)?;
        Ok((id, fields))
    }

    fn close(&mut self, fields: Fields, status: Status) -> Result<Status> {
        fields.close(&mut self.writer.document)?;
        // Skipped and done steps alone make a sequence that passed.
        self.status = Some(self.status.unwrap_or(Status::Passed).and(status));
        Ok(status)
    }

    /// Remembers an error that left the JSON in the middle.
    fn guard<T>(&mut self, result: Result<T>) -> Result<T> {
        self.writer.broken |= result.is_err();
        result
    }
}

impl Writer {
    /// A measurement's name, which it has where the step may have several.
    fn measurement_name(&mut self, fields: &mut Fields, name: Option<&str>, otherwise: Option<&String>) -> Result<()> {
        let name = name.filter(|name| !name.is_empty()).or(otherwise.map(String::as_str));
        self.text(fields, "name", name, lengths::DEFAULT)
    }
}
