//! The machine: system, C library, processor, memory, and what the system allows a process.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

use rustix::process::{Resource, getrlimit};

use super::finding::{Finding, Level, Section};
use crate::engine;

/// Fewer open files are used up by processes that train together, each with connections to the others.
const FEW_FILES: u64 = 1024;
/// What NCCL takes of shared memory for a handful of GPUs.
const SMALL_SHARED: u64 = 1 << 30;

pub(super) fn findings(several_gpus: bool) -> Vec<Finding> {
    let mut findings = vec![system(), processor(), memory(), open_files()];
    findings.extend(shared_memory(several_gpus));
    findings
}

fn new(check: &'static str, level: Level, message: impl Into<String>) -> Finding {
    Finding::new(Section::Machine, check, level, message)
}

/// A number of bytes for people.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB")];
    let unit = units.into_iter().find(|(power, _)| bytes >= 1 << power);
    match unit {
        Some((power, unit)) => format!("{:.1} {unit}", bytes as f64 / f64::from(power).exp2()),
        None => format!("{bytes} bytes"),
    }
}

fn system() -> Finding {
    let uname = rustix::system::uname();
    let kernel = uname.release().to_string_lossy().into_owned();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| name.trim_matches('"').to_owned());
    let glibc = engine::glibc_version();
    let shown = [
        name.clone(),
        Some(format!("Linux {kernel}")),
        glibc.as_ref().map(|version| format!("glibc {version}")),
    ];
    new("system", Level::Ok, shown.into_iter().flatten().collect::<Vec<_>>().join(", "))
        .fact("name", name)
        .fact("kernel", kernel)
        .fact("glibc", glibc)
}

/// The widest vectors that the processor computes with, as libtorch chooses its code by.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            "AVX-512"
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            "AVX2"
        } else {
            "neither AVX2 nor AVX-512"
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}

fn processor() -> Finding {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map(|(_, model)| model.trim().to_owned());
    let there = told.lines().filter(|line| line.starts_with("processor")).count();
    let ours = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let cores = match there > ours {
        true => format!("{ours} of {there} cores"),
        false => format!("{ours} core{}", if ours == 1 { "" } else { "s" }),
    };
    let vectors = vectors();
    let shown = [model.clone(), Some(cores), Some(vectors.to_owned())];
    let message = shown.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let finding = match vectors.starts_with("neither") {
        true => new("processor", Level::Warning, message)
            .help("expect training to be several times slower than on a processor of the last ten years"),
        false => new("processor", Level::Ok, message),
    };
    finding.fact("model", model).fact("cores", ours).fact("cores_of_machine", there).fact("vectors", vectors)
}

fn memory() -> Finding {
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let entry = |key: &str| -> Option<u64> {
        let line = told.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    let (total, available, limit) =
        (entry("MemTotal:"), entry("MemAvailable:"), limit(Path::new("/sys/fs/cgroup")));
    let shown = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), bytes);
    let mut message = format!("{}, of which {} are available", shown(total), shown(available));
    let limit = limit.filter(|limit| total.is_none_or(|total| *limit < total));
    if let Some(limit) = limit {
        message += &format!("; this process may use {}", bytes(limit));
    }
    new("memory", Level::Ok, message)
        .fact("total_bytes", total)
        .fact("available_bytes", available)
        .fact("limit_bytes", limit)
}

/// What a container allows, in the second or the first version of control groups.
fn limit(root: &Path) -> Option<u64> {
    let files = ["memory.max", "memory/memory.limit_in_bytes"];
    files.into_iter().find_map(|file| fs::read_to_string(root.join(file)).ok()?.trim().parse().ok())
}

fn open_files() -> Finding {
    let limits = getrlimit(Resource::Nofile);
    let shown = limits.current.map_or_else(|| "any number of".to_owned(), |limit| limit.to_string());
    let finding = match limits.current {
        Some(limit) if limit < FEW_FILES => {
            let message =
                format!("{shown} open files at most, which many processes that train together use up");
            new("open_files", Level::Warning, message).help("raise it by `ulimit -n 4096`")
        }
        _ => new("open_files", Level::Ok, format!("{shown} open files at most")),
    };
    finding.fact("limit", limits.current)
}

/// Of use to processes on several GPUs alone.
fn shared_memory(several_gpus: bool) -> Option<Finding> {
    let disk = rustix::fs::statvfs("/dev/shm").ok()?;
    let size = disk.f_blocks.saturating_mul(disk.f_frsize);
    let message = format!("{} in /dev/shm", bytes(size));
    let finding = match several_gpus && size < SMALL_SHARED {
        true => {
            new("shared_memory", Level::Warning, format!("{message}, which is little for NCCL between GPUs"))
                .help("give a container more, as by `docker run --shm-size 8g`")
        }
        false => new("shared_memory", Level::Ok, message),
    };
    Some(finding.fact("size_bytes", size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_a_unit_that_fits() {
        assert_eq!(bytes(512), "512 bytes");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(1 << 41), "2.0 TiB");
    }

    #[test]
    fn a_container_without_a_limit_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(limit(folder.path()), None);
        fs::write(folder.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(limit(folder.path()), None);
        fs::write(folder.path().join("memory.max"), "1048576\n").unwrap();
        assert_eq!(limit(folder.path()), Some(1 << 20));
    }
}
