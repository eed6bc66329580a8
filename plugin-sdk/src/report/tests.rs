#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testkit::{self, Conversion, TestInput};
use crate::text::DateFormat;
use crate::{Converter, Descriptor, Error, ErrorType, Input, Outcome, Output, Result, Severity};

#[test]
fn comparators_at_their_edges() {
    use Limits::*;
    // Limits 1 and 3; values below, at, between, at and above them.
    let table: [(Limits, [bool; 5]); 16] = [
        (Log, [true; 5]),
        (Eq(1.0), [false, true, false, false, false]),
        (Ne(1.0), [true, false, true, true, true]),
        (Lt(1.0), [true, false, false, false, false]),
        (Le(1.0), [true, true, false, false, false]),
        (Gt(1.0), [false, false, true, true, true]),
        (Ge(1.0), [false, true, true, true, true]),
        (Eqt(1.0, 3.0), [false, true, true, true, false]),
        (GtLt(1.0, 3.0), [false, false, true, false, false]),
        (GtLe(1.0, 3.0), [false, false, true, true, false]),
        (GeLt(1.0, 3.0), [false, true, true, false, false]),
        (GeLe(1.0, 3.0), [false, true, true, true, false]),
        (LtGt(1.0, 3.0), [true, false, false, false, true]),
        (LtGe(1.0, 3.0), [true, false, false, true, true]),
        (LeGt(1.0, 3.0), [true, true, false, false, true]),
        (LeGe(1.0, 3.0), [true, true, false, true, true]),
    ];
    let values = [1.0_f64.next_down(), 1.0, 2.0, 3.0, 3.0_f64.next_up()];
    for (limits, expected) in table {
        assert_eq!(values.map(|value| limits.passes(value)), expected, "{limits}");
        assert_eq!(limits.passes(f64::NAN), limits == Log, "{limits}");
        let (low, high) = limits.bounds();
        assert_eq!(Limits::named(limits.comparator(), low, high), Ok(limits));
        assert_eq!(Limits::named(&limits.comparator().to_lowercase(), low, high), Ok(limits));
    }
    for (limits, minus, plus) in
        [(Lt(1.0), true, false), (Ge(1.0), false, true), (GeLe(1.0, 3.0), false, false), (LtGt(1.0, 3.0), true, true)]
    {
        assert_eq!((limits.passes(f64::NEG_INFINITY), limits.passes(f64::INFINITY)), (minus, plus), "{limits}");
    }
    assert!(Eq(0.0).passes(-0.0) && Eq(f64::INFINITY).passes(f64::INFINITY));
    assert!(Limits::named("GELE", Some(1.0), None).unwrap_err().contains("two limits"));
    assert!(Limits::named("EQ", None, None).is_err() && Limits::named("ABOUT", Some(1.0), None).is_err());
    assert_eq!(Limits::named("LE", None, Some(4.0)), Ok(Le(4.0)));
}

#[test]
fn limits_that_limit_nothing() {
    assert_eq!(Limits::within(Some(f64::NEG_INFINITY), None), Limits::Log);
    assert_eq!(Limits::within(Some(1.0), Some(f64::INFINITY)), Limits::Ge(1.0));
    assert_eq!(Limits::within(None, Some(2.0)), Limits::Le(2.0));
    assert!(Limits::within(Some(f64::NAN), None).is_nan());
}

#[test]
fn texts_are_compared_as_asked() {
    assert!(TextLimit::CaseSensitive("Ä1".into()).passes("Ä1") && !TextLimit::CaseSensitive("Ä1".into()).passes("ä1"));
    assert!(TextLimit::IgnoreCase("Ä1".into()).passes("ä1") && TextLimit::Log.passes(""));
}

/// A converter whose unit the test says.
struct Scripted;

thread_local! {
    static SCRIPT: std::cell::RefCell<Option<Script>> = const { std::cell::RefCell::new(None) };
}

type Script = Box<dyn FnOnce(&mut Reporter, &mut Output) -> Result<()>>;

impl Converter for Scripted {
    type Options = ReportOptions;
    fn describe() -> Descriptor {
        Descriptor::new("scripted", "1.0.0", "For tests")
    }
    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let script = SCRIPT.take().unwrap();
        script(&mut Reporter::open(input, &options)?, output)?;
        Ok(Outcome::Converted)
    }
}

fn run(options: Value, script: impl FnOnce(&mut Reporter, &mut Output) -> Result<()> + 'static) -> Conversion {
    let mut all = json!({"part_number": "P", "revision": "1", "operation_code": 10, "location": "L", "purpose": "T", "timezone": "UTC"});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    SCRIPT.set(Some(Box::new(script)));
    testkit::convert::<Scripted>(TestInput::new("in/a.log", "").attribute("station", "S").attribute("operator", "O"), all)
}

fn unit(reports: &Reporter) -> Unit {
    let format = DateFormat::new("yyyy-MM-dd HH:mm:ss").unwrap();
    Unit { serial: "A7".into(), start: Some(reports.clock().read("2026-11-23 10:15:00", &format).unwrap().0), ..Unit::default() }
}

/// One report of these steps.
fn test(options: Value, steps: impl FnOnce(&mut Steps<'_>) -> Result<Option<Verdict>> + 'static) -> Conversion {
    run(options, |reports, output| {
        let unit = unit(reports);
        reports.test(output, |all| Ok(Unit { verdict: steps(all)?, ..unit }))
    })
}

fn number(value: f64, status: Option<Status>) -> Numeric {
    Numeric { value, limits: Limits::GeLe(0.0, 1.0), status, ..Numeric::default() }
}

#[test]
fn failures_propagate_and_the_first_is_the_cause() {
    let run = test(json!({}), |steps| {
        steps.sequence(&Step::named("outer"), &SequenceCall::default(), |steps| {
            steps.numeric(&Step::named("good"), &number(0.5, None))?;
            steps.sequence(&Step::named("inner"), &SequenceCall::default(), |steps| {
                steps.numeric(&Step::named("bad"), &number(1.5, None))?;
                steps.numeric(&Step::named("worse"), &number(2.5, None))?;
                Ok(None)
            })?;
            Ok(None)
        })?;
        steps
            .sequence(&Step::named("other"), &SequenceCall::default(), |steps| steps.generic("Action", &Step::named("a")).map(|_| None))?;
        Ok(None)
    });
    let report = run.documents[0].json();
    let step = |path: &str| report.pointer(&format!("/{path}")).unwrap().clone();
    assert_eq!((step("result"), step("root/status"), step("uut/stepIdCausedUUTFailure")), (json!("F"), json!("F"), json!(5)));
    for (path, status, caused) in [
        ("root/steps/0", "F", false),
        ("root/steps/0/steps/0", "P", false),
        ("root/steps/0/steps/1", "F", false),
        ("root/steps/0/steps/1/steps/0", "F", true),
        ("root/steps/0/steps/1/steps/1", "F", false),
        ("root/steps/1", "P", false),
        ("root/steps/1/steps/0", "D", false),
    ] {
        assert_eq!((step(path)["status"].clone(), step(path)["causedUUTFailure"].clone()), (json!(status), json!(caused)), "{path}");
    }
    assert_eq!(report["uut"]["user"], "O");
}

#[test]
fn import_takes_what_the_file_says_and_active_computes() {
    let steps = |steps: &mut Steps<'_>| {
        steps.numeric(&Step::named("said to pass"), &number(1.5, Some(Status::Passed)))?;
        steps.numeric(&Step::named("not run"), &number(1.5, Some(Status::Skipped)))?;
        steps.pass_fail(&Step::named("nothing to compute"), Status::Passed)?;
        Ok(Some(Verdict::Passed))
    };
    for (mode, expected) in [("import", ["P", "S", "P", "P"]), ("active", ["F", "S", "P", "F"])] {
        let run = test(json!({ "mode": mode }), steps);
        let report = run.documents[0].json();
        let statuses: Vec<&Value> = (0..3).map(|index| &report["root"]["steps"][index]["status"]).chain([&report["result"]]).collect();
        assert_eq!(statuses, expected, "{mode}");
    }
}

#[test]
fn a_result_that_the_steps_do_not_bear_out_is_said() {
    let run = test(json!({}), |steps| steps.numeric(&Step::named("bad"), &number(1.5, None)).map(|_| Some(Verdict::Passed)));
    let (severity, problem) = &run.problems[0];
    assert_eq!((*severity, problem.code.as_str()), (Severity::Warning, "result_differs"));
    let report = run.documents[0].json();
    assert_eq!((&report["result"], report["uut"].get("stepIdCausedUUTFailure")), (&json!("P"), None));
}

#[test]
fn what_is_missing_is_named_at_once() {
    let run = run(json!({"part_number": null, "operation_code": null, "location": null}), |reports, output| {
        let unit = unit(reports);
        reports.test(output, |_| Ok(Unit { verdict: Some(Verdict::Passed), ..unit }))
    });
    let error = run.result.unwrap_err();
    assert_eq!(error.kind, ErrorType::MissingField);
    assert!(error.message.contains("`part_number`, `location`, `operation_code`"), "{error}");
}

#[test]
fn long_texts_are_refused_or_cut_and_that_is_said() {
    let long = |steps: &mut Steps<'_>| steps.pass_fail(&Step::named("ä".repeat(101)), Status::Passed).map(|_| None);
    let error = test(json!({}), long).result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::Validation, "too_long"));
    let run = test(json!({"on_length": "truncate"}), long);
    let report = run.documents[0].json();
    assert_eq!(report["root"]["steps"][0]["name"], "ä".repeat(100));
    assert_eq!(report["miscInfos"], json!([{"description": "Dropforge", "text": "cut to the allowed length: name (1)"}]));
    assert_eq!(run.problems[0].1.code, "truncated");
    let fits = test(json!({}), |steps| steps.pass_fail(&Step::named("ä".repeat(100)), Status::Passed).map(|_| None));
    assert_eq!(fits.problems, []);
}

#[test]
fn an_error_inside_leaves_no_report() {
    let run = run(json!({}), |reports, output| {
        for broken in [false, true, false] {
            let unit = unit(reports);
            let result = reports.test(output, |steps| {
                let inside = steps.sequence(&Step::named("a"), &SequenceCall::default(), |steps| {
                    steps.pass_fail(&Step::named("b"), Status::Passed)?;
                    if broken { Err(Error::malformed("broken").line(3)) } else { Ok(None) }
                });
                // One that goes on all the same is stopped at the end.
                if broken { Ok(unit) } else { inside.map(|_| unit) }
            });
            if broken {
                assert_eq!(result.unwrap_err().kind, ErrorType::Internal);
                reports.set_aside(output, Err(Error::malformed("broken").line(3)))?;
            } else {
                result?;
            }
        }
        assert!(!reports.nothing_yet());
        Ok(())
    });
    assert_eq!((run.documents.len(), run.problems.len()), (2, 1));
    assert_eq!(run.documents[1].name, "a.3.wsjf.json");
    let ids: BTreeSet<String> = run.documents.iter().map(|document| document.json()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn no_more_broken_units_are_told_of_than_the_host_keeps() {
    let run = run(json!({}), |_, output| {
        let mut aside = Aside::default();
        for number in 0..2_000 {
            if number == 3 {
                aside.finished();
            }
            aside.set_aside(output, Err(Error::malformed("broken").line(number + 1)))?;
        }
        aside.conclude(output).map(drop)
    });
    assert_eq!(run.problems.len(), 901);
    assert_eq!(run.problems[900].1.message, "1100 more units have no report, after 900 of which it is said why");
}

#[test]
fn the_id_is_the_hosts() {
    // What `report_id` of `host/src/delivery/parts.rs` gives for station `S`, path `in/a.log` and this key.
    let run = test(json!({}), |_| Ok(Some(Verdict::Passed)));
    let document = &run.documents[0];
    assert_eq!(document.key.as_deref(), Some("A7@2026-11-23T10:15:00Z"));
    assert_eq!(document.json()["id"], super::id::report("S", "in/a.log", "A7@2026-11-23T10:15:00Z"));
    // The name space is the one that the host derives from the text.
    let text = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, b"dropforge:report");
    assert_eq!(text, uuid::Uuid::from_u128(0xb500_e6eb_9d84_5f5f_bdc5_2079_c102_b4c4));
}

#[test]
fn local_times_need_a_zone_and_changes_of_the_clocks_are_said() {
    let read = |options: Value, text: &'static str| {
        let slot = std::rc::Rc::new(std::cell::RefCell::new(None));
        let inner = std::rc::Rc::clone(&slot);
        let _ = run(options, move |reports, _| {
            let format = DateFormat::new("yyyy-MM-dd HH:mm:ss").unwrap();
            *inner.borrow_mut() = Some(reports.clock().read(text, &format));
            Ok(())
        });
        slot.take().unwrap()
    };
    let (moment, warning) = read(json!({"timezone": "Europe/Oslo"}), "2026-07-01 12:00:00").unwrap();
    assert_eq!((moment.local(), moment.utc(), warning), ("2026-07-01T12:00:00+02:00".into(), "2026-07-01T10:00:00Z".into(), None));
    assert_eq!(read(json!({"timezone": "+05:30"}), "2026-07-01 12:00:00").unwrap().0.local(), "2026-07-01T12:00:00+05:30");
    let error = read(json!({"timezone": ""}), "2026-07-01 12:00:00").unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::MissingField, "timezone"));
    for (change, twice, never) in [
        ("earlier", Some("2026-10-25T02:30:00+02:00"), Some("2026-03-29T01:30:00+01:00")),
        ("later", Some("2026-10-25T02:30:00+01:00"), Some("2026-03-29T03:30:00+02:00")),
        ("reject", None, None),
    ] {
        for (text, expected) in [("2026-10-25 02:30:00", twice), ("2026-03-29 02:30:00", never)] {
            match read(json!({"timezone": "Europe/Oslo", "clock_change": change}), text) {
                Ok((moment, warning)) => {
                    assert_eq!(Some(moment.local().as_str()), expected);
                    assert_eq!(warning.unwrap().code, "clock_change");
                }
                Err(error) => assert_eq!((expected, error.code.as_str()), (None, "clock_change")),
            }
        }
    }
    assert_eq!(run(json!({"timezone": "Europe/Olso"}), |_, _| Ok(())).result.unwrap_err().code, "timezone");
}

#[test]
fn a_hundred_thousand_steps() {
    let run = test(json!({}), |steps| {
        for index in 0..100_000_u32 {
            steps.numeric(&Step::named(format!("R{index}")), &number(if index == 70_000 { 2.0 } else { 0.5 }, None))?;
        }
        Ok(None)
    });
    let mut copy = Vec::new();
    let facts = transcode(&run.documents[0].bytes[..], &mut copy).unwrap();
    assert_eq!((facts.steps, facts.numbers, facts.result.as_str()), (100_001, 100_000, "F"));
    assert_eq!(copy, run.documents[0].bytes);
}

#[test]
fn what_is_no_report_is_refused_with_its_place() {
    let refused = |text: &str| transcode(text.as_bytes(), std::io::sink()).unwrap_err();
    for (text, code, line) in [
        ("", "not_a_report", Some(1)),
        ("[]", "not_a_report", Some(1)),
        ("{\"sn\":\n\"a", "truncated", Some(2)),
        ("{\"sn\":\"a\",}", "json", Some(1)),
        ("{\"sn\":\"\"}", "too_long", Some(1)),
        ("{\"result\":\"Passed\"}", "value", Some(1)),
        ("{\"root\":{\"status\":\"X\"}}", "value", Some(1)),
        ("{\"a\":01}", "json", Some(1)),
        ("{} {}", "json", Some(1)),
        ("{\"sn\":\"a\"}", "header", None),
    ] {
        let error = refused(text);
        assert_eq!((error.code.as_str(), error.at.and_then(|at| at.line)), (code, line), "{text}: {error}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert_eq!(refused(&deep).code, "too_deep");
}

proptest! {
    #[test]
    fn within_is_what_it_says(low: Option<f64>, high: Option<f64>, value: f64) {
        let expected = !value.is_nan() && low.is_none_or(|low| low <= value) && high.is_none_or(|high| value <= high);
        if low.is_none() && high.is_none() {
            prop_assert!(Limits::within(low, high).passes(value));
        } else if ![low, high].into_iter().flatten().any(|limit| limit.is_nan() || limit.is_infinite()) {
            prop_assert_eq!(Limits::within(low, high).passes(value), expected);
        }
    }

    /// Whatever is nested how, the report reads, and a sequence is as bad as the worst in it.
    #[test]
    fn every_nesting_reads(shape in prop::collection::vec((0_u8..4, 0_u8..4), 0..60)) {
        fn write(steps: &mut Steps<'_>, shape: &mut std::vec::IntoIter<(u8, u8)>, depth: u8) -> Result<()> {
            while let Some((kind, value)) = shape.next() {
                match kind {
                    0 if depth < 20 => {
                        steps.sequence(&Step::named("s"), &SequenceCall::default(), |steps| write(steps, shape, depth + 1).map(|()| None))?;
                    }
                    1 if depth > 0 => return Ok(()),
                    2 => drop(steps.pass_fail(&Step::named("p"), [Status::Passed, Status::Failed, Status::Error, Status::Skipped][usize::from(value)])?),
                    _ => drop(steps.numeric(&Step::named("n"), &number(f64::from(value), None))?),
                }
            }
            Ok(())
        }
        fn worst(step: &Value) -> u8 {
            let own = match step["status"].as_str().unwrap() { "F" => 1, "E" => 2, _ => 0 };
            let inner = step["steps"].as_array().map(|steps| steps.iter().map(worst).max().unwrap_or(0));
            if let Some(inner) = inner {
                assert_eq!(own, inner);
            }
            own
        }
        let conversion = test(json!({}), move |steps| write(steps, &mut shape.into_iter(), 0).map(|()| steps.status().is_none().then_some(Verdict::Passed)));
        prop_assert!(conversion.result.is_ok());
        let report = conversion.documents[0].json();
        worst(&report["root"]);
        let text = conversion.documents[0].text();
        prop_assert_eq!(text.matches("\"causedUUTFailure\":true").count(), usize::from(report["result"] != "P"));
    }
}
