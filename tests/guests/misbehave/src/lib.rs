//! A converter that does what the file's name says, good or bad. The name is `VERB.rest.mis`, or `VERB.mis`; files of any other name are not
//! its own. `echo` answers with everything that the converter was given, so that a test sees what reached it.

use std::hint::black_box;
use std::time::Duration;

use dropforge_sdk::prelude::*;
use dropforge_sdk::{Metric, MetricKind, Suspension, info, metrics};
use serde_json::{Value, json};

/// Tests make another version of this plugin by changing these letters in the built file.
const VERSION: &str = "1.0.0-release.AAAA";

struct Misbehave;

#[derive(Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
struct Options {
    /// What `echo` says besides.
    #[serde(default = "nothing")]
    greeting: String,
    /// How many documents `documents` makes.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 1_000_000))]
    count: u32,
}

fn nothing() -> String {
    "none".into()
}

fn three() -> u32 {
    3
}

impl Converter for Misbehave {
    type Options = Options;

    fn describe() -> Descriptor {
        Descriptor::new("misbehave", VERSION, "Does what the file's name says")
            .patterns(["*.mis"])
            .reads(["text/x-misbehaviour"])
            .writes(["application/json", "text/plain"])
            .metric(Metric::new(MetricKind::Counter, "misbehave_rows_total", "Rows seen.").labels(["kind"]))
            .metric(Metric::new(MetricKind::Gauge, "misbehave_level", "The last level."))
            .metric(Metric::new(MetricKind::Histogram, "misbehave_size_bytes", "Sizes.").unit("bytes").buckets([1.0, 10.0, 100.0]))
            .metric(Metric::new(MetricKind::Summary, "misbehave_step_seconds", "Steps.").unit("seconds").labels(["kind"]))
    }

    fn probe(input: &mut Input) -> Probe {
        match verb(input).as_str() {
            "probe-panics" => panic!("the probe panics on purpose"),
            "probe-spins" => spin(u64::MAX),
            _ => {}
        }
        Probe::by_name(&Self::describe(), input)
    }

    fn convert(input: &mut Input, options: Options, output: &mut Output) -> Result<Outcome> {
        let mut text = String::new();
        let _ = input.read_to_string(&mut text);
        match verb(input).as_str() {
            "echo" => json_document(output, "echo.json", &echo(input, &options, &text))?,

            // Says that the text is a test report.
            "report" => {
                let mut document = output.document("application/vnd.wats.wsjf+json", "report.json")?;
                document.write_all(text.as_bytes())?;
                document.finish()?;
            }

            // Too much of something.
            "spin" => spin(u64::MAX),
            "memory" => exhaust_memory(),
            "deep" => drop(black_box(descend(1))),
            "terabyte" => {
                let mut document = output.document("text/plain", "terabyte.txt")?;
                let chunk = vec![b'x'; 1 << 20];
                for _ in 0..1 << 20 {
                    document.write_all(&chunk)?;
                }
                document.finish()?;
            }
            "documents" => {
                for number in 0..options.count {
                    text_document(output, &format!("part-{number}.txt"), &format!("document {number} by {VERSION}\n"))?;
                }
            }
            "log-flood" => {
                for number in 0..1_000_000 {
                    info!("line {number} of a flood");
                }
                text_document(output, "flood.txt", "survived\n")?;
            }

            // Defects.
            "panic" => panic!("the fixture is on fire: {text}"),
            "panic-after-document" => {
                text_document(output, "never.txt", "must not come out\n")?;
                panic!("too late");
            }
            "unfinished" => {
                let mut document = output.document("text/plain", "unfinished.txt")?;
                document.write_all(&vec![b'x'; 100_000])?;
            }
            "swallow-limit" => swallow_limit(output),
            "internal" => return Err(Error::internal("a defect that the converter noticed").code("noticed")),

            // Every other way to end.
            "skip" => return Ok(Outcome::Skipped("not for me after all".into())),
            "media-type" => json_document(output, "type.json", &json!(input.media_type().unwrap_or_default()))?,
            "reject" => return Ok(Outcome::Rejected(Error::validation("an aborted test").code("aborted").line(7))),
            "upstream" => return Err(Error::upstream("the server is away")),
            "missing-field" => return Err(Error::missing_field("there is no serial number").line(3).column(5)),
            "suspend" => {
                let awaits: Vec<String> = text.lines().map(str::to_owned).collect();
                return Ok(Outcome::Suspended(Suspension {
                    reason: format!("waiting for {}", awaits.join(" and ")),
                    retry_after: Duration::from_secs(3600),
                    awaits,
                }));
            }
            "partial" => {
                text_document(output, "whole.txt", "the good part\n")?;
                let mut broken = output.document("text/plain", "broken.txt")?;
                broken.write_all(b"half of the ba")?;
                output.problem(Severity::Error, Error::malformed("unit 5 of 10 is cut off").code("cut_off").line(12).column(3))?;
                output.warn(Error::validation("unit 6 has an odd name").code("odd_name"))?;
            }
            "metrics" => {
                metrics::observe("misbehave_rows_total", 3.0, &["good"]);
                metrics::observe("misbehave_rows_total", 2.0, &["good"]);
                metrics::observe("misbehave_rows_total", 1.0, &["bad"]);
                metrics::observe("misbehave_level", 4.5, &[]);
                for size in [0.5, 5.0, 50.0, 500.0] {
                    metrics::observe("misbehave_size_bytes", size, &[]);
                }
                for step in 1..=100 {
                    metrics::observe("misbehave_step_seconds", f64::from(step), &["good"]);
                }
                for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    metrics::observe("misbehave_step_seconds", nonsense, &["good"]);
                }
                metrics::observe("misbehave_undeclared_total", 1.0, &[]);
                text_document(output, "metrics.txt", "observed\n")?;
            }
            "metrics-and-panic" => {
                metrics::observe("misbehave_rows_total", 1000.0, &["good"]);
                panic!("what was observed does not count");
            }
            "names" => {
                for name in ["../../escape.txt", "/etc/absolute.txt", "same.txt", "same.txt", "nul\0and\nline.txt", "CON", "..."] {
                    text_document(output, name, name)?;
                }
            }

            // Takes as many steps as the file says: long enough for a test to do something meanwhile.
            "work" => {
                spin(text.trim().parse().map_err(|_| Error::malformed("no number of steps"))?);
                text_document(output, "work.txt", VERSION)?;
            }
            verb => return Err(Error::unsupported(format!("there is no verb `{verb}`"))),
        }
        Ok(Outcome::Converted)
    }
}

dropforge_sdk::export!(Misbehave);

fn verb(input: &Input) -> String {
    input.name().split('.').next().unwrap_or_default().to_owned()
}

fn echo(input: &Input, options: &Options, text: &str) -> Value {
    let attributes: serde_json::Map<String, Value> = input.attributes().into_iter().map(|(name, value)| (name, value.into())).collect();
    json!({
        "version": VERSION,
        "id": input.id(),
        "name": input.name(),
        "path": input.path(),
        "size": input.size(),
        "media_type": input.media_type(),
        "modified": input.modified().and_then(|time| time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()).map(|since| since.as_secs()),
        "attributes": attributes,
        "members": input.members(),
        "options": { "greeting": options.greeting, "count": options.count },
        "text": text,
    })
}

fn json_document(output: &mut Output, name: &str, value: &Value) -> Result<()> {
    let mut document = output.document("application/json", name)?;
    serde_json::to_writer(&mut document, value)?;
    document.finish()
}

fn text_document(output: &mut Output, name: &str, text: &str) -> Result<()> {
    let mut document = output.document("text/plain", name)?;
    document.write_all(text.as_bytes())?;
    document.finish()
}

/// Steps that the compiler cannot leave out.
fn spin(steps: u64) {
    let mut state = 1_u64;
    for step in 0..steps {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
}

fn exhaust_memory() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn descend(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { descend(depth + 1).wrapping_add(room[(depth % 64) as usize]) }
}

/// Goes on as if nothing had happened when the host refuses: the job must fail all the same.
fn swallow_limit(output: &mut Output) {
    for number in 0..100_000 {
        let _ = text_document(output, &format!("{number}.txt"), "x");
    }
}
