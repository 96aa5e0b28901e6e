//! Whose the handles are that a component returned: each must be its own to give away. One that was only lent to it, or that it gives
//! twice, would be freed twice, so that what has one is never freed at all: the call is an error.

use abi_stable::std_types::RVec;

use super::call::{CallError, Origin, Phase};
use crate::abi::component::encoder::EncoderOutput;
use crate::abi::component::head::AbiHeadOutput;
use crate::abi::component::{AbiParameter, BorrowedFeature};
use crate::abi::tensor::{BorrowedGroup, NamedOwned, OwnedTensor};

/// The addresses of handles that are lent for a call.
#[derive(Default)]
pub(super) struct LentHandles(Vec<usize>);

impl LentHandles {
    /// Those of fields, outputs or groups.
    pub(super) fn of(groups: &[BorrowedGroup<'_>]) -> Self {
        let addresses =
            groups.iter().flat_map(|group| group.tensors.iter().map(|named| named.tensor.address()));
        Self(addresses.collect())
    }

    /// The same and those of features.
    pub(super) fn and(mut self, features: &[BorrowedFeature<'_>]) -> Self {
        self.0.extend(
            features.iter().flat_map(|feature| feature.tensors.iter().map(|tensor| tensor.address())),
        );
        self
    }

    /// Hands on what a component returned, if it may be taken over.
    ///
    /// # Errors
    /// When a handle is not the component's to give; nothing of it is freed then.
    pub(super) fn own<T: Handles>(&self, origin: &Origin, phase: Phase, returned: T) -> Result<T, CallError> {
        let mut seen = Vec::with_capacity(16);
        let mut wrong = None;
        returned.each(&mut |name, tensor| {
            let address = tensor.address();
            let what = if address == 0 {
                "as no tensor at all (a null handle)"
            } else if self.0.contains(&address) {
                "by a handle that was only lent to it for the call: it must return a handle of its own, such as a shallow clone"
            } else {
                seen.push(address);
                return;
            };
            wrong.get_or_insert_with(|| format!("it returned {} {what}", described(name)));
        });
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            wrong.get_or_insert_with(|| {
                "it returned the same handle twice: each must be of its own, such as a shallow clone"
                    .to_owned()
            });
        }
        match wrong {
            None => Ok(returned),
            Some(message) => {
                std::mem::forget(returned);
                Err(CallError::new(origin, phase, message))
            }
        }
    }
}

fn described(name: &str) -> String {
    if name.is_empty() { "its result".to_owned() } else { format!("`{name}`") }
}

/// What holds handles that were returned.
pub(super) trait Handles {
    /// Shows each with its name.
    fn each(&self, show: &mut dyn FnMut(&str, &OwnedTensor));
}

impl Handles for OwnedTensor {
    fn each(&self, show: &mut dyn FnMut(&str, &OwnedTensor)) {
        show("", self);
    }
}

impl Handles for RVec<NamedOwned> {
    fn each(&self, show: &mut dyn FnMut(&str, &OwnedTensor)) {
        self.iter().for_each(|named| show(named.name.as_str(), &named.tensor));
    }
}

impl Handles for RVec<AbiParameter> {
    fn each(&self, show: &mut dyn FnMut(&str, &OwnedTensor)) {
        self.iter().for_each(|parameter| show(parameter.name.as_str(), &parameter.tensor));
    }
}

impl Handles for EncoderOutput {
    fn each(&self, show: &mut dyn FnMut(&str, &OwnedTensor)) {
        for feature in &self.features {
            feature.tensors.iter().for_each(|tensor| show(feature.name.as_str(), tensor));
        }
        self.trace.each(show);
        self.more.iter().for_each(|group| group.tensors.each(show));
    }
}

impl Handles for AbiHeadOutput {
    fn each(&self, show: &mut dyn FnMut(&str, &OwnedTensor)) {
        show("loss", &self.loss);
        if let Some(count) = self.averaged_over.as_ref().into_option() {
            show("averaged_over", count);
        }
        self.outputs.iter().for_each(|output| output.tensors.each(show));
        self.scalars.each(show);
        self.trace.each(show);
        self.more.iter().for_each(|group| group.tensors.each(show));
    }
}

#[cfg(test)]
mod tests {
    use abi_stable::std_types::{RSlice, RStr};
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::abi::tensor::{hand_over, lend};

    fn two() -> Vec<(String, Tensor)> {
        ["a", "b"].map(|name| (name.to_owned(), Tensor::zeros([1], (Kind::Float, Device::Cpu)))).into()
    }

    fn own(lent: &LentHandles, returned: RVec<NamedOwned>) -> Result<usize, String> {
        let origin = Origin::new("kiwi-x", "X");
        match lent.own(&origin, Phase::Step, returned) {
            Ok(returned) => Ok(returned.len()),
            Err(error) => Err(error.message),
        }
    }

    #[test]
    fn a_handle_that_is_not_the_components_to_give_is_refused_and_not_freed() {
        let tensors = two();
        let borrowed = lend(&tensors);
        let group = BorrowedGroup { name: RStr::from_str("g"), tensors: RSlice::from_slice(&borrowed) };
        let lent = LentHandles::of(&[group]);
        assert_eq!(own(&lent, hand_over(two())), Ok(2));

        // The host's own tensors, given away as a plugin would that mistakes what it was lent for its own.
        let mistaken = OwnedTensor::mistaken(borrowed[1].tensor);
        let mut returned = hand_over(two());
        returned.push(NamedOwned { name: "c".into(), tensor: mistaken });
        let error = own(&lent, returned).unwrap_err();
        assert!(error.starts_with("it returned `c` by a handle that was only lent to it"), "{error}");
        assert_eq!(tensors[1].1.size(), [1], "it is alive");

        let kept = two();
        let twice = lend(&kept)[0].tensor;
        let returned: RVec<NamedOwned> = ["a", "b"]
            .map(|name| NamedOwned { name: name.into(), tensor: OwnedTensor::mistaken(twice) })
            .into_iter()
            .collect();
        let error = own(&lent, returned).unwrap_err();
        assert!(error.contains("the same handle twice"), "{error}");
        assert_eq!(kept[0].1.size(), [1]);
    }
}
