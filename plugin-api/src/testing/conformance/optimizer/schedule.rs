//! Learning-rate schedules that a class of optimizer brings itself.

use super::super::finding::{Checked, Complaint, Seen, Stop};
use super::super::subject::Subject;
use crate::abi::host::ScheduleInstance;
use crate::{ScheduleContext, ScheduleKeys, Warmup};

/// Steps that the schedule is for, and steps asked beyond.
const STEPS: u64 = 20;
const BEYOND: u64 = 30;
const WARMUP: u64 = 4;

/// The factor of a step is a finite number, and depends on the step alone.
pub(in super::super) fn factors(subject: &Subject<'_>) -> Checked {
    if !subject.handle.has_schedule() {
        return Err(Stop::skip("the class has no schedule of its own"));
    }
    let config = subject.config()?;
    let keys = ScheduleKeys { warmup_steps: Some(Warmup::Steps(WARMUP)), training_steps: Some(STEPS) };
    let report = subject.handle.check_schedule(config, &keys)?;
    if let Some(problem) = report.errors.first() {
        return Err(Complaint::new("it refuses a schedule of 20 steps with a warm-up of 4")
            .found(format!("{}: {}", problem.path, problem.message))
            .help("refuse only what makes no sense")
            .into());
    }
    let context =
        ScheduleContext { warmup_steps: Some(WARMUP as f64), training_steps: STEPS, hidden_size: 16 };
    let create = || ScheduleInstance::create(subject.handle, config, &context);
    let mut forwards = create()?;
    let in_order: Vec<f64> = (0..BEYOND).map(|step| forwards.factor(step)).collect::<Result<_, _>>()?;
    let mut backwards = create()?;
    for step in (0..BEYOND).rev() {
        let found = backwards.factor(step)?;
        let expected =
            usize::try_from(step).ok().and_then(|step| in_order.get(step)).copied().unwrap_or(f64::NAN);
        if found.to_bits() != expected.to_bits() {
            return Err(Complaint::new(format!(
                "its factor of step {step} depends on what was asked before"
            ))
            .found(found.to_string())
            .expected(format!("{expected}, as when it was asked in order"))
            .help(
                "let the factor be a function of the step alone: a run that is resumed begins in the middle",
            )
            .into());
        }
    }
    let (least, most) = in_order
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(least, most), factor| (least.min(*factor), most.max(*factor)));
    Ok(Seen::new(format!(
        "its factors of {BEYOND} steps are from {least:.3e} to {most:.3e}, each a function of the step alone"
    ))
    .note(forwards.description().to_owned()))
}
