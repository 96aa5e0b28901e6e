//! Groups of processes that compute on GPUs, over c10d and NCCL.
//!
//! A library of its own, since what it calls is in libtorch's CUDA part, which machines without GPUs have not: `kiwi-distributed` opens
//! it where a group computes on GPUs. Without the feature `nccl` it is empty.

#[cfg(feature = "nccl")]
mod table;
