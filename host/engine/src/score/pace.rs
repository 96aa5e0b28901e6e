//! How fast it goes, and how long it will take: for the bar of a terminal, and now and then as a line elsewhere.

use std::time::{Duration, Instant};

use crate::report::Report;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// The pace of a job.
pub(super) struct Pace {
    started: Instant,
    told: Instant,
    /// Pairs before this process began.
    from: u64,
    /// The pair that is the last, where it is known.
    to: Option<u64>,
    words: u64,
}

impl Pace {
    /// Begins with this pair.
    pub(super) fn new(from: u64, to: Option<u64>) -> Self {
        let now = Instant::now();
        Self { started: now, told: now, from, to, words: 0 }
    }

    /// Seconds since it began.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Target words a second.
    pub(super) fn words_per_second(&self) -> f64 {
        self.words as f64 / self.seconds().max(1e-9)
    }

    /// So many more target words are done, up to this pair.
    pub(super) fn done(&mut self, next: u64, begun_at: u64, words: u64, report: &mut Report<'_>) {
        self.words += words;
        let rate = format!("{:.0} words/s", self.words_per_second());
        report.pairs(next - begun_at, self.to.map(|to| to - begun_at), &rate);
        if self.told.elapsed() >= PAUSE && !report.is_bar() {
            self.told = Instant::now();
            report.note(self.line(next, begun_at, &rate));
        }
    }

    fn line(&self, next: u64, begun_at: u64, rate: &str) -> String {
        let done = next - begun_at;
        let Some(to) = self.to else { return format!("{done} pairs done, {rate}") };
        let all = to - begun_at;
        let share = 100.0 * done as f64 / all.max(1) as f64;
        let left = self.seconds() * (to - next) as f64 / (next - self.from).max(1) as f64;
        format!("{done} of {all} pairs done ({share:.1} %), {rate}, {} left", duration(left))
    }
}

/// A time for people, as `3 h 20 min`.
pub(super) fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0..2 => format!("{seconds:.0} s"),
        2..120 => format!("{minutes} min"),
        120..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days {} h", minutes / 1440, minutes / 60 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_people_say_them() {
        let said = [0.4, 59.0, 89.0, 300.0, 7199.0, 12_000.0, 400_000.0].map(duration);
        assert_eq!(said, ["0 s", "59 s", "89 s", "5 min", "2 h 0 min", "3 h 20 min", "4 days 15 h"]);
    }

    #[test]
    fn a_line_says_how_much_is_done_and_how_long_the_rest_takes() {
        let mut pace = Pace::new(500, Some(2000));
        pace.started -= Duration::from_secs(300);
        let line = pace.line(1000, 0, "9 words/s");
        assert_eq!(line, "1000 of 2000 pairs done (50.0 %), 9 words/s, 10 min left");
        pace.to = None;
        assert_eq!(pace.line(1000, 0, "9 words/s"), "1000 pairs done, 9 words/s");
    }
}
