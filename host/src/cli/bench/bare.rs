//! A converter on wasmtime alone: the contract's functions in as few lines as they can have, without a limit, a log or a check. What the
//! sandbox does beside this is what it costs.

use anyhow::Context as _;
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Engine, Store};

use crate::sandbox::engine_config;

use bindings::dropforge::converter::{io, log, metrics, types};
use bindings::{Plugin, PluginPre};

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        world: "dropforge:converter/plugin",
        imports: { default: trappable },
        with: {
            "dropforge:converter/io.input": super::Bytes,
            "dropforge:converter/io.document": super::Bytes,
        },
    });
}

/// An engine with the sandbox's settings: both run the same machine code.
pub(super) fn engine() -> anyhow::Result<Engine> {
    Engine::new(&engine_config()).map_err(|error| anyhow::anyhow!("cannot set up wasmtime: {error:#}"))
}

/// A converter, linked.
pub(super) struct Bare(PluginPre<State>);

/// An input or a document: its bytes, and how far it is read.
pub struct Bytes {
    bytes: Vec<u8>,
    at: usize,
}

struct State {
    table: ResourceTable,
    /// The bytes of finished documents.
    made: Vec<u8>,
}

impl Bare {
    pub(super) fn new(engine: &Engine, component: &[u8]) -> anyhow::Result<Bare> {
        let failed = |error: wasmtime::Error| anyhow::anyhow!("{error:#}");
        let component = Component::new(engine, component).map_err(failed)?;
        let mut linker = Linker::new(engine);
        Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(failed)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(failed)
            .context("the converter needs more than its own contract: choose one without WASI")?;
        Ok(Bare(PluginPre::new(pre).map_err(failed)?))
    }

    /// One conversion in a fresh store; gives the documents' bytes.
    pub(super) fn convert(&self, input: Vec<u8>, options: &str) -> anyhow::Result<Vec<u8>> {
        let failed = |error: wasmtime::Error| anyhow::anyhow!("{error:#}");
        let mut store = Store::new(self.0.engine(), State { table: ResourceTable::new(), made: Vec::new() });
        // The code looks at the clock of the engine, which nobody advances here.
        store.set_epoch_deadline(u64::MAX / 2);
        let input = store.data_mut().table.push(Bytes { bytes: input, at: 0 })?;
        let plugin = self.0.instantiate(&mut store).map_err(failed)?;
        let outcome = plugin.dropforge_converter_converter().call_convert(&mut store, Resource::new_borrow(input.rep()), options);
        match outcome.map_err(failed)? {
            Ok(types::Outcome::Converted) => Ok(store.into_data().made),
            Ok(other) => anyhow::bail!("the converter did not convert: {other:?}"),
            Err(error) => anyhow::bail!("the converter failed: {error:?}"),
        }
    }
}

impl io::HostInput for State {
    fn id(&mut self, _: Resource<Bytes>) -> wasmtime::Result<String> {
        Ok("bench".to_owned())
    }

    fn name(&mut self, _: Resource<Bytes>) -> wasmtime::Result<String> {
        Ok("bench.csv".to_owned())
    }

    fn path(&mut self, _: Resource<Bytes>) -> wasmtime::Result<String> {
        Ok("bench.csv".to_owned())
    }

    fn size(&mut self, this: Resource<Bytes>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.bytes.len() as u64)
    }

    fn media_type(&mut self, _: Resource<Bytes>) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }

    fn modified(&mut self, _: Resource<Bytes>) -> wasmtime::Result<Option<io::Timestamp>> {
        Ok(None)
    }

    fn attributes(&mut self, _: Resource<Bytes>) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn read(&mut self, this: Resource<Bytes>, max: u32) -> wasmtime::Result<Result<Vec<u8>, io::IoError>> {
        let input = self.table.get_mut(&this)?;
        let rest = input.bytes.get(input.at..).unwrap_or_default();
        let part = rest.get(..max as usize).unwrap_or(rest).to_vec();
        input.at += part.len();
        Ok(Ok(part))
    }

    fn seek(&mut self, this: Resource<Bytes>, offset: u64) -> wasmtime::Result<Result<(), io::IoError>> {
        self.table.get_mut(&this)?.at = usize::try_from(offset)?;
        Ok(Ok(()))
    }

    fn members(&mut self, _: Resource<Bytes>) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn open_member(&mut self, _: Resource<Bytes>, name: String) -> wasmtime::Result<Result<Resource<Bytes>, io::IoError>> {
        Ok(Err(io::IoError::NotFound(name)))
    }

    fn drop(&mut self, this: Resource<Bytes>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl io::HostDocument for State {
    fn write(&mut self, this: Resource<Bytes>, bytes: Vec<u8>) -> wasmtime::Result<Result<(), io::IoError>> {
        self.table.get_mut(&this)?.bytes.extend_from_slice(&bytes);
        Ok(Ok(()))
    }

    fn set_attribute(&mut self, _: Resource<Bytes>, _: String, _: String) -> wasmtime::Result<Result<(), io::IoError>> {
        Ok(Ok(()))
    }

    fn set_key(&mut self, _: Resource<Bytes>, _: String) -> wasmtime::Result<Result<(), io::IoError>> {
        Ok(Ok(()))
    }

    fn finish(&mut self, this: Resource<Bytes>) -> wasmtime::Result<Result<(), io::IoError>> {
        let bytes = std::mem::take(&mut self.table.get_mut(&this)?.bytes);
        self.made.extend_from_slice(&bytes);
        Ok(Ok(()))
    }

    fn drop(&mut self, this: Resource<Bytes>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl io::Host for State {
    fn create_document(&mut self, _: String, _: String) -> wasmtime::Result<Result<Resource<Bytes>, io::IoError>> {
        Ok(Ok(self.table.push(Bytes { bytes: Vec::new(), at: 0 })?))
    }

    fn problem(&mut self, _: types::Severity, _: types::ConversionError) -> wasmtime::Result<Result<(), io::IoError>> {
        Ok(Ok(()))
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn log(&mut self, _: log::Level, _: String, _: Vec<(String, String)>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl metrics::Host for State {
    fn observe(&mut self, _: String, _: f64, _: Vec<String>) -> wasmtime::Result<()> {
        Ok(())
    }
}
