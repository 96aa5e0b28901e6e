//! The stack machine. Each operation costs no more than its own bytes times a constant, so memory is bounded by the pickle's
//! length.

use std::collections::HashMap;

use super::class::Class;
use super::error::{Error, Problem};
use super::graph::{DictClass, Graph, Id, Object, Value};
use super::opcode as op;

/// The most groups within groups. `torch.save` has one for each level of a dictionary.
const DEEPEST: usize = 1000;

/// Reads one pickle at the start of `bytes`.
///
/// # Errors
/// It is cut off, of another protocol than 2, uses an operation that `torch.save` does not write, or names anything that is
/// not in [`Class`].
pub fn read(bytes: &[u8]) -> Result<Graph, Error> {
    let mut machine = Machine {
        bytes,
        at: 0,
        began: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        objects: Vec::new(),
    };
    match machine.run() {
        Ok(root) => Ok(Graph { objects: machine.objects, root, length: machine.at }),
        Err(problem) => Err(Error { at: machine.began, problem }),
    }
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the present operation began.
    began: usize,
    pub(super) stack: Vec<Value>,
    /// Heights of the stack at which groups begin.
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
    pub(super) objects: Vec<Object>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, Problem> {
        match self.byte("its first operation")? {
            op::PROTO => match self.byte("its protocol")? {
                2 => {}
                found => return Err(Problem::Protocol { found }),
            },
            found => return Err(Problem::NoProtocol { found }),
        }
        loop {
            self.began = self.at;
            let code = self.byte("the whole, before its last operation")?;
            if code == op::STOP {
                let root = self.pop()?;
                return match self.stack.len() {
                    0 => Ok(root),
                    rest => Err(Problem::Leftover { found: rest + 1 }),
                };
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Result<(), Problem> {
        match code {
            op::MARK => {
                if self.marks.len() == DEEPEST {
                    return Err(Problem::TooDeep { limit: DEEPEST });
                }
                self.marks.push(self.stack.len());
            }
            op::NONE => self.stack.push(Value::None),
            op::NEWTRUE => self.stack.push(Value::Bool(true)),
            op::NEWFALSE => self.stack.push(Value::Bool(false)),
            op::BININT => {
                let number = i32::from_le_bytes(self.array("an integer")?);
                self.stack.push(Value::Int(number.into()));
            }
            op::BININT1 => {
                let number = self.byte("an integer")?;
                self.stack.push(Value::Int(number.into()));
            }
            op::BININT2 => {
                let number = u16::from_le_bytes(self.array("an integer")?);
                self.stack.push(Value::Int(number.into()));
            }
            op::LONG1 => {
                let number = self.long()?;
                self.stack.push(Value::Int(number));
            }
            op::BINFLOAT => {
                let number = f64::from_be_bytes(self.array("a number")?);
                self.stack.push(Value::Float(number));
            }
            op::BINUNICODE => {
                let length = u32::from_le_bytes(self.array("the length of a text")?);
                let text = self.text(length as usize)?.into();
                self.stack.push(Value::Text(text));
            }
            op::EMPTY_LIST => self.push(Object::List(Vec::new())),
            op::EMPTY_DICT => self.push(dictionary(DictClass::Plain, Vec::new())),
            op::EMPTY_TUPLE => self.push(Object::Tuple(Vec::new())),
            op::TUPLE => {
                let items = self.group()?;
                self.push(Object::Tuple(items));
            }
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let start = self.height(usize::from(code - op::TUPLE1) + 1)?;
                let items = self.stack.split_off(start);
                self.push(Object::Tuple(items));
            }
            op::APPEND => {
                let item = self.pop()?;
                self.list()?.push(item);
            }
            op::APPENDS => {
                let items = self.group()?;
                self.list()?.extend(items);
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.dictionary()?.push((key, value));
            }
            op::SETITEMS => {
                let items = self.group()?;
                if items.len() % 2 == 1 {
                    return Err(Problem::OddItems);
                }
                let mut items = items.into_iter();
                let pairs = std::iter::from_fn(|| Some((items.next()?, items.next()?)));
                self.dictionary()?.extend(pairs);
            }
            op::BINPUT => {
                let index = self.byte("the number of a memo entry")?;
                self.put(index.into())?;
            }
            op::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.array("the number of a memo entry")?);
                self.put(index as usize)?;
            }
            op::BINGET => {
                let index = self.byte("the number of a memo entry")?;
                self.get(index.into())?;
            }
            op::LONG_BINGET => {
                let index = u32::from_le_bytes(self.array("the number of a memo entry")?);
                self.get(index as usize)?;
            }
            op::GLOBAL => {
                let module = self.line()?.to_owned();
                let name = self.line()?;
                match Class::find(&module, name) {
                    Some(class) => self.stack.push(Value::Class(class)),
                    None => return Err(Problem::Name { module, name: name.to_owned() }),
                }
            }
            op::NEWOBJ => {
                let (class, arguments) = self.call("NEWOBJ")?;
                self.empty(&arguments)?;
                match class {
                    Class::Vocabulary => self.push(Object::Vocabulary { attributes: None }),
                    _ => return Err(kind("NEWOBJ", "another class", "the class Vocabulary")),
                }
            }
            op::REDUCE => self.reduce()?,
            op::BUILD => self.build()?,
            op::BINPERSID => self.storage()?,
            code => return Err(Problem::Operation { name: op::refused(code) }),
        }
        Ok(())
    }

    fn put(&mut self, index: usize) -> Result<(), Problem> {
        if index > self.bytes.len() {
            return Err(Problem::MemoTooLarge { index, length: self.bytes.len() });
        }
        // Not from before the present group: that value would have been put there when it was made.
        let value = self.stack.last().ok_or(Problem::StackEmpty)?.clone();
        self.memo.insert(index, value);
        Ok(())
    }

    fn get(&mut self, index: usize) -> Result<(), Problem> {
        let value = self.memo.get(&index).ok_or(Problem::NoMemo { index })?.clone();
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push(&mut self, object: Object) {
        self.stack.push(Value::Object(Id(self.objects.len())));
        self.objects.push(object);
    }

    /// The height of the stack without its topmost `items`, which lie in the present group.
    fn height(&self, items: usize) -> Result<usize, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.len().checked_sub(items).filter(|height| *height >= floor).ok_or(Problem::StackEmpty)
    }

    pub(super) fn pop(&mut self) -> Result<Value, Problem> {
        self.height(1)?;
        self.stack.pop().ok_or(Problem::StackEmpty)
    }

    /// All of the present group, which ends.
    fn group(&mut self) -> Result<Vec<Value>, Problem> {
        let mark = self.marks.pop().ok_or(Problem::NoMark)?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn top(&mut self) -> Result<&mut Object, Problem> {
        self.height(1)?;
        match self.stack.last() {
            Some(Value::Object(id)) => self.objects.get_mut(id.0).ok_or(Problem::StackEmpty),
            _ => Err(kind("an addition", "a plain value", "a list or a dictionary")),
        }
    }

    fn list(&mut self) -> Result<&mut Vec<Value>, Problem> {
        match self.top()? {
            Object::List(items) => Ok(items),
            other => Err(kind("an addition", other.kind(), "a list")),
        }
    }

    fn dictionary(&mut self) -> Result<&mut Vec<(Value, Value)>, Problem> {
        match self.top()? {
            Object::Dict { entries, .. } => Ok(entries),
            other => Err(kind("an assignment", other.kind(), "a dictionary")),
        }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&[u8], Problem> {
        let end = self.at.checked_add(length).ok_or(Problem::Truncated { what })?;
        let taken = self.bytes.get(self.at..end).ok_or(Problem::Truncated { what })?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, Problem> {
        Ok(self.array::<1>(what)?[0])
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Problem> {
        self.take(N, what)?.try_into().map_err(|_| Problem::Truncated { what })
    }

    fn text(&mut self, length: usize) -> Result<&str, Problem> {
        str::from_utf8(self.take(length, "a text")?).map_err(|_| Problem::NotUtf8)
    }

    fn line(&mut self) -> Result<&str, Problem> {
        let what = "a name";
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(Problem::Truncated { what })?;
        let line = str::from_utf8(&rest[..length]).map_err(|_| Problem::NotUtf8)?;
        self.at += length + 1;
        Ok(line)
    }

    /// A little-endian two's complement integer of any length up to 16 bytes.
    fn long(&mut self) -> Result<i128, Problem> {
        let length = usize::from(self.byte("the length of an integer")?);
        if length > 16 {
            return Err(Problem::LongInteger { bytes: length });
        }
        let bytes = self.take(length, "an integer")?;
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 16];
        all[..length].copy_from_slice(bytes);
        Ok(i128::from_le_bytes(all))
    }
}

pub(super) fn dictionary(class: DictClass, entries: Vec<(Value, Value)>) -> Object {
    Object::Dict { class, entries, attributes: None }
}

pub(super) fn kind(operation: &'static str, found: &'static str, expected: &'static str) -> Problem {
    Problem::Kind { operation, found, expected }
}
