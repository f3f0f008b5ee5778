//! What a person sees while training goes on.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress on stderr: bars where it is a terminal, a line an epoch elsewhere, nothing if quiet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Say nothing.
    pub quiet: bool,
}

impl Progress {
    /// A bar over `length` units of work, `unit` in the plural.
    pub fn bar(&self, what: &str, length: u64, unit: &str) -> ProgressBar {
        let bar = if self.quiet {
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
        } else {
            ProgressBar::new(length)
        };
        let template = format!(
            "{{prefix:12}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec:>10}} {{eta:>4}} {{msg}}"
        );
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key(
                "per_sec",
                |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.0}/s", state.per_sec());
                },
            );
        bar.set_style(style);
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }

    /// A line for the user, above the bars.
    pub fn say(&self, bar: &ProgressBar, line: &str) {
        if self.quiet {
            return;
        }
        if bar.is_hidden() {
            self.tell(line);
        } else {
            bar.println(line);
        }
    }

    /// A line for the user where no bar is.
    pub fn tell(&self, line: &str) {
        if !self.quiet {
            // A reader who has gone must not end a training.
            writeln!(io::stderr(), "{line}").ok();
        }
    }
}
