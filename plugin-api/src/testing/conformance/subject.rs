//! The component that is checked, with the options that it is checked with.

use std::cell::OnceCell;

use serde_json::Value;
use tch::{Device, Tensor};

use super::finding::{Checked, Complaint, Stop};
use super::settings::Settings;
use super::{config, encoder, head, metric, optimizer};
use crate::abi::host::ComponentHandle;
use kiwi_plugin_metadata::kind;
use kiwi_torch_ext::generator::manual_seed;

/// What is checked.
pub(super) struct Subject<'a> {
    pub(super) handle: &'a ComponentHandle,
    pub(super) kind: &'a str,
    pub(super) settings: &'a Settings,
    chosen: OnceCell<Chosen>,
    small: OnceCell<Value>,
}

/// The options that a component is checked with.
#[derive(Clone)]
pub(super) struct Chosen {
    /// As somebody would write them.
    pub(super) written: Value,
    /// With every default filled in.
    pub(super) filled: Value,
    /// The options that the suite chose itself, as `size=8`, because they are required.
    pub(super) invented: Vec<String>,
    /// What the component finds worth a warning.
    pub(super) warnings: Vec<String>,
}

/// A component that is called again and again.
pub(super) trait Exercise {
    /// The tensors that are lent to it in each call, by name: handles of the suite's own.
    fn lent(&self) -> Vec<(String, Tensor)>;

    /// One call of what it is for, in training with what follows from it, such as backward.
    fn work(&mut self, training: bool) -> Checked<()>;

    /// The cheapest call that there is, by name.
    fn cheapest(&mut self) -> Checked<&'static str>;

    /// Frees it.
    fn close(self: Box<Self>) -> Checked<()>;
}

impl<'a> Subject<'a> {
    pub(super) fn new(handle: &'a ComponentHandle, kind: &'a str, settings: &'a Settings) -> Self {
        Self { handle, kind, settings, chosen: OnceCell::new(), small: OnceCell::new() }
    }

    pub(super) fn class(&self) -> &str {
        &self.handle.origin().class
    }

    pub(super) fn device(&self) -> Device {
        self.settings.device
    }

    /// The device as contexts name it.
    pub(super) fn device_name(&self) -> String {
        match self.settings.device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        }
    }

    /// The options that it is checked with.
    pub(super) fn chosen(&self) -> Checked<&Chosen> {
        if let Some(chosen) = self.chosen.get() {
            return Ok(chosen);
        }
        let chosen = config::choose(self)?;
        Ok(self.chosen.get_or_init(|| chosen))
    }

    /// Its config, with every default filled in.
    pub(super) fn config(&self) -> Checked<&Value> {
        Ok(&self.chosen()?.filled)
    }

    /// The same config with sizes of at most [`SMALL`], where it has larger ones, takes these, and nobody chose the others: what is
    /// called a thousand times, or for each parameter, is to take little time.
    pub(super) fn small_config(&self, works: impl FnOnce(&Value) -> bool) -> Checked<&Value> {
        if let Some(small) = self.small.get() {
            return Ok(small);
        }
        let config = self.config()?;
        let mut reduced = config.clone();
        let given = self.settings.options.contains_key(self.class());
        let small = if given || reduce(&mut reduced) == 0 {
            config.clone()
        } else {
            let report = self.handle.check(&reduced)?;
            let taken = report.config.filter(|config| report.errors.is_empty() && works(config));
            taken.unwrap_or_else(|| config.clone())
        };
        Ok(self.small.get_or_init(|| small))
    }

    /// A config with each number that is called a dropout above 0, if the component takes it so; and how many there are.
    pub(super) fn config_with_dropout(&self, config: &Value) -> Checked<(Value, usize)> {
        let mut changed = config.clone();
        let count = raise_dropout(&mut changed);
        if count == 0 {
            return Ok((changed, 0));
        }
        let report = self.handle.check(&changed)?;
        match report.config.filter(|_| report.errors.is_empty()) {
            Some(filled) => Ok((filled, count)),
            None => Ok((config.clone(), 0)),
        }
    }

    /// One that is ready to be called again and again.
    pub(super) fn exercise(&self) -> Checked<Box<dyn Exercise>> {
        seed(1)?;
        match self.kind {
            kind::ENCODER => encoder::exercise(self),
            kind::HEAD => head::exercise(self),
            kind::OPTIMIZER => optimizer::exercise(self),
            kind::METRIC => metric::exercise(self),
            other => Err(Complaint::new(format!("components of the kind `{other}` are not known"))
                .expected("an encoder, a head, an optimizer or a metric")
                .into()),
        }
    }
}

/// Seeds libtorch's generators, as the host does before each step.
pub(super) fn seed(seed: u64) -> Checked<()> {
    manual_seed(seed).map_err(Stop::from)
}

/// The largest size of a component that is called often.
const SMALL: i64 = 16;

fn reduce(value: &mut Value) -> usize {
    match value {
        Value::Object(members) => members.values_mut().map(reduce).sum(),
        Value::Number(number) if number.as_i64().is_some_and(|number| number > SMALL) => {
            *value = Value::from(SMALL);
            1
        }
        _ => 0,
    }
}

fn raise_dropout(value: &mut Value) -> usize {
    let Some(members) = value.as_object_mut() else { return 0 };
    let mut count = 0;
    for (key, member) in members {
        if member.is_number() && key.contains("dropout") {
            *member = Value::from(0.25);
            count += 1;
        } else {
            count += raise_dropout(member);
        }
    }
    count
}
