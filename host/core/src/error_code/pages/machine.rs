//! 05xx: libtorch, GPUs and the machine.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const NO_LIBTORCH: Page = Page {
    title: "libtorch was not found",
    kind: Error,
    meaning: "kiwi-host computes by libtorch, the library under PyTorch, of one version. It was found nowhere, or a directory \
              that was named does not hold it. The notes list where was looked.",
    mend: "Get one by `cargo xtask setup` in a checkout or `pip install torch==2.11.0`, or name its directory by --libtorch \
           or LIBTORCH.",
    example: Example::Console {
        wrong: "LIBTORCH=/usr/lib kiwi-host train config.json",
        right: "LIBTORCH=$VIRTUAL_ENV/lib/python3.12/site-packages/torch kiwi-host train config.json",
    },
};

pub(in crate::error_code) const LIBTORCH_UNUSABLE: Page = Page {
    title: "libtorch cannot be opened",
    kind: Error,
    meaning: "The directory has libtorch's files, and they cannot be loaded or do not compute: a library that they need is \
              missing, or the files are of several versions.",
    mend: "Install torch anew into an empty directory, with all that it depends on.",
    example: Example::Words,
};

pub(in crate::error_code) const PROGRAM_INCOMPLETE: Page = Page {
    title: "the program's own files do not belong together",
    kind: Error,
    meaning: "The program, its engine (`libkiwi_engine.so`) and the built-in plugins are of one release and lie together. One \
              is missing or of another release.",
    mend: "Install all files of one release; in a checkout, `cargo xtask build`.",
    example: Example::Words,
};

pub(in crate::error_code) const NO_CUDA: Page = Page {
    title: "libtorch cannot compute on GPUs",
    kind: Error,
    meaning: "A GPU is asked for, and libtorch is a build for the CPU only, its CUDA part lacks a library, or the two parts \
              are of different versions. The run is refused, since on the CPU it would take days longer without a word.",
    mend: "Install the CUDA build: `cargo xtask setup --cuda`, or `pip install torch==2.11.0` with its dependencies; or set \
           `trainer.gpus` to 0.",
    example: Example::Words,
};

pub(in crate::error_code) const NO_DRIVER: Page = Page {
    title: "there is no NVIDIA driver",
    kind: Error,
    meaning: "A GPU is asked for, and the driver's library `libcuda.so.1` is not there or cannot be opened. In a container it \
              is the container's runtime that lends it.",
    mend: "Install the driver (`nvidia-smi` then lists GPUs), start the container with GPUs, or set `trainer.gpus` to 0.",
    example: Example::Words,
};

pub(in crate::error_code) const NO_GPU: Page = Page {
    title: "the GPU that is asked for cannot be had",
    kind: Error,
    meaning: "There is no GPU, none of that number, or it does not compute: its memory is full, or libtorch has no code for \
              its generation. Numbers count from 0, among those that CUDA_VISIBLE_DEVICES leaves.",
    mend: "Name a GPU that `nvidia-smi` lists, or wait until it is free.",
    example: Example::Words,
};

pub(in crate::error_code) const DEVICE_NAME: Page = Page {
    title: "no device has that name",
    kind: Error,
    meaning: "Devices are `cpu`, `cuda` (the first GPU) and `cuda:N` (the GPU of number N, counted from 0).",
    mend: "Write one of these.",
    example: Example::Console {
        wrong: "kiwi-host score SYSTEM --source a.src --target a.tgt --device gpu",
        right: "kiwi-host score SYSTEM --source a.src --target a.tgt --device cuda",
    },
};

pub(in crate::error_code) const PROCESSES: Page = Page {
    title: "GPUs and processes do not go together",
    kind: Error,
    meaning: "Each process of a run computes on one device. The config asks for more GPUs than there are, for another number \
              than a launcher starts processes, or both the program and a launcher are to start them.",
    mend: "Let `trainer.gpus` say how many, or the launcher, and not both: docs/runs.md, several processes.",
    example: Example::Console {
        wrong: "torchrun --no-python --nproc-per-node 2 kiwi-host train config.json --nproc 2",
        right: "kiwi-host train config.json --nproc 2",
    },
};

pub(in crate::error_code) const NCCL: Page = Page {
    title: "GPUs cannot sum by NCCL",
    kind: Error,
    meaning: "NCCL, by which GPUs sum gradients, does not start.",
    mend: "See that each process has a GPU of its own; NCCL_DEBUG=INFO shows what NCCL does.",
    example: Example::Words,
};

pub(in crate::error_code) const MACHINE_LIMITS: Page = Page {
    title: "the machine refuses what the program needs",
    kind: Error,
    meaning: "A process or thread cannot be started, or a signal cannot be taken care of: a limit of the machine or of the \
              user is reached.",
    mend: "Look at `ulimit -a` and at what else runs; ask for fewer processes or threads.",
    example: Example::Words,
};

pub(in crate::error_code) const SLOW_SUMS: Page = Page {
    title: "gradients are summed by way of the CPU",
    kind: Warning,
    meaning: "The library over NCCL does not lie beside the program, so that what GPUs sum goes through the CPU: right, and \
              slow.",
    mend: "Build it: README, set up, training on several GPUs.",
    example: Example::Words,
};

pub(in crate::error_code) const IDLE_PROCESSES: Page = Page {
    title: "some processes have nothing to do",
    kind: Warning,
    meaning: "The processes of a run divide each batch, and a batch has fewer pairs than there are processes.",
    mend: "Raise `system.batch_size`, or start fewer processes.",
    example: Example::Words,
};
