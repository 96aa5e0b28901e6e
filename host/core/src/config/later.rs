//! What a config may say by its specification and this release cannot do yet: recognised, so that it is never called
//! unknown, and refused unless it asks for nothing. When a feature comes, its line goes.

/// A key whose feature is missing.
#[derive(Debug)]
pub(super) struct Later {
    /// Its JSON path; `*` stands for one part.
    pub(super) path: &'static str,
    /// The default, as JSON: the value that asks for nothing.
    pub(super) default: &'static str,
    /// What it would do, to be followed by "is not supported yet".
    pub(super) feature: &'static str,
}

const fn later(path: &'static str, default: &'static str, feature: &'static str) -> Later {
    Later { path, default, feature }
}

/// Keys whose every other value comes later.
pub(super) const KEYS: &[Later] = &[
    later("trainer.deterministic", "true", "choosing algorithms that may give other numbers each time"),
    later("system.data_processing.embeddings", "null", "reading pretrained word embeddings"),
    later(
        "system.data_processing.vocab.keep_rare_words_with_embeddings",
        "false",
        "keeping rare words that have pretrained embeddings",
    ),
    later(
        "system.data_processing.vocab.add_embeddings_vocab",
        "false",
        "adding the words of pretrained embeddings to a vocabulary",
    ),
];

/// The entry of the key at this path.
pub(super) fn key(path: &str) -> Option<&'static Later> {
    KEYS.iter().find(|later| matches(later.path, path))
}

/// The keys of the section at this path that come later.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |later| {
        let (parent, key) = later.path.rsplit_once('.')?;
        matches(parent, section).then_some(key)
    })
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('.');
    pattern.split('.').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
        && parts.next().is_none()
}
