//! Converts a posted file at once, in the same sandbox as every other, and gives its documents. Nothing is queued or kept.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::status::RegistryCell;
use crate::config::{Config, ConverterChoice, Route};
use crate::digest::sha256_hex;
use crate::events::Event;
use crate::metrics::{ConversionStatus, Metrics, NO_CONVERTER};
use crate::plugins::{Admission, Change, Plugin, Registry, ask};
use crate::queue::{JobId, Pausable, Store};
use crate::sandbox::{
    Conversion, ConversionError, DocumentSink, DocumentWriter, ErrorType, Input, InputId, Limits, Lookup, MemorySource, Outcome, Severity,
    THREAD_STACK,
};
use crate::server::{ConvertRequest, Converted, ConvertedDocument, Refusal};
use crate::spans::{Facts, JobTrace, Kind, Tracer};
use crate::validation;
use crate::worker::traced;

/// The bytes of a file that is converted at once.
pub(super) const MAX_INPUT: u64 = 16 << 20;
/// The bytes of its documents together.
const MAX_OUTPUT: u64 = 64 << 20;
/// How long its conversion may take.
const MAX_TIME: Duration = Duration::from_secs(60);
/// How long a request waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// What a client is told to wait if that was not enough, in seconds.
const RETRY_SECONDS: u64 = 5;

/// Converts posted files, a few at a time.
pub(super) struct ConvertNow {
    config: Arc<Config>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    registry: RegistryCell,
    lookups: Option<Arc<dyn Lookup>>,
    tracer: Tracer,
    /// How many more may run now.
    free: Mutex<usize>,
    freed: Condvar,
}

/// A turn; it ends when it is dropped.
struct Turn<'a>(&'a ConvertNow);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

impl ConvertNow {
    pub(super) fn new(
        config: Arc<Config>,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        registry: RegistryCell,
        lookups: Option<Arc<dyn Lookup>>,
        tracer: Tracer,
        at_a_time: usize,
    ) -> ConvertNow {
        ConvertNow { config, store, metrics, registry, lookups, tracer, free: Mutex::new(at_a_time), freed: Condvar::new() }
    }

    pub(super) fn limit(&self) -> u64 {
        MAX_INPUT.min(self.config.largest_input(None))
    }

    pub(super) fn convert(&self, request: &ConvertRequest, content: Vec<u8>) -> Result<Converted, Refusal> {
        let Some(registry) = self.registry.get() else {
            return Err(Refusal::Busy("The plugins are still being loaded.".into(), RETRY_SECONDS));
        };
        let route = request.route.as_deref().map(|name| self.route(name)).transpose()?;
        let id = JobId::new("convert", request.name.as_bytes(), 0, &sha256_hex(&content));
        let facts = Facts { id: id.as_str(), route: request.route.as_deref(), file: &request.name, bytes: content.len() as u64 };
        let trace = self.tracer.of_request(&facts, request.trace);
        let mut span = trace.job(Kind::Server);
        let converted = self.converted(request, route, registry, &id, content, &trace);
        match &converted {
            Ok(converted) => {
                span.set("dropforge.converter", converted.converter.as_str());
                span.set("dropforge.outcome", if converted.whole { "converted" } else { "partial" });
                span.set("dropforge.documents", converted.documents.len() as u64);
            }
            Err(refusal) => span.failed(refusal.kind(), refusal.detail()),
        }
        converted
    }

    /// Waits for its turn, and converts.
    fn converted(
        &self,
        request: &ConvertRequest,
        route: Option<&Route>,
        registry: &Registry,
        id: &JobId,
        content: Vec<u8>,
        trace: &JobTrace,
    ) -> Result<Converted, Refusal> {
        let waiting = trace.begin("queue");
        let _turn = self.turn()?;
        drop(waiting);
        // Guests need more stack than a thread of the HTTP server has.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("convert now".into()).stack_size(THREAD_STACK);
            let running = thread.spawn_scoped(scope, || self.run(request, route, registry, id, content.into(), trace));
            let running = running.map_err(|error| Refusal::Failed(format!("No thread could be started for the conversion: {error}.")))?;
            running
                .join()
                .unwrap_or_else(|_| Err(Refusal::Failed("A defect of Dropforge interrupted the conversion; please report it.".into())))
        })
    }

    fn route(&self, name: &str) -> Result<&Route, Refusal> {
        let found = self.config.routes.iter().find(|route| route.name == name);
        found.ok_or_else(|| Refusal::NotFound(format!("There is no route `{name}`; /api/v1/routes lists those that there are.")))
    }

    fn turn(&self) -> Result<Turn<'_>, Refusal> {
        let end = Instant::now() + MAX_WAIT;
        let mut free = self.lock();
        while *free == 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::Busy("As many files as are converted at a time are being converted.".into(), RETRY_SECONDS));
            }
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Ok(Turn(self))
    }

    fn run(
        &self,
        request: &ConvertRequest,
        route: Option<&Route>,
        registry: &Registry,
        id: &JobId,
        content: Arc<[u8]>,
        trace: &JobTrace,
    ) -> Result<Converted, Refusal> {
        let name = &request.name;
        let attributes = route.map(|route| self.config.attributes_for(route, name)).unwrap_or_default();
        let input = || -> io::Result<Input> {
            Ok(Input {
                id: InputId::Known(id.to_string()),
                name: name.clone(),
                path: name.clone(),
                media_type: request.media_type.clone(),
                modified: None,
                attributes: attributes.clone(),
                source: Box::new(MemorySource(Arc::clone(&content))),
                members: Vec::new(),
            })
        };
        let plugins = candidates(&self.config, request, route, registry, &input)?;
        for plugin in &plugins {
            let limits = self.limits(route, &plugin.descriptor.name);
            let options = options(request, route, plugin)?;
            let name = plugin.descriptor.name.as_str();
            if let Some(pause) = self.store.pauses().of(Pausable::Converter, name) {
                return Err(Refusal::Busy(format!("{}.", pause.in_words()), RETRY_SECONDS));
            }
            let Admission::Go(pass) = registry.suspensions().admit(name, &plugin.digest) else {
                let message = format!("The converter `{name}` is suspended: it has failed again and again; /api/v1/plugins says how.");
                return Err(Refusal::Busy(message, RETRY_SECONDS));
            };
            let made = Made::default();
            let input = input().map_err(|error| Refusal::Failed(format!("The file cannot be read: {error}.")))?;
            let sink = Box::new(made.clone());
            let converter = plugin.granted(&self.config.granted(route, name), request.route.as_deref(), self.lookups.clone());
            let converter = converter.map_err(|error| Refusal::Bad(format!("{error}.")))?;
            let began = SystemTime::now();
            let mut conversion = converter.convert(input, &options, &plugin.descriptor.metrics, sink, &limits);
            validation::check(&mut conversion, route.map(|route| route.on_invalid).unwrap_or_default(), |number| Ok(made.reader(number)));
            traced::ran(trace, began, plugin, &conversion);
            self.count(plugin, &conversion);
            let error = conversion.result.as_ref().err();
            match pass.ended(error.map(|error| (error.error_type, error.message.as_str()))) {
                Change::Suspended(_) => {
                    self.metrics.plugin_suspended(name, true);
                    self.metrics.tell(|| Event::PluginSuspended { converter: name.to_owned() });
                }
                Change::Resumed => {
                    self.metrics.plugin_suspended(name, false);
                    self.metrics.tell(|| Event::PluginWorks { converter: name.to_owned() });
                }
                Change::None | Change::StillSuspended => {}
            }
            if plugins.len() > 1 && matches!(conversion.result, Ok(Outcome::Skipped(_))) {
                continue;
            }
            return converted(plugin, conversion, &made);
        }
        self.metrics.conversion(NO_CONVERTER, ConversionStatus::Error, Some(ErrorType::NoConverter));
        let asked: Vec<String> = registry.all().iter().map(|plugin| plugin.descriptor.name.clone()).collect();
        let detail = format!("No converter takes this file (asked: {}).", asked.join(", "));
        Err(Refusal::Unprocessable(detail, fields("error", Some(ErrorType::NoConverter), Value::Null)))
    }

    fn limits(&self, route: Option<&Route>, converter: &str) -> Limits {
        let limits = self.config.limits_for(route, Some(converter)).to_limits();
        Limits { wall_time: limits.wall_time.min(MAX_TIME), output_bytes: limits.output_bytes.min(MAX_OUTPUT), ..limits }
    }

    fn count(&self, plugin: &Plugin, conversion: &Conversion) {
        let converter = plugin.descriptor.name.as_str();
        let (status, error_type) = match &conversion.result {
            Ok(Outcome::Converted) if is_whole(conversion) => (ConversionStatus::Success, None),
            Ok(Outcome::Converted) => (ConversionStatus::Partial, None),
            Ok(Outcome::Skipped(_)) => (ConversionStatus::Skipped, None),
            Ok(Outcome::Suspended { .. }) => (ConversionStatus::Suspended, None),
            Ok(Outcome::Rejected(_)) => (ConversionStatus::Rejected, None),
            Err(error) => (ConversionStatus::Error, Some(error.error_type)),
        };
        self.metrics.conversion(converter, status, error_type);
        self.metrics.conversion_run(converter, &conversion.usage, conversion.documents.len() as u64);
        self.metrics.custom(converter, &plugin.descriptor.metrics, &conversion.observations);
    }

    /// Nothing that holds this lock can panic.
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The converters that get the file, in their order: the one that is named by the request or the route, else those that want it.
fn candidates(
    config: &Config,
    request: &ConvertRequest,
    route: Option<&Route>,
    registry: &Registry,
    input: &dyn Fn() -> io::Result<Input>,
) -> Result<Vec<Arc<Plugin>>, Refusal> {
    let of_route = match route.map(|route| &route.converter) {
        Some(ConverterChoice::Named { name, digest }) => Some((name.as_str(), digest.as_ref())),
        Some(ConverterChoice::Auto) | None => None,
    };
    if let Some((name, digest)) = request.converter.as_deref().map(|name| (name, None)).or(of_route) {
        let found = registry.get(name).filter(|plugin| digest.is_none_or(|digest| *digest == plugin.digest));
        return match found {
            Some(plugin) => Ok(vec![plugin]),
            None => Err(Refusal::NotFound(format!("The converter `{name}` is not loaded; /api/v1/plugins lists those that are."))),
        };
    }
    let granted = |plugin: &Plugin| plugin.check_grants(&config.granted(route, &plugin.descriptor.name), request.route.as_deref());
    let limits = |converter: &str| config.limits_for(route, Some(converter)).to_probe_limits();
    let answers = ask(registry.all(), &granted, &request.name, &request.name, input, &limits);
    let answers = answers.map_err(|error| Refusal::Failed(format!("The file cannot be read: {error}.")))?;
    Ok(answers.into_iter().filter(|answer| answer.confidence > 0).map(|answer| answer.plugin).collect())
}

/// The route's options for a converter, with those of the request in their places.
fn options(request: &ConvertRequest, route: Option<&Route>, plugin: &Plugin) -> Result<String, Refusal> {
    let mut options = route.map(|route| route.options_for(&plugin.descriptor.name)).unwrap_or_default();
    if let Some(text) = &request.options {
        let own: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Refusal::Bad(format!("`options` is not the text of a JSON object: {error}; write {{\"name\": value}}.")))?;
        options.extend(own);
    }
    plugin.options(&options).map_err(|error| Refusal::Bad(error.to_string()))
}

fn is_whole(conversion: &Conversion) -> bool {
    conversion.problems_dropped == 0 && !conversion.problems.iter().any(|problem| problem.severity == Severity::Error)
}

fn converted(plugin: &Plugin, conversion: Conversion, made: &Made) -> Result<Converted, Refusal> {
    let (whole, problems) = (is_whole(&conversion), json!(conversion.problems));
    match conversion.result {
        Ok(Outcome::Converted) => {}
        Ok(Outcome::Skipped(reason)) => {
            let detail = format!("The converter `{}` says that this file is not for it: {reason}", plugin.descriptor.name);
            return Err(Refusal::Unprocessable(detail, fields("skipped", None, problems)));
        }
        Ok(Outcome::Suspended { reason, awaits, .. }) => {
            let detail = format!("The converter needs other files first ({}): {reason}", awaits.join(", "));
            return Err(Refusal::Unprocessable(detail, fields("suspended", None, problems)));
        }
        Ok(Outcome::Rejected(error)) => return Err(unprocessable("rejected", &error, problems)),
        Err(error) => return Err(unprocessable("failed", &error, problems)),
    }
    let mut contents = made.take();
    let documents = conversion.documents.into_iter().map(|document| ConvertedDocument {
        content: contents.remove(&document.number).unwrap_or_default(),
        name: document.name,
        media_type: document.media_type,
        attributes: document.attributes,
        key: document.key,
    });
    let (converter, version) = (plugin.descriptor.name.clone(), plugin.descriptor.version.clone());
    Ok(Converted { converter, version, whole, problems, documents: documents.collect() })
}

fn unprocessable(outcome: &str, error: &ConversionError, problems: Value) -> Refusal {
    let mut fields = fields(outcome, Some(error.error_type), problems);
    fields.insert("error".into(), json!(error));
    Refusal::Unprocessable(error.to_string(), fields)
}

fn fields(outcome: &str, error_type: Option<ErrorType>, problems: Value) -> Map<String, Value> {
    let mut fields = Map::from_iter([("outcome".to_owned(), json!(outcome))]);
    if let Some(error_type) = error_type {
        fields.insert("error_type".into(), json!(error_type.as_str()));
    }
    if problems.as_array().is_some_and(|problems| !problems.is_empty()) {
        fields.insert("problems".into(), problems);
    }
    fields
}

/// Documents in memory, by number; the sandbox bounds their bytes.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<BTreeMap<u32, Vec<u8>>>>);

impl Made {
    fn reader(&self, number: u32) -> io::Cursor<Vec<u8>> {
        let documents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        io::Cursor::new(documents.get(&number).cloned().unwrap_or_default())
    }

    fn take(&self) -> BTreeMap<u32, Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Making {
    made: Made,
    number: u32,
    bytes: Vec<u8>,
}

impl DocumentSink for Made {
    fn create(&mut self, number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        Ok(Box::new(Making { made: self.clone(), number, bytes: Vec::new() }))
    }
}

impl DocumentWriter for Making {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        self.made.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.number, self.bytes);
        Ok(None)
    }
}
