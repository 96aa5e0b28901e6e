//! What can be wrong with a pickle.

/// What is wrong, and at which byte of the pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at byte {at} of its pickle")]
pub struct Error {
    /// The byte at which the operation begins.
    pub at: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an operation of a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It ends too early.
    #[error("it ends in the middle of {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// It is of another protocol.
    #[error("it has pickle protocol {found}, where torch.save writes 2")]
    Protocol {
        /// The protocol.
        found: u8,
    },
    /// It does not begin as a pickle of protocol 2.
    #[error("it begins with byte 0x{found:02x}, where a pickle of protocol 2 begins with 0x80")]
    NoProtocol {
        /// The first byte.
        found: u8,
    },
    /// An operation that torch.save does not write.
    #[error("it uses the pickle operation {name}, which torch.save does not write")]
    Operation {
        /// Its name in Python's `pickletools`, or its byte.
        name: String,
    },
    /// A name that is not one of the known.
    #[error("it names `{module}.{name}`, which no system of OpenKiwi needs; nothing of it was run")]
    Name {
        /// The module.
        module: String,
        /// The name in it.
        name: String,
    },
    /// Bytes that should be text.
    #[error("it has a text that is not UTF-8")]
    NotUtf8,
    /// An operation takes more from the stack than is on it.
    #[error("it takes a value where there is none")]
    StackEmpty,
    /// An operation needs a mark, and there is none.
    #[error("it closes a group that was never opened")]
    NoMark,
    /// Groups within groups without end.
    #[error("it nests more than {limit} groups")]
    TooDeep {
        /// The most that are read.
        limit: usize,
    },
    /// An entry of the memo that was not put there.
    #[error("it takes entry {index} of its memo, which has none of that number")]
    NoMemo {
        /// The entry.
        index: usize,
    },
    /// A number of a memo entry that no pickle of this length has.
    #[error("it numbers a memo entry {index}, and a pickle of {length} bytes has not so many")]
    MemoTooLarge {
        /// The entry.
        index: usize,
        /// The pickle's length in bytes.
        length: usize,
    },
    /// An integer that is too long.
    #[error("it has an integer of {bytes} bytes, and 16 are the most that are read")]
    LongInteger {
        /// Its length.
        bytes: usize,
    },
    /// An operation on a value of another kind.
    #[error("it applies {operation} to {found}, where {expected} belongs")]
    Kind {
        /// What it does.
        operation: &'static str,
        /// What it does it to.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A group of keys and values of odd length.
    #[error("it gives a key without a value")]
    OddItems,
    /// More than one value is left at the end.
    #[error("it leaves {found} values where one belongs")]
    Leftover {
        /// So many.
        found: usize,
    },
    /// A number that a size cannot have.
    #[error("it gives {found} as {what}")]
    Size {
        /// The number.
        found: i128,
        /// What it should be.
        what: &'static str,
    },
    /// Sizes and strides of different lengths.
    #[error("it gives a tensor {sizes} sizes and {strides} strides")]
    Strides {
        /// So many sizes.
        sizes: usize,
        /// So many strides.
        strides: usize,
    },
    /// More dimensions than tensors have.
    #[error("it gives a tensor {found} dimensions, and {limit} are the most there are")]
    Dimensions {
        /// So many.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// A path that is longer than any.
    #[error("it makes a path of {length} bytes, and {limit} are the most there are")]
    Path {
        /// Its length.
        length: usize,
        /// The most.
        limit: usize,
    },
    /// A storage that is a view of another, as torch wrote before 0.4.
    #[error("it has a storage that is a part of another, as only torch before 0.4 wrote them")]
    StorageView,
}
