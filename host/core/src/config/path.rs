//! JSON paths as text: `system.model.encoder`, `data.train.input.source[1]`, `options["a.b"]`. Made for messages,
//! read from `--set` and from components' complaints.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array, from 0.
    Index(usize),
}

/// The path of the value under `key` of the object at `parent` (empty: the root).
pub(super) fn join(parent: &str, key: &str) -> String {
    if !is_plain(key) {
        format!("{parent}[{}]", serde_json::Value::from(key))
    } else if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// The path of element `index` of the array at `parent`.
pub(super) fn element(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// A path's text of these steps.
pub(super) fn display(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Index(index) => element(&path, *index),
    })
}

/// The last part of a path, for messages.
pub(super) fn last_part(path: &str) -> &str {
    // A key that is written in brackets may hold points.
    if let Some((_, key)) = path.strip_suffix("\"]").and_then(|path| path.rsplit_once("[\"")) {
        return key;
    }
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && !key.contains(|c: char| matches!(c, '.' | '[' | ']' | '"') || c.is_whitespace() || c.is_control())
}

/// Reads a path; `None` if it is not one. The empty path is the root.
pub(super) fn parse(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (step, after) = parse_bracket(bracketed)?;
            steps.push(step);
            rest = after;
        } else {
            let key = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if !is_plain(&key[..end]) {
                return None;
            }
            steps.push(Step::Key(key[..end].to_owned()));
            rest = &key[end..];
        }
    }
    Some(steps)
}

/// The inside of `[…]` and what follows it.
fn parse_bracket(text: &str) -> Option<(Step, &str)> {
    if text.starts_with('"') {
        let mut keys = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let key = keys.next()?.ok()?;
        let after = text.get(keys.byte_offset()..)?;
        return Some((Step::Key(key), after.strip_prefix(']')?));
    }
    let (digits, after) = text.split_once(']')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Step::Index(digits.parse().ok()?), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Step {
        Step::Key(text.to_owned())
    }

    #[test]
    fn paths_are_read_as_they_are_written() {
        for steps in [
            vec![],
            vec![key("trainer"), key("epochs")],
            vec![key("data"), key("source"), Step::Index(12), Step::Index(0), key("x")],
            vec![key("a.b"), key(""), key("c[0]"), key("\"q\" \\ \n"), key("größe")],
            vec![Step::Index(3)],
        ] {
            assert_eq!(parse(&display(&steps)), Some(steps));
        }
        assert_eq!(display(&[key("a"), key("b.c"), Step::Index(1)]), "a[\"b.c\"][1]");
    }

    #[test]
    fn the_last_part_may_stand_in_brackets() {
        for (path, part) in
            [("epochs", "epochs"), ("a.b", "b"), ("a.b[1]", "b[1]"), ("a[\"b.c\"]", "b.c"), ("", "")]
        {
            assert_eq!(last_part(path), part, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            ".", "a.", ".a", "a..b", "a[", "a[]", "a[1", "a[-1]", "a[x]", "a[1]b", "a[\"b]", "a[\"b\"",
            "a b", "a]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
