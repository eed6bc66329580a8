//! Look-ups: who may make them, how many, and for how long.

use std::sync::LazyLock;
use std::time::Duration;

use dropforge::sandbox::{Access, Capability, Converter, ErrorType, Limits};

use crate::guests;
use crate::support::{Case, Echo, everything, load};

static GUEST: LazyLock<Converter> = LazyLock::new(|| load(&guests::component("lookup-guest", &[])));

fn convert(converter: &Converter, script: &'static str, change: impl FnOnce(&mut Limits)) -> Result<Vec<String>, ErrorType> {
    let case = Case::new(script.as_bytes()).limits(change);
    let sink = case.sink.clone();
    let conversion = converter.convert(case.input, "{}", &[], Box::new(case.sink), &case.limits);
    conversion.result.map_err(|error| error.error_type)?;
    let documents = sink.documents.lock().unwrap();
    Ok(String::from_utf8_lossy(&documents[0].bytes).lines().map(str::to_owned).collect())
}

/// With a server that answers.
fn answers(script: &'static str, change: impl FnOnce(&mut Limits)) -> Vec<String> {
    convert(&GUEST.with(everything()), script, change).unwrap()
}

#[test]
fn it_is_asked_for_by_the_import_and_had_where_it_is_given() {
    assert_eq!(*GUEST.asked(), [Capability::Lookup].into());
    assert!(GUEST.capabilities().is_empty());
    assert_eq!(GUEST.with(everything()).capabilities(), [Capability::Lookup].into());
    assert_eq!(
        answers("/a b=c d=e\n/denied\n/other", |_| {}),
        ["203 text/plain /a [(\"b\", \"c\"), (\"d\", \"e\")]", "denied: not this one", "other: something else",]
    );
    for without in [GUEST.clone(), GUEST.with(Access { lookup: None, ..everything() })] {
        let answers = convert(&without, "/a", |_| {}).unwrap();
        assert!(answers[0].starts_with("denied: "), "{answers:?}");
    }
}

#[test]
fn there_is_none_outside_of_convert() {
    let converter = GUEST.with(Access { lookup: Some(std::sync::Arc::new(Echo)), ..Access::default() });
    let described = converter.describe(&Limits::for_describe()).unwrap().description;
    let probed = converter.probe(Case::new(b"").input, &Limits::for_probe()).unwrap().reason;
    for answer in [described, probed] {
        assert!(answer.starts_with("denied: looking up is possible in `convert` only"), "{answer}");
    }
}

#[test]
fn count_bytes_and_time_are_a_budget_of_the_job() {
    let counted = answers("/1\n/2\n/3", |limits| limits.lookups = 2);
    assert!(counted[1].starts_with("203 ") && counted[2] == "budget: this job has used up 2 look-ups, its limit `lookups`", "{counted:?}");

    // Each answer has 5 bytes.
    let weighed = answers("/1\n/2\n/3", |limits| limits.lookup_bytes = 9);
    assert_eq!(weighed[0], "203 text/plain /1 []");
    assert!(weighed[1..].iter().all(|answer| answer == "budget: more than 4 bytes"), "{weighed:?}");
    let weighed = answers("/1\n/2", |limits| limits.lookup_bytes = 5);
    assert_eq!(weighed[1], "budget: this job has used up 5 bytes of answers, its limit `lookup_bytes`");

    let timed = answers("/stall\n/2", |limits| limits.lookup_time = Duration::from_millis(20));
    assert_eq!(
        timed,
        ["unavailable: it did not answer", "budget: this job has used up 0.02 s of waiting for answers, its limit `lookup_seconds`"]
    );
    assert!(answers("/1", |limits| limits.lookups = 0)[0].starts_with("budget: "));
}

#[test]
fn waiting_counts_against_the_wall_time() {
    let error = convert(&GUEST.with(everything()), "/stall\n/stall", |limits| limits.wall_time = Duration::from_millis(50));
    assert_eq!(error.unwrap_err(), ErrorType::Timeout);
}
