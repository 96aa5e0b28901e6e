//! Writes files in the background, in an order in which whatever interrupts it leaves a run that can be gone on with: systems, the
//! index that names them, states of optimizers, the resume point, and only then is anything removed.
//!
//! What cannot be written is tried again, every few seconds and whenever there is something new, until it can.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kiwi_core::saved_system::Error;

use super::files::write_text;
use super::resume_point;
use super::snapshot::Snapshot;
use crate::{signals, sudden_end};

/// Between two tries of what cannot be written.
const RETRY: Duration = Duration::from_secs(5);
/// Systems that wait for room on the disk at most; of more the oldest that is not the best is given up.
const WAITING_SYSTEMS: usize = 2;

/// What is to be on the disk.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Saved systems, in the order in which they came.
    pub(crate) systems: Vec<(PathBuf, Snapshot)>,
    /// The best of all systems, which is never given up.
    pub(crate) best: Option<PathBuf>,
    /// Small texts that name systems.
    pub(crate) texts: BTreeMap<PathBuf, String>,
    /// States of optimizers.
    pub(crate) states: BTreeMap<PathBuf, Snapshot>,
    /// A resume point.
    pub(crate) resume: Option<(PathBuf, Snapshot)>,
    /// What may go once the above is there.
    pub(crate) remove: Vec<PathBuf>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.systems.is_empty()
            && self.texts.is_empty()
            && self.states.is_empty()
            && self.resume.is_none()
            && self.remove.is_empty()
    }

    /// Takes over what is newer.
    fn renew(&mut self, newer: Self) {
        // What was to be removed and is written again stays; what is to be removed need not be written.
        self.remove.retain(|path| !newer.systems.iter().any(|(system, _)| system == path));
        self.systems.retain(|(path, _)| {
            !newer.remove.contains(path) && !newer.systems.iter().any(|(system, _)| system == path)
        });
        self.systems.extend(newer.systems);
        self.best = newer.best.or(self.best.take());
        self.texts.extend(newer.texts);
        self.states.extend(newer.states);
        self.resume = newer.resume.or(self.resume.take());
        self.remove.extend(newer.remove);
    }

    /// Gives up systems beyond those that may wait; their files.
    fn give_up(&mut self) -> Vec<PathBuf> {
        let mut given_up = Vec::new();
        while self.systems.len() > WAITING_SYSTEMS {
            let Some(oldest) = self.systems.iter().position(|(path, _)| Some(path) != self.best.as_ref())
            else {
                break;
            };
            given_up.push(self.systems.remove(oldest).0);
        }
        given_up
    }
}

/// What the writer has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A file could not be written: why. It is tried again.
    Failing(String),
    /// What could not be written was, later.
    Written,
    /// A system for which there was no room is gone.
    GivenUp(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    pending: Work,
    /// Whether the thread is at work on what it took from `pending`.
    busy: bool,
    /// Why the last try failed; `None` if it did not.
    problem: Option<String>,
    notices: Vec<Notice>,
    /// Whether to end once nothing is pending.
    ending: bool,
    /// Asked to try again at once.
    hurry: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The thread that writes, and what it is to write.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; resume points are in this directory.
    ///
    /// # Errors
    /// When the operating system gives no more threads.
    pub(crate) fn start(resume_points: PathBuf) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("checkpoints".to_owned());
        let thread = thread.spawn(move || run(&of_thread, &resume_points))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has this written. Waits for nothing: what is newer takes the place of what is not written yet.
    pub(crate) fn submit(&self, work: Work) {
        let mut state = self.shared.lock();
        state.pending.renew(work);
        if state.problem.is_some() {
            let given_up = state.pending.give_up();
            state.notices.extend(given_up.into_iter().map(Notice::GivenUp));
        }
        state.hurry = true;
        sudden_end::set_unwritten(true);
        self.shared.changed.notify_all();
    }

    /// What there is to tell since the last time.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.shared.lock().notices)
    }

    /// Waits until all is written; once something fails, for at most `patience`, and not if somebody is `hurried`.
    ///
    /// # Errors
    /// Why something is not written.
    pub(crate) fn flush(&self, patience: Duration, hurried: impl Fn() -> bool) -> Result<(), String> {
        let mut failing_since = None;
        let mut state = self.shared.lock();
        loop {
            if state.pending.is_empty() && !state.busy {
                return Ok(());
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err("the thread that writes files has ended, which is a bug of kiwi-host".to_owned());
            }
            if let Some(problem) = &state.problem {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience || hurried() {
                    return Err(problem.clone());
                }
            }
            state = self.shared.wait(state, Duration::from_millis(100));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.ending = true;
            self.shared.changed.notify_all();
        }
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, resume_points: &Path) {
    let mut state = shared.lock();
    loop {
        let failing = state.problem.is_some();
        if state.pending.is_empty() || (failing && !state.hurry && !state.ending) {
            if state.ending && state.pending.is_empty() {
                return;
            }
            sudden_end::set_unwritten(false);
            let before = Instant::now();
            state = shared.wait(state, if failing { RETRY } else { Duration::from_secs(3600) });
            if failing && before.elapsed() >= RETRY {
                state.hurry = true;
            }
            continue;
        }
        if failing && state.ending {
            // Whoever ends it has waited by `flush` for as long as there was hope.
            let problem = perform(&mut state.pending, resume_points);
            drop(problem);
            return;
        }
        let mut work = std::mem::take(&mut state.pending);
        (state.busy, state.hurry) = (true, false);
        drop(state);
        let done = perform(&mut work, resume_points);
        state = shared.lock();
        state.busy = false;
        match done {
            Ok(()) => {
                if state.problem.take().is_some() {
                    state.notices.push(Notice::Written);
                }
            }
            Err(problem) => {
                let newer = std::mem::take(&mut state.pending);
                work.renew(newer);
                let given_up = work.give_up();
                state.pending = work;
                state.notices.extend(given_up.into_iter().map(Notice::GivenUp));
                if state.problem.is_none() {
                    state.notices.push(Notice::Failing(problem.clone()));
                }
                state.problem = Some(problem);
            }
        }
        shared.changed.notify_all();
    }
}

/// Does the work in its order; what is done is taken off it.
fn perform(work: &mut Work, resume_points: &Path) -> Result<(), String> {
    let with_room = |path: &Path, snapshot: &Snapshot| -> Result<(), String> {
        let written = match snapshot.write(path) {
            // All resume points but the last are there for the case that it is damaged: what is new has more need of the room.
            Err(Error::DiskFull { .. }) if resume_point::keep_newest(resume_points, 1) => {
                snapshot.write(path)
            }
            written => written,
        };
        written.map_err(|error| error.to_string())
    };
    while let Some((path, snapshot)) = work.systems.first() {
        with_room(path, snapshot)?;
        work.systems.remove(0);
    }
    while let Some((path, text)) = work.texts.first_key_value() {
        write_text(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        work.texts.pop_first();
    }
    while let Some((path, snapshot)) = work.states.first_key_value() {
        with_room(path, snapshot)?;
        work.states.pop_first();
    }
    if let Some((path, snapshot)) = &work.resume {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
        }
        with_room(path, snapshot)?;
        signals::resumable();
        if let Some(parent) = path.parent() {
            resume_point::keep_newest(parent, resume_point::KEPT);
        }
        work.resume = None;
    }
    for path in work.remove.drain(..) {
        // Nothing names it any more; a file that cannot be removed only takes room.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::snapshot::CopiedTensors;

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::new(BTreeMap::from([("text".to_owned(), text.to_owned())]), CopiedTensors::default())
    }

    fn text_of(path: &Path) -> String {
        let archive = kiwi_core::saved_system::archive::Archive::open(path).unwrap();
        archive.metadata()["text"].clone()
    }

    #[test]
    fn what_cannot_be_written_is_written_once_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("checkpoints");
        let writer = Writer::start(folder.path().join("resume")).unwrap();
        let system = |name: &str| (place.join(name), snapshot(name));
        writer.submit(Work { systems: vec![system("a")], best: Some(place.join("a")), ..Work::default() });
        assert!(writer.flush(Duration::ZERO, || false).is_err());
        assert!(matches!(writer.notices()[..], [Notice::Failing(_)]));
        for name in ["b", "c", "d"] {
            writer.submit(Work { systems: vec![system(name)], ..Work::default() });
        }
        let _ = writer.flush(Duration::ZERO, || false);
        // Two may wait; the best is one of them.
        let mut given_up = writer.notices();
        given_up.retain(|notice| matches!(notice, Notice::GivenUp(_)));
        assert_eq!(given_up, ["b", "c"].map(|name| Notice::GivenUp(place.join(name))));
        fs::create_dir(&place).unwrap();
        writer.submit(Work::default());
        writer.flush(Duration::from_secs(60), || false).unwrap();
        assert_eq!(writer.notices(), [Notice::Written]);
        assert_eq!((text_of(&place.join("a")), text_of(&place.join("d"))), ("a".to_owned(), "d".to_owned()));
        assert!(!place.join("b").exists());
    }

    #[test]
    fn newer_work_takes_the_place_of_older_and_removes_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut work = Work {
            systems: vec![(path("a"), snapshot("1"))],
            resume: Some((path("resume/after-1-batches.safetensors"), snapshot("1"))),
            texts: BTreeMap::from([(path("index"), "1".to_owned())]),
            remove: vec![path("b")],
            ..Work::default()
        };
        work.renew(Work {
            systems: vec![(path("b"), snapshot("2"))],
            resume: Some((path("resume/after-2-batches.safetensors"), snapshot("2"))),
            texts: BTreeMap::from([(path("index"), "2".to_owned())]),
            remove: vec![path("a")],
            ..Work::default()
        });
        perform(&mut work, &path("resume")).unwrap();
        assert!(work.is_empty());
        assert!(
            path("b").exists() && !path("a").exists() && !path("resume/after-1-batches.safetensors").exists()
        );
        assert_eq!(fs::read_to_string(path("index")).unwrap(), "2\n");
    }
}
