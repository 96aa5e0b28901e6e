//! What can be told of the optimizers before any corpus is read: whether their schedules have what they need, and whether the
//! states to go on from are there.

use kiwi_core::config::{OptimizerSection, WarmupSteps};
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::Plan;
use kiwi_plugin_api::{ScheduleKeys, Warmup};

use super::saved::{self, Saved};
use crate::system::{Checked, Components, Setup, described};

/// An optimizer of the config whose options, schedule and saved state were found to be right.
pub(crate) struct CheckedOptimizer {
    pub(super) section: OptimizerSection,
    pub(super) checked: Checked,
    /// The state to go on from.
    pub(super) saved: Option<Saved>,
}

/// Checks the optimizers of a plan, whose options are checked already.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn check(
    plan: &Plan,
    optimizers: Vec<Checked>,
    components: &Components,
) -> Result<(Vec<CheckedOptimizer>, Vec<Diagnostic>), Failure> {
    let (mut sound, mut errors, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for (section, checked) in plan.config.system.optimizers.iter().zip(optimizers) {
        if checked.handle.has_schedule() {
            let report =
                checked.handle.check_schedule(&checked.config, &schedule_keys(section)).map_err(Setup)?;
            let at = section.path.as_str();
            errors.extend(report.errors.iter().map(|problem| described(Severity::Error, problem, at)));
            warnings.extend(report.warnings.iter().map(|problem| described(Severity::Warning, problem, at)));
            errors.extend(plateau_beside_schedule(section));
        } else {
            errors
                .extend(keys_without_schedule(section, &components.classes_with_schedule(&checked.resolved)));
        }
        let saved = section.load.as_deref().map(|file| saved::read(file, &checked.resolved.class));
        match saved.transpose() {
            Ok(saved) => sound.push(CheckedOptimizer { section: section.clone(), checked, saved }),
            Err(error) => errors.push(error.at(section.path_of("load"))),
        }
    }
    let place = |one: Diagnostic| plan.document.place(one);
    if errors.is_empty() {
        Ok((sound, warnings.into_iter().map(place).collect()))
    } else {
        errors.extend(warnings);
        Err(Failure { exit: ExitCode::Invalid, diagnostics: errors.into_iter().map(place).collect() })
    }
}

fn schedule_keys(section: &OptimizerSection) -> ScheduleKeys {
    let warmup_steps = section.warmup_steps.map(|steps| match steps {
        WarmupSteps::Steps(steps) => Warmup::Steps(steps),
        WarmupSteps::ShareOfTraining(share) => Warmup::Share(share),
    });
    ScheduleKeys::new(warmup_steps, section.training_steps)
}

/// A class that lowers the rate by itself is not also made to by the main metric.
fn plateau_beside_schedule(section: &OptimizerSection) -> Option<Diagnostic> {
    let (class, decay) = (&section.class_name, section.learning_rate_decay);
    (decay < 1.0).then(|| {
        Diagnostic::error(Code::Schedule, format!(
            "`{class}` has a learning-rate schedule of its own, which is not combined with learning_rate_decay"
        ))
        .at(section.path_of("learning_rate_decay"))
        .found(decay.to_string())
        .expected("1.0, or a class without a schedule")
        .help("remove learning_rate_decay, or choose a class without a schedule, such as adam")
    })
}

/// The keys of a schedule, given to a class that has none.
fn keys_without_schedule(section: &OptimizerSection, classes: &[String]) -> Vec<Diagnostic> {
    let given = [
        ("warmup_steps", section.warmup_steps.is_some()),
        ("training_steps", section.training_steps.is_some()),
    ];
    let expected = match classes {
        [] => "no such key".to_owned(),
        classes => format!("no such key, or a class that has a schedule: {}", classes.join(", ")),
    };
    given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(key, _)| {
            let class = &section.class_name;
            Diagnostic::error(
                Code::Schedule,
                format!(
                    "`{class}` has no learning-rate schedule of its own, so that {key} would have no effect"
                ),
            )
            .at(section.path_of(key))
            .found(format!("{key} beside \"class_name\": \"{class}\""))
            .expected(expected.clone())
            .help("remove the key: the rate is constant, or lowered on a plateau by learning_rate_decay")
        })
        .collect()
}
