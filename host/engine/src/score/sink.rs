//! Where the figures of pairs go, window by window in the order of the corpus.

use kiwi_core::diagnostic::Failure;
use kiwi_core::scoring::{KeepRule, ScoreLines, Scoring};
use kiwi_text::{Field, PairInput, PairReader, Vocabularies, Window};

use super::figures::Figures;
use super::files::{Files, Role};
use super::lines;
use super::pace::Pace;
use super::selection::{Counts, Fate, fate, perplexity};
use crate::data::invalid;
use crate::outlet::Outlet;
use crate::report::Report;
use crate::signals;

/// The way out.
pub(super) struct Sink<'a> {
    outlet: &'a Outlet,
    /// What is written of each pair, if anything.
    lines: Option<ScoreLines>,
    rule: Option<KeepRule>,
    files: Option<Files>,
    counts: Counts,
    /// The first pair of all.
    from: u64,
    /// The first pair that this process does.
    begun_at: u64,
    /// The first pair that is not done.
    next: u64,
    digest: Option<kiwi_text::ContentHash>,
}

impl<'a> Sink<'a> {
    /// For a job that begins with the pair `from`, or goes on where `files` says.
    pub(super) fn new(scoring: &Scoring, from: u64, files: Option<Files>, outlet: &'a Outlet) -> Self {
        let rule = scoring.keep.as_ref().map(|keep| keep.rule);
        let lines = (scoring.output.is_some() || rule.is_none()).then_some(scoring.lines);
        let point = files.as_ref().map(Files::point);
        let next = point.map_or(from, |point| point.next_pair);
        let digest = point.and_then(|point| hash(point.digest.as_deref()?));
        let counts = point.map(|point| point.counts).unwrap_or_default();
        if files.is_none()
            && let Some(heading) = lines.and_then(lines::heading)
        {
            outlet.data(heading);
        }
        Self { outlet, lines, rule, files, counts, from, begun_at: next, next, digest }
    }

    /// The first pair that is not done.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Of a stream the hash of its text before that pair.
    pub(super) fn digest(&self) -> Option<kiwi_text::ContentHash> {
        self.digest
    }

    /// The first pair of all.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// The first pair that this process does.
    pub(super) fn begun_at_pair(&self) -> u64 {
        self.begun_at
    }

    /// How many pairs are done.
    pub(super) fn done(&self) -> u64 {
        self.next - self.from
    }

    /// Whether anything went out.
    pub(super) fn is_begun(&self) -> bool {
        self.next > self.from
    }

    /// Whether there is nothing left to do but to name the files.
    pub(super) fn is_complete(&self) -> bool {
        self.files.as_ref().is_some_and(Files::is_complete)
    }

    /// What became of the pairs.
    pub(super) fn summary(&self) -> String {
        self.counts.summary(self.rule)
    }

    /// Seconds of the whole job.
    pub(super) fn seconds(&self, pace: &Pace) -> f64 {
        self.files.as_ref().map_or(0.0, |files| files.point().seconds) + pace.seconds()
    }

    /// A window is done.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn window(&mut self, window: &Window, figures: &[Option<Figures>]) -> Result<u64, Failure> {
        let mut text = String::new();
        let mut kept: [Vec<u8>; 2] = Default::default();
        let mut perplexities = Vec::new();
        let (corpus, before) = (window.corpus(), self.counts.words);
        for (pair, figures) in figures.iter().enumerate() {
            let figures = figures.as_ref();
            if let Some(lines) = self.lines {
                text.push_str(&lines::line(lines, window, pair, figures));
                text.push('\n');
            }
            let fate = match self.rule {
                None => figures.is_none().then_some(Fate::TooLong),
                Some(KeepRule::Threshold(threshold)) => Some(fate(corpus, pair, figures, threshold)),
                Some(KeepRule::Best(_)) => {
                    let perplexity = perplexity(corpus, pair, figures);
                    perplexities.extend(perplexity.unwrap_or(f64::NAN).to_le_bytes());
                    perplexity.err()
                }
            };
            if fate == Some(Fate::Kept) {
                kept[0].extend_from_slice(window.raw(pair, Field::Source));
                kept[1].extend_from_slice(window.raw(pair, Field::Target));
            }
            self.counts.add(fate, corpus.sentence(pair, Field::Target).len());
        }
        self.next = window.end();
        self.digest = window.digest();
        match &mut self.files {
            Some(files) => {
                if self.lines.is_some() {
                    files.write(Role::Scores, text.as_bytes())?;
                }
                write_kept(files, &kept)?;
                files.write(Role::Perplexities, &perplexities)?;
                let far = Far { next: self.next, digest: self.digest, counts: self.counts };
                files.save_now_and_then(|point| far.tell(point))?;
            }
            // The program ends the last line.
            None if text.pop().is_some() => self.outlet.data(text),
            None => {}
        }
        Ok(self.counts.words - before)
    }

    /// Once all pairs have a perplexity and the best are to be kept: finds out which they are, and reads the corpus once more to write
    /// them. The signal that came meanwhile, if one did.
    ///
    /// # Errors
    /// When the corpus was changed or a file cannot be written.
    pub(super) fn keep_best(
        &mut self,
        input: &PairInput,
        vocabularies: &Vocabularies,
        to: Option<u64>,
        report: &mut Report<'_>,
    ) -> Result<Option<&'static str>, Failure> {
        let (Some(KeepRule::Best(share)), Some(files)) = (self.rule, &mut self.files) else {
            return Ok(None);
        };
        let far = Far { next: self.next, digest: self.digest, counts: self.counts };
        files.save(|point| far.tell(point))?;
        let perplexities = files.perplexities()?;
        let threshold = of_share(&perplexities, share);
        files.begin_kept()?;
        report.note(match threshold {
            Some(threshold) => format!("the best {share} are those of a perplexity of at most {threshold}"),
            None => "no pair could be scored, and none is kept".to_owned(),
        });
        let reader = PairReader::open(input).map_err(|error| invalid(&error))?;
        let (from, counts) = (self.from, &mut self.counts);
        let mut problem = None;
        let read = reader.read(vocabularies, from, to, None, |window| {
            if signals::received().is_some() {
                return false;
            }
            let mut kept: [Vec<u8>; 2] = Default::default();
            for pair in 0..window.pairs() {
                let at = usize::try_from(window.first() - from).unwrap_or(usize::MAX).saturating_add(pair);
                let Some(perplexity) = perplexities.get(at).filter(|perplexity| !perplexity.is_nan()) else {
                    continue;
                };
                if threshold.is_some_and(|threshold| *perplexity <= threshold) {
                    kept[0].extend_from_slice(window.raw(pair, Field::Source));
                    kept[1].extend_from_slice(window.raw(pair, Field::Target));
                    counts.kept += 1;
                    counts.kept_words += window.corpus().sentence(pair, Field::Target).len() as u64;
                } else {
                    counts.over_threshold += 1;
                }
            }
            write_kept(files, &kept).map_err(|failure| problem = Some(failure)).is_ok()
        });
        if let Some(failure) = problem {
            return Err(failure);
        }
        read.map_err(|error| invalid(&error))?;
        let signal = signals::received();
        if signal.is_some() {
            // Next time it is found out anew.
            self.counts = far.counts;
            files.begin_kept()?;
        }
        Ok(signal)
    }

    /// Saves how far it is, if there is something new and the last time is some time ago.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn save_now_and_then(&mut self) -> Result<(), Failure> {
        let far = Far { next: self.next, digest: self.digest, counts: self.counts };
        match &mut self.files {
            Some(files) if files.point().next_pair < far.next => {
                files.save_now_and_then(|point| far.tell(point))
            }
            _ => Ok(()),
        }
    }

    /// Saves how far it is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn save(&mut self, pace: &Pace) -> Result<(), Failure> {
        let (far, seconds) =
            (Far { next: self.next, digest: self.digest, counts: self.counts }, self.seconds(pace));
        self.files.as_mut().map_or(Ok(()), |files| {
            files.save(|point| {
                far.tell(point);
                point.seconds = seconds;
            })
        })
    }

    /// Removes the files, of which none has anything yet.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(super) fn discard(&mut self) -> Result<(), Failure> {
        self.files.take().map_or(Ok(()), Files::discard)
    }

    /// All is done: gives the files their names, if there are any.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn finish(self, pace: &Pace) -> Result<bool, Failure> {
        let (far, seconds) =
            (Far { next: self.next, digest: self.digest, counts: self.counts }, self.seconds(pace));
        let Some(files) = self.files else { return Ok(false) };
        files.finish(|point| {
            far.tell(point);
            point.seconds = seconds;
        })?;
        Ok(true)
    }
}

/// Writes lines that are kept: source and target, or those with both sides.
fn write_kept(files: &mut Files, [source, target]: &[Vec<u8>; 2]) -> Result<(), Failure> {
    files.write(Role::Source, source)?;
    files.write(Role::Target, target)?;
    files.write(Role::Lines, source)
}

/// How far it is.
#[derive(Clone, Copy)]
struct Far {
    next: u64,
    digest: Option<kiwi_text::ContentHash>,
    counts: Counts,
}

impl Far {
    fn tell(&self, point: &mut super::files::Point) {
        point.next_pair = self.next;
        point.digest = self.digest.map(|digest| digest.to_string());
        point.counts = self.counts;
    }
}

/// The highest perplexity of this share of those that are numbers, the lowest of them; of equals all are kept.
fn of_share(perplexities: &[f64], share: f64) -> Option<f64> {
    let mut numbers: Vec<f64> =
        perplexities.iter().copied().filter(|perplexity| !perplexity.is_nan()).collect();
    let count = (share * numbers.len() as f64).ceil() as usize;
    let at = count.min(numbers.len()).checked_sub(1)?;
    let (_, threshold, _) = numbers.select_nth_unstable_by(at, f64::total_cmp);
    Some(*threshold)
}

/// A hash that was written in hexadecimal digits.
fn hash(text: &str) -> Option<kiwi_text::ContentHash> {
    let digits: Option<Vec<u8>> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    Some(kiwi_text::ContentHash(digits?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_those_that_have_a_perplexity() {
        let of = |share| of_share(&[5.0, f64::NAN, 1.0, 3.0, f64::INFINITY, 3.0], share);
        assert_eq!([of(0.2), of(0.4), of(0.6), of(0.61)], [Some(1.0), Some(3.0), Some(3.0), Some(5.0)]);
        assert_eq!([of(1.0), of(1e-9)], [Some(f64::INFINITY), Some(1.0)]);
        assert_eq!(of_share(&[f64::NAN], 0.5), None);
    }

    #[test]
    fn hashes_come_back_from_their_digits() {
        let one = kiwi_text::ContentHash(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(hash(&one.to_string()), Some(one));
        assert_eq!([hash("12"), hash("zz"), hash(&"é".repeat(32))], [None; 3]);
    }
}
