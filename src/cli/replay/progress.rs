//! How far a replay is: a bar on the terminal, nothing anywhere else.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the bytes of the inputs as they lie on disk. Drawn on standard error, and only when that is a
/// terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` bytes, or a counter where the total is not known.
    pub fn new(total: Option<u64>) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
        let layout = match total {
            Some(_) => {
                "{bar:32.cyan/238} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}  {msg}"
            }
            None => "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}",
        };
        bar.set_style(ProgressStyle::with_template(layout).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress { bar }
    }

    /// No bar.
    pub fn hidden() -> Progress {
        Progress { bar: ProgressBar::hidden() }
    }

    /// Counts what is read from `input`.
    pub fn watch(&self, input: Box<dyn Read>) -> Box<dyn Read> {
        if self.bar.is_hidden() { input } else { Box::new(self.bar.wrap_read(input)) }
    }

    /// A few words beside the bar, such as the virtual date.
    pub fn say(&self, words: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(words.to_owned());
        }
    }

    /// Takes the bar away, so that the report starts on a clean line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
