//! The list of checks of each kind of component, and running them in order.

use std::collections::BTreeMap;
use std::time::Instant;

use kiwi_plugin_metadata::kind;

use super::finding::{Checked, Event, Finding, Outcome, Stop};
use super::settings::Settings;
use super::subject::Subject;
use super::{config, encoder, head, metric, optimizer, repeated, threads};
use crate::abi::host::ComponentHandle;

/// How checks ended that were run before, by their names.
pub type Known = BTreeMap<String, Outcome>;

/// One check.
pub(super) struct Check {
    /// Its name.
    pub(super) id: &'static str,
    /// The checks without which it would say nothing new.
    pub(super) needs: &'static [&'static str],
    pub(super) run: fn(&Subject<'_>) -> Checked,
}

/// What holds for options, whatever the component.
const OF_OPTIONS: [Check; 3] = [
    Check { id: "schema", needs: &[], run: config::schema },
    Check { id: "options", needs: &[], run: config::options },
    Check { id: "refusals", needs: &["schema", "options"], run: config::refusals },
];

/// What is found out by calling a component often, whatever it is.
const OF_CALLS: [Check; 5] = [
    Check { id: "state_of_libtorch", needs: &["work"], run: repeated::left_behind },
    Check { id: "handles", needs: &["work"], run: repeated::handles },
    Check { id: "memory", needs: &["handles"], run: repeated::memory },
    Check { id: "cost", needs: &["work"], run: repeated::cost },
    Check { id: "threads", needs: &["work"], run: threads::left },
];

fn of_kind(kind: &str) -> &'static [Check] {
    match kind {
        kind::ENCODER => &encoder::CHECKS,
        kind::HEAD => &head::CHECKS,
        kind::OPTIMIZER => &optimizer::CHECKS,
        kind::METRIC => &metric::CHECKS,
        _ => &[],
    }
}

fn checks(kind: &str) -> impl Iterator<Item = &'static Check> {
    OF_OPTIONS.iter().chain(of_kind(kind)).chain(&OF_CALLS)
}

/// The names of the checks of a kind of component, in the order in which they are run.
pub fn checks_of(kind: &str) -> impl Iterator<Item = &'static str> {
    checks(kind).map(|check| check.id)
}

/// Runs the checks of the component that are not `known` yet, and tells `tell` what comes of each as it comes.
///
/// A check that would say nothing new, because one that it needs did not pass, is skipped and says so.
pub fn run(
    component: &ComponentHandle,
    kind: &str,
    settings: &Settings,
    mut known: Known,
    tell: &mut dyn FnMut(Event),
) {
    let subject = Subject::new(component, kind, settings);
    for check in checks(kind) {
        if known.contains_key(check.id) {
            continue;
        }
        let finding = match missing(check, &known) {
            Some(why) => Finding::of(check.id, 0.0, Err(Stop::Skip(why))),
            None => {
                tell(Event::Begin { check: check.id.to_owned() });
                let begun = Instant::now();
                let checked = (check.run)(&subject);
                Finding::of(check.id, begun.elapsed().as_secs_f64(), checked)
            }
        };
        known.insert(check.id.to_owned(), finding.outcome);
        tell(Event::Finding(finding));
    }
}

/// The needed check that did not pass, as a reason.
fn missing(check: &Check, known: &Known) -> Option<String> {
    check.needs.iter().find_map(|needed| match known.get(*needed) {
        Some(Outcome::Pass) | None => None,
        Some(Outcome::Fail) => Some(format!("`{needed}` failed")),
        Some(Outcome::Skipped) => Some(format!("`{needed}` was skipped")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_needs_only_what_comes_before_it() {
        for kind in [kind::ENCODER, kind::HEAD, kind::OPTIMIZER, kind::METRIC] {
            let mut before = Vec::new();
            for check in checks(kind) {
                assert!(!before.contains(&check.id), "{kind}: two checks are called {}", check.id);
                for needed in check.needs {
                    assert!(
                        before.contains(needed),
                        "{kind}: {} needs {needed}, which is not before it",
                        check.id
                    );
                }
                before.push(check.id);
            }
            assert!(before.contains(&"create") && before.contains(&"work"), "{kind}");
        }
    }
}
