//! Makes small converters for tests: WebAssembly text whose `describe` answers from a data segment.

use dropforge::plugins::contract::WIT;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where the descriptor lies in the guest's memory.
const DESCRIPTOR: u32 = 1024;
/// Where its texts begin.
const TEXTS: u32 = 2048;

/// The import of the capability `lookup`.
pub const LOOKUP: &str = r#"(import "dropforge:converter/lookup@0.1.0" "get" (func (param i32 i32 i32 i32 i32)))"#;

/// A converter to be made.
#[derive(Clone)]
pub struct Guest<'a> {
    pub name: &'static str,
    pub version: &'static str,
    pub pattern: &'static str,
    pub schema: &'static str,
    /// The contract that it is built for.
    pub wit: String,
    pub world: &'static str,
    /// Before everything else in the module's text.
    pub imports: &'a str,
    /// The body of `describe`.
    pub describe: String,
    /// The exports of `probe` and `convert`.
    pub others: String,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Guest {
            name: "test",
            version: "1.0.0",
            pattern: "*.test",
            schema: "",
            wit: WIT.to_owned(),
            world: "plugin",
            imports: "",
            describe: format!("i32.const {DESCRIPTOR}"),
            others: function("probe", "(param i32) (result i32) unreachable")
                + &function("convert", "(param i32 i32 i32) (result i32) unreachable"),
        }
    }
}

/// An exported function of the interface `converter`.
pub fn function(name: &str, rest: &str) -> String {
    format!("(func (export \"dropforge:converter/converter@0.1.0#{name}\") {rest})\n")
}

impl Guest<'_> {
    pub fn named(name: &'static str, version: &'static str) -> Self {
        Guest { name, version, ..Guest::default() }
    }

    /// The core module with its component type, as cargo leaves it.
    pub fn module(&self) -> Vec<u8> {
        self.with_types(&self.text())
    }

    /// The same for another version of the contract, which `wit` must be.
    pub fn module_of_version(&self, version: &str) -> Vec<u8> {
        self.with_types(&self.text().replace("@0.1.0#", &format!("@{version}#")))
    }

    fn with_types(&self, text: &str) -> Vec<u8> {
        let mut module = wat::parse_str(text).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", &self.wit).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        module
    }

    pub fn component(&self) -> Vec<u8> {
        ComponentEncoder::default().module(&self.module()).unwrap().encode().unwrap()
    }

    pub fn text(&self) -> String {
        let mut texts: Vec<u8> = Vec::new();
        let mut place = |text: &[u8]| {
            // Lists of pointers have to be aligned.
            texts.resize(texts.len().next_multiple_of(4), 0);
            let at = TEXTS + u32::try_from(texts.len()).unwrap();
            texts.extend_from_slice(text);
            [at.to_le_bytes(), u32::try_from(text.len()).unwrap().to_le_bytes()].concat()
        };
        let pattern = place(self.pattern.as_bytes());
        let empty = [0; 8];
        // The fields in the order of the contract, each a pointer and a length; `patterns` is a list of one text.
        let record = [
            place(self.name.as_bytes()),
            place(self.version.as_bytes()),
            place(b"A converter for tests."),
            [place(&pattern)[..4].to_vec(), 1u32.to_le_bytes().to_vec()].concat(),
            empty.to_vec(),
            empty.to_vec(),
            place(self.schema.as_bytes()),
            empty.to_vec(),
            empty.to_vec(),
        ]
        .concat();
        let data = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
        format!(
            r#"(module
                {imports}
                (memory (export "memory") 1)
                (data (i32.const {DESCRIPTOR}) "{record}")
                (data (i32.const {TEXTS}) "{texts}")
                {describe}
                {others}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#,
            imports = self.imports,
            record = data(&record),
            texts = data(&texts),
            describe = function("describe", &format!("(result i32) {}", self.describe)),
            others = self.others,
        )
    }
}
