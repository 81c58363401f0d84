//! Sequences: how many of a query's items each document holds, for documents that hold enough of them.
//!
//! Buckets are counted first, with bit-sliced counters: a document's count in a repetition is at most its bucket's.
//! Buckets that can no longer reach the threshold end the query early when none is left; only documents whose buckets
//! reach it in every repetition are counted item by item.
//!
//! Nothing here hands vectors to closures: those are compiled apart, without the instruction set of the kernel.

use std::iter::repeat;

use super::counter::{BLOCK, Counter};
use super::score::Chance;
use super::view::{Repetition, View, window};
use crate::simd::{Indices, LANES, Simd};

/// One document of a segment that reached the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) document: u32,
    pub(super) found: u64,
    /// How many of the items found are expected not to be in the document.
    pub(super) expected_false: f64,
}

/// What a segment says to a query.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) found: Vec<Found>,
    /// Probability that an item is found in a document that does not hold it: mean over items, given the buckets that
    /// answered. 0 when no document could reach the threshold.
    pub(super) chance: f64,
    /// Counts of those buckets of the first repetition that reach the threshold, descending.
    pub(super) answered: Vec<u64>,
}

/// Items that are read at once, between two looks at whether a bucket can still reach the threshold; a multiple of
/// [`BLOCK`].
const LOOK: usize = 32;
/// Bytes of masks that are kept between counting buckets and counting documents; beyond that rows are read twice.
const KEPT: usize = 8 << 20;
/// Items read again at once where they were not kept; a multiple of [`LOOK`].
const AGAIN: usize = 1024;

/// Memory that one query leaves to the next.
pub(super) struct Scratch<S: Simd> {
    /// By repetition: the masks of items, one after the other.
    kept: Vec<Vec<S::Mask>>,
    /// By repetition: the buckets that reach the threshold.
    alive: Vec<Vec<S::Mask>>,
    counter: Counter<S>,
    places: Vec<u64>,
    slots: Vec<u32>,
    groups: Vec<Group>,
}

impl<S: Simd> Scratch<S> {
    pub(super) fn new(views: &[View<'_>]) -> Self {
        let most = views.iter().map(|v| v.repetitions.len()).max().unwrap_or(0);
        Self {
            kept: (0..most).map(|_| Vec::new()).collect(),
            alive: (0..most).map(|_| Vec::new()).collect(),
            counter: Counter::default(),
            places: Vec::new(),
            slots: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// Counts a query's distinct items in one segment.
pub(super) struct Count<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) chance: &'a Chance,
    pub(super) hashes: &'a [u64],
    /// Items that a document must hold, at least 1.
    pub(super) need: u64,
}

impl Count<'_> {
    #[inline(always)]
    pub(super) fn count<S: Simd>(&self, s: S, scratch: &mut Scratch<S>) -> Counted {
        let view = self.view;
        let n = self.hashes.len();
        let repetitions = view.repetitions.len();
        let keep = n * view.chunks() * LANES / 8 <= KEPT;
        let Scratch { kept, alive, counter, places, slots, groups } = scratch;
        let mut answered = Vec::new();
        for (r, repetition) in view.repetitions.iter().enumerate() {
            let masks = &mut kept[r];
            masks.clear();
            masks.reserve(repetition.chunks * if keep { n + BLOCK } else { AGAIN });
            counter.restart(s, repetition.chunks);
            if !self.count_buckets(s, repetition, masks, keep, counter, places) {
                return Counted::default();
            }
            let reached = &mut alive[r];
            reached.clear();
            for chunk in 0..repetition.chunks {
                reached.push(counter.at_least(s, chunk, self.need));
            }
            if r == 0 {
                answered = counter.counts(s, reached);
                answered.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        self.candidates(s, &alive[..repetitions], slots);
        groups.clear();
        groups.extend(slots.chunks(32).map(|c| Group::new(view, c)));
        let mut chance = 0.0;
        if keep {
            self.count_documents(s, &kept[..repetitions], n, groups, &mut chance);
        } else {
            for some in self.hashes.chunks(AGAIN) {
                for (repetition, masks) in view.repetitions.iter().zip(kept.iter_mut()) {
                    masks.clear();
                    read(s, repetition, some, places, masks);
                }
                self.count_documents(s, &kept[..repetitions], some.len(), groups, &mut chance);
            }
        }
        let first_id = view.segment.first_id();
        let found = slots.iter().enumerate().map(|(i, slot)| Found {
            document: first_id + slot,
            found: groups[i / 32].count(i % 32),
            expected_false: groups[i / 32].odds[i % 32],
        });
        Counted { found: found.filter(|f| f.found >= self.need).collect(), chance: chance / n as f64, answered }
    }

    /// Counts items by bucket in a repetition and leaves their masks in `masks`, if they are to be kept; false when no
    /// bucket can reach the threshold any more.
    #[inline(always)]
    fn count_buckets<S: Simd>(
        &self,
        s: S,
        repetition: &Repetition<'_>,
        masks: &mut Vec<S::Mask>,
        keep: bool,
        counter: &mut Counter<S>,
        places: &mut Vec<u64>,
    ) -> bool {
        let n = self.hashes.len();
        let stride = repetition.stride();
        places.resize(places.len().max(LOOK * stride), 0);
        let part = |first: usize| &self.hashes[first.min(n)..(first + LOOK).min(n)];
        repetition.locate(s, part(0), places);
        for first in (0..n).step_by(LOOK) {
            if !keep {
                masks.clear();
            }
            let (begin, items) = (masks.len(), part(first).len());
            // Silent items fill up the last block.
            masks.resize(begin + items.next_multiple_of(BLOCK) * repetition.chunks, s.zero());
            repetition.read(s, &places[..items * stride], &mut masks[begin..], 0, repetition.chunks);
            let next = part(first + LOOK);
            repetition.locate(s, next, places);
            let coming = places[..next.len() * stride].chunks(BLOCK * stride).chain(repeat(&[][..]));
            for (block, coming) in masks[begin..].chunks_exact(BLOCK * repetition.chunks).zip(coming) {
                repetition.prefetch(s, coming);
                counter.add(s, block);
            }
            let last = first + items;
            let end = begin + items * repetition.chunks;
            masks.truncate(end);
            let left = (n - last) as u64;
            if self.need > left && !counter.any_at_least(s, self.need - left) {
                return false;
            }
        }
        true
    }

    /// Slots of documents whose bucket is alive in every repetition.
    #[inline(always)]
    fn candidates<S: Simd>(&self, s: S, alive: &[Vec<S::Mask>], slots: &mut Vec<u32>) {
        let segment = self.view.segment;
        slots.clear();
        let mut hit: Indices = [0; LANES + 32];
        for (chunk, &mask) in alive[0].iter().enumerate() {
            let buckets = s.indices(mask, self.view.repetitions[0].words(chunk), &mut hit);
            for &bucket in &hit[..buckets] {
                let bucket = LANES * chunk + usize::from(bucket);
                let (mut slot, end) = (segment.starts()[bucket], segment.starts()[bucket + 1]);
                while slot < end {
                    let left = end - slot;
                    let mut which = if left >= 32 { u32::MAX } else { (1 << left) - 1 };
                    for (r, masks) in alive.iter().enumerate().skip(1) {
                        which = s.test(which, masks, window(segment.slot_buckets(r), slot as usize));
                    }
                    while which != 0 {
                        slots.push(slot + which.trailing_zeros());
                        which &= which - 1;
                    }
                    slot += 32;
                }
            }
        }
    }

    /// Counts items, whose masks `kept` holds by repetition, in the documents of `groups`. Adds to `chance` the chances
    /// q(x) of the items to be found where they are not; and to each document's odds q(x) / (1 - q(x)) of those not found
    /// in it: the unbiased (Horvitz-Thompson) estimate of how many were found in it that it does not hold.
    #[inline(always)]
    fn count_documents<S: Simd>(
        &self,
        s: S,
        kept: &[Vec<S::Mask>],
        items: usize,
        groups: &mut [Group],
        chance: &mut f64,
    ) {
        let first = self.view.repetitions[0].chunks;
        for i in 0..items {
            let mut answered = 0;
            for &mask in &kept[0][i * first..(i + 1) * first] {
                answered += s.count(mask);
            }
            let q = self.chance.of(answered);
            *chance += q;
            for group in groups.iter_mut() {
                let mut which = group.valid;
                for (masks, (chunks, ids)) in kept.iter().zip(&group.buckets) {
                    which = s.test(which, &masks[i * chunks..(i + 1) * chunks], ids);
                }
                group.add(which, q);
            }
        }
    }
}

/// Appends the masks of items to `masks`.
#[inline(always)]
fn read<S: Simd>(s: S, repetition: &Repetition<'_>, hashes: &[u64], places: &mut Vec<u64>, masks: &mut Vec<S::Mask>) {
    let stride = repetition.stride();
    places.resize(places.len().max(LOOK * stride), 0);
    for some in hashes.chunks(LOOK) {
        let places = &mut places[..some.len() * stride];
        repetition.locate(s, some, places);
        let begin = masks.len();
        masks.resize(begin + some.len() * repetition.chunks, s.zero());
        repetition.read(s, places, &mut masks[begin..], 0, repetition.chunks);
    }
}

/// 32 documents: their buckets and what was counted.
struct Group {
    /// Chunks and buckets by repetition.
    buckets: Vec<(usize, [u16; 32])>,
    valid: u32,
    /// Plane p holds bit p of every count.
    planes: [u32; 40],
    odds: [f64; 32],
}

impl Group {
    fn new(view: &View<'_>, slots: &[u32]) -> Self {
        let buckets = view
            .repetitions
            .iter()
            .enumerate()
            .map(|(r, repetition)| {
                let of = view.segment.slot_buckets(r);
                (repetition.chunks, std::array::from_fn(|i| slots.get(i).map_or(0, |&slot| of[slot as usize])))
            })
            .collect();
        let valid = if slots.len() >= 32 { u32::MAX } else { (1 << slots.len()) - 1 };
        Self { buckets, valid, planes: [0; 40], odds: [0.0; 32] }
    }

    /// Counts an item of chance `q` that was found in the documents `which`.
    #[inline(always)]
    fn add(&mut self, which: u32, q: f64) {
        let mut carry = which;
        for plane in &mut self.planes {
            if carry == 0 {
                break;
            }
            (*plane, carry) = (*plane ^ carry, *plane & carry);
        }
        let mut missing = self.valid & !which;
        if missing != 0 {
            let odds = q / (1.0 - q).max(1e-9);
            while missing != 0 {
                self.odds[missing.trailing_zeros() as usize] += odds;
                missing &= missing - 1;
            }
        }
    }

    fn count(&self, document: usize) -> u64 {
        self.planes.iter().enumerate().map(|(p, plane)| u64::from(plane >> document & 1) << p).sum()
    }
}
