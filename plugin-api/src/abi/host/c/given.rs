//! The table of functions that a plugin in plain C is given when it is opened.

use super::{reading, sinks};
use crate::abi::c::KiwiHost;

/// What every such plugin is given.
pub(super) static HOST: KiwiHost = KiwiHost {
    size: size_of::<KiwiHost>(),
    fail: sinks::fail,
    fail_cause: sinks::fail_cause,
    put_feature: sinks::put_feature,
    put_projection: sinks::put_projection,
    put_parameter: sinks::put_parameter,
    put_tensor: sinks::put_tensor,
    put_no_tensor: sinks::put_no_tensor,
    put_trace: sinks::put_trace,
    put_loss: sinks::put_loss,
    put_loss_count: sinks::put_loss_count,
    put_output: sinks::put_output,
    put_scalar: sinks::put_scalar,
    put_contribution: sinks::put_contribution,
    put_number: sinks::put_number,
    put_text: sinks::put_text,
    put_hidden_size: sinks::put_hidden_size,
    put_feature_size: sinks::put_feature_size,
    put_metric: sinks::put_metric,
    put_problem: sinks::put_problem,
    put_warning: sinks::put_warning,
    need_field: sinks::need_field,
    need_shorter: sinks::need_shorter,
    need_sparse_gradient: sinks::need_sparse_gradient,
    need_carried_state: sinks::need_carried_state,
    need_feature: sinks::need_feature,
    option_kind: reading::option_kind,
    option_integer: reading::option_integer,
    option_number: reading::option_number,
    option_boolean: reading::option_boolean,
    option_text: reading::option_text,
    option_length: reading::option_length,
    option_json: reading::option_json,
    log: reading::log,
    cancelled: reading::cancelled,
};
