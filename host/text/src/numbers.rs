//! Long arrays of numbers that are either held or lie in a mapped file of the cache: whoever reads them sees a slice.

use std::{marker::PhantomData, ops::Range, sync::Arc};

use bytemuck::Pod;

use crate::cache::Mapped;

/// An array of numbers.
#[derive(Debug, Clone)]
pub(crate) enum Numbers<T> {
    Held(Vec<T>),
    Mapped(InFile<T>),
}

/// The part of a mapped file that is an array.
#[derive(Debug, Clone)]
pub(crate) struct InFile<T> {
    file: Arc<Mapped>,
    bytes: Range<usize>,
    of: PhantomData<T>,
}

impl<T: Pod> InFile<T> {
    /// `None` when the bytes are not within the file, or no array of such numbers at a place that suits them.
    pub(crate) fn new(file: &Arc<Mapped>, bytes: Range<usize>) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(file.get(bytes.clone())?).ok()?;
        Some(Self { file: Arc::clone(file), bytes, of: PhantomData })
    }
}

impl<T: Pod> std::ops::Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Held(numbers) => numbers,
            Self::Mapped(part) => bytemuck::cast_slice(&part.file[part.bytes.clone()]),
        }
    }
}
