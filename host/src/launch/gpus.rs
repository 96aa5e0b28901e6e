//! How many GPUs there are, found out without libtorch and the driver: by their files, and by what hides them. libtorch may still
//! see another number, so that this decides how many processes are started, and the engine whether a GPU computes.

use std::fs;
use std::path::Path;

use kiwi_core::environment;

/// The GPUs of this machine that CUDA shows to a process; `None` where their files do not say.
pub(crate) fn count() -> Option<usize> {
    let visible = std::env::var(environment::CUDA_VISIBLE_DEVICES.name).ok();
    count_in(Path::new("/"), visible.as_deref())
}

/// The same for the machine whose files lie in `root`.
fn count_in(root: &Path, visible: Option<&str>) -> Option<usize> {
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let devices = names("dev").iter().filter(|name| is_gpu(name)).count();
    let there = match devices {
        // A container may have the files of some GPUs only, while the driver tells of all.
        0 => names("proc/driver/nvidia/gpus").len(),
        devices => devices,
    };
    if there == 0 && root.join("dev/dxg").exists() {
        // Windows lends its GPUs to Linux behind one file.
        return None;
    }
    Some(visible.map_or(there, |visible| shown(visible, there)))
}

/// Whether a file in `/dev` is a GPU, and not the driver's.
fn is_gpu(name: &str) -> bool {
    let number = name.strip_prefix("nvidia").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// How many of the GPUs that are there `CUDA_VISIBLE_DEVICES` shows: those before the first that is none.
fn shown(visible: &str, there: usize) -> usize {
    let mut parts = Vec::new();
    for part in visible.split(',').map(str::trim) {
        let is_there = match part.parse::<usize>() {
            Ok(number) => number < there,
            Err(_) => part.starts_with("GPU-") || part.starts_with("MIG-"),
        };
        if !is_there || parts.contains(&part) {
            break;
        }
        parts.push(part);
    }
    // Of the parts that a GPU is divided into a process sees one.
    if parts.iter().any(|part| part.starts_with("MIG-")) {
        return 1;
    }
    parts.len().min(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn gpus_are_counted_by_their_files() {
        let count = |files: &[&str]| count_in(machine(files).path(), None);
        assert_eq!(count(&[]), Some(0));
        assert_eq!(count(&["dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia", "dev/null"]), Some(0));
        assert_eq!(count(&["dev/nvidiactl", "dev/nvidia0", "dev/nvidia1", "dev/nvidia11"]), Some(3));
        let told = "proc/driver/nvidia/gpus/0000:01:00.0";
        assert_eq!(count(&[told, "proc/driver/nvidia/gpus/0000:02:00.0"]), Some(2));
        assert_eq!(count(&["dev/nvidia3", told, "proc/driver/nvidia/gpus/0000:02:00.0"]), Some(1));
        assert_eq!(count(&["dev/dxg"]), None);
    }

    #[test]
    fn what_is_hidden_does_not_count() {
        let machine = machine(&["dev/nvidia0", "dev/nvidia1", "dev/nvidia2", "dev/nvidia3"]);
        for (visible, count) in [
            ("", 0),
            ("-1", 0),
            ("none", 0),
            ("0", 1),
            ("3,1", 2),
            (" 2 , 0 ", 2),
            ("0,-1,2", 1),
            ("0,1,7,2", 2),
            ("0,0", 1),
            ("GPU-8932f937-d72c,GPU-1b3c", 2),
            ("MIG-a,MIG-b", 1),
        ] {
            assert_eq!(count_in(machine.path(), Some(visible)), Some(count), "{visible:?}");
        }
    }
}
