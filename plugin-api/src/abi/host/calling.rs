//! Which call of a plugin is under way: for whoever must say so when the process ends in the middle of it, or when it takes too
//! long. Read by signal handlers: it takes no lock and allocates nothing.
//!
//! An instance is called by one thread at a time; several instances may be called by several.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::call::Phase;

/// Components that are told apart; what is called beyond them is a component without a name.
const SLOTS: usize = 512;

/// Calls that can be under way together, within one another or on several threads; those beyond them are not told of.
const CALLS_AT_ONCE: usize = 256;

/// Names of plugins and classes, never taken out again.
static NAMES: [OnceLock<(String, String)>; SLOTS] = [const { OnceLock::new() }; SLOTS];

/// The calls under way: how manieth call each is, above the number of its slot, above the number of the phase; 0 where there is none.
static UNDER_WAY: [AtomicU64; CALLS_AT_ONCE] = [const { AtomicU64::new(0) }; CALLS_AT_ONCE];
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

/// The call that is under way, if one is; of several the one that began last, as the innermost of calls within one another.
#[must_use]
pub fn call_under_way() -> Option<CallUnderWay> {
    let last = UNDER_WAY.iter().map(|call| call.load(Ordering::Acquire)).max().filter(|last| *last > 0)?;
    let slot = usize::from(u16::try_from(last >> 8 & 0xffff).ok()?);
    let phase = *Phase::ALL.get(usize::try_from(last & 0xff).ok()?)?;
    let (plugin, class) = match NAMES.get(slot).and_then(OnceLock::get) {
        Some((plugin, class)) => (plugin.as_str(), class.as_str()),
        None => ("unknown", "a component"),
    };
    Some(CallUnderWay { plugin, class, phase, number: last >> 24 })
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
    place: Option<&'static AtomicU64>,
}

impl Calling {
    /// Begins.
    pub(super) fn begin(slot: Slot, phase: Phase) -> Self {
        let number = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let call = number << 24 | u64::from(slot.0) << 8 | phase as u64;
        let free =
            |place: &&AtomicU64| place.compare_exchange(0, call, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        Self { place: UNDER_WAY.iter().find(free) }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.store(0, Ordering::Release);
        }
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
        // Calls of two threads end in any order.
        let elsewhere = Calling::begin(other, Phase::Forward);
        drop(outer);
        assert_eq!(call_under_way().unwrap().class, "Other");
        drop(elsewhere);
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
