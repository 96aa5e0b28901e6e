//! By what ranks that compute on GPUs sum: NCCL from GPU to GPU, if its library lies beside the program of each; else gloo, by way of
//! the CPU.

use std::path::Path;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::search::{nccl_file_name, places_of};
use kiwi_distributed::Nccl;
use tch::Device;

use super::Ranks;

impl Ranks {
    /// Has what is summed later stay on this rank's device, if all ranks compute on GPUs and have NCCL; what there is to be warned of.
    /// Called by all.
    ///
    /// # Errors
    /// When NCCL is there and does not get from GPU to GPU, or another rank is gone.
    pub(crate) fn sum_on(&mut self, device: Device, program: &Path) -> Result<Option<Diagnostic>, Failure> {
        if !self.is_group() {
            return Ok(None);
        }
        let here = match device {
            Device::Cuda(gpu) => open(program).map(|nccl| (nccl, gpu)),
            _ => Err("it computes on the CPU".to_owned()),
        };
        // All go the same way, whatever lies where on which machine.
        let lacks = self.exchange(here.as_ref().err().cloned())?;
        let mut lacks = lacks.into_iter().enumerate();
        if let Some((rank, reason)) = lacks.find_map(|(rank, lacks)| Some((rank, lacks?))) {
            return Ok(device.is_cuda().then(|| by_way_of_the_cpu(rank, &reason)));
        }
        let (Some(group), Ok((nccl, gpu))) = (&mut self.group, here) else { return Ok(None) };
        group.use_nccl(nccl, gpu).map_err(|error| {
            let error = Diagnostic::error(Code::Nccl, error.to_string()).help(
                "see that each process has a GPU of its own; NCCL_DEBUG=INFO shows what NCCL does, and without the library \
                 gradients go by way of the CPU",
            );
            Failure::new(ExitCode::RunFailed, error.note(format!("the library is {}", nccl_file_name())))
        })?;
        self.sums_on = device;
        Ok(None)
    }

    /// What sums gradients.
    pub(crate) fn summed_by(&self) -> &'static str {
        match self.sums_on {
            Device::Cpu => "gloo",
            _ => "NCCL",
        }
    }

    /// Waits until nobody needs this rank's GPU any more, before its group ends.
    pub(super) fn leave_gpus(&mut self) {
        if self.sums_on != Device::Cpu {
            // Who is gone by now has no need either.
            let _ = self.wait_for_all();
        }
    }
}

/// NCCL's library, where that of the engine is looked for too; else why not.
fn open(program: &Path) -> Result<Nccl, String> {
    let places = places_of(&nccl_file_name(), program);
    let Some(library) = places.iter().find(|place| place.is_file()).or(places.first()) else {
        return Err(format!("there is no {}", nccl_file_name()));
    };
    Nccl::open(library).map_err(|error| error.to_string())
}

fn by_way_of_the_cpu(rank: usize, reason: &str) -> Diagnostic {
    Diagnostic::warning(Code::SlowSums, "gradients are summed by way of the CPU, which is slow: NCCL is not there")
        .note(format!("rank {rank}: {reason}"))
        .help(
            "build it with `cargo build --release -p kiwi-nccl --features nccl`, and put its library beside the program on every machine",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_alone_sums_nothing_and_is_not_warned() {
        let mut ranks = Ranks::alone();
        for device in [Device::Cpu, Device::Cuda(0)] {
            assert_eq!(ranks.sum_on(device, Path::new("/nowhere/bin/kiwi-host")).ok(), Some(None));
            assert_eq!(ranks.sums_on, Device::Cpu);
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_warned_of_with_what_to_do() {
        let reason = open(Path::new("/nowhere/bin/kiwi-host")).err().unwrap();
        assert_eq!(reason, format!("there is no /nowhere/bin/{}", nccl_file_name()));
        let warning = by_way_of_the_cpu(2, &reason);
        assert_eq!(warning.notes, [format!("rank 2: {reason}")]);
        assert!(warning.help.unwrap().contains("-p kiwi-nccl --features nccl"));
    }
}
