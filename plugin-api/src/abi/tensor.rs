//! How tensors cross: as `at::Tensor*`, borrowed going in, owned coming out.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr, RString, RVec};
use tch::Tensor;
use torch_sys::C_tensor;

use super::callbacks;

/// A tensor that whoever receives it may use during the call, and clone to keep.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct BorrowedTensor<'a> {
    pointer: *const c_void,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> BorrowedTensor<'a> {
    /// Lends `tensor`.
    #[must_use]
    pub fn new(tensor: &'a Tensor) -> Self {
        Self { pointer: tensor.as_ptr().cast(), lifetime: PhantomData }
    }

    /// Where it lies.
    pub(crate) fn address(self) -> usize {
        self.pointer.addr()
    }

    /// A handle of its own to the same tensor.
    pub fn to_tensor(self) -> Tensor {
        // SAFETY: the pointer comes from a live `Tensor` that outlives `'a`; a shallow clone owns itself.
        unsafe { Tensor::clone_from_ptr(self.pointer.cast_mut().cast::<C_tensor>()) }
    }
}

/// A tensor that whoever receives it must free: dropping it does.
///
/// The host counts those that are alive ([`super::host::live_handles`]), so that a leak shows.
#[repr(C)]
#[derive(StableAbi)]
pub struct OwnedTensor {
    pointer: *mut c_void,
}

// SAFETY: an `at::Tensor` may be moved between threads, as tch says of its own `Tensor`.
unsafe impl Send for OwnedTensor {}

impl OwnedTensor {
    /// Hands `tensor` over.
    #[must_use]
    pub fn new(tensor: Tensor) -> Self {
        let mut tensor = ManuallyDrop::new(tensor);
        callbacks::count_handles(1);
        Self { pointer: tensor.as_mut_ptr().cast() }
    }

    /// Where it lies.
    pub(crate) fn address(&self) -> usize {
        self.pointer.addr()
    }

    /// One that was never handed over, as by a plugin that mistakes what it was lent for its own. Dropping it frees it twice.
    #[cfg(test)]
    pub(crate) fn mistaken(lent: BorrowedTensor<'_>) -> Self {
        Self { pointer: lent.pointer.cast_mut() }
    }

    /// Takes it over.
    pub fn into_tensor(self) -> Tensor {
        let handle = ManuallyDrop::new(self);
        callbacks::count_handles(-1);
        // SAFETY: `new` gave this pointer up, and `ManuallyDrop` keeps it from being freed here.
        unsafe { Tensor::from_ptr(handle.pointer.cast::<C_tensor>()) }
    }
}

impl Drop for OwnedTensor {
    fn drop(&mut self) {
        callbacks::count_handles(-1);
        // SAFETY: as in `into_tensor`; the `Tensor` made here frees it.
        drop(unsafe { Tensor::from_ptr(self.pointer.cast::<C_tensor>()) });
    }
}

/// A lent tensor with its name.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct NamedBorrowed<'a> {
    /// The name.
    pub name: RStr<'a>,
    /// The tensor.
    pub tensor: BorrowedTensor<'a>,
}

/// An owned tensor with its name.
#[repr(C)]
#[derive(StableAbi)]
pub struct NamedOwned {
    /// The name.
    pub name: RString,
    /// The tensor.
    pub tensor: OwnedTensor,
}

/// Lent tensors that belong together: a field of a batch, an output of a head, a parameter group.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct BorrowedGroup<'a> {
    /// The name of the whole.
    pub name: RStr<'a>,
    /// The tensors.
    pub tensors: RSlice<'a, NamedBorrowed<'a>>,
}

/// Owned tensors that belong together.
#[repr(C)]
#[derive(StableAbi)]
pub struct OwnedGroup {
    /// The name of the whole.
    pub name: RString,
    /// The tensors.
    pub tensors: RVec<NamedOwned>,
}

/// Lends named tensors.
pub(crate) fn lend(tensors: &[(String, Tensor)]) -> Vec<NamedBorrowed<'_>> {
    tensors
        .iter()
        .map(|(name, tensor)| NamedBorrowed {
            name: RStr::from_str(name),
            tensor: BorrowedTensor::new(tensor),
        })
        .collect()
}

/// Clones lent tensors.
pub(crate) fn clone_all(tensors: RSlice<'_, NamedBorrowed<'_>>) -> Vec<(String, Tensor)> {
    tensors.iter().map(|named| (named.name.as_str().to_owned(), named.tensor.to_tensor())).collect()
}

/// What is made of named tensors, and gives them back.
pub(crate) trait OfTensors {
    /// All its tensors.
    fn into_tensors(self) -> impl Iterator<Item = Tensor>;
}

/// A batch or an output that a component sees for one call. Its tensors are the handles that were lent, not clones of them, since
/// a clone of each would be most of what a call takes; so none of them is freed when this is dropped.
pub(crate) struct Seen<'a, T: OfTensors> {
    value: ManuallyDrop<T>,
    lent: PhantomData<&'a ()>,
}

impl<'a, T: OfTensors> Seen<'a, T> {
    /// What `make` makes of lent groups, each a name and its named tensors.
    pub(crate) fn new(
        groups: &[BorrowedGroup<'a>],
        make: impl FnOnce(Vec<(&'a str, Vec<(String, Tensor)>)>) -> T,
    ) -> Self {
        let see = |named: &NamedBorrowed<'a>| {
            // SAFETY: the pointer comes from a live `Tensor` that outlives `'a`. The `Tensor` made here is never dropped, as `Drop` below
            // says, and never lent but by `&`, through which no handle can be freed or replaced.
            let tensor = unsafe { Tensor::from_ptr(named.tensor.pointer.cast_mut().cast::<C_tensor>()) };
            (named.name.as_str().to_owned(), tensor)
        };
        let groups = groups
            .iter()
            .map(|group| (group.name.as_str(), group.tensors.as_slice().iter().map(see).collect()));
        Self { value: ManuallyDrop::new(make(groups.collect())), lent: PhantomData }
    }
}

impl<T: OfTensors> Deref for Seen<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: OfTensors> Drop for Seen<'_, T> {
    fn drop(&mut self) {
        // SAFETY: nothing uses the value after this.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        // Each belongs to whoever lent it.
        value.into_tensors().for_each(std::mem::forget);
    }
}

/// Hands named tensors over.
pub(crate) fn hand_over(tensors: Vec<(String, Tensor)>) -> RVec<NamedOwned> {
    tensors
        .into_iter()
        .map(|(name, tensor)| NamedOwned { name: name.into(), tensor: OwnedTensor::new(tensor) })
        .collect()
}

/// Takes named tensors over.
pub(crate) fn take_over(tensors: RVec<NamedOwned>) -> Vec<(String, Tensor)> {
    tensors.into_iter().map(|named| (named.name.into(), named.tensor.into_tensor())).collect()
}

/// Groups of tensors lent for one call: the owner of the slices that cross.
pub(crate) struct Lent<'a> {
    parts: Vec<(&'a str, Vec<NamedBorrowed<'a>>)>,
}

impl<'a> Lent<'a> {
    /// Lends these groups.
    pub(crate) fn new(groups: impl IntoIterator<Item = (&'a str, &'a [(String, Tensor)])>) -> Self {
        Self { parts: groups.into_iter().map(|(name, tensors)| (name, lend(tensors))).collect() }
    }

    /// The groups, as they cross.
    pub(crate) fn groups(&self) -> Vec<BorrowedGroup<'_>> {
        self.parts
            .iter()
            .map(|(name, tensors)| BorrowedGroup {
                name: RStr::from_str(name),
                tensors: RSlice::from_slice(tensors),
            })
            .collect()
    }
}
