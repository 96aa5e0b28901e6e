//! The files of a new plugin: those under `template/`, with names and paths filled in.

use std::path::Path;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::plugins::Kind;
use kiwi_plugin_metadata::API_VERSION;

use super::names;

/// What is filled in.
pub(super) struct Filling<'a> {
    pub(super) kind: Kind,
    /// The crate.
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    /// Directory of the plugin API.
    pub(super) api: &'a Path,
    /// Directory of libtorch.
    pub(super) libtorch: &'a Path,
}

/// A file: its path in the directory, and what is in it.
pub(super) type File = (&'static str, String);

/// What differs between kinds.
struct OfKind {
    library: &'static str,
    config: &'static str,
    summary: &'static str,
}

impl Filling<'_> {
    /// All files.
    ///
    /// # Errors
    /// When a path cannot be written into a file of text.
    pub(super) fn files(&self) -> Result<Vec<File>, Diagnostic> {
        let OfKind { library, config, summary } = of_kind(self.kind);
        let (api, libtorch) = (quoted(self.api)?, quoted(self.libtorch)?);
        let structure = names::struct_of(self.class, self.kind.name());
        let library_name = self.name.replace('-', "_");
        let fill = |text: &str| {
            [
                ("\"template api path\"", api.as_str()),
                ("\"template libtorch\"", &libtorch),
                ("template api version", API_VERSION),
                ("template summary", summary),
                ("template-name", self.name),
                ("template_name", &library_name),
                ("template_class", self.class),
                ("template_kind", self.kind.name()),
                ("TemplateStruct", &structure),
            ]
            .into_iter()
            .fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
        };
        Ok(vec![
            ("Cargo.toml", fill(include_str!("template/manifest.toml"))),
            // The versions that this host was built and tested with; cargo takes out what a plugin does not need.
            ("Cargo.lock", include_str!("../../../../../Cargo.lock").to_owned()),
            (".cargo/config.toml", fill(include_str!("template/cargo-config.toml"))),
            (".gitignore", include_str!("template/gitignore").to_owned()),
            ("README.md", fill(include_str!("template/README.md"))),
            ("build.rs", include_str!("template/build.rs").to_owned()),
            ("src/lib.rs", fill(library)),
            ("config.json", fill(config)),
            ("data/train.src", include_str!("template/data/train.src").to_owned()),
            ("data/train.tgt", include_str!("template/data/train.tgt").to_owned()),
            ("data/valid.src", include_str!("template/data/valid.src").to_owned()),
            ("data/valid.tgt", include_str!("template/data/valid.tgt").to_owned()),
        ])
    }
}

fn of_kind(kind: Kind) -> OfKind {
    match kind {
        // A system is no component: no command line asks for one.
        Kind::Encoder | Kind::System => OfKind {
            library: include_str!("template/encoder.rs"),
            config: include_str!("template/encoder.json"),
            summary: "Predicts each word from its neighbours and the mean source word",
        },
        Kind::Head => OfKind {
            library: include_str!("template/head.rs"),
            config: include_str!("template/head.json"),
            summary: "Cross-entropy of each target word, with label smoothing",
        },
        Kind::Optimizer => OfKind {
            library: include_str!("template/optimizer.rs"),
            config: include_str!("template/optimizer.json"),
            summary: "Steps by the sign of a running mean of gradients (Lion)",
        },
        Kind::Metric => OfKind {
            library: include_str!("template/metric.rs"),
            config: include_str!("template/metric.json"),
            summary: "Share of words more probable than all others together (max)",
        },
    }
}

/// A path as a string of TOML, whose escapes are those of JSON.
fn quoted(path: &Path) -> Result<String, Diagnostic> {
    match path.to_str() {
        Some(path) => Ok(serde_json::Value::from(path).to_string()),
        None => {
            Err(Diagnostic::error(Code::NotUnicode, "a path that is not UTF-8 cannot stand in Cargo.toml")
                .found(path.display().to_string())
                .expected("a path of UTF-8")
                .help("move the directory"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KINDS: [Kind; 4] = [Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric];

    fn filled(kind: Kind) -> Vec<File> {
        let (api, libtorch) = (Path::new("/a \"b\"/api"), Path::new("/torch"));
        Filling { kind, name: "bag-of-words", class: "bow_2", api, libtorch }.files().unwrap()
    }

    fn file(files: &[File], name: &str) -> String {
        files.iter().find(|(known, _)| *known == name).unwrap().1.clone()
    }

    #[test]
    fn everything_is_filled_in() {
        for kind in KINDS {
            let files = filled(kind);
            for (name, text) in files.iter().filter(|(name, _)| *name != "Cargo.lock") {
                assert!(!text.to_lowercase().contains("template"), "{kind}: {name}");
            }
            assert!(file(&files, "Cargo.toml").contains(r#"path = "/a \"b\"/api" }"#));
            assert!(file(&files, ".cargo/config.toml").contains("LIBTORCH = { value = \"/torch\""));
            assert!(file(&files, "README.md").contains("libbag_of_words.so"));
            let library = file(&files, "src/lib.rs");
            assert!(library.contains("CLASS_NAME: &'static str = \"bow_2\""));
            assert!(library.contains(&format!("register!({kind} Bow2);")), "{library}");
            assert!(file(&files, "config.json").contains("\"bow_2\""));
        }
    }

    #[test]
    fn sides_of_a_corpus_have_as_many_lines() {
        let files = filled(Kind::Encoder);
        let lines = |name| file(&files, name).lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!((lines("data/train.src"), lines("data/train.tgt")), (48, 48));
        assert_eq!((lines("data/valid.src"), lines("data/valid.tgt")), (8, 8));
    }

    #[test]
    fn versions_are_those_of_the_workspace() {
        let manifest = file(&filled(Kind::Metric), "Cargo.toml");
        let workspace = include_str!("../../../../../Cargo.toml");
        for (key, prefix) in [
            ("tch", "tch = "),
            ("schemars", "schemars = "),
            ("serde", "serde = "),
            ("rust", "rust-version = "),
            ("edition", "edition = "),
        ] {
            let line = workspace.lines().find(|line| line.starts_with(prefix)).unwrap();
            assert!(manifest.lines().any(|ours| ours == line), "{key}: {line}");
        }
    }
}
