//! What the process itself takes: CPU time, memory, descriptors, threads. It knows nothing of what the process does.
//!
//! The names are those of Prometheus's own client libraries. Only Linux tells all of it; elsewhere the families are absent, rather than partly
//! there or wrong.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

use Kind::{Sum, Value};

/// The families, with their help, in the order in which they are exposed.
pub(super) const FAMILIES: [(&str, Kind, &str); 7] = [
    ("process_cpu_seconds_total", Sum, "CPU time of the process, in user and system mode."),
    ("process_max_fds", Value, "The most descriptors that the process may have open."),
    ("process_open_fds", Value, "Descriptors that the process has open."),
    ("process_resident_memory_bytes", Value, "Memory of the process that is in RAM."),
    ("process_start_time_seconds", Value, "When the process was started, in seconds since 1970."),
    ("process_threads", Value, "Threads of the process."),
    ("process_virtual_memory_bytes", Value, "Address space of the process."),
];

/// What a family of these is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sum,
    Value,
}

/// Asks the operating system at every scrape.
pub(super) struct ProcessCollector {
    descriptions: Vec<Desc>,
}

impl ProcessCollector {
    /// None where a name or help above could not be exposed, which a test rules out.
    pub fn new() -> Option<ProcessCollector> {
        let describe = |(name, _, help): &(&str, Kind, &str)| Desc::new((*name).into(), (*help).into(), Vec::new(), HashMap::new()).ok();
        FAMILIES.iter().map(describe).collect::<Option<_>>().map(|descriptions| ProcessCollector { descriptions })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    /// Without what cannot be had.
    fn collect(&self) -> Vec<MetricFamily> {
        let values = values();
        FAMILIES.iter().filter_map(|(name, kind, help)| Some(family(name, *kind, help, *values.get(name)?))).collect()
    }
}

fn family(name: &str, kind: Kind, help: &str, value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    let mut family = MetricFamily::default();
    match kind {
        Sum => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
            family.set_field_type(MetricType::COUNTER);
        }
        Value => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
            family.set_field_type(MetricType::GAUGE);
        }
    }
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_metric(vec![metric]);
    family
}

#[cfg(target_os = "linux")]
fn values() -> HashMap<&'static str, f64> {
    let mut values = HashMap::new();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    values.insert("process_cpu_seconds_total", cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        // Without the one that this very look needs.
        values.insert("process_open_fds", descriptors.count().saturating_sub(1) as f64);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        values.insert("process_max_fds", most as f64);
    }
    if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        values.insert("process_threads", stat.threads);
        values.insert("process_virtual_memory_bytes", stat.virtual_bytes);
        values.insert("process_resident_memory_bytes", stat.resident_pages * rustix::param::page_size() as f64);
        if let Some(boot) = boot_time() {
            values.insert("process_start_time_seconds", boot + stat.start_ticks / rustix::param::clock_ticks_per_second() as f64);
        }
    }
    values
}

#[cfg(not(target_os = "linux"))]
fn values() -> HashMap<&'static str, f64> {
    HashMap::new()
}

/// What is of use of `/proc/self/stat`.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    threads: f64,
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

#[cfg(target_os = "linux")]
impl Stat {
    /// The second of its fields is the program's name in parentheses, which can hold anything; the third is the first after it.
    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Stat { threads: field(20)?, start_ticks: field(22)?, virtual_bytes: field(23)?, resident_pages: field(24)? })
    }
}

/// When the machine was started, in seconds since 1970.
#[cfg(target_os = "linux")]
fn boot_time() -> Option<f64> {
    std::fs::read_to_string("/proc/stat").ok()?.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;

    #[test]
    fn the_name_of_a_program_can_hold_anything() {
        let after = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 9 18 300 4096 7 99";
        let wanted = Stat { threads: 9.0, start_ticks: 300.0, virtual_bytes: 4096.0, resident_pages: 7.0 };
        for name in ["a", "a b", "a) S 1", ") ("] {
            assert_eq!(Stat::parse(&format!("12 ({name}) {after}")), Some(wanted), "{name}");
        }
        assert_eq!(Stat::parse("12 (a) S 1"), None);
    }

    #[test]
    fn all_of_it_is_there_and_moves() {
        let collected = ProcessCollector::new().unwrap().collect();
        assert_eq!(collected.iter().map(MetricFamily::name).collect::<Vec<_>>(), FAMILIES.map(|(name, ..)| name));
        let before = values();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(before["process_start_time_seconds"] <= now + 1.0 && before["process_start_time_seconds"] > now - 86_400.0);
        assert!(before["process_threads"] >= 1.0);
        let held: Vec<std::fs::File> = (0..20).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        let memory = vec![1_u8; 64 << 20];
        let start = Instant::now();
        while values()["process_cpu_seconds_total"] < before["process_cpu_seconds_total"] + 0.02 {
            std::hint::black_box(memory.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            assert!(start.elapsed() < Duration::from_secs(60));
        }
        let after = values();
        // Other tests run beside this one, and close files, and free memory.
        assert!(after["process_open_fds"] >= held.len() as f64);
        assert!(after["process_virtual_memory_bytes"] >= memory.len() as f64);
        assert!(after["process_max_fds"] >= after["process_open_fds"]);
        assert!(after["process_resident_memory_bytes"] >= memory.len() as f64);
    }
}
