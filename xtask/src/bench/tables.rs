//! The tables that are measured with: measurements of a test station, the same for the same number of rows.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Ten columns of identifiers, times, numbers, words, and a few quotes.
    Station,
    /// The same with quotes around every cell.
    Quoted,
    /// Sixteen columns of one character or two, and nothing.
    Short,
}

impl Table {
    pub(super) const ALL: [Table; 3] = [Table::Station, Table::Quoted, Table::Short];

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Table::Station => "station",
            Table::Quoted => "quoted",
            Table::Short => "short",
        }
    }

    /// Writes it.
    pub(super) fn write(self, path: &Path, rows: u64) -> Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut line = String::new();
        let mut random = Random(0x5EED);
        match self {
            Table::Short => file.write_all(b"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n")?,
            Table::Station | Table::Quoted => file.write_all(b"serial,time,station,step,value,low,high,unit,status,comment\n")?,
        }
        for row in 0..rows {
            line.clear();
            match self {
                Table::Short => short(&mut line, &mut random)?,
                Table::Station => station(&mut line, row, &mut random, false)?,
                Table::Quoted => station(&mut line, row, &mut random, true)?,
            }
            line.push('\n');
            file.write_all(line.as_bytes())?;
        }
        file.flush()?;
        Ok(())
    }
}

fn station(line: &mut String, row: u64, random: &mut Random, quoted: bool) -> Result<()> {
    let second = row / 25;
    let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let (day, station, step) = (1 + second / 86_400 % 28, random.below(8), random.below(400));
    let value = random.below(2_000_000) as f64 / 1e4;
    let unit = match random.below(4) {
        0 => "V",
        1 => "mA",
        2 => "Ohm",
        _ => "nF",
    };
    let status = if random.below(50) == 0 { "FAIL" } else { "PASS" };
    let serial = 1_000_000 + row / 40;
    let q = if quoted { "\"" } else { "" };
    write!(line, "{q}SN{serial}{q},{q}2026-03-{day:02}T{hours:02}:{minutes:02}:{seconds:02}{q},{q}ICT-{station}{q},{q}{step}{q},")?;
    write!(line, "{q}{value:.3}{q},")?;
    match random.below(10) {
        0 => write!(line, "{q}{q},{q}{q},")?,
        _ => write!(line, "{q}{:.1}{q},{q}{:.1}{q},", value - 1.5, value + 1.5)?,
    }
    write!(line, "{q}{unit}{q},{q}{status}{q},")?;
    match random.below(20) {
        0 => line.push_str("\"probe moved, measured again\""),
        1 => line.push_str("\"limit \"\"B\"\"\""),
        2..5 => write!(line, "{q}fixture {}{q}", random.below(90) + 10)?,
        _ => write!(line, "{q}{q}")?,
    }
    Ok(())
}

fn short(line: &mut String, random: &mut Random) -> Result<()> {
    let (a, b, c, d) = (random.below(10), random.below(7), random.below(3), random.below(100));
    Ok(write!(line, "{a},x,,{b},y,1,0,z,-1,w,{c},,,true,{d},v")?)
}

/// A linear congruential generator (Knuth's MMIX): no more is needed, and it is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_tables_have_the_sizes_that_are_reported() {
        for (table, columns, size) in [(Table::Station, 10, 1.385..1.395), (Table::Quoted, 10, 1.75..1.80), (Table::Short, 16, 0.67..0.69)]
        {
            let path = std::env::temp_dir().join(format!("dropforge-bench-{}-{}.csv", table.name(), std::process::id()));
            table.write(&path, 20_000).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            assert_eq!((text.lines().count(), text.lines().next().unwrap().split(',').count()), (20_001, columns));
            let megabytes = text.len() as f64 / 1e6;
            assert!(size.contains(&megabytes), "{megabytes} MB for a hundredth of the rows of `{}`", table.name());
        }
    }
}
