//! What the numbers of a saved system's tensors come to, read over the memory map.

use half::{bf16, f16};
use kiwi_core::saved_system::{Dtype, SavedSystem, TensorData};
use kiwi_text::PAD;
use kiwi_tracking::number::Number;
use serde::Serialize;

use super::vocabulary::specials;

/// A row is told of when it is so many times as long as the middle one.
const LONG_ROW: f64 = 20.0;

/// A tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TensorFacts {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    /// How many numbers it has.
    pub(crate) numbers: u64,
    pub(crate) bytes: u64,
    /// `None` for a type whose numbers are not read.
    pub(crate) values: Option<Values>,
    /// What is odd about it.
    pub(crate) remarks: Vec<String>,
}

/// What the numbers of a tensor come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Values {
    /// Over the finite ones; `None` where there is none.
    pub(crate) finite: Option<Finite>,
    pub(crate) zeros: u64,
    pub(crate) not_finite: u64,
    /// Of a matrix: the lengths (Euclidean norms) of its rows.
    pub(crate) rows: Option<Rows>,
}

/// What finite numbers come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Finite {
    pub(crate) min: Number,
    pub(crate) max: Number,
    pub(crate) mean: Number,
    /// Standard deviation, of all of them.
    pub(crate) std: Number,
}

/// The lengths of a matrix's rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Rows {
    pub(crate) median: Number,
    pub(crate) longest: Number,
    /// The number of the longest, from 0.
    pub(crate) longest_row: usize,
    /// How many are zero throughout.
    pub(crate) zero: u64,
    #[serde(skip)]
    first_zero: Option<usize>,
}

/// The tensors of a system in the order of their names.
pub(super) fn facts(saved: &SavedSystem) -> Vec<TensorFacts> {
    saved
        .tensors()
        .map(|tensor| {
            let values = values(&tensor);
            let numbers = tensor.shape.iter().product::<usize>() as u64;
            TensorFacts {
                remarks: values.as_ref().map(|values| remarks(saved, &tensor, values)).unwrap_or_default(),
                dtype: format!("{:?}", tensor.dtype),
                numbers,
                bytes: tensor.bytes.len() as u64,
                values,
                name: tensor.name,
                shape: tensor.shape,
            }
        })
        .collect()
}

/// Goes through numbers once.
#[derive(Default)]
struct Sums {
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    squares: f64,
    zeros: u64,
    not_finite: u64,
    row: usize,
    in_row: usize,
    row_squares: f64,
    lengths: Vec<f64>,
}

impl Sums {
    fn add(&mut self, number: f64) {
        if number.is_finite() {
            if self.count == 0 {
                (self.min, self.max) = (number, number);
            }
            self.count += 1;
            self.min = self.min.min(number);
            self.max = self.max.max(number);
            self.sum += number;
            self.squares += number * number;
            self.zeros += u64::from(number == 0.0);
        } else {
            self.not_finite += 1;
        }
        if self.row > 0 {
            self.row_squares += number * number;
            self.in_row += 1;
            if self.in_row == self.row {
                self.lengths.push(self.row_squares.sqrt());
                (self.in_row, self.row_squares) = (0, 0.0);
            }
        }
    }

    fn all(mut self, numbers: impl Iterator<Item = f64>) -> Self {
        numbers.for_each(|number| self.add(number));
        self
    }
}

fn values(tensor: &TensorData<'_>) -> Option<Values> {
    let row = match tensor.shape[..] {
        [rows, row] if rows > 1 => row,
        _ => 0,
    };
    let sums = Sums { row, ..Sums::default() };
    macro_rules! read {
        ($type:ty, $number:expr) => {{
            let (numbers, _) = tensor.bytes.as_chunks::<{ size_of::<$type>() }>();
            sums.all(numbers.iter().map(|bytes| $number(<$type>::from_le_bytes(*bytes))))
        }};
    }
    let sums = match tensor.dtype {
        Dtype::F64 => read!(f64, |number| number),
        Dtype::F32 => read!(f32, f64::from),
        Dtype::F16 => read!(f16, f64::from),
        Dtype::BF16 => read!(bf16, f64::from),
        Dtype::I64 => read!(i64, |number| number as f64),
        Dtype::U64 => read!(u64, |number| number as f64),
        Dtype::I32 => read!(i32, f64::from),
        Dtype::U32 => read!(u32, f64::from),
        Dtype::I16 => read!(i16, f64::from),
        Dtype::U16 => read!(u16, f64::from),
        Dtype::I8 => read!(i8, f64::from),
        Dtype::U8 | Dtype::BOOL => read!(u8, f64::from),
        _ => return None,
    };
    let finite = (sums.count > 0).then(|| {
        let count = sums.count as f64;
        let mean = sums.sum / count;
        // Equal numbers have none, whatever rounding leaves.
        let variance = if sums.min == sums.max { 0.0 } else { (sums.squares / count - mean * mean).max(0.0) };
        let [min, max, mean, std] = [sums.min, sums.max, mean, variance.sqrt()].map(Number);
        Finite { min, max, mean, std }
    });
    Some(Values { finite, zeros: sums.zeros, not_finite: sums.not_finite, rows: rows(sums.lengths) })
}

fn rows(mut lengths: Vec<f64>) -> Option<Rows> {
    let (longest_row, longest) =
        lengths.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))?;
    let zero = lengths.iter().filter(|length| **length == 0.0).count() as u64;
    let first_zero = lengths.iter().position(|length| *length == 0.0);
    let middle = lengths.len() / 2;
    let (_, median, _) = lengths.select_nth_unstable_by(middle, f64::total_cmp);
    Some(Rows { median: Number(*median), longest: Number(longest), longest_row, zero, first_zero })
}

fn remarks(saved: &SavedSystem, tensor: &TensorData<'_>, values: &Values) -> Vec<String> {
    let count = crate::text::count;
    let mut remarks = Vec::new();
    if values.not_finite > 0 {
        remarks.push(format!("{} not finite", count(values.not_finite)));
    }
    let all = tensor.shape.iter().product::<usize>() as u64;
    if let Some(finite) = values.finite
        && all > 1
        && values.not_finite == 0
        && finite.min == finite.max
    {
        let value = crate::text::number(finite.min.0);
        remarks.push(format!("every number is {value}"));
        return remarks;
    }
    let Some(rows) = values.rows else { return remarks };
    let entry = |row| entry_of_row(saved, tensor, row).map(|word| format!(" ({word})")).unwrap_or_default();
    // A table of embeddings that does not train the row of `<pad>`.
    let padding = rows.zero == 1
        && rows.first_zero == Some(PAD as usize)
        && [&saved.header().source_vocabulary, &saved.header().target_vocabulary]
            .into_iter()
            .any(|words| tensor.shape.first() == Some(&words.len()));
    if rows.zero > 0 && !padding {
        let all = count(tensor.shape.first().copied().unwrap_or(0) as u64);
        remarks.push(format!("{} of {all} rows are zero", count(rows.zero)));
    }
    if rows.longest.0 > LONG_ROW * rows.median.0 && rows.median.0 > 0.0 {
        let times = rows.longest.0 / rows.median.0;
        let row = count(rows.longest_row as u64);
        remarks.push(format!(
            "row {row}{} is {times:.0} times as long as the middle one",
            entry(rows.longest_row)
        ));
    }
    remarks
}

/// The entry of the vocabulary that a row is of, where a table is as long as the vocabulary and named by its side.
fn entry_of_row<'a>(saved: &'a SavedSystem, tensor: &TensorData<'_>, row: usize) -> Option<&'a str> {
    let header = saved.header();
    let sides = [("source", &header.source_vocabulary), ("target", &header.target_vocabulary)];
    let named = |side: &str| tensor.name.split('.').any(|part| part == side);
    let (_, words) = sides.into_iter().find(|(side, words)| {
        named(side) && tensor.shape.first() == Some(&words.len()) && specials(words) > 0
    })?;
    words.get(row).map(String::as_str)
}

/// How many parameters groups of tensors have: the first parts of their names, the largest group first.
pub(super) fn groups(tensors: &[TensorFacts]) -> Vec<(String, u64)> {
    const PARTS: usize = 3;
    let mut groups: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for tensor in tensors {
        let parts: Vec<_> = tensor.name.split('.').collect();
        let group = parts[..parts.len().saturating_sub(1).clamp(1, PARTS)].join(".");
        *groups.entry(group).or_default() += tensor.numbers;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, numbers)| std::cmp::Reverse(*numbers));
    groups
}
