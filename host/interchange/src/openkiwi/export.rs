//! From a saved system of ours to a file that OpenKiwi loads.

use std::io::{self, Write};
use std::path::Path;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::saved_system::{Dtype, SavedSystem};
use serde_json::{Value as Json, json};

use super::options::{self, EncoderOptions};
use super::parameters::{self, OUTPUT_TABLE, Sizes, TARGET_TABLE};
use super::training;
use super::vocabulary::SPECIALS;
use super::{ENCODER, Error, HEAD, PREFIX, SYSTEM, VERSION};
use crate::create;
use crate::pickle::{Class, ElementType, Memo, Writer};
use crate::torch_file;

/// A saved system that OpenKiwi has a counterpart of, ready to be written.
#[derive(Debug)]
pub struct Exported<'a> {
    saved: &'a SavedSystem,
    encoder: EncoderOptions,
    fine_tune: bool,
    shared_vocabulary: bool,
    data_processing: Json,
    optimizer: Json,
    batch_size: Json,
    /// Names and shapes of the encoder's tensors, each with a storage of its own; none when weights are left out.
    tensors: Vec<(String, Vec<usize>)>,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
}

/// Sees whether OpenKiwi can load a saved system: its classes, options, vocabularies and tensors. Without `weights` there are
/// vocabularies and options only, for `load_vocabs`.
///
/// # Errors
/// OpenKiwi has no counterpart of it.
pub fn export(saved: &SavedSystem, weights: bool) -> Result<Exported<'_>, crate::Error> {
    prepare(saved, weights).map_err(|cause| crate::Error::Export { file: saved.path().to_owned(), cause })
}

fn prepare(saved: &SavedSystem, weights: bool) -> Result<Exported<'_>, Error> {
    let header = saved.header();
    for (part, found, expected) in [
        ("system", &header.class_name, SYSTEM),
        ("encoder", &header.encoder.class_name, ENCODER),
        ("head", &header.head.class_name, HEAD),
    ] {
        if found != expected {
            return Err(Error::Class { part, found: found.clone(), expected });
        }
    }
    let mut warnings = Vec::new();
    for (part, saved) in [("encoder", &header.encoder), ("head", &header.head)] {
        if let Some(extra) = &saved.extra {
            let warning =
                format!("what the {part} kept besides its tensors is left out: OpenKiwi has no place for it");
            warnings.push(Diagnostic::warning(Code::ConvertedWithChanges, warning).found(extra.to_string()));
        }
    }
    let encoder = EncoderOptions::read(&header.encoder.config, "encoder.config", &mut warnings)?;
    let fine_tune = options::fine_tune(&header.head.config, "tlm_outputs.config")?;
    let processing = options::data_processing(&header.data_processing, "data_processing", &mut warnings)?;
    for (side, words) in [("source", &header.source_vocabulary), ("target", &header.target_vocabulary)] {
        if words.iter().take(SPECIALS.len()).ne(SPECIALS.iter()) {
            let found = words.iter().take(SPECIALS.len()).cloned().collect();
            return Err(Error::Specials { side, found });
        }
    }
    let shared_vocabulary = processing.share_input_fields_encoders;
    if shared_vocabulary && header.source_vocabulary != header.target_vocabulary {
        return Err(Error::NotShared);
    }
    let sizes = Sizes { source: header.source_vocabulary.len(), target: header.target_vocabulary.len() };
    let tensors =
        if weights { parameters::of(&encoder, sizes, saved.tensors().len() + 1) } else { Vec::new() };
    if weights {
        check_tensors(saved, &tensors)?;
    }
    let mut data_processing = options::data_processing_json(&processing);
    // OpenKiwi saves every option, these included, which do not exist here.
    data_processing["embeddings"] = Json::Null;
    data_processing["vocab"]["keep_rare_words_with_embeddings"] = json!(false);
    data_processing["vocab"]["add_embeddings_vocab"] = json!(false);
    let (optimizer, batch_size) = training::write(header.training.as_ref(), &mut warnings);
    Ok(Exported {
        saved,
        encoder,
        fine_tune,
        shared_vocabulary,
        data_processing,
        optimizer,
        batch_size,
        tensors,
        warnings,
    })
}

/// Sees that a saved system has these tensors and no others.
fn check_tensors(saved: &SavedSystem, tensors: &[(String, Vec<usize>)]) -> Result<(), Error> {
    let mut missing = Vec::new();
    for (name, shape) in tensors {
        match saved.tensor(&format!("{PREFIX}{name}")) {
            None => missing.push(name.clone()),
            Some(found) if found.shape != *shape => {
                return Err(Error::Shape { name: name.clone(), found: found.shape, expected: shape.clone() });
            }
            Some(found) if found.dtype != Dtype::F32 => {
                return Err(Error::SavedType { name: name.clone(), found: format!("{:?}", found.dtype) });
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        return Err(Error::MissingTensors { names: missing });
    }
    let known = |name: &str| {
        name.strip_prefix(PREFIX).is_some_and(|name| tensors.iter().any(|(expected, _)| expected == name))
    };
    let extra: Vec<_> = saved.tensors().map(|tensor| tensor.name).filter(|name| !known(name)).collect();
    if extra.is_empty() { Ok(()) } else { Err(Error::ExtraTensors { names: extra }) }
}

impl Exported<'_> {
    /// Writes the file. It appears complete or not at all; one that exists is not replaced.
    ///
    /// # Errors
    /// The file exists, or the file system fails.
    pub fn write(&self, path: &Path) -> Result<(), crate::Error> {
        let pickle = self.pickle();
        create(path, |file| {
            let mut out = torch_file::write(file, &pickle, self.tensors.len(), |index| {
                let tensor = self
                    .tensors
                    .get(index)
                    .and_then(|(name, _)| self.saved.tensor(&format!("{PREFIX}{name}")));
                tensor
                    .map(|tensor| tensor.bytes.into())
                    .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            })?;
            out.flush()
        })
    }

    /// The pickle of OpenKiwi's dictionary.
    fn pickle(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.ordered(Class::OrderedDict, |out| {
            out.text("__version__");
            out.text(VERSION);
            out.text("class_name");
            out.text(SYSTEM);
            out.text("config");
            json_value(out, &self.config());
            out.text("vocab");
            out.dict(|out| self.vocabularies(out));
            out.text("encoder");
            part(out, ENCODER, &self.encoder.json(), |out| self.state_dict(out));
            out.text("tlm_outputs");
            part(out, HEAD, &json!({"fine_tune": self.fine_tune}), |_| ());
        });
        out.finish()
    }

    /// The whole `system` section, which OpenKiwi checks when it loads the system.
    fn config(&self) -> Json {
        json!({
            "class_name": SYSTEM,
            "load": null,
            "load_vocabs": null,
            "model": {
                "encoder": self.encoder.json(),
                "tlm_outputs": {"fine_tune": self.fine_tune},
            },
            "data_processing": self.data_processing,
            "optimizer": self.optimizer,
            "batch_size": self.batch_size,
            "num_data_workers": 4,
        })
    }

    fn vocabularies(&self, out: &mut Writer) {
        let header = self.saved.header();
        out.text("target");
        let target = vocabulary(out, &header.target_vocabulary);
        out.text("source");
        if self.shared_vocabulary {
            out.get(target);
        } else {
            vocabulary(out, &header.source_vocabulary);
        }
    }

    fn state_dict(&self, out: &mut Writer) {
        let mut target_table = None;
        for (index, (name, shape)) in self.tensors.iter().enumerate() {
            let key = index.to_string();
            out.text(name);
            out.tensor(ElementType::F32, &key, shape);
            if name == TARGET_TABLE {
                target_table = Some((key, shape));
            }
        }
        // A shared table has two names in a state dict, and one storage.
        if self.encoder.share_embeddings
            && let Some((key, shape)) = target_table
        {
            out.text(OUTPUT_TABLE);
            out.tensor(ElementType::F32, &key, shape);
        }
    }
}

/// Encoder or head.
fn part(out: &mut Writer, class: &str, config: &Json, state_dict: impl FnOnce(&mut Writer)) {
    out.ordered(Class::OrderedDict, |out| {
        out.text("__version__");
        out.text(VERSION);
        out.text("class_name");
        out.text(class);
        out.text("config");
        json_value(out, config);
        out.text("state_dict");
        out.ordered(Class::OrderedDict, state_dict);
    });
}

/// A vocabulary. How often its words occurred is not known here, so `freqs` is empty: OpenKiwi reads it only when it fits a
/// vocabulary.
fn vocabulary(out: &mut Writer, words: &[String]) -> Memo {
    let [unk, pad, bos, eos, _] = SPECIALS;
    out.object(Class::Vocabulary, |out| {
        out.text("specials");
        out.list(|out| SPECIALS.iter().for_each(|special| out.text(special)));
        for (name, token) in [("unk_token", unk), ("pad_token", pad), ("bos_token", bos), ("eos_token", eos)]
        {
            out.text(name);
            out.text(token);
        }
        out.text("freqs");
        out.call(Class::Counter, |out| {
            out.dict(|_| ());
        });
        out.text("itos");
        out.list(|out| words.iter().for_each(|word| out.text(word)));
        out.text("stoi");
        out.ordered(Class::DefaultFrozenDict, |out| {
            for (id, word) in words.iter().enumerate() {
                out.text(word);
                out.int(id as i64);
            }
        });
        out.attributes(|out| {
            out.text("_default_key");
            out.text(unk);
        });
    })
}

fn json_value(out: &mut Writer, value: &Json) {
    match value {
        Json::Null => out.none(),
        Json::Bool(value) => out.bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => out.int(number),
            None => out.float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => out.text(text),
        Json::Array(items) => out.list(|out| items.iter().for_each(|item| json_value(out, item))),
        Json::Object(entries) => {
            out.dict(|out| {
                for (key, value) in entries {
                    out.text(key);
                    json_value(out, value);
                }
            });
        }
    }
}
