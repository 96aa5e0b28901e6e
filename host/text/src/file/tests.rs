use std::{fs, io::Write};

use proptest::prelude::*;

use super::*;

/// So small that a few bytes are many pieces and blocks.
const TINY: Sizes = Sizes { held: 0, piece: 8, block: 5 };

/// So many cases of a property, or as many as `PROPTEST_CASES` says.
fn cases(cases: u32) -> ProptestConfig {
    let chosen = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: chosen.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The lines by the rules as they are written down, or the line, the position in it and the byte that is not UTF-8.
fn naive(bytes: &[u8]) -> std::result::Result<Vec<String>, (usize, u64, u64, u8)> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let lines: Vec<&[u8]> = bytes[..at].split(|byte| *byte == b'\n').collect();
            let in_line = lines[lines.len() - 1].len() as u64 + 1;
            return Err((lines.len(), in_line, at as u64 + 1, bytes[at]));
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines: Vec<&str> = text.split('\n').collect();
    let last = lines.pop().unwrap();
    let mut lines: Vec<String> =
        lines.into_iter().map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect();
    if !last.is_empty() {
        lines.push(last.to_owned());
    }
    Ok(lines)
}

fn read(bytes: &[u8], sizes: Sizes, order: &[prop::sample::Index]) -> Result<Vec<String>> {
    let file = written(bytes);
    let text = TextFile::open_by(file.path(), sizes)?;
    assert_eq!(text.bytes(), bytes.len() as u64);
    assert_eq!(text.hash().0, *blake3::hash(bytes).as_bytes());
    let mut reader = text.reader();
    let lines: Vec<String> = (0..text.lines()).map(|line| reader.line(line).unwrap().to_owned()).collect();
    for line in order.iter().filter(|_| !lines.is_empty()).map(|index| index.index(lines.len())) {
        assert_eq!(reader.line(line).unwrap(), lines[line]);
    }
    let lone: usize = lines.iter().map(|line| lone_carriage_returns(line.as_bytes())).sum();
    assert_eq!(text.lone_carriage_returns().unwrap(), lone);
    Ok(lines)
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"a",
        b" ",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r",
        b"\0",
        "ß".as_bytes(),
        "中".as_bytes(),
        "😀".as_bytes(),
        "\u{feff}".as_bytes(),
        "\u{2028}".as_bytes(),
        b"\xff",
        b"\xe4\xb8",
        b"\xf0\x9f",
    ];
    // What is not UTF-8 ends a case early, so it comes seldom.
    let weights = [9, 5, 6, 2, 5, 3, 1, 4, 4, 4, 2, 1, 1, 1, 1];
    prop::strategy::Union::new_weighted(
        weights.into_iter().zip(pieces).map(|(weight, piece)| (weight, Just(piece.to_vec()))).collect(),
    )
}

fn check(bytes: &[u8], order: &[prop::sample::Index]) -> std::result::Result<(), TestCaseError> {
    for sizes in [SIZES, TINY, Sizes { piece: 13, block: 1, ..TINY }] {
        match read(bytes, sizes, order) {
            Ok(lines) => prop_assert_eq!(Ok(lines), naive(bytes)),
            Err(Error::InvalidUtf8 { line, byte_in_line, byte_in_file, byte, .. }) => {
                prop_assert_eq!(Err((line, byte_in_line, byte_in_file, byte)), naive(bytes));
            }
            Err(Error::WideCharacters { .. }) => {
                prop_assert!(
                    bytes.contains(&0) || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
                );
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn files_of_any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        check(&bytes, &order)?;
    }

    #[test]
    fn files_of_any_pieces(
        pieces in prop::collection::vec(piece(), 0..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        check(&pieces.concat(), &order)?;
    }
}

#[test]
fn a_file_that_changes_is_noticed() {
    let text: String = (0..200).map(|line| format!("line {line} ä\n")).collect();
    let open = |file: &tempfile::NamedTempFile| {
        let opened = TextFile::open_by(file.path(), TINY).unwrap();
        opened.check_unchanged().unwrap();
        opened
    };
    let message = |file: &tempfile::NamedTempFile, result: Result<()>| {
        result.unwrap_err().to_string().replace(&file.path().display().to_string(), "FILE")
    };
    let changed = |evidence: &str| {
        format!(
            "FILE was changed while it was being read ({evidence}); start again when nothing writes to it"
        )
    };

    let file = written(text.as_bytes());
    let shorter = open(&file);
    let mut opened_before = shorter.reader();
    assert_eq!(opened_before.line(0).unwrap(), "line 0 ä");
    file.as_file().set_len(100).unwrap();
    assert_eq!(message(&file, opened_before.line(150).map(|_| ())), changed("it is shorter"));
    assert_eq!(message(&file, shorter.reader().line(0).map(|_| ())), changed("its size is another"));
    assert_eq!(message(&file, shorter.check_unchanged()), changed("its size is another"));

    let file = written(text.as_bytes());
    let longer = open(&file);
    file.as_file().write_all_at(b"more\n", text.len() as u64).unwrap();
    assert_eq!(message(&file, longer.check_unchanged()), changed("its size is another"));

    let file = written(text.as_bytes());
    let other = open(&file);
    let mut opened_before = other.reader();
    opened_before.line(30).unwrap();
    file.as_file().write_all_at(&[b'x'; 40], 0).unwrap();
    file.as_file().write_all_at(&[0xff; 40], 100).unwrap();
    assert_eq!(message(&file, opened_before.line(0).map(|_| ())), changed("its lines end elsewhere"));
    assert_eq!(message(&file, opened_before.line(12).map(|_| ())), changed("its bytes are others now"));
    file.as_file().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(message(&file, other.check_unchanged()), changed("it was written to"));
    assert_eq!(message(&file, other.reader().line(99).map(|_| ())), changed("it was written to"));

    let file = written(text.as_bytes());
    let replaced = open(&file);
    let copy = written(text.as_bytes());
    fs::rename(copy.path(), file.path()).unwrap();
    assert_eq!(message(&file, replaced.check_unchanged()), changed("its name is another file's now"));
    fs::remove_file(file.path()).unwrap();
    assert_eq!(message(&file, replaced.reader().line(199).map(|_| ())), changed("it is gone"));
}

#[test]
fn a_line_longer_than_a_piece_is_one_line() {
    let text = format!("a\n{}\nb", "ä ".repeat(SIZES.piece));
    for sizes in [SIZES, Sizes { held: u64::MAX, ..SIZES }] {
        let file = written(text.as_bytes());
        let opened = TextFile::open_by(file.path(), sizes).unwrap();
        let mut reader = opened.reader();
        assert_eq!(opened.lines(), 3);
        assert_eq!(reader.line(1).unwrap().len(), 3 * SIZES.piece);
        assert_eq!(reader.line(2).unwrap(), "b");
    }
}
