//! Tools whose output is known to be broken, or to be for something else: a plugin that they made is refused with the reason and the remedy,
//! before it corrupts its memory in the middle of somebody's file. It knows names and versions, and nothing of WebAssembly.

use super::wrap::Producer;

/// What else has to be known of a core module.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Module {
    /// It imports WASI preview 1.
    pub(super) preview1: bool,
    /// It exports `cabi_realloc`.
    pub(super) realloc: bool,
}

/// Says why what these tools made is refused; nothing where they are not known to be bad. `module` is given for a core module, which is
/// still to be wrapped.
pub(super) fn refusal(producers: &[Producer], module: Option<Module>) -> Option<String> {
    producers.iter().find_map(|producer| {
        let version = version(&producer.version);
        match producer.name.as_str() {
            // https://rustwasm.github.io/wasm-bindgen: its modules import from, and are driven by, the JavaScript that it writes beside them.
            "wasm-bindgen" => Some(format!(
                "it was made by wasm-bindgen {}, whose modules only run beside its own JavaScript: remove the crate `wasm-bindgen` (a feature of a \
                 dependency may turn it on), and build with `dropforge plugin build`",
                producer.version
            )),
            // https://github.com/bytecodealliance/wit-bindgen/issues/894
            "wit-bindgen-rust" if matches!(version, Some((0, 21 | 22, _))) => Some(format!(
                "it was made by wit-bindgen {}, which runs the constructors of C and C++ code again at every call, over memory that is in \
                 use: build it with wit-bindgen 0.23 or newer",
                producer.version
            )),
            // https://github.com/WebAssembly/wasi-libc/pull/377. With `cabi_realloc` the adapter asks the module for memory, and the bug
            // is out of reach.
            "clang" if module.is_some_and(|module| module.preview1 && !module.realloc) && version < Some((15, 0, 7)) => version.map(|_| {
                format!(
                    "it was made by clang {}, whose wasi-libc (before wasi-sdk 19) hands out memory that the WASI adapter uses: build it with \
                     wasi-sdk 19 or newer",
                    producer.version
                )
            }),
            _ => None,
        }
    })
}

/// The first three numbers of a version such as `15.0.6 (https://… 088f33605d8a)` or `0.21.0`.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let numbers = text.split_whitespace().next()?;
    let mut numbers = numbers.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn producer(field: &str, name: &str, version: &str) -> Producer {
        Producer { field: field.to_owned(), name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn known_bad_tools_are_refused_and_their_mended_versions_are_not() {
        let plain = Some(Module { preview1: true, realloc: false });
        let with_realloc = Some(Module { preview1: true, realloc: true });
        let cases = [
            ("wasm-bindgen", "0.2.100 (1c2d5e6f7)", plain, Some("only run beside its own JavaScript")),
            ("wit-bindgen-rust", "0.21.0", None, Some("constructors of C and C++ code")),
            ("wit-bindgen-rust", "0.22.0", plain, Some("wit-bindgen 0.23 or newer")),
            ("wit-bindgen-rust", "0.20.0", plain, None),
            ("wit-bindgen-rust", "0.60.0", plain, None),
            ("wit-bindgen-c", "0.21.0", plain, None),
            ("clang", "15.0.6 (https://github.com/llvm/llvm-project 088f3360)", plain, Some("wasi-sdk 19 or newer")),
            ("clang", "14.0.4", plain, Some("clang 14.0.4")),
            ("clang", "15.0.6", with_realloc, None),
            ("clang", "15.0.6", None, None),
            ("clang", "15.0.7", plain, None),
            ("clang", "19.1.5-wasi-sdk", plain, None),
            ("clang", "", plain, None),
            ("rustc", "1.95.0 (xyz)", plain, None),
        ];
        for (name, version, module, expected) in cases {
            let found = refusal(&[producer("language", "Rust", ""), producer("processed-by", name, version)], module);
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(expected))
                    if found.contains(expected) && found.contains(version.split(' ').next().unwrap_or_default()) => {}
                _ => panic!("{name} {version} gave {found:?}"),
            }
        }
    }
}
