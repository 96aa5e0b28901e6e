//! What a sweep says while it runs: a line when a trial begins and when it ends, and on a terminal a bar of all trials.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::print;

/// Says how a sweep goes on.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    /// `total` is how many trials, on all rungs, there are to run; `done` how many of them were before.
    pub(super) fn new(total: usize, done: usize, quiet: bool, interactive: bool) -> Self {
        let bar = (interactive && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed}<{eta} {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_position(done as u64);
            // What was done before says nothing of how long the rest takes.
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { bar, quiet }
    }

    /// Says a line.
    pub(super) fn line(&self, line: String) {
        if !self.quiet {
            self.aside(|| print::lines(&[line]));
        }
    }

    /// Says what stands behind the bar.
    pub(super) fn state(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(print::clean(&text));
        }
    }

    /// So many trials are done.
    pub(super) fn done(&self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }

    /// Runs `f`, which prints, while the bar is out of the way.
    pub(super) fn aside(&self, f: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(f),
            None => f(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
