//! Where a command computes: what may be asked for, by a config or on the command line. Which devices there are only libtorch
//! knows, so that nothing here looks for one.

use crate::diagnostic::Diagnostic;
use crate::error_code::Code;
use crate::place::Place;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The CPU.
    Cpu,
    /// The GPU of this number, counted from 0.
    Gpu(usize),
}

impl DeviceChoice {
    /// Reads what `--device` takes: `cpu`, `cuda` (the first GPU) or `cuda:N`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "cpu" => Some(Self::Cpu),
            None if text == "cuda" => Some(Self::Gpu(0)),
            Some(("cuda", index)) => index.parse::<u16>().ok().map(|index| Self::Gpu(index.into())),
            _ => None,
        }
    }
}

/// The complaint about float16 where the CPU computes.
pub(crate) fn half_precision_on_the_cpu() -> Diagnostic {
    Diagnostic::error(
        Code::Precision,
        "precision 16 (float16) is for GPUs: on the CPU it is slow and gains nothing",
    )
    .found("16, on the CPU")
    .expected("32 or \"bf16\" on the CPU")
}

/// A device with who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedDevice {
    /// What is asked for.
    pub choice: DeviceChoice,
    /// The value of `--device`; `None` where `trainer.gpus` asks.
    option: Option<String>,
    /// Why it is this one, where there are several processes.
    why: Option<String>,
}

impl AskedDevice {
    /// What `trainer.gpus` asks for.
    #[must_use]
    pub fn by_config(choice: DeviceChoice) -> Self {
        Self { choice, option: None, why: None }
    }

    /// What `--device` of this value asks for; `None` if no device is called so.
    #[must_use]
    pub fn by_option(value: &str) -> Option<Self> {
        let choice = DeviceChoice::parse(value)?;
        Some(Self { choice, option: Some(value.to_owned()), why: None })
    }

    /// The same for the process at this place among several, which the complaint names.
    #[must_use]
    pub fn of(mut self, place: &Place) -> Self {
        if let (DeviceChoice::Gpu(number), None) = (self.choice, &self.option) {
            let Place { rank, local_rank, launcher, .. } = place;
            self.why = Some(format!(
                "GPU {number} is that of rank {rank}, which {launcher} started as process {local_rank} of this machine, counted from 0"
            ));
        }
        self
    }

    /// The complaint that it cannot be had, with who asked for it and how to do without.
    #[must_use]
    pub fn refuse(&self, complaint: Diagnostic) -> Diagnostic {
        let instead = match &self.option {
            None => "set trainer.gpus to 0 to compute on the CPU",
            Some(_) => "leave out --device to compute on the CPU",
        };
        let help = complaint
            .help
            .as_ref()
            .map_or_else(|| instead.to_owned(), |help| format!("{help}; or {instead}"));
        let complaint = self.why.iter().fold(complaint.help(help), |complaint, why| complaint.note(why));
        match &self.option {
            None => complaint.at("trainer.gpus"),
            Some(value) => complaint.note(format!("a GPU is asked for by --device {value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        assert_eq!(DeviceChoice::parse("cpu"), Some(DeviceChoice::Cpu));
        assert_eq!(DeviceChoice::parse("cuda"), Some(DeviceChoice::Gpu(0)));
        assert_eq!(DeviceChoice::parse("cuda:0"), Some(DeviceChoice::Gpu(0)));
        assert_eq!(DeviceChoice::parse("cuda:12"), Some(DeviceChoice::Gpu(12)));
        for wrong in
            ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2", "cuda:99999999", "cpu:0", " cpu"]
        {
            assert_eq!(DeviceChoice::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_refusal_says_whose_gpu_it_is_where_there_are_several() {
        let variable = |name: &str| match name {
            "RANK" => Some("5".to_owned()),
            "WORLD_SIZE" => Some("8".to_owned()),
            "LOCAL_RANK" => Some("1".to_owned()),
            "MASTER_ADDR" => Some("gpu7".to_owned()),
            "MASTER_PORT" => Some("29500".to_owned()),
            _ => None,
        };
        let place = Place::of_launcher(variable).unwrap().unwrap();
        let refused =
            |choice| AskedDevice::by_config(choice).of(&place).refuse(Diagnostic::error(Code::NoGpu, "no"));
        let why =
            "GPU 3 is that of rank 5, which torchrun started as process 1 of this machine, counted from 0";
        assert_eq!(refused(DeviceChoice::Gpu(3)).notes, [why]);
        assert_eq!(refused(DeviceChoice::Cpu).notes, [""; 0]);
    }

    #[test]
    fn a_refusal_says_who_asked_and_how_to_do_without() {
        let complaint = || Diagnostic::error(Code::NoGpu, "there is no GPU").help("plug one in");
        let refused = AskedDevice::by_config(DeviceChoice::Gpu(0)).refuse(complaint());
        assert_eq!(refused.path.as_deref(), Some("trainer.gpus"));
        assert_eq!(
            refused.help.as_deref(),
            Some("plug one in; or set trainer.gpus to 0 to compute on the CPU")
        );
        let refused = AskedDevice::by_option("cuda:1").unwrap().refuse(complaint());
        assert_eq!(
            (refused.path, refused.notes),
            (None, vec!["a GPU is asked for by --device cuda:1".to_owned()])
        );
        assert_eq!(refused.help.as_deref(), Some("plug one in; or leave out --device to compute on the CPU"));
    }
}
