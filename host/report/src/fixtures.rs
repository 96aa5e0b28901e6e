//! Runs for tests, written record by record.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use kiwi_tracking::journal::read::{Journal, read_from};
use kiwi_tracking::number::Number;
use kiwi_tracking::record::{
    Component, Environment, Event, Interrupted, Kept, Message, RateLowered, Record, Seconds, Started,
    Summary, Tested, Training, Validated, Values,
};
use serde_json::json;

use crate::run::{Config, Run};

/// A run of 2 epochs of 10 batches.
pub(crate) static STARTED: LazyLock<Started> = LazyLock::new(|| Started {
    run_id: "0123456789abcdef".repeat(2),
    experiment: "default".to_owned(),
    resumed_at: None,
    epochs: 2,
    batches: 10,
    main_metric: Some("val_target_PERP".to_owned()),
    ordering: "min".to_owned(),
    parameters: 1_234_567,
    components: [
        ("encoder", "PredictorEncoder"),
        ("head", "TLMOutputs"),
        ("optimizer", "adam"),
        ("metric", "PERP"),
    ]
    .map(|(role, class)| Component {
        role: role.to_owned(),
        class: class.to_owned(),
        plugin: format!("kiwi-{role}s"),
        version: "0.1.0".to_owned(),
        sha256: "ab12".repeat(16),
    })
    .into(),
    environment: Environment {
        kiwi_host: "0.1.0".to_owned(),
        torch: "2.11.0".to_owned(),
        device: "cpu".to_owned(),
        threads: 2,
        processor: Some("a processor".to_owned()),
        platform: "linux x86_64".to_owned(),
    },
});

/// A record that is being written; a second passes with each event.
pub(crate) struct Fixture {
    pub(crate) records: Vec<Record>,
    started: Started,
    time: Timestamp,
}

impl Fixture {
    pub(crate) fn new(started: &Started) -> Self {
        let time = "2026-01-02T03:04:04Z".parse().unwrap();
        let mut fixture = Self { records: Vec::new(), started: started.clone(), time };
        fixture.event(Event::Started(started.clone()));
        fixture
    }

    pub(crate) fn event(&mut self, event: Event) -> &mut Self {
        self.wait(1);
        self.records.push(Record { time: self.time, event });
        self
    }

    pub(crate) fn wait(&mut self, seconds: i64) -> &mut Self {
        self.time += SignedDuration::from_secs(seconds);
        self
    }

    fn training(step: u64, loss: f64) -> Training {
        let values = [("target_PERP", loss.exp()), ("target_CORRECT", 1.0 / loss)];
        Training {
            epoch: step.saturating_sub(1) / 10,
            step,
            loss: Number(loss),
            values: values.map(|(name, value)| (name.to_owned(), Some(Number(value)))).into(),
            learning_rates: [("lr".to_owned(), Number(0.001))].into(),
            words_per_second: Number(12_000.0),
        }
    }

    pub(crate) fn logged(&mut self, step: u64, loss: f64) -> &mut Self {
        self.event(Event::Logged(Self::training(step, loss)))
    }

    pub(crate) fn epoch_ended(&mut self, step: u64, loss: f64) -> &mut Self {
        self.event(Event::EpochEnded(Self::training(step, loss)))
    }

    pub(crate) fn validated(&mut self, step: u64, perplexity: f64, improved: bool) -> &mut Self {
        let values = [("val_loss", perplexity.ln()), ("val_target_PERP", perplexity)];
        self.event(Event::Validated(Validated {
            epoch: step.saturating_sub(1) / 10,
            step,
            values: values.map(|(name, value)| (name.to_owned(), Some(Number(value)))).into(),
            improved,
            saved: improved.then(|| format!("checkpoints/{step}.safetensors")),
        }))
    }

    pub(crate) fn rate_lowered(&mut self, step: u64) -> &mut Self {
        let (from, to) = (Number(0.001), Number(0.0005));
        self.event(Event::RateLowered(RateLowered { step, rate: "lr".to_owned(), from, to }))
    }

    pub(crate) fn warning(&mut self, message: &str) -> &mut Self {
        self.event(Event::Warning(Message { message: message.to_owned() }))
    }

    pub(crate) fn failed(&mut self, message: &str) -> &mut Self {
        self.event(Event::Failed(Message { message: message.to_owned() }))
    }

    pub(crate) fn interrupted(&mut self, step: u64) -> &mut Self {
        let signal = "SIGTERM".to_owned();
        self.event(Event::Interrupted(Interrupted { signal, step, resumable: true }))
    }

    pub(crate) fn resumed(&mut self, step: u64) -> &mut Self {
        self.event(Event::Started(Started { resumed_at: Some(step), ..self.started.clone() }))
    }

    pub(crate) fn tested(&mut self) -> &mut Self {
        let values = Values::from([("test_target_PERP".to_owned(), Some(Number(41.5)))]);
        self.event(Event::Tested(Tested { system: Some("checkpoints/10.safetensors".to_owned()), values }))
    }

    pub(crate) fn finished(&mut self, steps: u64) -> &mut Self {
        let kept = |step: u64, value| Kept {
            file: format!("checkpoints/{step}.safetensors"),
            metric: "val_target_PERP".to_owned(),
            value: Number(value),
            epoch: 0,
            step,
        };
        let seconds = [100.0, 5.0, 30.0, 40.0, 10.0, 8.0, 2.0].map(Number);
        let [total, data, forward, backward, optimizer, validation, saving] = seconds;
        self.event(Event::Finished(Summary {
            reason: "epochs".to_owned(),
            epochs: 2,
            steps,
            best: Some(kept(10, 40.0)),
            last: Some(kept(steps, 44.0)),
            seconds: Seconds { total, data, forward, backward, optimizer, validation, saving },
            words_per_second: Number(11_500.0),
            peak_memory: Some(3 << 29),
            skipped: [("not_finite".to_owned(), 3)].into(),
        }))
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let line = |record: &Record| serde_json::to_string(record).unwrap() + "\n";
        self.records.iter().map(line).collect()
    }

    pub(crate) fn journal(&self) -> Journal {
        read_from(self.text().as_bytes()).unwrap()
    }

    pub(crate) fn run(&self, label: &str) -> Run {
        let config = json!({"run": {"seed": 42, "experiment_name": self.started.experiment}});
        Run::new(label.to_owned(), &self.journal(), Config::Known(config.clone(), config.to_string()))
    }
}
