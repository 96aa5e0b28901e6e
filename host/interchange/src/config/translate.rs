//! What a config of OpenKiwi's pretraining says, in our words: keys that mean nothing here go, values that mean something else
//! are written so that they mean the same, and what works otherwise is told.

use std::collections::BTreeSet;

use kiwi_core::config::not_supported_yet;
use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;

use super::compose::SECTIONS;
use super::error::{Error, Problem};
use super::json;
use super::node::{Content, Entry, Node, Place, Sources};

/// Translates a config. `helpers` are the keys at its root that other values refer to.
///
/// # Errors
/// A number that JSON has not.
pub(super) fn translate(
    root: &mut Node,
    helpers: &BTreeSet<String>,
    sources: &Sources,
    changes: &mut Vec<Diagnostic>,
) -> Result<(), Error> {
    finite(root)?;
    let mut config = Config { root, sources, changes };
    config.root_keys(helpers);
    config.data();
    config.trainer();
    config.model();
    config.optimizer();
    config.saved_systems();
    config.not_supported("");
    Ok(())
}

fn finite(node: &Node) -> Result<(), Error> {
    match &node.content {
        Content::Float(found) if !found.is_finite() => {
            Err(Error::at(node.place, Problem::Number { found: *found }))
        }
        Content::List(items) => items.iter().try_for_each(finite),
        Content::Map(entries) => entries.iter().try_for_each(|entry| finite(&entry.value)),
        _ => Ok(()),
    }
}

struct Config<'a> {
    root: &'a mut Node,
    sources: &'a Sources,
    changes: &'a mut Vec<Diagnostic>,
}

impl Config<'_> {
    fn root_keys(&mut self, helpers: &BTreeSet<String>) {
        self.leave_out("hydra", "it is for Hydra, which is not used here");
        let others: Vec<_> = keys(self.root).filter(|key| !SECTIONS.contains(&key.as_str())).collect();
        for key in others.iter().filter(|key| helpers.contains(*key)) {
            self.leave_out(key, "its value was put where other values refer to it");
        }
        for key in ["verbose", "quiet"] {
            if self.is(key, &Content::Bool(true)) {
                self.tell(key, "it holds here, where OpenKiwi's command line always went before it");
            }
        }
    }

    fn data(&mut self) {
        const IGNORED: &str = "OpenKiwi accepts it and reads nothing of it when pretraining";
        for key in self.keys_at("data") {
            if !["train", "valid", "test", "split"].contains(&key.as_str()) {
                self.leave_out(&format!("data.{key}"), IGNORED);
            }
        }
        let fine_tune = self.is("system.model.tlm_outputs.fine_tune", &Content::Bool(true));
        for set in ["train", "valid", "test"] {
            for key in self.keys_at(&format!("data.{set}")) {
                if key != "input" {
                    self.leave_out(&format!("data.{set}.{key}"), IGNORED);
                }
            }
            let input = format!("data.{set}.input");
            for key in self.keys_at(&input) {
                let path = format!("{input}.{key}");
                match key.as_str() {
                    "source" | "target" => {}
                    "pe" | "post_edit" if fine_tune => {
                        if key == "post_edit" {
                            self.rename(&path, "pe", "the key is called so here");
                        }
                    }
                    _ => self.leave_out(&path, IGNORED),
                }
            }
        }
    }

    fn trainer(&mut self) {
        self.leave_out_unless(
            "trainer.resume",
            &Content::Bool(false),
            "OpenKiwi accepts it and does nothing",
        );
        let validation = "trainer.checkpoint.validation_steps";
        if self.is(validation, &Content::Int(1)) {
            let why = "OpenKiwi reads 1 as a share, one validation an epoch; an integer is a number of batches here";
            self.rewrite(validation, Content::Float(1.0), why);
        }
        if self.is("trainer.checkpoint.early_stop_patience", &Content::Int(0)) {
            let why =
                "0 means never here; OpenKiwi stops at the first validation without improvement, as with 1";
            self.tell("trainer.checkpoint.early_stop_patience", why);
        }
        let accumulation = "trainer.gradient_accumulation_steps";
        if self.root.get(accumulation).is_some_and(|node| node.content != Content::Int(1)) {
            let why = "batches left over at an epoch's end make a step of their own here; OpenKiwi carries them over";
            self.tell(accumulation, why);
        }
        self.precision();
    }

    /// OpenKiwi computes in 16 bits only with `amp_level` O1 or more, since O0 is its default.
    fn precision(&mut self) {
        let (precision, level) = ("trainer.precision", "trainer.amp_level");
        let given = match self.root.get(level).map(|node| &node.content) {
            Some(Content::Text(level)) => level.to_ascii_uppercase(),
            _ => "O0".to_owned(),
        };
        if !self.is(precision, &Content::Int(16)) {
            self.leave_out_unless(level, &Content::Null, "it has no effect in 32 bits");
        } else if given == "O0" {
            let why = "OpenKiwi computes in 32 bits too where amp_level is O0, its default";
            self.rewrite(precision, Content::Int(32), why);
            self.leave_out_unless(level, &Content::Null, "it has no effect in 32 bits");
        } else if !self.asks_for_a_gpu() {
            let why = "it is for GPUs, and the config computes on the CPU, where \"bf16\" is";
            self.leave_out(precision, why);
            self.leave_out(level, "it belongs to 16 bits");
        } else if given != "O1" {
            self.rewrite(level, Content::Text("O1".to_owned()), "O2 and O3 are Apex's own");
        }
    }

    /// Whether a GPU is asked for by a value that is taken over.
    fn asks_for_a_gpu(&self) -> bool {
        let gpus = self.root.get("trainer.gpus").map(json::value);
        gpus.is_some_and(|gpus| gpus != 0)
    }

    fn model(&mut self) {
        let class = self.root.entry("system.class_name").cloned();
        if let Some(Entry { place, value: Node { content: Content::Text(class), .. }, .. }) = class
            && class != "Predictor"
        {
            let warning = format!(
                "`{class}` is none of OpenKiwi's classes for pretraining: a plugin has to register it"
            );
            self.changes.push(
                Diagnostic::warning(Code::ConvertedWithChanges, warning)
                    .located(self.sources.location(place))
                    .at("system.class_name")
                    .expected("Predictor"),
            );
        }
        let why = "older configs carry it, and nothing reads it";
        self.leave_out("system.model.encoder.encode_source", why);
        let vocab = "system.data_processing.vocab";
        for key in ["keep_rare_words_with_embeddings", "add_embeddings_vocab"] {
            let path = format!("{vocab}.{key}");
            self.leave_out_unless(&path, &Content::Bool(false), "OpenKiwi accepts it, and it has no effect");
        }
        for key in self.keys_at("system.batch_size") {
            if !["train", "valid"].contains(&key.as_str()) {
                self.leave_out(
                    &format!("system.batch_size.{key}"),
                    "there are batches for training and validation",
                );
            }
        }
    }

    fn optimizer(&mut self) {
        let optimizer = "system.optimizer";
        let at = |key: &str| format!("{optimizer}.{key}");
        self.leave_out_unless(&at("load"), &Content::Null, "OpenKiwi writes no file that it could name");
        let Some(Content::Text(class)) = self.root.get(&at("class_name")).map(|node| node.content.clone())
        else {
            return;
        };
        if self.is(&at("warmup_steps"), &Content::Int(1)) {
            let why =
                "OpenKiwi reads 1 as a share, all of training_steps; an integer is a number of steps here";
            self.rewrite(&at("warmup_steps"), Content::Float(1.0), why);
        }
        match class.as_str() {
            "adamw" => self.bert_adam(),
            "noam" => self.tell(
                &at("class_name"),
                "the schedule goes on with each optimizer step here, as published; OpenKiwi's goes on with each epoch",
            ),
            _ => {
                let constant = [Content::Float(1.0), Content::Int(1)];
                let decay = at("learning_rate_decay");
                if self.root.get(&decay).is_some_and(|node| !constant.contains(&node.content)) {
                    let why = "the rate falls here when the main metric no longer improves; OpenKiwi looks at the loss, once an \
                               epoch, and lowers the rate while it falls";
                    self.tell(&decay, why);
                }
            }
        }
    }

    /// OpenKiwi's `adamw` is the variant that BERT was trained with.
    fn bert_adam(&mut self) {
        let path = "system.optimizer.options";
        let Some(place) = self.root.entry("system.optimizer.class_name").map(|entry| entry.place) else {
            return;
        };
        if self.root.get(path).is_some() {
            return;
        }
        let node = |content| Node { place, content };
        let entry = |key: &str, content| Entry { key: key.to_owned(), place, value: node(content) };
        let options = vec![
            entry("bias_correction", Content::Bool(false)),
            entry("eps", Content::Float(1e-6)),
            entry("weight_decay", Content::Float(0.0)),
        ];
        if let Some(Node { content: Content::Map(entries), .. }) = self.root.get_mut("system.optimizer") {
            entries.push(Entry { key: "options".to_owned(), place, value: node(Content::Map(options)) });
        }
        let why = "OpenKiwi's `adamw` corrects no bias and decays no weights: options are added, since PyTorch's does both";
        self.tell("system.optimizer.class_name", why);
    }

    /// Saved systems of OpenKiwi have to be imported first.
    fn saved_systems(&mut self) {
        for path in ["system.load", "system.load_vocabs"] {
            let Some(Content::Text(file)) = self.root.get(path).map(|node| &node.content) else { continue };
            let old = std::path::Path::new(file);
            if old.extension().is_some_and(|extension| extension == "safetensors") {
                continue;
            }
            let new = old.with_extension("safetensors").display().to_string();
            let why = format!("import the system first: kiwi-host import openkiwi '{file}' -o '{new}'");
            self.rewrite(path, Content::Text(new), &why);
        }
    }

    /// Takes out every value under `path` that asks for what is not supported yet.
    fn not_supported(&mut self, path: &str) {
        for key in self.keys_at(path) {
            let inner = if path.is_empty() { key } else { format!("{path}.{key}") };
            let Some(node) = self.root.get(&inner) else { continue };
            match not_supported_yet(&inner, &json::value(node)) {
                Some(feature) => self.leave_out(&inner, &format!("{feature} is not supported yet")),
                None => self.not_supported(&inner),
            }
        }
    }

    fn keys_at(&self, path: &str) -> Vec<String> {
        let node = if path.is_empty() { Some(&*self.root) } else { self.root.get(path) };
        node.into_iter().flat_map(keys).collect()
    }

    fn is(&self, path: &str, content: &Content) -> bool {
        self.root.get(path).is_some_and(|node| node.content == *content)
    }

    fn leave_out(&mut self, path: &str, why: &str) {
        if let Some(entry) = self.root.remove(path) {
            self.change(path, entry.place, format!("`{path}` is left out: {why}"), Some(&entry.value));
        }
    }

    /// Leaves a key out; without a word where it has the value that asks for nothing.
    fn leave_out_unless(&mut self, path: &str, nothing: &Content, why: &str) {
        if self.is(path, nothing) {
            self.root.remove(path);
        } else {
            self.leave_out(path, why);
        }
    }

    fn rename(&mut self, path: &str, key: &str, why: &str) {
        let (parent, _) = path.rsplit_once('.').unwrap_or(("", path));
        let place = self.root.entry(path).map(|entry| entry.place).unwrap_or_default();
        if let Some(Node { content: Content::Map(entries), .. }) = self.root.get_mut(parent)
            && let Some(entry) = entries.iter_mut().find(|entry| entry.place == place)
        {
            key.clone_into(&mut entry.key);
            self.change(path, place, format!("`{path}` becomes `{key}`: {why}"), None);
        }
    }

    fn rewrite(&mut self, path: &str, content: Content, why: &str) {
        let Some(node) = self.root.get_mut(path) else { return };
        let old = node.clone();
        node.content = content;
        let new = json::value(node);
        let place = self.root.entry(path).map(|entry| entry.place).unwrap_or_default();
        self.change(path, place, format!("`{path}` becomes {new}: {why}"), Some(&old));
    }

    /// Says what works otherwise than in OpenKiwi.
    fn tell(&mut self, path: &str, why: &str) {
        if let Some(entry) = self.root.entry(path) {
            let (place, value) = (entry.place, entry.value.clone());
            self.change(path, place, format!("`{path}` works otherwise: {why}"), Some(&value));
        }
    }

    fn change(&mut self, path: &str, place: Place, message: String, found: Option<&Node>) {
        let change = Diagnostic::warning(Code::ConvertedWithChanges, message)
            .located(self.sources.location(place))
            .at(path);
        self.changes.push(match found {
            Some(node) if !matches!(node.content, Content::Map(_)) => {
                change.found(json::value(node).to_string())
            }
            _ => change,
        });
    }
}

fn keys(node: &Node) -> impl Iterator<Item = String> {
    node.entries().iter().map(|entry| entry.key.clone())
}
