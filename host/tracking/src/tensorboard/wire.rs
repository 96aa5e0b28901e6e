//! The few messages of TensorFlow's protocol buffers that scalars, texts and a resumed run take, and the frames of a TFRecord file
//! around them.

/// What an event says.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// The first event of a file: how the others are to be understood.
    FileVersion,
    /// A run begins here that may have been further before: readers forget its later steps.
    SessionStart,
    /// Values by their tags.
    Scalars(&'a [(String, f64)]),
    /// A text in Markdown, by its tag.
    Text(&'a str, &'a str),
}

/// The session status `START`.
const START: u64 = 1;
/// The type of tensors of strings, `DT_STRING`.
const STRINGS: u64 = 7;
/// The class of data that is read as tensors, `DATA_CLASS_TENSOR`.
const TENSORS: u64 = 2;

/// An `Event`.
pub(super) fn event(time: f64, step: u64, what: &What<'_>) -> Vec<u8> {
    let mut event = Message::default();
    event.double(1, time);
    event.number(2, step);
    match what {
        What::FileVersion => event.bytes(3, b"brain.Event:2"),
        What::SessionStart => event.message(7, |log| log.number(1, START)),
        What::Scalars(values) => event.message(5, |summary| {
            for (tag, value) in *values {
                summary.message(1, |entry| {
                    entry.bytes(1, tag.as_bytes());
                    entry.float(2, *value as f32);
                });
            }
        }),
        What::Text(tag, text) => event.message(5, |summary| {
            summary.message(1, |entry| {
                entry.bytes(1, tag.as_bytes());
                entry.message(8, |tensor| {
                    tensor.number(1, STRINGS);
                    tensor.message(2, |shape| shape.message(2, |dimension| dimension.number(1, 1)));
                    tensor.bytes(8, text.as_bytes());
                });
                entry.message(9, |metadata| {
                    metadata.message(1, |plugin| plugin.bytes(1, b"text"));
                    metadata.number(4, TENSORS);
                });
            });
        }),
    }
    event.0
}

/// A record of a TFRecord file: the length and its checksum, the data and theirs.
pub(super) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(data.len() + 16);
    framed.extend(length);
    framed.extend(masked(&length));
    framed.extend(data);
    framed.extend(masked(data));
    framed
}

/// CRC-32C, turned and shifted so that a checksum of data with checksums in them stays one.
fn masked(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A message of protocol buffers, being written field by field.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.varint(number);
    }

    fn double(&mut self, field: u64, number: f64) {
        self.key(field, 1);
        self.0.extend(number.to_le_bytes());
    }

    fn float(&mut self, field: u64, number: f32) {
        self.key(field, 5);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_checksums_of_tensorflow() {
        // What TensorFlow itself writes for its first event of wall time 0.
        let event = event(0.0, 0, &What::FileVersion);
        assert_eq!(event[..9], [9, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&event[9..], b"\x10\x00\x1a\x0dbrain.Event:2");
        // The check value of CRC-32C.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(frame(b"").len(), 16);
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        let mut message = Message::default();
        message.number(1, 300);
        message.number(2, u64::MAX);
        assert_eq!(message.0, [8, 172, 2, 16, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }
}
