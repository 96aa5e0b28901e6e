//! Checks of optimizers, over a few small parameters whose gradients are made up: steps (`step`), state (here) and schedules
//! (`schedule`).

mod schedule;
mod step;

use kiwi_torch_ext::gradients::{clear_gradients, set_gradient};
use kiwi_torch_ext::use_count;
use tch::{Device, Kind, Tensor, no_grad, with_grad};

use super::compare::{copy, first_difference};
use super::finding::{Checked, Complaint, Seen, Stop};
use super::gradients::backward;
use super::subject::{Exercise, Subject, seed};
use super::suite::Check;
use crate::abi::host::OptimizerInstance;
use crate::{NamedTensors, ParameterGroup};

pub(super) const CHECKS: [Check; 7] = [
    Check { id: "create", needs: &["options"], run: create },
    Check { id: "work", needs: &["create"], run: step::work },
    Check { id: "rates", needs: &["work"], run: step::rates },
    Check { id: "zero_rate", needs: &["work"], run: step::zero_rate },
    Check { id: "determinism", needs: &["work"], run: step::determinism },
    Check { id: "saved_state", needs: &["determinism"], run: saved },
    Check { id: "schedule", needs: &["options"], run: schedule::factors },
];

/// Learning rate of the steps.
const RATE: f64 = 0.01;

/// An optimizer over two groups of parameters, some of them without a gradient.
struct Opened {
    instance: OptimizerInstance,
    groups: Vec<ParameterGroup>,
    /// Whether gradients are to be sparse.
    sparse: bool,
    device: Device,
}

/// Names and shapes of the parameters of each group. Those that are called idle never have a gradient.
const PARAMETERS: [&[(&str, &[i64])]; 2] = [
    &[("first.matrix", &[4, 3]), ("first.vector", &[5]), ("first.idle", &[2, 2])],
    &[("second.matrix", &[3, 2]), ("second.idle", &[3])],
];

/// The same, of tables whose gradients can be sparse.
const TABLES: [&[(&str, &[i64])]; 2] = [
    &[("first.table", &[6, 3]), ("first.idle", &[2, 2])],
    &[("second.table", &[5, 2]), ("second.idle", &[3, 1])],
];

fn groups(sparse: bool, device: Device) -> Checked<Vec<ParameterGroup>> {
    seed(31)?;
    let shapes = if sparse { TABLES } else { PARAMETERS };
    ["first", "second"]
        .into_iter()
        .zip(shapes)
        .map(|(name, shapes)| {
            let parameters = shapes.iter().map(|(name, shape)| {
                let values = Tensor::f_randn(*shape, (Kind::Float, Device::Cpu))?.f_to(device)?;
                Ok(((*name).to_owned(), values.f_detach()?.f_set_requires_grad(true)?))
            });
            Ok(ParameterGroup { name: name.to_owned(), parameters: parameters.collect::<Checked<_>>()? })
        })
        .collect()
}

fn open(subject: &Subject<'_>) -> Checked<Opened> {
    let sparse = subject.handle.sparse_only();
    over(subject, groups(sparse, subject.device())?)
}

/// An optimizer over these parameters.
fn over(subject: &Subject<'_>, groups: Vec<ParameterGroup>) -> Checked<Opened> {
    let instance = OptimizerInstance::create(subject.handle, subject.config()?, &groups)?;
    Ok(Opened { instance, groups, sparse: subject.handle.sparse_only(), device: subject.device() })
}

impl Opened {
    fn parameters(&self) -> impl Iterator<Item = &(String, Tensor)> {
        self.groups.iter().flat_map(|group| &group.parameters)
    }

    /// The values of all parameters now, by name.
    fn values(&self) -> Checked<NamedTensors> {
        self.parameters().map(|(name, tensor)| Ok((name.clone(), copy(tensor)?))).collect()
    }

    /// Gives each parameter that is not idle the gradient of step `number`.
    fn set_gradients(&self, number: u64) -> Checked<()> {
        seed(100 + number)?;
        let all: Vec<Tensor> = self.parameters().map(|(_, tensor)| tensor.shallow_clone()).collect();
        clear_gradients(&all)?;
        for (_, tensor) in self.parameters().filter(|(name, _)| !name.ends_with("idle")) {
            if self.sparse {
                // Some rows, one of them twice, with weights of their own.
                let rows = Tensor::from_slice(&[1_i64, 3, 1]).f_to(self.device)?;
                with_grad(|| -> Checked<()> {
                    let looked_up = Tensor::f_embedding(tensor, &rows, -1, false, true)?;
                    let weights = no_grad(|| looked_up.f_randn_like())?;
                    backward(&looked_up.f_mul(&weights)?.f_sum(Kind::Float)?)
                })?;
            } else {
                let random = no_grad(|| {
                    Tensor::f_randn(tensor.size(), (Kind::Float, Device::Cpu))?.f_to(self.device)
                })?;
                set_gradient(tensor, Some(&random))?;
            }
        }
        Ok(())
    }

    /// A step with the gradients of step `number`.
    fn step(&mut self, number: u64, rates: [f64; 2]) -> Checked<()> {
        self.set_gradients(number)?;
        Ok(self.instance.step(&rates)?)
    }
}

/// It can be created over groups of parameters, and lets go of them when it is freed.
fn create(subject: &Subject<'_>) -> Checked {
    let groups = groups(subject.handle.sparse_only(), subject.device())?;
    let handles = |groups: &[ParameterGroup]| -> Vec<(String, i64)> {
        let all = groups.iter().flat_map(|group| &group.parameters);
        all.map(|(name, tensor)| (name.clone(), use_count(tensor))).collect()
    };
    let before = handles(&groups);
    let opened = over(subject, groups)?;
    let Opened { instance, groups, .. } = opened;
    instance.close()?;
    let after = handles(&groups);
    if let Some(((name, before), (_, after))) =
        before.iter().zip(&after).find(|(before, after)| before != after)
    {
        // One that was freed too often would be freed once more here.
        std::mem::forget(groups);
        return Err(Complaint::new(format!(
            "handles of the parameter `{name}` do not come out even when it is freed"
        ))
        .found(format!("{after} owners"))
        .expected(format!("{before}, as before it was created"))
        .help("keep clones of the parameters, and free each of them once, when the instance is freed")
        .into());
    }
    Ok(Seen::new(if subject.handle.sparse_only() {
        "it is created over two groups of tables with sparse gradients, and lets go of them"
    } else {
        "it is created over two groups of parameters, and lets go of them"
    }))
}

/// An optimizer that goes on from a saved state takes the same steps as one that never stopped.
fn saved(subject: &Subject<'_>) -> Checked {
    let mut whole = open(subject)?;
    for number in 0..3 {
        whole.step(number, [RATE, RATE / 2.0])?;
    }
    let state = copies(&whole.instance.state()?)?;
    named_apart(&state)?;
    let values = whole.values()?;
    let mut resumed = open(subject)?;
    for ((_, parameter), (_, value)) in resumed.parameters().zip(&values) {
        no_grad(|| parameter.shallow_clone().f_copy_(value))?;
    }
    resumed.instance.load_state(&state)?;
    let again = copies(&resumed.instance.state()?)?;
    if let Some(differs) = first_difference(&sorted(&state), &sorted(&again))? {
        return Err(Complaint::new("the state is another after it was loaded")
            .found(differs)
            .expected("the same bits")
            .into());
    }
    for number in 3..6 {
        whole.step(number, [RATE, RATE / 2.0])?;
        resumed.step(number, [RATE, RATE / 2.0])?;
    }
    if let Some(differs) = first_difference(&whole.values()?, &resumed.values()?)? {
        return Err(Complaint::new("an optimizer that goes on from a saved state takes other steps")
            .found(differs)
            .expected("the same bits as of one that never stopped")
            .help("let `state` hold everything that a step depends on, the number of steps too")
            .into());
    }
    let unknown = vec![(
        "no_such_parameter.no_such_entry".to_owned(),
        Tensor::f_zeros([1], (Kind::Float, Device::Cpu))?,
    )];
    if resumed.instance.load_state(&unknown).is_ok() {
        return Err(Complaint::new("it loads a state with an entry that it does not know")
            .expected("an error that names the entry: the state is of another optimizer")
            .into());
    }
    Ok(Seen::new(match state.len() {
        0 => "it has no state, and goes on the same".to_owned(),
        count => format!("its state of {count} tensors is loaded and goes on with the same bits"),
    }))
}

fn named_apart(state: &NamedTensors) -> Checked<()> {
    let mut names: Vec<&String> = state.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Complaint::new("two tensors of its state have one name")
            .found(format!("`{}`", pair[0]))
            .into()),
        None => Ok(()),
    }
}

fn sorted(state: &NamedTensors) -> NamedTensors {
    let mut state: NamedTensors =
        state.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    state.sort_by(|a, b| a.0.cmp(&b.0));
    state
}

fn copies(state: &NamedTensors) -> Checked<NamedTensors> {
    state.iter().map(|(name, tensor)| Ok::<_, Stop>((name.clone(), copy(tensor)?))).collect()
}

struct Optimizing {
    opened: Opened,
}

/// An optimizer at work.
pub(super) fn exercise(subject: &Subject<'_>) -> Checked<Box<dyn Exercise>> {
    let mut opened = open(subject)?;
    opened.step(0, [RATE, RATE])?;
    Ok(Box::new(Optimizing { opened }))
}

impl Exercise for Optimizing {
    fn lent(&self) -> Vec<(String, Tensor)> {
        self.opened.parameters().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    fn work(&mut self, training: bool) -> Checked<()> {
        self.opened.step(0, [RATE, RATE])?;
        if !training {
            self.opened.instance.state()?;
        }
        Ok(())
    }

    fn cheapest(&mut self) -> Checked<&'static str> {
        let all: Vec<Tensor> = self.opened.parameters().map(|(_, tensor)| tensor.shallow_clone()).collect();
        clear_gradients(&all)?;
        self.opened.instance.step(&[RATE, RATE])?;
        Ok("step without gradients")
    }

    fn close(self: Box<Self>) -> Checked<()> {
        let Self { opened } = *self;
        Ok(opened.instance.close()?)
    }
}
