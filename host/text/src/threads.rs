//! Work over chunks of lines on all cores, with results that do not depend on how many there are.

use std::{
    ops::Range,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Lines that a thread takes at a time.
const CHUNK: usize = 8192;

/// Chunks that a thread makes ahead of their turn.
const AHEAD: usize = 2;

/// Folds the items `0..items`, chunk by chunk, into one accumulator a thread; which chunks land in which accumulator is not
/// determined. The first error (of any thread) wins.
pub(crate) fn fold<A: Send, E: Send>(
    items: usize,
    start: impl Fn() -> A + Sync,
    step: impl Fn(&mut A, Range<usize>) -> Result<(), E> + Sync,
) -> Result<Vec<A>, E> {
    let chunks = items.div_ceil(CHUNK);
    let next = AtomicUsize::new(0);
    let work = || -> Result<A, E> {
        let mut accumulator = start();
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                return Ok(accumulator);
            }
            step(&mut accumulator, chunk * CHUNK..items.min((chunk + 1) * CHUNK))?;
        }
    };
    let cores = cores().min(chunks);
    if cores <= 1 {
        return Ok(vec![work()?]);
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
            .collect()
    })
}

/// What `chunk` makes of each chunk of the items `0..items`, in the order of the chunks; of several errors the first chunk's.
pub(crate) fn map_chunks<R: Send, E: Send>(
    items: usize,
    chunk: impl Fn(Range<usize>) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let parts = fold(items, Vec::new, |results: &mut Vec<(usize, Result<R, E>)>, range| {
        results.push((range.start, chunk(range)));
        Ok::<(), E>(())
    })?;
    let mut results: Vec<_> = parts.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(start, _)| *start);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Gives what `make` makes of each chunk of the items `0..items` to `take`, in the order of the chunks, while later ones are
/// being made: only a few chunks are there at any time. Of several errors the first chunk's.
pub(crate) fn in_order<R: Send, E: Send>(
    items: usize,
    make: impl Fn(Range<usize>) -> Result<R, E> + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let chunks = items.div_ceil(CHUNK);
    let range = |chunk: usize| chunk * CHUNK..items.min((chunk + 1) * CHUNK);
    let workers = cores().min(chunks);
    if workers <= 1 {
        return (0..chunks).try_for_each(|chunk| take(make(range(chunk))?));
    }
    thread::scope(|scope| {
        let (make, range) = (&make, &range);
        let receivers: Vec<_> = (0..workers)
            .map(|worker| {
                let (sender, receiver) = crossbeam_channel::bounded(AHEAD);
                scope.spawn(move || {
                    // Without a receiver nobody wants the rest.
                    (worker..chunks).step_by(workers).find(|chunk| sender.send(make(range(*chunk))).is_err())
                });
                receiver
            })
            .collect();
        for chunk in 0..chunks {
            // A worker that ends early has panicked, which the scope passes on.
            let Ok(made) = receivers[chunk % workers].recv() else { break };
            take(made?)?;
        }
        Ok(())
    })
}

/// What `work` makes of each of `0..parts`, each in a thread of its own, in order.
pub(crate) fn each<R: Send>(parts: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    if parts <= 1 {
        return (0..parts).map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parts).map(|part| scope.spawn(move || work(part))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
            .collect()
    })
}

/// The cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_in_order_and_cover_everything() {
        for items in [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3] {
            let ranges = map_chunks(items, Ok::<_, ()>).unwrap();
            let flat: Vec<usize> = ranges.into_iter().flatten().collect();
            assert!(flat.iter().copied().eq(0..items));
        }
    }

    #[test]
    fn the_first_chunks_error_is_given() {
        let error = map_chunks(10 * CHUNK, |range| if range.start == 0 { Ok(()) } else { Err(range.start) });
        assert_eq!(error, Err(CHUNK));
    }

    #[test]
    fn chunks_are_taken_in_order_until_the_first_error() {
        for items in [0, 1, CHUNK, 9 * CHUNK + 3] {
            let mut taken = Vec::new();
            in_order(items, Ok::<_, usize>, |range| {
                taken.extend(range);
                Ok(())
            })
            .unwrap();
            assert!(taken.into_iter().eq(0..items));
        }
        let mut chunks = 0;
        let fails = |range: Range<usize>| if range.start >= 3 * CHUNK { Err(range.start) } else { Ok(()) };
        let error = in_order(20 * CHUNK, fails, |()| {
            chunks += 1;
            Ok(())
        });
        assert_eq!((error, chunks), (Err(3 * CHUNK), 3));
        assert_eq!(in_order(20 * CHUNK, Ok, |range| Err(range.end)), Err(CHUNK));
    }

    #[test]
    fn folding_sees_every_item_once() {
        let sums = fold(
            3 * CHUNK + 7,
            || 0,
            |sum: &mut usize, range| {
                *sum += range.sum::<usize>();
                Ok::<(), ()>(())
            },
        );
        let items = 3 * CHUNK + 7;
        assert_eq!(sums.unwrap().into_iter().sum::<usize>(), items * (items - 1) / 2);
    }
}
