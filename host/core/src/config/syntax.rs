//! A strict reader of JSON text (RFC 8259) that keeps each value's place and each number's text. Not here: what keys
//! mean, and repeated keys, which the text may hold as far as the grammar goes (see [`super::document`]).
//!
//! Written here because the libraries at hand either lose places (`serde_json`) or let more than JSON through even
//! when told not to (raw control characters, other spaces than JSON's).

use super::document::{Member, Node, Place, Position, Value};

/// How deeply arrays and objects may be nested in a config.
pub(super) const MAXIMUM_DEPTH: usize = 100;

/// The first thing in a text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Where it stands.
    pub(super) position: Position,
    /// What stands there.
    pub(super) found: String,
    /// What may stand there.
    pub(super) expected: String,
    /// What to do, where the mistake is a usual one.
    pub(super) help: Option<String>,
}

const VALUE: &str = "a value: an object, an array, a string in double quotes, a number, true, false or null";

/// Parses a text that holds one JSON value. `depth` is how deep that value already lies; `place` tells the place of
/// what stands at a position of the text.
pub(super) fn parse(
    text: &str,
    depth: usize,
    place: &dyn Fn(Position) -> Place,
) -> Result<Node, SyntaxError> {
    let mut parser = Parser { rest: text, position: Position { line: 1, column: 1 }, place };
    parser.skip_space();
    let root = parser.value(depth)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(root),
        Some('/' | '#') => Err(parser.error("the end of the file", Some(NO_COMMENTS))),
        Some(_) => {
            Err(parser
                .error("the end of the file", Some("a config is one JSON value: remove what follows it")))
        }
    }
}

const NO_COMMENTS: &str = "JSON has no comments: remove it";

struct Parser<'t, 'p> {
    rest: &'t str,
    position: Position,
    place: &'p dyn Fn(Position) -> Place,
}

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next()?;
        self.rest = characters.as_str();
        if next == '\n' {
            self.position.line += 1;
            self.position.column = 1;
        } else {
            self.position.column += 1;
        }
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.bump();
        }
        there
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.bump();
        }
    }

    fn error(&self, expected: impl Into<String>, help: Option<&str>) -> SyntaxError {
        SyntaxError {
            position: self.position,
            found: self.describe_next(),
            expected: expected.into(),
            help: help.map(str::to_owned),
        }
    }

    /// What comes next, for people: a word or number as a whole, else one character.
    fn describe_next(&self) -> String {
        let word = word_at(self.rest);
        if !word.is_empty() {
            return format!("`{}`", shorten(word));
        }
        match self.peek() {
            None => "the end of the text".to_owned(),
            Some('"') => {
                let inside = self.rest[1..].split(['"', '\n']).next().unwrap_or_default();
                format!("`\"{}\"`", shorten(inside))
            }
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some(character) if character.is_control() || character.is_whitespace() => {
                format!("the character U+{:04X}", u32::from(character))
            }
            Some(character) => format!("`{character}`"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let start = self.position;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => Value::String(self.string()?),
            Some('\'') => return Err(self.error(VALUE, Some("use double quotes for strings"))),
            Some('/' | '#') => return Err(self.error(VALUE, Some(NO_COMMENTS))),
            _ => self.word()?,
        };
        Ok(Node { value, place: (self.place)(start) })
    }

    fn check_depth(&self, depth: usize) -> Result<(), SyntaxError> {
        if depth < MAXIMUM_DEPTH {
            return Ok(());
        }
        Err(self.error(format!("at most {MAXIMUM_DEPTH} arrays and objects inside one another"), None))
    }

    fn object(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.check_depth(depth)?;
        let open = self.position;
        self.bump();
        let mut members = Vec::new();
        self.skip_space();
        if self.take('}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key_position = self.position;
            if self.peek() != Some('"') {
                return Err(self.not_a_key(open, members.is_empty()));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(':') {
                return Err(self.error(format!("`:` after the key `{}`", shorten(&key)), None));
            }
            self.skip_space();
            let value = self.value(depth + 1)?;
            members.push(Member { key, key_place: (self.place)(key_position), value });
            if !self.more('}', open, "a key in double quotes")? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.check_depth(depth)?;
        let open = self.position;
        self.bump();
        let mut elements = Vec::new();
        self.skip_space();
        if self.take(']') {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if !self.more(']', open, "another value")? {
                return Ok(Value::Array(elements));
            }
        }
    }

    /// After a member or element: whether another follows. Stands at its beginning then, else after `close`.
    fn more(&mut self, close: char, open: Position, next: &str) -> Result<bool, SyntaxError> {
        self.skip_space();
        if self.take(close) {
            return Ok(false);
        }
        let comma = self.position;
        if !self.take(',') {
            let help = match self.peek() {
                None => Some(unclosed(close, open)),
                Some('/' | '#') => Some(NO_COMMENTS.to_owned()),
                Some(_) => None,
            };
            return Err(self.error(format!("`,` or `{close}`"), help.as_deref()));
        }
        self.skip_space();
        if self.peek() == Some(close) {
            return Err(SyntaxError {
                position: comma,
                found: format!("a comma before `{close}`"),
                expected: format!("{next} after the comma, or no comma"),
                help: Some("remove the comma".to_owned()),
            });
        }
        Ok(true)
    }

    fn not_a_key(&self, open: Position, first: bool) -> SyntaxError {
        let expected = if first { "a key in double quotes, or `}`" } else { "a key in double quotes" };
        match self.peek() {
            None => self.error(expected, Some(&unclosed('}', open))),
            Some('/' | '#') => self.error(expected, Some(NO_COMMENTS)),
            Some(_) => self.error(expected, Some("write keys in double quotes: \"key\": value")),
        }
    }

    /// `true`, `false`, `null` or a number.
    fn word(&mut self) -> Result<Value, SyntaxError> {
        let word = word_at(self.rest);
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ if is_number(word) => Value::Number(word.to_owned()),
            _ => return Err(self.error(VALUE, help_for_word(word).as_deref())),
        };
        for _ in word.chars() {
            self.bump();
        }
        Ok(value)
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let open = self.position;
        self.bump();
        let mut text = String::new();
        loop {
            match self.peek() {
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(character) if character >= ' ' => {
                    text.push(character);
                    self.bump();
                }
                None | Some('\n' | '\r') => {
                    let start = format!("the string begins at line {}, column {}", open.line, open.column);
                    return Err(self.error("`\"` at the end of the string", Some(&start)));
                }
                Some(_) => {
                    return Err(
                        self.error("an escape such as `\\t` or `\\u0009` for a control character", None)
                    );
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.position;
        self.bump();
        let character = match self.peek() {
            Some('u') => return self.unicode_escape(start),
            Some(character @ ('"' | '\\' | '/')) => character,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            _ => {
                let help = Some("a backslash itself is written `\\\\`");
                return Err(self.error("one of \" \\ / b f n r t u after a backslash", help));
            }
        };
        self.bump();
        Ok(character)
    }

    /// `uXXXX`, or two of them where the first is half a character.
    fn unicode_escape(&mut self, start: Position) -> Result<char, SyntaxError> {
        let first = self.code_unit()?;
        let mut units = vec![first];
        if (0xD800..0xDC00).contains(&first) && self.rest.starts_with("\\u") {
            self.bump();
            units.push(self.code_unit()?);
        }
        let mut decoded = char::decode_utf16(units.iter().copied());
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(SyntaxError {
                position: start,
                found: units.iter().map(|unit| format!("\\u{unit:04x}")).collect(),
                expected: "an escape that is a whole character, not half of one".to_owned(),
                help: None,
            }),
        }
    }

    fn code_unit(&mut self) -> Result<u16, SyntaxError> {
        self.bump();
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|character| character.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.error("four hexadecimal digits after `\\u`", None));
            };
            unit = unit * 16 + digit;
            self.bump();
        }
        Ok(u16::try_from(unit).unwrap_or(u16::MAX))
    }
}

/// The word, number or attempt at one at the beginning of `text`.
fn word_at(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '+' | '-' | '.' | '$')))
        .unwrap_or(text.len());
    &text[..end]
}

/// Whether `word` is a number by JSON's grammar.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

fn help_for_word(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    match lower.trim_start_matches(['+', '-']) {
        "" if word.is_empty() => None,
        "nan" | "inf" | "infinity" => {
            Some("JSON has no NaN and no infinity: give a finite number".to_owned())
        }
        "true" | "false" => Some(format!("write {lower}")),
        "none" | "nil" | "undefined" | "null" => Some("write null".to_owned()),
        unsigned if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Some("numbers are written as 10, 0.5 or 1e-3; text stands in double quotes".to_owned())
        }
        _ => Some("text stands in double quotes".to_owned()),
    }
}

fn unclosed(close: char, open: Position) -> String {
    format!("the `{close}` is missing that closes line {}, column {}", open.line, open.column)
}

/// `text`, cut where it is too long to be quoted in a message.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
