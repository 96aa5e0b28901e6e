//! Decides which systems are kept, and ranks them in an index. What is decided is written by others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kiwi_plugin_api::Ordering;
use kiwi_tracking::number::Number;
use kiwi_tracking::record;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::directory::RunDirectory;
use crate::system::ordering_name;

/// A kept system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Relative to the directory of the run.
    file: String,
    epoch: u64,
    step: u64,
    value: Number,
}

/// The index of the kept systems, `checkpoints/index.json`.
#[derive(Serialize)]
struct Index<'a> {
    main_metric: &'a str,
    ordering: &'a str,
    best: Option<&'a str>,
    best_value: Option<Number>,
    last: Option<&'a str>,
    /// Best first.
    kept: &'a [Kept],
}

/// Where a system is kept.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) path: PathBuf,
    /// Whether it is the best so far.
    pub(crate) best: bool,
}

/// What a keeper has decided so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// The metric that they are ranked by.
    metric: String,
    /// Best first; of equals the older.
    kept: Vec<Kept>,
    last: Option<Kept>,
    taken: BTreeSet<String>,
    /// Files that may go once a resume point no longer names them.
    dropped: Vec<String>,
}

/// Keeps the best `limit` systems of a run (all if it is `None`).
#[derive(Debug)]
pub(crate) struct Keeper {
    directory: RunDirectory,
    /// What the systems tell of their training.
    training: Value,
    metric: String,
    ordering: Ordering,
    limit: Option<usize>,
    decided: Decided,
}

impl Keeper {
    /// Keeps the best systems by the main metric `metric`, as `val_target_PERP`: `save_top_k` as in the config. `training`
    /// is what they tell of how they were trained.
    pub(crate) fn new(
        directory: RunDirectory,
        training: Value,
        metric: &str,
        ordering: Ordering,
        save_top_k: i64,
    ) -> Self {
        Self {
            directory,
            training,
            metric: metric.to_owned(),
            ordering,
            limit: usize::try_from(save_top_k).ok(),
            decided: Decided { metric: metric.to_owned(), ..Decided::default() },
        }
    }

    /// Where to keep a system of this value, if it is among the best. A value that is not a number never is.
    pub(crate) fn offer(&mut self, epoch: u64, step: u64, value: Option<f64>) -> Option<Slot> {
        let value = value.filter(|value| !value.is_nan())?;
        let rank = self.decided.kept.partition_point(|kept| !self.better(value, kept.value.0));
        if self.limit.is_some_and(|limit| rank >= limit) {
            return None;
        }
        let file = format!("checkpoints/{}", self.unique_name(epoch, value));
        let kept = Kept { file: file.clone(), epoch, step, value: Number(value) };
        let decided = &mut self.decided;
        decided.last = Some(kept.clone());
        decided.kept.insert(rank, kept);
        self.drop_beyond_the_limit();
        Some(Slot { path: self.directory.path().join(file), best: rank == 0 })
    }

    /// The best system so far.
    pub(crate) fn best(&self) -> Option<record::Kept> {
        self.decided.kept.first().map(|kept| self.described(kept))
    }

    /// The last that was among the best, if it is still kept.
    pub(crate) fn last(&self) -> Option<record::Kept> {
        self.decided.last.as_ref().map(|kept| self.described(kept))
    }

    fn described(&self, kept: &Kept) -> record::Kept {
        let Kept { file, epoch, step, value } = kept.clone();
        record::Kept { file, metric: self.metric.clone(), value, epoch, step }
    }

    /// What the systems tell of their training.
    pub(crate) fn training(&self) -> &Value {
        &self.training
    }

    /// The directory of the run.
    pub(crate) fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// What was decided so far, to be kept in a resume point.
    pub(crate) fn decided(&self) -> &Decided {
        &self.decided
    }

    /// Goes on from what was decided. By another metric nothing was: what is kept stays, and is ranked no more. Whether it was by the
    /// same.
    pub(crate) fn go_on(&mut self, decided: Decided) -> bool {
        let same = decided.metric == self.metric;
        self.decided = if same {
            decided
        } else {
            let taken = decided.taken;
            Decided { metric: self.metric.clone(), taken, ..Decided::default() }
        };
        self.drop_beyond_the_limit();
        same
    }

    fn drop_beyond_the_limit(&mut self) {
        let decided = &mut self.decided;
        if let Some(limit) = self.limit {
            let dropped = decided.kept.split_off(limit.min(decided.kept.len()));
            decided.last.take_if(|last| dropped.contains(last));
            decided.dropped.extend(dropped.into_iter().map(|kept| kept.file));
        }
    }

    /// A system that could not be written is none.
    pub(crate) fn forget(&mut self, path: &Path) {
        let is_it = |kept: &Kept| self.directory.path().join(&kept.file) == path;
        self.decided.last.take_if(|last| is_it(last));
        self.decided.kept.retain(|kept| !is_it(kept));
    }

    /// Files of systems that lie there and that nobody has decided to keep: what a run has left that went on further than the point
    /// it is resumed from.
    pub(crate) fn left_over(&self) -> Vec<PathBuf> {
        let known = |file: &str| {
            let kept = self.decided.kept.iter().map(|kept| &kept.file);
            kept.chain(&self.decided.dropped).any(|known| known == file)
        };
        let entries = std::fs::read_dir(self.directory.checkpoints()).into_iter().flatten().flatten();
        let systems = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let ours = name.starts_with("model_epoch=") && name.ends_with(".safetensors");
            (ours && !known(&format!("checkpoints/{name}"))).then(|| entry.path())
        });
        systems.collect()
    }

    /// Files that may go, once a resume point or the run's end no longer names them.
    pub(crate) fn take_dropped(&mut self) -> Vec<PathBuf> {
        let dropped = std::mem::take(&mut self.decided.dropped);
        dropped.into_iter().map(|file| self.directory.path().join(file)).collect()
    }

    /// File and content of the index.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(crate) fn index(&self) -> serde_json::Result<(PathBuf, String)> {
        let best = self.decided.kept.first();
        let index = Index {
            main_metric: &self.metric,
            ordering: ordering_name(self.ordering),
            best: best.map(|kept| kept.file.as_str()),
            best_value: best.map(|kept| kept.value),
            last: self.decided.last.as_ref().map(|last| last.file.as_str()),
            kept: &self.decided.kept,
        };
        Ok((self.directory.checkpoints().join("index.json"), serde_json::to_string_pretty(&index)?))
    }

    fn better(&self, value: f64, other: f64) -> bool {
        match self.ordering {
            Ordering::Min => value < other,
            Ordering::Max => value > other,
        }
    }

    /// `model_epoch=EE-val_METRIC=V.VV.safetensors`, made safe for a file name and unique in the run.
    fn unique_name(&mut self, epoch: u64, value: f64) -> String {
        let metric: String = self
            .metric
            .chars()
            .map(|c| if c.is_alphanumeric() || "_-+.".contains(c) { c } else { '_' })
            .collect();
        let stem = format!("model_epoch={epoch:02}-{metric}={value:.2}");
        let mut name = stem.clone();
        let mut version = 1;
        while !self.decided.taken.insert(name.clone()) {
            name = format!("{stem}_v{version}");
            version += 1;
        }
        name + ".safetensors"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(ordering: Ordering) -> Keeper {
        Keeper::new(RunDirectory::at("no/such/directory"), Value::Null, "val_a/b", ordering, 2)
    }

    #[test]
    fn names_are_safe_and_unique() {
        let mut keeper = keeper(Ordering::Min);
        assert_eq!(keeper.unique_name(3, 1.234), "model_epoch=03-val_a_b=1.23.safetensors");
        assert_eq!(keeper.unique_name(3, 1.229), "model_epoch=03-val_a_b=1.23_v1.safetensors");
        assert_eq!(keeper.unique_name(3, f64::INFINITY), "model_epoch=03-val_a_b=inf.safetensors");
    }

    #[test]
    fn the_best_are_kept_and_one_that_goes_on_decides_the_same() {
        for ordering in [Ordering::Min, Ordering::Max] {
            let values =
                [Some(3.0), None, Some(2.0), Some(f64::NAN), Some(f64::INFINITY), Some(2.0), Some(2.5)];
            let mut whole = keeper(ordering);
            for (step, value) in values.into_iter().enumerate() {
                let mut resumed = keeper(ordering);
                let text = serde_json::to_string(whole.decided()).unwrap();
                assert!(resumed.go_on(serde_json::from_str(&text).unwrap()));
                let slot = whole.offer(1, step as u64, value);
                let again = resumed.offer(1, step as u64, value);
                assert_eq!(slot.map(|slot| slot.path), again.map(|slot| slot.path));
                assert_eq!(whole.decided(), resumed.decided());
                assert_eq!(whole.index().unwrap(), resumed.index().unwrap());
            }
            let expected = if ordering == Ordering::Min { [2.0, 2.0] } else { [f64::INFINITY, 3.0] };
            let kept: Vec<f64> = whole.decided.kept.iter().map(|kept| kept.value.0).collect();
            assert_eq!(kept, expected);
            assert!(!whole.take_dropped().is_empty() && whole.take_dropped().is_empty());
        }
    }

    #[test]
    fn another_metric_ranks_anew_and_a_lower_limit_drops() {
        let mut before = keeper(Ordering::Min);
        for (step, value) in [3.0, 2.0].into_iter().enumerate() {
            let _ = before.offer(0, step as u64, Some(value));
        }
        let mut fewer = Keeper::new(RunDirectory::at("no"), Value::Null, "val_a/b", Ordering::Min, 1);
        assert!(fewer.go_on(before.decided().clone()));
        assert_eq!((fewer.decided.kept.len(), fewer.take_dropped().len()), (1, 1));
        let mut other = Keeper::new(RunDirectory::at("no"), Value::Null, "val_c", Ordering::Max, 2);
        assert!(!other.go_on(before.decided().clone()));
        assert!(other.best().is_none() && other.take_dropped().is_empty());
        let slot = other.offer(0, 9, Some(0.1)).unwrap();
        assert!(slot.best);
        other.forget(&slot.path);
        assert!(other.best().is_none() && other.last().is_none());
    }
}
