//! What a component needs of corpora and of the rest of the system, known from its checked config: before a corpus is read.

use std::collections::BTreeSet;

use kiwi_core::diagnostic::{Diagnostic, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::plan::ResolvedComponent;
use kiwi_core::plugins::Kind;
use kiwi_plugin_api::abi::host::{CallError, ComponentHandle};
use kiwi_plugin_api::{EncoderNeeds, HeadNeeds, LongestSentence, NeededField, SparseGradient};
use kiwi_text::Field;
use serde_json::Value;

use super::parameters::{ENCODER, HEAD};

/// What one component needs; nothing unless it is an encoder or a head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needs {
    /// It reads post-edits, because of this.
    pub(crate) post_edit: Option<Reason>,
    /// Of a head: the features it reads; `None` for all.
    pub(crate) features: Option<BTreeSet<String>>,
    /// The longest sentences it can take.
    pub(crate) longest: Vec<Limit>,
    /// Its parameters whose gradients are sparse.
    pub(crate) sparse_gradients: Vec<SparseParameter>,
    /// Whether it is an encoder that carries state from batch to batch; `None` of all else.
    pub(crate) carries_state: Option<bool>,
    /// Fields that no corpus has.
    unknown: Vec<(String, Reason)>,
}

/// Why something is needed.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    /// Class of the component.
    pub(crate) class: String,
    /// The option that asks for it, as the component names it; empty where it is always so.
    pub(crate) option: String,
    /// JSON path of the option in the config; `None` for a saved system, which no config changes.
    pub(crate) path: Option<String>,
}

/// The longest sentence of a field that an encoder can take.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) field: Field,
    /// With `<bos>` and `<eos>`.
    pub(crate) positions: i64,
    pub(crate) reason: Reason,
}

impl Limit {
    /// The same limit, which nothing in a config can change.
    pub(crate) fn for_good(&self) -> Self {
        let mut limit = self.clone();
        limit.reason.path = None;
        limit
    }
}

/// A parameter whose gradient is sparse.
#[derive(Debug, Clone)]
pub(crate) struct SparseParameter {
    /// Its name in the system.
    pub(crate) name: String,
    pub(crate) reason: Reason,
}

impl Needs {
    /// Asks a component.
    ///
    /// # Errors
    /// When the plugin fails.
    pub(crate) fn of(
        resolved: &ResolvedComponent,
        handle: &ComponentHandle,
        config: &Value,
    ) -> Result<Self, CallError> {
        let mut needs = Self::default();
        match resolved.kind {
            Kind::Encoder => {
                let EncoderNeeds { fields, longest, sparse_gradients, carries_state, .. } =
                    handle.encoder_needs(config)?;
                needs.carries_state = Some(carries_state);
                needs.add_fields(resolved, fields);
                needs.add_limits(resolved, longest);
                needs.add_sparse(resolved, ENCODER, sparse_gradients);
            }
            Kind::Head => {
                let HeadNeeds { fields, features, sparse_gradients, .. } = handle.head_needs(config)?;
                needs.add_fields(resolved, fields);
                needs.features = features.map(|features| features.into_iter().collect());
                needs.add_sparse(resolved, HEAD, sparse_gradients);
            }
            Kind::Optimizer | Kind::Metric | Kind::System => {}
        }
        Ok(needs)
    }

    fn add_sparse(&mut self, resolved: &ResolvedComponent, prefix: &str, sparse: Vec<SparseGradient>) {
        self.sparse_gradients.extend(sparse.into_iter().map(|sparse| SparseParameter {
            name: format!("{prefix}{}", sparse.parameter),
            reason: Reason::new(resolved, sparse.option),
        }));
    }

    fn add_fields(&mut self, resolved: &ResolvedComponent, fields: Vec<NeededField>) {
        for NeededField { field, option, .. } in fields {
            let reason = Reason::new(resolved, option);
            match known(&field) {
                Some(Field::PostEdit) => self.post_edit = Some(reason),
                Some(Field::Source | Field::Target) => {}
                None => self.unknown.push((field, reason)),
            }
        }
    }

    fn add_limits(&mut self, resolved: &ResolvedComponent, longest: Vec<LongestSentence>) {
        for LongestSentence { field, positions, option, .. } in longest {
            let reason = Reason::new(resolved, option);
            match known(&field) {
                Some(field) => self.longest.push(Limit { field, positions, reason }),
                None => self.unknown.push((field, reason)),
            }
        }
    }

    /// What no host of this version can give.
    pub(crate) fn impossible(&self) -> impl Iterator<Item = Diagnostic> {
        let names = Field::ALL.map(Field::name);
        self.unknown.iter().map(move |(field, reason)| {
            let error = Diagnostic::error(
                Code::PartsDoNotFit,
                format!("{} reads the field `{field}`, which this host does not know", reason.who()),
            );
            reason
                .place(error)
                .found(format!("`{field}`"))
                .expected(format!("one of {}", names.join(", ")))
                .nearest(nearest(field, names))
                .help("use a newer host, or report this to the plugin's authors")
        })
    }
}

impl Reason {
    fn new(resolved: &ResolvedComponent, option: String) -> Self {
        let path = match (resolved.config_path.as_str(), option.as_str()) {
            ("", _) => None,
            (part, "") => Some(part.to_owned()),
            (part, option) => Some(format!("{part}.{option}")),
        };
        Self { class: resolved.class.clone(), option, path }
    }

    /// Who needs it: the component, and its option where there is one.
    pub(crate) fn who(&self) -> String {
        match self.option.as_str() {
            "" => format!("`{}`", self.class),
            option => format!("`{}` with {option}", self.class),
        }
    }

    /// The complaint at the option.
    pub(crate) fn place(&self, diagnostic: Diagnostic) -> Diagnostic {
        match &self.path {
            Some(path) => diagnostic.at(path.clone()),
            None => diagnostic,
        }
    }

    /// The path of the option, where there is one that a config can change.
    pub(crate) fn changeable(&self) -> Option<&str> {
        self.path.as_deref().filter(|_| !self.option.is_empty())
    }
}

fn known(name: &str) -> Option<Field> {
    Field::ALL.into_iter().find(|field| field.name() == name)
}
