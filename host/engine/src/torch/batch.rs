//! A batch of plain arrays as tensors.

use kiwi_plugin_api::{Batch, Field, Result};
use kiwi_text::{Batch as TextBatch, Field as TextField, FieldBatch};
use tch::{Device, Tensor};

/// The batch on `device`.
pub(crate) fn to_tensors(batch: &TextBatch, device: Device) -> Result<Batch> {
    let fields = TextField::ALL
        .into_iter()
        .filter_map(|field| Some((field, batch.field(field)?)))
        .map(|(field, data)| to_field(field, data)?.to_device(device))
        .collect::<Result<_>>()?;
    Ok(Batch { fields })
}

fn to_field(field: TextField, data: &FieldBatch) -> Result<Field> {
    let shape = [data.rows() as i64, data.width as i64];
    let matrix = |tensor: Tensor| tensor.f_view(shape);
    let tensors = vec![
        (Field::IDS, matrix(Tensor::from_slice(&data.ids))?),
        (Field::LENGTHS, Tensor::from_slice(&data.lengths)),
        (Field::STRICT_MASK, matrix(Tensor::from_slice(&data.strict_mask))?),
        (Field::BOUNDS, matrix(Tensor::from_slice(&data.bounds))?),
        (Field::BOUNDS_LENGTHS, Tensor::from_slice(&data.bounds_lengths)),
        (Field::NUMBER_OF_TOKENS, Tensor::from_slice(&data.number_of_tokens)),
        (Field::COUNTED, Tensor::from_slice(&data.counted)),
    ];
    let named = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    Ok(Field::new(field.name(), named))
}
