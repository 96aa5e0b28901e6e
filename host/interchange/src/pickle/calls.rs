//! The operations that would call or import in Python: here each makes one of the known objects.

use std::rc::Rc;

use super::class::Class;
use super::error::Problem;
use super::graph::{DictClass, Id, Object, StorageRef, TensorView, Value};
use super::reader::{Machine, dictionary, kind};

/// The most arguments of a call, and the most dimensions of a tensor: both are copied, and one tuple may be used often.
const MOST_ARGUMENTS: usize = 64;
const MOST_DIMENSIONS: usize = 64;

/// The longest path in bytes: a path that is a part of the next would grow without end.
const LONGEST_PATH: usize = 4096;

impl Machine<'_> {
    /// Calls one of the known classes.
    pub(super) fn reduce(&mut self) -> Result<(), Problem> {
        let (class, arguments) = self.call("REDUCE")?;
        let made = match class {
            Class::OrderedDict => {
                self.empty(&arguments)?;
                dictionary(DictClass::Ordered, Vec::new())
            }
            Class::DefaultFrozenDict => {
                self.empty(&arguments)?;
                dictionary(DictClass::DefaultFrozen, Vec::new())
            }
            Class::Counter => match arguments.as_slice() {
                [] => dictionary(DictClass::Counter, Vec::new()),
                [Value::Object(id)] => match self.objects.get_mut(id.0) {
                    // The dictionary is the counter's alone, so that its entries are moved and not copied.
                    Some(Object::Dict { class: DictClass::Plain, entries, .. }) => {
                        dictionary(DictClass::Counter, std::mem::take(entries))
                    }
                    _ => return Err(kind("Counter", "another value", "a dictionary")),
                },
                _ => return Err(kind("Counter", "another value", "a dictionary")),
            },
            Class::Path => {
                let parts = arguments.iter().map(|part| match part {
                    Value::Text(part) => Ok(&**part),
                    _ => Err(kind("a path", "another value", "texts")),
                });
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                let length = parts.iter().map(|part| part.len() + 1).sum();
                if length > LONGEST_PATH {
                    return Err(Problem::Path { length, limit: LONGEST_PATH });
                }
                let path = parts.join("/");
                self.stack.push(Value::Text(path.into()));
                return Ok(());
            }
            Class::RebuildTensor => Object::Tensor(self.tensor(&arguments)?),
            Class::Vocabulary | Class::Storage(_) => {
                return Err(kind("REDUCE", "a class that is not called", "a class that is"));
            }
        };
        self.push(made);
        Ok(())
    }

    /// Sets the attributes of an object.
    pub(super) fn build(&mut self) -> Result<(), Problem> {
        let state = self.pop()?;
        let expected = "a dictionary of attributes";
        let Value::Object(state) = state else { return Err(kind("BUILD", "another value", expected)) };
        if !matches!(self.objects.get(state.0), Some(Object::Dict { class: DictClass::Plain, .. })) {
            return Err(kind("BUILD", "another value", expected));
        }
        match self.top()? {
            Object::Vocabulary { attributes } => *attributes = Some(state),
            Object::Dict { class: DictClass::Ordered | DictClass::DefaultFrozen, attributes, .. } => {
                *attributes = Some(state);
            }
            other => return Err(kind("BUILD", other.kind(), "a vocabulary or an ordered dictionary")),
        }
        Ok(())
    }

    /// `("storage", class, key, place, elements)`, in files before torch 1.6 with one more, which is `None`.
    pub(super) fn storage(&mut self) -> Result<(), Problem> {
        let expected = "the tuple that describes a storage";
        let id = self.pop()?;
        let parts = match &id {
            Value::Object(id) => match self.objects.get(id.0) {
                Some(Object::Tuple(parts)) => parts,
                Some(other) => return Err(kind("BINPERSID", other.kind(), expected)),
                None => return Err(kind("BINPERSID", "nothing", expected)),
            },
            _ => return Err(kind("BINPERSID", "another value", expected)),
        };
        let storage = match parts.as_slice() {
            [
                Value::Text(tag),
                Value::Class(Class::Storage(kind)),
                Value::Text(key),
                Value::Text(_),
                Value::Int(elements),
                rest @ ..,
            ] if **tag == *"storage" => {
                match rest {
                    [] | [Value::None] => {}
                    _ => return Err(Problem::StorageView),
                }
                StorageRef {
                    kind: *kind,
                    key: Rc::clone(key),
                    elements: size(*elements, "the length of a storage")?,
                }
            }
            _ => return Err(kind("BINPERSID", "a tuple", expected)),
        };
        self.push(Object::Storage(storage));
        Ok(())
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor(&self, arguments: &[Value]) -> Result<TensorView, Problem> {
        let expected = "a storage, an offset, a shape and strides";
        let wrong = || kind("_rebuild_tensor_v2", "other values", expected);
        let [Value::Object(storage), Value::Int(offset), Value::Object(shape), Value::Object(strides), ..] =
            arguments
        else {
            return Err(wrong());
        };
        let Some(Object::Storage(storage)) = self.objects.get(storage.0) else { return Err(wrong()) };
        let sizes = |id: &Id, what: &'static str| match self.objects.get(id.0) {
            Some(Object::Tuple(parts)) if parts.len() > MOST_DIMENSIONS => {
                Err(Problem::Dimensions { found: parts.len(), limit: MOST_DIMENSIONS })
            }
            Some(Object::Tuple(parts)) => parts
                .iter()
                .map(|part| match part {
                    Value::Int(number) => size(*number, what),
                    _ => Err(wrong()),
                })
                .collect::<Result<Vec<_>, _>>(),
            _ => Err(wrong()),
        };
        let shape = sizes(shape, "the size of a dimension")?;
        let strides = sizes(strides, "the stride of a dimension")?;
        if shape.len() != strides.len() {
            return Err(Problem::Strides { sizes: shape.len(), strides: strides.len() });
        }
        Ok(TensorView {
            storage: storage.clone(),
            offset: size(*offset, "the offset of a tensor")?,
            shape,
            strides,
        })
    }

    /// A class and its arguments, from the stack.
    pub(super) fn call(&mut self, operation: &'static str) -> Result<(Class, Vec<Value>), Problem> {
        let arguments = self.pop()?;
        let arguments = match &arguments {
            Value::Object(id) => match self.objects.get(id.0) {
                Some(Object::Tuple(items)) if items.len() <= MOST_ARGUMENTS => items.clone(),
                Some(Object::Tuple(_)) => return Err(kind(operation, "many arguments", "a few arguments")),
                _ => return Err(kind(operation, "another value", "a tuple of arguments")),
            },
            _ => return Err(kind(operation, "another value", "a tuple of arguments")),
        };
        match self.pop()? {
            Value::Class(class) => Ok((class, arguments)),
            _ => Err(kind(operation, "a value", "a class")),
        }
    }

    pub(super) fn empty(&self, arguments: &[Value]) -> Result<(), Problem> {
        match arguments {
            [] => Ok(()),
            _ => Err(kind("a class", "arguments", "no argument")),
        }
    }
}

fn size(number: i128, what: &'static str) -> Result<usize, Problem> {
    usize::try_from(number).map_err(|_| Problem::Size { found: number, what })
}
