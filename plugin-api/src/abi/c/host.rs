//! The functions of the host that a plugin in plain C calls: to say what came of a call, to read options, to log.

use super::values::{KiwiTensor, KiwiText};

/// What a call across the boundary returns where it was done.
pub const KIWI_DONE: i32 = 0;
/// What it returns where it failed; `fail` says why.
pub const KIWI_FAILED: i32 = 1;

/// The component could not do what was asked; it may be called again.
pub const KIWI_FAILURE_ERROR: u32 = 0;
/// Something was thrown that the component did not expect: the instance is not called again, nor freed.
pub const KIWI_FAILURE_EXCEPTION: u32 = 2;

/// A parameter that an optimizer may change.
pub const KIWI_PARAMETER_TRAINABLE: u32 = 1;
/// No parameter but a constant that belongs to the saved state.
pub const KIWI_PARAMETER_BUFFER: u32 = 2;

/// Shown with `--verbose`.
pub const KIWI_LOG_DEBUG: u32 = 0;
/// Shown unless `--quiet`.
pub const KIWI_LOG_INFO: u32 = 1;
/// Always shown.
pub const KIWI_LOG_WARNING: u32 = 2;

/// There is no such option.
pub const KIWI_OPTION_ABSENT: u32 = 0;
/// The option is null.
pub const KIWI_OPTION_NULL: u32 = 1;
/// The option is true or false.
pub const KIWI_OPTION_BOOLEAN: u32 = 2;
/// The option is an integer.
pub const KIWI_OPTION_INTEGER: u32 = 3;
/// The option is a number that is no integer.
pub const KIWI_OPTION_NUMBER: u32 = 4;
/// The option is a string.
pub const KIWI_OPTION_TEXT: u32 = 5;
/// The option is an array.
pub const KIWI_OPTION_ARRAY: u32 = 6;
/// The option is an object.
pub const KIWI_OPTION_OBJECT: u32 = 7;

/// One call of a component, as the host keeps it: where results go. It is valid during the call, on the thread that was called.
#[repr(C)]
#[derive(Debug)]
pub struct KiwiCall {
    opaque: [u8; 0],
}

/// The options of a component, checked against its JSON Schema and with their defaults filled in. Valid during the call.
#[repr(C)]
#[derive(Debug)]
pub struct KiwiConfig {
    opaque: [u8; 0],
}

/// The host's functions, given to a plugin right after it was opened; they live as long as the process.
///
/// Which results a call takes stands beside each function of the tables. A feature or a parameter is given once; of any other result
/// that is given again, the last counts.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiHost {
    /// Bytes of this struct.
    pub size: usize,

    /// Says why a call fails: one of `KIWI_FAILURE_ERROR` and `KIWI_FAILURE_EXCEPTION`, and a lower-case fragment that says what
    /// was found and what was expected. The function then returns `KIWI_FAILED`.
    pub fail: unsafe extern "C" fn(call: *mut KiwiCall, kind: u32, message: KiwiText),
    /// Says what lies beneath the failure, outermost first.
    pub fail_cause: unsafe extern "C" fn(call: *mut KiwiCall, cause: KiwiText),

    /// A feature.
    pub put_feature: unsafe extern "C" fn(call: *mut KiwiCall, name: KiwiText, tensor: *const KiwiTensor),
    /// A feature that is a projection nobody has computed yet; `bias` may be null.
    pub put_projection: unsafe extern "C" fn(
        call: *mut KiwiCall,
        name: KiwiText,
        input: *const KiwiTensor,
        weight: *const KiwiTensor,
        bias: *const KiwiTensor,
    ),
    /// A named tensor of a component; the host reads and overwrites its values in place. `flags` are of `KIWI_PARAMETER_*`;
    /// `alias_of` names the parameter that this one is only a second name of, else it is empty.
    pub put_parameter: unsafe extern "C" fn(
        call: *mut KiwiCall,
        name: KiwiText,
        tensor: *const KiwiTensor,
        flags: u32,
        alias_of: KiwiText,
    ),
    /// A named tensor of an optimizer's state, or of the state that an encoder carries.
    pub put_tensor: unsafe extern "C" fn(call: *mut KiwiCall, name: KiwiText, tensor: *const KiwiTensor),
    /// There is a state to save, and no tensor in it.
    pub put_no_tensor: unsafe extern "C" fn(call: *mut KiwiCall),
    /// A tensor on the way, where the pass is traced.
    pub put_trace: unsafe extern "C" fn(call: *mut KiwiCall, name: KiwiText, tensor: *const KiwiTensor),
    /// The loss of a head: one number, differentiable.
    pub put_loss: unsafe extern "C" fn(call: *mut KiwiCall, loss: *const KiwiTensor),
    /// How many items the loss is the mean over, one number on the loss's device; left out where the loss is a sum.
    pub put_loss_count: unsafe extern "C" fn(call: *mut KiwiCall, count: *const KiwiTensor),
    /// A tensor of the output `output` of a head: `positions`, `nll`, `probability`, `correct`, or one of its own.
    pub put_output: unsafe extern "C" fn(
        call: *mut KiwiCall,
        output: KiwiText,
        name: KiwiText,
        tensor: *const KiwiTensor,
    ),
    /// A further scalar of a head, for log and progress bar.
    pub put_scalar: unsafe extern "C" fn(call: *mut KiwiCall, name: KiwiText, tensor: *const KiwiTensor),
    /// What a batch adds to a metric: `[K]` float64 on the output's device.
    pub put_contribution: unsafe extern "C" fn(call: *mut KiwiCall, contribution: *const KiwiTensor),
    /// The value of a metric, or the factor of a schedule.
    pub put_number: unsafe extern "C" fn(call: *mut KiwiCall, value: f64),
    /// JSON that a saved system is to hold, or the description of a schedule.
    pub put_text: unsafe extern "C" fn(call: *mut KiwiCall, text: KiwiText),
    /// The size of an encoder's hidden state.
    pub put_hidden_size: unsafe extern "C" fn(call: *mut KiwiCall, size: i64),
    /// Last dimension of a feature that an encoder can give.
    pub put_feature_size: unsafe extern "C" fn(call: *mut KiwiCall, name: KiwiText, size: i64),
    /// A metric that a head wants, `{output}_{class_name}`.
    pub put_metric: unsafe extern "C" fn(call: *mut KiwiCall, output: KiwiText, class_name: KiwiText),
    /// A complaint about the option at `path`, as `layers[0].dim`: what is wrong, what may stand there, what to do. Empty texts
    /// are left out; the host adds what stands there.
    pub put_problem: unsafe extern "C" fn(
        call: *mut KiwiCall,
        path: KiwiText,
        message: KiwiText,
        expected: KiwiText,
        help: KiwiText,
    ),
    /// Something about the option at `path` that is accepted, but should be known.
    pub put_warning: unsafe extern "C" fn(call: *mut KiwiCall, path: KiwiText, message: KiwiText),

    /// A field of a batch that is read besides `source` and `target`; `option` asks for it, empty where none does.
    pub need_field: unsafe extern "C" fn(call: *mut KiwiCall, field: KiwiText, option: KiwiText),
    /// The longest sentence of `field` that an encoder can take, in positions with `<bos>` and `<eos>`.
    pub need_shorter:
        unsafe extern "C" fn(call: *mut KiwiCall, field: KiwiText, positions: i64, option: KiwiText),
    /// A parameter whose gradient is sparse.
    pub need_sparse_gradient:
        unsafe extern "C" fn(call: *mut KiwiCall, parameter: KiwiText, option: KiwiText),
    /// The encoder carries state from batch to batch.
    pub need_carried_state: unsafe extern "C" fn(call: *mut KiwiCall),
    /// A feature that a head reads. A head that names none reads all that there are.
    pub need_feature: unsafe extern "C" fn(call: *mut KiwiCall, name: KiwiText),

    /// What stands at a path of the options, as `layers[0].dim`: one of `KIWI_OPTION_*`.
    pub option_kind: unsafe extern "C" fn(config: *const KiwiConfig, path: KiwiText) -> u32,
    /// The integer there; false where there is none.
    pub option_integer:
        unsafe extern "C" fn(config: *const KiwiConfig, path: KiwiText, value: *mut i64) -> bool,
    /// The number there, which may be an integer; false where there is none.
    pub option_number:
        unsafe extern "C" fn(config: *const KiwiConfig, path: KiwiText, value: *mut f64) -> bool,
    /// The truth value there; false where there is none.
    pub option_boolean:
        unsafe extern "C" fn(config: *const KiwiConfig, path: KiwiText, value: *mut bool) -> bool,
    /// The string there; false where there is none.
    pub option_text:
        unsafe extern "C" fn(config: *const KiwiConfig, path: KiwiText, value: *mut KiwiText) -> bool,
    /// How many elements the array there has; false where there is none.
    pub option_length:
        unsafe extern "C" fn(config: *const KiwiConfig, path: KiwiText, value: *mut usize) -> bool,
    /// All options as JSON.
    pub option_json: unsafe extern "C" fn(config: *const KiwiConfig) -> KiwiText,

    /// Takes a message: one of `KIWI_LOG_*`, plugin, class (empty if unknown), text. May be called from any thread.
    pub log: unsafe extern "C" fn(level: u32, plugin: KiwiText, class_name: KiwiText, message: KiwiText),
    /// Whether the host wants to stop: what takes long should ask now and then, and fail if so. From any thread.
    pub cancelled: unsafe extern "C" fn() -> bool,
}
