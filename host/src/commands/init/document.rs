//! What `init` writes: the config, the document beside it, and a few lines for standard error.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::shell;
use kiwi_text::ParallelFiles;
use serde_json::{Value, json};

use super::choices::{Choices, PATIENCE, SEED, count, grouped};
use super::model::Model;
use super::sizes::name;
use super::survey::{Side, Survey};
use super::{Task, folder};

/// Name of the JSON Schema that a config points its editor to, where one lies beside it.
const SCHEMA: &str = "kiwi-host.schema.json";

/// The config, its sections in the order in which one reads them.
///
/// # Errors
/// A path that JSON cannot hold.
pub(super) fn config(task: &Task, choices: &Choices) -> Result<String, Failure> {
    let mut sections = Vec::new();
    if folder(&task.output).join(SCHEMA).is_file() {
        sections.push(("$schema", json!(SCHEMA)));
    }
    let experiment = task.output.file_stem().and_then(|stem| stem.to_str()).unwrap_or("default");
    sections.push(("run", json!({"seed": SEED, "experiment_name": experiment})));
    sections.push((
        "trainer",
        json!({
            "epochs": choices.epochs,
            "gpus": u8::from(choices.device.cuda),
            "precision": if choices.device.cuda { json!("bf16") } else { json!(32) },
            "batch_order": "bucketed",
            "max_tokens_per_batch": choices.tokens,
            "gradient_max_norm": 5.0,
            "checkpoint": {
                "validation_steps": choices.validation,
                "save_top_k": 1,
                "early_stop_patience": PATIENCE,
            },
        }),
    ));
    let mut data = json!({"train": {"input": input(&task.train)?}});
    if let Some(valid) = &task.valid {
        data["valid"] = json!({"input": input(valid)?});
    }
    if let Some(test) = &task.test {
        data["test"] = json!({"input": input(test)?});
    }
    if let Some(share) = choices.split {
        data["split"] = json!(share);
    }
    if let Some(limit) = choices.max_length {
        data["max_length"] = json!(limit);
    }
    sections.push(("data", data));
    let mut vocab = json!({"min_frequency": choices.min_frequency});
    if choices.max_size.iter().any(Option::is_some) {
        vocab["max_size"] = json!({"source": choices.max_size[0], "target": choices.max_size[1]});
    }
    let embeddings = json!({"dim": choices.model.embedding, "dropout": choices.dropout});
    let mut encoder = json!({
        "hidden_size": choices.model.hidden,
        "rnn_layers": choices.model.layers,
        "out_embeddings_dim": choices.model.embedding,
        "embeddings": {"source": embeddings, "target": embeddings},
    });
    if choices.model.layers > 1 {
        encoder["dropout"] = json!(choices.dropout);
    }
    let optimizer = if choices.schedule {
        json!({"class_name": "adamw", "learning_rate": choices.learning_rate, "warmup_steps": 0.05})
    } else {
        json!({"class_name": "adam", "learning_rate": choices.learning_rate})
    };
    sections.push((
        "system",
        json!({
            "class_name": "Predictor",
            "batch_size": null,
            "data_processing": {"vocab": vocab},
            "model": {"encoder": encoder},
            "optimizer": optimizer,
        }),
    ));
    let mut out = String::from("{\n");
    for (index, (key, value)) in sections.iter().enumerate() {
        let text = format!("{value:#}").replace('\n', "\n  ");
        // Writing to a string never fails.
        let _ = writeln!(out, "  \"{key}\": {text}{}", if index + 1 == sections.len() { "" } else { "," });
    }
    out.push_str("}\n");
    Ok(out)
}

fn input(files: &ParallelFiles) -> Result<Value, Failure> {
    let list = |paths: &[PathBuf]| -> Result<Value, Failure> {
        let texts = paths.iter().map(|path| path.to_str().ok_or(path)).collect::<Result<Vec<_>, _>>();
        match texts {
            Ok(texts) if texts.len() == 1 => Ok(json!(texts[0])),
            Ok(texts) => Ok(json!(texts)),
            Err(path) => {
                let error =
                    Diagnostic::error(Code::NotUnicode, "a path that is not UTF-8 cannot stand in a config")
                        .found(path.display().to_string())
                        .help("rename the file");
                Err(Failure::new(ExitCode::Invalid, error))
            }
        }
    };
    Ok(json!({"source": list(&files.source)?, "target": list(&files.target)?}))
}

/// The document: what was found, what was chosen and why, what it takes.
pub(super) fn document(task: &Task, survey: &Survey, choices: &Choices) -> String {
    let mut out = String::new();
    let config = task.output.display();
    let quoted = shell::quoted(&config.to_string());
    // Writing to a string never fails.
    let _ = write!(
        out,
        "# About {}\n\n`kiwi-host init` wrote the config {config} by what it found in the corpus. It is a place to begin: change what you \
         know better.\n\n## The corpus\n\n",
        Path::new(task.output.file_name().unwrap_or_default()).display()
    );
    let _ = writeln!(out, "| | source | target |\n|---|---|---|");
    let _ = writeln!(out, "| files | {} | {} |", listed(&task.train.source), listed(&task.train.target));
    let row = |of: fn(&Side) -> String| (of(&survey.source), of(&survey.target));
    for (label, (source, target)) in [
        ("words", row(|side| grouped(side.words))),
        ("longest line, words", row(|side| grouped(side.longest as u64))),
        ("where", row(|side| format!("`{}`", side.longest_at))),
    ] {
        let _ = writeln!(out, "| {label} | {source} | {target} |");
    }
    let [source, target] = &choices.vocabularies;
    let _ = writeln!(
        out,
        "| types in the training part | {} | {} |",
        grouped(source.types as u64),
        grouped(target.types as u64)
    );
    let _ = writeln!(
        out,
        "| types kept | {} | {} |",
        grouped(source.kept_types as u64),
        grouped(target.kept_types as u64)
    );
    let unknown =
        |of: &kiwi_text::FitStatistics| 100.0 * of.unknown_words as f64 / of.running_words.max(1) as f64;
    let _ =
        writeln!(out, "| words that become `<unk>` | {:.2} % | {:.2} % |", unknown(source), unknown(target));
    let lengths = &survey.lengths;
    let _ = write!(
        out,
        "\n{}; the longer side of half of them has at most {} words, of 95 % at most {}, of 99 % at most {}. Trained on: {}.\n",
        count(survey.train.pairs() as u64, "pair"),
        lengths.quantile(0.5),
        lengths.quantile(0.95),
        lengths.quantile(0.99),
        count(choices.pairs as u64, "pair"),
    );
    for (what, pairs) in [("Validation", survey.valid_pairs), ("Test", survey.test_pairs)] {
        if let Some(pairs) = pairs {
            let _ = writeln!(out, "{what}: {}.", count(pairs as u64, "pair"));
        }
    }
    let _ = write!(out, "\n## What was chosen, and why\n\n| key | value | why |\n|---|---|---|\n");
    for reason in &choices.reasons {
        let _ = writeln!(out, "| `{}` | {} | {} |", reason.keys, cell(&reason.value), cell(&reason.why));
    }
    let parameters = choices.parameters();
    let Model { hidden, layers, embedding } = choices.model;
    let _ = write!(
        out,
        "\n## What it takes\n\n\
         - The {} model: {} of {hidden}, embeddings of {embedding}; {}.\n\
         - About {} of memory for parameters, gradients and the optimizer, and by rough estimate {} for a batch of {}, beside \
         some 300 MiB for the program and libtorch. `kiwi-host check {quoted}` measures it.\n\
         - About {} an epoch, at most {} in all.\n\n\
         ## What to do next\n\n```console\n$ kiwi-host check {quoted}\n$ kiwi-host train {quoted}\n```\n\n\
         Every key is in docs/configuration.md of kiwi-host. `kiwi-host schema -o {SCHEMA}` writes a schema by which editors complete and \
         check the config.\n",
        name(choices.size),
        count(layers, "layer"),
        count(parameters, "parameter"),
        bytes(Model::parameter_bytes(parameters)),
        bytes(choices.model.activation_bytes(choices.tokens)),
        count(choices.tokens, "token"),
        count(choices.steps, "optimizer step"),
        grouped(choices.steps * choices.epochs),
    );
    out
}

/// Text as a cell of a table holds it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

fn listed(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(", ")
}

fn bytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes < 1024.0 { format!("{mebibytes:.0} MiB") } else { format!("{:.1} GiB", mebibytes / 1024.0) }
}

/// A few lines on what was written and what comes next.
pub(super) fn summary(task: &Task, survey: &Survey, choices: &Choices) -> Vec<String> {
    let config = task.output.display();
    let quoted = shell::quoted(&config.to_string());
    let validation = match choices.split {
        Some(_) => format!("{} held out for validation", survey.train.pairs() as u64 - choices.pairs as u64),
        None => format!("{} for validation", count(survey.valid_pairs.unwrap_or(0) as u64, "pair")),
    };
    let left_out = choices.max_length.map_or_else(String::new, |limit| {
        format!(", {} left out for more than {limit} words", survey.lengths.over(limit))
    });
    // With a split, what is not trained on is not all held out.
    let validation = if choices.split.is_some() && choices.max_length.is_some() {
        "a part held out for validation".to_owned()
    } else {
        validation
    };
    let [source, target] = &choices.vocabularies;
    vec![
        format!(
            "{}: {} and {} words, {} and {} of {} and {} types kept; {validation}{left_out}",
            count(survey.train.pairs() as u64, "pair"),
            grouped(survey.source.words),
            grouped(survey.target.words),
            grouped(source.kept_types as u64),
            grouped(target.kept_types as u64),
            grouped(source.types as u64),
            grouped(target.types as u64)
        ),
        format!(
            "{} model of {} parameters on {}, at most {} epochs of about {}",
            name(choices.size),
            grouped(choices.parameters()),
            if choices.device.cuda { "the first GPU" } else { "the CPU" },
            choices.epochs,
            count(choices.steps, "step"),
        ),
        format!("wrote {config}, and {} with the reasons for each choice", task.document().display()),
        format!("next: kiwi-host check {quoted}"),
        format!("      kiwi-host train {quoted}"),
    ]
}
