//! The rest of the contract's interface `io`: its two functions, and what the generated bindings want besides.

use wasmtime::component::Resource;

use super::bindings::dropforge::converter::{io, types};
use super::documents::OpenDocument;
use super::from_guest;
use super::state::{HostError, State};
use super::types::Problem;

impl io::Host for State {
    fn create_document(&mut self, media_type: String, name: String) -> Result<Resource<OpenDocument>, HostError> {
        self.begin_document(media_type, name)
    }

    fn problem(&mut self, severity: types::Severity, error: types::ConversionError) -> Result<(), HostError> {
        self.begin()?;
        self.only_in_convert("problem")?;
        self.problems.push(Problem { severity: from_guest::severity(severity), error: from_guest::conversion_error(error) });
        Ok(())
    }

    fn convert_io_error(&mut self, error: HostError) -> wasmtime::Result<io::IoError> {
        match error {
            HostError::Guest(error) => Ok(error),
            HostError::Trap(error) => Err(error),
        }
    }
}

impl types::Host for State {}
