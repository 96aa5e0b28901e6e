//! What a run logs of its training: when, which figures, and over which batches.

use kiwi_tests::workplace::Workplace;
use serde_json::json;

#[test]
fn the_log_tells_of_every_so_many_steps() {
    let work = Workplace::new();
    // 16 steps of one batch, and 8 of two.
    for (name, interval, accumulated, expected) in [
        ("five", 5, 1, &["epoch 0 step 5", "epoch 1 step 10", "epoch 1 step 15"][..]),
        ("three", 3, 2, &["epoch 0 step 3", "epoch 1 step 6"]),
        ("never", 100, 1, &[]),
    ] {
        let changes = [
            ("trainer.log_interval", json!(interval)),
            ("trainer.gradient_accumulation_steps", json!(accumulated)),
        ];
        let messages = work.train(name, &changes).messages();
        let logged: Vec<_> = messages.iter().filter_map(|message| message.split_once(": loss ")).collect();
        let steps: Vec<&str> =
            logged.iter().map(|(place, _)| *place).filter(|place| !place.contains(" done ")).collect();
        assert_eq!(steps, expected, "{name}");
        // What is logged has all metrics, and so has the end of an epoch.
        for (place, figures) in &logged {
            for metric in ["target_PERP ", "target_ExpErr ", "target_CORRECT ", "learning rate "] {
                assert!(figures.contains(metric), "{name}, {place}: {figures}");
            }
        }
        assert_eq!(logged.len(), expected.len() + 2);
    }
}

#[test]
fn an_epochs_figures_are_those_of_a_validation_on_the_same_text() {
    let work = Workplace::new();
    // Nothing is learned at such a rate, so that each batch meets the same system; the last of 18 holds one pair.
    let changes = [
        ("data.valid.input", json!({"source": "train.src", "target": "train.tgt"})),
        ("system.batch_size", json!(7)),
        ("system.optimizer.learning_rate", json!(1e-30)),
        ("trainer.epochs", json!(1)),
        ("trainer.log_interval", json!(9)),
    ];
    let run = work.train("run", &changes);
    let [validation] = &run.validations()[..] else { panic!("one: {}", run.log()) };
    let messages = run.messages();
    let told = |place: &str, figure: &str| -> f64 {
        let line = messages.iter().find_map(|message| message.strip_prefix(place)).unwrap();
        let value = line.split(", ").find_map(|part| part.strip_prefix(&format!("{figure} ")));
        value.unwrap_or_else(|| panic!("no {figure} in {line}")).parse().unwrap()
    };
    for figure in ["loss", "target_PERP", "target_ExpErr", "target_CORRECT"] {
        let whole = told("epoch 0 done at step 18: ", figure);
        let expected = validation.value(&format!("val_{figure}"));
        assert!((whole / expected - 1.0).abs() < 1e-4, "{figure}: {whole}, and {expected} in validation");
        // What is logged in between is of the nine batches since the last time alone.
        let halves = [told("epoch 0 step 9: ", figure), told("epoch 0 step 18: ", figure)];
        let (least, most) = (halves[0].min(halves[1]), halves[0].max(halves[1]));
        assert!(least < whole && whole < most, "{figure}: {halves:?}, and {whole} over both");
        if figure == "loss" {
            assert!((halves.iter().sum::<f64>() / 2.0 / whole - 1.0).abs() < 1e-4, "{halves:?}, {whole}");
        }
    }
}
