//! Sequences: how many of a query's items each document holds, for documents that hold enough of them.
//!
//! Buckets are counted first, with bit-sliced counters: a document's count in a repetition is at most its bucket's.
//! Buckets that can no longer reach the threshold end the query early when none is left; only documents whose buckets
//! reach it in every repetition are counted item by item.

use super::score::Chance;
use super::view::{View, for_each_bit, window};
use crate::simd::{Kernel, LANES, Simd};

/// One document of a segment that reached the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) document: u32,
    pub(super) found: u64,
    /// How many of the items found are expected not to be in the document.
    pub(super) expected_false: f64,
}

/// What a segment says to a query.
pub(super) struct Counted {
    pub(super) found: Vec<Found>,
    /// Probability that an item is found in a document that does not hold it: mean over items, given the buckets that
    /// answered; `None` when the query ended before all were read.
    pub(super) chance: Option<f64>,
}

/// Items whose rows are on their way from memory at once.
const AHEAD: usize = 16;
/// Items between two looks at whether a bucket can still reach the threshold.
const LOOK: usize = 32;
/// Bytes of masks that are kept between counting buckets and counting documents; beyond that rows are read twice.
const KEPT: usize = 8 << 20;

/// Counts a query's distinct items in one segment.
pub(super) struct Count<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) hashes: &'a [u64],
    /// Items that a document must hold, at least 1.
    pub(super) need: u64,
}

impl Kernel for Count<'_> {
    type Out = Counted;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Counted {
        let view = self.view;
        let repetitions = view.repetitions.len();
        let keep = self.hashes.len() * view.chunks() * LANES / 8 <= KEPT;
        let mut kept: Vec<Vec<S::Mask>> = vec![Vec::new(); repetitions];
        let mut alive: Vec<Vec<S::Mask>> = Vec::with_capacity(repetitions);
        let mut counters = Vec::new();
        for (r, store) in kept.iter_mut().enumerate() {
            let mut counter = Counter::new(s, view.repetitions[r].chunks);
            if !self.count_buckets(s, r, &mut counter, keep.then_some(store)) {
                return Counted { found: Vec::new(), chance: None };
            }
            let reached = counter.at_least(s, self.need);
            alive.push(reached);
            counters.push(counter);
        }
        let slots = self.candidates(s, &alive);
        let masks = Masks { count: &self, kept: &kept, keep };
        let counts = if repetitions == 1 {
            let ids = view.segment.slot_buckets(0);
            slots.iter().map(|&slot| counters[0].get(s, usize::from(ids[slot as usize]))).collect()
        } else {
            self.count_documents(s, &masks, &slots)
        };
        let hits: Vec<(u32, u64)> = slots.into_iter().zip(counts).filter(|&(_, c)| c >= self.need).collect();
        let (chance, missed) = self.chances(s, &masks, &hits);
        let first_id = view.segment.first_id();
        let found = hits
            .iter()
            .zip(missed)
            .map(|(&(slot, found), missed)| Found { document: first_id + slot, found, expected_false: missed })
            .collect();
        Counted { found, chance: Some(chance) }
    }
}

impl Count<'_> {
    /// Counts items by bucket in repetition `r`; false when no bucket can reach the threshold any more.
    #[inline(always)]
    fn count_buckets<S: Simd>(
        &self,
        s: S,
        r: usize,
        counter: &mut Counter<S>,
        mut store: Option<&mut Vec<S::Mask>>,
    ) -> bool {
        let mut done = 0;
        let mut hopeless = false;
        self.for_each_mask(s, r, 0..self.hashes.len(), |masks| {
            if let Some(store) = &mut store {
                store.extend_from_slice(masks);
            }
            counter.add(s, masks);
            done += 1;
            if done % LOOK == 0 {
                let left = (self.hashes.len() - done) as u64;
                if self.need > left {
                    hopeless = !counter.any_at_least(s, self.need - left);
                }
            }
            !hopeless
        });
        !hopeless && counter.any_at_least(s, self.need)
    }

    /// Hands the masks of items `range` in repetition `r` to `take`, until it says no.
    #[inline(always)]
    fn for_each_mask<S: Simd>(
        &self,
        s: S,
        r: usize,
        range: std::ops::Range<usize>,
        mut take: impl FnMut(&[S::Mask]) -> bool,
    ) {
        let repetition = &self.view.repetitions[r];
        let width = repetition.stride();
        let chunks = repetition.chunks;
        let mut places = vec![0u64; AHEAD * width];
        let mut masks = vec![s.zero(); chunks];
        let valid = repetition.valid(s);
        for i in range.start..range.end + AHEAD {
            let ring = &mut places[i % AHEAD * width..(i % AHEAD + 1) * width];
            if i >= range.start + AHEAD {
                for (chunk, mask) in masks.iter_mut().enumerate() {
                    *mask = repetition.and_rows(s, &ring[..repetition.hashes()], chunk);
                }
                masks[chunks - 1] = s.and(masks[chunks - 1], valid);
                if !take(&masks) {
                    return;
                }
            }
            if i < range.end {
                repetition.locate(s, self.hashes[i], ring);
            }
        }
    }

    /// Slots of documents whose bucket is alive in every repetition.
    #[inline(always)]
    fn candidates<S: Simd>(&self, s: S, alive: &[Vec<S::Mask>]) -> Vec<u32> {
        let segment = self.view.segment;
        let mut slots = Vec::new();
        for (chunk, &mask) in alive[0].iter().enumerate() {
            for_each_bit(&s.words(mask), |bit| {
                let bucket = LANES * chunk + bit;
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
            });
        }
        slots
    }

    /// How many items each slot's document is reported for.
    #[inline(always)]
    fn count_documents<S: Simd>(&self, s: S, masks: &Masks<'_, S>, slots: &[u32]) -> Vec<u64> {
        let groups: Vec<Group> = slots.chunks(32).map(|c| Group::new(self.view, c)).collect();
        let mut planes = vec![[0u32; 40]; groups.len()];
        masks.for_each_item(s, |_, row| {
            for (group, planes) in groups.iter().zip(&mut planes) {
                let mut carry = group.test(s, row);
                for plane in planes.iter_mut() {
                    if carry == 0 {
                        break;
                    }
                    (*plane, carry) = (*plane ^ carry, *plane & carry);
                }
            }
        });
        let bit = |planes: &[u32; 40], i: usize| {
            planes.iter().enumerate().map(|(p, plane)| u64::from(plane >> i & 1) << p).sum::<u64>()
        };
        slots.iter().enumerate().map(|(i, _)| bit(&planes[i / 32], i % 32)).collect()
    }

    /// The chance of an item to be found where it is not, a mean over items; and for each hit how many items to expect
    /// that were found in it and are not: over the items x not found in it, the sum of q(x) / (1 - q(x)), where q(x) is
    /// the chance of x. This is the unbiased (Horvitz-Thompson) estimate.
    #[inline(always)]
    fn chances<S: Simd>(&self, s: S, masks: &Masks<'_, S>, hits: &[(u32, u64)]) -> (f64, Vec<f64>) {
        if self.hashes.is_empty() {
            return (0.0, Vec::new());
        }
        let slots: Vec<u32> = hits.iter().map(|h| h.0).collect();
        let groups: Vec<Group> = slots.chunks(32).map(|c| Group::new(self.view, c)).collect();
        let mut odds = vec![[0f64; 32]; groups.len()];
        let chance = Chance::new(self.view.segment);
        let first = self.view.repetitions[0].chunks;
        let mut sum = 0.0;
        masks.for_each_item(s, |_, row| {
            let q = chance.of(row[..first].iter().map(|&m| s.count(m)).sum());
            sum += q;
            let odd = q / (1.0 - q).max(1e-9);
            for (group, odds) in groups.iter().zip(&mut odds) {
                let which = group.test(s, row);
                for (i, o) in odds.iter_mut().enumerate() {
                    *o += if which >> i & 1 == 0 { odd } else { 0.0 };
                }
            }
        });
        let each = (0..hits.len()).map(|i| odds[i / 32][i % 32]).collect();
        (sum / self.hashes.len() as f64, each)
    }
}

/// The masks of every item, kept or read again.
struct Masks<'a, S: Simd> {
    count: &'a Count<'a>,
    kept: &'a [Vec<S::Mask>],
    keep: bool,
}

impl<S: Simd> Masks<'_, S> {
    /// Hands each item's masks, repetition after repetition, to `take`.
    #[inline(always)]
    fn for_each_item(&self, s: S, mut take: impl FnMut(usize, &[S::Mask])) {
        let view = self.count.view;
        let n = self.count.hashes.len();
        let mut row = vec![s.zero(); view.chunks()];
        let put = |row: &mut [S::Mask], masks: &[Vec<S::Mask>], i: usize| {
            let mut rest = row;
            for (repetition, masks) in view.repetitions.iter().zip(masks) {
                let (own, later) = rest.split_at_mut(repetition.chunks);
                own.copy_from_slice(&masks[i * repetition.chunks..(i + 1) * repetition.chunks]);
                rest = later;
            }
        };
        if self.keep {
            for i in 0..n {
                put(&mut row, self.kept, i);
                take(i, &row);
            }
            return;
        }
        const BLOCK: usize = 1024;
        let mut block: Vec<Vec<S::Mask>> = vec![Vec::new(); view.repetitions.len()];
        for first in (0..n).step_by(BLOCK) {
            let last = (first + BLOCK).min(n);
            for (r, masks) in block.iter_mut().enumerate() {
                masks.clear();
                self.count.for_each_mask(s, r, first..last, |m| {
                    masks.extend_from_slice(m);
                    true
                });
            }
            for i in 0..last - first {
                put(&mut row, &block, i);
                take(first + i, &row);
            }
        }
    }
}

/// 32 documents, with their buckets by repetition.
struct Group {
    /// Chunks and buckets by repetition.
    repetitions: Vec<(usize, [u16; 32])>,
    valid: u32,
}

impl Group {
    fn new(view: &View<'_>, slots: &[u32]) -> Self {
        let repetitions = view
            .repetitions
            .iter()
            .enumerate()
            .map(|(r, repetition)| {
                let of = view.segment.slot_buckets(r);
                (repetition.chunks, std::array::from_fn(|i| slots.get(i).map_or(0, |&slot| of[slot as usize])))
            })
            .collect();
        let valid = if slots.len() >= 32 { u32::MAX } else { (1 << slots.len()) - 1 };
        Self { repetitions, valid }
    }

    #[inline(always)]
    fn test<S: Simd>(&self, s: S, row: &[S::Mask]) -> u32 {
        let mut which = self.valid;
        let mut rest = row;
        for (chunks, ids) in &self.repetitions {
            let (masks, later) = rest.split_at(*chunks);
            rest = later;
            which = s.test(which, masks, ids);
        }
        which
    }
}

/// Bit-sliced counters, one a bucket: plane p holds bit p of every count.
struct Counter<S: Simd> {
    /// `planes[p * chunks + chunk]`.
    planes: Vec<S::Mask>,
    chunks: usize,
}

impl<S: Simd> Counter<S> {
    fn new(s: S, chunks: usize) -> Self {
        Self { planes: vec![s.zero(); chunks], chunks }
    }

    #[inline(always)]
    fn add(&mut self, s: S, row: &[S::Mask]) {
        for (chunk, &mask) in row.iter().enumerate() {
            let mut carry = mask;
            let mut at = chunk;
            while s.any(carry) {
                if at >= self.planes.len() {
                    self.planes.resize(self.planes.len() + self.chunks, s.zero());
                }
                let plane = self.planes[at];
                self.planes[at] = s.xor(plane, carry);
                carry = s.and(plane, carry);
                at += self.chunks;
            }
        }
    }

    /// Buckets whose count is at least `least`.
    #[inline(always)]
    fn at_least(&self, s: S, least: u64) -> Vec<S::Mask> {
        (0..self.chunks).map(|chunk| self.chunk_at_least(s, chunk, least)).collect()
    }

    #[inline(always)]
    fn any_at_least(&self, s: S, least: u64) -> bool {
        (0..self.chunks).any(|chunk| s.any(self.chunk_at_least(s, chunk, least)))
    }

    #[inline(always)]
    fn chunk_at_least(&self, s: S, chunk: usize, least: u64) -> S::Mask {
        let planes = self.planes.len() / self.chunks;
        if least >> planes != 0 {
            return s.zero();
        }
        let (mut above, mut equal) = (s.zero(), s.low(LANES));
        for p in (0..planes).rev() {
            let plane = self.planes[p * self.chunks + chunk];
            if least >> p & 1 == 1 {
                equal = s.and(equal, plane);
            } else {
                above = s.or(above, s.and(equal, plane));
                equal = s.without(equal, plane);
            }
        }
        s.or(above, equal)
    }

    fn get(&self, s: S, bucket: usize) -> u64 {
        let (chunk, bit) = (bucket / LANES, bucket % LANES);
        let planes = self.planes.len() / self.chunks;
        (0..planes)
            .map(|p| {
                let word = s.words(self.planes[p * self.chunks + chunk])[bit / 64];
                (word >> (bit % 64) & 1) << p
            })
            .sum()
    }
}
