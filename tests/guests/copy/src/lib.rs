//! A converter that copies: it reads its input and writes it into one document. What a conversion costs then is what the sandbox costs.

use dropforge_sdk::prelude::*;

struct Copy;

impl Converter for Copy {
    type Options = NoOptions;

    fn describe() -> Descriptor {
        Descriptor::new("copy", "1.0.0", "Copies its input").patterns(["*.copy"])
    }

    fn convert(input: &mut Input, _: NoOptions, output: &mut Output) -> Result<Outcome> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let mut document = output.document("application/octet-stream", "copy.bin")?;
        document.write_all(&bytes)?;
        document.finish()?;
        Ok(Outcome::Converted)
    }
}

dropforge_sdk::export!(Copy);
