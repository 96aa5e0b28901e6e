//! Pickles of protocol 2, with the operations that `torch.save` uses. What is written here is read by Python and by
//! [`super::read`].

use std::collections::HashMap;

use super::class::{Class, ElementType};
use super::opcode as op;

/// Writes a pickle, value by value in the order of the stack machine.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Texts that were written, by the number of their memo entry.
    texts: HashMap<String, u32>,
    classes: Vec<(Class, u32)>,
    memoized: u32,
}

/// A place in the memo, by which a value is written a second time as the same object.
#[derive(Debug, Clone, Copy)]
pub struct Memo(u32);

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A pickle with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![op::PROTO, 2], texts: HashMap::new(), classes: Vec::new(), memoized: 0 }
    }

    /// The pickle, of the one value that was written.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(op::STOP);
        self.bytes
    }

    /// `None`.
    pub fn none(&mut self) {
        self.bytes.push(op::NONE);
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(if value { op::NEWTRUE } else { op::NEWFALSE });
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        if let Ok(small) = u8::try_from(value) {
            self.bytes.extend([op::BININT1, small]);
        } else if let Ok(small) = u16::try_from(value) {
            self.bytes.push(op::BININT2);
            self.bytes.extend(small.to_le_bytes());
        } else if let Ok(small) = i32::try_from(value) {
            self.bytes.push(op::BININT);
            self.bytes.extend(small.to_le_bytes());
        } else {
            self.bytes.extend([op::LONG1, 8]);
            self.bytes.extend(value.to_le_bytes());
        }
    }

    /// A number with a fraction.
    pub fn float(&mut self, value: f64) {
        self.bytes.push(op::BINFLOAT);
        self.bytes.extend(value.to_be_bytes());
    }

    /// A text; equal ones are one object.
    pub fn text(&mut self, text: &str) {
        if let Some(index) = self.texts.get(text) {
            self.get(Memo(*index));
            return;
        }
        self.bytes.push(op::BINUNICODE);
        // A word of 4 GiB cannot be held in a saved system, whose header has 100 MB.
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
        let Memo(index) = self.put();
        self.texts.insert(text.to_owned(), index);
    }

    /// One of the known classes.
    pub fn class(&mut self, class: Class) {
        if let Some((_, index)) = self.classes.iter().find(|(known, _)| *known == class) {
            self.get(Memo(*index));
            return;
        }
        let (module, name) = class.name();
        self.bytes.push(op::GLOBAL);
        self.bytes.extend(format!("{module}\n{name}\n").as_bytes());
        let Memo(index) = self.put();
        self.classes.push((class, index));
    }

    /// A dictionary, whose entries `write` writes: for each a text and a value.
    pub fn dict(&mut self, write: impl FnOnce(&mut Self)) -> Memo {
        self.bytes.push(op::EMPTY_DICT);
        let memo = self.put();
        self.items(op::SETITEMS, write);
        memo
    }

    /// An ordered dictionary, or one of a class that is filled like one.
    pub fn ordered(&mut self, class: Class, write: impl FnOnce(&mut Self)) -> Memo {
        self.call(class, |_| ());
        let memo = self.put();
        self.items(op::SETITEMS, write);
        memo
    }

    /// A list, whose items `write` writes.
    pub fn list(&mut self, write: impl FnOnce(&mut Self)) {
        self.bytes.push(op::EMPTY_LIST);
        self.put();
        self.items(op::APPENDS, write);
    }

    /// What a class or function makes of the arguments that `write` writes.
    pub fn call(&mut self, class: Class, write: impl FnOnce(&mut Self)) {
        self.class(class);
        self.tuple(write);
        self.bytes.push(op::REDUCE);
    }

    /// An object of a class that is made without arguments, with the attributes that `write` writes.
    pub fn object(&mut self, class: Class, write: impl FnOnce(&mut Self)) -> Memo {
        self.class(class);
        self.bytes.extend([op::EMPTY_TUPLE, op::NEWOBJ]);
        let memo = self.put();
        self.attributes(write);
        memo
    }

    /// Gives the value before it the attributes that `write` writes.
    pub fn attributes(&mut self, write: impl FnOnce(&mut Self)) {
        self.dict(write);
        self.bytes.push(op::BUILD);
    }

    /// A tuple, whose items `write` writes.
    pub fn tuple(&mut self, write: impl FnOnce(&mut Self)) {
        self.items(op::TUPLE, write);
    }

    /// A tensor whose elements fill a storage of the same name in the file, row by row.
    pub fn tensor(&mut self, kind: ElementType, key: &str, shape: &[usize]) {
        let elements = shape.iter().product::<usize>();
        let mut strides = vec![1; shape.len()];
        for dimension in (1..shape.len()).rev() {
            strides[dimension - 1] = strides[dimension] * shape[dimension];
        }
        self.call(Class::RebuildTensor, |out| {
            out.tuple(|out| {
                out.text("storage");
                out.class(Class::Storage(kind));
                out.text(key);
                out.text("cpu");
                out.int(elements as i64);
            });
            out.bytes.push(op::BINPERSID);
            out.int(0);
            for sizes in [shape, &strides] {
                out.tuple(|out| sizes.iter().for_each(|size| out.int(*size as i64)));
            }
            out.bool(false);
            out.call(Class::OrderedDict, |_| ());
        });
    }

    /// The object of a place in the memo once more.
    pub fn get(&mut self, Memo(index): Memo) {
        match u8::try_from(index) {
            Ok(small) => self.bytes.extend([op::BINGET, small]),
            Err(_) => {
                self.bytes.push(op::LONG_BINGET);
                self.bytes.extend(index.to_le_bytes());
            }
        }
    }

    /// Puts the value before it into the memo.
    pub fn put(&mut self) -> Memo {
        let index = self.memoized;
        self.memoized += 1;
        match u8::try_from(index) {
            Ok(small) => self.bytes.extend([op::BINPUT, small]),
            Err(_) => {
                self.bytes.push(op::LONG_BINPUT);
                self.bytes.extend(index.to_le_bytes());
            }
        }
        Memo(index)
    }

    fn items(&mut self, end: u8, write: impl FnOnce(&mut Self)) {
        self.bytes.push(op::MARK);
        write(self);
        self.bytes.push(end);
    }
}
