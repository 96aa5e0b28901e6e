//! Texts that are not JSON, and JSON that is unusual.

use super::*;
use crate::config::document::Value;

#[test]
fn what_is_not_json_is_located_and_explained() {
    let written = include_str!("syntax.txt");
    let mut said = String::new();
    for line in written.lines().filter(|line| !line.starts_with("  ")) {
        said.push_str(line);
        said.push('\n');
        if !line.is_empty() && !line.starts_with("# ") {
            let text: String = serde_json::from_str(&format!("\"{}\"", line.replace('"', "\\\""))).unwrap();
            for complaint in complaints(&text, &[]) {
                said.push_str(&format!("  {complaint}\n"));
            }
        }
    }
    for (number, (written, said)) in written.lines().zip(said.lines()).enumerate() {
        assert_eq!(said, written, "syntax.txt:{}", number + 1);
    }
    assert_eq!(said, written);
}

fn parse(text: &str) -> Value {
    let mut complaints = Vec::new();
    let document = Document::parse(Path::new("run.json"), text, &mut complaints).unwrap();
    assert_eq!(complaints, []);
    document.root().value.clone()
}

#[test]
fn strings_are_decoded() {
    let text = r#""a\"\\\/\b\f\n\r\t\u00e9\u4e2d\ud83d\ude00é😀\u007F""#;
    assert_eq!(parse(text), Value::String("a\"\\/\u{8}\u{c}\n\r\té中😀é😀\u{7f}".to_owned()));
}

#[test]
fn numbers_keep_their_text() {
    for number in
        ["0", "-0", "10", "1.0", "-1.50", "1e400", "2E+05", "0.1e-7", "123456789012345678901234567890"]
    {
        assert_eq!(parse(number), Value::Number(number.to_owned()));
        assert_eq!(parse(&format!(" \t\r\n{number}\n")), Value::Number(number.to_owned()));
    }
}

#[test]
fn nesting_is_limited() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    parse(&deep(100));
    for text in [deep(101), "[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
        let said = complaints(&text, &[]);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].ends_with("| expected at most 100 arrays and objects inside one another"),
            "{said:?}"
        );
    }
}

#[test]
fn this_grammar_is_that_of_another_reader() {
    let texts = [
        "{}",
        "[]",
        "[1,2]",
        "{\"a\":[{}]}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "--1",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "True",
        "nul",
        "nulll",
        "\"\\x41\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\u12\"",
        "\"a",
        "\"a\tb\"",
        "\"a\u{7f}b\"",
        "\u{a0}1",
        "\u{c}1",
        "1 2",
        "[] []",
        "'a'",
        "/* */1",
        "1 // x",
        "",
        " ",
        "]",
        "}",
        ":",
        ",",
        "{\"a\":1,}",
        "{,}",
        "[[]",
        "{\"a\":1",
        "\u{feff}1",
    ];
    for text in texts {
        let ours = Document::parse(Path::new("run.json"), text, &mut Vec::new());
        let theirs = serde_json::from_str::<serde_json::Value>(text);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text:?}: {theirs:?}");
    }
}

#[test]
fn repeated_keys_are_reported_wherever_they_are() {
    let text = changed(
        r#""embeddings": {"#,
        "\"list\": [{\"x\": 1,\n\"x\": {\"y\": 1, \"y\": 2}}],\n\"hidden_size\": 9,\n\"a.b\": 1, \"a.b\": 1,\n\"embeddings\": {",
    );
    assert_eq!(
        complaints(&text, &[]),
        [
            "system.model.encoder.list[0].x@53:1 | \
            the key `x` is given twice, in line 52 and in line 53 | \
            found a second value for the same key | expected each key once | \
            help remove one of the two",
            "system.model.encoder.hidden_size@54:1 | \
            the key `hidden_size` is given twice, in line 50 and in line 54 | \
            found a second value for the same key | expected each key once | \
            help remove one of the two",
            "system.model.encoder[\"a.b\"]@55:11 | the key `a.b` is given twice in line 55 | \
            found a second value for the same key | expected each key once | \
            help remove one of the two"
        ]
    );
}

#[test]
fn values_are_located() {
    let document =
        load_text(FULL, &[("trainer.epochs", "3"), ("trainer.checkpoint.save_top_k", "2")]).unwrap().document;
    let at = |path: &str| document.locate(path).map(|place| (place.line, place.column.unwrap()));
    assert_eq!(at(""), Some((1, 1)));
    assert_eq!(at("system.model.encoder.hidden_size"), Some((50, 24)));
    assert_eq!(at("system.model.encoder.embeddings.source.dim"), Some((52, 42)));
    assert_eq!(at("data.valid.input.source[0]"), Some((38, 20)));
    assert_eq!(at("data.valid.input.source[1]"), None);
    assert_eq!(at("system.model.encoder.size"), None);
    assert_eq!(at("trainer.epochs"), None);
    assert_eq!(at("no path at all"), None);
    assert_eq!(document.locate("debug").unwrap().file, Path::new("run.json"));

    let place = |path: &str| {
        render(&document.place(Diagnostic::error(crate::error_code::Code::InvalidValue, "x").at(path)))
    };
    assert_eq!(
        place("system.model.encoder.out.x"),
        "system.model.encoder.out.x@48:18 | x | found - | expected -"
    );
    assert_eq!(
        place("trainer.epochs"),
        "trainer.epochs@- | x | found - | expected - | note set by --set trainer.epochs"
    );
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        complaints("{\"größe 😀\": x}", &[]),
        ["-@1:13 | the config is not valid JSON | found `x` | \
            expected a value: an object, an array, a string in double quotes, a number, true, false or null | \
            help text stands in double quotes"]
    );
}
