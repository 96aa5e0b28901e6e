//! Rules that the options of several optimizers share.

use kiwi_plugin_api::prelude::*;

/// Complains about a number that is negative.
pub(crate) fn not_negative(report: &mut ConfigReport, key: &str, value: f64) {
    report.require(value.is_finite() && value >= 0.0, key, value, "a number of at least 0");
}

/// Complains about the decay rate of an average that is not in [0, 1).
pub(crate) fn decay_rate(report: &mut ConfigReport, key: &str, value: f64) {
    report.require((0.0..1.0).contains(&value), key, value, "a number in [0, 1)");
}

/// Complains about each of two decay rates that is not in [0, 1).
pub(crate) fn betas(report: &mut ConfigReport, betas: &[f64; 2]) {
    for (i, beta) in betas.iter().enumerate() {
        decay_rate(report, &format!("betas[{i}]"), *beta);
    }
}
