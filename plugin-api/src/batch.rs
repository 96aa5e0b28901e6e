//! A batch as a component sees it: for each field the padded ids and what describes them.

use tch::{Device, Kind, Tensor};

use crate::abi::tensor::OfTensors;
use crate::transfer::to_device;
use crate::{Error, Result};

/// Sentences of several fields, row b of one belonging to row b of the others.
#[derive(Debug)]
#[non_exhaustive]
pub struct Batch {
    /// The fields: `source`, `target`, and `pe` where post-edits are given.
    pub fields: Vec<Field>,
}

impl Batch {
    /// A batch of these fields, which have the same number of rows.
    #[must_use]
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// The field of this name.
    ///
    /// # Errors
    /// When the batch has none, naming those it has.
    pub fn field(&self, name: &str) -> Result<&Field> {
        self.find(name).ok_or_else(|| {
            let known: Vec<_> = self.fields.iter().map(|field| field.name.as_str()).collect();
            Error::new(format!("the batch has no field `{name}`, only {}", known.join(", ")))
        })
    }

    /// The field of this name, where the batch has it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl OfTensors for Batch {
    fn into_tensors(self) -> impl Iterator<Item = Tensor> {
        self.fields.into_iter().flat_map(|field| field.tensors).map(|(_, tensor)| tensor)
    }
}

/// One side of a batch: B sentences `<bos> w1 .. wn <eos>`, padded to T, the longest n + 2.
#[derive(Debug)]
#[non_exhaustive]
pub struct Field {
    /// Its name.
    pub name: String,
    tensors: Vec<(String, Tensor)>,
}

impl Field {
    /// `[B, T]` int64: word ids, padded with `<pad>`.
    pub const IDS: &'static str = "ids";
    /// `[B]` int64, on the CPU: lengths with `<bos>` and `<eos>`.
    pub const LENGTHS: &'static str = "lengths";
    /// `[B, T]` bool: true on the words only.
    pub const STRICT_MASK: &'static str = "strict_mask";
    /// `[B, T]` int64: position of each word's first piece, padded with -1.
    pub const BOUNDS: &'static str = "bounds";
    /// `[B]` int64: n + 2.
    pub const BOUNDS_LENGTHS: &'static str = "bounds_lengths";
    /// `[B]` int32: n.
    pub const NUMBER_OF_TOKENS: &'static str = "number_of_tokens";
    /// `[N]` int64, ascending: flat positions `b * T + t` whose id is neither `<pad>`, `<bos>` nor `<eos>`, wherever they stand.
    pub const COUNTED: &'static str = "counted";

    /// A field of these named tensors.
    #[must_use]
    pub fn new(name: impl Into<String>, tensors: Vec<(String, Tensor)>) -> Self {
        Self { name: name.into(), tensors }
    }

    /// All its tensors, by name.
    pub fn tensors(&self) -> &[(String, Tensor)] {
        &self.tensors
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// When the field has none, naming those it has.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        find(&self.tensors, name).ok_or_else(|| {
            Error::new(format!("field `{}` has no tensor `{name}`, only {}", self.name, names(&self.tensors)))
        })
    }

    /// `[B, T]` int64: word ids, padded with `<pad>`.
    ///
    /// # Errors
    /// When the host gave none.
    pub fn ids(&self) -> Result<&Tensor> {
        self.tensor(Self::IDS)
    }

    /// `[B]` int64, on the CPU: lengths with `<bos>` and `<eos>`.
    ///
    /// # Errors
    /// When the host gave none.
    pub fn lengths(&self) -> Result<&Tensor> {
        self.tensor(Self::LENGTHS)
    }

    /// `[B, T]` bool: true on the words only, false on `<bos>`, `<eos>` and padding.
    ///
    /// # Errors
    /// When the host gave none.
    pub fn strict_mask(&self) -> Result<&Tensor> {
        self.tensor(Self::STRICT_MASK)
    }

    /// `[N]` int64, ascending: the flat positions `b * T + t` that a loss over words counts.
    ///
    /// # Errors
    /// When the host gave none.
    pub fn counted(&self) -> Result<&Tensor> {
        self.tensor(Self::COUNTED)
    }

    /// A field of these sentences (word ids without `<bos>` and `<eos>`), for tests: what the host would make of them.
    ///
    /// # Errors
    /// When there is no sentence.
    pub fn from_sentences(name: &str, sentences: &[Vec<i64>], special: crate::SpecialIds) -> Result<Self> {
        let rows = sentences.len();
        let width = sentences
            .iter()
            .map(|sentence| sentence.len() + 2)
            .max()
            .ok_or_else(|| Error::new("a batch needs at least one sentence"))?;
        let mut ids = vec![special.pad; rows * width];
        let mut mask = vec![false; rows * width];
        let mut bounds = vec![-1i64; rows * width];
        let (mut lengths, mut counts, mut counted) = (Vec::new(), Vec::new(), Vec::new());
        for (row, sentence) in sentences.iter().enumerate() {
            let start = row * width;
            ids[start] = special.bos;
            ids[start + 1..=start + sentence.len()].copy_from_slice(sentence);
            ids[start + sentence.len() + 1] = special.eos;
            mask[start + 1..=start + sentence.len()].fill(true);
            for (position, bound) in bounds[start..start + sentence.len() + 2].iter_mut().enumerate() {
                *bound = position as i64;
            }
            lengths.push(sentence.len() as i64 + 2);
            counts.push(sentence.len() as i32);
            counted.extend((start..start + width).filter(|at| special.counts(ids[*at])).map(|at| at as i64));
        }
        let shape = [rows as i64, width as i64];
        Ok(Self::new(
            name,
            vec![
                (Self::IDS.to_owned(), Tensor::from_slice(&ids).f_view(shape)?),
                (Self::LENGTHS.to_owned(), Tensor::from_slice(&lengths)),
                (Self::STRICT_MASK.to_owned(), Tensor::from_slice(&mask).f_view(shape)?),
                (Self::BOUNDS.to_owned(), Tensor::from_slice(&bounds).f_view(shape)?),
                (Self::BOUNDS_LENGTHS.to_owned(), Tensor::from_slice(&lengths)),
                (Self::NUMBER_OF_TOKENS.to_owned(), Tensor::from_slice(&counts)),
                (Self::COUNTED.to_owned(), Tensor::from_slice(&counted)),
            ],
        ))
    }

    /// The same field with its tensors on `device`; the lengths stay on the CPU, where packing wants them. Nothing
    /// waits for a GPU.
    ///
    /// # Errors
    /// When libtorch cannot copy them.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        let tensors = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let moved =
                    if name == Self::LENGTHS { tensor.shallow_clone() } else { to_device(tensor, device)? };
                Ok((name.clone(), moved))
            })
            .collect::<Result<_>>()?;
        Ok(Self { name: self.name.clone(), tensors })
    }
}

/// The tensor of this name among `tensors`.
pub(crate) fn find<'a>(tensors: &'a [(String, Tensor)], name: &str) -> Option<&'a Tensor> {
    tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
}

/// The names of `tensors`, for an error.
pub(crate) fn names(tensors: &[(String, Tensor)]) -> String {
    let names: Vec<_> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The kind that sums and counts of metrics have.
pub(crate) const SUMS: Kind = Kind::Double;
