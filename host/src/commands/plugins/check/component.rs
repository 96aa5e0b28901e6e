//! One component, in as many processes as it takes: a check that ends its process has failed, and the next process goes on behind it.

use kiwi_core::diagnostic::Failure;
use kiwi_core::plugin_check::{CheckedComponent, Finding, LOAD, Outcome};

use super::watch::{Ending, Limits, Seen, run, told};
use super::{Check, Place};

/// Processes of a component that may be ended before it is given up.
const ENDED: usize = 3;

impl Check {
    /// Checks a component on a device.
    pub(super) fn component(&mut self, component: &CheckedComponent, device: &str) -> Result<(), Failure> {
        let place = Place {
            kind: component.kind.clone(),
            class: Some(component.class.clone()),
            device: Some(device.to_owned()),
        };
        self.printer.component(&place)?;
        let mut request = self.request.clone();
        request.component = Some(component.clone());
        request.options = self.options.get(&component.class).cloned();
        device.clone_into(&mut request.device);
        let mut ended = 0;
        loop {
            let seen = run(&self.program, &self.libtorch, &request, self.limits)?;
            // That it opens was told of the plugin; here it is news only if it does not.
            let news = |finding: &&Finding| finding.check != LOAD || finding.outcome != Outcome::Pass;
            let mut findings: Vec<Finding> = seen.findings.iter().filter(news).cloned().collect();
            let end = how_it_ended(&seen, self.limits);
            let went_on = seen.done || end.is_none();
            if seen.done && end.is_none() {
                findings.push(Finding::new("exit", Outcome::Pass, "the process that used it ends well"));
            }
            findings.extend(end);
            request.known.extend(findings.iter().map(|finding| (finding.check.clone(), finding.outcome)));
            self.printer.all(&place, &findings)?;
            if went_on || seen.checks.is_empty() {
                return Ok(());
            }
            ended += 1;
            if ended == ENDED {
                let left = seen.checks.iter().filter(|check| !request.known.contains_key(*check));
                let given_up: Vec<Finding> = left
                    .map(|check| {
                        let why = format!("{ENDED} processes were ended by checks before this one");
                        Finding::new(check, Outcome::Skipped, why)
                    })
                    .collect();
                return self.printer.all(&place, &given_up);
            }
        }
    }
}

/// What is wrong with how a process ended; nothing if it told all and ended well.
pub(super) fn how_it_ended(seen: &Seen, limits: Limits) -> Option<Finding> {
    let within = match (&seen.under_way, &seen.phase, seen.done) {
        (_, _, true) => "at its exit, after all was checked".to_owned(),
        (_, Some(phase), _) => format!("in {phase}"),
        _ => "before it called the plugin".to_owned(),
    };
    let (message, found, expected, help) = match seen.ending {
        Ending::Status(status) if seen.done && status.success() => return None,
        Ending::Status(status) if status.code().is_some() && !seen.done => (
            format!("it ended the process {within}"),
            told(status),
            "a call that returns, with an error if need be".to_owned(),
            "return an error: `exit` in a plugin takes the user's run along".to_owned(),
        ),
        Ending::Status(status) => (
            format!("the process crashed {within}"),
            told(status),
            "a process that goes on, and ends well".to_owned(),
            if seen.done {
                "look at threads that outlive their instance, and at what destructors of statics touch".to_owned()
            } else {
                "look for memory that is used after it was freed or beyond its end, for a panic that leaves an `extern \"C\"` function, and for `abort`"
                    .to_owned()
            },
        ),
        Ending::TooLong => (
            format!("it did not come to an end {within}"),
            format!("nothing after {} s", limits.time.as_secs()),
            "an end within the time limit".to_owned(),
            "look for a loop without end and for a lock that is never free; --time-limit gives more time".to_owned(),
        ),
        Ending::TooMuch(bytes) => (
            format!("it took more memory than it may {within}"),
            format!("{} MiB", bytes >> 20),
            format!("at most {} MiB", limits.memory >> 20),
            "look for an allocation of a size that is not checked; --memory-limit gives more, and --options smaller sizes".to_owned(),
        ),
    };
    let check = match (&seen.under_way, seen.done) {
        (Some(check), false) => check.as_str(),
        (_, true) => "exit",
        (None, false) => LOAD,
    };
    let mut finding = Finding::new(check, Outcome::Fail, message);
    finding.found = Some(found);
    finding.expected = Some(expected);
    finding.help = Some(help);
    finding.notes = seen.last_words.iter().map(|line| format!("it said: {line}")).collect();
    Some(finding)
}
