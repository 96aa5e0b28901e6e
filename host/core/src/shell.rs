//! Commands as a person can paste them into a shell.

/// A word as a POSIX shell takes it: as it is where no character means anything to a shell, else in single quotes.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command of these words.
#[must_use]
pub fn command<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_a_shell_is_quoted() {
        assert_eq!(quoted("/a/b-c"), "/a/b-c");
        assert_eq!(quoted("/my plugins/it's"), r"'/my plugins/it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(command(["kiwi-host", "train", "a b.json", "x=1"]), "kiwi-host train 'a b.json' x=1");
    }
}
