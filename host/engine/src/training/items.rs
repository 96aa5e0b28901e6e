//! How many items the losses of an optimizer step are means over, for heads that say so
//! ([`kiwi_plugin_api::HeadOutput::averaged_over`]): where several batches make a step, each counts by its items.

use kiwi_plugin_api::Result;
use kiwi_plugin_api::torch_ext::gradients;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

/// The items of the batches of an unfinished optimizer step; nothing where losses are sums, or a batch is a step.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Scalar float64, on the device of the losses.
    total: Option<Tensor>,
}

/// [`Items`] in a resume point.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct SavedItems(Option<f64>);

impl Items {
    /// The loss of one of `share` batches of a step as it is to be added up: divided by their number, or, if it is the mean over
    /// `count` items, times these, which [`Self::divide`] makes up for. Of a batch that several ranks divide it is this rank's part.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub(super) fn weigh(
        &mut self,
        loss: &Tensor,
        count: Option<&Tensor>,
        share: usize,
        divided: bool,
    ) -> Result<Tensor> {
        if share <= 1 && (!divided || count.is_none()) {
            return Ok(loss.shallow_clone());
        }
        let Some(count) = count else { return Ok(loss.f_div_scalar(share as f64)?) };
        let count =
            count.f_detach()?.f_reshape([] as [i64; 0])?.f_to_kind(Kind::Double)?.f_to(loss.device())?;
        let weighed = loss.f_mul(&count.f_to_kind(loss.kind())?)?;
        self.total = Some(match self.total.take() {
            Some(total) => total.f_add(&count)?,
            None => count,
        });
        Ok(weighed)
    }

    /// How many there are so far, if any loss was a mean. Waits for the device.
    ///
    /// # Errors
    /// When the number cannot be read.
    pub(super) fn count(&self) -> Result<Option<f64>> {
        self.total.as_ref().map(|total| Ok(total.f_double_value(&[])?)).transpose()
    }

    /// Takes the count of all ranks in place of its own.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub(super) fn replace(&mut self, count: Option<f64>, device: Device) -> Result<()> {
        let total = count.map(|total| Tensor::f_full([] as [i64; 0], total, (Kind::Double, device)));
        self.total = total.transpose()?;
        Ok(())
    }

    /// Divides the gradients of `parameters` by the items so far, which are forgotten. Nothing waits for the device.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub(super) fn divide(&mut self, parameters: &[Tensor]) -> Result<()> {
        let Some(total) = self.total.take() else { return Ok(()) };
        let factor = total.f_reciprocal()?;
        for parameter in parameters {
            if let Some(mut gradient) = gradients::gradient(parameter)? {
                let factor = factor.f_to_kind(gradient.kind())?;
                no_grad(|| gradient.f_mul_(&factor).map(drop))?;
            }
        }
        Ok(())
    }

    /// Forgets the items: the step begins anew.
    pub(super) fn clear(&mut self) {
        self.total = None;
    }

    /// What a resume point keeps.
    ///
    /// # Errors
    /// When the number cannot be read.
    pub(super) fn saved(&self) -> Result<SavedItems> {
        Ok(SavedItems(self.count()?))
    }

    /// What a resume point kept.
    pub(super) fn restored(saved: SavedItems, device: Device) -> Result<Self> {
        let mut items = Self::default();
        items.replace(saved.0, device)?;
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient_of(batches: &[&[f32]], averaged: bool) -> f64 {
        let parameter = Tensor::from(1.0_f32).set_requires_grad(true);
        let mut items = Items::default();
        for batch in batches {
            let values = Tensor::from_slice(batch) * &parameter;
            let count = Tensor::from(batch.len() as i64);
            let (loss, count) =
                if averaged { (values.mean(None), Some(&count)) } else { (values.sum(None), None) };
            items.weigh(&loss, count, batches.len(), false).unwrap().backward();
        }
        items.divide(&[parameter.shallow_clone()]).unwrap();
        assert!(items.total.is_none());
        f64::try_from(parameter.grad()).unwrap()
    }

    #[test]
    fn batches_of_means_count_by_their_items() {
        assert_eq!(gradient_of(&[&[1.0, 2.0, 3.0], &[10.0]], true), 4.0);
        assert_eq!(gradient_of(&[&[1.0, 2.0, 3.0, 10.0]], true), 4.0);
    }

    #[test]
    fn sums_are_divided_by_the_number_of_batches() {
        assert_eq!(gradient_of(&[&[1.0, 2.0, 3.0], &[10.0]], false), 8.0);
        assert_eq!(gradient_of(&[&[1.0, 2.0]], false), 3.0);
    }

    #[test]
    fn a_resume_point_keeps_them() {
        let mut items = Items::default();
        let count = Tensor::from(3_i64);
        let _ = items.weigh(&Tensor::from(2.0_f32), Some(&count), 2, false).unwrap();
        let text = serde_json::to_string(&items.saved().unwrap()).unwrap();
        let restored = Items::restored(serde_json::from_str(&text).unwrap(), Device::Cpu).unwrap();
        assert_eq!(f64::try_from(restored.total.unwrap()).unwrap(), 3.0);
        assert!(Items::restored(SavedItems::default(), Device::Cpu).unwrap().total.is_none());
    }
}
