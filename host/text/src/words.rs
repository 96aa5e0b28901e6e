//! Splitting a line into words at exactly Python's white space, which is Unicode's (and Rust's `split_whitespace`) plus
//! U+001C to U+001F. Zero-width characters and a byte order mark within the text separate nothing.

/// Whether a character separates words.
#[must_use]
pub fn is_white_space(character: char) -> bool {
    matches!(
        character,
        '\u{9}'..='\u{d}'
            | '\u{1c}'..='\u{20}'
            | '\u{85}'
            | '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
    )
}

/// The words of a line, in order.
#[must_use]
pub fn words(line: &str) -> Words<'_> {
    Words { line, at: 0 }
}

/// Iterator over the words of a line; see [`words`].
#[derive(Debug, Clone)]
pub struct Words<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.line.as_bytes();
        let mut start = self.at;
        while start < bytes.len() {
            match white_space_length(bytes, start) {
                0 => break,
                length => start += length,
            }
        }
        let mut end = start;
        while end < bytes.len() && white_space_length(bytes, end) == 0 {
            end += 1;
        }
        self.at = end;
        (start < end).then(|| &self.line[start..end])
    }
}

/// What the first byte of a character says: a word's (0), white space (1), or the first of a character that may be (2).
const FIRST_BYTE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte {
            0x09..=0x0d | 0x1c..=0x20 => 1,
            0xc2 | 0xe1 | 0xe2 | 0xe3 => 2,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// The length in bytes of the white space character that starts at a byte, 0 when none does. In UTF-8 no byte within a
/// character equals a first byte, so that any byte may be asked about.
#[inline]
fn white_space_length(bytes: &[u8], at: usize) -> usize {
    match FIRST_BYTE[usize::from(bytes[at])] {
        0 => 0,
        1 => 1,
        _ => wide_white_space_length(&bytes[at..]),
    }
}

fn wide_white_space_length(bytes: &[u8]) -> usize {
    match bytes {
        [0xc2, 0x85 | 0xa0, ..] => 2,
        [0xe1, 0x9a, 0x80, ..] => 3,
        [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, ..] => 3,
        [0xe2, 0x81, 0x9f, ..] => 3,
        [0xe3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The white space of Python's `str.split`, written out one by one.
    const SPACES: [u32; 29] = [
        0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001,
        0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f,
        0x205f, 0x3000,
    ];

    fn naive(line: &str) -> Vec<&str> {
        line.split(|c: char| SPACES.contains(&(c as u32))).filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn every_character_alone_and_between_letters() {
        for character in '\0'..=char::MAX {
            let space = SPACES.contains(&(character as u32));
            assert_eq!(is_white_space(character), space, "{character:?}");
            let line = format!("ä{character}b");
            assert_eq!(words(&line).count(), if space { 2 } else { 1 }, "{character:?}");
            let alone = character.to_string();
            assert_eq!(words(&alone).count(), usize::from(!space), "{character:?}");
        }
    }

    fn near_white_space() -> impl Strategy<Value = String> {
        let spaces: Vec<char> = SPACES.iter().filter_map(|c| char::from_u32(*c)).collect();
        let others = vec![
            'a', 'ß', '\u{80}', '\u{a1}', '\u{180e}', '\u{200b}', '\u{2060}', '\u{feff}', '、', '中', '😀',
        ];
        prop::collection::vec(
            prop_oneof![prop::sample::select(spaces), prop::sample::select(others), any::<char>()],
            0..40,
        )
        .prop_map(|characters| characters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn splits_as_the_list_of_white_space_says(line in near_white_space()) {
            prop_assert_eq!(words(&line).collect::<Vec<_>>(), naive(&line));
        }
    }
}
