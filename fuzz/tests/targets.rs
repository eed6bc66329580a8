//! The targets: whatever the bytes, none of these panics, and what each promises holds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use dropforge::config::{self, Need, Overrides, Sources};
use dropforge::plugins::{LoadCause, LoadLimits, LoadSettings, Options, load_file, set_compiler};
use dropforge::sandbox::{Limits, Sandbox, THREAD_STACK};
use dropforge_fuzz::fuzz;
use dropforge_plugin_csv::Csv;
use dropforge_plugin_gr228x::Gr228x;
use dropforge_plugin_junit::Junit;
use dropforge_plugin_klippel::Klippel;
use dropforge_plugin_listen::Listen;
use dropforge_plugin_spea::Spea;
use dropforge_plugin_stdf::Stdf;
use dropforge_plugin_takaya::Takaya;
use dropforge_plugin_teststand::Teststand;
use dropforge_plugin_wats::Wats;
use dropforge_plugin_xjtag::Xjtag;
use dropforge_sdk::Converter;
use dropforge_sdk::testkit::{self, TestInput};
use dropforge_tests::attack;
use serde_json::{Map, Value, json};

/// Runs a target on a thread with the stack that the daemon and the compiling process have.
fn on_a_large_stack(target: impl FnOnce() + Send + 'static) {
    if let Err(panic) = thread::Builder::new().stack_size(THREAD_STACK).spawn(target).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// The files of a folder of `tests/data`, cut to a few thousand bytes.
fn data(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap().into_iter().take(4_000).collect()).collect()
}

/// A file is a plugin, or is refused with a sentence. As in the daemon, the real binary compiles it in a process of its own: that one may
/// die of it (of a package that needs itself wit-parser follows the needs until its stack ends), this one not.
#[test]
fn the_load_pipeline() {
    set_compiler(dropforge_tests::dropforge());
    let sandbox = Sandbox::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let limits = LoadLimits {
        compile_time: Duration::from_secs(10),
        describe: Limits { wall_time: Duration::from_millis(50), ..Limits::for_describe() },
        ..LoadLimits::default()
    };
    let seeds = attack::all().into_iter().filter(|attack| attack.name != "compile-bomb").map(|attack| attack.plugin);
    fuzz("plugins", seeds.collect(), &["\0asm", "component-type", "name", "producers"], 300, |bytes| {
        let plugin = folder.path().join("plugin.wasm");
        fs::write(&plugin, bytes).unwrap();
        let compiled = folder.path().join("compiled");
        match load_file(&plugin, &sandbox, LoadSettings { limits: limits.clone(), ..LoadSettings::from(&compiled) }) {
            Ok(plugin) => assert!(!plugin.descriptor.name.is_empty()),
            Err(error) => {
                let environment =
                    matches!(*error.cause, LoadCause::Io(_) | LoadCause::Compiled(_) | LoadCause::Sandbox(_) | LoadCause::Changed);
                assert!(!environment, "{error}");
                assert!(!error.cause.to_string().is_empty());
            }
        }
        let left = fs::read_dir(&compiled).unwrap().filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        assert_eq!(left.count(), 0, "an unfinished file was left");
    });
}

/// Whatever is in a file, a converter answers, and what it makes is what its media type says: JSON, line by line or in one.
fn conversions<C: Converter>(name: &str, bytes: &[u8]) {
    let probe = testkit::probe::<C>(TestInput::new(name, bytes));
    assert!(probe.confidence <= 100);
    let conversion = testkit::convert::<C>(TestInput::new(name, bytes), json!({}));
    if let Err(error) = &conversion.result {
        assert!(!error.message.is_empty() && error.code != "bad_output", "{error:?}");
    }
    for document in &conversion.documents {
        let text = std::str::from_utf8(&document.bytes).unwrap();
        let parts: Vec<&str> =
            if document.media_type.contains("ndjson") || document.name.ends_with(".jsonl") { text.lines().collect() } else { vec![text] };
        for part in parts {
            assert!(serde_json::from_str::<Value>(part).is_ok(), "{} is no JSON: {part}", document.name);
        }
    }
}

#[test]
fn csv() {
    let words = [
        "\"\"",
        "\r\n",
        ",\"",
        "\";",
        "\u{feff}",
        "1e999",
        "-0",
        "0x",
        "\t",
        "|",
        "2026-11-22T00:00:00Z",
        "\u{0}",
        "||",
        ", ",
        "\n\n",
        "# ",
        "sep=;\n",
        "a,b,c\n1,2,3\n4,5,6\n",
        "  ",
        "\u{1f}",
        "1.234,5",
        "\n\nTotal of all rows\n",
    ];
    fuzz("csv", data("csv", "csv"), &words, 4_000, |bytes| conversions::<Csv>("a.csv", bytes));
}

#[test]
fn junit() {
    let words =
        ["<testcase", "</testsuite>", "<![CDATA[", "]]>", "&#x0;", "&lt;", "time=\"", "<failure>", "<!DOCTYPE a [", "<?xml", "<!--"];
    fuzz("junit", data("junit", "xml"), &words, 4_000, |bytes| conversions::<Junit>("a.xml", bytes));
}

/// A converter of reports, with all that its files may not say: every report is valid.
fn reports<C: Converter>(name: &str, bytes: &[u8]) {
    conversions::<C>(name, bytes);
    let options = dropforge_report_checks::options(&json!({"on_length": "truncate"}));
    for document in testkit::convert::<C>(TestInput::new(name, bytes), options).documents {
        dropforge_report_checks::report(&document);
    }
}

#[test]
fn spea() {
    let words = ["START;", "END;PASS;", "SN;\n", "ANL;1;", "FUNC;", "-NAN", "Automatic", ";;;;", "FORMAT;ddmm\n", "1e999", "\r\n"];
    fuzz("spea", data("spea", "csv"), &words, 4_000, |bytes| reports::<Spea>("a.csv", bytes));
}

#[test]
fn gr228x() {
    let words =
        ["@31-JUL-12  14:18:51 SN ", "\n/31-JUL-12  14:19:49\n", "(F ", "WATS_partNumber=", "MEG", "(,)", "#", "]", "\"", "[", "1e400"];
    fuzz("gr228x", data("gr228x", "LOG"), &words, 4_000, |bytes| reports::<Gr228x>("a.log", bytes));
}

#[test]
fn takaya() {
    let words = [
        "@\n",
        "* GROUP No.1   *\n",
        "* NO-TEST *",
        "* FAIL *",
        "Serial No.:",
        "Model:",
        "DATE 1/3/2023 08:20:27\n",
        "Group_No.\t",
        "\t",
        "+50%",
        "JP",
        "#############\"Main header\"############\n",
        "Group No.: 1 Side: A FAIL\n",
        ";EQ;20.0;;20.0;;",
        "2.500[KO]<|-1.9",
        "UnTested",
    ];
    let whole = |file: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/takaya").join(file)).unwrap();
    fuzz("takaya", vec![whole("small.ATD"), whole("attempts.atdx")], &words, 3_000, |bytes| reports::<Takaya>("a.atd", bytes));
}

/// Both outputs. The seeds are binary, and one of them is packed.
#[test]
fn stdf() {
    let mut seeds = data("stdf", "stdf");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&seeds.concat()).unwrap();
    seeds.push(gzip.finish().unwrap());
    let words = [
        "\u{0}\u{2}\u{5}\n\u{1}\u{0}",
        "\u{0}\u{0}\u{14}\u{14}",
        "\u{0}\u{13}\u{5}\u{14}\u{1}\u{0}",
        "BZh9",
        "\u{f}\u{f}",
        "\u{f}\u{14}",
        "2\n",
    ];
    fuzz("stdf", seeds, &words, 4_000, |bytes| {
        reports::<Stdf>("a.stdf", bytes);
        let run = testkit::convert::<Stdf>(TestInput::new("a.stdf", bytes), json!({"output": "jsonl"}));
        for line in run.documents.iter().flat_map(|document| document.bytes.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty()) {
            assert!(serde_json::from_slice::<Value>(line).is_ok(), "{}", String::from_utf8_lossy(line));
        }
    });
}

#[test]
fn teststand() {
    let words = [
        "<Prop Name='Numeric' Type='Number'><Value>",
        "<Prop Type='TEResult'>",
        "</Prop>",
        "<Value ID='[0]'>",
        "</Value>",
        "<Report Type='UUT' UUTResult='Passed'>",
        "</Report>",
        "Name='Measurement' Type='Array'",
        "Skipped",
        "EQT",
        "1e999",
        "NAN",
    ];
    let whole = |file: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/teststand").join(file)).unwrap();
    let seeds = vec![whole("three-units.xml"), whole("TSWithWats.xml")];
    fuzz("teststand", seeds, &words, 2_000, |bytes| reports::<Teststand>("a.xml", bytes));
}

#[test]
fn listen() {
    let words = [
        "Serial #:\tTime: \tLot #: \tName\tMargin\tUnit\tResult\tTolerance\tLimits\n",
        "Serial #:\tTime: \tTHD\t\tx data lin\n",
        "W\t11/2/2020 4:36:07 PM\tL\t",
        "PASS",
        "Max/Min\t/",
        "\t",
        "\n",
        "1.0",
        "1e999",
        "NaN",
    ];
    fuzz("listen", data("listen", "txt"), &words, 4_000, |bytes| reports::<Listen>("a.txt", bytes));
}

/// A header, and what follows a zero byte as the table beside it.
#[test]
fn klippel() {
    let words = [
        "Cfg_DutStartTime=2020-5-20-135-5-14-10-1-37-563-120-1\n",
        "Cfg_SerialNumber=1\n",
        "Ctrl_OverallVerdict=0\n",
        "Results_Fail=a\tb\n",
        "Results_Invalid=\n",
        "\u{0}name\tvalue\tmax\tmin\n",
        "\u{0}frq\ta\tmax\n",
        "a\t-\t1\t\n",
        "1.0\t2\t-\n",
        "1e999",
    ];
    let small = "Cfg_DutStartTime=2020-5-20-135-5-14-10-1-37-563-120-1\nCfg_SerialNumber=1\nCtrl_OverallVerdict=0\nResults_Fail=a\nResults_Invalid=\n\
                 \u{0}frq\ta\tmax\n1\t2\t3\n";
    let values = small.replace("frq\ta\tmax\n1\t2\t3", "name\tvalue\tmax\tmin\na\t1\t2\t-");
    let seeds = data("klippel", "txt").into_iter().chain([small.into(), values.into()]).collect();
    fuzz("klippel", seeds, &words, 4_000, |bytes| {
        conversions::<Klippel>("a.txt", bytes);
        let mut parts = bytes.split(|byte| *byte == 0);
        let input = TestInput::new("a.txt", parts.next().unwrap_or_default()).member("a/T-a.txt", parts.next().unwrap_or_default());
        let options = dropforge_report_checks::options(&json!({"on_length": "truncate"}));
        for document in testkit::convert::<Klippel>(input, options).documents {
            dropforge_report_checks::report(&document);
        }
    });
}

/// All three formats.
#[test]
fn wats() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\u12",
        "null",
        "1e5",
        "\"steps\":[",
        "\"status\":\"F\"",
        "\"root\":{",
        "\u{feff}",
        "<Report type='UUT' SN='1'>",
        "<Step Id='1'>",
        "</Step>",
        "<NumericLimit NumericValue='INF'/>",
        "--Header-Start--\n",
        "--Step-Data-Start--\n",
        "--Step-Data-End--\n",
        "--UUT-End--\n",
        "SequenceCall\ta\n",
        "EndSequenceCall\n",
        "Chart\tLine\n",
        "Series\ta\tXYG\t1;2\n",
        "\t",
        "1e999",
    ];
    let whole = |file: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/wats").join(file)).unwrap();
    let seeds = data("wats", "json").into_iter().chain([whole("uut-wsxf-export.xml"), whole("three-units.wstf.txt")]).collect();
    fuzz("wats", seeds, &words, 4_000, |bytes| {
        conversions::<Wats>("a.json", bytes);
        // What is made of a text is valid whatever it says; JSON and XML are what their makers wrote.
        if bytes.starts_with(b"-") {
            reports::<Wats>("a.txt", bytes);
        }
    });
}

/// Archives and what is in them. A whole small run beside the beginning of a real one, so that reports come out.
#[test]
fn xjtag() {
    let words = [
        "<testfunction name='f'>",
        "</testfunction>",
        "<result value='Passed' />",
        "<testgroup name='g'>",
        "<text-output output-type='Error'>",
        "<html-output>&lt;h2>",
        "<testruninfo>",
        "<time-taken>1e999",
        "PK\u{5}\u{6}",
        "PK\u{1}\u{2}",
        "Run 1.xml",
    ];
    let small = "<testrun datetime='2019-10-28T13:52:10.8594008Z'><testgroup name='g'><testfunction name='f'><text-output>t</text-output>\
                 <result value='Passed' /></testfunction></testgroup><testruninfo><serial>1</serial><result>Passed</result></testruninfo></testrun>";
    let archive = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/xjtag/1234.xjlog")).unwrap();
    let seeds = data("xjtag", "xml").into_iter().chain([small.into(), archive]).collect();
    fuzz("xjtag", seeds, &words, 3_000, |bytes| reports::<Xjtag>("a.xjlog", bytes));
}

/// A schema and options for it, parted by a zero byte. What is completed is valid, and complete: completing it again changes nothing.
#[test]
fn options_against_schemas() {
    let words = [
        "\"$ref\":\"#/$defs/a\"",
        "\"default\":",
        "\"type\":\"object\"",
        "\"properties\":{",
        "\"allOf\":[",
        "\"pattern\":\"(a*)*\"",
        "{}",
        "1e400",
    ];
    on_a_large_stack(move || {
        fuzz("options", Vec::new(), &words, 4_000, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (schema, values) = text.split_once('\0').unwrap_or((&text, "{}"));
            let options = match Options::new(schema) {
                Ok(options) => options,
                Err(error) => return assert!(!error.to_string().is_empty()),
            };
            let _ = options.list();
            let values: Map<String, Value> = serde_json::from_str(values).unwrap_or_default();
            if let Ok(completed) = options.complete("x", &values) {
                let again: Map<String, Value> = serde_json::from_str(&completed).unwrap();
                assert_eq!(options.complete("x", &again).unwrap(), completed);
            }
        });
    });
}

/// A configuration loads, and then it can be shown; or everything that is wrong with it is said in sentences.
#[test]
fn configurations() {
    let words = ["[[routes]]\n", "limits = {", "[plugins.a.limits]\n", "= -1", "= 1e999", "'''", "\"{dir1}\"", "{{", "**/", "\\u0000"];
    let folder = tempfile::tempdir().unwrap();
    fuzz("config", Vec::new(), &words, 1_000, |bytes| {
        let name = if bytes.first() == Some(&b'{') { "c.json" } else { "c.toml" };
        fs::write(folder.path().join(name), bytes).unwrap();
        let sources = Sources {
            file: Some(name.into()),
            overrides: Overrides { state: Some("/state".into()), ..Overrides::default() },
            environment: Vec::new(),
            directory: folder.path().to_path_buf(),
            need: Need::Routes,
        };
        match config::load(&sources) {
            Ok(loaded) => assert!(!loaded.config.to_toml().unwrap().is_empty()),
            Err(errors) => assert!(errors.iter().all(|error| !error.to_string().is_empty())),
        }
    });
}
