//! What the host makes of plugins in plain C that are shorter, longer or other than it knows. The plugins are made here, of the very
//! structs that cross.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::mem::{offset_of, size_of};
use std::ptr;

use serde_json::json;
use tch::{Device, Tensor};

use super::open::components;
use super::sinks;
use super::{Component, Encoder};
use crate::abi::c::host::{KIWI_DONE, KIWI_FAILED, KIWI_FAILURE_ERROR};
use crate::abi::c::tables::KIWI_ABI_VERSION;
use crate::abi::c::{
    KiwiBatch, KiwiCall, KiwiComponent, KiwiConfig, KiwiEncoderContext, KiwiEncoderTable, KiwiHost, KiwiPass,
    KiwiPlugin, KiwiTensor, KiwiText,
};
use crate::abi::guard::FailureKind;
use crate::abi::host::call::{CallError, Origin};
use crate::abi::host::instances::EncoderCalls;
use crate::{Batch, EncoderContext, EncoderNeeds};

fn text(text: &'static str) -> KiwiText {
    KiwiText { pointer: text.as_ptr().cast(), length: text.len() }
}

unsafe extern "C-unwind" fn connect(_: *const KiwiHost, _: KiwiText) {}

unsafe extern "C-unwind" fn create(
    _: *mut KiwiCall,
    _: *const KiwiConfig,
    context: *const KiwiEncoderContext,
    instance: *mut *mut c_void,
) -> i32 {
    // SAFETY: the host gives a context and a place for the address; what lies there is never looked at.
    unsafe {
        assert_eq!((*context).size, size_of::<KiwiEncoderContext>());
        *instance = ptr::without_provenance_mut(16);
    }
    KIWI_DONE
}

unsafe extern "C-unwind" fn nothing(_: *mut KiwiCall, _: *mut c_void) -> i32 {
    KIWI_DONE
}

unsafe extern "C-unwind" fn evil(_: *mut KiwiCall, _: *const KiwiConfig) -> i32 {
    panic!("what lies behind the end of a table is no function of it");
}

/// Says that the hidden state has the size 3.
unsafe extern "C-unwind" fn describe(call: *mut KiwiCall, _: *mut c_void) -> i32 {
    // SAFETY: the call is the one under way.
    unsafe { sinks::put_hidden_size(call, 3) };
    KIWI_DONE
}

unsafe extern "C-unwind" fn forward(
    call: *mut KiwiCall,
    _: *mut c_void,
    _: *const KiwiBatch,
    pass: *const KiwiPass,
) -> i32 {
    let tensor = Tensor::from_slice(&[1.0f32, 2.0]);
    let pointer = tensor.as_ptr().cast::<KiwiTensor>();
    // SAFETY: pass and call are those of the call under way, and the tensor lives until the end.
    unsafe {
        if (*pass).training {
            return KIWI_FAILED;
        }
        sinks::put_feature(call, text("one"), pointer);
        sinks::put_projection(call, text("two"), pointer, pointer, ptr::null());
        if (*pass).traced {
            let no_utf8 = KiwiText { pointer: b"\xff\xfe".as_ptr().cast(), length: 2 };
            sinks::put_feature(call, no_utf8, pointer);
            sinks::put_feature(call, text("null"), ptr::null());
        }
    }
    KIWI_DONE
}

fn table() -> KiwiEncoderTable {
    KiwiEncoderTable {
        size: size_of::<KiwiEncoderTable>(),
        create: Some(create),
        destroy: Some(nothing),
        describe: Some(describe),
        parameters: Some(nothing),
        forward: Some(forward),
        needs: None,
        extra: None,
        load_extra: None,
        reset_state: None,
        detach_state: None,
        carried_state: None,
        load_carried_state: None,
    }
}

fn component(encoder: *const KiwiEncoderTable) -> KiwiComponent {
    KiwiComponent {
        size: size_of::<KiwiComponent>(),
        kind: text("encoder"),
        class_name: text("Given"),
        schema: text(r#"{"type": "object"}"#),
        check: None,
        encoder,
        head: ptr::null(),
        optimizer: ptr::null(),
        metric: ptr::null(),
    }
}

fn opened(component: *const KiwiComponent) -> Result<&'static Component, String> {
    let list: &'static [*const KiwiComponent] = Box::leak(Box::new([component]));
    let plugin = KiwiPlugin {
        size: size_of::<KiwiPlugin>(),
        abi_version: KIWI_ABI_VERSION,
        connect: Some(connect),
        components: list.as_ptr(),
        component_count: 1,
    };
    // SAFETY: everything lives until the test ends, and the texts as long as the process.
    unsafe { components(&raw const plugin, "given") }.map(|components| components[0])
}

fn refused(plugin: *const KiwiPlugin) -> String {
    // SAFETY: what is there of the plugin lives until the test ends.
    unsafe { components(plugin, "given") }.err().unwrap()
}

fn origin() -> Origin {
    Origin::new("given", "Given")
}

fn encoder(component: &Component) -> Result<Encoder, CallError> {
    let context = EncoderContext::new(BTreeMap::from([("target".to_owned(), 7)]), Device::Cpu);
    Encoder::create(component, &origin(), &json!({}), &context)
}

#[test]
fn what_is_no_plugin_is_refused_with_what_it_lacks() {
    assert_eq!(refused(ptr::null()), "what `kiwi_plugin_c_root` returns is a null pointer");
    let plugin = KiwiPlugin {
        size: size_of::<KiwiPlugin>(),
        abi_version: KIWI_ABI_VERSION,
        connect: Some(connect),
        components: ptr::null(),
        component_count: 0,
    };
    // SAFETY: it has no components to read.
    assert!(unsafe { components(&raw const plugin, "given") }.unwrap().is_empty());
    let said = |plugin: KiwiPlugin| refused(&raw const plugin);
    assert!(said(KiwiPlugin { abi_version: 2, ..plugin }).contains("has version 2 of the boundary"));
    assert!(said(KiwiPlugin { size: 0, ..plugin }).contains("says that it has 0 bytes"));
    assert!(said(KiwiPlugin { size: 1 << 40, ..plugin }).contains("bytes, expected"));
    assert!(said(KiwiPlugin { connect: None, ..plugin }).contains("no function `connect`"));
    assert!(said(KiwiPlugin { component_count: 1, ..plugin }).contains("says that it has 1 components"));
    let misaligned = ptr::without_provenance::<KiwiPlugin>(17);
    assert!(refused(misaligned).contains("lies at an address that no such struct can have"));
}

#[test]
fn a_component_that_lacks_something_is_refused_by_name() {
    let table = table();
    let good = component(&raw const table);
    let said = |component: KiwiComponent| opened(&raw const component).err().unwrap();
    assert!(
        said(KiwiComponent { kind: text("decoder"), ..good }).contains("the decoder `Given` is of no kind")
    );
    assert!(
        said(KiwiComponent { kind: text("head"), ..good })
            .contains("the table of the head `Given` is a null")
    );
    assert!(
        said(KiwiComponent { class_name: text(""), ..good }).contains("the class of a component is empty")
    );
    assert!(
        said(KiwiComponent { schema: text(""), ..good })
            .contains("JSON Schema of the encoder `Given` is empty")
    );
    let lacking = KiwiEncoderTable { forward: None, ..table };
    assert_eq!(
        said(component(&raw const lacking)),
        "the table of the encoder `Given` has no function `forward`"
    );
    assert!(opened(ptr::null()).err().unwrap().contains("a component is a null pointer"));
}

#[test]
fn a_shorter_table_lacks_what_is_not_there_and_a_longer_one_has_more_than_is_read() {
    let shorter =
        KiwiEncoderTable { size: offset_of!(KiwiEncoderTable, needs), needs: Some(evil), ..table() };
    let shorter = component(&raw const shorter);
    let found = opened(&raw const shorter).unwrap();
    assert_eq!(found.encoder_needs(&origin(), &json!({})).unwrap(), EncoderNeeds::default());

    #[repr(C)]
    struct Longer {
        table: KiwiEncoderTable,
        later: [usize; 8],
    }
    let longer =
        Longer { table: KiwiEncoderTable { size: size_of::<Longer>(), ..table() }, later: [usize::MAX; 8] };
    assert_eq!(longer.later[0], usize::MAX);
    let longer = component((&raw const longer).cast());
    let mut encoder = encoder(opened(&raw const longer).unwrap()).unwrap();
    assert_eq!(encoder.describe().unwrap().hidden_size, 3);
    encoder.close().unwrap();
}

#[test]
fn calls_that_give_what_cannot_be_taken_fail_and_nothing_else_happens() {
    let table = table();
    let component = component(&raw const table);
    let component = opened(&raw const component).unwrap();
    let mut encoder = encoder(component).unwrap();
    let batch = Batch { fields: Vec::new() };

    let (features, trace) = encoder.forward(&batch, false, false).unwrap();
    assert_eq!(features.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["one", "two"]);
    assert!(trace.is_empty() && features.projection("two").unwrap().bias.is_none());

    let error = encoder.forward(&batch, false, true).err().unwrap();
    assert_eq!(error.message, "the name of a feature is not UTF-8");
    let error = encoder.forward(&batch, true, false).err().unwrap();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (FailureKind::Error, "it returned 1 and gave no reason: expected one by `fail`")
    );
    assert_eq!(encoder.parameters().unwrap().len(), 0);
    assert_eq!(encoder.extra().unwrap(), None);
    assert!(encoder.load_extra(&json!(1)).err().unwrap().message.contains("keeps no more"));
}

#[test]
fn a_call_that_is_no_call_is_passed_over() {
    // SAFETY: the functions look before they write.
    unsafe {
        sinks::put_number(ptr::null_mut(), 1.0);
        sinks::fail(ptr::null_mut(), KIWI_FAILURE_ERROR, text("nobody hears it"));
    }
}
