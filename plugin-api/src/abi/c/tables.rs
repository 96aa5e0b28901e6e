//! What a plugin in plain C hands out: one description, a table of functions a component.
//!
//! Each function returns `KIWI_DONE`, or `KIWI_FAILED` after it told the host why by `fail`. No exception may leave it; one that
//! does is caught by the host, but not what it skipped. One that is optional may be null.

use std::ffi::c_void;

use super::host::{KiwiCall, KiwiConfig, KiwiHost};
use super::values::{
    KiwiBatch, KiwiEncoderContext, KiwiFeature, KiwiGroup, KiwiHeadContext, KiwiNamedTensor, KiwiPass,
    KiwiScheduleContext, KiwiScheduleKeys, KiwiText,
};

/// The version of this boundary: a host refuses a plugin of another one.
pub const KIWI_ABI_VERSION: u32 = 1;

/// Smaller values of a metric are better.
pub const KIWI_ORDERING_MIN: u32 = 0;
/// Larger values of a metric are better.
pub const KIWI_ORDERING_MAX: u32 = 1;

/// A plugin, as the exported function `kiwi_plugin_c_root` gives it; it lives as long as the library, which is never unloaded.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiPlugin {
    /// Bytes of this struct.
    pub size: usize,
    /// `KIWI_ABI_VERSION`.
    pub abi_version: u32,
    /// Gives the plugin its host's functions and its own name; called once, before anything else.
    pub connect: Option<unsafe extern "C-unwind" fn(host: *const KiwiHost, name: KiwiText)>,
    /// Its components.
    pub components: *const *const KiwiComponent,
    /// How many.
    pub component_count: usize,
}

/// One component. Exactly one of the tables at the end is there, that of its kind.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiComponent {
    /// Bytes of this struct.
    pub size: usize,
    /// `encoder`, `head`, `optimizer` or `metric`.
    pub kind: KiwiText,
    /// The name in a config.
    pub class_name: KiwiText,
    /// JSON Schema of its options. The host refuses keys that it does not have and fills its defaults in.
    pub schema: KiwiText,
    /// Optional. Checks what a schema cannot; gives `put_problem` and `put_warning`.
    pub check: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, config: *const KiwiConfig) -> i32>,
    /// Functions of an encoder.
    pub encoder: *const KiwiEncoderTable,
    /// Functions of a head.
    pub head: *const KiwiHeadTable,
    /// Functions of an optimizer.
    pub optimizer: *const KiwiOptimizerTable,
    /// Functions of a metric.
    pub metric: *const KiwiMetricTable,
}

/// Functions of an encoder.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiEncoderTable {
    /// Bytes of this struct.
    pub size: usize,
    /// Builds an instance with fresh parameters, drawn from libtorch's default generator, and writes its address.
    pub create: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            config: *const KiwiConfig,
            context: *const KiwiEncoderContext,
            instance: *mut *mut c_void,
        ) -> i32,
    >,
    /// Frees an instance.
    pub destroy: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives `put_hidden_size` and, for each feature, `put_feature_size`.
    pub describe: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives `put_parameter` for each parameter and buffer.
    pub parameters: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives the features of a batch: `put_feature`, `put_projection`, `put_trace`.
    pub forward: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            batch: *const KiwiBatch,
            pass: *const KiwiPass,
        ) -> i32,
    >,
    /// Optional. Gives what it needs: `need_field`, `need_shorter`, `need_sparse_gradient`, `need_carried_state`.
    pub needs: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, config: *const KiwiConfig) -> i32>,
    /// Optional. Gives by `put_text` what a saved system must hold besides parameters, as JSON.
    pub extra: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Optional. Takes over what `extra` gave.
    pub load_extra: Option<
        unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void, extra: KiwiText) -> i32,
    >,
    /// Optional. Forgets the state carried in training, or in evaluation.
    pub reset_state: Option<
        unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void, training: bool) -> i32,
    >,
    /// Optional. Cuts the state carried in training from how it came about.
    pub detach_state: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Optional. Gives by `put_tensor`, or by `put_no_tensor` where there is none yet, the state carried in training; nothing where it
    /// cannot be saved, so that a run that carries state is resumed from the ends of epochs only.
    pub carried_state: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Optional. Takes over what `carried_state` gave, on the encoder's device.
    pub load_carried_state: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            tensors: *const KiwiNamedTensor,
            tensor_count: usize,
        ) -> i32,
    >,
}

/// Functions of a head.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiHeadTable {
    /// Bytes of this struct.
    pub size: usize,
    /// Builds an instance with fresh parameters and writes its address.
    pub create: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            config: *const KiwiConfig,
            context: *const KiwiHeadContext,
            instance: *mut *mut c_void,
        ) -> i32,
    >,
    /// Frees an instance.
    pub destroy: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives `put_parameter` for each parameter and buffer.
    pub parameters: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives `put_metric` for each metric it wants; the first is the main metric unless the config says otherwise.
    pub metrics: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives loss and figures of a batch: `put_loss`, `put_loss_count`, `put_output`, `put_scalar`, `put_trace`.
    pub forward: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            features: *const KiwiFeature,
            feature_count: usize,
            batch: *const KiwiBatch,
            pass: *const KiwiPass,
        ) -> i32,
    >,
    /// Optional. Gives what it needs: `need_field`, `need_feature`, `need_sparse_gradient`.
    pub needs: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, config: *const KiwiConfig) -> i32>,
    /// Optional. Gives by `put_text` what a saved system must hold besides parameters, as JSON.
    pub extra: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Optional. Takes over what `extra` gave.
    pub load_extra: Option<
        unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void, extra: KiwiText) -> i32,
    >,
}

/// Functions of a metric.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiMetricTable {
    /// Bytes of this struct.
    pub size: usize,
    /// `KIWI_ORDERING_MIN` or `KIWI_ORDERING_MAX`.
    pub ordering: u32,
    /// Builds an instance and writes its address.
    pub create: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            config: *const KiwiConfig,
            instance: *mut *mut c_void,
        ) -> i32,
    >,
    /// Frees an instance.
    pub destroy: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Gives by `put_contribution` what a batch adds. It must not wait for the device.
    pub contribution: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            output: *const KiwiGroup,
        ) -> i32,
    >,
    /// Gives by `put_number` the figure, from the sum of all contributions; nothing where there is nothing to say.
    pub value: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            total: *const f64,
            total_count: usize,
        ) -> i32,
    >,
}

/// Functions of an optimizer.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiOptimizerTable {
    /// Bytes of this struct.
    pub size: usize,
    /// Builds an instance over groups of parameters and writes its address.
    pub create: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            config: *const KiwiConfig,
            groups: *const KiwiGroup,
            group_count: usize,
            instance: *mut *mut c_void,
        ) -> i32,
    >,
    /// Frees an instance.
    pub destroy: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// One step, with one learning rate a group. A parameter without a gradient is left as it is.
    pub step: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            learning_rates: *const f64,
            group_count: usize,
        ) -> i32,
    >,
    /// Gives by `put_tensor` everything that the next step depends on, besides parameters and gradients.
    pub state: Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, instance: *mut c_void) -> i32>,
    /// Takes over what `state` gave; the order of the tensors is not kept, their names are.
    pub load_state: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            instance: *mut c_void,
            tensors: *const KiwiNamedTensor,
            tensor_count: usize,
        ) -> i32,
    >,
    /// Whether the class can use sparse gradients only.
    pub sparse_only: bool,
    /// Whether the class has a learning-rate schedule of its own; the functions below are there then.
    pub has_schedule: bool,
    /// Optional. Checks the keys of the schedule; gives `put_problem` and `put_warning`, paths as `warmup_steps`.
    pub check_schedule: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            config: *const KiwiConfig,
            keys: *const KiwiScheduleKeys,
        ) -> i32,
    >,
    /// Builds the schedule, writes its address, and gives by `put_text` what happens when, in steps.
    pub schedule: Option<
        unsafe extern "C-unwind" fn(
            call: *mut KiwiCall,
            config: *const KiwiConfig,
            context: *const KiwiScheduleContext,
            schedule: *mut *mut c_void,
        ) -> i32,
    >,
    /// Gives by `put_number` what the learning rates are multiplied by in a step, counted from 0.
    pub schedule_factor:
        Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, schedule: *mut c_void, step: u64) -> i32>,
    /// Frees a schedule.
    pub destroy_schedule:
        Option<unsafe extern "C-unwind" fn(call: *mut KiwiCall, schedule: *mut c_void) -> i32>,
}
