//! Threads that a plugin started and that are still there when all its instances are freed.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::finding::{Checked, Complaint, Seen, Stop};
use super::subject::Subject;

/// How long a thread has to end after the last instance was freed.
const GRACE: Duration = Duration::from_millis(300);
/// How long a thread is watched to see whether it computes.
const WATCHED: Duration = Duration::from_millis(100);

/// Nanoseconds of a processor within [`WATCHED`] from which on it does: more than waking up and waiting again takes.
const BUSY: u64 = 500_000;

/// The threads of this process at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    /// Names by number.
    names: BTreeMap<u32, String>,
}

impl Threads {
    /// Those that there are now; `None` where the system does not tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/task").ok()?.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end while it is looked at.
            if let Ok(name) = fs::read_to_string(entry.path().join("comm")) {
                names.insert(number, name.trim_end().to_owned());
            }
        }
        Some(Self { names })
    }

    /// Those that were not there before, by number.
    fn since(&self, before: &Self) -> BTreeMap<u32, String> {
        let new = self.names.iter().filter(|(number, _)| !before.names.contains_key(number));
        new.map(|(number, name)| (*number, name.clone())).collect()
    }
}

/// No thread of the plugin computes on after its instances are freed. One that only waits, as those of a pool do, is named.
pub(super) fn left(subject: &Subject<'_>) -> Checked {
    let Some(before) = &subject.settings.threads else {
        return Err(Stop::skip("the threads from before the plugin was opened are not known"));
    };
    let now = || Threads::now().map(|now| now.since(before)).unwrap_or_default();
    let begun = Instant::now();
    let mut left = now();
    while !left.is_empty() && begun.elapsed() < GRACE {
        thread::sleep(Duration::from_millis(20));
        left = now();
    }
    if left.is_empty() {
        return Ok(Seen::new("no thread is left when all instances are freed"));
    }
    let time_of = |number: &u32| processor_time(*number).unwrap_or(0);
    let at_first: Vec<(u32, u64)> = left.keys().map(|number| (*number, time_of(number))).collect();
    thread::sleep(WATCHED);
    let busy: Vec<String> = at_first
        .iter()
        .filter(|(number, time)| time_of(number) > time + BUSY)
        .filter_map(|(number, _)| left.get(number).map(|name| format!("`{name}`")))
        .collect();
    let names: Vec<String> = left.values().map(|name| format!("`{name}`")).collect();
    if busy.is_empty() {
        return Ok(Seen::new(format!(
            "{} that the plugin started {} waiting when all instances are freed: {}",
            if names.len() == 1 { "a thread".to_owned() } else { format!("{} threads", names.len()) },
            if names.len() == 1 { "is" } else { "are" },
            names.join(", ")
        ))
        .note("a thread that touches tensors while the process ends crashes it: let it end when its instance is freed"));
    }
    Err(Complaint::new("a thread that the plugin started computes on though all its instances are freed")
        .found(busy.join(", "))
        .expected("threads that end, or at least wait, when the last instance is freed")
        .help("tell the thread to end in the instance's `Drop`, and join it there")
        .into())
}

/// Nanoseconds of a processor that a thread has used.
fn processor_time(number: u32) -> Option<u64> {
    let used = fs::read_to_string(format!("/proc/self/task/{number}/schedstat")).ok()?;
    used.split_whitespace().next()?.parse().ok()
}
