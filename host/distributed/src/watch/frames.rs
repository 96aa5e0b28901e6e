//! What ranks send each other. Numbers are little-endian, and sizes bounded: a connection may come from anywhere.
//!
//! A greeting is a magic, a version (`u32`), the rank (`u32`), the token's length (`u32`) and the token; its answer a magic, a version
//! and a byte. A frame is its kind (a byte), its content's length (`u32`) and its content.

use std::time::Duration;

use super::{How, Loss, Refusal};

const GREETING: &[u8; 8] = b"kiwi-hi?";
/// Another one, so that a process that is connected to itself does not welcome itself.
const ANSWER: &[u8; 8] = b"kiwi-hi!";
/// Goes up when a greeting or a frame changes.
const VERSION: u32 = 1;

/// A text's bytes at most.
const TEXT: usize = 16 << 10;
/// A frame's content at most: a rank and a text.
const CONTENT: usize = TEXT + 4;

const BEAT: u8 = 1;
const FAILED: u8 = 2;
const LOST: u8 = 3;
const GOODBYE: u8 = 4;

const ENDED: u8 = 0;
const SILENT: u8 = 1;

/// The size of an answer.
pub(super) const ANSWER_SIZE: usize = 8 + 4 + 1;

/// Bytes that no rank sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What is sent between ranks that know each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// It is there.
    Beat,
    /// It fails, or says that another one is lost.
    Loss(Loss),
    /// It ends, and nothing is wrong.
    Goodbye,
}

impl Frame {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Beat => (BEAT, Vec::new()),
            Self::Goodbye => (GOODBYE, Vec::new()),
            Self::Loss(Loss { rank, how }) => {
                let mut content = rank.to_le_bytes().to_vec();
                match how {
                    How::Failed(text) => content.extend(cut(text).as_bytes()),
                    How::Ended => content.push(ENDED),
                    How::Silent(time) => {
                        content.push(SILENT);
                        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                        content.extend(time.to_le_bytes());
                    }
                }
                (if matches!(how, How::Failed(_)) { FAILED } else { LOST }, content)
            }
        };
        let mut bytes = vec![kind];
        bytes.extend(length(&content));
        bytes.extend(content);
        bytes
    }

    /// The frame that begins here, and its size; `None` while it is not all here.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
        let Some((length, rest)) = number(rest) else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        // Before there is any of it: nobody is to make this process keep much.
        if !(BEAT..=GOODBYE).contains(&kind) || length > CONTENT {
            return Err(Malformed);
        }
        let Some(content) = rest.get(..length) else { return Ok(None) };
        let frame = match (kind, content) {
            (BEAT, []) => Self::Beat,
            (GOODBYE, []) => Self::Goodbye,
            (FAILED | LOST, _) => {
                let (rank, content) = number(content).ok_or(Malformed)?;
                let how = match (kind, content) {
                    (FAILED, text) => {
                        How::Failed(std::str::from_utf8(text).map_err(|_| Malformed)?.to_owned())
                    }
                    (LOST, [ENDED]) => How::Ended,
                    (LOST, [SILENT, time @ ..]) => {
                        let time = time.try_into().map_err(|_| Malformed)?;
                        How::Silent(Duration::from_millis(u64::from_le_bytes(time)))
                    }
                    _ => return Err(Malformed),
                };
                Self::Loss(Loss { rank, how })
            }
            _ => return Err(Malformed),
        };
        Ok(Some((frame, 1 + 4 + length)))
    }
}

/// A greeting that is not one of this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is none at all: nobody would understand an answer.
    Stray,
    /// A rank's that does not belong here.
    Refused(Refusal),
}

/// What a rank sends first.
pub(super) fn greeting(rank: u32, token: &[u8]) -> Vec<u8> {
    let mut bytes = GREETING.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(rank.to_le_bytes());
    bytes.extend(length(token));
    bytes.extend(token);
    bytes
}

/// The rank that greets here and the greeting's size; `None` while it is not all here.
pub(super) fn read_greeting(bytes: &[u8], token: &[u8]) -> Result<Option<(u32, usize)>, Unknown> {
    let seen = bytes.len().min(GREETING.len());
    if bytes[..seen] != GREETING[..seen] {
        return Err(Unknown::Stray);
    }
    let Some((version, rest)) = number(&bytes[seen..]) else { return Ok(None) };
    if version != VERSION {
        return Err(Unknown::Refused(Refusal::OtherVersion));
    }
    let Some((rank, rest)) = number(rest) else { return Ok(None) };
    let Some((size, rest)) = number(rest) else { return Ok(None) };
    // No more is read than this run's own token has.
    if size.to_le_bytes() != length(token) {
        return Err(Unknown::Refused(Refusal::OtherRun));
    }
    match rest.get(..token.len()) {
        None => Ok(None),
        Some(given) if given == token => Ok(Some((rank, bytes.len() - rest.len() + token.len()))),
        Some(_) => Err(Unknown::Refused(Refusal::OtherRun)),
    }
}

/// What rank 0 says to a greeting.
pub(super) fn answer(answer: Result<(), Refusal>) -> Vec<u8> {
    let mut bytes = ANSWER.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.push(match answer {
        Ok(()) => 0,
        Err(Refusal::OtherRun) => 1,
        Err(Refusal::OtherVersion) => 2,
        Err(Refusal::NoSuchRank) => 3,
        Err(Refusal::CameBefore) => 4,
    });
    bytes
}

pub(super) fn read_answer(bytes: &[u8; ANSWER_SIZE]) -> Result<Result<(), Refusal>, Malformed> {
    let Some(rest) = bytes.strip_prefix(ANSWER) else { return Err(Malformed) };
    match number(rest) {
        // Of another version, what follows may mean something else.
        Some((version, _)) if version != VERSION => Ok(Err(Refusal::OtherVersion)),
        Some((_, [0])) => Ok(Ok(())),
        Some((_, [1])) => Ok(Err(Refusal::OtherRun)),
        Some((_, [2])) => Ok(Err(Refusal::OtherVersion)),
        Some((_, [3])) => Ok(Err(Refusal::NoSuchRank)),
        Some((_, [4])) => Ok(Err(Refusal::CameBefore)),
        _ => Err(Malformed),
    }
}

/// As much of a text as a frame holds.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// The number that begins here, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> Frame {
        Frame::Loss(Loss { rank: 7, how: How::Failed(text.to_owned()) })
    }

    #[test]
    fn frames_are_read_as_they_were_written_however_they_arrive() {
        let lost = |how| Frame::Loss(Loss { rank: u32::MAX, how });
        let silent = How::Silent(Duration::from_millis(10_250));
        let all = [Frame::Beat, failed(""), failed("no é"), lost(How::Ended), lost(silent), Frame::Goodbye];
        for frame in all {
            let bytes = frame.bytes();
            for end in 0..bytes.len() {
                assert_eq!(Frame::read(&bytes[..end]), Ok(None));
            }
            let size = bytes.len();
            assert_eq!(Frame::read(&[bytes, vec![9; 30]].concat()), Ok(Some((frame, size))));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(TEXT);
        let (frame, _) = Frame::read(&failed(&format!("a{text}")).bytes()).unwrap().unwrap();
        assert_eq!(frame, failed(&format!("a{}", &text[..TEXT - 2])));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn what_is_no_frame_is_refused_before_there_is_much_of_it() {
        let large = [&[FAILED][..], &(CONTENT as u32 + 1).to_le_bytes()].concat();
        let wrong: [&[u8]; 10] = [
            &[0, 0, 0, 0, 0],
            &[9, 0, 0, 0, 0],
            &large,
            &[BEAT, 1, 0, 0, 0, 0],
            &[FAILED, 3, 0, 0, 0, 1, 2, 3],
            &[FAILED, 5, 0, 0, 0, 1, 0, 0, 0, 0xff],
            &[LOST, 4, 0, 0, 0, 1, 0, 0, 0],
            &[LOST, 5, 0, 0, 0, 1, 0, 0, 0, SILENT],
            &[LOST, 6, 0, 0, 0, 1, 0, 0, 0, ENDED, 0],
            &[LOST, 5, 0, 0, 0, 1, 0, 0, 0, 2],
        ];
        for bytes in wrong {
            assert_eq!(Frame::read(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_greeting_is_this_runs_only_with_its_token() {
        let bytes = greeting(5, b"night");
        for end in 0..bytes.len() {
            assert_eq!(read_greeting(&bytes[..end], b"night"), Ok(None));
        }
        let size = bytes.len();
        assert_eq!(read_greeting(&[&bytes[..], b"more"].concat(), b"night"), Ok(Some((5, size))));
        let other = Err(Unknown::Refused(Refusal::OtherRun));
        assert_eq!(read_greeting(&bytes, b"light"), other);
        // Its size alone tells: nothing of a long one is waited for.
        assert_eq!(read_greeting(&bytes[..20], b"nights"), other);
        let mut newer = bytes;
        newer[8] += 1;
        assert_eq!(read_greeting(&newer, b"night"), Err(Unknown::Refused(Refusal::OtherVersion)));
        assert_eq!(read_greeting(b"GET", b"night"), Err(Unknown::Stray));
        assert_eq!(read_greeting(&answer(Ok(())), b"night"), Err(Unknown::Stray));
    }

    #[test]
    fn an_answer_says_why_not() {
        let refusals = [Refusal::OtherRun, Refusal::OtherVersion, Refusal::NoSuchRank, Refusal::CameBefore];
        for given in refusals.map(Err).into_iter().chain([Ok(())]) {
            assert_eq!(read_answer(&answer(given).try_into().unwrap()), Ok(given));
        }
        let mut bytes = *b"kiwi-hi!\x02\0\0\0\x09";
        assert_eq!(read_answer(&bytes), Ok(Err(Refusal::OtherVersion)));
        bytes[8] = 1;
        assert_eq!(read_answer(&bytes), Err(Malformed));
        assert_eq!(read_answer(b"HTTP/1.1 200 "), Err(Malformed));
    }
}
