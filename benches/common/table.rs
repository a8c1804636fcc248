//! What a bench prints: lines of figures, each with its bound.

use std::time::Duration;

/// How busy the machine is, as it says itself.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Spans, to be asked for their quantiles.
#[derive(Clone, Debug, Default)]
pub struct Spans(Vec<f64>);

impl Spans {
    /// One more, in ms.
    pub fn push(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// One more.
    pub fn took(&mut self, took: Duration) {
        self.push(took.as_secs_f64() * 1000.0);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value under which so large a part lies, in ms.
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// Prints the head of a table of spans.
pub fn head(title: &str) {
    println!("\n{title}   (load {})", load());
    println!("{:<58} {:>22} {:>6} {:>10} {:>10} {:>10}", "what", "bound", "n", "p50", "p99", "max");
}

/// Prints a line of spans.
pub fn line(what: &str, bound: &str, spans: &Spans) {
    let figure = |part| time(spans.quantile(part));
    let what = pad(what, 58);
    println!(
        "{what} {bound:>22} {:>6} {:>10} {:>10} {:>10}",
        spans.len(),
        figure(0.5),
        figure(0.99),
        figure(1.0)
    );
}

/// Prints a line that has one figure.
pub fn fact(what: &str, bound: &str, figure: &str) {
    println!("{} {bound:>22} {figure:>39}", pad(what, 58));
}

/// Wide letters take two places.
fn pad(text: &str, width: usize) -> String {
    let wide: usize = text.chars().map(|c| if (c as u32) > 0x2e80 { 2 } else { 1 }).sum();
    format!("{text}{}", " ".repeat(width.saturating_sub(wide)))
}

/// A span in ms as people read it.
pub fn time(ms: f64) -> String {
    match ms {
        ms if ms.is_nan() => "–".to_owned(),
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// Bytes in MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / 1_048_576.0)
}

/// So many in so long, a second.
pub fn rate(count: usize, took: Duration) -> String {
    format!("{:.0}/s", count as f64 / took.as_secs_f64())
}
