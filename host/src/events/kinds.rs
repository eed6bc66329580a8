//! The events that there are, and how each looks. Their names and fields are a contract with whoever watches: fields are added, never changed.

use serde::Serialize;
use utoipa::ToSchema;

/// The longest reason in an event, in bytes: whoever wants all of it asks for the job.
const LONGEST_TEXT: usize = 1_000;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The daemon has started: its plugins are loaded, and its routes take files.
    Ready {
        /// The version of Dropforge.
        version: &'static str,
    },
    /// The daemon stops, or takes its configuration anew: nothing new is taken, and what runs ends. It is followed by the last events.
    Stopping,
    /// A file was taken in, and is to be converted.
    JobQueued {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// How it came: `folder` or `http`.
        origin: &'static str,
        /// Its size.
        bytes: u64,
    },
    /// A worker has begun with a job.
    JobStarted {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// A job is put off: it is tried again later.
    JobWaits {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// What it waits for: `retry`, `suspended`, `converter`, `plugin_suspended`, `busy`, `route` or `paused`.
        waiting: &'static str,
        /// When it is tried again; null where something else has to happen first.
        due: Option<String>,
    },
    /// The conversion of a job has ended, and its documents are durable: from now on they are delivered, and its source is settled.
    JobSettled {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// `converted`, `partial`, `skipped`, `rejected` or `failed`.
        outcome: &'static str,
        /// Who converted it; `none` where no converter took it.
        converter: String,
        /// How many documents came of it.
        documents: usize,
        /// Their size.
        output_bytes: u64,
        /// How long the conversion took, in milliseconds; null where there was none, as where the result was known.
        duration_ms: Option<f64>,
        /// What kind of error it was, where the outcome is `failed`.
        error_type: Option<&'static str>,
        /// Why it did not go well.
        reason: Option<String>,
    },
    /// The source of a job is where it is to be.
    SourceSettled {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// What became of it: `moved`, `kept`, `deleted`, `gone`, `replaced` or `no_route`.
        source: &'static str,
        /// Where it is now, where it was moved.
        location: Option<String>,
    },
    /// A destination has taken the documents of a job.
    Delivered {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// The destination's name.
        destination: String,
        /// How many documents.
        documents: usize,
    },
    /// A destination has refused documents of a job: they stay until somebody sends them again or gives them up.
    DeliveryRefused {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// The destination's name.
        destination: String,
        /// How many documents it has refused.
        documents: usize,
        /// Why, of the first.
        reason: String,
    },
    /// The documents of a job could not be delivered, which is tried again.
    DeliveryFailed {
        /// Which job.
        #[serde(flatten)]
        job: JobFile,
        /// The destination's name.
        destination: String,
        /// Why not.
        reason: String,
    },
    /// A destination that did not work takes documents again.
    DestinationWorks {
        /// Its name.
        destination: String,
    },
    /// A file could not be taken in.
    IntakeTrouble {
        /// The route.
        route: String,
        /// The file's path below the intake.
        file: String,
        /// Why not.
        reason: String,
    },
    /// Little or nothing of a route is taken in for now; its files wait where they are.
    IntakeHeldBack {
        /// The route.
        route: String,
        /// Why.
        reason: String,
    },
    /// A route is held back no longer.
    IntakeGoesOn {
        /// The route.
        route: String,
    },
    /// The folder of a route cannot be watched.
    IntakeDown {
        /// The route.
        route: String,
        /// Why not.
        reason: String,
    },
    /// The folder of a route is watched.
    IntakeUp {
        /// The route.
        route: String,
    },
    /// An operator has paused a route.
    RoutePaused {
        /// The route.
        route: String,
        /// What the operator said to it.
        reason: Option<String>,
    },
    /// A route goes on that was paused.
    RouteResumed {
        /// The route.
        route: String,
    },
    /// An operator has paused a converter.
    ConverterPaused {
        /// Its name.
        converter: String,
        /// What the operator said to it.
        reason: Option<String>,
    },
    /// A converter goes on that was paused.
    ConverterResumed {
        /// Its name.
        converter: String,
    },
    /// A plugin was loaded and is live.
    PluginLoaded {
        /// Which plugin.
        #[serde(flatten)]
        plugin: PluginFile,
        /// The version that ran before, where this takes its place.
        replaces: Option<String>,
    },
    /// A file in the plugins folder was not loaded; what ran goes on.
    PluginRefused {
        /// The file's name.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A plugin is no longer there: its file is gone, or may not run any more.
    PluginRemoved {
        /// Which plugin.
        #[serde(flatten)]
        plugin: PluginFile,
    },
    /// A converter has failed again and again, and is left alone for a while.
    PluginSuspended {
        /// Its name.
        converter: String,
    },
    /// A converter that was suspended works again.
    PluginWorks {
        /// Its name.
        converter: String,
    },
}

/// Which job, and which file it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobFile {
    /// The job's id.
    pub job: String,
    /// Its route.
    pub route: String,
    /// The file's path below the intake.
    pub file: String,
}

/// Which plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PluginFile {
    /// The converter's name.
    pub converter: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its file.
    pub digest: String,
    /// The file's name.
    pub file: String,
}

/// An event as it is told: a JSON object with the moment, the kind, and what belongs to the kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimedEvent<'a> {
    /// When it was told, in UTC.
    #[schema(value_type = String, format = DateTime)]
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Event {
    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Ready { .. } => "ready",
            Event::Stopping => "stopping",
            Event::JobQueued { .. } => "job_queued",
            Event::JobStarted { .. } => "job_started",
            Event::JobWaits { .. } => "job_waits",
            Event::JobSettled { .. } => "job_settled",
            Event::SourceSettled { .. } => "source_settled",
            Event::Delivered { .. } => "delivered",
            Event::DeliveryRefused { .. } => "delivery_refused",
            Event::DeliveryFailed { .. } => "delivery_failed",
            Event::DestinationWorks { .. } => "destination_works",
            Event::IntakeTrouble { .. } => "intake_trouble",
            Event::IntakeHeldBack { .. } => "intake_held_back",
            Event::IntakeGoesOn { .. } => "intake_goes_on",
            Event::IntakeDown { .. } => "intake_down",
            Event::IntakeUp { .. } => "intake_up",
            Event::RoutePaused { .. } => "route_paused",
            Event::RouteResumed { .. } => "route_resumed",
            Event::ConverterPaused { .. } => "converter_paused",
            Event::ConverterResumed { .. } => "converter_resumed",
            Event::PluginLoaded { .. } => "plugin_loaded",
            Event::PluginRefused { .. } => "plugin_refused",
            Event::PluginRemoved { .. } => "plugin_removed",
            Event::PluginSuspended { .. } => "plugin_suspended",
            Event::PluginWorks { .. } => "plugin_works",
        }
    }

    /// The names of all kinds.
    pub const KINDS: [&'static str; 25] = [
        "ready",
        "stopping",
        "job_queued",
        "job_started",
        "job_waits",
        "job_settled",
        "source_settled",
        "delivered",
        "delivery_refused",
        "delivery_failed",
        "destination_works",
        "intake_trouble",
        "intake_held_back",
        "intake_goes_on",
        "intake_down",
        "intake_up",
        "route_paused",
        "route_resumed",
        "converter_paused",
        "converter_resumed",
        "plugin_loaded",
        "plugin_refused",
        "plugin_removed",
        "plugin_suspended",
        "plugin_works",
    ];

    /// The route that it is about; none where it is about no one route.
    pub fn route(&self) -> Option<&str> {
        match self {
            Event::JobQueued { job, .. }
            | Event::JobStarted { job, .. }
            | Event::JobWaits { job, .. }
            | Event::JobSettled { job, .. }
            | Event::SourceSettled { job, .. }
            | Event::Delivered { job, .. }
            | Event::DeliveryRefused { job, .. }
            | Event::DeliveryFailed { job, .. } => Some(&job.route),
            Event::IntakeTrouble { route, .. }
            | Event::IntakeHeldBack { route, .. }
            | Event::IntakeGoesOn { route }
            | Event::IntakeDown { route, .. }
            | Event::IntakeUp { route }
            | Event::RoutePaused { route, .. }
            | Event::RouteResumed { route } => Some(route),
            Event::Ready { .. }
            | Event::Stopping
            | Event::DestinationWorks { .. }
            | Event::ConverterPaused { .. }
            | Event::ConverterResumed { .. }
            | Event::PluginLoaded { .. }
            | Event::PluginRefused { .. }
            | Event::PluginRemoved { .. }
            | Event::PluginSuspended { .. }
            | Event::PluginWorks { .. } => None,
        }
    }

    /// All of it, at this moment.
    pub(super) fn to_json(&self) -> String {
        let timed = TimedEvent { time: format!("{:.3}", jiff::Timestamp::now()), event: self };
        // It has text and numbers alone.
        serde_json::to_string(&timed).unwrap_or_default()
    }
}

/// A reason as events have it: at most 1000 bytes of it.
pub fn short(text: &str) -> String {
    let cut = text.floor_char_boundary(LONGEST_TEXT);
    if cut < text.len() { format!("{}…", text.get(..cut).unwrap_or_default()) } else { text.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_when_it_was_and_of_which_kind() {
        let job = JobFile { job: "3f".into(), route: "ict".into(), file: "a.csv".into() };
        let json = Event::JobQueued { job, origin: "http", bytes: 7 }.to_json();
        let (time, rest) = json.split_once(r#"Z","#).unwrap();
        assert!(time.starts_with(r#"{"time":"2"#), "{json}");
        assert_eq!(rest, r#""kind":"job_queued","job":"3f","route":"ict","file":"a.csv","origin":"http","bytes":7}"#);
    }

    /// The kinds that a schema names, in their order.
    fn kinds(schema: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(kind) = schema.pointer("/properties/kind/enum/0").and_then(serde_json::Value::as_str) {
            found.push(kind.to_owned());
        }
        let items = schema.as_array().into_iter().flatten();
        items.chain(schema.as_object().into_iter().flat_map(serde_json::Map::values)).for_each(|part| kinds(part, found));
    }

    #[test]
    fn the_list_of_kinds_has_every_event() {
        let mut found = Vec::new();
        kinds(&serde_json::to_value(<Event as utoipa::PartialSchema>::schema()).unwrap(), &mut found);
        assert_eq!(found, Event::KINDS);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        assert_eq!(short("why"), "why");
        let cut = short(&"ü".repeat(2_000));
        assert!(cut.ends_with("ü…") && cut.len() <= LONGEST_TEXT + 3, "{}", cut.len());
    }
}
