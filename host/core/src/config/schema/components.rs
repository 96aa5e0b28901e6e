//! The components of the installed plugins as parts of the schema: one definition a component, and conditions that lead from a
//! class to it.

use kiwi_plugin_metadata::reader::SystemMetadata;
use serde_json::{Map, Value, json};

use super::Probed;
use super::classes::names_of;
use super::embedded::{self, Unusable};
use super::system::{of_class, of_optimizer, of_part};
use super::values::or_null;
use crate::plugins::{Kind, Plugin, Registry};

/// A component, and what of it stands in the schema.
pub(super) struct Component<'a> {
    pub(super) plugin: &'a str,
    pub(super) class: &'a str,
    /// What `class_name` says to have it.
    pub(super) names: Value,
    /// The schema of its options, a reference; anything goes where it is not known.
    pub(super) options: Value,
    /// Whether it can do without any option, as far as is known.
    pub(super) accepts_no_options: bool,
    /// Whether it has a learning-rate schedule of its own, if that is known.
    pub(super) has_schedule: Option<bool>,
}

/// All components that can be used.
pub(super) struct Components<'a> {
    registry: &'a Registry,
    all: Vec<(Kind, Component<'a>)>,
}

impl<'a> Components<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        probed: &dyn Probed,
        definitions: &mut Map<String, Value>,
        unusable: &mut Vec<Unusable>,
    ) -> Self {
        let mut all = Vec::new();
        for plugin in &registry.plugins {
            for kind in [Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric] {
                let mut classes: Vec<&str> = plugin.classes(kind).collect();
                // The order in a file is the linker's.
                classes.sort_unstable();
                for class in classes {
                    let name = plugin.metadata.name.as_str();
                    let known = probed.component(name, kind.name(), class);
                    let mut options = json!({"type": "object"});
                    // Metrics are given none.
                    if let Some(known) = known.filter(|_| kind != Kind::Metric) {
                        let key = embedded::free_key(&format!("{kind}.{name}.{class}"), definitions);
                        let shares_section = matches!(kind, Kind::Encoder | Kind::Head);
                        match embedded::definition(&key, class, &known.schema, shares_section) {
                            Ok(definition) => {
                                options = json!({"$ref": embedded::pointer(&key)});
                                definitions.insert(key, definition);
                            }
                            Err(reason) => unusable.push(Unusable {
                                plugin: name.to_owned(),
                                class: class.to_owned(),
                                reason,
                            }),
                        }
                    }
                    let component = Component {
                        plugin: name,
                        class,
                        names: names_of(registry, plugin, kind, class),
                        options,
                        accepts_no_options: known.is_none_or(|known| known.accepts_no_options),
                        has_schedule: known.map(|known| known.has_schedule),
                    };
                    all.push((kind, component));
                }
            }
        }
        Self { registry, all }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Component<'a>> {
        self.all.iter().filter(move |(of, _)| *of == kind).map(|(_, component)| component)
    }

    /// What `class_name` may say where a component of this kind is meant.
    pub(super) fn names(&self, kind: Kind) -> Value {
        any_of(kind, self.of_kind(kind).map(|component| &component.names))
    }

    /// What may stand in `system.metrics`: metrics are given no options there.
    pub(super) fn metric_names(&self) -> Value {
        let metrics = self.of_kind(Kind::Metric).filter(|metric| metric.accepts_no_options);
        any_of(Kind::Metric, metrics.map(|component| &component.names))
    }

    /// What may stand at `system.class_name`.
    pub(super) fn system_names(&self) -> Value {
        let names: Vec<Value> =
            self.all_systems().map(|(plugin, system)| self.names_of_system(plugin, system)).collect();
        any_of(Kind::System, &names)
    }

    /// What holds for the section `system` by the class it names.
    pub(super) fn systems(&self) -> Vec<Value> {
        let part = |kind: Kind, asked: &str| {
            let found = self.registry.find(kind, asked).ok()?;
            self.of_kind(kind)
                .find(|one| one.plugin == found.plugin.metadata.name && one.class == found.class)
        };
        self.all_systems()
            .map(|(plugin, system)| {
                let encoder = of_part("encoder", part(Kind::Encoder, &system.encoder));
                let head = of_part("tlm_outputs", part(Kind::Head, &system.head));
                let model = json!({"allOf": [encoder, head]});
                of_class(&self.names_of_system(plugin, system), json!({"properties": {"model": model}}))
            })
            .collect()
    }

    fn all_systems(&self) -> impl Iterator<Item = (&'a Plugin, &'a SystemMetadata)> {
        self.registry
            .plugins
            .iter()
            .flat_map(|plugin| plugin.metadata.systems.iter().map(move |system| (plugin, system)))
    }

    fn names_of_system(&self, plugin: &Plugin, system: &SystemMetadata) -> Value {
        names_of(self.registry, plugin, Kind::System, &system.class)
    }

    /// What the sections refer to: a part of a system by its class, and the rules of optimizers.
    pub(super) fn definitions(&self) -> Map<String, Value> {
        let part = |kind: Kind| {
            let by_class: Vec<Value> =
                self.of_kind(kind).map(|one| of_class(&one.names, one.options.clone())).collect();
            let mut part = json!({
                "type": "object",
                "properties": {"class_name": or_null(self.names(kind))},
            });
            if !by_class.is_empty() {
                part["allOf"] = by_class.into();
            }
            (kind.name().to_owned(), part)
        };
        let optimizers: Vec<Value> =
            self.of_kind(Kind::Optimizer).map(|one| of_class(&one.names, of_optimizer(one))).collect();
        let optimizers = if optimizers.is_empty() { json!({}) } else { json!({"allOf": optimizers}) };
        [part(Kind::Encoder), part(Kind::Head), ("optimizer_classes".to_owned(), optimizers)]
            .into_iter()
            .collect()
    }
}

/// Any of these names; none if there are none.
fn any_of<'n>(kind: Kind, names: impl IntoIterator<Item = &'n Value>) -> Value {
    let alternatives: Vec<Value> =
        names.into_iter().filter_map(|one| one.get("anyOf")?.as_array()).flatten().cloned().collect();
    if alternatives.is_empty() {
        return json!({"not": {}, "description": format!("No plugin that registers {} is installed.", kind.with_article())});
    }
    json!({"anyOf": alternatives})
}
