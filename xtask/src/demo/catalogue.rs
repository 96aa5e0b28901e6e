//! Translations from a gettext catalogue: each message with its German text, as they stand there.
//!
//! Reading the format is the library polib's; choosing among its messages is done here, tidying the text is not.

use anyhow::{Result, anyhow};
use polib::message::MessageView;

/// A message and its translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) message: String,
    pub(super) translation: String,
}

/// The translated messages of a catalogue, in its order: of those with plural forms the singular. Left out are messages
/// that are marked fuzzy (a guess that nobody confirmed), untranslated, or of several lines.
pub(super) fn entries(text: &[u8]) -> Result<Vec<Entry>> {
    let catalogue = polib::po_file::parse_from_reader(text).map_err(|error| anyhow!("{error}"))?;
    let entry = |message: &dyn MessageView| {
        let singular = message.msgstr().ok();
        let first_form = || message.msgstr_plural().ok()?.first().map(String::as_str);
        let translation = singular.or_else(first_form)?;
        let original = message.msgid();
        let usable = |text: &str| !text.trim().is_empty() && !text.contains(['\n', '\r']);
        (!message.is_fuzzy() && usable(original) && usable(translation))
            .then(|| Entry { message: original.to_owned(), translation: translation.to_owned() })
    };
    Ok(catalogue.messages().filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = r##"# Own catalogue for this test.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

#: garden.py:3
msgid "The gate is open."
msgstr "Das Tor ist offen."

msgctxt "tool"
msgid ""
"A \"long\" handled "
"rake"
msgstr "Eine »langstielige« Harke"

#, fuzzy, python-format
msgid "%d wheelbarrows"
msgstr "%d Eimer"

msgid "Not yet translated"
msgstr ""

msgid "%d apple in the basket"
msgid_plural "%d apples in the basket"
msgstr[0] "%d Apfel im Korb"
msgstr[1] "%d Äpfel im Korb"

msgid "First line\nsecond line"
msgstr "Erste Zeile\nzweite Zeile"

#~ msgid "Old hedge"
#~ msgstr "Alte Hecke"
"##;

    #[test]
    fn confirmed_single_line_translations_are_taken() {
        let found = entries(CATALOGUE.as_bytes()).unwrap();
        let expected = [
            ("The gate is open.", "Das Tor ist offen."),
            ("A \"long\" handled rake", "Eine »langstielige« Harke"),
            ("%d apple in the basket", "%d Apfel im Korb"),
        ];
        let found: Vec<(&str, &str)> =
            found.iter().map(|entry| (entry.message.as_str(), entry.translation.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_without_a_header_is_an_error() {
        assert!(entries(b"msgid \"gate\"\nmsgstr \"Tor\"\n").is_err());
    }
}
