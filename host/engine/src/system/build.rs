//! Building a system out of checked components: fresh, or with the values of a saved one.

use std::collections::{BTreeMap, BTreeSet};

use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::ResolvedComponent;
use kiwi_core::plugins::{Kind, LookupError, Plugin, Registry};
use kiwi_core::saved_system::archive::Archive;
use kiwi_core::saved_system::{Part, PluginIdentity, SavedSystem, SystemHeader};
use kiwi_plugin_api::abi::host::{CallError, EncoderInstance, HeadInstance, MetricInstance, Origin, Phase};
use kiwi_plugin_api::torch_ext::gradients;
use kiwi_plugin_api::{
    Batch, EncoderContext, Features, HeadContext, HeadOutput, MetricRequest, NamedTensors, Parameter,
    SpecialIds,
};
use kiwi_text::{BOS, EOS, PAD, UNK, Vocabularies};
use serde_json::Value;
use tch::{Device, Tensor};

use super::metrics::MetricSet;
use super::parameters::{self, ENCODER, HEAD};
use super::{Checked, Components, Setup, freed};

/// The vocabularies of a system, and how its text is processed.
pub(crate) struct Vocabulary {
    pub(crate) vocabularies: Vocabularies,
    pub(crate) data_processing: Value,
}

/// A system that can be trained, evaluated and saved.
pub(crate) struct System {
    class: String,
    encoder: EncoderInstance,
    head: HeadInstance,
    encoder_part: Part,
    head_part: Part,
    vocabulary: Vocabulary,
    device: Device,
    carries_state: bool,
    parameters: Vec<Parameter>,
    /// Its metrics: the head's, then those the config adds.
    pub(crate) metrics: MetricSet,
    /// The components of the head's metrics, by the metrics' names; the config does not say which they are.
    pub(crate) unnamed: Vec<(String, ResolvedComponent)>,
}

/// The components that a system is built of.
pub(crate) struct Parts {
    pub(crate) class: String,
    pub(crate) encoder: Checked,
    pub(crate) head: Checked,
    pub(crate) metrics: Vec<Checked>,
    /// Features that are wanted in place of those the head reads, which is then not run.
    pub(crate) features: Option<BTreeSet<String>>,
}

impl System {
    /// Builds the system with fresh parameters, drawn from libtorch's generator.
    ///
    /// # Errors
    /// When a component cannot be built, or a metric that the head wants is not registered.
    pub(crate) fn build(
        parts: Parts,
        vocabulary: Vocabulary,
        components: &mut Components,
        registry: &Registry,
        device: Device,
    ) -> Result<Self, Failure> {
        let sizes = BTreeMap::from([
            ("source".to_owned(), vocabulary.vocabularies.source.len() as i64),
            ("target".to_owned(), vocabulary.vocabularies.target.len() as i64),
        ]);
        let [unk, pad, bos, eos] = [UNK, PAD, BOS, EOS].map(i64::from);
        let special = SpecialIds::new(unk, pad, bos, eos);
        let read = parts.features.clone().or_else(|| parts.head.needs.features.clone());
        let context = EncoderContext::new(sizes.clone(), device).with_special(special).with_features(read);
        let mut encoder =
            EncoderInstance::create(&parts.encoder.handle, &parts.encoder.config, &context).map_err(Setup)?;
        let description = encoder.description().clone();
        if parts.features.is_none() {
            refuse_missing_features(&parts, &description.feature_sizes)?;
        }
        let context = HeadContext::new(description.feature_sizes, description.hidden_size, sizes, device)
            .with_special(special);
        let mut head =
            HeadInstance::create(&parts.head.handle, &parts.head.config, &context).map_err(Setup)?;
        let mut parameters = parameters::prefixed(ENCODER, encoder.parameters().map_err(Setup)?);
        parameters.extend(parameters::prefixed(HEAD, head.parameters().map_err(Setup)?));
        let requests = head.metrics().map_err(Setup)?;
        let (metrics, unnamed) =
            metrics(requests, &parts.head.resolved, parts.metrics, components, registry)?;
        Ok(Self {
            class: parts.class,
            encoder,
            head,
            encoder_part: saved_part(&parts.encoder),
            head_part: saved_part(&parts.head),
            vocabulary,
            device,
            carries_state: parts.encoder.needs.carries_state == Some(true),
            parameters,
            metrics,
            unnamed,
        })
    }

    /// Takes over the values of a saved system.
    ///
    /// # Errors
    /// Everything that does not fit; then nothing is taken over.
    pub(crate) fn load(&mut self, saved: &SavedSystem) -> Result<(), Failure> {
        let Vocabularies { source, target } = &self.vocabulary.vocabularies;
        let sizes = format!("source {} entries, target {} entries", source.len(), target.len());
        parameters::load(&self.parameters, saved.archive(), |_| true, &sizes)?;
        let SystemHeader { encoder, head, .. } = saved.header();
        self.load_extra(encoder.extra.as_ref(), head.extra.as_ref())
    }

    /// Takes the parameters of a system of the same parts in place of its own, which are equal: both then read the same memory.
    /// What a component may write to, its buffers, stays its own.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(crate) fn share_parameters(&mut self, of: &Self) -> Result<(), kiwi_plugin_api::Error> {
        for (own, other) in self.parameters.iter().zip(&of.parameters) {
            if !own.buffer && own.name == other.name {
                own.tensor.shallow_clone().f_set_data(&other.tensor)?;
            }
        }
        Ok(())
    }

    /// Takes over the values in a resume point, and what its encoder and its head kept besides.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub(crate) fn go_on(
        &mut self,
        point: &Archive,
        encoder_extra: Option<&Value>,
        head_extra: Option<&Value>,
    ) -> Result<(), Failure> {
        let is_value = |name: &str| name.starts_with(ENCODER) || name.starts_with(HEAD);
        parameters::load(&self.parameters, point, is_value, "those of the corpora")?;
        self.load_extra(encoder_extra, head_extra)
    }

    fn load_extra(&mut self, encoder: Option<&Value>, head: Option<&Value>) -> Result<(), Failure> {
        if let Some(extra) = encoder {
            self.encoder.load_extra(extra).map_err(Setup)?;
        }
        if let Some(extra) = head {
            self.head.load_extra(extra).map_err(Setup)?;
        }
        Ok(())
    }

    /// What encoder and head keep beside their parameters.
    ///
    /// # Errors
    /// When a component fails.
    pub(crate) fn extras(&mut self) -> Result<(Option<Value>, Option<Value>), CallError> {
        Ok((self.encoder.extra()?, self.head.extra()?))
    }

    /// Whether its encoder carries state from batch to batch.
    pub(crate) fn carries_state(&self) -> bool {
        self.carries_state
    }

    /// The state that its encoder carries in training; `None` where it carries none or cannot save it.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn carried_state(&mut self) -> Result<Option<NamedTensors>, CallError> {
        if self.carries_state { self.encoder.carried_state() } else { Ok(None) }
    }

    /// Hands its encoder the state that it carried.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn load_carried_state(&mut self, state: &NamedTensors) -> Result<(), Failure> {
        self.encoder.load_carried_state(state).map_err(Setup).map_err(Into::into)
    }

    /// What a file of this system says about it, without how it was trained.
    ///
    /// # Errors
    /// When a component fails.
    pub(crate) fn header(&mut self) -> Result<SystemHeader, CallError> {
        let vocabularies = &self.vocabulary.vocabularies;
        Ok(SystemHeader {
            class_name: self.class.clone(),
            encoder: Part { extra: self.encoder.extra()?, ..self.encoder_part.clone() },
            head: Part { extra: self.head.extra()?, ..self.head_part.clone() },
            data_processing: self.vocabulary.data_processing.clone(),
            training: None,
            source_vocabulary: vocabularies.source.words().to_vec(),
            target_vocabulary: vocabularies.target.words().to_vec(),
        })
    }

    /// Its parameters and buffers, by their names in a file.
    pub(crate) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// How many numbers the parameters have whose names begin with `prefix`: those that train, and those that do not.
    pub(crate) fn count(&self, prefix: &str) -> (usize, usize) {
        let chosen = self.parameters.iter().filter(|one| !one.buffer && one.name.starts_with(prefix));
        let (trainable, frozen): (Vec<_>, Vec<_>) = chosen.partition(|one| one.trainable);
        let numbers = |all: Vec<&Parameter>| all.iter().map(|one| one.tensor.numel()).sum();
        (numbers(trainable), numbers(frozen))
    }

    /// The parameters that train.
    pub(crate) fn trainable(&self) -> Vec<Tensor> {
        let trainable = self.parameters.iter().filter(|parameter| parameter.trainable);
        trainable.map(|parameter| parameter.tensor.shallow_clone()).collect()
    }

    /// The encoder's hidden size; of one without, the most common last dimension of the parameters that train, of equals the
    /// largest.
    pub(crate) fn hidden_size(&self) -> i64 {
        match self.encoder.description().hidden_size {
            size if size > 0 => size,
            _ => parameters::most_common_size(&self.trainable()),
        }
    }

    /// Where it computes.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Loss and figures of a batch.
    ///
    /// # Errors
    /// When a component fails.
    pub(crate) fn forward(&mut self, batch: &Batch, training: bool) -> Result<HeadOutput, CallError> {
        let features: Features = self.encoder.forward(batch, training)?;
        let output = self.head.forward(&features, batch, training)?;
        if training && !output.loss.requires_grad() {
            let Part { class_name, plugin, .. } = &self.head_part;
            let origin = Origin::new(&plugin.name, class_name);
            let message = "its loss depends on no parameter that trains: nothing could be learned from it";
            return Err(CallError::new(&origin, Phase::Forward, message));
        }
        Ok(output)
    }

    /// Gradients of a loss that [`Self::forward`] gave. Operations of both components are run backward; which one failed, only its
    /// message may tell.
    ///
    /// # Errors
    /// When libtorch fails, or an operation of a component.
    pub(crate) fn backward(&self, loss: &Tensor) -> Result<(), Failure> {
        gradients::backward(loss).map_err(|error| {
            let error = kiwi_plugin_api::Error::from(error);
            let [encoder, head] = [&self.encoder_part, &self.head_part]
                .map(|part| format!("`{}` of the plugin `{}`", part.class_name, part.plugin.name));
            let diagnostic = Diagnostic::error(Code::TorchFailed, format!("backward failed: {error}"))
                .note(format!("in what {encoder} or {head} computed in forward"));
            Failure::new(ExitCode::RunFailed, diagnostic)
        })
    }

    /// The features of a batch, in evaluation mode.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(crate) fn encode(&mut self, batch: &Batch) -> Result<Features, CallError> {
        self.reset_state(false)?;
        self.encoder.forward(batch, false)
    }

    /// The last dimension of a feature that the encoder gives.
    pub(crate) fn feature_size(&self, name: &str) -> Option<i64> {
        self.encoder.description().feature_sizes.get(name).copied()
    }

    /// The features that the encoder gives.
    pub(crate) fn feature_names(&self) -> Vec<&str> {
        self.encoder.description().feature_sizes.keys().map(String::as_str).collect()
    }

    /// Has the encoder forget the state that it carries from batch to batch in training, or in evaluation.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn reset_state(&mut self, training: bool) -> Result<(), CallError> {
        if self.carries_state { self.encoder.reset_state(training) } else { Ok(()) }
    }

    /// Has the encoder cut the state that it carries in training from how it came about.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn detach_state(&mut self) -> Result<(), CallError> {
        if self.carries_state { self.encoder.detach_state() } else { Ok(()) }
    }

    /// Frees its components; what went wrong with that.
    pub(crate) fn close(self) -> Vec<Diagnostic> {
        let mut results = self.metrics.close();
        results.push(self.head.close());
        results.push(self.encoder.close());
        results.into_iter().filter_map(Result::err).map(|error| freed(&error)).collect()
    }
}

/// Refuses a head that reads features which the encoder does not give.
fn refuse_missing_features(parts: &Parts, given: &BTreeMap<String, i64>) -> Result<(), Failure> {
    let (encoder, head) = (&parts.encoder.resolved, &parts.head.resolved);
    let read = parts.head.needs.features.iter().flatten();
    let errors: Vec<_> = read
        .filter(|feature| !given.contains_key(*feature))
        .map(|feature| {
            let known: Vec<_> = given.keys().map(String::as_str).collect();
            Diagnostic::error(
                Code::PartsDoNotFit,
                format!(
                    "the head `{}` reads the feature `{feature}`, which the encoder `{}` does not give",
                    head.class, encoder.class
                ),
            )
            .found(format!("`{feature}`"))
            .expected(format!("one of {}", known.join(", ")))
            .nearest(nearest(feature, known))
            .help("choose an encoder and a head that belong together")
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure { exit: ExitCode::Invalid, diagnostics: errors }) }
}

fn saved_part(part: &Checked) -> Part {
    let ResolvedComponent { class, plugin, version, sha256, .. } = &part.resolved;
    Part {
        class_name: class.clone(),
        config: part.config.clone(),
        plugin: PluginIdentity { name: plugin.clone(), version: version.clone(), sha256: sha256.clone() },
        extra: None,
    }
}

/// The metric that a head asks for. Of several plugins that register the class its own is meant, then the one that lies beside it.
fn asked_by_head(
    class: &str,
    head: &ResolvedComponent,
    registry: &Registry,
) -> Result<ResolvedComponent, LookupError> {
    let found = registry.resolve(Kind::Metric, class);
    if !matches!(found, Err(LookupError::Ambiguous { .. })) {
        return found;
    }
    let is_one = |plugin: &&Plugin| plugin.classes(Kind::Metric).any(|known| known == class);
    let own = registry.plugins.iter().filter(is_one).find(|plugin| plugin.metadata.name == head.plugin);
    let mut beside =
        registry.plugins.iter().filter(is_one).filter(|plugin| plugin.path.parent() == head.file.parent());
    let near = own.or_else(|| beside.next().filter(|_| beside.next().is_none()));
    match near {
        Some(plugin) => registry.resolve(Kind::Metric, &format!("{}::{class}", plugin.metadata.name)),
        None => found,
    }
}

/// The metrics that a head wants, then each of `added` for each of the head's outputs.
fn metrics(
    requests: Vec<MetricRequest>,
    head: &ResolvedComponent,
    added: Vec<Checked>,
    components: &mut Components,
    registry: &Registry,
) -> Result<(MetricSet, Vec<(String, ResolvedComponent)>), Failure> {
    let (mut resolved, mut errors) = (Vec::new(), Vec::new());
    for request in &requests {
        match asked_by_head(&request.class_name, head, registry) {
            Ok(component) => resolved.push((request.output.clone(), component)),
            Err(error) => {
                let because =
                    format!("the head `{}` of the plugin `{}` asks for it", head.class, head.plugin);
                let diagnostic =
                    if errors.is_empty() { error.diagnostic() } else { error.brief_diagnostic() };
                // No config can say which is meant.
                let diagnostic = match error {
                    LookupError::Ambiguous { .. } => diagnostic.help(
                        "remove one of these plugins from the directories that are searched: the head names the class alone",
                    ),
                    _ => diagnostic,
                };
                errors.push(diagnostic.note(because));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Plugin, diagnostics: errors });
    }
    let (mut entries, mut unnamed) = (Vec::new(), Vec::new());
    for (output, component) in resolved {
        let handle = components.open_unnamed(&component, registry)?;
        let instance =
            MetricInstance::create(&handle, &Value::Object(serde_json::Map::new())).map_err(Setup)?;
        let name = format!("{output}_{}", component.class);
        entries.push((name.clone(), output, instance));
        unnamed.push((name, component));
    }
    let mut outputs: Vec<String> = requests.into_iter().map(|request| request.output).collect();
    outputs.dedup();
    for (i, metric) in added.iter().enumerate() {
        for output in &outputs {
            let name = format!("{output}_{}", metric.resolved.class);
            if entries.iter().any(|(known, _, _)| *known == name) {
                let error = Diagnostic::error(Code::Metric, format!("the metric `{name}` is there already"))
                    .at(format!("system.metrics[{i}]"))
                    .help("take it out of system.metrics");
                return Err(Failure::new(ExitCode::Invalid, error));
            }
            let instance = MetricInstance::create(&metric.handle, &metric.config).map_err(Setup)?;
            entries.push((name, output.clone(), instance));
        }
    }
    Ok((MetricSet::new(entries), unnamed))
}
