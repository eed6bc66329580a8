//! What the system allows a process: descriptors, watches; and whether its clock can be true.

use super::Findings;
use crate::config::Config;

/// Dropforge needs few descriptors of its own, and one for each connection and destination.
#[cfg(unix)]
const FEW_DESCRIPTORS: u64 = 1024;
/// A watched folder takes one of the user's watches, and so does each folder below it.
#[cfg(target_os = "linux")]
const FEW_WATCHES: u64 = 8192;
/// This program was not there before.
const FIRST_YEAR: i16 = 2026;

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    if now.year() < FIRST_YEAR {
        findings.problem("clock", format!("it says {}", now.date()), "set it: ages, retries and certificates depend on it");
    } else {
        findings.ok("clock", format!("it says {} UTC", now.strftime("%Y-%m-%d %H:%M:%S")));
    }
    #[cfg(unix)]
    if let Some(descriptors) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let text = format!("the process may open {descriptors} files");
        if descriptors < FEW_DESCRIPTORS {
            findings.warning("limits", text, format!("allow it {FEW_DESCRIPTORS} or more: `LimitNOFILE=` of its service, or `ulimit -n`"));
        } else {
            findings.ok("limits", text);
        }
    }
    #[cfg(target_os = "linux")]
    if config.routes.iter().any(|route| route.intake.has_folder() && route.intake.recursive) {
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok().and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(most) = most.filter(|most| *most < FEW_WATCHES) {
            let text = format!("the user may watch {most} folders; those beyond are looked through every few seconds");
            findings.warning("limits", text, "raise `fs.inotify.max_user_watches` with sysctl, if the inboxes have more folders");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = config;
}
