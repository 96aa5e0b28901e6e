//! `template_class`: the share of words that the system finds more probable than all others together.

use kiwi_plugin_api::prelude::*;

/// A config names metrics and gives them no options.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Config {}

/// A word counts if its probability is above this.
const THRESHOLD: f64 = 0.5;

/// The metric.
pub struct TemplateStruct;

impl Component for TemplateStruct {
    type Config = Config;
    const CLASS_NAME: &'static str = "template_class";
    const SUMMARY: &'static str = "template summary";
}

impl Metric for TemplateStruct {
    const ORDERING: Ordering = Ordering::Max;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    /// Two sums: of words that count, and of all. Nothing here waits for a GPU.
    fn contribution(&self, output: &Output) -> Result<Tensor> {
        let probability = output.tensor(Output::PROBABILITY)?;
        let sure = probability.f_gt(THRESHOLD)?.f_sum(Kind::Double)?;
        let all = Tensor::f_full_like(&sure, probability.numel() as f64)?;
        Ok(Tensor::f_stack(&[sure, all], 0)?)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        match total {
            [sure, all] if *all > 0.0 => Some(sure / all),
            _ => None,
        }
    }
}

register!(metric TemplateStruct);
plugin!();

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::serde_json::json;
    use kiwi_plugin_api::testing::{self, Setting};

    use super::*;

    /// An output of words with these probabilities.
    fn output(probability: &[f32]) -> Result<Output> {
        let nll: Vec<f32> = probability.iter().map(|p| -p.ln()).collect();
        let correct = vec![true; probability.len()];
        testing::output("target", &nll, probability, &correct)
    }

    fn value(batches: &[&[f32]]) -> Result<Option<f64>> {
        let metric: TemplateStruct = Setting::new().metric(json!({}))?;
        let outputs = batches
            .iter()
            .map(|batch| output(batch))
            .collect::<Result<Vec<_>>>()?;
        testing::measure(&metric, &outputs)
    }

    #[test]
    fn words_above_the_threshold_count() -> Result<()> {
        assert_eq!(value(&[&[0.9, 0.5, 0.51, 0.1]])?, Some(0.5));
        assert_eq!(value(&[&[0.2]])?, Some(0.0));
        Ok(())
    }

    #[test]
    fn it_does_not_depend_on_how_words_are_batched() -> Result<()> {
        let whole = value(&[&[0.9, 0.1, 0.8, 0.7, 0.3]])?;
        assert_eq!(value(&[&[0.9], &[0.1, 0.8], &[], &[0.7, 0.3]])?, whole);
        Ok(())
    }

    #[test]
    fn of_no_words_there_is_nothing_to_say() -> Result<()> {
        assert_eq!(value(&[&[]])?, None);
        Ok(())
    }
}
