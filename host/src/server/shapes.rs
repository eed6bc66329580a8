//! How answers look that are about several parts of the service, and where the document of the API names types of others. What is in a
//! `Value` here is made by the service; the server passes it on.

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{ApiStatus, CertificateStatus};
use crate::delivery::{Purged, Replayed};
use crate::intake::Trouble;
use crate::metrics::Totals;
use crate::plugins::PluginStatus;
use crate::queue::{Filter, Retried, SizesForm};

/// A route, and how it is doing.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RouteStatus {
    /// Its name.
    pub name: String,
    /// Its converter: a name, a name with a digest, or `auto`.
    pub converter: String,
    /// The folder that it watches; null where files are only posted.
    pub intake: Option<String>,
    /// Whether the folder can be watched; null where there is none, or nobody knows yet.
    pub up: Option<bool>,
    /// Files that are there and not taken yet.
    pub waiting: usize,
    /// Of those, how many could not be taken.
    pub failing: usize,
    /// The last file that could not be taken.
    #[schema(value_type = Option<Trouble>)]
    pub last_error: Option<Value>,
    /// Since when it is paused, and why; null where it is not.
    pub paused: Option<PauseForm>,
    /// Why nothing, or little, is taken now.
    pub held_back: Option<String>,
    /// The names of its destinations.
    pub destinations: Vec<String>,
    /// Whether it is only tried: nothing is delivered or moved.
    pub dry_run: bool,
    /// Where files go that were converted.
    pub done: String,
    /// Where files go that failed.
    pub failed: String,
}

/// A pause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PauseForm {
    /// Since when, as RFC 3339 in UTC.
    pub since: String,
    /// What the operator said to it.
    pub reason: Option<String>,
}

/// All of the service on one page, but for what the server itself knows.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Overview {
    /// What tells this daemon from others.
    pub instance_id: String,
    /// How full the queue is.
    #[schema(value_type = SizesForm)]
    pub queue: Value,
    /// How many bytes of documents may wait for their destinations.
    pub spool_limit_bytes: u64,
    /// What is free on the disk of the state folder; null where nobody knows.
    pub disk_free_bytes: Option<u64>,
    /// The routes.
    #[schema(value_type = Vec<RouteStatus>)]
    pub routes: Value,
    /// The files of the plugins folder.
    #[schema(value_type = Vec<PluginStatus>)]
    pub plugins: Value,
    /// Sums since the start.
    #[schema(value_type = Totals)]
    pub totals: Value,
}

/// All of it on one page.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusPage {
    /// The version of Dropforge.
    pub version: &'static str,
    /// How long it has run.
    pub uptime_seconds: u64,
    /// `ready` or `not_ready`.
    pub status: &'static str,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    /// How the upstream server is doing.
    pub api_status: ApiStatus,
    /// How the certificate of the ports is doing; null where they have none.
    pub certificate: Option<CertificateStatus>,
    #[serde(flatten)]
    pub overview: Overview,
}

/// What an action on the queue did: which of the three it is, the action says.
pub(super) enum Done {}

impl PartialSchema for Done {
    fn schema() -> RefOr<Schema> {
        let names = [Retried::name(), Purged::name(), Replayed::name()];
        names.into_iter().fold(AnyOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(name))).into()
    }
}

impl ToSchema for Done {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend([
            (Retried::name().into(), Retried::schema()),
            (Purged::name().into(), Purged::schema()),
            (Replayed::name().into(), Replayed::schema()),
        ]);
    }
}

/// Which jobs are meant: a [`Filter`], or `"all": true`.
pub(super) enum Which {}

impl PartialSchema for Which {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut object)) = Filter::schema() else { return Filter::schema() };
        let all = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Boolean))
            .description(Some("All of them, where nothing else is said. Without this, a filter without a condition means none."));
        object.properties.insert("all".to_owned(), all.into());
        RefOr::T(Schema::Object(object))
    }
}

impl ToSchema for Which {}
