//! What a pickle builds: values that may share objects. Objects lie in one list and refer to each other by number, so that
//! neither sharing nor nesting costs memory or stack beyond the pickle's own length.

use std::rc::Rc;

use super::{Class, ElementType};

/// Number of an object in its [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) usize);

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(Rc<str>),
    /// A class or function, as yet without arguments.
    Class(Class),
    /// Something that may be shared.
    Object(Id),
}

/// Which class a dictionary is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DictClass {
    /// `dict`.
    Plain,
    /// `OrderedDict`.
    Ordered,
    /// `Counter`.
    Counter,
    /// `DefaultFrozenDict`.
    DefaultFrozen,
}

/// A storage: a block of elements that lies elsewhere in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRef {
    /// Type of its elements.
    pub kind: ElementType,
    /// By which it is found in the file.
    pub key: Rc<str>,
    /// How many elements it has.
    pub elements: usize,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorView {
    /// Its storage.
    pub storage: StorageRef,
    /// The element of the storage at which it begins.
    pub offset: usize,
    /// Its shape.
    pub shape: Vec<usize>,
    /// For each dimension, how far apart in the storage its elements lie.
    pub strides: Vec<usize>,
}

/// Something that may be shared.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A tuple.
    Tuple(Vec<Value>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary of any class.
    Dict {
        /// Which.
        class: DictClass,
        /// Keys and values in the order they were set; of equal keys the last holds.
        entries: Vec<(Value, Value)>,
        /// What its attributes were set to.
        attributes: Option<Id>,
    },
    /// A `Vocabulary`.
    Vocabulary {
        /// What its attributes were set to.
        attributes: Option<Id>,
    },
    /// A storage.
    Storage(StorageRef),
    /// A tensor.
    Tensor(TensorView),
}

impl Object {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict { .. } => "a dictionary",
            Self::Vocabulary { .. } => "a vocabulary",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// All that a pickle builds.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) objects: Vec<Object>,
    pub(super) root: Value,
    /// Bytes of the pickle, from its first to its last operation.
    pub(super) length: usize,
}

impl Graph {
    /// The value that the pickle is of.
    #[must_use]
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// How many bytes the pickle has; what follows is no part of it.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The object of a value, if it is one.
    #[must_use]
    pub fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(id) => self.objects.get(id.0),
            _ => None,
        }
    }

    /// All storages that occur, in the order in which they were named.
    pub fn storages(&self) -> impl Iterator<Item = &StorageRef> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// The entries of a dictionary; `None` where the value is none.
    #[must_use]
    pub fn entries(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match self.object(value)? {
            Object::Dict { entries, .. } => Some(entries),
            _ => None,
        }
    }

    /// The items of a list or tuple; `None` where the value is neither.
    #[must_use]
    pub fn items(&self, value: &Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::List(items) | Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key that is a text; of several the last.
    #[must_use]
    pub fn get(&self, dictionary: &Value, key: &str) -> Option<&Value> {
        let entries = self.entries(dictionary)?;
        entries
            .iter()
            .rev()
            .find(|(found, _)| matches!(found, Value::Text(text) if **text == *key))
            .map(|(_, value)| value)
    }

    /// What a value is, for people.
    #[must_use]
    pub fn kind(&self, value: &Value) -> &'static str {
        match value {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Class(_) => "a class",
            Value::Object(_) => self.object(value).map_or("nothing", Object::kind),
        }
    }
}
