//! A group of one process on a GPU, as torchrun starts one: it sums as several do, and so comes to what a process alone comes to. By
//! NCCL, where its library lies beside the program.

use std::path::Path;

use kiwi_tests::golden::difference;
use kiwi_tests::gpu;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::ranks::{assert_figures_within, free_port, variables};
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

/// Rounding differs from one run on a GPU to the next.
const ROUNDING: f64 = 1e-4;

/// Trains for 50 steps on the first GPU, alone or as the only one of a group.
fn train(work: &Workplace, libtorch: &Path, name: &str, group: bool, changes: &[(&str, Value)]) -> Trained {
    let fifty_steps = [
        ("trainer.gpus", json!(1)),
        ("trainer.epochs", json!(10)),
        ("trainer.max_steps", json!(50)),
        ("trainer.gradient_max_norm", json!(5.0)),
        // Gradient descent, whose steps are as exact as the gradients.
        ("system.optimizer", json!({"class_name": "sgd", "learning_rate": 0.003})),
        ("system.model.encoder.dropout", json!(0.0)),
    ];
    let config = format!("{name}.json");
    work.write(&config, &format!("{:#}\n", config_with(&[&fifty_steps[..], changes].concat())));
    let libtorch = libtorch.display().to_string();
    let mut command = work.command(&["train", &config, "--output-dir", name, "--libtorch", &libtorch]);
    command.env("NVIDIA_TF32_OVERRIDE", "0");
    if group {
        command.envs(variables(0, 1, "127.0.0.1", free_port()));
    }
    let outcome = Outcome::of(&mut command).ends_with(0);
    Trained { outcome, directory: work.at(name) }
}

/// Trains alone and in a group of one, and compares.
fn compare(changes: &[(&str, Value)]) {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let alone = train(&work, &libtorch, "alone", false, changes);
    let group = train(&work, &libtorch, "group", true, changes);
    let said = &group.outcome.stderr;
    let by = ["NCCL", "gloo"].into_iter().find(|by| said.contains(&format!("gradients are summed by {by}")));
    let by = by.unwrap_or_else(|| panic!("it does not say what sums: {said}"));
    println!("summed by: {by}");
    // By way of the CPU only where there is no other, and with a warning.
    assert_eq!(by == "gloo", said.contains("NCCL is not there"), "{said}");
    assert_figures_within(&alone.directory, &group.directory, ROUNDING);
    let in_group = group.tensors();
    for (name, tensor) in alone.tensors() {
        let off = difference(&in_group[&name], &tensor);
        assert!(off < ROUNDING, "{name} is off by {off}");
    }
}

#[test]
fn a_group_of_one_on_a_gpu_comes_to_the_figures_of_a_process_alone() {
    compare(&[]);
}

#[test]
fn a_group_of_one_on_a_gpu_sums_sparse_gradients_by_their_rows() {
    compare(&[
        ("system.model.encoder.embeddings.source.sparse_embeddings", json!(true)),
        ("system.model.encoder.embeddings.target.sparse_embeddings", json!(true)),
    ]);
}
