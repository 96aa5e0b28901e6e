//! The names of the section `system` on their way to components, with everything that is wrong with them.

use super::ResolvedComponent;
use super::saved::{open_saved, saved_parts};
use crate::config::{self, Document, ModelSection, SystemSection};
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;
use crate::exit_code::ExitCode;
use crate::plugins::{Kind, LookupError, Registry};

/// What became of the names in the section `system`.
pub(super) struct Resolved {
    pub(super) parts: Option<(String, ResolvedComponent, ResolvedComponent)>,
    /// Encoder and head, whichever could be resolved, of a new system.
    pub(super) of_new_system: Vec<ResolvedComponent>,
    /// Those that could be resolved.
    pub(super) optimizers: Vec<ResolvedComponent>,
    pub(super) metrics: Vec<ResolvedComponent>,
    pub(super) complaints: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    /// The code to exit with for the complaints.
    pub(super) exit: ExitCode,
}

impl Resolved {
    /// All that could be resolved.
    pub(super) fn components(&self) -> Vec<ResolvedComponent> {
        [&self.of_new_system[..], &self.optimizers[..], &self.metrics].concat()
    }

    /// All that a run uses, as far as the config says.
    pub(super) fn used(&self) -> Vec<&ResolvedComponent> {
        let parts = self.parts.iter().flat_map(|(_, encoder, head)| [encoder, head]);
        parts.chain(&self.optimizers).chain(&self.metrics).collect()
    }
}

/// Resolves the names in the section `system`: its class stands for an encoder and a head unless the section names
/// others, or a saved system brings its own. A name that is empty was complained about before.
pub(super) fn resolve_system(
    system: &SystemSection,
    document: &Document,
    registry: &Registry,
    allow_changed: bool,
) -> Resolved {
    let mut names = Names::new(registry, document);
    let (mut warnings, mut exit) = (Vec::new(), ExitCode::Plugin);
    let parts = match &system.load {
        Some(file) => {
            match saved_parts(file, system.class_name.as_deref(), document, registry, allow_changed) {
                Ok((class, parts)) => {
                    let placed = parts.warnings.into_iter();
                    warnings.extend(placed.map(|one| document.place(one.at("system.load"))));
                    Some((class, parts.encoder, parts.head))
                }
                Err(failure) => {
                    exit = failure.exit;
                    names.complaints.extend(failure.diagnostics);
                    None
                }
            }
        }
        None => names.new_system(system),
    };
    let of_new_system = std::mem::take(&mut names.parts);
    if let Some(file) = &system.load_vocabs
        && let Err(error) = open_saved(file, "system.load_vocabs", document)
    {
        exit = ExitCode::Invalid;
        names.complaints.push(error);
    }
    let named = system.optimizers.iter().filter(|section| !section.class_name.is_empty());
    let optimizers = named
        .filter_map(|section| {
            let path = section.path_of("class_name");
            let resolved = names.resolve(Kind::Optimizer, &section.class_name, &path, None)?;
            Some(resolved.configured(section.options.clone(), section.options_path()))
        })
        .collect();
    let metrics = names.metrics(&system.metrics);
    if names.repeated {
        exit = ExitCode::Invalid;
    }
    Resolved { parts, of_new_system, optimizers, metrics, complaints: names.complaints(), warnings, exit }
}

/// The names of a config on their way to components.
pub(super) struct Names<'a> {
    registry: &'a Registry,
    document: &'a Document,
    complaints: Vec<Diagnostic>,
    /// Encoder and head of a new system, whichever could be resolved.
    parts: Vec<ResolvedComponent>,
    /// Complaints about names that nothing registers.
    not_registered: Vec<Diagnostic>,
    /// Where was searched for them.
    searched: Vec<String>,
    /// Whether a metric goes by two of the names, which is no fault of any plugin.
    repeated: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(registry: &'a Registry, document: &'a Document) -> Self {
        Self {
            registry,
            document,
            complaints: Vec::new(),
            parts: Vec::new(),
            not_registered: Vec::new(),
            searched: Vec::new(),
            repeated: false,
        }
    }

    pub(super) fn metrics(&mut self, classes: &[String]) -> Vec<ResolvedComponent> {
        let mut resolved: Vec<ResolvedComponent> = Vec::new();
        for (i, class) in classes.iter().enumerate() {
            let path = format!("system.metrics[{i}]");
            let Some(metric) = self.resolve(Kind::Metric, class, &path, None) else { continue };
            let known = resolved.iter().any(|known| known.qualified() == metric.qualified());
            if known {
                self.repeated = true;
                let complaint = Diagnostic::error(
                    Code::Metric,
                    format!("`{class}` is the same metric as one named before"),
                )
                .at(path)
                .found(format!("`{}` more than once", metric.qualified()))
                .expected("each metric once")
                .help("remove one of the two");
                self.complaints.push(self.document.place(complaint));
            }
            resolved.push(metric);
        }
        resolved
    }

    /// The system that a config describes: its class, encoder and head.
    fn new_system(
        &mut self,
        section: &SystemSection,
    ) -> Option<(String, ResolvedComponent, ResolvedComponent)> {
        let class_name = section.class_name.as_deref()?;
        let model = section.model.clone().unwrap_or_else(|| ModelSection::empty("system.model"));
        let found = match self.registry.find_system(class_name) {
            Ok(found) => Some(found),
            Err(error) => {
                self.complain(&error, "system.class_name", None);
                None
            }
        };

        let mut part = |kind: Kind, section: &config::ComponentSection| {
            let resolved = match (&section.class_name, found) {
                (Some(class), _) => self.resolve(kind, class, &format!("{}.class_name", section.path), None),
                (None, Some((plugin, system))) => {
                    let class = if kind == Kind::Encoder { &system.encoder } else { &system.head };
                    let name = &plugin.plugin.metadata.name;
                    let because = format!(
                        "the system `{}` of the plugin `{name}` stands for this {kind}",
                        system.class
                    );
                    self.resolve(kind, class, "system.class_name", Some(because))
                }
                // The system itself is complained about already.
                (None, None) => None,
            };
            Some(resolved?.configured(section.options.clone(), section.path.clone()))
        };
        let encoder = part(Kind::Encoder, &model.encoder);
        let head = part(Kind::Head, &model.tlm_outputs);
        self.parts = [&encoder, &head].into_iter().flatten().cloned().collect();
        Some((found?.1.class.clone(), encoder?, head?))
    }

    fn resolve(
        &mut self,
        kind: Kind,
        class: &str,
        path: &str,
        because: Option<String>,
    ) -> Option<ResolvedComponent> {
        match self.registry.resolve(kind, class) {
            Ok(component) => Some(component),
            Err(error) => {
                self.complain(&error, path, because);
                None
            }
        }
    }

    fn complain(&mut self, error: &LookupError, path: &str, because: Option<String>) {
        let mut complaint = error.brief_diagnostic();
        if let Some(because) = because {
            complaint.notes.insert(0, because);
        }
        let complaint = self.document.place(complaint.at(path));
        if let LookupError::NotRegistered { searched, .. } = error {
            self.searched.clone_from(searched);
            self.not_registered.push(complaint);
        } else {
            self.complaints.push(complaint);
        }
    }

    /// All complaints in the order of the file. Once is enough for where was searched.
    pub(super) fn complaints(mut self) -> Vec<Diagnostic> {
        config::sort(&mut self.not_registered);
        if let Some(first) = self.not_registered.first_mut() {
            first.notes.append(&mut self.searched);
        }
        self.complaints.append(&mut self.not_registered);
        config::sort(&mut self.complaints);
        self.complaints
    }
}
