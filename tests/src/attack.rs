//! Hostile and broken plugins: each is a file of WebAssembly text in `tests/attacks`, which says at its top what it does and how that has
//! to end. It holds only what is peculiar to it; everything else a converter needs is added here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where the descriptor lies in a guest's memory.
const DESCRIPTOR: u32 = 1024;
/// Where its texts begin. What a file of attacks places itself begins at 16,384.
const TEXTS: u32 = 2048;
/// The interface that every converter exports.
const EXPORT: &str = "dropforge:converter/converter@0.1.0";

/// The functions of the host, under short names.
const IMPORTS: &str = r#"
    (import "dropforge:converter/io@0.1.0" "create-document" (func $create (param i32 i32 i32 i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[method]document.write" (func $write (param i32 i32 i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[method]document.set-attribute" (func $attribute (param i32 i32 i32 i32 i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[method]document.set-key" (func $key (param i32 i32 i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[method]document.finish" (func $finish (param i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[resource-drop]document" (func $drop_document (param i32)))
    (import "dropforge:converter/io@0.1.0" "[method]input.size" (func $size (param i32) (result i64)))
    (import "dropforge:converter/io@0.1.0" "[method]input.read" (func $read (param i32 i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[method]input.seek" (func $seek (param i32 i64 i32)))
    (import "dropforge:converter/io@0.1.0" "[method]input.open-member" (func $open (param i32 i32 i32 i32)))
    (import "dropforge:converter/io@0.1.0" "[resource-drop]input" (func $drop_input (param i32)))
    (import "dropforge:converter/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
    (import "dropforge:converter/metrics@0.1.0" "observe" (func $observe (param i32 i32 f64 i32 i32)))
"#;

/// What a file that does not define it itself gets, by the name of the definition. The memory at 256 is `confidence = 0` and at 768
/// `converted`, both all zeros; at 512 host functions write their results.
const DEFAULTS: [(&str, &str); 6] = [
    ("(memory ", r#"(memory (export "memory") 2)"#),
    ("(global $heap", "(global $heap (mut i32) (i32.const 65536))"),
    ("(func $describe", "(func $describe (result i32) (i32.const 1024))"),
    ("(func $probe", "(func $probe (param $input i32) (result i32) (call $drop_input (local.get $input)) (i32.const 256))"),
    (
        "(func $convert",
        "(func $convert (param $input i32) (param i32 i32) (result i32) (call $drop_input (local.get $input)) (i32.const 768))",
    ),
    (
        "(func $realloc",
        "(func $realloc (param i32 i32 i32) (param $size i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
            (global.set $heap (i32.add (local.get $at) (local.get $size)))
            (block $fits (loop $grow
                (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
                (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
                (br $grow)))
            (local.get $at))",
    ),
];

/// Where an attack has its effect, and has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The plugin is refused.
    Load,
    /// A job of it fails.
    Job,
    /// A job of it succeeds: there was nothing to be had by it.
    Converted,
    /// The converter does not get the file, and another does.
    Probe,
}

/// One hostile or broken plugin.
pub struct Attack {
    /// The name of the file without `.wat`, which is also the converter's.
    pub name: String,
    /// How it ends.
    pub stage: Stage,
    /// The `error_type` of the job.
    pub error_type: String,
    /// What its message, the refusal or the log must hold.
    pub says: Vec<String>,
    /// The limits of its route, as the inside of a TOML table.
    pub limits: String,
    /// The plugin.
    pub plugin: Vec<u8>,
}

/// Every attack in `tests/attacks`, in the order of their names, built; and [`compile_bomb`].
pub fn all() -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Attack::read(file)).chain([compile_bomb()]).collect()
}

/// A module of 40 kB that takes more than minutes to compile: what is live in a loop is merged at its head, and each of the loops around
/// it merges all of it again.
fn compile_bomb() -> Attack {
    const LOCALS: usize = 2000;
    const LOOPS: usize = 3000;
    let add = |n: usize| format!("(local.set {n} (i32.add (local.get {n}) (local.get {})))\n", (n * 7 + 1) % LOCALS);
    let work: String = (0..LOCALS).map(add).collect();
    let loops = "(loop ".repeat(LOOPS) + &work + &"(br_if 0 (local.get 0)))".repeat(LOOPS);
    let name = "compile-bomb".to_owned();
    let plugin = module(&name, &format!("(func (local {}) {loops})", "i32 ".repeat(LOCALS)));
    assert!(plugin.len() < 60_000, "{}", plugin.len());
    let says = vec!["its limit `loading.compile_seconds`".to_owned()];
    Attack { name, stage: Stage::Load, error_type: String::new(), says, limits: String::new(), plugin }
}

impl Attack {
    fn read(file: &Path) -> Attack {
        let text = fs::read_to_string(file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut header: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let Some((key, value)) = line.strip_prefix(";;! ").and_then(|line| line.split_once(": ")) else { continue };
            header.entry(key).or_default().push(value.to_owned());
        }
        let one = |key: &str| header.get(key).and_then(|values| values.first()).cloned().unwrap_or_default();
        let ends = one("ends");
        let (stage, error_type) = match ends.split_once(' ').unwrap_or((&ends, "")) {
            ("load", "") => (Stage::Load, ""),
            ("job", error_type) => (Stage::Job, error_type),
            ("converted", "") => (Stage::Converted, ""),
            ("probe", "") => (Stage::Probe, ""),
            _ => panic!("{}: `ends: {ends}` is none of load, probe, converted, job ERROR_TYPE", file.display()),
        };
        let module = module(&name, &text);
        let plugin = match header.get("beside") {
            Some(beside) => beside.iter().fold(component(&module), |component, beside| with_instances(component, beside)),
            None => module,
        };
        let says = header.get("says").cloned().unwrap_or_default();
        Attack { stage, error_type: error_type.to_owned(), says, limits: one("limits"), plugin, name }
    }
}

/// A core module with its component type, as cargo leaves one, for a converter called `name`.
pub fn module(name: &str, text: &str) -> Vec<u8> {
    let own = |definition: &str| text.lines().filter(|line| !line.trim_start().starts_with(";;")).any(|line| line.contains(definition));
    let defaults: String = DEFAULTS.iter().filter(|(definition, _)| !own(definition)).map(|(_, text)| format!("{text}\n")).collect();
    let export = |name: &str, function: &str| match text.contains(&format!("no export of {name}")) {
        true => String::new(),
        false => format!("(export \"{name}\" (func {function}))\n"),
    };
    let exports = export(&format!("{EXPORT}#describe"), "$describe")
        + &export(&format!("{EXPORT}#probe"), "$probe")
        + &export(&format!("{EXPORT}#convert"), "$convert")
        + &export("cabi_realloc", "$realloc");
    // Imports come first in a module's text.
    let (imports, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.trim_start().starts_with("(import "));
    let text = format!("(module {IMPORTS} {}\n{defaults}{}\n{}\n{exports})", imports.join("\n"), descriptor(name), rest.join("\n"));
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("the attack {name} is no WebAssembly text: {error}"));
    let mut resolve = Resolve::default();
    let wit = include_str!("../../wit/0.1.0/dropforge.wit");
    let package = resolve.push_str("dropforge.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

fn component(module: &[u8]) -> Vec<u8> {
    ComponentEncoder::default().module(module).unwrap().encode().unwrap()
}

/// Data segments with a well-formed descriptor: a name, a version, and one counter `NAME_total` with the label `kind`.
fn descriptor(name: &str) -> String {
    let mut texts: Vec<u8> = Vec::new();
    let mut place = |text: &[u8]| {
        // Lists of pointers have to be aligned.
        texts.resize(texts.len().next_multiple_of(8), 0);
        let at = TEXTS + u32::try_from(texts.len()).unwrap();
        texts.extend_from_slice(text);
        (at.to_le_bytes().to_vec(), u32::try_from(text.len()).unwrap().to_le_bytes().to_vec())
    };
    let mut text = |text: &str| {
        let (at, length) = place(text.as_bytes());
        [at, length].concat()
    };
    let (name, counter) = (text(name), text(&format!("{}_total", name.replace('-', "_"))));
    let (version, sentence, label) = (text("1.0.0"), text("An attack."), text("kind"));
    let one = 1_u32.to_le_bytes().to_vec();
    let labels = [place(&label).0, one.clone()].concat();
    let empty = vec![0; 8];
    // `metric`: name, kind, help, unit, labels, buckets.
    let metric = [counter, vec![0; 4], sentence.clone(), empty.clone(), labels, empty.clone()].concat();
    let metrics = [place(&metric).0, one].concat();
    let record = [name, version, sentence, empty.clone(), empty.clone(), empty.clone(), empty.clone(), metrics, empty].concat();
    let data = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    format!("(data (i32.const {DESCRIPTOR}) \"{}\")\n(data (i32.const {TEXTS}) \"{}\")", data(&record), data(&texts))
}

/// The component with a module and `count` instances of it besides, as `COUNT x (module …)`.
fn with_instances(mut component: Vec<u8>, beside: &str) -> Vec<u8> {
    const MODULE: u8 = 1;
    const INSTANCES: u8 = 2;
    let (count, text) = beside.split_once(" x ").unwrap();
    let module = wat::parse_str(text).unwrap();
    let index = sections(&component).into_iter().filter(|id| *id == MODULE).count();
    let instance = [vec![0], leb128(index), vec![0]].concat();
    let count: usize = count.parse().unwrap();
    for (id, content) in [(MODULE, module), (INSTANCES, [leb128(count), instance.repeat(count)].concat())] {
        component.push(id);
        component.extend(leb128(content.len()));
        component.extend(content);
    }
    component
}

/// The kinds of a component's sections, in their order.
fn sections(component: &[u8]) -> Vec<u8> {
    let (mut found, mut at) = (Vec::new(), 8);
    while at < component.len() {
        found.push(component[at]);
        let (mut length, mut shift) = (0, 0);
        loop {
            at += 1;
            length |= usize::from(component[at] & 127) << shift;
            shift += 7;
            if component[at] & 128 == 0 {
                break;
            }
        }
        at += 1 + length;
    }
    found
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 127) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 128 });
        if number == 0 {
            return bytes;
        }
    }
}
