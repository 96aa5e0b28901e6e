//! The learning-rate schedules of `adamw` and `noam`: functions of the number of the optimizer step alone.

use kiwi_plugin_api::prelude::*;

/// A warm-up is no longer than the training steps, as far as the config alone tells.
pub(crate) fn check_linear(keys: &ScheduleKeys, report: &mut ConfigReport) {
    if let (Some(Warmup::Steps(warmup)), Some(training)) = (keys.warmup_steps, keys.training_steps) {
        report.require(
            warmup <= training,
            "warmup_steps",
            warmup,
            &format!("at most training_steps, which is {training}; or a share of it such as 0.1"),
        );
    }
}

/// From 0 to the rate within the warm-up, then to 0 at the end of the training steps. With n training steps and a warm-up of w,
/// which may have a fraction, step t from 0 has the factor t/w below w and (n-t)/(n-w) from w on; 0 from n on.
///
/// # Errors
/// When the warm-up is longer than the training steps: the rate would never be reached.
pub(crate) fn linear(context: &ScheduleContext) -> Result<Schedule> {
    let steps = context.training_steps;
    let (n, w) = (steps as f64, context.warmup_steps.unwrap_or(0.0));
    if w > n {
        return Err(Error::new(format!(
            "warmup_steps={w} is more than the {steps} steps of the schedule, so the learning rate would never be reached: \
             lower warmup_steps, or give a share such as 0.1"
        )));
    }
    let description = match context.warmup_steps {
        Some(w) if w > 0.0 => {
            format!("linear warm-up ends at step {}, linear decay to 0 ends at step {steps}", shown(w))
        }
        _ => format!("no warm-up, linear decay to 0 ends at step {steps}"),
    };
    Ok(Schedule::new(description, move |step| {
        let t = step as f64;
        if t >= n {
            0.0
        } else if t < w {
            t / w
        } else {
            (n - t) / (n - w)
        }
    }))
}

/// A number of steps that may have a fraction, with a few places of it.
fn shown(steps: f64) -> f64 {
    (steps * 1e4).round() / 1e4
}

/// `noam` divides by its warm-up.
pub(crate) fn check_noam(keys: &ScheduleKeys, report: &mut ConfigReport) {
    let found = match keys.warmup_steps {
        None => "nothing".to_owned(),
        Some(Warmup::Steps(0)) => "0".to_owned(),
        Some(Warmup::Share(0.0)) => "0.0".to_owned(),
        Some(_) => return,
    };
    report.refuse(
        "warmup_steps",
        "noam needs a warm-up: its rate is highest after so many steps",
        found,
        "an integer of at least 1 (steps), or a share of the training steps above 0 that is written with a fraction",
        Some("set warmup_steps, for example to 4000 or to 0.1"),
    );
}

/// The rate times `d^-0.5 * min(s^-0.5, s * w^-1.5)`, with s the step from 1, d the hidden size and w the warm-up (Vaswani et al.
/// 2017, section 5.3): highest at step w.
///
/// # Errors
/// When there is no warm-up, or the hidden size is not positive.
pub(crate) fn noam(context: &ScheduleContext) -> Result<Schedule> {
    let w = context.warmup_steps.filter(|w| *w > 0.0).ok_or_else(|| {
        Error::new("noam cannot do without a warm-up: set warmup_steps to an integer of at least 1")
    })?;
    let d = context.hidden_size;
    if d <= 0 {
        return Err(Error::new(format!("the hidden size is {d}, and noam needs a positive one")));
    }
    let description = format!(
        "linear warm-up ends at step {}, then decay with the inverse root of the step, for a hidden size of {d}",
        shown(w)
    );
    let scale = (d as f64).powf(-0.5);
    Ok(Schedule::new(description, move |step| {
        let s = step as f64 + 1.0;
        scale * s.powf(-0.5).min(s * w.powf(-1.5))
    }))
}
