//! `dropforge bench scrape`: what a scrape costs for each series with many plugins, beside the same with few; and what a worker records while
//! somebody scrapes without a pause, beside the same while nobody does.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use crate::metrics::{ConversionStatus, Instance, Metrics, QueueName};
use crate::sandbox::{ErrorType, MetricDeclaration, MetricKind, Observation, Usage};

use super::super::print;

/// Conversions of each plugin before the first scrape.
const CONVERSIONS: usize = 20;
/// How long a worker records in each of the two measurements.
const RECORDING: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct ScrapeArgs {
    /// The fewer plugins
    #[arg(long, default_value_t = 10)]
    few: usize,
    /// The more plugins; at most 256 are told apart
    #[arg(long, default_value_t = 200)]
    many: usize,
    /// How often each is measured, in turns; the best of each counts
    #[arg(long, default_value_t = 15)]
    runs: usize,
}

pub(super) fn run(args: &ScrapeArgs) -> anyhow::Result<()> {
    let (few, many) = (with_plugins(args.few)?, with_plugins(args.many)?);
    let (few_series, many_series) = (series(&few), series(&many));
    ensure!(few_series > 0 && many_series > 0, "there is nothing to scrape");
    let (mut few_times, mut many_times) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        few_times.push(scrape(&few));
        many_times.push(scrape(&many));
    }
    let nanoseconds =
        |times: &[Duration], series: usize| times.iter().min().copied().unwrap_or_default().as_secs_f64() * 1e9 / series as f64;
    let (few_cost, many_cost) = (nanoseconds(&few_times, few_series), nanoseconds(&many_times, many_series));
    print(&format!(
        "a scrape, per series, best of {}:\n  {:>4} plugins   {few_cost:>8.0} ns   of {few_series} series\n  {:>4} plugins   {many_cost:>8.0} ns   \
         of {many_series} series\n  ratio          {:>8.2}\n",
        args.runs.max(1),
        args.few,
        args.many,
        many_cost / few_cost
    ))?;

    let (mut alone, mut scraped) = (0.0_f64, 0.0_f64);
    for _ in 0..3 {
        alone = alone.max(recorded(&many, false)?);
        scraped = scraped.max(recorded(&many, true)?);
    }
    Ok(print(&format!(
        "what one worker records in a second, best of 3:\n  nobody scrapes {alone:>8.0} conversions\n  always         {scraped:>8.0} conversions\n  ratio          \
         {:>8.2}\n",
        scraped / alone
    ))?)
}

/// The metrics of a daemon with so many plugins, each of which has every kind of metric and has converted files.
fn with_plugins(count: usize) -> anyhow::Result<Metrics> {
    let metrics = Metrics::new(&Instance::default());
    metrics.queue_workers(QueueName::Converter, 2);
    for plugin in 0..count {
        let (name, declarations) = declared(plugin);
        metrics.plugin_loaded(&name, "1.0.0", &format!("{plugin:064x}"), &declarations).context("a plugin's metrics were refused")?;
        for _ in 0..CONVERSIONS {
            convert(&metrics, &name, &declarations);
        }
    }
    Ok(metrics)
}

/// A plugin with a counter, a gauge, a histogram and a summary.
fn declared(plugin: usize) -> (String, Vec<MetricDeclaration>) {
    let name = format!("plugin{plugin}");
    let declaration = |suffix: &str, kind, labels: &[&str]| MetricDeclaration {
        name: format!("{name}_{suffix}"),
        kind,
        help: "What the benchmark records.".to_owned(),
        unit: String::new(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        buckets: Vec::new(),
    };
    let declarations = vec![
        declaration("rows_total", MetricKind::Counter, &["result"]),
        declaration("level", MetricKind::Gauge, &[]),
        declaration("step_seconds", MetricKind::Histogram, &[]),
        declaration("row_size_bytes", MetricKind::Summary, &[]),
    ];
    (name, declarations)
}

/// Records what a worker records of a conversion.
fn convert(metrics: &Metrics, name: &str, declarations: &[MetricDeclaration]) {
    let _busy = metrics.worker_busy(QueueName::Converter);
    let usage =
        Usage { duration: Duration::from_millis(3), input_bytes: 100, output_bytes: 200, peak_memory_bytes: 1 << 20, ..Usage::default() };
    metrics.conversion(name, ConversionStatus::Success, None);
    metrics.conversion(name, ConversionStatus::Error, Some(ErrorType::Malformed));
    metrics.conversion_run(name, &usage, 2);
    let observation =
        |metric, value, labels: &[&str]| Observation { metric, value, labels: labels.iter().map(|label| (*label).to_owned()).collect() };
    let observations = [
        observation(0, 3.0, &["pass"]),
        observation(0, 1.0, &["fail"]),
        observation(1, 4.5, &[]),
        observation(2, 0.2, &[]),
        observation(3, 80.0, &[]),
    ];
    metrics.custom(name, declarations, &observations);
    metrics.queue_processed(QueueName::Converter, usage.duration);
}

fn series(metrics: &Metrics) -> usize {
    metrics.exposition().lines().filter(|line| !line.starts_with('#')).count()
}

fn scrape(metrics: &Metrics) -> Duration {
    let start = Instant::now();
    black_box(metrics.exposition());
    start.elapsed()
}

/// Conversions that one worker records in a second. Somebody else is busy all the time, with scrapes or with something that has nothing to do
/// with metrics, so that both measurements have as much of the machine.
fn recorded(metrics: &Metrics, scraped: bool) -> anyhow::Result<f64> {
    let (name, declarations) = declared(0);
    let (ended, ready) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = || {
            let mut number = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                if scraped {
                    black_box(metrics.exposition());
                } else {
                    number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
                ready.store(true, Ordering::Relaxed);
            }
        };
        thread::Builder::new().name("scrapes".into()).spawn_scoped(scope, other).context("cannot start a thread")?;
        while !ready.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let (start, mut count) = (Instant::now(), 0_u64);
        while start.elapsed() < RECORDING {
            convert(metrics, &name, &declarations);
            count += 1;
        }
        ended.store(true, Ordering::Relaxed);
        Ok(count as f64 / start.elapsed().as_secs_f64())
    })
}
