//! `dropforge top`: the page of `dropforge status`, live, with rates.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::Usage;
use super::api::{Api, DaemonArgs};
use super::overview::{Overview, converter_state};
use super::table::{printable, thousands};

/// Lines of the curve of rates.
const CURVE: u16 = 4;
/// Rates that the curve remembers, one for each look.
const HISTORY: usize = 600;

/// Watch a running daemon: routes, rates, errors, queue
///
/// `q`, Esc or Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge top\n  dropforge top -c dropforge.toml --interval 5")]
pub(super) struct TopArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,
}

pub(super) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    if !(0.1..=3600.0).contains(&args.interval) {
        bail!(Usage(format!("--interval {}: it may be 0.1 to 3600 seconds", args.interval)));
    }
    if !io::stdout().is_terminal() {
        bail!(Usage("this is no terminal: `dropforge status` prints the same once".to_owned()));
    }
    let api = args.daemon.api()?;
    // What keeps it from being shown at all is said before the screen is taken.
    let mut view = View::new(Overview::ask(&api)?.0);
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&api, &mut view, &mut terminal, Duration::from_secs_f64(args.interval));
    ratatui::restore();
    ended.map(|()| ExitCode::SUCCESS)
}

fn watch(api: &Api, view: &mut View, terminal: &mut ratatui::DefaultTerminal, interval: Duration) -> anyhow::Result<()> {
    let mut next = Instant::now() + interval;
    loop {
        terminal.draw(|frame| view.draw(frame))?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            if is_end(&event::read()?) {
                return Ok(());
            }
            continue;
        }
        match Overview::ask(api) {
            Ok((overview, _)) => view.see(overview),
            // It may be restarting.
            Err(error) => view.trouble = Some(format!("{error:#}")),
        }
        next = Instant::now() + interval;
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

/// What is on the screen.
struct View {
    now: Overview,
    at: Instant,
    /// The look before, for rates.
    before: Option<(Overview, Duration)>,
    /// Conversions a second, times ten, the newest last.
    rates: VecDeque<u64>,
    /// Why there was no answer to the last look.
    trouble: Option<String>,
}

impl View {
    fn new(now: Overview) -> View {
        View { now, at: Instant::now(), before: None, rates: VecDeque::new(), trouble: None }
    }

    fn see(&mut self, overview: Overview) {
        let at = Instant::now();
        let before = std::mem::replace(&mut self.now, overview);
        // A daemon that was started since counts from zero.
        self.before = (before.uptime_seconds <= self.now.uptime_seconds).then(|| (before, at - self.at));
        self.at = at;
        self.trouble = None;
        let total =
            |overview: &Overview| -> u64 { overview.totals.converters.values().flat_map(|totals| totals.conversions.values()).sum() };
        let rate = self.rate(total).unwrap_or_default();
        self.rates.push_back((rate * 10.0).round() as u64);
        if self.rates.len() > HISTORY {
            self.rates.pop_front();
        }
    }

    /// How fast something grows, by second; none before the second look.
    fn rate(&self, count: impl Fn(&Overview) -> u64) -> Option<f64> {
        let (before, time) = self.before.as_ref()?;
        Some(count(&self.now).saturating_sub(count(before)) as f64 / time.as_secs_f64().max(1e-3))
    }

    fn rate_text(&self, count: impl Fn(&Overview) -> u64) -> String {
        self.rate(count).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
    }

    fn draw(&self, frame: &mut Frame) {
        let head = self.now.head();
        let (routes, converters, destinations) = (&self.now.routes, self.now.converters(), &self.now.totals.destinations);
        // With their titles.
        let wanted = [routes.len(), converters.len(), destinations.len()].map(|rows| u16::try_from(rows + 1).unwrap_or(u16::MAX));
        let above = u16::try_from(head.len()).unwrap_or(u16::MAX);
        let room = frame.area().height.saturating_sub(above).saturating_sub(1);
        let with_borders = wanted.map(|rows| rows.saturating_add(2));
        let roomy = with_borders.iter().fold(CURVE, |sum, rows| sum.saturating_add(*rows)) <= room;
        let (curve, [first, second, third]) = if roomy { (CURVE, with_borders) } else { (0, share(room, wanted)) };
        let [top, curve, first, second, third, foot] =
            Layout::vertical([above, curve, first, second, third, 1].map(Constraint::Length)).areas(frame.area());
        let bad = Style::new().fg(Color::Red);
        let lines = head.iter().enumerate().map(|(number, line)| {
            let style = match (number, self.now.status.as_str()) {
                (0, "ready") => Style::new().add_modifier(Modifier::BOLD),
                (0, _) => bad.add_modifier(Modifier::BOLD),
                _ => Style::new(),
            };
            Line::styled(printable(line), style)
        });
        frame.render_widget(Paragraph::new(Text::from_iter(lines)), top);
        if roomy {
            self.draw_curve(frame, curve);
        }

        let rows = routes.iter().map(|route| {
            let files = |overview: &Overview| overview.totals.routes.get(&route.name).and_then(|files| files.get("queued")).copied();
            let state = route.state();
            let style = if state == "running" { Style::new() } else { Style::new().fg(Color::Yellow) };
            let dead = self.now.queue.dead_letters.get(&route.name).copied().unwrap_or_default();
            let cells = [
                route.name.clone(),
                route.converter.clone(),
                thousands(route.waiting),
                thousands(files(&self.now).unwrap_or_default()),
                self.rate_text(|overview| files(overview).unwrap_or_default()),
                thousands(dead),
                state,
            ];
            (cells.map(|cell| printable(&cell)), style)
        });
        let titles = [("ROUTE", 16), ("CONVERTER", 14), ("WAITING", 9), ("TAKEN", 11), ("/S", 8), ("DEAD", 8), ("STATE", 9)];
        table(frame, first, roomy, titles, rows.collect());

        let rows = converters.iter().map(|(name, totals, plugin)| {
            let of = |overview: &Overview, count: fn(&crate::metrics::ConverterTotals) -> u64| {
                overview.totals.converters.get(name).map(count).unwrap_or_default()
            };
            let failing = self.rate(|overview| of(overview, |totals| totals.failed())).is_some_and(|rate| rate > 0.0);
            let cells = [
                name.clone(),
                thousands(totals.converted()),
                self.rate_text(|overview| of(overview, |totals| totals.converted())),
                thousands(totals.failed()),
                self.rate_text(|overview| of(overview, |totals| totals.failed())),
                totals.mean(),
                converter_state(*plugin),
            ];
            (cells.map(|cell| printable(&cell)), if failing { bad } else { Style::new() })
        });
        let titles = [("CONVERTER", 16), ("CONVERTED", 12), ("/S", 8), ("FAILED", 9), ("/S", 8), ("MEAN", 11), ("STATE", 9)];
        table(frame, second, roomy, titles, rows.collect());

        let rows = destinations.iter().map(|(name, totals)| {
            let delivered =
                |overview: &Overview| overview.totals.destinations.get(name).map(|totals| totals.of("success")).unwrap_or_default();
            let cells = [
                name.clone(),
                thousands(totals.of("success")),
                self.rate_text(delivered),
                thousands(totals.of("error")),
                totals.state().to_owned(),
            ];
            (cells.map(|cell| printable(&cell)), if totals.is_down { bad } else { Style::new() })
        });
        let titles = [("DESTINATION", 31), ("DELIVERED", 12), ("/S", 8), ("FAILED", 9), ("STATE", 9)];
        table(frame, third, roomy, titles, rows.collect());

        let foot_text = match &self.trouble {
            Some(trouble) => Line::styled(printable(trouble), bad),
            None => Line::raw("q: end"),
        };
        frame.render_widget(foot_text, foot);
    }

    fn draw_curve(&self, frame: &mut Frame, area: Rect) {
        let newest = self.rates.back().copied().unwrap_or_default() as f64 / 10.0;
        let width = usize::from(area.width.saturating_sub(2));
        let shown: Vec<u64> = self.rates.iter().skip(self.rates.len().saturating_sub(width)).copied().collect();
        let most = shown.iter().copied().max().unwrap_or_default() as f64 / 10.0;
        let title = format!("Conversions: {newest:.1}/s, at most {most:.1}/s");
        frame.render_widget(Sparkline::default().data(shown).block(Block::bordered().title(title)), area);
    }
}

/// Lines for tables that want more than there is room for: each gets its title and a row, the first ones what is left.
fn share(room: u16, wanted: [u16; 3]) -> [u16; 3] {
    let (mut left, mut given) = (room, [0; 3]);
    for least in [2, u16::MAX] {
        for (given, wanted) in given.iter_mut().zip(wanted) {
            let more = wanted.min(least) - *given;
            // A title alone says nothing.
            if *given > 0 || more <= left {
                *given += more.min(left);
                left -= more.min(left);
            }
        }
    }
    given
}

/// A table whose columns have titles, and the widths that they take where there is room.
fn table<const N: usize>(frame: &mut Frame, area: Rect, bordered: bool, titles: [(&str, u16); N], rows: Vec<([String; N], Style)>) {
    let content: [u16; N] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|(cells, _)| cells.get(column)).map(|cell| cell.chars().count());
        let title = titles.get(column).map_or(0, |(title, _)| title.len());
        u16::try_from(cells.max().unwrap_or_default().max(title)).unwrap_or(u16::MAX)
    });
    // The borders, and a space between columns.
    let spent = u16::try_from(N).unwrap_or(u16::MAX).saturating_sub(1) + if bordered { 2 } else { 0 };
    let columns = widths(area.width.saturating_sub(spent), titles.map(|(_, width)| width), content).map(Constraint::Length);
    let header = Row::new(titles.map(|(title, _)| title)).style(Style::new().add_modifier(Modifier::BOLD));
    let rows = rows.into_iter().map(|(cells, style)| Row::new(cells).style(style));
    frame.render_widget(Table::new(rows, columns).header(header).block(if bordered { Block::bordered() } else { Block::new() }), area);
}

/// How wide columns are, of which the last says how something is: that is seen, whatever has to be cut. They are `usual` where there is room, else
/// as wide as what is in them, and the widest give way.
fn widths<const N: usize>(room: u16, usual: [u16; N], content: [u16; N]) -> [u16; N] {
    const STATE: u16 = 24;
    let sum = |widths: &[u16; N]| widths.iter().fold(0, |sum: u16, width| sum.saturating_add(*width));
    let mut widths = usual;
    if sum(&widths) > room {
        widths = content;
        if let Some(state) = widths.last_mut() {
            *state = (*state).min(STATE);
        }
    }
    while sum(&widths) > room {
        let Some(widest) = widths.iter_mut().rev().max_by_key(|width| **width).filter(|width| **width > 1) else { break };
        *widest -= 1;
    }
    let left = room.saturating_sub(sum(&widths));
    if let Some(state) = widths.last_mut() {
        *state += left;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_room_there_is_goes_to_titles_with_a_row_first() {
        for (room, wanted, given) in [
            (20, [3, 4, 2], [3, 4, 2]),
            (7, [3, 4, 2], [3, 2, 2]),
            (5, [3, 4, 2], [3, 2, 0]),
            (1, [3, 4, 2], [0, 0, 0]),
            (6, [1, 5, 2], [1, 3, 2]),
        ] {
            assert_eq!(share(room, wanted), given, "{room}");
        }
    }

    #[test]
    fn the_state_is_seen_in_a_narrow_terminal() {
        let usual = [16, 14, 9, 11, 8, 8, 9];
        for (room, content, expected) in [
            // What is over goes to the state.
            (100, [7, 9, 7, 5, 4, 4, 7], [16, 14, 9, 11, 8, 8, 34]),
            (72, [7, 9, 7, 5, 4, 4, 7], [7, 9, 7, 5, 4, 4, 36]),
            (54, [20, 9, 7, 5, 4, 4, 60], [12, 9, 7, 5, 4, 4, 13]),
            (3, [7, 9, 7, 5, 4, 4, 7], [1; 7]),
        ] {
            assert_eq!(widths(room, usual, content), expected, "{room}");
        }
    }
}
