//! `cargo xtask bench converters`: what stations write, made longer, through each converter of reports in the sandbox, beside a converter that
//! only copies.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::term::{self, say, section};
use crate::workspace::Workspace;
use crate::{build, setup};

/// How long a file is made.
const BYTES: usize = 20_000_000;
/// What the files do not say.
const OPTIONS: &str =
    r#"{"part_number": "P", "revision": "1", "operation_code": 10, "station": "S", "location": "L", "purpose": "T", "timezone": "UTC"}"#;

/// How a file is made longer.
#[derive(Clone, Copy)]
enum Longer {
    /// It follows itself again and again.
    Whole,
    /// What is between the first of one text and the last of another does.
    Between(&'static str, &'static str),
    /// So do the rows of the tables in the folder of its name, up to so many.
    Tables(usize),
    /// It stays as it is: it is long enough, or cannot be longer.
    No,
}

/// A converter, a file below `tests/data`, and how that is made longer.
const SAMPLES: [(&str, &str, Longer); 13] = [
    ("gr228x", "gr228x/43420_BIO2_Extended.LOG", Longer::Whole),
    ("klippel", "klippel/DUT xyz115 2020-05-14 10-01-37-5 UTC+0200.txt", Longer::Tables(90_000)),
    ("listen", "listen/wats18.txt", Longer::Whole),
    ("spea", "spea/three-runs.csv", Longer::Whole),
    ("stdf", "stdf/lot2.stdf.bz2", Longer::No),
    ("takaya", "takaya/PB2939800_E_BOT-20230420130239.ATD", Longer::Whole),
    ("takaya", "takaya/WO250319-0162__20250525_122655.atdx.bz2", Longer::Whole),
    ("teststand", "teststand/three-units.xml", Longer::Between("<Report ", "</Reports>")),
    ("teststand", "teststand/TsWithoutWats.xml", Longer::Between("<Report ", "</Reports>")),
    ("wats", "wats/new_report_example.json", Longer::No),
    ("wats", "wats/uut-wsxf-export.xml", Longer::Between("<Report ", "</Reports>")),
    ("wats", "wats/three-units.wstf.txt", Longer::Whole),
    ("xjtag", "xjtag/567567.xml", Longer::Between("<testgroup", "<summary")),
];

/// Runs it.
///
/// # Errors
/// Where a converter fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::wasm_section(workspace)?;
    section("build");
    term::command("host, optimised", &mut workspace.cargo(&["build", "--release", "-p", "dropforge"]))?;
    build::plugins(workspace, "release")?;
    build::guest(workspace, "release", "copy")?;

    section("each converter on its file, beside a copy of the same bytes; best of 5, in turns");
    let folder = workspace.target.join("bench").join("converters");
    fs::create_dir_all(&folder)?;
    for (converter, file, longer) in SAMPLES {
        let sample = workspace.root.join("tests/data").join(file);
        let input = lengthen(&sample, &folder, longer).with_context(|| format!("cannot make {file} longer"))?;
        let mut command = std::process::Command::new(workspace.binary("release"));
        command.args(["bench", "convert", "--options", OPTIONS, "--converter"]).arg(workspace.plugins().join(format!("{converter}.wasm")));
        command.arg("--input").arg(&input);
        if input.with_extension("").is_dir() {
            // A mere copy does not read them.
            command.arg("--members").arg(input.with_extension(""));
        } else {
            command.arg("--beside").arg(workspace.plugins().join("copy.wasm"));
        }
        let output = command.output().with_context(|| format!("cannot start `{}`", term::shown(&command)))?;
        anyhow::ensure!(output.status.success(), "`{}` failed: {}", term::shown(&command), String::from_utf8_lossy(&output.stderr));
        say(file);
        say(String::from_utf8_lossy(&output.stdout).lines().map(|line| format!("   {line}\n")).collect::<String>());
    }
    Ok(())
}

/// Writes a file, unpacked and made longer, into a folder.
fn lengthen(sample: &Path, folder: &Path, longer: Longer) -> Result<PathBuf> {
    let mut bytes = fs::read(sample).with_context(|| format!("cannot read {}", sample.display()))?;
    let mut into = folder.join(sample.file_name().unwrap_or_default());
    if sample.extension().is_some_and(|extension| extension == "bz2") {
        let packed = std::mem::take(&mut bytes);
        bzip2::read::BzDecoder::new(packed.as_slice()).read_to_end(&mut bytes)?;
        into.set_extension("");
    }
    match longer {
        Longer::No => {}
        Longer::Whole => bytes = repeated(&[], bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes), &[]),
        Longer::Between(from, to) => {
            let text = String::from_utf8(bytes).context("it is no UTF-8")?;
            let (from, to) = (text.find(from).unwrap_or_default(), text.rfind(to).unwrap_or(text.len()));
            let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().as_bytes();
            bytes = repeated(part(0, from), part(from, to), part(to, text.len()));
        }
        Longer::Tables(rows) => tables(&sample.with_extension(""), &into.with_extension(""), rows)?,
    }
    fs::write(&into, bytes)?;
    Ok(into)
}

/// `body` as often as makes it [`BYTES`] long, between `head` and `tail`.
fn repeated(head: &[u8], body: &[u8], tail: &[u8]) -> Vec<u8> {
    let times = BYTES.div_ceil(body.len().max(1));
    [head, &body.repeat(times), tail].concat()
}

/// Copies a folder of tables; those with more than a few rows get up to `rows`.
fn tables(from: &Path, into: &Path, rows: usize) -> Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let (head, body) = text.split_once('\n').unwrap_or((&text, ""));
        let times = if body.lines().count() > 10 { rows / body.lines().count() } else { 1 };
        fs::write(into.join(entry.file_name()), format!("{head}\n{}", body.repeat(times)))?;
    }
    Ok(())
}
