//! On a route with `converter = "auto"` the surest converter gets a file. Here all that are bundled are asked about what stations write: of each
//! file the one that is meant for it has to be the surest, and no converter may be sure of bytes that are none of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;

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
use dropforge_tests::data;
use dropforge_tests::reports::{FILES, name_of};

/// What each converter answers, the surest first.
fn answers(name: &str, bytes: &[u8]) -> Vec<(u8, &'static str)> {
    fn one<C: Converter>(name: &str, bytes: &[u8]) -> u8 {
        testkit::probe::<C>(TestInput::new(name, bytes)).confidence
    }
    let mut answers = vec![
        (one::<Csv>(name, bytes), "csv"),
        (one::<Gr228x>(name, bytes), "gr228x"),
        (one::<Junit>(name, bytes), "junit"),
        (one::<Klippel>(name, bytes), "klippel"),
        (one::<Listen>(name, bytes), "listen"),
        (one::<Spea>(name, bytes), "spea"),
        (one::<Stdf>(name, bytes), "stdf"),
        (one::<Takaya>(name, bytes), "takaya"),
        (one::<Teststand>(name, bytes), "teststand"),
        (one::<Wats>(name, bytes), "wats"),
        (one::<Xjtag>(name, bytes), "xjtag"),
    ];
    answers.sort_by_key(|(confidence, _)| std::cmp::Reverse(*confidence));
    answers
}

#[test]
fn what_a_station_writes_goes_to_its_own_converter() {
    let more = [
        ("junit", "junit/pytest-junit.fail.xml"),
        ("teststand", "teststand/TSWithWats.xml"),
        ("xjtag", "xjtag/567567.xml"),
        ("wats", "wats/uut-wsjf-export.json"),
        ("wats", "wats/uur_example.json"),
        ("stdf", "stdf/lot2.stdf.bz2"),
        ("csv", "csv/smallpop.csv"),
        ("csv", "csv/tabs.tsv"),
    ];
    for (converter, file) in FILES.iter().map(|(converter, file, _)| (*converter, *file)).chain(more) {
        let answers = answers(name_of(file), &fs::read(data(file)).unwrap());
        let [(first, surest), (second, _), ..] = answers.as_slice() else { panic!("nobody was asked") };
        assert!(*surest == converter && first > second, "{file}: {answers:?}");
    }
}

#[test]
fn nobody_is_sure_of_what_is_nobodys() {
    for (name, bytes) in [
        ("a.xml", "<note><to>you</to></note>"),
        ("a.json", "{\"a\": 1}"),
        ("a.txt", "Dear all,\nhello.\n"),
        ("a.log", "@\n"),
        ("a.bin", "\0\u{1}"),
    ] {
        let answers = answers(name, bytes.as_bytes());
        assert!(answers.iter().all(|(confidence, _)| *confidence <= 50), "{name}: {answers:?}");
    }
}
