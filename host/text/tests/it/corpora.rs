//! What is refused, with the whole message; what is only noted; splits, length limits and lists of files.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use crate::common::{Folder, open};
use kiwi_text::{EncodedCorpus, Field, Limits, ParallelCorpus, ParallelFiles, UNK, Vocabularies, Vocabulary};

fn encode(corpus: &ParallelCorpus) -> EncodedCorpus {
    let fit = |field| Arc::new(Vocabulary::fit(corpus, &[field], Limits::default()).unwrap().vocabulary);
    EncodedCorpus::encode(corpus, &Vocabularies { source: fit(Field::Source), target: fit(Field::Target) })
        .unwrap()
}

fn sources(corpus: &ParallelCorpus) -> Vec<String> {
    let mut reader = corpus.side(Field::Source).unwrap().reader();
    (0..corpus.pairs()).map(|pair| reader.line(corpus.line(pair)).unwrap().to_owned()).collect()
}

#[test]
fn different_line_counts() {
    let folder = Folder::new();
    assert_eq!(
        folder.message(folder.pair("a\nb\nc\nd\n", "A\nB\nC\nD\nE")),
        "train.src has 4 lines but train.tgt has 5: line i of the target must belong to line i of the source; make both \
         anew from the same pairs"
    );
    assert!(
        folder.message(folder.pair("a\rb\rc\r\nd\n", "A\nB\nC\nD\n")).ends_with(
            "(only LF and CR LF end a line; the two files hold 2 carriage returns that do not, which some tools take for line ends)"
        )
    );
}

#[test]
fn corpora_without_a_line() {
    let folder = Folder::new();
    let needs = "0 lines: a corpus needs at least one pair of sentences, and each of its files a line";
    assert_eq!(folder.message(folder.pair("", "")), format!("train.src and train.tgt have {needs}"));
    assert_eq!(folder.message(folder.pair("", "A\n")), format!("train.src has {needs}"));
    assert_eq!(folder.message(folder.pair("a\n", "\u{feff}")), format!("train.tgt has {needs}"));
    // A list of files needs text in each.
    let (full, empty) = (folder.write("full", "a\n"), folder.write("empty", ""));
    let last_empty = folder.message(open(&[full.clone(), empty.clone()], &[full, empty]));
    assert_eq!(last_empty, format!("empty and empty have {needs}"));
    assert_eq!(folder.message(open(&[], &[])), "the list of source files is empty: give at least one file");
}

#[test]
fn bytes_that_are_not_utf8() {
    let folder = Folder::new();
    let latin = b"eins\nzwei\r\ndrei f\xfcr\nvier\n";
    assert_eq!(
        folder.message(folder.pair("a\nb\nc\nd\n", latin)),
        "train.tgt, line 3: byte 7 of the line (byte 18 of the file) is 0xFC, which is not UTF-8 there: a corpus must be \
         UTF-8; convert the file (`iconv -f LATIN1 -t UTF-8` if it is Latin-1) or repair the line"
    );
    let cut = folder.message(folder.pair(b"a\xe4\xb8", "b"));
    assert!(cut.starts_with("train.src, line 1: byte 2 of the line (byte 2 of the file) is 0xE4"), "{cut}");
}

#[test]
fn wide_encodings_are_named() {
    let folder = Folder::new();
    let little: Vec<u8> =
        "Guten Tag .\nIch heiße Ana .\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "Guten Tag .\nIch heiße Ana .\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
    for (bytes, encoding, evidence) in [
        (little.clone(), "UTF-16LE", "a zero in every second byte"),
        (big.clone(), "UTF-16BE", "a zero in every second byte"),
        (marked(&[0xff, 0xfe], &little), "UTF-16LE", "its byte order mark"),
        (marked(&[0xfe, 0xff], &big), "UTF-16BE", "its byte order mark"),
        (marked(&[0xff, 0xfe, 0, 0], b"a\0\0\0"), "UTF-32LE", "its byte order mark"),
    ] {
        let message = folder.message(folder.pair(bytes, "A\nB\n"));
        let expected = format!(
            "train.src is {encoding} text (told by {evidence}): a corpus must be UTF-8; convert it with"
        );
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    let source = folder.write("train.de", "a\n");
    let misspelt = folder.message(open(std::slice::from_ref(&source), &[folder.path("trian.de")]));
    assert_eq!(misspelt, "trian.de does not exist; did you mean train.de?");
    let elsewhere = folder.message(open(std::slice::from_ref(&source), &[folder.path("data/train.en")]));
    assert!(
        elsewhere.starts_with("data/train.en does not exist, nor does its folder; check the path"),
        "{elsewhere}"
    );
    let beneath_a_file = folder.message(open(std::slice::from_ref(&source), &[folder.path("train.de/en")]));
    assert!(
        beneath_a_file.starts_with("train.de/en does not exist, nor does its folder"),
        "{beneath_a_file}"
    );
    let directory = folder.message(open(&[folder.root().join(".")], std::slice::from_ref(&source)));
    assert!(directory.contains(" is a folder: a corpus is a text file"), "{directory}");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything.
    if fs::read(&source).is_err() {
        let message = folder.message(open(&[source], &[]));
        assert!(message.starts_with("train.de cannot be read: "), "{message}");
    }
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::write(pipe, "ein Wort\nzwei\n").unwrap())
    };
    let corpus = open(&[pipe], &[folder.write("train.tgt", "one word\ntwo")]).unwrap();
    writer.join().unwrap();
    assert_eq!(sources(&corpus), ["ein Wort", "zwei"]);
}

#[test]
fn lists_of_files_are_joined_and_checked_one_by_one() {
    let folder = Folder::new();
    let (a, b) = (folder.write("a.src", "\u{feff}eins\nzwei"), folder.write("b.src", "\u{feff}drei\r\n"));
    let (c, d) = (folder.write("a.tgt", "one\ntwo\n"), folder.write("b.tgt", "three"));
    let corpus = open(&[a.clone(), b.clone()], &[c.clone(), d.clone()]).unwrap();
    assert_eq!(sources(&corpus), ["eins", "zwei", "drei"]);
    let location = corpus.location(2, Field::Target).unwrap();
    assert_eq!((location.file, location.line), (d.clone(), 1));
    assert_eq!(corpus.location(1, Field::Source).unwrap().to_string(), format!("{}:2", a.display()));
    // The sums agree, the files do not.
    let crossed = folder.message(open(&[a.clone(), b], &[d, c.clone()]));
    assert!(crossed.starts_with("a.src has 2 lines but b.tgt has 1: "), "{crossed}");
    let unequal = folder.message(open(&[a.clone(), a], &[c]));
    assert!(unequal.starts_with("2 source files but 1 target files: "), "{unequal}");
}

#[test]
fn notes_count_pairs_and_name_the_first_places() {
    let folder = Folder::new();
    let corpus = folder.pair("a\n \u{3000}\t\nb\rc\r\nd <pad> <pad>\n\n", "A\n\u{a0}\nB\nC\nD\n").unwrap();
    let encoded = encode(&corpus);
    let messages: Vec<String> =
        encoded.notes().messages().iter().map(|message| folder.shorten(message)).collect();
    assert_eq!(
        messages,
        [
            "2 of 5 pairs have a side without words (empty lines: 2 source, 1 target), at train.src:2, train.src:5; an empty \
             target adds nothing to the loss",
            "2 source words in 1 line are spelled like special tokens, at train.src:4; they get the special token's id, and \
             `<pad>`, `<bos>` and `<eos>` count neither in the loss nor in the metrics",
            "1 carriage return in 1 source line ends no line (only LF and CR LF do) and is read as white space, at train.src:3",
        ]
    );
    assert!(encode(&folder.pair("a\r\nb", "A\nB").unwrap()).notes().messages().is_empty());
}

#[test]
fn notes_name_five_places_in_order_over_many_chunks() {
    let folder = Folder::new();
    let lines = 50_000;
    let source: String = (0..lines).map(|line| if line % 7000 == 6999 { "\n" } else { "a b\n" }).collect();
    let encoded = encode(&folder.pair(source, "A\n".repeat(lines)).unwrap());
    let pairs = &encoded.notes().empty.pairs;
    assert_eq!(pairs.count, 7);
    assert_eq!(
        pairs.first.iter().map(|place| place.line).collect::<Vec<_>>(),
        [7000, 14000, 21000, 28000, 35000]
    );
    assert!(pairs.places().ends_with("train.src:35000, …"));
    assert_eq!(encoded.running_words(Field::Source), 2 * (50_000 - 7));
    assert_eq!(encoded.sentence(49_998, Field::Source).len(), 2);
}

#[test]
fn splits_are_seeded_and_keep_pairs_together_and_in_order() {
    let folder = Folder::new();
    let side = |prefix: &str| (0..100).map(|line| format!("{prefix}{line:02}\n")).collect::<String>();
    let corpus = folder.pair(side("s"), side("t")).unwrap();
    let (training, validation) = corpus.split(0.75, 7).unwrap();
    assert_eq!((training.pairs(), validation.pairs()), (75, 25));
    let (first, second) = (sources(&training), sources(&validation));
    assert!(first.is_sorted() && second.is_sorted());
    let mut all = [first.clone(), second.clone()].concat();
    all.sort();
    assert_eq!(all, sources(&corpus));
    assert_ne!(second, all[75..], "a draw, not the tail");
    for pair in 0..validation.pairs() {
        let line = |field| {
            let mut reader = validation.side(field).unwrap().reader();
            reader.line(validation.line(pair)).unwrap().to_owned()
        };
        assert_eq!(line(Field::Source)[1..], line(Field::Target)[1..]);
        let number: usize = line(Field::Source)[1..].parse().unwrap();
        assert_eq!(validation.location(pair, Field::Target).unwrap().line, number + 1);
        assert_eq!(
            encode(&validation).location(pair, Field::Source),
            validation.location(pair, Field::Source)
        );
    }
    assert_eq!(sources(&corpus.split(0.75, 7).unwrap().0), first);
    assert_ne!(sources(&corpus.split(0.75, 8).unwrap().0), first);
    assert_eq!(
        folder.message(corpus.split(0.001, 7)),
        "a split of 0.001 of 100 pairs leaves 0 for training and 100 for validation, and both need at least one: choose a \
         share between 0.010 and 0.990, or give a validation set of its own"
    );
    for share in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(folder.message(corpus.split(share, 7)).contains("is not between 0 and 1"), "{share}");
    }
    // Vocabularies of a part hold its words only.
    let words = Vocabulary::fit(&validation, &[Field::Source], Limits::default()).unwrap();
    assert_eq!(words.statistics.types, 25);
}

#[test]
fn length_limits_drop_pairs_and_say_which() {
    let folder = Folder::new();
    let corpus = folder.pair("a b c\na\na b\na\n", "A\nA B C\nA B\nA\n").unwrap();
    let (kept, dropped) = corpus.within_lengths(Some(2), Some(2)).unwrap();
    assert_eq!(sources(&kept), ["a b", "a"]);
    assert_eq!((dropped.pairs, dropped.dropped.count), (4, 2));
    let places = folder.shorten(&dropped.dropped.places());
    assert_eq!(places, "train.src:1, train.tgt:2");
    assert_eq!(
        folder.shorten(&dropped.message().unwrap()),
        "2 of 4 pairs dropped: over max_length (source 2 words, target 2 words), first at train.src:1, train.tgt:2"
    );
    assert_eq!(kept.location(0, Field::Source).unwrap().line, 3);
    assert_eq!(corpus.within_lengths(None, None).unwrap().0.pairs(), 4);
    let message = folder.message(corpus.within_lengths(None, Some(0)));
    assert!(
        message.starts_with("all 4 pairs are longer than the length limits (target 0 words): "),
        "{message}"
    );
    let (kept, dropped) = corpus.within_lengths(None, Some(3)).unwrap();
    assert_eq!((kept.pairs(), dropped.message()), (4, None));
    let ten: String = (0..10).map(|line| "w ".repeat(if line % 4 == 1 { 61 } else { 60 }) + "\n").collect();
    let (kept, dropped) = folder.pair(&ten, &ten).unwrap().within_lengths(None, Some(60)).unwrap();
    assert_eq!(kept.pairs(), 7);
    assert_eq!(
        folder.shorten(&dropped.message().unwrap()),
        "3 of 10 pairs dropped: over max_length (target 60 words), first at train.tgt:2, train.tgt:6, train.tgt:10"
    );
}

#[test]
fn statistics_of_a_fit() {
    let folder = Folder::new();
    let corpus = folder.pair("a a a b b c d <unk> <pad>\n", "x\n").unwrap();
    let limits = Limits { min_frequency: 1, max_size: Some(2) };
    let fitted = Vocabulary::fit(&corpus, &[Field::Source], limits).unwrap();
    let statistics = fitted.statistics;
    assert_eq!((statistics.types, statistics.kept_types), (4, 2));
    assert_eq!((statistics.running_words, statistics.unknown_words), (9, 3));
    assert_eq!(&fitted.vocabulary.words()[5..], ["a", "b"]);
    let vocabulary = Arc::new(fitted.vocabulary);
    let encoded =
        EncodedCorpus::encode(&corpus, &Vocabularies { source: vocabulary.clone(), target: vocabulary })
            .unwrap();
    assert_eq!(encoded.unknown_words(Field::Source), statistics.unknown_words);
    assert_eq!(encoded.sentence(0, Field::Source), [5, 5, 5, 6, 6, UNK, UNK, UNK, 1]);
    assert_eq!(encoded.sentence(0, Field::Target), [UNK]);
    assert_eq!(encoded.longest(Field::Source), Some((0, 9)));
}

#[test]
fn post_edits_are_a_third_side() {
    let folder = Folder::new();
    let files = |post_edit: &str| ParallelFiles {
        source: vec![folder.write("a.src", "s t\nu\n")],
        target: vec![folder.write("a.mt", "v w\nx\n")],
        post_edit: Some(vec![folder.write("a.pe", post_edit)]),
    };
    let corpus = ParallelCorpus::open(&files("x v w\nw\n")).unwrap();
    assert!(corpus.fields().eq([Field::Source, Field::Target, Field::PostEdit]));
    let encoded = encode(&corpus);
    // The target's vocabulary holds: v, w, x.
    assert_eq!(encoded.sentence(0, Field::PostEdit), [7, 5, 6]);
    let batch = kiwi_text::Batch::new(&encoded, &[0, 1]);
    assert_eq!(batch.field(Field::PostEdit).unwrap().number_of_tokens, [3, 1]);
    assert_eq!(batch.longest_pair(), Some((0, 2, 2)));
    let message = folder.message(ParallelCorpus::open(&files("one line\n")));
    assert!(message.starts_with("a.src has 2 lines but a.pe has 1: line i of the pe must"), "{message}");
}
