//! Files as nobody should have them: odd characters, lines and kinds of files. Each is read by the rules or refused with its
//! name, never guessed at, and nothing panics, waits for ever or fills the memory.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use kiwi_text::{
    Batch, EncodedCorpus, Field, Limits, ParallelCorpus, ParallelFiles, Result, Vocabularies, Vocabulary,
};

use crate::common::{Folder, open};

fn encode(corpus: &ParallelCorpus) -> EncodedCorpus {
    let fit = |field| Arc::new(Vocabulary::fit(corpus, &[field], Limits::default()).unwrap().vocabulary);
    EncodedCorpus::encode(corpus, &Vocabularies { source: fit(Field::Source), target: fit(Field::Target) })
        .unwrap()
}

/// The types of a text in the order of their ids, the special tokens left out.
fn types(folder: &Folder, text: impl AsRef<[u8]>) -> Vec<String> {
    let path = folder.write("text", text);
    let corpus = open(std::slice::from_ref(&path), std::slice::from_ref(&path)).unwrap();
    let fitted = Vocabulary::fit(&corpus, &[Field::Source], Limits::default()).unwrap();
    fitted.vocabulary.words()[5..].to_vec()
}

/// The file on both sides.
fn twice(path: &Path) -> Result<ParallelCorpus> {
    open(&[path.to_owned()], &[path.to_owned()])
}

#[test]
fn a_last_line_without_an_end_is_a_line() {
    let folder = Folder::new();
    for text in ["a\nb\nc\nd", "a\nb\nc\nd\n", "a\r\nb\r\nc\r\nd\r\n", "a\nb\r\nc\nd"] {
        let corpus = folder.pair(text, "A\nB\nC\nD").unwrap();
        assert_eq!(corpus.pairs(), 4);
        assert!(encode(&corpus).notes().messages().is_empty());
    }
    // An empty line at the end is one, and so is one of white space.
    assert_eq!(folder.pair("a\n\n", "A\n \u{a0}").unwrap().pairs(), 2);
}

#[test]
fn only_white_space_separates_words() {
    let folder = Folder::new();
    assert_eq!(
        types(&folder, "a\u{a0}b\u{202f}c\u{3000}d\u{2028}e\u{85}f\u{c}g\u{b}h\u{1c}i\tj"),
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    );
    assert_eq!(types(&folder, "a\u{200b}b a\u{200c}b a\u{2060}b a\u{feff}b a\u{ad}b a\u{180e}b").len(), 6);
    // Neither case nor composition is changed.
    assert_eq!(types(&folder, "É é e\u{301} é"), ["é", "e\u{301}", "É"]);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_change_no_word() {
    let folder = Folder::new();
    let plain = types(&folder, "ein Kiwi\nzwei Kiwis\n");
    assert_eq!(types(&folder, "\u{feff}ein Kiwi\r\nzwei Kiwis\r\n"), plain);
    assert_eq!(types(&folder, "ein\rKiwi\r\r\nzwei Kiwis\r"), plain);
    // Within the text the mark is part of a word.
    assert_eq!(types(&folder, "a\n\u{feff}a\n"), ["a", "\u{feff}a"]);
}

#[test]
fn nul_bytes_are_noted() {
    let folder = Folder::new();
    let corpus = folder.pair("a\nb\0c \0\nd e f g h i\n", "A\nB\nC\0\n").unwrap();
    let encoded = encode(&corpus);
    assert_eq!(encoded.sentence(1, Field::Source).len(), 2);
    let messages: Vec<String> =
        encoded.notes().messages().iter().map(|message| folder.shorten(message)).collect();
    assert_eq!(
        messages,
        [
            "2 NUL characters in 1 source line are read as part of words: no text has them, so the file may be damaged, at \
         train.src:2",
            "1 NUL character in 1 target line is read as part of words: no text has them, so the file may be damaged, at \
         train.tgt:3",
        ]
    );
}

#[test]
fn a_line_of_megabytes_is_a_sentence() {
    let folder = Folder::new();
    let words = 200_000;
    let path = folder.write("long", "ab\n".to_owned() + &"ä b ".repeat(words / 2) + "\ncd");
    let corpus = twice(&path).unwrap();
    let encoded = encode(&corpus);
    assert_eq!(encoded.longest(Field::Target), Some((1, words)));
    assert_eq!(Batch::new(&encoded, &[0, 1]).source.width, words + 2);
    let one_word = folder.write("word", "x".repeat(5 << 20));
    let corpus = twice(&one_word).unwrap();
    assert_eq!(encode(&corpus).sentence(0, Field::Source), [5]);
    let (_, dropped) = twice(&path).unwrap().within_lengths(Some(10), None).unwrap();
    assert_eq!(dropped.dropped.count, 1);
}

#[test]
fn an_error_far_into_a_large_file_has_its_place() {
    let folder = Folder::new();
    let lines = 500_000;
    let mut text: Vec<u8> = (0..lines).flat_map(|line| format!("Satz {line:07} ä\n").into_bytes()).collect();
    let line_bytes = text.len() / lines;
    let at = line_bytes * 456_788 + 6;
    text[at] = 0xFC;
    let message = folder.message(folder.pair(&text, "a"));
    let expected = format!(
        "train.src, line 456789: byte 7 of the line (byte {} of the file) is 0xFC, which is not UTF-8 there",
        at + 1
    );
    assert!(message.starts_with(&expected), "{message}");
    text[at] = b'7';
    text.truncate(text.len() - 2);
    let message = folder.message(folder.pair(&text, "a"));
    assert!(message.contains("line 500000: byte 14 of the line"), "{message}");
}

#[test]
fn a_large_corpus_that_changes_is_refused() {
    let folder = Folder::new();
    let text: String = (0..260_000).map(|line| format!("Satz {line:07} ...\n")).collect();
    let source = folder.write("train.src", &text);
    let corpus = twice(&source).unwrap();
    let vocabulary =
        Vocabulary::fit(&corpus, &[Field::Source], Limits { max_size: Some(9), ..Limits::default() });
    let vocabularies = Vocabularies::shared(vocabulary.unwrap().vocabulary);
    fs::OpenOptions::new().write(true).open(&source).unwrap().set_len((4 << 20) + 100).unwrap();
    let encode = folder.message(EncodedCorpus::encode(&corpus, &vocabularies));
    assert!(encode.starts_with("train.src was changed while it was being read ("), "{encode}");
    let limits = folder.message(corpus.within_lengths(Some(5), None));
    assert!(limits.starts_with("train.src was changed while it was being read ("), "{limits}");
    let fit = folder.message(Vocabulary::fit(&corpus, &[Field::Source], Limits::default()));
    assert!(fit.starts_with("train.src was changed while it was being read ("), "{fit}");
    // Grown instead, with every line where it was.
    let corpus = twice(&source).unwrap();
    fs::OpenOptions::new().append(true).open(&source).unwrap().write_all(b"more\n").unwrap();
    let grown = folder.message(EncodedCorpus::encode(&corpus, &vocabularies));
    assert!(grown.contains("(its size is another)"), "{grown}");
}

#[test]
fn thousands_of_files_are_one_corpus() {
    // More than a process may have open, together larger than what is held.
    let folder = Folder::new();
    let files: Vec<PathBuf> = (0..1500)
        .map(|file| folder.write(&format!("{file}"), format!("Satz {file}\n") + &"wort ".repeat(700)))
        .collect();
    let corpus = open(&files, &files).unwrap();
    let encoded = encode(&corpus);
    assert_eq!((corpus.pairs(), encoded.running_words(Field::Source)), (3000, 1500 * 702));
    assert_eq!(encoded.location(2999, Field::Target).unwrap().file, files[1499]);
}

#[test]
fn what_is_no_file_is_named() {
    let folder = Folder::new();
    let good = folder.write("good", "a\n");
    let with = |path: PathBuf| folder.message(open(&[path], std::slice::from_ref(&good)));
    for device in ["/dev/zero", "/dev/null", "/dev/tty"] {
        let message = with(PathBuf::from(device));
        assert!(message.starts_with(&format!("{device} is a device")), "{message}");
    }
    symlink("nowhere/at/all", folder.path("dangling")).unwrap();
    assert_eq!(
        with(folder.path("dangling")),
        "dangling is a symbolic link to nowhere/at/all, which does not exist; repair the link"
    );
    symlink(folder.path("b"), folder.path("a")).unwrap();
    symlink(folder.path("a"), folder.path("b")).unwrap();
    let circle = with(folder.path("a"));
    assert!(circle.starts_with("a cannot be read: ") && circle.contains("symbolic links"), "{circle}");
    symlink(&good, folder.path("link")).unwrap();
    assert_eq!(twice(&folder.path("link")).unwrap().pairs(), 1);
    let _socket = UnixListener::bind(folder.path("socket")).unwrap();
    assert!(with(folder.path("socket")).starts_with("socket cannot be read: "));
    assert!(with(PathBuf::from("")).contains("does not exist"));
    assert!(with(folder.path(&"x".repeat(300))).contains("cannot be read: "));
    // Says that it has no bytes, and has some.
    assert!(twice(Path::new("/proc/self/status")).is_ok());
}

#[test]
fn names_that_are_no_text_are_names() {
    let folder = Folder::new();
    let name = folder.root().join(OsStr::from_bytes(b"train\xff.src"));
    fs::write(&name, "a\nb\n").unwrap();
    assert_eq!(twice(&name).unwrap().pairs(), 2);
    let message = folder.message(open(&[name], &[folder.write("one", "a\n")]));
    assert!(message.starts_with("train\u{fffd}.src has 2 lines but one has 1"), "{message}");
    let missing = folder.root().join(OsStr::from_bytes(b"train\xfe.src"));
    assert!(folder.message(twice(&missing)).contains("does not exist; did you mean train"));
}

fn pipe(folder: &Folder, name: &str) -> PathBuf {
    let pipe = folder.path(name);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

#[test]
fn a_pipe_is_read_once() {
    let folder = Folder::new();
    let pipe = pipe(&folder, "pipe");
    symlink(&pipe, folder.path("other-name")).unwrap();
    let message = folder.message(open(std::slice::from_ref(&pipe), &[folder.path("other-name")]));
    assert_eq!(
        message,
        "other-name is a pipe and is given twice, but what comes from it can be read only once; write it to a file and give \
         that"
    );
    let files = ParallelFiles {
        source: vec![pipe.clone(), pipe.clone()],
        target: vec![folder.write("a", "a"), folder.write("b", "b")],
        post_edit: None,
    };
    assert!(folder.message(ParallelCorpus::open(&files)).contains("pipe is a pipe and is given twice"));
    // A pipe that was closed without a word is an empty file.
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || drop(fs::OpenOptions::new().write(true).open(pipe).unwrap())
    });
    let message = folder.message(open(&[pipe], &[folder.write("a", "a")]));
    writer.join().unwrap();
    assert!(message.starts_with("pipe has 0 lines"), "{message}");
}

#[test]
fn words_like_specials_are_counted_once_a_line() {
    let folder = Folder::new();
    let corpus = folder.pair("<bos> a <eos>\nb\n<unaligned> <unk>\n", "A\n<pad>\n<unk>x\n").unwrap();
    let notes = encode(&corpus).notes().clone();
    let counts: Vec<(Field, usize, usize)> =
        notes.specials.iter().map(|(field, words, lines)| (*field, *words, lines.count)).collect();
    assert_eq!(counts, [(Field::Source, 4, 2), (Field::Target, 1, 1)]);
}
