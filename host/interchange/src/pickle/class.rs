//! The names that a pickle may use, and what they stand for here. Nothing of Python is imported or called.

/// Type of a storage's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementType {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// 16-bit floating point with the range of 32.
    BF16,
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// 16-bit integers.
    I16,
    /// 8-bit integers.
    I8,
    /// Bytes.
    U8,
    /// Truth values, a byte each.
    Bool,
}

impl ElementType {
    /// Bytes of one element.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The name of PyTorch's storage class.
    #[must_use]
    pub const fn storage(self) -> &'static str {
        match self {
            Self::F64 => "DoubleStorage",
            Self::F32 => "FloatStorage",
            Self::F16 => "HalfStorage",
            Self::BF16 => "BFloat16Storage",
            Self::I64 => "LongStorage",
            Self::I32 => "IntStorage",
            Self::I16 => "ShortStorage",
            Self::I8 => "CharStorage",
            Self::U8 => "ByteStorage",
            Self::Bool => "BoolStorage",
        }
    }

    const ALL: [Self; 10] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U8,
        Self::Bool,
    ];
}

/// A name that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `collections.Counter`.
    Counter,
    /// `kiwi.data.vocabulary.Vocabulary`.
    Vocabulary,
    /// `kiwi.utils.data_structures.DefaultFrozenDict`.
    DefaultFrozenDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// A path of `pathlib`, which the config may hold; here no more than its text.
    Path,
    /// A storage class of `torch`.
    Storage(ElementType),
}

impl Class {
    /// The class of a name; `None` where it is none of them.
    #[must_use]
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            // Some files carry the module's file in the name.
            ("collections" | "collections.__init__", "Counter") => Self::Counter,
            ("kiwi.data.vocabulary", "Vocabulary") => Self::Vocabulary,
            ("kiwi.utils.data_structures", "DefaultFrozenDict") => Self::DefaultFrozenDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            // Python 3.13 names its own inner module.
            ("pathlib" | "pathlib._local", "PosixPath" | "WindowsPath") => Self::Path,
            ("torch", storage) => {
                Self::Storage(ElementType::ALL.into_iter().find(|kind| kind.storage() == storage)?)
            }
            _ => return None,
        })
    }

    /// Module and name, as a pickle written here has them.
    #[must_use]
    pub const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::OrderedDict => ("collections", "OrderedDict"),
            Self::Counter => ("collections", "Counter"),
            Self::Vocabulary => ("kiwi.data.vocabulary", "Vocabulary"),
            Self::DefaultFrozenDict => ("kiwi.utils.data_structures", "DefaultFrozenDict"),
            Self::RebuildTensor => ("torch._utils", "_rebuild_tensor_v2"),
            Self::Path => ("pathlib", "PosixPath"),
            Self::Storage(kind) => ("torch", kind.storage()),
        }
    }
}
