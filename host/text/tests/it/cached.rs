//! The cache: what it gives equals what is made without it, whatever stands in its directory and whatever happens to it.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use kiwi_text::{
    Cache, CacheOutcome, EncodedCorpus, Field, Fitted, Limits, ParallelCorpus, Vocabularies, Vocabulary,
};
use proptest::prelude::*;

use crate::common::{Folder, cases, open};

const LIMITS: Limits = Limits { min_frequency: 2, max_size: Some(20) };

/// A corpus with something of everything that is noted.
fn corpus(folder: &Folder) -> ParallelCorpus {
    let side = |step: usize| -> String {
        (0..300)
            .map(|line| match line {
                7 => "\n".to_owned(),
                9 => "<pad> a\rb \0\n".to_owned(),
                line => {
                    (0..line * step % 9).map(|word| format!("w{} ", word * line % 40)).collect::<String>()
                        + "\n"
                }
            })
            .collect()
    };
    folder.pair(side(5), side(7)).unwrap()
}

/// A cache that keeps corpora of any size.
fn cache(directory: &Path) -> Cache {
    Cache::new(directory).with_smallest_corpus(0)
}

fn fit(corpus: &ParallelCorpus) -> Vocabularies {
    let fit = |field| Arc::new(Vocabulary::fit(corpus, &[field], LIMITS).unwrap().vocabulary);
    Vocabularies { source: fit(Field::Source), target: fit(Field::Target) }
}

fn assert_same(corpus: &EncodedCorpus, expected: &EncodedCorpus) {
    assert_eq!(corpus.pairs(), expected.pairs());
    assert_eq!(corpus.notes(), expected.notes());
    assert_eq!(corpus.bytes(), expected.bytes());
    for field in expected.fields() {
        assert_eq!(corpus.running_words(field), expected.running_words(field));
        assert_eq!(corpus.unknown_words(field), expected.unknown_words(field));
        assert_eq!(corpus.longest(field), expected.longest(field));
        for pair in 0..expected.pairs() {
            assert_eq!(corpus.sentence(pair, field), expected.sentence(pair, field));
            assert_eq!(corpus.location(pair, field), expected.location(pair, field));
        }
    }
}

fn assert_same_fit(fitted: &Fitted, expected: &Fitted) {
    assert_eq!((&fitted.vocabulary, fitted.statistics), (&expected.vocabulary, expected.statistics));
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn found(outcome: &CacheOutcome) -> bool {
    assert_eq!(outcome.warning(), None);
    matches!(outcome, CacheOutcome::Found { .. })
}

#[test]
fn what_was_made_before_is_found() {
    let folder = Folder::new();
    let directory = folder.path("deep/cache");
    let corpus = corpus(&folder);
    let vocabularies = fit(&corpus);
    let expected = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    assert_eq!(expected.notes().messages().len(), 6 + 1);
    for again in [false, true] {
        let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap();
        assert_eq!(found(&encoded.outcome), again);
        assert_same(&encoded.value, &expected);
    }
    assert_eq!(files(&directory).len(), 1);
    for (at, limits) in
        [LIMITS, Limits::default(), Limits { min_frequency: 3, max_size: None }].into_iter().enumerate()
    {
        for fields in [&[Field::Source][..], &Vocabularies::SHARED] {
            let fitted = cache(&directory).fit(&corpus, fields, limits).unwrap();
            // One file serves all limits.
            assert_eq!(found(&fitted.outcome), at > 0);
            assert_same_fit(&fitted.value, &Vocabulary::fit(&corpus, fields, limits).unwrap());
        }
    }
    assert_eq!(files(&directory).len(), 3);
    for file in files(&directory) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn files_belong_to_content() {
    let folder = Folder::new();
    let directory = folder.path("cache");
    let first = corpus(&folder);
    let vocabularies = fit(&first);
    let encode = |corpus: &ParallelCorpus, vocabularies: &Vocabularies| {
        let encoded = cache(&directory).encode(corpus, vocabularies).unwrap();
        assert_same(&encoded.value, &EncodedCorpus::encode(corpus, vocabularies).unwrap());
        found(&encoded.outcome)
    };
    assert!(!encode(&first, &vocabularies));
    // The same bytes under other names: the places in notes are those of the new names.
    let (source, target) = (folder.path("train.src"), folder.path("train.tgt"));
    let (copy, target_copy) = (folder.path("copy.src"), folder.path("copy.tgt"));
    fs::copy(&source, &copy).unwrap();
    fs::copy(&target, &target_copy).unwrap();
    assert!(encode(
        &open(std::slice::from_ref(&copy), std::slice::from_ref(&target_copy)).unwrap(),
        &vocabularies
    ));
    // Other vocabularies, other pairs, other files.
    assert!(!encode(&first, &Vocabularies { source: vocabularies.target.clone(), ..vocabularies.clone() }));
    assert!(!encode(&first.split(0.5, 1).unwrap().0, &vocabularies));
    assert!(!encode(&first.split(0.5, 2).unwrap().0, &vocabularies));
    assert!(encode(&first.split(0.5, 1).unwrap().0, &vocabularies));
    assert!(!encode(&first.within_lengths(Some(4), None).unwrap().0, &vocabularies));
    // Limits that drop nothing choose the same pairs.
    assert!(encode(&first.within_lengths(Some(40), None).unwrap().0, &vocabularies));
    let mut text = fs::read(&copy).unwrap();
    let last_digit = text.iter().rposition(u8::is_ascii_digit).unwrap();
    text[last_digit] ^= 1;
    fs::write(&copy, text).unwrap();
    assert!(!encode(&open(&[copy], &[target_copy]).unwrap(), &vocabularies));
    // Ends of files count: they are ends of lines, too.
    let two = |a: &str, b: &str| {
        let parts = [folder.write("1", a), folder.write("2", b)];
        ParallelCorpus::open(&kiwi_text::ParallelFiles {
            source: parts.to_vec(),
            target: parts.to_vec(),
            post_edit: None,
        })
        .unwrap()
    };
    assert_ne!(two("a\n", "b\n").content_hash(), two("a\nb", "\n").content_hash());
    assert_eq!(two("a\n", "b\n").content_hash(), two("a\n", "b\n").content_hash());
}

#[test]
fn an_encoded_corpus_needs_neither_text_nor_name() {
    let folder = Folder::new();
    let directory = folder.path("cache");
    let corpus = corpus(&folder);
    let vocabularies = fit(&corpus);
    let expected = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap().value;
    drop(corpus);
    fs::write(folder.path("train.src"), "something else\n").unwrap();
    fs::remove_file(folder.path("train.tgt")).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert_same(&encoded, &expected);
}

/// Ways to spoil a file, and what is then said of it.
fn spoil(file: &Path, way: usize) -> &'static str {
    let size = file.metadata().unwrap().len();
    let handle = || fs::OpenOptions::new().write(true).open(file).unwrap();
    let flip = |at: u64| {
        let mut byte = [0];
        fs::File::open(file).unwrap().read_exact_at(&mut byte, at).unwrap();
        handle().write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    };
    match way {
        0 => handle().set_len(size - 1).unwrap(),
        1 => handle().set_len(100).unwrap(),
        2 => handle().set_len(0).unwrap(),
        3 => handle().set_len(size + 8).unwrap(),
        4 => fs::write(file, vec![b'x'; size as usize]).unwrap(),
        5 => flip(8),
        6 => flip(40),
        7 => flip(size / 2),
        8 => flip(size - 1),
        _ => fs::remove_file(file).unwrap(),
    }
    match way {
        0..=3 => "it is not complete",
        4 => "it is no file of this cache",
        5 => "it has version 17 of its form, not 1",
        _ => "it is damaged",
    }
}

#[test]
fn what_is_not_whole_is_made_anew() {
    let folder = Folder::new();
    let directory = folder.path("cache");
    let corpus = corpus(&folder);
    let vocabularies = fit(&corpus);
    let expected = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    let fitted = Vocabulary::fit(&corpus, &[Field::Target], LIMITS).unwrap();
    cache(&directory).encode(&corpus, &vocabularies).unwrap();
    cache(&directory).fit(&corpus, &[Field::Target], LIMITS).unwrap();
    let files = files(&directory);
    for way in 0..10 {
        let reasons: Vec<&str> = files.iter().map(|file| spoil(file, way)).collect();
        let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap();
        assert_same(&encoded.value, &expected);
        let counted = cache(&directory).fit(&corpus, &[Field::Target], LIMITS).unwrap();
        assert_same_fit(&counted.value, &fitted);
        let warnings = [counted.outcome.warning(), encoded.outcome.warning()];
        for ((warning, file), reason) in warnings.into_iter().zip(&files).zip(reasons) {
            let expected = format!("{} could not be used ({reason}) and was made anew", file.display());
            assert_eq!(warning, (way < 9).then_some(expected), "way {way}");
        }
        assert!(found(&cache(&directory).encode(&corpus, &vocabularies).unwrap().outcome));
    }
    // Whole, but of something else.
    fs::copy(&files[0], &files[1]).unwrap();
    let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap();
    assert_same(&encoded.value, &expected);
    assert!(encoded.outcome.warning().unwrap().contains("(it belongs to another corpus)"));
}

#[test]
fn where_nothing_can_be_kept_it_is_made_in_memory() {
    let folder = Folder::new();
    let corpus = corpus(&folder);
    let vocabularies = fit(&corpus);
    let expected = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    let locked = folder.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let mut directories = vec![folder.write("file", "").join("cache"), PathBuf::from("/proc/kiwi")];
    // Root may write everywhere.
    if fs::write(locked.join("probe"), "").is_err() {
        directories.push(locked);
    }
    for directory in directories {
        let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap();
        assert_same(&encoded.value, &expected);
        let warning = encoded.outcome.warning().unwrap();
        assert!(
            warning.contains(" cannot be kept (") && warning.contains("is in memory instead"),
            "{warning}"
        );
        let fitted = cache(&directory).fit(&corpus, &[Field::Source], LIMITS).unwrap();
        assert_same_fit(&fitted.value, &Vocabulary::fit(&corpus, &[Field::Source], LIMITS).unwrap());
        assert!(matches!(fitted.outcome, CacheOutcome::NotKept { .. }));
    }
}

#[test]
fn small_corpora_are_not_kept() {
    let folder = Folder::new();
    let directory = folder.path("cache");
    let corpus = corpus(&folder);
    let bytes = corpus.bytes();
    let vocabularies = fit(&corpus);
    for (smallest, kept) in [(Cache::SMALLEST_CORPUS, false), (bytes + 1, false), (bytes, true)] {
        let cache = Cache::new(&directory).with_smallest_corpus(smallest);
        let outcome = cache.encode(&corpus, &vocabularies).unwrap().outcome;
        assert_eq!(matches!(outcome, CacheOutcome::NotNeeded), !kept);
        assert_eq!(directory.exists(), kept);
    }
}

#[test]
fn the_longest_unused_are_removed_and_nothing_else() {
    let folder = Folder::new();
    let directory = folder.path("cache");
    let corpus = corpus(&folder);
    let vocabularies = fit(&corpus);
    let part = |seed| corpus.split(0.5, seed).unwrap().0;
    let age = |file: &Path, hours: u64| {
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    };
    let use_part = |cache: &Cache, seed| {
        let outcome = cache.encode(&part(seed), &vocabularies).unwrap().outcome;
        match outcome {
            CacheOutcome::Found { file, bytes } | CacheOutcome::Written { file, bytes, .. } => (file, bytes),
            other => panic!("{other:?}"),
        }
    };
    let (first, bytes) = use_part(&cache(&directory), 1);
    let (second, _) = use_part(&cache(&directory), 2);
    for (name, hours) in [("notes.txt", 90), ("encoded-1.kiwi-cache", 90), (".x.kiwi-cache.partial", 1)] {
        let path = folder.write(&format!("cache/{name}"), vec![0; 1 << 20]);
        age(&path, hours);
    }
    let abandoned = folder.write("cache/.y.kiwi-cache.partial", "");
    age(&abandoned, 25);
    age(&first, 5);
    age(&second, 6);
    // Using a file makes it younger.
    assert_eq!(use_part(&cache(&directory), 2).0, second);
    let (third, _) = use_part(&cache(&directory).with_limit(bytes * 5 / 2), 3);
    assert!(!first.exists() && second.exists() && third.exists() && !abandoned.exists());
    assert_eq!(files(&directory).len(), 5);
    // One that is larger than the limit stays until the next is made.
    let (fourth, _) = use_part(&cache(&directory).with_limit(1), 4);
    assert!(!second.exists() && !third.exists() && fourth.exists());
    assert_eq!(files(&directory).len(), 4);
}

#[test]
fn several_may_make_the_same_at_once() {
    let folder = Folder::new();
    let directory = folder.path("cache");
    let corpus = corpus(&folder);
    let vocabularies = fit(&corpus);
    let expected = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap();
                    assert_eq!(encoded.outcome.warning(), None);
                    assert_same(&encoded.value, &expected);
                    let complete = |file: &PathBuf| file.extension().is_some_and(|end| end == "kiwi-cache");
                    if let Some(file) = files(&directory).into_iter().find(complete) {
                        // Whether it is still there does not matter.
                        let _ = fs::remove_file(file);
                    }
                }
            });
        }
    });
    assert!(files(&directory).iter().all(|file| file.extension().is_some_and(|end| end == "kiwi-cache")));
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn no_damage_changes_what_is_given(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        in_page in prop::collection::vec((0..4096_usize, any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let folder = Folder::new();
        let directory = folder.path("cache");
        let corpus = folder.pair("a b c\n\nd e\n", "A\nB C\n<unk>\n").unwrap();
        let vocabularies = fit(&corpus);
        cache(&directory).encode(&corpus, &vocabularies).unwrap();
        cache(&directory).fit(&corpus, &[Field::Target], LIMITS).unwrap();
        for file in files(&directory) {
            let mut bytes = fs::read(&file).unwrap();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            for (at, byte) in &in_page {
                bytes[*at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend_from_slice(&more);
            fs::write(&file, bytes).unwrap();
        }
        let encoded = cache(&directory).encode(&corpus, &vocabularies).unwrap();
        assert_same(&encoded.value, &EncodedCorpus::encode(&corpus, &vocabularies).unwrap());
        let fitted = cache(&directory).fit(&corpus, &[Field::Target], LIMITS).unwrap();
        assert_same_fit(&fitted.value, &Vocabulary::fit(&corpus, &[Field::Target], LIMITS).unwrap());
    }
}
