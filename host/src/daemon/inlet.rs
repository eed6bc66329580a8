//! What is posted, on its way to the parts that take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::convert_now::ConvertNow;
use super::uploads::Uploads;
use crate::server::{ConvertRequest, Converted, Inlet, Refusal, Upload, UploadRequest};

/// What a client is told to wait while the daemon stops, in seconds.
const RESTART_SECONDS: u64 = 30;

/// Gives posted files to the parts that take them, until the daemon stops.
pub(super) struct DaemonInlet {
    uploads: Arc<Uploads>,
    convert_now: ConvertNow,
    draining: Arc<AtomicBool>,
}

impl DaemonInlet {
    pub(super) fn new(uploads: Arc<Uploads>, convert_now: ConvertNow, draining: Arc<AtomicBool>) -> Self {
        DaemonInlet { uploads, convert_now, draining }
    }

    fn open(&self) -> Result<(), Refusal> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Refusal::Busy("The daemon is stopping.".into(), RESTART_SECONDS));
        }
        Ok(())
    }
}

impl Inlet for DaemonInlet {
    fn begin(&self, request: UploadRequest) -> Result<Box<dyn Upload>, Refusal> {
        self.open()?;
        self.uploads.begin(request)
    }

    fn convert_limit(&self) -> u64 {
        self.convert_now.limit()
    }

    fn convert(&self, request: ConvertRequest, content: Vec<u8>) -> Result<Converted, Refusal> {
        self.open()?;
        self.convert_now.convert(&request, content)
    }
}
