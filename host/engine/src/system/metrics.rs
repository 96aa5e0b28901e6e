//! The metrics of a head, what batches add to them, and the main metric.

use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::abi::host::{CallError, MetricInstance};
use kiwi_plugin_api::{HeadOutput, Ordering};
use tch::Tensor;

/// One metric of one output, as `target_PERP`.
struct Entry {
    name: String,
    output: String,
    instance: MetricInstance,
}

/// The metrics of a head, in its order.
pub(crate) struct MetricSet {
    entries: Vec<Entry>,
    main: Vec<usize>,
}

/// What batches have added so far: a sum a metric, where the batches were computed.
#[derive(Default)]
pub(crate) struct Tally {
    sums: Vec<Option<Tensor>>,
}

impl Tally {
    /// These sums, one a metric.
    pub(crate) fn new(sums: Vec<Option<Tensor>>) -> Self {
        Self { sums }
    }

    /// Adds sums.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(crate) fn absorb(&mut self, other: Self) -> kiwi_plugin_api::Result<()> {
        self.sums.resize_with(self.sums.len().max(other.sums.len()), || None);
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum = match (sum.take(), more) {
                (Some(sum), Some(more)) => Some(sum.f_add(&more)?),
                (sum, more) => sum.or(more),
            };
        }
        Ok(())
    }

    /// The sums, one a metric once a batch was added.
    pub(crate) fn sums(&self) -> &[Option<Tensor>] {
        &self.sums
    }
}

impl MetricSet {
    /// Metrics by name, output and instance.
    pub(crate) fn new(metrics: Vec<(String, String, MetricInstance)>) -> Self {
        let entries = metrics
            .into_iter()
            .map(|(name, output, instance)| Entry { name, output, instance })
            .collect::<Vec<_>>();
        let main = if entries.is_empty() { Vec::new() } else { vec![0] };
        Self { entries, main }
    }

    /// Takes the sum of the metrics of these names as main metric; the head's first if there are none.
    ///
    /// # Errors
    /// A name that is none of a metric, or metrics of different orderings: all that is wrong, at `trainer.main_metric`.
    pub(crate) fn choose_main(&mut self, names: &[String]) -> Result<(), Vec<Diagnostic>> {
        if names.is_empty() {
            return Ok(());
        }
        let known: Vec<_> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        let (mut main, mut errors) = (Vec::new(), Vec::new());
        for name in names {
            match self.entries.iter().position(|entry| entry.name == *name) {
                Some(index) => main.push(index),
                None => errors.push(
                    Diagnostic::error(Code::Metric, format!("`{name}` is none of the system's metrics"))
                        .at("trainer.main_metric")
                        .found(format!("\"{name}\""))
                        .expected(format!("one of {}", known.join(", ")))
                        .nearest(nearest(name, known.iter().map(String::as_str))),
                ),
            }
        }
        let orderings: Vec<_> = main.iter().map(|index| self.ordering_of(*index)).collect();
        if orderings.windows(2).any(|pair| pair[0] != pair[1]) {
            let described: Vec<_> = main
                .iter()
                .map(|index| {
                    format!("{} ({})", self.entries[*index].name, ordering_name(self.ordering_of(*index)))
                })
                .collect();
            errors.push(
                Diagnostic::error(
                    Code::Metric,
                    "metrics of different orderings cannot be summed to a main metric",
                )
                .at("trainer.main_metric")
                .found(described.join(" + "))
                .expected("metrics that are all min or all max")
                .help("choose one of them, or several of one ordering"),
            );
        }
        if errors.is_empty() {
            self.main = main;
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// The names of all metrics, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// Name of the main metric: its parts joined by `+`; `None` where there are no metrics.
    pub(crate) fn main_name(&self) -> Option<String> {
        let names: Vec<_> = self.main.iter().map(|index| self.entries[*index].name.as_str()).collect();
        (!names.is_empty()).then(|| names.join("+"))
    }

    /// Which values of the main metric are better.
    pub(crate) fn main_ordering(&self) -> Ordering {
        self.main.first().map_or(Ordering::Min, |index| self.ordering_of(*index))
    }

    fn ordering_of(&self, index: usize) -> Ordering {
        self.entries[index].instance.ordering()
    }

    /// Adds what a batch contributes.
    ///
    /// # Errors
    /// When a plugin fails.
    pub(crate) fn add(&mut self, tally: &mut Tally, output: &HeadOutput) -> Result<(), CallError> {
        tally.sums.resize_with(self.entries.len(), || None);
        for (entry, sum) in self.entries.iter_mut().zip(&mut tally.sums) {
            let Some(figures) = output.outputs.iter().find(|figures| figures.name == entry.output) else {
                continue;
            };
            let contribution = entry.instance.contribution(figures)?;
            *sum = Some(match sum.take() {
                Some(sum) => {
                    sum.f_add(&contribution).map_err(|error| entry.instance.failed(&error.to_string()))?
                }
                None => contribution,
            });
        }
        Ok(())
    }

    /// The value of each metric, in order; `None` where there is nothing to say.
    ///
    /// # Errors
    /// When a plugin fails.
    pub(crate) fn values(&mut self, tally: &Tally) -> Result<Vec<(String, Option<f64>)>, CallError> {
        let mut values = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let total: Option<Vec<f64>> =
                tally.sums.get(index).and_then(Option::as_ref).and_then(|sum| Vec::<f64>::try_from(sum).ok());
            let value = match total {
                Some(total) => entry.instance.value(&total)?,
                None => None,
            };
            values.push((entry.name.clone(), value));
        }
        Ok(values)
    }

    /// The value of the main metric among `values`; `None` if any part has none.
    pub(crate) fn main_value(&self, values: &[(String, Option<f64>)]) -> Option<f64> {
        if self.main.is_empty() {
            return None;
        }
        self.main.iter().map(|index| values.get(*index)?.1).sum()
    }

    /// Frees the metrics and says of each how that went.
    pub(crate) fn close(self) -> Vec<Result<(), CallError>> {
        self.entries.into_iter().map(|entry| entry.instance.close()).collect()
    }
}

/// `min` or `max`.
pub(crate) fn ordering_name(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Min => "min",
        Ordering::Max => "max",
    }
}

/// The complaints about a main metric as a failure.
pub(crate) fn refused(diagnostics: Vec<Diagnostic>) -> Failure {
    Failure { exit: ExitCode::Invalid, diagnostics }
}
