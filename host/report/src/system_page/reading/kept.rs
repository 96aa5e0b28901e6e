//! The few pairs that are shown of many: those with the largest keys, in memory for so many and no more.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The items with the largest keys, at most so many.
#[derive(Debug)]
pub(super) struct Largest<T> {
    room: usize,
    heap: BinaryHeap<Reverse<Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    key: f64,
    number: u64,
    item: T,
}

impl<T> Entry<T> {
    /// Of equal keys the lower number is the larger entry.
    fn order(&self, other: (f64, u64)) -> Ordering {
        self.key.total_cmp(&other.0).then(other.1.cmp(&self.number))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order((other.key, other.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> Largest<T> {
    pub(super) fn new(room: usize) -> Self {
        Self { room, heap: BinaryHeap::new() }
    }

    /// Whether an item with this key and number would stay.
    pub(super) fn admits(&self, key: f64, number: u64) -> bool {
        self.heap.len() < self.room
            || self.heap.peek().is_some_and(|Reverse(least)| least.order((key, number)).is_lt())
    }

    /// Adds an item; the least leaves where there is no room.
    pub(super) fn push(&mut self, key: f64, number: u64, item: T) {
        self.heap.push(Reverse(Entry { key, number, item }));
        if self.heap.len() > self.room {
            self.heap.pop();
        }
    }

    /// Numbers and items, in no order.
    pub(super) fn items(&self) -> impl Iterator<Item = (u64, &T)> {
        self.heap.iter().map(|Reverse(entry)| (entry.number, &entry.item))
    }
}

/// A number that looks drawn at random and is the same each time: what a sample is chosen by. The generator is splitmix64.
pub(super) fn drawn(number: u64) -> f64 {
    const SEED: u64 = 42;
    let mut mixed = number.wrapping_add(SEED).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // The upper bits are all that a key has room for.
    ((mixed ^ (mixed >> 31)) >> 11) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(room: usize, keys: &[f64]) -> Vec<u64> {
        let mut largest = Largest::new(room);
        for (number, key) in (1..).zip(keys) {
            if largest.admits(*key, number) {
                largest.push(*key, number, ());
            }
            assert!(largest.heap.len() <= room);
        }
        let mut numbers: Vec<_> = largest.items().map(|(number, ())| number).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn the_largest_stay_and_of_equal_ones_the_first() {
        assert_eq!(kept(2, &[1.0, 3.0, 2.0, 0.5]), [2, 3]);
        assert_eq!(kept(2, &[1.0, 1.0, 1.0]), [1, 2]);
        assert_eq!(kept(2, &[5.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]), [2, 3]);
        assert_eq!(kept(5, &[1.0]), [1]);
    }

    #[test]
    fn a_sample_is_spread_over_the_corpus() {
        let keys: Vec<_> = (1..=10_000).map(drawn).collect();
        let sample = kept(1000, &keys);
        for tenth in 0..10 {
            let within = sample.iter().filter(|number| (*number - 1) / 1000 == tenth).count();
            assert!((60..=140).contains(&within), "{within} of the pairs from {tenth}000");
        }
    }
}
