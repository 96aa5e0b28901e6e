//! Which call of a plugin is under way: for whoever must say so when the process ends in the middle of it, or when it takes too
//! long. Read by signal handlers: it takes no lock and allocates nothing.
//!
//! Plugins are called by one thread at a time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::call::Phase;

/// Components that are told apart; what is called beyond them is a component without a name.
const SLOTS: usize = 512;

/// Names of plugins and classes, never taken out again.
static NAMES: [OnceLock<(String, String)>; SLOTS] = [const { OnceLock::new() }; SLOTS];

/// The number of the slot, from 1, above the number of the phase; 0 between calls.
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);
/// How many calls there have been.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// A call of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallUnderWay {
    /// Name of the plugin.
    pub plugin: &'static str,
    /// Class of the component; empty where the plugin as a whole is opened.
    pub class: &'static str,
    /// What it is called for.
    pub phase: Phase,
    /// The how manieth call it is, by which two looks at the same call are told from looks at two calls.
    pub number: u64,
}

/// The call that is under way, if one is.
#[must_use]
pub fn call_under_way() -> Option<CallUnderWay> {
    let both = UNDER_WAY.load(Ordering::Acquire);
    let slot = usize::try_from(both >> 8).ok()?.checked_sub(1)?;
    let phase = *Phase::ALL.get(usize::try_from(both & 0xff).ok()?)?;
    let (plugin, class) = match NAMES.get(slot).and_then(OnceLock::get) {
        Some((plugin, class)) => (plugin.as_str(), class.as_str()),
        None => ("unknown", "a component"),
    };
    Some(CallUnderWay { plugin, class, phase, number: CALLS.load(Ordering::Relaxed) })
}

/// Where a component's names are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    /// That of a class of a plugin.
    pub(super) fn of(plugin: &str, class: &str) -> Self {
        for (slot, names) in (0..).zip(&NAMES) {
            let names = names.get_or_init(|| (plugin.to_owned(), class.to_owned()));
            if names.0 == plugin && names.1 == class {
                return Self(slot);
            }
        }
        Self(u16::MAX)
    }
}

/// A call, from its beginning to its end: it is under way until this is dropped.
pub(super) struct Calling {
    outer: u64,
}

impl Calling {
    /// Begins.
    pub(super) fn begin(slot: Slot, phase: Phase) -> Self {
        let both = (u64::from(slot.0) + 1) << 8 | phase as u64;
        CALLS.fetch_add(1, Ordering::Relaxed);
        Self { outer: UNDER_WAY.swap(both, Ordering::AcqRel) }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        UNDER_WAY.store(self.outer, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: what is under way is the process's.
    #[test]
    fn a_call_is_under_way_until_it_ends() {
        let (one, other) = (Slot::of("kiwi-one", "One"), Slot::of("kiwi-other", "Other"));
        assert_ne!(one, other);
        assert_eq!(Slot::of("kiwi-one", "One"), one);
        assert_eq!(call_under_way(), None);
        let outer = Calling::begin(one, Phase::Forward);
        let found = call_under_way().unwrap();
        assert_eq!((found.plugin, found.class, found.phase), ("kiwi-one", "One", Phase::Forward));
        {
            let _inner = Calling::begin(other, Phase::Drop);
            let inner = call_under_way().unwrap();
            assert_eq!((inner.plugin, inner.phase), ("kiwi-other", Phase::Drop));
            assert!(inner.number > found.number);
        }
        assert_eq!(call_under_way().unwrap().class, "One");
        drop(outer);
        assert_eq!(call_under_way(), None);
        let _nameless = Calling::begin(Slot(u16::MAX), Phase::Step);
        assert_eq!(call_under_way().unwrap().class, "a component");
    }

    #[test]
    fn every_phase_has_its_number() {
        for (number, phase) in (0..).zip(Phase::ALL) {
            assert_eq!(phase as u64, number, "{phase}");
        }
    }
}
