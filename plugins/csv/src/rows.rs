//! Reads rows into a table, window by window, and has broken ones judged. It knows nothing of what becomes of rows.

mod ends;
mod faults;

use std::rc::Rc;

use dropforge_sdk::{Input, Result};

use crate::cells::{Cells, Size};
use crate::detect::layout::Layout;
use crate::detect::sections::{Found, Known, Section, Window};
use crate::head::Head;
use crate::options::{OnError, Options};
use crate::output::Table;
use crate::problems::{Fate, Fault, Kind, Problems};
use crate::reader::{Dialect, Record, Records, Sink, Step};
use crate::text::Text;
pub use ends::Ends;
use ends::Start;
use faults::{faults, words};

/// The rows of an input from where it is.
pub struct Rows<'a, 'i> {
    dialect: Dialect,
    /// The table that is being read.
    table: Known,
    /// Whether the text is looked at for further tables, and for lines below the last one.
    ends: Ends,
    /// The next table, where one was found.
    next: Option<Section>,
    /// What stands below the last one.
    footer: String,
    /// Whether the last line was a blank one.
    after_blank: bool,
    text: Text<'a, 'i>,
    /// How much of the window is read.
    read: usize,
    ended: bool,
    policy: OnError,
    /// Whether rows are looked at for what could not be decoded.
    judges_replaced: bool,
    problems: Problems,
    rows: u64,
    /// How many records were so long that a quote in them was doubted.
    long: u32,
}

/// A record that is longer than this is looked at for a quote that never closes: one would swallow all of a large file, and more memory than
/// there is. A quoted cell that is longer than this is not told from that.
const LONG: usize = 64 << 20;
/// How many records are looked at so: each costs a reading of as much text.
const MOST_LONG: u32 = 16;

impl<'a, 'i> Rows<'a, 'i> {
    /// The rows of `input`, from what its head shows.
    ///
    /// # Errors
    /// What the host says; the first fault, where the policy is strict, here and below.
    pub fn open(input: &'a mut Input<'i>, options: &Options, head: &Head) -> Result<Self> {
        let end = head.tail.as_ref().map_or(u64::MAX, |tail| tail.from);
        let text = Text::new(input, head.encoding.map(|(encoding, _)| encoding)).until(end);
        let (policy, problems) = (options.on_error, Problems::new(options.on_error));
        let Layout { dialect, header, columns, preamble, indent, .. } = head.layout;
        let mut rows = Rows {
            dialect,
            table: Known { columns, header, names: Rc::default() },
            ends: Ends::default(),
            next: None,
            footer: head.tail.as_ref().map_or_else(String::new, |tail| tail.text.clone()),
            after_blank: false,
            text,
            read: 0,
            ended: false,
            policy,
            judges_replaced: false,
            problems,
            rows: 0,
            long: 0,
        };
        rows.fill()?;
        for _ in 0..preamble {
            while !rows.text.skip_line() {
                rows.fill()?;
            }
        }
        while indent > 0 && rows.text.end() < indent && !rows.text.ended() {
            rows.fill()?;
        }
        rows.text.skip(indent);
        Ok(rows)
    }

    /// Says what is to be looked for besides rows. Without it, whatever follows the first row of a table is a row of it.
    pub fn ending(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// Goes on to the next table, which ended the rows of the last one; none where there is none.
    pub fn next_table(&mut self) -> Option<Section> {
        let section = self.next.take()?;
        self.table = Known { columns: section.columns, header: section.header, names: Rc::default() };
        self.text.skip(section.at);
        self.read = 0;
        Some(section)
    }

    /// The lines below the last table.
    pub fn footer(&self) -> &str {
        &self.footer
    }

    /// The text that is read.
    pub fn text(&self) -> &Text<'a, 'i> {
        &self.text
    }

    /// The dialect that it is read in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How many rows the tables have got, those that were left out not counted.
    pub fn count(&self) -> u64 {
        self.rows
    }

    /// What was wrong so far.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// Moves the window on over what is read. What cannot be decoded in what is new is told at once where all of it is kept; otherwise
    /// the rows that hold it are judged.
    fn fill(&mut self) -> Result<()> {
        self.text.refill(std::mem::take(&mut self.read))?;
        let replaced = self.text.take_replaced();
        self.judges_replaced |= replaced.count > 0 && self.policy != OnError::Lenient;
        if self.policy == OnError::Lenient && replaced.count > 0 {
            let faults: Vec<Fault> = replaced.first.iter().map(|at| Fault { kind: Kind::Encoding, at: *at }).collect();
            self.problems.keep(&faults, |fault| words(fault, None, 0, "", &self.text))?;
            self.problems.count(Kind::Encoding, replaced.count - replaced.first.len() as u64);
        }
        Ok(())
    }

    /// Reads the rows that name the columns; the words for one column are joined by spaces.
    ///
    /// # Errors
    /// As [`Rows::open`].
    pub fn names(&mut self) -> Result<Rc<Cells>> {
        let mut names = Rc::new(self.row_of_names()?);
        self.table.names = Rc::clone(&names);
        for _ in 1..self.table.header {
            let (more, mut both) = (self.row_of_names()?, Cells::default());
            for column in 0..names.count().max(more.count()) {
                let (name, more) = (names.get(column), more.get(column));
                let space: &[u8] = if name.is_empty() || more.is_empty() { b"" } else { b" " };
                both.add(&[name, space, more]);
            }
            names = Rc::new(both);
        }
        Ok(names)
    }

    /// How many cells the next record has. The table is as wide as that.
    ///
    /// # Errors
    /// As [`Rows::open`].
    pub fn width(&mut self) -> Result<usize> {
        let columns = self.whole_record()?.map_or(0, |size| size.cells);
        self.table.columns = columns;
        Ok(columns)
    }

    fn row_of_names(&mut self) -> Result<Cells> {
        let Some(size) = self.whole_record()? else { return Ok(Cells::default()) };
        let mut names = Cells::with_room(size);
        let (step, at) = self.next_record(&mut names);
        let Step::Record(record) = step else { return Ok(Cells::default()) };
        // The names say how many columns there are; none of them is one too many.
        let record = Record { extra: None, ..record };
        let nul = names.iter().any(|name| name.contains(&0));
        let mut faults = faults(&record, nul, self.judges_replaced, record.cells, &self.text);
        faults.sort_by_key(|fault| fault.at);
        self.problems.keep(&faults, |fault| words(fault, Some(&record), 0, "", &self.text))?;
        self.text.skip(at);
        Ok(names)
    }

    /// The size of the record that the window begins with; the window grows until it holds it.
    ///
    /// Nothing is kept meanwhile, since a header may have a million names.
    fn whole_record(&mut self) -> Result<Option<Size>> {
        loop {
            let mut size = Size::default();
            match self.next_record(&mut size) {
                (Step::Record(_), _) => return Ok(Some(size)),
                (Step::More, at) => {
                    self.read = at;
                    self.fill()?;
                }
                (Step::Blank | Step::Comment | Step::End, _) => return Ok(None),
            }
        }
    }

    /// The record that the window begins with, and where it ends.
    fn next_record(&self, sink: &mut dyn Sink) -> (Step, usize) {
        let (padded, end, ended) = (self.text.padded(), self.text.end(), self.text.ended());
        let mut records = Records::new(self.dialect, padded, end, ended).expecting(self.table.columns);
        loop {
            match records.next(sink) {
                Step::Blank | Step::Comment => {}
                step => return (step, records.at()),
            }
        }
    }

    /// Reads the rows of one window into the table. Whether there may be more.
    ///
    /// # Errors
    /// As [`Rows::open`]; what the table says.
    pub fn window(&mut self, table: &mut impl Table) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.read > 0 {
            self.fill()?;
        }
        let Rows { text, problems, dialect, judges_replaced, rows, ends, after_blank, table: known, .. } = self;
        let columns = table.columns();
        known.columns = columns;
        let mut records = Records::new(*dialect, text.padded(), text.end(), text.ended()).expecting(columns);
        let starts = if ends.tables > 0 { Start::of_names(&known.names, *dialect) } else { [None; 2] };
        let (ended, found) = loop {
            match records.next(table) {
                Step::Record(record) => {
                    let start = record.start;
                    let is_like_names = starts.iter().flatten().any(|wanted| wanted.is_at(text.padded(), start));
                    if (record.cells != columns || *after_blank || is_like_names) && ends.are_looked_for() {
                        let window = Window { padded: text.padded(), end: text.end(), last: text.ended() };
                        match ends.look(*dialect, window, start, known, *after_blank) {
                            Found::Row => {}
                            found => {
                                table.restart();
                                break (false, Some((found, start)));
                            }
                        }
                    }
                    *after_blank = false;
                    if record.cells != columns || table.has_nul() || record.is_odd() || *judges_replaced {
                        let mut faults = faults(&record, table.has_nul(), *judges_replaced, columns, text);
                        let name = || table.name(record.cells.min(columns));
                        let words = |fault| words(fault, Some(&record), columns, &name(), text);
                        if problems.judge(&mut faults, words)? == Fate::Skipped {
                            table.leave_out(&record, text)?;
                            continue;
                        }
                    }
                    *rows += 1;
                    table.end_row(&record, text)?;
                }
                Step::Blank => *after_blank = true,
                Step::Comment => {}
                Step::More => break (false, None),
                Step::End => break (true, None),
            }
        };
        match found {
            Some((Found::Table(section), _)) => {
                (self.next, self.after_blank) = (Some(section), false);
                return Ok(false);
            }
            Some((Found::Footer(footer), _)) => {
                (self.footer, self.ended) = (footer, true);
                return Ok(false);
            }
            Some((_, start)) => {
                // What follows decides: the window has to grow.
                self.read = start;
                self.fill()?;
                return Ok(true);
            }
            None => {}
        }
        let at = records.at();
        (self.read, self.ended) = (at, ended);
        if at == 0 && !ended && !self.doubt(table)? {
            // Not one record fits: the window has to grow.
            self.fill()?;
        }
        Ok(!ended)
    }

    /// Reads the record that the window begins with, if a quote in it does not close within a window that is very long: as if the text
    /// ended there. Answers whether it did; where not, the record is only long.
    #[cold]
    fn doubt(&mut self, table: &mut impl Table) -> Result<bool> {
        if self.text.end() < LONG || self.long >= MOST_LONG {
            return Ok(false);
        }
        self.long += 1;
        let columns = table.columns();
        let mut records = Records::new(self.dialect, self.text.padded(), self.text.end(), true).expecting(columns);
        let step = loop {
            match records.next(table as &mut dyn Sink) {
                Step::Blank | Step::Comment => {}
                step => break step,
            }
        };
        let at = records.at();
        let Step::Record(record) = step else { return Ok(false) };
        if record.unclosed.is_none() && !record.mended {
            table.restart();
            return Ok(false);
        }
        let mut faults = faults(&record, table.has_nul(), self.judges_replaced, columns, &self.text);
        let name = || table.name(record.cells.min(columns));
        let words = |fault| words(fault, Some(&record), columns, &name(), &self.text);
        if self.problems.judge(&mut faults, words)? == Fate::Skipped {
            table.leave_out(&record, &self.text)?;
        } else {
            self.rows += 1;
            table.end_row(&record, &self.text)?;
        }
        // The next records are in this window already.
        self.text.skip(at);
        Ok(true)
    }
}
