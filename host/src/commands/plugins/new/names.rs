//! What a crate may be called, and a class.

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;

/// Words that Rust keeps for itself; none can name a crate.
const KEYWORDS: [&str; 53] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "union", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield", "test",
];

/// Crates that a plugin has beneath it: no other can have their names.
const BENEATH: [&str; 8] =
    ["alloc", "core", "kiwi_plugin_api", "proc_macro", "schemars", "serde", "std", "tch"];

/// Names that the text of a plugin uses for something else; a class of this name has a struct of another.
const USED: [&str; 69] = [
    "BTreeMap",
    "Batch",
    "Box",
    "Clone",
    "Component",
    "Config",
    "ConfigReport",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "Device",
    "Drop",
    "Encoder",
    "EncoderContext",
    "EncoderNeeds",
    "Eq",
    "Err",
    "Error",
    "Feature",
    "Features",
    "Field",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "GradientCheck",
    "Head",
    "HeadContext",
    "HeadNeeds",
    "HeadOutput",
    "Into",
    "Item",
    "Iterator",
    "JsonSchema",
    "Kind",
    "LongestSentence",
    "Metric",
    "MetricRequest",
    "NamedTensors",
    "NeededField",
    "None",
    "Ok",
    "Optimizer",
    "Option",
    "Ordering",
    "Output",
    "Parameter",
    "ParameterGroup",
    "Parameters",
    "Pass",
    "Projection",
    "Result",
    "Schedule",
    "ScheduleContext",
    "ScheduleKeys",
    "Self",
    "Send",
    "Serialize",
    "Setting",
    "Sized",
    "Some",
    "SparseGradient",
    "SpecialIds",
    "String",
    "Sync",
    "Tensor",
    "Tolerance",
    "Training",
];

/// Whether a crate may have this name, and if not, which is the nearest that it may have.
pub(super) fn check_crate(name: &str) -> Result<(), Diagnostic> {
    let error = Diagnostic::error(Code::NewPlugin, "this cannot be the name of a crate").found(name);
    if !is_crate(name) {
        return Err(error
            .expected("lower-case letters of ASCII, digits, `-` and `_`, beginning with a letter")
            .nearest(nearest_crate(name))
            .help("give another NAME"));
    }
    if let Some(taken) = taken(name) {
        return Err(error
            .expected("a name that is not taken")
            .nearest(nearest_crate(name))
            .note(taken)
            .help("give another NAME"));
    }
    Ok(())
}

/// Whether a class may have this name, and if not, which is the nearest that it may have.
pub(super) fn check_class(class: &str) -> Result<(), Diagnostic> {
    if is_class(class) {
        return Ok(());
    }
    Err(Diagnostic::error(Code::NewPlugin, "this cannot be the name of a class")
        .found(class)
        .expected("letters of ASCII, digits and `_`, beginning with a letter, as `BagOfWords`")
        .nearest(Some(camel_case(class)).filter(|nearest| is_class(nearest)))
        .help("give another --class"))
}

fn is_crate(name: &str) -> bool {
    is_well_formed(name, |c| c.is_ascii_lowercase(), |c| c.is_ascii_lowercase() || c == '-' || c == '_')
}

fn is_class(name: &str) -> bool {
    is_well_formed(name, |c| c.is_ascii_alphabetic(), |c| c.is_ascii_alphabetic() || c == '_')
}

/// The name of the struct that implements `class`, an identifier that means nothing else in the text of the plugin.
pub(super) fn struct_of(class: &str, kind: &str) -> String {
    let name = camel_case(class);
    if USED.contains(&name.as_str()) { name + &camel_case(kind) } else { name }
}

/// `bag-of-words` as `BagOfWords`; what is in such a form already stays as it is.
pub(super) fn camel_case(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capitalised = words.filter_map(|word| {
        let first = word.chars().next()?;
        Some(format!("{}{}", first.to_ascii_uppercase(), &word[first.len_utf8()..]))
    });
    capitalised.collect()
}

fn is_well_formed(name: &str, first: impl Fn(char) -> bool, later: impl Fn(char) -> bool) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(first) && characters.all(|c| later(c) || c.is_ascii_digit())
}

/// Why a well-formed name cannot be had.
fn taken(name: &str) -> Option<String> {
    let name = name.replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) {
        return Some(format!("`{name}` is a word of Rust"));
    }
    BENEATH.contains(&name.as_str()).then(|| format!("a plugin depends on a crate `{name}`"))
}

/// `BagOfWords` or `bag of words` as `bag-of-words`.
fn nearest_crate(name: &str) -> Option<String> {
    let mut nearest = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            nearest.push('-');
        }
        if c.is_ascii_alphanumeric() || c == '_' {
            nearest.push(c.to_ascii_lowercase());
        } else if !nearest.ends_with('-') {
            nearest.push('-');
        }
        before = c;
    }
    let mut nearest = nearest.trim_matches(['-', '_']).to_owned();
    if nearest.is_empty() {
        return None;
    }
    if !nearest.starts_with(|c: char| c.is_ascii_lowercase()) || taken(&nearest).is_some() {
        nearest = format!("my-{nearest}");
    }
    (is_crate(&nearest) && taken(&nearest).is_none()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_have_the_names_that_cargo_allows() {
        for name in ["bag-of-words", "bow", "bow2", "b_o_w", "selfish", "kiwi-bow"] {
            assert!(check_crate(name).is_ok(), "{name}");
        }
        for (name, nearest) in [
            ("BagOfWords", Some("bag-of-words")),
            ("bag of words", Some("bag-of-words")),
            ("2gram", Some("my-2gram")),
            ("fn", Some("my-fn")),
            ("test", Some("my-test")),
            ("tch", Some("my-tch")),
            ("kiwi-plugin-api", Some("my-kiwi-plugin-api")),
            ("-bow-", Some("bow")),
            ("../bow", Some("bow")),
            ("größe", Some("gr-e")),
            ("", None),
            ("ß", None),
        ] {
            let error = check_crate(name).unwrap_err();
            assert_eq!(error.nearest.as_deref(), nearest, "{name}");
            assert_eq!(error.found.as_deref(), Some(name));
        }
    }

    #[test]
    fn classes_are_identifiers() {
        for class in ["BagOfWords", "bow", "bow_2", "Encoder"] {
            assert!(check_class(class).is_ok(), "{class}");
        }
        for (class, nearest) in [
            ("bag-of-words", Some("BagOfWords")),
            ("a::B", Some("AB")),
            ("2Gram", None),
            ("", None),
            ("Größe", Some("GrE")),
        ] {
            assert_eq!(check_class(class).unwrap_err().nearest.as_deref(), nearest, "{class}");
        }
    }

    #[test]
    fn structs_have_names_of_their_own() {
        assert_eq!(struct_of("BagOfWords", "encoder"), "BagOfWords");
        assert_eq!(struct_of("lion_2", "optimizer"), "Lion2");
        assert_eq!(struct_of("Encoder", "encoder"), "EncoderEncoder");
        assert_eq!(struct_of("training", "metric"), "TrainingMetric");
    }
}
