//! The buckets of one table: lists of neurons that grow and shrink.
//!
//! A bucket is a run of numbers in one array, with room for a few more; runs that a bucket has outgrown are used again by
//! others of that size.

use std::hint::black_box;

use bytemuck::{Pod, Zeroable};
use thrifty_base::hash::mix64;
use thrifty_base::pages::Pages;

use crate::Result;

/// Where the neurons of a bucket are.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Span {
    start: u32,
    length: u32,
}

/// All buckets of a table.
#[derive(Debug)]
pub struct Buckets {
    spans: Pages<Span>,
    /// Size class of each bucket's run.
    classes: Vec<u8>,
    ids: Pages<u32>,
    /// Numbers of `ids` that are part of a run.
    used: usize,
    /// Runs without a bucket, by class.
    free: Vec<Vec<u32>>,
}

/// Order of neurons in a bucket: a pure function of (key, neuron).
#[derive(Clone, Copy, Debug)]
pub struct Priority(pub u64);

impl Priority {
    /// Neurons are sorted by this, small first.
    #[inline(always)]
    pub fn of(self, id: u32) -> (u32, u32) {
        ((mix64(self.0 ^ u64::from(id)) >> 32) as u32, id)
    }
}

/// Numbers that a run of a class has: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
const fn room(class: u8) -> usize {
    match class {
        0..4 => class as usize,
        _ => (2 + class as usize % 2) << (class / 2 - 1),
    }
}

/// The least class with that much room.
fn class_for(length: usize) -> u8 {
    (0..).find(|&class| room(class) >= length).unwrap_or(u8::MAX)
}

impl Span {
    /// How many.
    #[inline(always)]
    pub fn length(self) -> usize {
        self.length as usize
    }

    /// The first ones, at most so many.
    #[inline(always)]
    #[must_use]
    pub fn cut(self, most: usize) -> Self {
        Self { length: self.length.min(u32::try_from(most).unwrap_or(u32::MAX)), ..self }
    }

    /// Their places.
    #[inline(always)]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.length()
    }
}

impl Buckets {
    /// Puts the neurons `first..` into the buckets that `codes` names, one code each; neurons whose code is not below
    /// `buckets` into none.
    pub fn build(
        buckets: usize,
        first: u32,
        codes: impl Iterator<Item = u32> + Clone,
        priority: Priority,
    ) -> Result<Self> {
        let mut counts = vec![0u32; buckets];
        let within = |code: &u32| (*code as usize) < buckets;
        codes.clone().filter(within).for_each(|code| counts[code as usize] += 1);
        let classes: Vec<u8> = counts.iter().map(|&count| class_for(count as usize)).collect();
        let mut spans = Pages::<Span>::zeros(buckets)?;
        let mut used = 0;
        for (span, &class) in spans.iter_mut().zip(&classes) {
            span.start = used as u32;
            used += room(class);
        }
        let mut ids = Pages::<u32>::zeros(used)?;
        {
            let (spans, ids) = (&mut spans[..], &mut ids[..]);
            for (id, code) in (first..).zip(codes).filter(|(_, code)| within(code)) {
                let span = &mut spans[code as usize];
                ids[(span.start + span.length) as usize] = id;
                span.length += 1;
            }
            for span in spans.iter().filter(|span| span.length > 1) {
                let run = &mut ids[span.start as usize..][..span.length as usize];
                if run.len() > 32 {
                    run.sort_by_cached_key(|&id| priority.of(id));
                } else {
                    run.sort_unstable_by_key(|&id| priority.of(id));
                }
            }
        }
        Ok(Self { spans, classes, ids, used, free: Vec::new() })
    }

    /// Where the neurons with each code are.
    #[inline(always)]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// All neurons, as spans tell them apart.
    #[inline(always)]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The neurons with a code, by priority.
    #[inline(always)]
    pub fn get(&self, code: u32) -> &[u32] {
        let Span { start, length } = self.spans[code as usize];
        &self.ids[start as usize..][..length as usize]
    }

    /// Reads where some buckets are and how they begin, so that loads which wait for memory wait together.
    pub fn touch(&self, codes: impl Iterator<Item = u32> + Clone) {
        let (spans, ids) = (self.spans(), self.ids());
        black_box(codes.clone().fold(0, |all, code| all ^ spans[code as usize].start));
        let first = |code: u32| ids.get(spans[code as usize].start as usize).copied().unwrap_or(0);
        black_box(codes.fold(0, |all, code| all ^ first(code) ^ u32::from(self.classes[code as usize])));
    }

    /// Moves a neuron from one bucket to another; a code beyond the last bucket is none.
    pub fn change(&mut self, id: u32, from: u32, to: u32, priority: Priority) -> Result<()> {
        if (from as usize) < self.spans.len() {
            self.remove(id, from);
        }
        if (to as usize) < self.spans.len() { self.insert(id, to, priority) } else { Ok(()) }
    }

    fn remove(&mut self, id: u32, code: u32) {
        let Span { start, length } = self.spans[code as usize];
        let run = &mut self.ids[start as usize..][..length as usize];
        let at = run.iter().position(|&other| other == id).expect("the neuron is in the bucket of its code");
        run.copy_within(at + 1.., at);
        self.spans[code as usize].length -= 1;
    }

    fn insert(&mut self, id: u32, code: u32, priority: Priority) -> Result<()> {
        let Span { start, length } = self.spans[code as usize];
        let class = self.classes[code as usize];
        let start = if (length as usize) < room(class) { start } else { self.grow(code, class + 1)? };
        let run = &mut self.ids[start as usize..][..=length as usize];
        let own = priority.of(id);
        let at = run[..length as usize].partition_point(|&other| priority.of(other) < own);
        run.copy_within(at..length as usize, at + 1);
        run[at] = id;
        self.spans[code as usize].length += 1;
        Ok(())
    }

    /// Moves a full bucket to a run of the next class; returns where that begins.
    #[cold]
    fn grow(&mut self, code: u32, class: u8) -> Result<u32> {
        let Span { start, length } = self.spans[code as usize];
        if self.free.len() <= usize::from(class) {
            self.free.resize(usize::from(class) + 1, Vec::new());
        }
        let place = match self.free[usize::from(class)].pop() {
            Some(place) => place,
            None => {
                let place = self.used as u32;
                self.used += room(class);
                self.ids.lengthen(self.used)?;
                place
            }
        };
        self.ids.copy_within(start as usize..(start + length) as usize, place as usize);
        let old = std::mem::replace(&mut self.classes[code as usize], class);
        if room(old) > 0 {
            self.free[usize::from(old)].push(start);
        }
        self.spans[code as usize].start = place;
        Ok(place)
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(Vec::capacity).sum();
        self.spans.bytes() + self.classes.capacity() + self.ids.bytes() + 4 * free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rooms() {
        let sizes: Vec<usize> = (0..12).map(room).collect();
        assert_eq!(sizes, [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]);
        assert!((0..5000).all(|n| room(class_for(n)) >= n && (n == 0 || room(class_for(n) - 1) < n)));
    }

    proptest! {
        /// Whatever moves there were, buckets are those of a fresh table.
        #[test]
        fn moves_equal_a_build(rows in 1usize..200, bits in 0u32..6, moves in proptest::collection::vec((0usize..200, 0u32..70), 0..400), key: u64) {
            let buckets = 1usize << bits;
            let mut codes: Vec<u32> = (0..rows).map(|i| (mix64(key ^ i as u64) % buckets as u64) as u32).collect();
            let mut moved = Buckets::build(buckets, 0, codes.iter().copied(), Priority(key)).unwrap();
            for (row, to) in moves {
                let (row, to) = (row % rows, if to < 64 { to % buckets as u32 } else { u32::MAX });
                moved.change(row as u32, codes[row], to, Priority(key)).unwrap();
                codes[row] = to;
            }
            let fresh = Buckets::build(buckets, 0, codes.iter().copied(), Priority(key)).unwrap();
            for code in 0..buckets as u32 {
                prop_assert_eq!(moved.get(code), fresh.get(code));
                let members: Vec<u32> = (0..rows as u32).filter(|&r| codes[r as usize] == code).collect();
                let mut sorted = fresh.get(code).to_vec();
                prop_assert!(sorted.windows(2).all(|w| Priority(key).of(w[0]) < Priority(key).of(w[1])));
                sorted.sort_unstable();
                prop_assert_eq!(sorted, members);
            }
        }
    }
}
