//! What a suspended plugin means for jobs: they wait, and one at a time is tried.

use super::verdict::Decision;
use super::{Context, Shared};
use crate::config::ConverterChoice;
use crate::events::Event;
use crate::plugins::{Change, Pass, Plugin, Release};
use crate::queue::{Job, Waiting};
use crate::sandbox::Conversion;

/// How often a file may meet a plugin that breaks over it before it counts as failed: once when the plugin is suspended, once when it is tried
/// again. More would let one file that breaks a plugin keep all others waiting.
const ATTEMPTS: u32 = 2;

/// The job waits until the plugin is not suspended any more.
pub(super) fn wait(converter: &str, tried: bool) -> Decision {
    Decision::Defer { due_ms: Waiting::NEVER_DUE_MS, waiting: Waiting::PluginSuspended { converter: converter.to_owned(), tried } }
}

/// Takes the end of a conversion into account. Gives a decision where the plugin is suspended for it and the job waits instead of failing.
pub(super) fn ended(context: &Context, job: &Job, plugin: &Plugin, pass: Pass<'_>, conversion: &Conversion) -> Option<Decision> {
    let converter = plugin.descriptor.name.as_str();
    let error = conversion.result.as_ref().err();
    match pass.ended(error.map(|error| (error.error_type, error.message.as_str()))) {
        Change::None => return None,
        Change::Resumed => {
            context.metrics.plugin_suspended(converter, false);
            context.metrics.tell(|| Event::PluginWorks { converter: converter.to_owned() });
            return None;
        }
        Change::Suspended(_) => {
            context.metrics.plugin_suspended(converter, true);
            context.metrics.tell(|| Event::PluginSuspended { converter: converter.to_owned() });
            hold(context, plugin);
        }
        Change::StillSuspended => {}
    }
    (job.attempts < ATTEMPTS).then(|| {
        context.spool.discard(&job.id);
        wait(converter, true)
    })
}

/// Sets aside what is queued for the plugin. What is not, because it chooses its converter itself, waits once it was claimed.
fn hold(context: &Context, plugin: &Plugin) {
    let named = |choice: &ConverterChoice| {
        matches!(choice, ConverterChoice::Named { name, digest }
            if *name == plugin.descriptor.name && digest.as_ref().is_none_or(|digest| *digest == plugin.digest))
    };
    let routes: Vec<&str> = context.config.routes.iter().filter(|route| named(&route.converter)).map(|route| route.name.as_str()).collect();
    if let Err(error) = context.store.hold_for_plugin(&plugin.descriptor.name, &routes) {
        // Each of them waits as soon as it was claimed.
        tracing::warn!(%error, "cannot set aside the jobs of a suspended plugin at once");
    }
    context.registry.suspensions().wait_for(&plugin.descriptor.name);
}

impl Shared {
    /// Jobs of plugins that are not suspended any more go on, and one of each that may be tried.
    pub(super) fn resume_plugins(&self) {
        let suspensions = self.context.registry.suspensions();
        for (converter, release) in suspensions.releases() {
            let at_most = match release {
                Release::One => Some(1),
                Release::All => None,
            };
            match self.context.store.release_for_plugin(&converter, at_most) {
                Ok(jobs) if release == Release::All && jobs > 0 => {
                    tracing::info!(converter, jobs, "queued again: the plugin is not suspended any more")
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(converter, %error, "cannot queue the jobs of a plugin again; trying again");
                    suspensions.wait_for(&converter);
                }
            }
        }
    }
}
