//! `output = "reports"`: parts, from PIR to PRR. Several may be tested at once, their records mixed; those of a part are kept as they are until it
//! ends, and then written as a report.

use std::collections::{BTreeMap, BTreeSet};

use dropforge_sdk::report::{ReportOptions, Reporter, SequenceCall, Step, Steps};
use dropforge_sdk::text::Encoding;
use dropforge_sdk::{Error, Input, Outcome, Output, Result};

use crate::fields::Fields;
use crate::layout::layout;
use crate::lot::Lot;
use crate::serial::Template;
use crate::source::{Kind, Order, Record, Records};
use crate::tests_of::{self, Defaults, FTR, MPR, PTR};

const MIR: Kind = (1, 10);
const MRR: Kind = (1, 20);
const PMR: Kind = (1, 60);
const WIR: Kind = (2, 10);
const WRR: Kind = (2, 20);
const PIR: Kind = (5, 10);
const PRR: Kind = (5, 20);
const BPS: Kind = (20, 10);
const EPS: Kind = (20, 20);

/// How many bytes the records of the parts may have that are not at their end yet.
const MAX_HELD: usize = 64 << 20;
/// What keeping a record costs besides its bytes.
const HELD_EACH: usize = size_of::<Item>();

/// A record that is kept.
#[derive(Clone, Copy)]
struct Item {
    kind: Kind,
    offset: u64,
    length: u16,
}

/// A part that is being tested.
struct Open {
    offset: u64,
    items: Vec<Item>,
    bytes: Vec<u8>,
    /// What is wrong with it: it will have no report.
    broken: Option<Error>,
}

/// A test head and a site.
type Place = (u8, u8);

struct Parts<'o> {
    serial: &'o Template,
    encoding: Encoding,
    reports: Reporter,
    lot: Lot,
    defaults: Defaults,
    open: BTreeMap<Place, Open>,
    held: usize,
    /// Places at which something stood outside of a part, which was told.
    strays: BTreeSet<Place>,
}

/// Writes a report of each part.
///
/// # Errors
/// What is wrong with the file or its first part, where there is no report.
pub(crate) fn convert(input: &mut Input<'_>, options: &ReportOptions, serial: &Template, output: &mut Output) -> Result<Outcome> {
    let reports = Reporter::open(input, options)?;
    let mut records = Records::open(input)?;
    let mut parts = Parts {
        serial,
        encoding: options.encoding,
        reports,
        lot: Lot::default(),
        defaults: Defaults::default(),
        open: BTreeMap::new(),
        held: 0,
        strays: BTreeSet::new(),
    };
    let mut seen = false;
    let mut whole = false;
    let mut unknown: Option<(Kind, u64, u64)> = None;
    loop {
        let result = match records.next_record() {
            Ok(None) => break,
            Ok(Some(record)) => {
                whole |= record.kind == MRR;
                seen |= record.kind == PIR;
                if layout(record.kind).is_none() {
                    unknown.get_or_insert((record.kind, record.offset, 0)).2 += 1;
                }
                parts.record(&record, output)
            }
            Err(error) => {
                // That is said, and why parts are not whole; not also that the file lacks its end.
                whole = true;
                Err(error)
            }
        };
        parts.reports.set_aside(output, result)?;
    }
    for (_, part) in std::mem::take(&mut parts.open) {
        let error = Error::malformed("the file ends before the PRR of the part that begins here").code("truncated").offset(part.offset);
        parts.reports.set_aside(output, Err(error))?;
    }
    if !seen && parts.reports.nothing_yet() {
        return Err(Error::missing_field("the file has no part: there is no record PIR").code("no_parts").offset(0));
    }
    if !whole {
        output.warn(Error::malformed("the file has no record MRR at its end: parts may be missing").code("no_mrr"))?;
    }
    if let Some(((kind, sub), offset, count)) = unknown {
        let message = format!("{count} records of kinds that are not STDF V4's were left out, the first of them of the kind {kind}.{sub}");
        output.warn(Error::unsupported(message).code("unknown_record").offset(offset))?;
    }
    parts.reports.conclude(output)
}

impl Parts<'_> {
    fn fields(&self, record: &Record<'_>) -> Result<Fields> {
        layout(record.kind).map_or_else(|| Ok(Fields(Vec::new())), |layout| Fields::of(record, layout, self.encoding))
    }

    fn record(&mut self, record: &Record<'_>, output: &mut Output) -> Result<()> {
        match (record.kind, record.body) {
            (MIR, _) => self.lot.master(&self.fields(record)?),
            (WIR, _) => self.lot.wafer(&self.fields(record)?),
            (WRR, _) => self.lot.wafer_ends(&self.fields(record)?),
            (PMR, _) => self.lot.pin(&self.fields(record)?),
            (PIR, [head, site, ..]) => return self.begin((*head, *site), record.offset),
            (PRR, [head, site, ..]) => return self.end((*head, *site), record, output),
            (PTR | MPR | FTR, [_, _, _, _, head, site, ..]) => return self.test((*head, *site), record),
            // A section of the test program is that of all parts that are tested.
            (BPS | EPS, _) => {
                let places: Vec<Place> = self.open.keys().copied().collect();
                for place in places {
                    self.keep(place, record);
                }
            }
            (PIR | PRR | PTR | MPR | FTR, _) => {
                // It may be of any of them.
                let error = Error::malformed("a record that ends before it says of which part it is").code("record").offset(record.offset);
                if self.open.is_empty() {
                    return Err(error);
                }
                self.open.values_mut().for_each(|part| part.broken = part.broken.take().or_else(|| Some(error.clone())));
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, place: Place, offset: u64) -> Result<()> {
        self.strays.remove(&place);
        let before = self.open.insert(place, Open { offset, items: Vec::new(), bytes: Vec::new(), broken: None });
        match before {
            None => Ok(()),
            Some(part) => {
                self.held -= part.size();
                let (head, site) = place;
                let message = format!("another part begins at head {head}, site {site} before the PRR of this one");
                Err(part.broken.unwrap_or_else(|| Error::malformed(message).code("no_end").offset(part.offset)))
            }
        }
    }

    /// A record at a place where no part is tested, which is told once until one is.
    fn stray(&mut self, (head, site): Place, offset: u64) -> Result<()> {
        if !self.strays.insert((head, site)) {
            return Ok(());
        }
        let message = format!("a record of head {head}, site {site} stands outside of a part, which begins with PIR");
        Err(Error::malformed(message).code("outside").offset(offset))
    }

    fn test(&mut self, place: Place, record: &Record<'_>) -> Result<()> {
        let number = record.body.first_chunk::<4>().map(|bytes| match record.order {
            Order::Big => u32::from_be_bytes(*bytes),
            Order::Little => u32::from_le_bytes(*bytes),
        });
        // What the first record of a test says holds in the order of the file, which that of the reports is not.
        if let Some(number) = number.map(i64::from)
            && self.defaults.lacks(record.kind, number)
        {
            let taken = self.fields(record).and_then(|fields| self.defaults.take(record.kind, number, &fields));
            if let (Err(error), Some(part)) = (taken, self.open.get_mut(&place)) {
                let error = if error.at.is_some() { error } else { error.offset(record.offset) };
                part.broken.get_or_insert(error);
            }
        }
        if !self.open.contains_key(&place) {
            return self.stray(place, record.offset);
        }
        self.keep(place, record);
        Ok(())
    }

    fn keep(&mut self, place: Place, record: &Record<'_>) {
        let Some(part) = self.open.get_mut(&place).filter(|part| part.broken.is_none()) else { return };
        if self.held + record.body.len() + HELD_EACH > MAX_HELD {
            self.held -= part.size();
            (part.items, part.bytes) = (Vec::new(), Vec::new());
            let message = format!("the parts that are tested at once have more than {} MiB of records", MAX_HELD >> 20);
            part.broken = Some(Error::unsupported(message).code("too_large").offset(record.offset));
            return;
        }
        self.held += record.body.len() + HELD_EACH;
        part.items.push(Item { kind: record.kind, offset: record.offset, length: u16::try_from(record.body.len()).unwrap_or(u16::MAX) });
        part.bytes.extend_from_slice(record.body);
    }

    fn end(&mut self, place: Place, record: &Record<'_>, output: &mut Output) -> Result<()> {
        let Some(part) = self.open.remove(&place) else { return self.stray(place, record.offset) };
        self.held -= part.size();
        if let Some(error) = part.broken {
            return Err(error);
        }
        let fields = self.fields(record)?;
        let clock = self.reports.clock().clone();
        let (unit, warning) = self.lot.unit(&fields, self.serial, &clock).map_err(|error| place_of(error, record.offset))?;
        let (lot, defaults, encoding, order) = (&self.lot, &self.defaults, self.encoding, record.order);
        let mut held = Held { items: part.items.iter(), bytes: &part.bytes, lot, defaults, encoding, order };
        let written = self.reports.test(output, |steps| {
            if let Some(warning) = warning {
                steps.warn(place_of(warning, record.offset));
            }
            held.section(steps, 0)?;
            Ok(unit)
        });
        written.map_err(|error| place_of(error, record.offset))
    }
}

impl Open {
    fn size(&self) -> usize {
        self.bytes.len() + self.items.len() * HELD_EACH
    }
}

/// The records of one part, to be read in their order.
struct Held<'p> {
    items: std::slice::Iter<'p, Item>,
    bytes: &'p [u8],
    lot: &'p Lot,
    defaults: &'p Defaults,
    encoding: Encoding,
    order: Order,
}

impl Held<'_> {
    /// Writes the steps of a section of the test program, or of all of it.
    fn section(&mut self, steps: &mut Steps<'_>, depth: usize) -> Result<()> {
        while let Some(item) = self.items.next() {
            let (body, rest) =
                self.bytes.split_at_checked(item.length.into()).ok_or_else(|| Error::internal("a record was not kept whole"))?;
            self.bytes = rest;
            let record = Record { kind: item.kind, offset: item.offset, body, order: self.order };
            if item.kind == EPS {
                // Where none is open, its beginning was before the part's.
                if depth > 0 {
                    return Ok(());
                }
                continue;
            }
            let Some(layout) = layout(item.kind) else { continue };
            let fields = Fields::of(&record, layout, self.encoding)?;
            let written = if item.kind == BPS {
                let step = Step::named(fields.text("SEQ_NAME").unwrap_or("Section"));
                steps.sequence(&step, &SequenceCall::default(), |steps| self.section(steps, depth + 1).map(|()| None)).map(drop)
            } else {
                tests_of::write(item.kind, &fields, self.defaults, self.lot, steps)
            };
            written.map_err(|error| place_of(error, item.offset))?;
        }
        Ok(())
    }
}

/// An error with a place, if it has none.
fn place_of(error: Error, offset: u64) -> Error {
    if error.at.is_some() { error } else { error.offset(offset) }
}
