//! The elements of a tensor out of its storage: row by row, whatever its strides are.

use std::borrow::Cow;

use crate::pickle::TensorView;

/// Why a tensor is not what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It reaches beyond its storage.
    #[error("reaches beyond its storage, which has {elements} elements")]
    Beyond {
        /// Elements of the storage.
        elements: usize,
    },
    /// It has more elements than its storage: some would be repeated.
    #[error("claims more elements than its storage has ({elements})")]
    Repeated {
        /// Elements of the storage.
        elements: usize,
    },
}

/// How many elements a tensor has, if all lie in its storage and none has to be there twice for it.
///
/// # Errors
/// It does not fit into its storage.
pub(crate) fn check(tensor: &TensorView) -> Result<usize, Error> {
    let elements = tensor.storage.elements;
    let count = tensor.shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
    let count = count.filter(|count| *count <= elements).ok_or(Error::Repeated { elements })?;
    if count == 0 {
        return Ok(0);
    }
    let last =
        tensor.shape.iter().zip(&tensor.strides).try_fold(tensor.offset, |last, (size, stride)| {
            last.checked_add((size - 1).checked_mul(*stride)?)
        });
    last.filter(|last| *last < elements).map(|_| count).ok_or(Error::Beyond { elements })
}

/// The elements, row by row. Borrowed where they lie so in the storage.
///
/// # Errors
/// It does not fit into its storage.
pub(crate) fn elements<'a>(tensor: &TensorView, storage: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
    let count = check(tensor)?;
    let width = tensor.storage.kind.width();
    let beyond = || Error::Beyond { elements: tensor.storage.elements };
    let from = |element: usize, elements: usize| {
        let start = element.checked_mul(width)?;
        storage.get(start..start.checked_add(elements.checked_mul(width)?)?)
    };
    if is_contiguous(tensor) || count == 0 {
        let start = if count == 0 { 0 } else { tensor.offset };
        return from(start, count).map(Cow::Borrowed).ok_or_else(beyond);
    }
    let mut bytes = Vec::with_capacity(count * width);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..count {
        let element = index.iter().zip(&tensor.strides).map(|(at, stride)| at * stride).sum::<usize>();
        bytes.extend_from_slice(from(tensor.offset + element, 1).ok_or_else(beyond)?);
        for (at, size) in index.iter_mut().zip(&tensor.shape).rev() {
            *at += 1;
            if *at < *size {
                break;
            }
            *at = 0;
        }
    }
    Ok(Cow::Owned(bytes))
}

fn is_contiguous(tensor: &TensorView) -> bool {
    let mut expected = 1;
    tensor.shape.iter().zip(&tensor.strides).rev().all(|(size, stride)| {
        // The stride of a dimension of one element is never used.
        let fits = *size == 1 || *stride == expected;
        expected *= size;
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::{ElementType, StorageRef};

    fn view(offset: usize, shape: &[usize], strides: &[usize]) -> TensorView {
        let storage = StorageRef { kind: ElementType::U8, key: "0".into(), elements: 12 };
        TensorView { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn strides_and_offsets_choose_the_elements() {
        let storage: Vec<u8> = (0..12).collect();
        let of = |view: TensorView| elements(&view, &storage).unwrap();
        assert!(matches!(of(view(2, &[2, 3], &[3, 1])), Cow::Borrowed([2, 3, 4, 5, 6, 7])));
        assert_eq!(*of(view(0, &[3, 4], &[1, 3])), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        assert_eq!(*of(view(1, &[2, 1, 2], &[5, 99, 2])), [1, 3, 6, 8]);
        assert_eq!(*of(view(7, &[], &[])), [7]);
        assert!(of(view(12, &[0, 3], &[3, 1])).is_empty());
        assert_eq!(*of(view(3, &[3], &[0])), [3, 3, 3]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |view: TensorView| check(&view).unwrap_err().to_string();
        assert!(refused(view(7, &[2, 3], &[3, 1])).starts_with("reaches beyond its storage, which has 12"));
        assert!(refused(view(0, &[2], &[usize::MAX])).starts_with("reaches beyond"));
        assert!(refused(view(0, &[1000], &[0])).starts_with("claims more elements"));
        assert!(refused(view(0, &[usize::MAX, usize::MAX], &[0, 0])).starts_with("claims more elements"));
        assert!(elements(&view(0, &[12], &[1]), &[0; 3]).is_err(), "a storage shorter than it says");
    }
}
