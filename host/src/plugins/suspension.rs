//! Plugins that fail again and again are left alone for a while. A trap or a limit is never the right answer to a file, so several in a row
//! say that the plugin is broken and not the files: they wait, and now and then one of them is tried. This knows plugins by name and
//! digest, and nothing of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::file;
use crate::config::SuspensionConfig;
use crate::sandbox::ErrorType;

/// When plugins are suspended, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspensionPolicy {
    /// Conversions that must end in a trap or at a limit, one after the other; 0 for never.
    pub after_failures: u32,
    /// How long the first suspension lasts. Each that follows without a success in between is twice as long.
    pub first: Duration,
    /// How long a suspension lasts at most.
    pub longest: Duration,
}

impl From<&SuspensionConfig> for SuspensionPolicy {
    fn from(config: &SuspensionConfig) -> SuspensionPolicy {
        // A configuration that was loaded is valid here; one made by hand may not be, and must not panic.
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        SuspensionPolicy {
            after_failures: config.after_failures,
            first: seconds(config.first_seconds),
            longest: seconds(config.longest_seconds),
        }
    }
}

/// A suspension, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suspended {
    /// Conversions that have failed in a row.
    pub failures: u32,
    /// How the last of them failed.
    pub error_type: String,
    /// What it said.
    pub error: String,
    /// When one file is tried again, as RFC 3339 in UTC.
    pub until: String,
}

/// Which plugins are suspended.
#[derive(Debug, Default)]
pub struct Suspensions {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// None for never: commands that convert a file or two.
    policy: Option<SuspensionPolicy>,
    /// By name; bounded by the plugins that run, see [`Suspensions::keep`].
    health: BTreeMap<String, Health>,
    /// Names of plugins that somebody waits for; each leaves when it is told to go on.
    awaited: BTreeSet<String>,
}

#[derive(Debug)]
struct Health {
    digest: String,
    /// In a row.
    failures: u32,
    suspension: Option<Suspension>,
}

#[derive(Debug)]
struct Suspension {
    /// The first is 1.
    number: u32,
    until: Instant,
    /// A file is being tried.
    trying: bool,
    shown: Suspended,
}

/// May a plugin convert a file now?
pub enum Admission<'a> {
    /// Yes; its pass wants to know how that ends.
    Go(Pass<'a>),
    /// Not before the suspension ends.
    Wait,
}

/// Leave to convert one file. Dropped without [`Pass::ended`], it has said nothing about the plugin.
pub struct Pass<'a> {
    suspensions: &'a Suspensions,
    name: String,
    digest: String,
    /// It is the file that a suspended plugin is tried with.
    trial: bool,
}

/// Who waits for a plugin and may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// One, with whom the plugin is tried.
    One,
    /// All: it is not suspended any more.
    All,
}

/// What the end of a conversion changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing; the plugin is not suspended.
    None,
    /// The plugin is suspended from now on, or longer.
    Suspended(Suspended),
    /// It was suspended already while this file was being converted.
    StillSuspended,
    /// It is not suspended any more.
    Resumed,
}

/// Whether an error says that the plugin is broken, whatever the file.
fn is_breakage(error_type: ErrorType) -> bool {
    matches!(error_type, ErrorType::Trap | ErrorType::Timeout | ErrorType::MemoryLimit | ErrorType::OutputLimit)
}

impl Suspensions {
    /// From now on plugins are suspended by this policy.
    pub fn set_policy(&self, policy: SuspensionPolicy) {
        self.lock().policy = (policy.after_failures > 0).then_some(policy);
    }

    /// Asks for leave to convert a file with a plugin.
    pub fn admit(&self, name: &str, digest: &str) -> Admission<'_> {
        let mut inner = self.lock();
        let mut trial = false;
        if let Some(suspension) = inner.suspension(name, digest) {
            if suspension.trying || Instant::now() < suspension.until {
                return Admission::Wait;
            }
            suspension.trying = true;
            trial = true;
        }
        Admission::Go(Pass { suspensions: self, name: name.to_owned(), digest: digest.to_owned(), trial })
    }

    /// Notes that somebody waits for a plugin of this name from now on: [`Suspensions::releases`] says when that is over.
    pub fn wait_for(&self, name: &str) {
        self.lock().awaited.insert(name.to_owned());
    }

    /// The plugins that are waited for and may be tried or used now. Of those for which all may go on, nobody waits any more.
    pub fn releases(&self) -> Vec<(String, Release)> {
        let Inner { health, awaited, .. } = &mut *self.lock();
        let mut releases = Vec::new();
        awaited.retain(|name| match health.get(name).and_then(|health| health.suspension.as_ref()) {
            None => {
                releases.push((name.clone(), Release::All));
                false
            }
            Some(suspension) => {
                if !suspension.trying && suspension.until <= Instant::now() {
                    releases.push((name.clone(), Release::One));
                }
                true
            }
        });
        releases
    }

    /// The suspension of a plugin, if it is suspended.
    pub fn get(&self, name: &str, digest: &str) -> Option<Suspended> {
        self.lock().suspension(name, digest).map(|suspension| suspension.shown.clone())
    }

    /// Forgets what is known of all plugins but those that run, given by `digest_of` their names: another version has done nothing wrong yet.
    pub(super) fn keep(&self, digest_of: impl Fn(&str) -> Option<String>) {
        self.lock().health.retain(|name, health| digest_of(name).is_some_and(|digest| digest == health.digest));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn suspension(&mut self, name: &str, digest: &str) -> Option<&mut Suspension> {
        self.health.get_mut(name).filter(|health| health.digest == digest)?.suspension.as_mut()
    }

    fn succeeded(&mut self, pass: &Pass<'_>) -> Change {
        if self.health.get(&pass.name).is_none_or(|health| health.digest != pass.digest) {
            return Change::None;
        }
        if self.health.remove(&pass.name).is_none_or(|health| health.suspension.is_none()) {
            return Change::None;
        }
        tracing::info!(converter = pass.name, digest = file::short(&pass.digest), "plugin works again: its suspension ends");
        Change::Resumed
    }

    fn failed(&mut self, pass: &Pass<'_>, error_type: ErrorType, error: &str) -> Change {
        let Some(policy) = self.policy else { return Change::None };
        let fresh = || Health { digest: pass.digest.clone(), failures: 0, suspension: None };
        let health = self.health.entry(pass.name.clone()).or_insert_with(fresh);
        if health.digest != pass.digest {
            // It began with a version that has been replaced since, or the other way round: the last one seen counts.
            *health = fresh();
        }
        health.failures = health.failures.saturating_add(1);
        let number = match &health.suspension {
            Some(suspension) if pass.trial => suspension.number.saturating_add(1),
            Some(_) => return Change::StillSuspended,
            None if health.failures < policy.after_failures => return Change::None,
            None => 1,
        };
        let length = policy.first.saturating_mul(1 << (number - 1).min(31)).min(policy.longest);
        let shown = Suspended {
            failures: health.failures,
            error_type: error_type.as_str().to_owned(),
            error: error.to_owned(),
            until: Timestamp::now().checked_add(length).unwrap_or(Timestamp::MAX).to_string(),
        };
        tracing::error!(
            converter = pass.name,
            digest = file::short(&pass.digest),
            failures = shown.failures,
            error_type = shown.error_type,
            "plugin suspended: its last {} conversions ended in traps or at limits. Its files wait until {}, when one is tried; another \
             version of it ends this at once. The last error: {error}",
            shown.failures,
            shown.until
        );
        health.suspension = Some(Suspension { number, until: Instant::now() + length, trying: false, shown: shown.clone() });
        Change::Suspended(shown)
    }
}

impl Pass<'_> {
    /// Says how the conversion ended: with an error of this type and text, or, if none is given, in any way that a plugin may end.
    pub fn ended(mut self, error: Option<(ErrorType, &str)>) -> Change {
        let mut inner = self.suspensions.lock();
        let change = match error {
            Some((error_type, error)) if is_breakage(error_type) => inner.failed(&self, error_type, error),
            _ => inner.succeeded(&self),
        };
        drop(inner);
        self.trial = false;
        change
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.trial
            && let Some(suspension) = self.suspensions.lock().suspension(&self.name, &self.digest)
        {
            suspension.trying = false;
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    const TRAP: Option<(ErrorType, &str)> = Some((ErrorType::Trap, "unreachable"));
    const LONG: Duration = Duration::from_secs(1000);

    fn suspensions(after_failures: u32, first: Duration) -> Suspensions {
        let suspensions = Suspensions::default();
        suspensions.set_policy(SuspensionPolicy { after_failures, first, longest: 3 * LONG });
        suspensions
    }

    fn pass<'a>(suspensions: &'a Suspensions, digest: &str) -> Pass<'a> {
        match suspensions.admit("x", digest) {
            Admission::Go(pass) => pass,
            Admission::Wait => panic!("it is suspended"),
        }
    }

    fn waits(suspensions: &Suspensions, digest: &str) -> bool {
        matches!(suspensions.admit("x", digest), Admission::Wait)
    }

    #[test]
    fn only_breakages_in_a_row_suspend() {
        let suspensions = suspensions(3, LONG);
        for error in [TRAP, TRAP, None, TRAP, TRAP, Some((ErrorType::Malformed, "cut off")), TRAP, TRAP] {
            assert_eq!(pass(&suspensions, "1").ended(error), Change::None);
        }
        let Change::Suspended(shown) = pass(&suspensions, "1").ended(TRAP) else { panic!("it is not suspended") };
        assert_eq!((shown.failures, shown.error_type.as_str(), shown.error.as_str()), (3, "trap", "unreachable"));
        assert!(waits(&suspensions, "1"));
        assert_eq!(suspensions.get("x", "1"), Some(shown));
    }

    #[test]
    fn another_version_and_another_plugin_are_not_held_back() {
        let suspensions = suspensions(1, LONG);
        pass(&suspensions, "1").ended(TRAP);
        assert!(matches!(suspensions.admit("y", "1"), Admission::Go(_)));
        drop(pass(&suspensions, "2"));
        assert!(waits(&suspensions, "1"));
        suspensions.keep(|_| Some("2".to_owned()));
        assert!(!waits(&suspensions, "1"));
    }

    #[test]
    fn what_ran_already_neither_prolongs_a_suspension_nor_is_lost_to_it() {
        let suspensions = suspensions(1, LONG);
        let (first, second, third) = (pass(&suspensions, "1"), pass(&suspensions, "1"), pass(&suspensions, "1"));
        assert!(matches!(first.ended(TRAP), Change::Suspended(_)));
        let shown = suspensions.get("x", "1");
        assert_eq!(second.ended(TRAP), Change::StillSuspended);
        assert_eq!(suspensions.get("x", "1"), shown);
        assert_eq!(third.ended(None), Change::Resumed);
        assert!(!waits(&suspensions, "1"));
    }

    #[test]
    fn one_file_at_a_time_is_tried_and_each_failure_doubles_the_time() {
        let suspensions = suspensions(1, Duration::ZERO);
        pass(&suspensions, "1").ended(TRAP);
        // It is over at once.
        let trial = pass(&suspensions, "1");
        assert!(waits(&suspensions, "1"), "one is being tried");
        drop(trial);
        assert!(matches!(pass(&suspensions, "1").ended(TRAP), Change::Suspended(shown) if shown.failures == 2));
        suspensions.set_policy(SuspensionPolicy { after_failures: 1, first: LONG, longest: 3 * LONG });
        let before = Timestamp::now();
        let Change::Suspended(shown) = pass(&suspensions, "1").ended(TRAP) else { panic!("it is not suspended") };
        // The third is four times as long as the first, but for the bound.
        let until: Timestamp = shown.until.parse().unwrap_or_default();
        assert!(until >= before + 3 * LONG && until <= Timestamp::now() + 3 * LONG, "{until}");
        assert!(waits(&suspensions, "1"));
    }

    #[test]
    fn who_waits_is_told_to_try_or_to_go_on() {
        let suspensions = suspensions(1, LONG);
        suspensions.wait_for("x");
        assert_eq!(suspensions.releases(), [("x".to_owned(), Release::All)]);
        assert_eq!(suspensions.releases(), [], "nobody waits any more");
        pass(&suspensions, "1").ended(TRAP);
        suspensions.wait_for("x");
        assert_eq!(suspensions.releases(), [], "it is suspended");
        suspensions.keep(|_| None);
        suspensions.set_policy(SuspensionPolicy { after_failures: 1, first: Duration::ZERO, longest: LONG });
        pass(&suspensions, "1").ended(TRAP);
        assert_eq!(suspensions.releases(), [("x".to_owned(), Release::One)]);
        let trial = pass(&suspensions, "1");
        assert_eq!(suspensions.releases(), [], "one is being tried");
        assert_eq!(trial.ended(None), Change::Resumed);
        assert_eq!(suspensions.releases(), [("x".to_owned(), Release::All)]);
    }

    #[test]
    fn without_a_policy_nothing_is_suspended() {
        let suspensions = Suspensions::default();
        for _ in 0..100 {
            assert_eq!(pass(&suspensions, "1").ended(TRAP), Change::None);
        }
        suspensions.set_policy(SuspensionPolicy { after_failures: 0, first: LONG, longest: LONG });
        assert_eq!(pass(&suspensions, "1").ended(TRAP), Change::None);
    }
}
