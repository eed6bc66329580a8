//! The first reading of a table: which rows belong to one unit, and how dates and numbers are written. It keeps a few bytes of each unit.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use dropforge_sdk::text::{DateFormat, DecimalSign};
use dropforge_sdk::{Error, Result};

use super::dates::Dates;
use super::fields::Field;
use super::options::ReportFields;
use super::plan::Plan;
use super::rows::{Row, Source};

/// How many units a table may have.
const MOST_UNITS: usize = 200_000;

/// Which unit a row belongs to: a digest of what its rows have in common, so that a unit costs a few bytes.
pub type Id = (u64, u64);

/// Where a unit's rows are.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Its first row.
    pub first: u64,
    /// Its last row.
    pub last: u64,
    /// How many there are.
    pub rows: u64,
}

impl Span {
    /// Whether no other unit's rows are between them.
    pub fn is_whole(&self) -> bool {
        self.last - self.first + 1 == self.rows
    }
}

/// What the first reading found.
#[derive(Debug)]
pub struct Survey {
    /// Where each unit's rows are.
    pub units: BTreeMap<Id, Span>,
    /// How dates are written.
    pub dates: DateFormat,
    /// How numbers are written.
    pub decimal: DecimalSign,
    /// Whether some unit has no start.
    pub lacks_start: bool,
}

/// Says which unit a row belongs to.
///
/// Rows that have the same serial number, start and so on are one unit's. Without a start, a unit that is tested again cannot be told by
/// these: there a row with the test that the unit began with begins another run.
#[derive(Debug, Default)]
pub struct Grouping {
    /// By what the rows have in common: the test that the run began with, and how many runs there were before.
    runs: BTreeMap<Id, (Id, u64)>,
    /// The units of the last rows, the last one first, with what their rows have in common.
    recent: VecDeque<(Id, Vec<String>)>,
}

/// How many units are remembered for the row in which the file ends.
const RECENT: usize = 64;

impl Grouping {
    /// The unit of the row.
    pub fn of(&mut self, row: &Row, plan: &Plan) -> Id {
        if row.is_cut
            && let Some(unit) = self.cut(row, plan)
        {
            return unit;
        }
        let id = self.whole(row, plan);
        if self.recent.front().is_none_or(|(last, _)| *last != id) {
            self.recent.retain(|(other, _)| *other != id);
            self.recent.truncate(RECENT - 1);
            self.recent.push_front((id, plan.identity.iter().map(|column| row.cell(*column).to_owned()).collect()));
        }
        id
    }

    fn whole(&mut self, row: &Row, plan: &Plan) -> Id {
        let same = digest(plan.identity.iter().map(|column| row.cell(*column)));
        if !plan.start(row).is_empty() {
            return same;
        }
        let test = digest([plan.cell(row, Field::Group), plan.cell(row, Field::Step)].into_iter());
        let (_, run) = self.runs.entry(same).and_modify(|(first, run)| *run += u64::from(*first == test)).or_insert((test, 0));
        (same.0, same.1.wrapping_add(*run))
    }

    /// The unit of a row that is cut off: the last one that has what is there of it.
    fn cut(&self, row: &Row, plan: &Plan) -> Option<Id> {
        let last = row.cells().saturating_sub(1);
        let fits = |(column, known): (&usize, &String)| match column.cmp(&last) {
            Ordering::Less => row.cell(*column) == known,
            Ordering::Equal => known.starts_with(row.cell(*column)),
            Ordering::Greater => true,
        };
        self.recent.iter().find(|(_, known)| plan.identity.iter().zip(known).all(fits)).map(|(id, _)| *id)
    }
}

fn digest<'t>(texts: impl Iterator<Item = &'t str>) -> Id {
    let (mut one, mut two) = (DefaultHasher::new(), DefaultHasher::new());
    two.write_u8(1);
    for text in texts {
        text.hash(&mut one);
        text.hash(&mut two);
    }
    (one.finish(), two.finish())
}

/// Reads a table for the first time.
///
/// # Errors
/// What reading gives; `Unsupported` for more units than can be kept apart; `Validation` where dates or numbers can be read in two ways.
pub fn survey(source: &mut Source, plan: &mut Plan, options: &ReportFields) -> Result<Survey> {
    let mut dates = Dates::new(options.date_format.as_deref())?;
    let (mut units, mut grouping) = (BTreeMap::<Id, Span>::new(), Grouping::default());
    let (mut points, mut commas, mut lacks_start, mut last_start) = (0u64, 0u64, false, String::new());
    let mut number = 0;
    header_rows(source, plan, options)?;
    while let Some(row) = source.next()? {
        if plan.is_steps {
            let id = grouping.of(&row, plan);
            let span = units.entry(id).or_insert(Span { first: number, last: number, rows: 0 });
            (span.last, span.rows) = (number, span.rows + 1);
            if units.len() > MOST_UNITS {
                let message = format!("more than {MOST_UNITS} units in one table: split the file");
                return Err(Error::unsupported(message).code("too_many_units").line(row.line));
            }
        }
        number += 1;
        if row.is_cut {
            continue;
        }
        let start = plan.start(&row);
        lacks_start |= start.is_empty();
        if start != last_start {
            dates.see(&start);
            last_start = start;
        }
        let numbers = [Field::Value, Field::Low, Field::High].into_iter().filter_map(|field| plan.column(field));
        for column in numbers.chain(plan.measures.iter().map(|measure| measure.column)) {
            match fraction(row.cell(column)) {
                Some(b'.') => points += 1,
                Some(_) => commas += 1,
                None => {}
            }
        }
    }
    let decimal = match options.decimal_sign {
        Some(given) => given,
        None if commas > 0 && points > 0 => {
            let message = "some numbers have a decimal point and some a comma: set the option `decimal_sign`";
            return Err(Error::validation(message).code("decimal_sign"));
        }
        None if commas > 0 => DecimalSign::Comma,
        None => DecimalSign::Point,
    };
    Ok(Survey { units, dates: dates.format()?, decimal, lacks_start })
}

/// Takes the rows below the header that say something of the columns.
///
/// # Errors
/// What reading gives.
pub fn header_rows(source: &mut Source, plan: &mut Plan, options: &ReportFields) -> Result<()> {
    if plan.is_steps {
        return Ok(());
    }
    for given in &options.header_rows {
        let Some(row) = source.next()? else { return Ok(()) };
        plan.take_header_row(&row, Some(*given));
    }
    while let Some(row) = source.next()? {
        if !plan.take_header_row(&row, None) {
            source.give_back(row);
            break;
        }
    }
    Ok(())
}

/// What parts the whole number from its fraction, where the text is a number that has one.
fn fraction(text: &str) -> Option<u8> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let at = digits.find(['.', ','])?;
    let (whole, rest) = (digits.get(..at)?, digits.get(at + 1..)?);
    let mantissa = rest.split(['e', 'E']).next()?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!mantissa.is_empty() && is_number(whole) && is_number(mantissa)).then(|| digits.as_bytes().get(at).copied())?
}
