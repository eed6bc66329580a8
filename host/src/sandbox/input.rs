//! `input` in the contract's interface `io`: reading, with the position kept here.

use std::io;
use std::sync::Arc;

use wasmtime::component::Resource;

use super::bindings::dropforge::converter::io::{HostInput, IoError, Timestamp};
use super::state::{Call, HostError, State, failed};
use super::types::{ErrorType, Input, InputId, Source};

/// The most that one `read` gives.
const MAX_READ: u64 = 1 << 20;
/// What `probe` may see of an input.
pub const PROBE_BYTES: u64 = 64 << 10;

/// What stands behind the guest's handle of an input.
pub struct OpenInput {
    id: InputId,
    name: String,
    path: String,
    media_type: Option<String>,
    modified: Option<(i64, u32)>,
    source: Box<dyn Source>,
    position: u64,
    /// The bytes from here on do not exist for the guest.
    end: u64,
    /// Only the job's own input has members.
    is_member: bool,
}

impl OpenInput {
    /// The job's input.
    pub fn of_job(input: Input, call: Call) -> Self {
        let end = if call == Call::Probe { input.source.size().min(PROBE_BYTES) } else { input.source.size() };
        OpenInput {
            id: input.id,
            name: input.name,
            path: input.path,
            media_type: input.media_type,
            modified: input.modified,
            source: input.source,
            position: 0,
            end,
            is_member: false,
        }
    }

    /// The member number `index`, called `name`, of the job `job_id`.
    fn of_member(job_id: &InputId, index: usize, name: String, source: Box<dyn Source>) -> Self {
        let job_id = job_id.clone();
        OpenInput {
            id: InputId::Lazy(Arc::new(move || Ok(format!("{}/{index}", job_id.get()?)))),
            name: name.rsplit('/').next().unwrap_or_default().to_owned(),
            path: name,
            media_type: None,
            modified: None,
            position: 0,
            end: source.size(),
            source,
            is_member: true,
        }
    }

    fn read(&mut self, max: u32) -> io::Result<Vec<u8>> {
        let wanted = self.end.saturating_sub(self.position).min(u64::from(max)).min(MAX_READ);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0; usize::try_from(wanted).unwrap_or_default()];
        let read = loop {
            match self.source.read_at(self.position, &mut buffer) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read"));
        }
        buffer.truncate(read);
        self.position += read as u64;
        Ok(buffer)
    }
}

impl HostInput for State {
    fn id(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<String> {
        self.deadline.check()?;
        self.asked.id = true;
        let input = self.table.get(&this)?;
        match input.id.get() {
            Ok(id) => Ok(id),
            Err(error) => {
                // The job fails by this, whatever the guest makes of an empty id.
                let message = format!("cannot read the input `{}` for its id: {error}", input.path);
                self.fail(ErrorType::Io, "read", message);
                Ok(String::new())
            }
        }
    }

    fn name(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<String> {
        self.deadline.check()?;
        self.asked.name = true;
        Ok(self.table.get(&this)?.name.clone())
    }

    fn path(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<String> {
        self.deadline.check()?;
        self.asked.path = true;
        Ok(self.table.get(&this)?.path.clone())
    }

    fn size(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<u64> {
        self.deadline.check()?;
        Ok(self.table.get(&this)?.source.size())
    }

    fn media_type(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<Option<String>> {
        self.deadline.check()?;
        self.asked.media_type = true;
        Ok(self.table.get(&this)?.media_type.clone())
    }

    fn modified(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<Option<Timestamp>> {
        self.deadline.check()?;
        self.asked.modified = true;
        Ok(self.table.get(&this)?.modified.map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds }))
    }

    fn attributes(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<Vec<(String, String)>> {
        self.deadline.check()?;
        self.table.get(&this)?;
        self.asked.attributes = true;
        Ok(self.job.attributes.clone())
    }

    fn read(&mut self, this: Resource<OpenInput>, max: u32) -> Result<Vec<u8>, HostError> {
        self.begin()?;
        let input = self.table.get_mut(&this)?;
        match input.read(max) {
            Ok(bytes) => {
                self.input_bytes += bytes.len() as u64;
                Ok(bytes)
            }
            Err(error) => {
                let message = format!("cannot read the input `{}` at byte {}: {error}", input.path, input.position);
                Err(self.fail(ErrorType::Io, "read", message))
            }
        }
    }

    fn seek(&mut self, this: Resource<OpenInput>, offset: u64) -> Result<(), HostError> {
        self.begin()?;
        self.table.get_mut(&this)?.position = offset;
        Ok(())
    }

    fn members(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<Vec<String>> {
        self.deadline.check()?;
        if self.table.get(&this)?.is_member {
            return Ok(Vec::new());
        }
        self.asked.members = true;
        Ok(self.job.members.iter().map(|member| member.name.clone()).collect())
    }

    fn open_member(&mut self, this: Resource<OpenInput>, name: String) -> Result<Resource<OpenInput>, HostError> {
        self.begin()?;
        let found = if self.table.get(&this)?.is_member { None } else { self.job.members.iter().position(|member| member.name == name) };
        // Whether there is one of that name is told by this, too.
        self.asked.members = true;
        let Some(index) = found else {
            return Err(HostError::Guest(IoError::NotFound("there is no member of that name".to_owned())));
        };
        self.open_handle()?;
        self.asked.opened.insert(name.clone());
        match self.job.members.get(index).map(|member| (member.open)()) {
            Some(Ok(source)) => {
                self.check_size(&name, source.size())?;
                Ok(self.table.push(OpenInput::of_member(&self.job.id, index, name, source))?)
            }
            Some(Err(error)) => Err(self.fail(ErrorType::Io, "read", format!("cannot open the member `{name}`: {error}"))),
            None => failed("there is no member of that name"),
        }
    }

    fn drop(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.handles = self.handles.saturating_sub(1);
        Ok(())
    }
}

impl State {
    /// Refuses an input that is larger than the limit.
    pub fn check_size(&mut self, path: &str, size: u64) -> Result<(), HostError> {
        let limit = self.limits.input_bytes;
        if size > limit {
            let message = format!("`{path}` has {size} bytes; the limit `input_bytes` is {limit}");
            return Err(self.fail(ErrorType::Unsupported, "input_too_large", message));
        }
        Ok(())
    }

    /// `problem` and `create-document` are for `convert`.
    pub fn only_in_convert(&self, function: &str) -> Result<(), HostError> {
        if self.call == Call::Convert { Ok(()) } else { failed(format!("{function} may be called from `convert` only")) }
    }
}
