//! The part of the API that tells what happens while it happens, as Server-Sent Events. It knows how a stream looks and what of it a client
//! wants; what there is to tell is not its business.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::endpoints::App;
use super::listener::{Stopping, stopped};
use super::openapi::{Bad, Guarded};
use super::problem::Problem;
use super::query;
use crate::events::{Event, Next, Place, TimedEvent, Told, Watcher};

/// Where they are.
pub(super) const EVENTS: &str = "/api/v1/events";

/// Streams at a time. Each has a connection and 64 events in hand at most.
pub(super) const MOST_STREAMS: usize = 32;

/// How long a stream lasts. Whoever watches comes back, as browsers do by themselves, and has lost nothing. Who does not read gives its place
/// back so: on a quiet daemon nothing else tells it from who does, since comments fill no buffer in days.
pub const STREAM_TIME: Duration = Duration::from_secs(60 * 60);

/// What a client is told to wait when there are too many, in seconds.
const BUSY_SECONDS: u64 = 10;

/// The header by which a client that comes back says what it has seen last.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a client wants to be told.
#[derive(Debug, Default)]
struct Wanted {
    /// None for all.
    routes: BTreeSet<String>,
    /// None for all.
    kinds: BTreeSet<String>,
}

impl Wanted {
    fn wants(&self, told: &Told) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(told.kind))
            && (self.routes.is_empty() || told.route.as_ref().is_some_and(|route| self.routes.contains(route)))
    }
}

/// Tells what happens, while it happens: a stream of Server-Sent Events.
///
/// The data of each is a JSON object as below, its name is the `kind`. An event `missed` says how many were lost, as `{"events": 7}` (null:
/// nobody knows how many), because the client was too slow or was away for too long. A stream lasts an hour; who comes back goes on where it was.
#[utoipa::path(
    get, path = EVENTS, tag = "operation", operation_id = "events", security((), ("token" = [])),
    params(
        ("route" = Option<Vec<String>>, Query, description = "Only what is about these routes.", example = json!(["ict"])),
        ("kind" = Option<Vec<String>>, Query, description = "Only events of these kinds.", example = json!(["job_settled"])),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that the client saw: it goes on after that one."),
    ),
    responses(
        (status = 200, description = "Events until the client goes, an hour is over, or the service stops.", body = TimedEvent<'static>, content_type = "text/event-stream"),
        Bad, Guarded
    )
)]
pub(super) async fn stream(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let wanted = wanted(&app, &uri).await?;
    let place = match headers.get(LAST_EVENT_ID).map(|id| id.to_str().map(str::trim)) {
        // What a browser sends that has seen none.
        None | Some(Ok("")) => None,
        Some(id) => match id.map(str::parse::<Place>) {
            Ok(Ok(place)) => Some(place),
            _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "`Last-Event-ID` is to be the `id` of an event of this stream.")),
        },
    };
    let room = Arc::clone(&app.streams).try_acquire_owned();
    let permit =
        room.map_err(|_| Problem::busy(format!("There are {MOST_STREAMS} streams of events, which is the most."), BUSY_SECONDS))?;
    let watcher = app.metrics.events().watch(place);
    let (in_hand, end) = (VecDeque::new(), Instant::now() + app.stream_time);
    let live = Live { watcher, wanted, in_hand, end, is_over: false, stopping: app.stopping.clone(), _permit: permit };
    Ok(Sse::new(live.into_stream()).keep_alive(KeepAlive::default()).into_response())
}

/// A client with a misspelt filter would wait for ever.
async fn wanted(app: &App, uri: &Uri) -> Result<Wanted, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let mut wanted = Wanted::default();
    for (key, value) in query::pairs(uri)? {
        match key.as_str() {
            "route" => wanted.routes.insert(value),
            "kind" if Event::KINDS.contains(&value.as_str()) => wanted.kinds.insert(value),
            "kind" => return Err(bad(format!("There is no kind {value:?}; there are: {}.", Event::KINDS.join(", ")))),
            _ => return Err(bad(format!("There is no parameter {key:?}; there are `route` and `kind`."))),
        };
    }
    if !wanted.routes.is_empty() {
        let routes = app.blocking(|app| app.status.routes()).await?;
        let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        if let Some(unknown) = wanted.routes.iter().find(|route| !names.contains(&route.as_str())) {
            return Err(bad(format!("There is no route {unknown:?}; there are: {}.", names.join(", "))));
        }
    }
    Ok(wanted)
}

/// A stream under way.
struct Live {
    watcher: Watcher,
    wanted: Wanted,
    in_hand: VecDeque<sse::Event>,
    /// When its time is over.
    end: Instant,
    is_over: bool,
    stopping: Stopping,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// Ends when its time is over, or the server stops.
    fn into_stream(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        stream::unfold(self, |mut live| async move {
            loop {
                if let Some(event) = live.in_hand.pop_front() {
                    return Some((Ok(event), live));
                }
                if live.is_over {
                    return None;
                }
                let before = live.watcher.place();
                tokio::select! {
                    // What has happened is told before the server stops.
                    biased;
                    () = sleep_until(live.end) => {
                        live.is_over = true;
                        // No event, but the place to come back to, also for who was told nothing.
                        live.in_hand.push_back(sse::Event::default().id(before.to_string()));
                    }
                    next = live.watcher.next() => live.take(next, before),
                    () = stopped(&mut live.stopping) => return None,
                }
            }
        })
    }

    fn take(&mut self, next: Next, before: Place) {
        let series = self.watcher.place().series;
        match next {
            Next::Events(events) => {
                let wanted = events.iter().filter(|told| self.wanted.wants(told));
                self.in_hand.extend(wanted.map(|told| {
                    let place = Place { series, number: told.number };
                    sse::Event::default().id(place.to_string()).event(told.kind).data(&told.json)
                }));
            }
            Next::Missed(events) => {
                tracing::debug!(?events, ?before, "a client that watches has missed events");
                let place = self.watcher.place().to_string();
                self.in_hand.push_back(sse::Event::default().id(place).event("missed").data(json!({ "events": events }).to_string()));
            }
        }
    }
}
