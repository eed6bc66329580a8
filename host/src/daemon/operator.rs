//! What the API does to the queue.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::delivery::{purge, replay};
use crate::queue::{Filter, QueueError, Store};
use crate::server::{Action, Declined, Operator};

/// The queue as the API sees it.
pub(super) struct QueueOperator(pub Arc<Store>);

fn filter(value: Value) -> Result<Filter, Declined> {
    serde_json::from_value(value).map_err(|error| Declined::BadRequest(format!("That is no filter of jobs: {error}.")))
}

fn failed(error: QueueError) -> Declined {
    Declined::Failed(error.into())
}

impl Operator for QueueOperator {
    fn jobs(&self, which: Value, limit: usize) -> Result<Value, Declined> {
        Ok(json!(self.0.jobs(&filter(which)?, limit).map_err(failed)?))
    }

    fn job(&self, id: &str) -> Result<Option<Value>, Declined> {
        Ok(self.0.job(id).map_err(failed)?.map(|job| json!(job)))
    }

    fn queue(&self) -> Result<Value, Declined> {
        Ok(json!(self.0.sizes().map_err(failed)?.form()))
    }

    fn act(&self, action: Action, which: Value) -> Result<Value, Declined> {
        let filter = filter(which)?;
        let done = match action {
            Action::Retry => json!(self.0.retry(&filter).map_err(failed)?),
            Action::Replay => json!(replay(&self.0, &filter).map_err(failed)?),
            Action::Purge => json!(purge(&self.0, &filter).context("not everything was deleted").map_err(Declined::Failed)?),
        };
        tracing::info!(?action, ?filter, %done, "the API acted on the queue");
        Ok(done)
    }
}
