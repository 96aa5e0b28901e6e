//! What can go wrong, and making it so.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::Autocast;
use kiwi_torch_ext_throwing as throwing;

use crate::sudden;

/// How a component misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Panics when its config is checked.
    PanicInCheck,
    /// Panics when it is asked what it needs.
    PanicInNeeds,
    /// Panics when it is created.
    PanicInCreate,
    /// Refuses to be created.
    ErrorInCreate,
    /// Panics at its work.
    PanicAtWork,
    /// Returns an error from its work.
    ErrorAtWork,
    /// Throws an `int` from C++ at its work.
    ThrowInt,
    /// Throws a `std::runtime_error` from C++ at its work.
    ThrowRuntimeError,
    /// Asks libtorch for what cannot be, by a function of tch that panics.
    TorchPanic,
    /// Asks libtorch for what cannot be, by a function of tch that returns the error.
    TorchError,
    /// Leaves grad mode off after its work.
    GradModeOff,
    /// Leaves autocast on after its work.
    AutocastOn,
    /// Seeds libtorch's random generator at its work.
    Reseed,
    /// Logs from a thread of its own at its work.
    LogFromThread,
    /// Logs, then panics at its work.
    LogThenPanic,
    /// Ends the process by `exit(0)` when it is created.
    ExitInCreate,
    /// Ends the process by `exit(0)` at its work, once it has worked for as many batches as an epoch has.
    ExitAtWork,
    /// Calls `abort` at its work.
    AbortAtWork,
    /// Writes to memory that is not there at its work.
    CrashAtWork,
    /// Calls itself without end at its work.
    OverflowAtWork,
    /// A thread of its own writes to memory that is not there at its work, which waits for it.
    CrashInThread,
    /// Has a thread of its own that computes for as long as the process lives.
    ThreadForEver,
    /// Crashes in an exit handler.
    CrashAtExit,
    /// Keeps all tensors that it makes.
    KeepsTensors,
    /// Panics when it is freed.
    PanicInDrop,
    /// Panics when its state is saved: that of an optimizer, or what a component keeps besides parameters.
    PanicInSave,
    /// Panics when its state is loaded.
    PanicInLoad,
    /// Of an optimizer: panics when its schedule is asked.
    PanicInSchedule,
    /// Of an optimizer: has no schedule for any run.
    ErrorInSchedule,
    /// Of an optimizer: its schedule gives a factor that is no number in the third step.
    FactorNotANumber,
    /// Of an encoder: gives no logits, though it says that it does.
    MissingFeature,
    /// What it returns is of another size than it says, or than before.
    WrongSize,
    /// What it returns has another number of dimensions.
    WrongRank,
    /// What it returns is of another type of number.
    WrongKind,
    /// What it returns is on libtorch's device `meta`.
    WrongDevice,
    /// What it returns is no tensor at all.
    Undefined,
    /// What it returns is there twice.
    Twice,
    /// Of an optimizer: its state is sparse.
    SparseState,
    /// Of an encoder: writes into the ids of the target that it was lent.
    WritesIntoBatch,
    /// Of an encoder: its logits have a position more than the target.
    OnePositionMore,
    /// Of an encoder: a parameter whose elements share their memory.
    SharedMemory,
    /// Of an encoder: an operation of its own throws an `int` in backward.
    ThrowInBackward,
    /// Of a head: leaves out an output that it asked metrics of.
    MissingOutput,
    /// Of a head: its loss is an integer.
    LossNotFloating,
    /// Of a head: gives a loss for each word.
    LossNotScalar,
    /// Of a head: gives a loss that depends on no parameter.
    LossWithoutHistory,
    /// Of a head: leaves out the figures that metrics need.
    MissingFigures,
    /// Of a head: says that it reads a feature which no encoder gives.
    OtherFeature,
    /// Of a head: tells of a scalar that is none.
    ScalarNotScalar,
    /// Of a head: not at all, and it tells half its loss besides.
    TellsHalfLoss,
    /// Of a head: not at all, its loss is a mean, and it says so.
    MeanLoss,
    /// Returns a handle that was lent to it, as if it were its own.
    ReturnsLent,
}

impl Fault {
    /// Complains about a fault that only components of another sort can have (`own` are those of this sort): a test that asks for
    /// it would test nothing.
    pub(crate) fn check(self, own: &[Self], report: &mut ConfigReport) {
        const OF_ONE_SORT: [Fault; 20] = [
            Fault::WritesIntoBatch,
            Fault::OnePositionMore,
            Fault::SharedMemory,
            Fault::Twice,
            Fault::SparseState,
            Fault::ThrowInBackward,
            Fault::MissingOutput,
            Fault::LossNotFloating,
            Fault::MissingFeature,
            Fault::LossNotScalar,
            Fault::LossWithoutHistory,
            Fault::MissingFigures,
            Fault::PanicInSchedule,
            Fault::ErrorInSchedule,
            Fault::FactorNotANumber,
            Fault::OtherFeature,
            Fault::ScalarNotScalar,
            Fault::TellsHalfLoss,
            Fault::MeanLoss,
            Fault::ReturnsLent,
        ];
        if self == Self::PanicInCheck {
            panic!("asked to panic in check");
        }
        if OF_ONE_SORT.contains(&self) && !own.contains(&self) {
            report.error("fault", format!("this component has no fault {self:?}"), "choose another");
        }
    }

    /// What goes wrong when an encoder or a head is asked what it needs.
    pub(crate) fn in_needs(self) {
        if self == Self::PanicInNeeds {
            panic!("asked to panic in needs");
        }
    }

    /// What goes wrong when a component is created.
    pub(crate) fn in_create(self) -> Result<()> {
        match self {
            Self::PanicInCreate => panic!("asked to panic in create"),
            Self::ExitInCreate => std::process::exit(0),
            Self::ThreadForEver => sudden::compute_for_ever(),
            Self::CrashAtExit => sudden::crash_at_exit(),
            Self::ErrorInCreate => {
                return Err(Error::new("asked to fail in create").context("it cannot be created"));
            }
            _ => {}
        }
        Ok(())
    }

    /// What goes wrong at a component's work: forward, step or contribution.
    pub(crate) fn at_work(self) -> Result<()> {
        match self {
            Self::PanicAtWork => panic!("asked to panic at work"),
            Self::ErrorAtWork => return Err(Error::new("asked to fail at work").context("it cannot work")),
            Self::ThrowInt => throwing::int(),
            Self::ThrowRuntimeError => throwing::runtime_error(),
            Self::TorchPanic => drop(misfit().matmul(&misfit())),
            Self::TorchError => drop(misfit().f_matmul(&misfit())?),
            Self::ExitAtWork => sudden::exit_after_a_while(),
            Self::AbortAtWork => std::process::abort(),
            Self::CrashAtWork => sudden::crash(),
            Self::OverflowAtWork => drop(sudden::overflow(1)),
            Self::CrashInThread => drop(std::thread::spawn(sudden::crash).join()),
            Self::KeepsTensors => sudden::keep(Tensor::f_zeros([1000], (Kind::Float, Device::Cpu))?),
            Self::Reseed => tch::manual_seed(20_261_125),
            Self::LogFromThread => {
                let thread = std::thread::spawn(|| log::info("a word from another thread"));
                thread.join().map_err(|_| Error::new("the thread that logs panicked"))?;
            }
            Self::LogThenPanic => {
                log::warning("about to panic");
                panic!("asked to panic at work");
            }
            _ => {}
        }
        Ok(())
    }

    /// What a component leaves behind after its work.
    pub(crate) fn after_work(self) {
        match self {
            Self::GradModeOff => std::mem::forget(tch::no_grad_guard()),
            Self::AutocastOn => {
                if let Ok(autocast) = Autocast::cpu(Kind::BFloat16) {
                    std::mem::forget(autocast);
                }
            }
            _ => {}
        }
    }

    /// What goes wrong when a state is saved.
    pub(crate) fn in_save(self) {
        if self == Self::PanicInSave {
            panic!("asked to panic in save");
        }
    }

    /// What goes wrong when a state is loaded.
    pub(crate) fn in_load(self) {
        if self == Self::PanicInLoad {
            panic!("asked to panic in load");
        }
    }

    /// What becomes of a tensor that is returned.
    pub(crate) fn bend(self, tensor: Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::WrongSize => tensor.f_narrow(0, 0, tensor.size()[0] - 1)?,
            Self::WrongRank => tensor.f_unsqueeze(0)?,
            Self::WrongKind => {
                let other = if tensor.kind() == Kind::Double { Kind::Float } else { Kind::Double };
                tensor.f_to_kind(other)?
            }
            Self::WrongDevice => throwing::on_meta(&tensor),
            Self::Undefined => Tensor::new(),
            _ => tensor,
        })
    }

    /// What goes wrong when a component is freed.
    pub(crate) fn in_drop(self) {
        if self == Self::PanicInDrop {
            panic!("asked to panic in drop");
        }
    }
}

/// A matrix that cannot be multiplied with itself.
fn misfit() -> Tensor {
    Tensor::zeros([2, 3], (Kind::Float, Device::Cpu))
}

/// The options of head, optimizer and metric.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How it misbehaves.
    pub(crate) fault: Fault,
}
