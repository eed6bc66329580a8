//! The bindings that wasmtime generates from `wit/`: they stay inside the sandbox, whose own types are in `types`.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wasmtime::component::bindgen!({
    path: "../wit/0.1.0",
    world: "dropforge:converter/plugin-with-lookup",
    imports: { default: trappable },
    with: {
        "dropforge:converter/io.input": crate::sandbox::input::OpenInput,
        "dropforge:converter/io.document": crate::sandbox::documents::OpenDocument,
    },
    trappable_error_type: {
        "dropforge:converter/io.io-error" => crate::sandbox::state::HostError,
    },
});
