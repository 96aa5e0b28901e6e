//! 02xx: what can be wrong with corpora and vocabularies.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const CORPUS_UNREADABLE: Page = Page {
    title: "a corpus file cannot be read",
    kind: Error,
    meaning: "The file does not exist, is a folder or a device, is a link to nothing, or may not be read. Paths in a config \
              are relative to the directory in which the command is started, not to the config.",
    mend: "Correct the path; the nearest file is named where there is one. A corpus can be a list of files, but no folder.",
    example: Example::Config {
        wrong: r#"{"data": {"train": {"input": {"source": "trian.src"}}}}"#,
        right: r#"{"data": {"train": {"input": {"source": "train.src"}}}}"#,
    },
};

pub(in crate::error_code) const NOT_TEXT: Page = Page {
    title: "a corpus file is not text in UTF-8, one sentence a line",
    kind: Error,
    meaning: "The named byte cannot stand there in UTF-8, the file is in UTF-16 or UTF-32, or a line is so long that the file \
              has no lines. Replacing what cannot be read would make words that no one wrote, and shift nothing visibly.",
    mend: "Convert the file: `iconv -f LATIN1 -t UTF-8 old > new`, with the encoding that it has; or repair the line. \
           Compressed files are unpacked first.",
    example: Example::Console {
        wrong: "file train.src    # ISO-8859 text",
        right: "file train.src    # UTF-8 Unicode text",
    },
};

pub(in crate::error_code) const LINE_COUNTS: Page = Page {
    title: "the sides of a corpus differ in their number of lines or files",
    kind: Error,
    meaning: "Line i of the target translates line i of the source. If the numbers differ, a line was lost or split \
              somewhere, and every pair after it is wrong; training would learn from pairs that are none.",
    mend: "Find where the sides part: `paste train.src train.tgt | less`. Text that was cleaned side by side must be cleaned \
           in pairs. Lists of files need equally many files on both sides.",
    example: Example::Config {
        wrong: r#"{"data": {"train": {"input": {"source": ["train.src", "valid.src"], "target": "train.tgt"}}}}"#,
        right: r#"{"data": {"train": {"input": {"source": ["train.src", "valid.src"], "target": ["train.tgt", "valid.tgt"]}}}}"#,
    },
};

pub(in crate::error_code) const NO_PAIRS: Page = Page {
    title: "no pairs are left to work on",
    kind: Error,
    meaning: "A file has no lines, all its targets are empty, all pairs are longer than `data.max_length`, or `data.split` \
              leaves one of its parts without a pair.",
    mend: "Check that the right files are named, raise `data.max_length`, or give validation files in place of a split of so \
           few pairs. A corpus that has hundreds of words a line has perhaps not been split into sentences.",
    example: Example::Config {
        wrong: r#"{"data": {"max_length": 1}}"#,
        right: r#"{"data": {"max_length": 100}}"#,
    },
};

pub(in crate::error_code) const CORPUS_CHANGED: Page = Page {
    title: "a corpus file was changed while it was read",
    kind: Error,
    meaning: "Files are read more than once: to check them, to count their words, to encode them. What was read the second \
              time is not what was checked.",
    mend: "Start again when nothing writes to the file. A pipe can be given once only; write it to a file.",
    example: Example::Words,
};

pub(in crate::error_code) const TOO_LONG: Page = Page {
    title: "a sentence, corpus or vocabulary is too long",
    kind: Error,
    meaning: "A component has a largest number of positions, a batch a largest number of tokens, a vocabulary a largest \
              number of words, and the named one has more. Cutting a sentence off would make it another one.",
    mend: "Leave out long training pairs by `data.max_length`, raise the limit that the message names, or limit vocabularies \
           by `system.data_processing.vocab.max_size`.",
    example: Example::Config {
        wrong: r#"{"trainer": {"max_tokens_per_batch": 3}}"#,
        right: r#"{"trainer": {"max_tokens_per_batch": 2048}}"#,
    },
};

pub(in crate::error_code) const POST_EDITS: Page = Page {
    title: "post-edits are needed and not given",
    kind: Error,
    meaning: "A part of the system reads the target as a person corrected it, as `TLMOutputs` does with `fine_tune`. Every \
              corpus then needs that third file.",
    mend: "Give `data.train.input.pe` and the same of every validation set (on the command line `--pe`), or turn the option \
           off.",
    example: Example::Config {
        wrong: r#"{"system": {"model": {"tlm_outputs": {"fine_tune": true}}}}"#,
        right: r#"{"system": {"model": {"tlm_outputs": {"fine_tune": false}}}}"#,
    },
};

pub(in crate::error_code) const VOCABULARY: Page = Page {
    title: "a vocabulary cannot be used",
    kind: Error,
    meaning: "The vocabulary of a saved system is damaged, or is another than the config asks for: one for each side, where \
              the config wants one for both.",
    mend: "Use another copy of the system, or set `system.data_processing.share_input_fields_encoders` as the system has it.",
    example: Example::Words,
};

pub(in crate::error_code) const ODD_TEXT: Page = Page {
    title: "something in a corpus is odd",
    kind: Warning,
    meaning: "The text can be used and has what good text seldom has: empty lines, control characters, words that look like \
              special tokens, lone carriage returns. The first places are named.",
    mend: "Look at the places. If the text is as it should be, nothing needs to be done.",
    example: Example::Words,
};

pub(in crate::error_code) const PAIRS_LEFT_OUT: Page = Page {
    title: "training pairs are left out for their length",
    kind: Warning,
    meaning: "Pairs with a sentence longer than `data.max_length` are not trained on, as the config asks. How many, and which \
              is the first, is said so that nothing is left out silently.",
    mend: "Nothing, if that is what you want; else raise `data.max_length`.",
    example: Example::Config {
        wrong: r#"{"data": {"max_length": 7}}"#,
        right: r#"{"data": {"max_length": null}}"#,
    },
};

pub(in crate::error_code) const CACHE: Page = Page {
    title: "the cache of encoded corpora cannot be used",
    kind: Warning,
    meaning: "What was computed of large corpora is kept in a directory for the next run. It cannot be written or was \
              damaged. The run goes on and computes anew, which costs time and nothing else.",
    mend: "Make room or rights in the directory that is named, or name another by KIWI_CACHE_DIR.",
    example: Example::Words,
};
