//! The golden cases in `tests/golden/`: what the reference computes, as tensors by name and figures in JSON.

use std::collections::BTreeMap;

use kiwi_plugin_api::abi::host::{EncoderInstance, HeadInstance};
use kiwi_plugin_api::torch_ext::gradients::gradient;
use kiwi_plugin_api::{Batch, EncoderContext, Field, HeadContext, NamedTensors, SpecialIds};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::built;

/// One case.
pub struct Case {
    pub name: String,
    pub json: Value,
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

impl Case {
    /// Reads `tests/golden/NAME.{json,safetensors}`.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let file = |extension: &str| built::root().join("tests/golden").join(format!("{name}.{extension}"));
        let text = std::fs::read_to_string(file("json")).expect("the case's JSON");
        Self {
            name: name.to_owned(),
            json: serde_json::from_str(&text).expect("JSON"),
            tensors: Tensor::read_safetensors(file("safetensors"))
                .expect("safetensors")
                .into_iter()
                .collect(),
            device: Device::Cpu,
        }
    }

    /// The same, computed on another device: what is recorded stays on the CPU, batches and parameters are there.
    #[must_use]
    pub fn on(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The tensor of this name, if the case has it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensor of this name.
    ///
    /// # Panics
    /// When the case has none.
    pub fn tensor(&self, name: &str) -> &Tensor {
        self.find(name).unwrap_or_else(|| panic!("{} has no tensor {name}", self.name))
    }

    /// The tensors whose names begin with `prefix`, without it.
    #[must_use]
    pub fn below(&self, prefix: &str) -> BTreeMap<&str, &Tensor> {
        self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor))).collect()
    }

    /// The batch under `input.` or `input.N.`.
    ///
    /// # Panics
    /// When the case has none.
    #[must_use]
    pub fn batch(&self, prefix: &str) -> Batch {
        let fields = ["source", "target", "pe"].into_iter().filter_map(|field| {
            let mut tensors: NamedTensors = self
                .below(&format!("{prefix}{field}."))
                .into_iter()
                .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
                .collect();
            let ids = tensors.iter().find(|(name, _)| name == Field::IDS)?.1.view(-1);
            let special = SpecialIds::default();
            let counted: Vec<i64> = (0..)
                .zip(Vec::<i64>::try_from(ids).expect("ids"))
                .filter(|(_, id)| special.counts(*id))
                .map(|(position, _)| position)
                .collect();
            tensors.push((Field::COUNTED.to_owned(), Tensor::from_slice(&counted)));
            Some(Field::new(field, tensors).to_device(self.device).expect("the batch on its device"))
        });
        Batch::new(fields.collect())
    }

    /// The part of the config at this JSON pointer.
    #[must_use]
    pub fn config(&self, pointer: &str) -> Value {
        self.json.pointer(&format!("/config{pointer}")).cloned().unwrap_or_default()
    }

    /// The encoder of the plugin, with the case's weights, giving every feature.
    ///
    /// # Panics
    /// As [`Case::encoder_for`].
    #[must_use]
    pub fn encoder(&self) -> EncoderInstance {
        self.encoder_for(None)
    }

    /// The encoder of the plugin, with the case's weights, where only `features` are read.
    ///
    /// # Panics
    /// When it cannot be built, or a weight does not fit.
    #[must_use]
    pub fn encoder_for(&self, features: Option<&[&str]>) -> EncoderInstance {
        let handle = built::component("encoders", "encoder", "PredictorEncoder");
        let features = features.map(|features| features.iter().map(|name| (*name).to_owned()).collect());
        let context = EncoderContext::new(self.vocabulary_sizes(), self.device).with_features(features);
        let mut encoder =
            EncoderInstance::create(&handle, &self.config("/model/encoder"), &context).expect("an encoder");
        let weights = self.below("weight.");
        let mut loaded = 0;
        for parameter in encoder.parameters().expect("parameters") {
            if parameter.alias_of.is_some() {
                continue;
            }
            let Some(value) = weights.get(parameter.name.as_str()) else {
                assert!(parameter.buffer, "{} has no weight {}", self.name, parameter.name);
                continue;
            };
            assert_eq!(value.size(), parameter.tensor.size(), "{}", parameter.name);
            let mut tensor = parameter.tensor.shallow_clone();
            tch::no_grad(|| tensor.copy_(value));
            loaded += usize::from(!parameter.buffer);
        }
        let named = self.json["parameters"].as_object().expect("parameters").len();
        assert_eq!(loaded, named, "{}: every weight of the reference has its parameter", self.name);
        encoder
    }

    /// The head of the plugin, by the case's config.
    ///
    /// # Panics
    /// When it cannot be built.
    pub fn head(&self, encoder: &EncoderInstance) -> HeadInstance {
        self.head_with(encoder, &self.config("/model/tlm_outputs"))
    }

    /// The head of the plugin.
    ///
    /// # Panics
    /// When it cannot be built.
    pub fn head_with(&self, encoder: &EncoderInstance, config: &Value) -> HeadInstance {
        let handle = built::component("heads", "head", "TLMOutputs");
        let description = encoder.description();
        let features = description.feature_sizes.clone();
        let context =
            HeadContext::new(features, description.hidden_size, self.vocabulary_sizes(), self.device);
        HeadInstance::create(&handle, config, &context).expect("a head")
    }

    /// The tensor under `ours.` where the project departs from the reference on purpose, else the reference's.
    ///
    /// # Panics
    /// When the case has neither.
    pub fn expected(&self, name: &str) -> &Tensor {
        self.find(&format!("ours.{name}")).unwrap_or_else(|| self.tensor(name))
    }

    /// Compares the gradients of the encoder's parameters with those under `prefix`, within the tolerances of the golden cases. A
    /// parameter without an entry there must have none.
    ///
    /// # Panics
    /// When one is off.
    pub fn compare_gradients(&self, prefix: &str, encoder: &mut EncoderInstance) {
        let reference = self.below(prefix);
        assert!(!reference.is_empty(), "{} has gradients under {prefix}", self.name);
        let scale = reference.values().map(|tensor| largest(tensor)).fold(0.0, f64::max);
        let name = &self.name;
        let mut compared = 0;
        for parameter in encoder.parameters().expect("parameters").iter().filter(|p| p.alias_of.is_none()) {
            let key = &parameter.name;
            let found = gradient(&parameter.tensor).expect("a gradient can be asked for");
            if !reference.contains_key(key.as_str()) {
                let found = found.map_or(0.0, |found| largest(&found));
                assert!(found == 0.0, "{name}: {prefix}{key} must have no gradient, has {found}");
                continue;
            }
            let expected = self.expected(&format!("{prefix}{key}"));
            let found = found.unwrap_or_else(|| panic!("{name}: {prefix}{key} has no gradient"));
            let off = difference(&found, expected);
            assert!(off <= 2e-6 * scale, "{name}: {prefix}{key} is off by {off}, largest of all {scale}");
            let own = if key.contains("scorer") { 1e-2 } else { 2e-5 };
            let largest = largest(expected);
            assert!(
                off <= own * largest.max(1e-12),
                "{name}: {prefix}{key} is off by {off}, its largest is {largest}"
            );
            compared += 1;
        }
        assert_eq!(compared, reference.len(), "{name}: every gradient under {prefix} has its parameter");
    }

    fn vocabulary_sizes(&self) -> BTreeMap<String, i64> {
        serde_json::from_value(self.json["vocab_size"].clone()).expect("sizes")
    }
}

/// The largest absolute difference; infinite where shapes differ or a value is not a number.
#[must_use]
pub fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    if found.size() != expected.size() {
        return f64::INFINITY;
    }
    if found.numel() == 0 {
        return 0.0;
    }
    let on_cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu).to_kind(Kind::Double);
    let difference = on_cpu(found) - on_cpu(expected);
    let largest = difference.abs().max().double_value(&[]);
    if largest.is_nan() { f64::INFINITY } else { largest }
}

/// The largest absolute entry.
#[must_use]
pub fn largest(tensor: &Tensor) -> f64 {
    if tensor.numel() == 0 { 0.0 } else { tensor.to_device(Device::Cpu).abs().max().double_value(&[]) }
}
