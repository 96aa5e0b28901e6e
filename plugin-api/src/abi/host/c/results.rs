//! What came of one call of a plugin in plain C, as the host's functions collect it.

use std::collections::BTreeMap;

use abi_stable::std_types::{RErr, ROk, RVec};
use tch::Tensor;

use crate::abi::c::host::{KIWI_DONE, KIWI_FAILURE_EXCEPTION};
use crate::abi::guard::{AbiError, AbiResult, FailureKind};
use crate::error::without_stack;
use crate::{ConfigReport, EncoderNeeds, Features, MetricRequest, NamedTensors, Parameter};

/// What a component gave.
#[derive(Default)]
pub(super) struct Results {
    pub(super) features: Features,
    pub(super) parameters: Vec<Parameter>,
    /// A state; `None` where nothing was said of one.
    pub(super) tensors: Option<NamedTensors>,
    pub(super) trace: NamedTensors,
    pub(super) loss: Option<Tensor>,
    pub(super) loss_count: Option<Tensor>,
    pub(super) outputs: Vec<(String, NamedTensors)>,
    pub(super) scalars: NamedTensors,
    pub(super) contribution: Option<Tensor>,
    pub(super) number: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) hidden_size: Option<i64>,
    pub(super) feature_sizes: BTreeMap<String, i64>,
    pub(super) metrics: Vec<MetricRequest>,
    pub(super) report: ConfigReport,
    pub(super) needs: EncoderNeeds,
    pub(super) needed_features: Option<Vec<String>>,
}

/// One call: what was given, and what went wrong.
#[derive(Default)]
pub(super) struct State {
    pub(super) results: Results,
    pub(super) failure: Option<Failure>,
    /// The first of the host's functions that was called with what it cannot take.
    pub(super) misuse: Option<String>,
}

/// What a component said when it failed.
pub(super) struct Failure {
    pub(super) kind: u32,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
}

impl State {
    /// The results of a call that returned `status`, or why there are none.
    pub(super) fn finish(self, status: i32) -> AbiResult<Results> {
        match (self.failure, self.misuse) {
            (Some(failure), _) => RErr(AbiError {
                kind: match failure.kind {
                    KIWI_FAILURE_EXCEPTION => FailureKind::Exception as u32,
                    _ => FailureKind::Error as u32,
                },
                message: without_stack(&failure.message).into(),
                causes: failure.causes.iter().map(|cause| without_stack(cause).into()).collect(),
                location: "".into(),
            }),
            (None, Some(misuse)) => RErr(error(FailureKind::Error, &misuse)),
            (None, None) if status == KIWI_DONE => ROk(self.results),
            (None, None) => RErr(error(
                FailureKind::Error,
                &format!("it returned {status} and gave no reason: expected one by `fail`"),
            )),
        }
    }
}

/// An error that the host noticed.
pub(super) fn error(kind: FailureKind, message: &str) -> AbiError {
    AbiError { kind: kind as u32, message: message.into(), causes: RVec::new(), location: "".into() }
}
