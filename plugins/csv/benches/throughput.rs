//! The converter, compiled natively, beside the `csv` crate with `serde_json` for the strings: `cargo bench -p dropforge-plugin-csv`.
//! What counts is the ratio; the megabytes per second are those of the machine and the moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;
use std::time::Instant;

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{TestInput, convert};

const ROWS: usize = 400_000;
const RUNS: usize = 5;

fn main() {
    for (name, table) in [("mixed cells", mixed(false)), ("everything quoted", mixed(true)), ("short cells", short())] {
        let size = table.len() as f64 / 1e6;
        let (mut ours, mut crates) = (f64::MAX, f64::MAX);
        for _ in 0..RUNS {
            let input = TestInput::new("table.csv", table.clone());
            let start = Instant::now();
            let run = convert::<Csv>(input, serde_json::json!({}));
            ours = ours.min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let other = with_crates(&table);
            crates = crates.min(start.elapsed().as_secs_f64());
            assert_eq!(
                run.documents[0].bytes.iter().filter(|byte| **byte == b'\n').count(),
                other.iter().filter(|byte| **byte == b'\n').count()
            );
        }
        println!("{name}: {:.0} MB/s, {:.1} times the csv crate with serde_json ({:.0} MB/s)", size / ours, crates / ours, size / crates);
    }
}

fn with_crates(table: &[u8]) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(table);
    let header = reader.headers().unwrap().clone();
    let (mut out, mut record) = (Vec::new(), csv::StringRecord::new());
    while reader.read_record(&mut record).unwrap() {
        for (index, (name, cell)) in header.iter().zip(&record).enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            serde_json::to_writer(&mut out, name).unwrap();
            out.push(b':');
            serde_json::to_writer(&mut out, cell).unwrap();
        }
        out.extend_from_slice(b"}\n");
    }
    out
}

/// A station's table: ten columns of identifiers, times, numbers, words and some quotes.
fn mixed(quoted: bool) -> Vec<u8> {
    let q = if quoted { "\"" } else { "" };
    let mut out = b"serial,start,result,count,value,flag,name,ref,limit,code\n".to_vec();
    for row in 0..ROWS {
        let (spread, name) = (row * 7919 % 9973, ["\"Oslo, NO\"", "step name", "\"say \"\"x\"\" now\"", "probe"][row % 4]);
        let name = if quoted && !name.starts_with('"') { format!("\"{name}\"") } else { name.into() };
        let time = format!("2026-11-{:02} {:02}:{:02}:{:02}", 1 + row % 28, row % 24, row % 60, spread % 60);
        let (value, limit, word) = (spread as f64 / 1000.0 - 5.0, spread as f64 / 100.0, ["PASS", "FAIL", "SKIP"][spread % 3]);
        let flag = spread % 2 == 0;
        writeln!(
            out,
            "{q}SN{row:07}{q},{q}{time}{q},{q}{word}{q},{q}{spread}{q},{q}{value:.3}{q},{q}{flag}{q},{name},{q}R{}{q},{q}{limit:.2}{q},{q}{}{q}",
            row % 300,
            row % 2
        )
        .unwrap();
    }
    out
}

fn short() -> Vec<u8> {
    let mut out = b"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n".to_vec();
    for row in 0..ROWS {
        writeln!(out, "{},x,,{},y,1,0,z,-1,w,{},,,true,5,v", row % 10, row % 7, row % 3).unwrap();
    }
    out
}
