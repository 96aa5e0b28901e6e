//! `kiwi-host features`: what quality estimation reads of each pair, at its own length and independent of its neighbours.

use std::fs;
use std::path::Path;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::tensors;
use kiwi_tests::workplace::{VALIDATION_PAIRS, Workplace};
use serde_json::json;
use tch::{Kind, Tensor};

fn features(work: &Workplace, system: &Path, corpus: &str, output: &str, more: &[&str]) -> Outcome {
    let (source, target) = (format!("{corpus}.src"), format!("{corpus}.tgt"));
    let fixed =
        ["features", system.to_str().unwrap(), "--source", &source, "--target", &target, "-o", output];
    work.run(&[&fixed[..], &["--threads", "1"], more].concat())
}

/// The features of each pair of a file.
fn of_pairs(file: &Path) -> Vec<Tensor> {
    let tensors = tensors(file);
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["features", "offsets"]);
    let offsets = Vec::<i64>::try_from(&tensors["offsets"]).unwrap();
    assert_eq!(offsets[0], 0);
    assert_eq!(*offsets.last().unwrap(), tensors["features"].size()[0]);
    offsets.windows(2).map(|ends| tensors["features"].narrow(0, ends[0], ends[1] - ends[0])).collect()
}

#[test]
fn each_pair_has_its_features_at_its_own_length() {
    let work = Workplace::new();
    let system = work.train("run", &[("trainer.epochs", json!(1))]).best();
    let said = features(&work, &system, "valid", "all.safetensors", &[]).ends_with(0);
    assert!(said.stdout.is_empty() && said.stderr.contains("40 pairs"), "{said}");
    let all = of_pairs(&work.at("all.safetensors"));
    assert_eq!(all.len(), VALIDATION_PAIRS);
    for (found, target) in all.iter().zip(&work.valid.target) {
        let positions = target.split(' ').count() as i64 + 2;
        // o + 2h.
        assert_eq!((found.size(), found.kind()), (vec![positions, 16 + 2 * 16], Kind::Float));
        assert!(found.isfinite().all().int64_value(&[]) == 1);
    }

    // The same for every size of batches, and for each pair alone.
    let _ = features(&work, &system, "valid", "ones.safetensors", &["--batch-size", "1"]).ends_with(0);
    let _ = features(&work, &system, "valid", "threes.safetensors", &["--batch-size", "3"]).ends_with(0);
    for name in ["ones.safetensors", "threes.safetensors"] {
        for (one, other) in all.iter().zip(of_pairs(&work.at(name))) {
            assert!((one - other).abs().max().double_value(&[]) < 1e-5, "{name}");
        }
    }
    for pair in [0, 17] {
        work.write("alone.src", &format!("{}\n", work.valid.source[pair]));
        work.write("alone.tgt", &format!("{}\n", work.valid.target[pair]));
        let output = format!("{pair}.safetensors");
        let _ = features(&work, &system, "alone", &output, &[]).ends_with(0);
        let alone = of_pairs(&work.at(&output)).remove(0);
        assert!((alone - &all[pair]).abs().max().double_value(&[]) < 1e-5);
    }
}

#[test]
fn empty_sentences_and_post_edits_are_no_obstacle_and_files_are_not_overwritten() {
    let work = Workplace::new();
    fs::copy(work.at("train.tgt"), work.at("train.pe")).unwrap();
    fs::copy(work.at("valid.tgt"), work.at("valid.pe")).unwrap();
    let fine_tuned = [
        ("trainer.max_steps", json!(1)),
        ("system.model.tlm_outputs.fine_tune", json!(true)),
        ("data.train.input.pe", json!("train.pe")),
        ("data.valid.input.pe", json!("valid.pe")),
    ];
    let system = work.train("run", &fine_tuned).best();
    work.write("odd.src", "\nthe cat\n\n");
    work.write("odd.tgt", "la katuta\n\n\n");
    // The encoder alone is run: it needs no post-edits.
    let _ = features(&work, &system, "odd", "odd.safetensors", &[]).ends_with(0);
    let sizes: Vec<_> = of_pairs(&work.at("odd.safetensors")).iter().map(|found| found.size()[0]).collect();
    assert_eq!(sizes, [4, 2, 2]);

    let before = fs::read(work.at("odd.safetensors")).unwrap();
    features(&work, &system, "valid", "odd.safetensors", &[])
        .ends_with(2)
        .says(&["odd.safetensors exists already, and nothing is overwritten"]);
    assert_eq!(fs::read(work.at("odd.safetensors")).unwrap(), before);
    features(&work, &system, "valid", "absent/odd.safetensors", &[]).ends_with(1).says(&["absent/"]);
}
