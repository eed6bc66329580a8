//! The rows of the tables. A table's head stands where its columns begin to be others than before; rows may follow another table's, since values
//! have their head once and curves each time.

use std::rc::Rc;

use dropforge_sdk::report::Scale;
use dropforge_sdk::text::{DecimalSign, Line, Lines, number};
use dropforge_sdk::{Error, ErrorType, Result};

/// Whether a line is the head of a table.
pub(crate) fn is_head(text: &str) -> bool {
    let mut fields = text.split('\t').map(str::trim);
    fields.next() == Some("Serial #:") && fields.any(|field| field == "Time:")
}

/// What a unit is known by: its rows follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The serial number.
    pub serial: String,
    /// When it was tested, as it is written.
    pub time: String,
}

/// Where the columns are that say of which unit a row is. The table's own follow.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    time: usize,
    operator: Option<usize>,
    lot: Option<usize>,
    own: usize,
}

/// What the head of a table of curves says.
#[derive(Debug)]
pub(crate) struct Curve {
    /// The curve's name.
    pub name: String,
    /// How its axes are divided.
    pub scale: Scale,
    /// The unit of x.
    pub x_unit: String,
    /// The unit of y.
    pub y_unit: String,
    head: Head,
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row {
    /// As it stands.
    pub line: Line,
    head: Head,
    /// Of which curve its numbers are; none for a value.
    pub curve: Option<Rc<Curve>>,
}

impl Row {
    fn field(&self, index: usize) -> &str {
        self.line.text.split('\t').nth(index).map(str::trim).unwrap_or_default()
    }

    /// Of which unit it is.
    pub fn key(&self) -> Key {
        Key { serial: self.field(0).into(), time: self.field(self.head.time).into() }
    }

    /// Who tested.
    pub fn operator(&self) -> Option<String> {
        self.head.operator.map(|index| self.field(index).to_owned())
    }

    /// The lot.
    pub fn lot(&self) -> Option<String> {
        self.head.lot.map(|index| self.field(index).to_owned())
    }

    /// A field of the table's own, from 0.
    pub fn own(&self, index: usize) -> &str {
        self.field(self.head.own + index)
    }

    /// The numbers of a curve. What is left empty at the end is room for longer ones.
    ///
    /// # Errors
    /// `Malformed` for a field that is no number.
    pub fn numbers(&self, sign: DecimalSign) -> Result<Vec<f64>> {
        let fields: Vec<&str> = self.line.text.trim_end().split('\t').skip(self.head.own).collect();
        let wrong = |text: &str| self.line.malformed(format!("`{}` is no number", short(text))).code("number");
        fields.iter().map(|text| number(text, sign).ok_or_else(|| wrong(text))).collect()
    }
}

/// Reads rows, with the heads that they are under.
pub(crate) struct Rows<'a, 'i> {
    lines: Lines<'a, 'i>,
    /// The last line has its end.
    whole: bool,
    values: Option<Head>,
    curve: Option<Rc<Curve>>,
    ahead: Option<Row>,
    cut: Option<Error>,
}

impl<'a, 'i> Rows<'a, 'i> {
    /// From the first line.
    pub fn new(lines: Lines<'a, 'i>, whole: bool) -> Self {
        Rows { lines, whole, values: None, curve: None, ahead: None, cut: None }
    }

    /// The next row, without taking it; none at the end, and before a line that was cut.
    ///
    /// # Errors
    /// `Malformed` for a line that is no row, which is then behind; what reading gives.
    pub fn peek(&mut self) -> Result<Option<&Row>> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    /// The next row.
    ///
    /// # Errors
    /// As [`Rows::peek`].
    pub fn take(&mut self) -> Result<Option<Row>> {
        self.peek()?;
        Ok(self.ahead.take())
    }

    /// What is wrong with the end of the file, once it was reached.
    pub fn cut(&self) -> Option<Error> {
        self.cut.clone()
    }

    /// Puts the end of what was read into an error.
    pub fn place(&self, error: Error) -> Error {
        self.lines.place(error)
    }

    /// Goes behind the rows of a unit.
    ///
    /// # Errors
    /// What reading gives, but for lines that are no rows.
    pub fn skip(&mut self, key: &Key) -> Result<()> {
        loop {
            match self.peek() {
                Ok(Some(row)) if row.key() == *key => self.ahead = None,
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind, ErrorType::Encoding | ErrorType::Malformed) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> Result<Option<Row>> {
        while let Some(line) = self.lines.next_line()? {
            if !self.whole && self.lines.peek().is_ok_and(|next| next.is_none()) {
                self.cut = Some(line.malformed("the file ends inside a line").code("truncated"));
                return Ok(None);
            }
            if line.text.trim().is_empty() {
                continue;
            }
            if line.text.starts_with("Serial #:") {
                self.head(&line)?;
                continue;
            }
            return self.row(line).map(Some);
        }
        Ok(None)
    }

    fn head(&mut self, line: &Line) -> Result<()> {
        let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
        let own = fields.iter().position(|field| !field.ends_with(':')).unwrap_or(fields.len());
        let at = |name: &str| fields.iter().position(|field| *field == name).filter(|index| *index < own);
        let time = at("Time:").ok_or_else(|| line.malformed("the head has no column `Time:`").code("head"))?;
        let head = Head { time, operator: at("Operator:"), lot: at("Lot #:"), own };
        let field = |index: usize| fields.get(own + index).copied().unwrap_or_default();
        if field(0) == "Name" {
            if (1..=5).map(field).ne(["Margin", "Unit", "Result", "Tolerance", "Limits"]) {
                let message = "the columns of values are not `Name`, `Margin`, `Unit`, `Result`, `Tolerance`, `Limits`";
                return Err(line.malformed(message).code("head"));
            }
            self.values = Some(head);
        } else {
            if field(0).is_empty() {
                return Err(line.malformed("the head names neither values nor a curve").code("head"));
            }
            // A name, the numbers of x, y and z, their axes, their units; an empty column before each three.
            let logarithmic = |index| field(index).ends_with(" log");
            let scale = match (logarithmic(6), logarithmic(7)) {
                (false, false) => Scale::Line,
                (true, false) => Scale::LineLogX,
                (false, true) => Scale::LineLogY,
                (true, true) => Scale::LineLogXy,
            };
            let curve = Curve { name: field(0).into(), scale, x_unit: field(10).into(), y_unit: field(11).into(), head };
            self.curve = Some(Rc::new(curve));
        }
        Ok(())
    }

    /// A value has a name where a curve has a number.
    fn row(&self, line: Line) -> Result<Row> {
        let is_number = |head: Head| {
            let first = line.text.split('\t').nth(head.own).unwrap_or_default();
            [DecimalSign::Point, DecimalSign::Comma].iter().any(|sign| number(first, *sign).is_some())
        };
        if let Some(curve) = self.curve.clone().filter(|curve| is_number(curve.head)) {
            return Ok(Row { line, head: curve.head, curve: Some(curve) });
        }
        match self.values.filter(|head| !is_number(*head) && line.text.split('\t').count() >= head.own + 6) {
            Some(head) => Ok(Row { line, head, curve: None }),
            None => Err(line.malformed("this is no row of a table above it").code("record")),
        }
    }
}

/// The beginning of a text, for messages.
pub(crate) fn short(text: &str) -> &str {
    text.char_indices().nth(60).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}
