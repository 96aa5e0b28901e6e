//! No text makes the reader panic, and what it says always has its form.

use proptest::prelude::*;

use super::*;

/// What holds of the outcome of any text.
fn check_outcome(text: &str, overrides: &[(String, String)]) -> Result<(), TestCaseError> {
    match check(Path::new("run.json"), text, overrides) {
        Ok(loaded) => {
            prop_assert!(loaded.warnings.iter().all(|warning| warning.severity == Severity::Warning));
            let written = loaded.config.to_json().unwrap();
            let again = check(Path::new("run.json"), &written, &[]);
            prop_assert_eq!(&again.unwrap().config, &loaded.config);
        }
        Err(Invalid { complaints: errors, .. }) => {
            prop_assert!(errors.iter().any(|error| error.severity == Severity::Error));
            let lines = text.split('\n').count();
            for error in errors {
                prop_assert!(!error.message.is_empty());
                if let Some(location) = error.location {
                    prop_assert!((1..=lines).contains(&location.line), "{:?}", location);
                }
            }
        }
    }
    Ok(())
}

/// A piece of text that tends to matter to a parser.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\\u"),
        Just("null"),
        Just("true"),
        Just("-1"),
        Just("1e999"),
        Just("0.5"),
        Just("\"x\""),
        Just("{}"),
        Just("[]"),
        Just("\n"),
        Just("é"),
        Just("\u{0}"),
        Just("//"),
    ]
    .prop_map(str::to_owned)
    .boxed()
    .prop_union(".{0,4}".boxed())
}

/// The byte at or before `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

#[test]
fn nothing_is_too_deep_or_too_long_for_the_stack() {
    let nested = |open: &str, count: usize| open.repeat(count);
    for text in [
        nested("[", 1_000_000),
        nested("{\"a\":", 1_000_000),
        format!("{{\"run\": {}", nested("[", 500_000) + &nested("]", 500_000)),
        format!("{{\"run\": {}}}", nested("9", 1_000_000)),
        format!("{{\"run\": 1e{}}}", nested("9", 1_000_000)),
        format!("{{\"{}\": 1}}", nested("x", 1_000_000)),
    ] {
        let errors = check(Path::new("run.json"), &text, &[]).unwrap_err().complaints;
        // What is quoted is short.
        assert!(
            errors.iter().all(|error| error.found.as_ref().is_none_or(|found| found.len() < 1000)),
            "{errors:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_of_a_file(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0..FULL.len(), damaged in any::<bool>()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut text = bytes;
        if damaged {
            let mut whole = FULL.as_bytes().to_vec();
            whole.splice(at..(at + text.len()).min(FULL.len()), text);
            text = whole;
        }
        std::fs::write(&path, text).unwrap();
        if let Err(invalid) = load(&path, &[]) {
            prop_assert!(invalid.complaints.iter().any(|error| error.severity == Severity::Error));
        }
    }

    #[test]
    fn any_text(text in "(?s).*") {
        check_outcome(&text, &[])?;
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        check_outcome(&pieces.concat(), &[])?;
    }

    #[test]
    fn a_valid_text_with_parts_replaced(edits in prop::collection::vec((0..FULL.len(), 0_usize..12, piece()), 1..4)) {
        let mut text = FULL.to_owned();
        for (start, length, piece) in edits {
            let start = boundary(&text, start);
            let end = boundary(&text, start + length).max(start);
            text.replace_range(start..end, &piece);
        }
        check_outcome(&text, &[])?;
    }

    #[test]
    fn a_valid_text_with_a_value_replaced(
        line in 0_usize..80,
        value in prop_oneof![
            Just("null"), Just("true"), Just("-1"), Just("0"), Just("1"), Just("2"), Just("1.0"), Just("0.5"), Just("1e400"),
            Just("\"\""), Just("\"O1\""), Just("\"bf16\""), Just("[]"), Just("[\"a\"]"), Just("{}"), Just("{\"train\": 3}"),
            Just("{\"source\": 2, \"target\": 3}"), Just("99999999999999999999"),
        ],
    ) {
        let lines: Vec<String> = FULL
            .lines()
            .enumerate()
            .map(|(number, text)| match text.split_once(": ") {
                Some((key, old)) if number == line && !old.ends_with('{') => {
                    format!("{key}: {value}{}", if old.ends_with(',') { "," } else { "" })
                }
                _ => text.to_owned(),
            })
            .collect();
        check_outcome(&lines.join("\n"), &[])?;
    }

    #[test]
    fn any_override(path in r#"[a-z.\[\]"0-9]{0,12}|(run|trainer|data|system)(\.[a-z_]{1,8}|\[[0-9]\]){0,3}"#, value in piece()) {
        check_outcome(LEAST, &[(path, value)])?;
    }
}
