//! Words from the text of a user interface: mark-up goes, placeholders become one word, punctuation stands alone.
//!
//! The rule, in order:
//! 1. HTML tags become a space, the common character entities their character.
//! 2. A placeholder (`%(name)s`, `%d`, `{name}`, `{{ name }}`) becomes the word `{}`.
//! 3. White space separates words. A word is a run of letters and digits, which one of `-`, `'`, `’`, `_`, `.` may join
//!    when there is a letter or digit on both sides; every other character is a word of its own.

/// The word that stands for every placeholder.
pub(super) const PLACEHOLDER: &str = "{}";

/// Stands for a placeholder while the text is still one string ("object replacement character").
const MARK: char = '\u{FFFC}';

const ENTITIES: [(&str, char); 12] = [
    ("&nbsp;", ' '),
    ("&lt;", '<'),
    ("&gt;", '>'),
    ("&quot;", '"'),
    ("&#39;", '\''),
    ("&#x27;", '\''),
    ("&hellip;", '…'),
    ("&ndash;", '–'),
    ("&mdash;", '—'),
    ("&laquo;", '«'),
    ("&raquo;", '»'),
    ("&amp;", '&'),
];

/// The words of a text.
pub(super) fn words(text: &str) -> Vec<String> {
    split(&mark_placeholders(&decode_entities(&strip_tags(text))))
}

fn strip_tags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        kept.push_str(before);
        let opens =
            tag[1..].starts_with(|next: char| next.is_ascii_alphabetic() || next == '/' || next == '!');
        match tag.find('>') {
            Some(end) if opens => {
                kept.push(' ');
                rest = &tag[end + 1..];
            }
            _ => {
                kept.push('<');
                rest = &tag[1..];
            }
        }
    }
    kept + rest
}

fn decode_entities(text: &str) -> String {
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, character)| {
        text.replace(entity, character.encode_utf8(&mut [0; 4]))
    })
}

fn mark_placeholders(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = placeholder_length(rest) {
            marked.extend([' ', MARK, ' ']);
            rest = &rest[length..];
        } else if rest.starts_with("%%") {
            marked.push('%');
            rest = &rest[2..];
        } else {
            marked.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    marked
}

/// Bytes of the placeholder that a text starts with.
fn placeholder_length(text: &str) -> Option<usize> {
    if text.starts_with("{{") {
        return text.find("}}").map(|end| end + 2);
    }
    if let Some(inside) = text.strip_prefix('{') {
        let end = inside.find('}')?;
        let is_name = |character: char| character.is_alphanumeric() || "_.:,!$%[]- ".contains(character);
        return inside[..end].chars().all(is_name).then_some(end + 2);
    }
    let inside = text.strip_prefix('%')?;
    let name = if inside.starts_with('(') { inside.find(')')? + 1 } else { 0 };
    let flags = inside[name..].find(|character: char| !"0123456789.$+-#".contains(character))?;
    let conversion = inside[name + flags..].chars().next()?;
    let follows = inside[name + flags + 1..].chars().next();
    let ends = name > 0 || follows.is_none_or(|character| !character.is_alphanumeric());
    ("sdiufFeEgGxXorc".contains(conversion) && ends).then_some(1 + name + flags + 1)
}

fn split(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let is_letter = |position: usize| characters.get(position).is_some_and(|letter| letter.is_alphanumeric());
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut finish = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for (position, &character) in characters.iter().enumerate() {
        let joins =
            "-'’_.".contains(character) && position > 0 && is_letter(position - 1) && is_letter(position + 1);
        if character.is_alphanumeric() || joins {
            word.push(character);
            continue;
        }
        finish(&mut word);
        if character == MARK {
            finish(&mut PLACEHOLDER.to_owned());
        } else if !character.is_whitespace() && !character.is_control() {
            finish(&mut character.to_string());
        }
    }
    finish(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(words(text).join(" "), expected);
    }

    #[test]
    fn punctuation_stands_alone_and_joined_words_stay_whole() {
        check("Don't panic, it's 3.5 km!", "Don't panic , it's 3.5 km !");
        check("„E-Mail“ (z.B. von Ärzten)…", "„ E-Mail “ ( z.B . von Ärzten ) …");
        check("Ein- und Ausgabe -- see a_b.py.", "Ein - und Ausgabe - - see a_b.py .");
        check("tabs\tand\u{a0}spaces \u{1f}", "tabs and spaces");
    }

    #[test]
    fn mark_up_goes() {
        check("Click <a href=\"%(url)s\">here</a>&nbsp;&amp; wait", "Click here & wait");
        check("1 < 2 and <3", "1 < 2 and < 3");
        check("never closed <b", "never closed < b");
    }

    #[test]
    fn placeholders_become_one_word() {
        check("%(count)d of %s files", "{} of {} files");
        check("Hello {name}, {{ vm.total }} left {$ n $}", "Hello {} , {} left {}");
        check("%1$s at %.2f%%", "{} at {} %");
        check("100% sure, 5%discount", "100 % sure , 5 % discount");
        check("an open { brace and {\"json\": 1}", "an open { brace and { \" json \" : 1 }");
    }

    #[test]
    fn nothing_gives_no_words() {
        assert!(words("").is_empty());
        assert!(words(" <br/> \u{200b}\n").iter().all(|word| word == "\u{200b}"));
    }
}
