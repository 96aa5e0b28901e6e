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
    Ok(Batch::new(fields))
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use kiwi_plugin_api::SpecialIds;
    use kiwi_text::{BatchPlan, EncodedCorpus, Limits, ParallelCorpus, ParallelFiles, Vocabularies};
    use tch::Kind;

    use super::*;

    #[test]
    fn tensors_have_the_types_and_shapes_that_plugins_are_promised() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            vec![path]
        };
        let files = ParallelFiles {
            source: write("a", "a b\n\n<pad> c d\n"),
            target: write("b", "A\nB A\n\n"),
            post_edit: Some(write("c", "A B A\nB\n<unk>\n")),
        };
        let corpus = ParallelCorpus::open(&files).unwrap();
        let (vocabularies, _) = Vocabularies::fit_shared(&corpus, Limits::default()).unwrap();
        let encoded = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
        let plan = BatchPlan::corpus_order(3, NonZeroUsize::MAX);
        let batch = to_tensors(&TextBatch::new(&encoded, plan.batch(0).unwrap()), Device::Cpu).unwrap();
        let names: Vec<&str> = batch.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["source", "target", "pe"]);
        for (field, of_text) in batch.fields.iter().zip(TextField::ALL) {
            let sentences: Vec<Vec<i64>> = (0..3)
                .map(|pair| encoded.sentence(pair, of_text).iter().map(|id| i64::from(*id)).collect())
                .collect();
            let width = 2 + sentences.iter().map(Vec::len).max().unwrap() as i64;
            let counted = field.counted().unwrap().size()[0];
            let documented = [
                (Field::IDS, Kind::Int64, vec![3, width]),
                (Field::LENGTHS, Kind::Int64, vec![3]),
                (Field::STRICT_MASK, Kind::Bool, vec![3, width]),
                (Field::BOUNDS, Kind::Int64, vec![3, width]),
                (Field::BOUNDS_LENGTHS, Kind::Int64, vec![3]),
                (Field::NUMBER_OF_TOKENS, Kind::Int, vec![3]),
                (Field::COUNTED, Kind::Int64, vec![counted]),
            ];
            // Made from the documentation of a field alone, without the text's own batches.
            let expected = Field::from_sentences(&field.name, &sentences, SpecialIds::default()).unwrap();
            assert_eq!(field.tensors().len(), documented.len());
            for (name, kind, size) in documented {
                let tensor = field.tensor(name).unwrap();
                assert_eq!((tensor.kind(), tensor.size()), (kind, size), "{}.{name}", field.name);
                assert!(tensor.equal(expected.tensor(name).unwrap()), "{}.{name}: {tensor}", field.name);
            }
        }
    }
}
