//! What is found out by calling a component often, whatever it is: whether it leaves handles, memory or a changed state of libtorch
//! behind, and how long a call takes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use kiwi_torch_ext::{Autocast, use_count};
use tch::{Kind, Tensor};

use super::finding::{Checked, Complaint, Seen};
use super::subject::{Exercise, Subject};
use crate::abi::host::{Observation, live_handles, observe};

/// Parts of the calls of [`memory`], between which memory is measured.
const PARTS: usize = 4;
/// Growth that counts, in bytes a call: less than the smallest tensor takes.
const GROWTH_A_CALL: u64 = 48;
/// Growth that counts where only whole pages are counted.
const GROWTH_OF_PAGES: u64 = 4 << 20;

/// Grad mode, autocast, current device and seed are the host's.
pub(super) fn left_behind(subject: &Subject<'_>) -> Checked {
    let changes: Rc<RefCell<Vec<String>>> = Rc::default();
    let collected = Rc::clone(&changes);
    let observing = observe(Box::new(move |observation| {
        if let Observation::StateChanged { phase, changes, .. } = observation {
            let texts = changes.iter().map(|change| format!("after {phase}: {change}"));
            collected.borrow_mut().extend(texts);
        }
    }));
    let mut exercise = subject.exercise()?;
    exercise.work(true)?;
    let without = tch::no_grad(|| exercise.work(false));
    without?;
    // Not every component can compute in 16 bits, and a host then says why; but none may leave autocast changed.
    let shortened = {
        let _autocast = match subject.device() {
            tch::Device::Cuda(_) => Autocast::cuda(Kind::BFloat16)?,
            _ => Autocast::cpu(Kind::BFloat16)?,
        };
        exercise.work(true)
    };
    let freed = exercise.close();
    drop(observing);
    let mut found = changes.take();
    found.dedup();
    if !found.is_empty() {
        return Err(Complaint::new("it leaves libtorch's state changed, which the host shares with all plugins")
            .found(found.join("; "))
            .expected("the state as it was before the call")
            .help("let guards such as `no_grad_guard` go out of scope before the call returns, and never seed the generator")
            .into());
    }
    let seen = Seen::new("grad mode, autocast, device and seed are as they were after each call");
    match shortened {
        Ok(()) => {
            freed?;
            Ok(seen)
        }
        Err(_) => {
            Ok(seen.note("it does not compute under autocast to bfloat16: `trainer.precision` must be 32"))
        }
    }
}

/// Handles to tensors: what was lent is not freed, and nothing that was handed over is lost.
pub(super) fn handles(subject: &Subject<'_>) -> Checked {
    let alive = live_handles();
    let mut exercise = subject.exercise()?;
    exercise.work(true)?;
    let lent = exercise.lent();
    let before = counts(&lent);
    let first = exercise.work(true);
    let after = counts(&lent);
    if let Some((name, before, after)) = fewer(&lent, &before, &after) {
        // Another owner of it thinks that it still has a handle: freeing them all would free the tensor twice.
        std::mem::forget((exercise, lent));
        return Err(Complaint::new(format!("it frees the handle of `{name}`, which was only lent to it"))
            .found(format!("{after} owners after a call"))
            .expected(format!("{before} owners, as before the call"))
            .help("clone a lent tensor to keep it or to hand it over, and free nothing that was lent")
            .into());
    }
    first?;
    let calls = calls(subject, &mut *exercise)?;
    for call in 0..calls {
        exercise.work(call % 2 == 0)?;
    }
    exercise.close()?;
    let left = live_handles() - alive;
    if left != 0 {
        return Err(Complaint::new("handles to tensors that it made are lost")
            .found(format!("{left} handles that nobody freed, after {calls} calls"))
            .expected("none")
            .help("give each owned handle to the host exactly once, or free it")
            .into());
    }
    Ok(Seen::new(format!("no handle is left over after {calls} calls")))
}

fn counts(tensors: &[(String, Tensor)]) -> Vec<i64> {
    tensors.iter().map(|(_, tensor)| use_count(tensor)).collect()
}

/// The first tensor that has fewer owners than before.
fn fewer(tensors: &[(String, Tensor)], before: &[i64], after: &[i64]) -> Option<(String, i64, i64)> {
    let counted = tensors.iter().zip(before.iter().zip(after));
    counted
        .filter(|(_, (before, after))| after < before)
        .map(|((name, _), (before, after))| (name.clone(), *before, *after))
        .next()
}

/// Memory does not grow with the number of calls.
pub(super) fn memory(subject: &Subject<'_>) -> Checked {
    let memory = subject.settings.memory;
    let read = || (memory.read)();
    if read().is_none() {
        return Err(super::finding::Stop::skip("the system does not tell how much memory is used"));
    }
    let mut exercise = subject.exercise()?;
    let part = (calls(subject, &mut *exercise)? / (PARTS + 1)).max(2);
    let mut measured = Vec::with_capacity(PARTS + 1);
    // The first part is not measured: caches are filled in it.
    for _ in 0..=PARTS {
        for call in 0..part {
            exercise.work(call % 2 == 0)?;
        }
        measured.push(read().unwrap_or(0));
    }
    exercise.close()?;
    let growth: Vec<u64> = measured.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let (total, calls) = (growth.iter().sum::<u64>(), PARTS * part);
    let least = if memory.exact { GROWTH_A_CALL * part as u64 } else { 1 };
    let grows = growth.iter().all(|part| *part >= least) && (memory.exact || total >= GROWTH_OF_PAGES);
    if grows {
        return Err(Complaint::new("memory grows with each call")
            .found(format!("{} more after {calls} calls, {} a call", bytes(total), bytes(total / calls as u64)))
            .expected("no more than before, once caches are filled")
            .help("keep no tensor from call to call; one that must be kept is to be detached, or its history is kept with it")
            .into());
    }
    Ok(Seen::new(format!("memory does not grow over {calls} calls")))
}

fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} bytes"),
        10_000..=9_999_999 => format!("{} kB", count / 1000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// How often the component is called: as often as asked, unless that would take too long.
fn calls(subject: &Subject<'_>, exercise: &mut dyn Exercise) -> Checked<usize> {
    const TRIED: usize = 4;
    exercise.work(true)?;
    let begun = Instant::now();
    for call in 0..TRIED {
        exercise.work(call % 2 == 0)?;
    }
    let one = begun.elapsed().as_secs_f64() / TRIED as f64;
    let most = subject.settings.patience.as_secs_f64() / one.max(1e-9);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of calls")]
    let most = most.min(1e9) as usize;
    Ok(subject.settings.calls.min(most).max(20))
}

/// How long the cheapest call takes, which is what crossing the boundary costs. Never fails for being slow.
pub(super) fn cost(subject: &Subject<'_>) -> Checked {
    const CALLS: u32 = 1000;
    let mut exercise = subject.exercise()?;
    let name = exercise.cheapest()?;
    let begun = Instant::now();
    for _ in 0..CALLS {
        exercise.cheapest()?;
    }
    let empty = begun.elapsed() / CALLS;
    let begun = Instant::now();
    const WORKED: u32 = 5;
    for _ in 0..WORKED {
        exercise.work(true)?;
    }
    let work = begun.elapsed() / WORKED;
    exercise.close()?;
    Ok(Seen::new(format!("a call of `{name}` takes {empty:.1?}, its work on a small batch {work:.1?}")))
}
