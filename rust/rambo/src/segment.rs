//! A segment as queries see it: documents in the order of their first bucket.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use thrifty_base::philox::Philox;

use crate::partition::{collision, stream};
use crate::plan::{Repetition, SegmentPlan};
use crate::query::Chance;
use crate::simd::LANES;

/// Readers of slots may look this many beyond the last.
pub(crate) const SLOT_PAD: usize = 64;

/// Buckets as bytes of a mask and the bit there.
#[derive(Debug)]
pub(crate) struct Apart {
    pub(crate) at: Vec<u8>,
    pub(crate) bits: Vec<u8>,
}

/// Documents of like size that share B, R, eta and rows.
#[derive(Debug)]
pub struct Segment {
    plan: SegmentPlan,
    shape: Vec<Repetition>,
    documents: Vec<u32>,
    multipliers: Vec<Vec<u64>>,
    ranges: Vec<Range<usize>>,
    /// Its first id: slot s of the segment is id `first_id + s`. Slots follow the buckets of the first repetition, whose
    /// documents so lie in one run; removed documents have no slot.
    first_id: u32,
    /// Where the run of each bucket begins.
    starts: Vec<u32>,
    /// Bucket of each slot, by repetition.
    slot_buckets: Vec<Vec<u16>>,
    /// The same, taken apart for [`crate::simd::Simd::test_apart`], where buckets are few.
    slot_bits: Vec<Option<Apart>>,
    live: usize,
    present_fpr: f64,
    mean_fill: Vec<f64>,
    mean_bloom: Vec<f64>,
    chance: OnceLock<Chance>,
}

/// Odd multipliers of the row hashes: row = reduce52(hash * multiplier, rows).
pub(crate) fn multipliers(plan: &SegmentPlan, seed: u64) -> Vec<Vec<u64>> {
    let random = Philox::new(seed, stream::ROWS);
    plan.repetitions
        .iter()
        .enumerate()
        .map(|(r, rep)| (0..rep.hashes).map(|j| random.u64_at(64 * r as u64 + u64::from(j)) | 1).collect())
        .collect()
}

impl Segment {
    /// Also returns the document of each slot.
    pub(crate) fn new(
        mut plan: SegmentPlan,
        mut shape: Vec<Repetition>,
        seed: u64,
        documents: Vec<u32>,
        table: &[Vec<u16>],
        ranges: Vec<Range<usize>>,
        fill: &[&[u64]],
        gone: &HashSet<u32>,
        first_id: u32,
    ) -> (Self, Vec<u32>) {
        let multipliers = multipliers(&plan, seed);
        let mut order: Vec<usize> = (0..documents.len()).filter(|&i| !gone.contains(&documents[i])).collect();
        order.sort_by_key(|&i| table[0][i]);
        let buckets = shape[0].buckets as usize;
        let mut starts = vec![0u32; buckets + 1];
        for &i in &order {
            starts[usize::from(table[0][i]) + 1] += 1;
        }
        for b in 0..buckets {
            starts[b + 1] += starts[b];
        }
        let live = order.len();
        let slots = order.iter().map(|&i| documents[i]).collect();
        let pad = [0u16; SLOT_PAD];
        let slot_buckets: Vec<Vec<u16>> =
            table.iter().map(|t| order.iter().map(|&i| t[i]).chain(pad).collect()).collect();
        let apart = |of: &Vec<u16>| Apart {
            at: of.iter().map(|b| (b / 8) as u8).collect(),
            bits: of.iter().map(|b| 1 << (b % 8)).collect(),
        };
        let slot_bits =
            shape.iter().zip(&slot_buckets).map(|(r, of)| (r.buckets as usize <= LANES).then(|| apart(of))).collect();
        let bloom: Vec<Vec<f64>> = shape
            .iter()
            .zip(fill)
            .map(|(r, f)| f.iter().map(|&bits| (bits as f64 / r.rows as f64).powi(r.hashes as i32)).collect())
            .collect();
        let present_fpr = if live == 0 {
            0.0
        } else {
            (0..live)
                .map(|s| bloom.iter().zip(&slot_buckets).map(|(p, b)| p[usize::from(b[s])]).product::<f64>())
                .sum::<f64>()
                / live as f64
        };
        for (r, of) in table.iter().enumerate() {
            // What the documents that are here say; the plan of an index yet to be filled can only expect.
            let now = collision(of, shape[r].buckets);
            (shape[r].collision, plan.repetitions[r].collision) = (now, now);
        }
        let mean_fill = shape.iter().zip(fill).map(|(r, f)| f.iter().sum::<u64>() as f64 / r.bits() as f64).collect();
        // Over documents, as documents are what is found.
        let mean_bloom = bloom
            .iter()
            .zip(&slot_buckets)
            .map(|(p, of)| of[..live].iter().map(|&b| p[usize::from(b)]).sum::<f64>() / (live as f64).max(1.0))
            .collect();
        let this = Self {
            plan,
            shape,
            documents,
            multipliers,
            ranges,
            first_id,
            starts,
            slot_buckets,
            slot_bits,
            live,
            present_fpr,
            mean_fill,
            mean_bloom,
            chance: OnceLock::new(),
        };
        (this, slots)
    }

    /// The plan.
    pub fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    /// Its shape in this file, with the collisions of the documents that are here.
    pub fn shape(&self) -> &[Repetition] {
        &self.shape
    }

    /// Places in the file of its documents, ascending, removed ones included.
    pub(crate) fn documents(&self) -> &[u32] {
        &self.documents
    }

    /// Documents that queries can find.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Rate of false positives for an item that no document holds, from the bits that are set: mean over documents.
    pub fn present_fpr(&self) -> f64 {
        self.present_fpr
    }

    /// The same for an item that `holders` other documents of the segment hold.
    pub fn present_fpr_at(&self, holders: f64) -> f64 {
        self.plan.fpr_from(self.present_fpr, holders)
    }

    /// Share of bits set, by repetition.
    pub fn fill(&self) -> &[f64] {
        &self.mean_fill
    }

    /// Mean rate of false positives of a document's filter, by repetition.
    pub fn bloom(&self) -> &[f64] {
        &self.mean_bloom
    }

    /// What chance does here, once a search has asked.
    pub(crate) fn chance(&self) -> Option<&Chance> {
        self.chance.get()
    }

    /// Keeps what chance does here, unless another search was first.
    pub(crate) fn set_chance(&self, chance: Chance) -> &Chance {
        self.chance.get_or_init(|| chance)
    }

    pub(crate) fn multipliers(&self, repetition: usize) -> &[u64] {
        &self.multipliers[repetition]
    }

    pub(crate) fn rows_range(&self, repetition: usize) -> Range<usize> {
        self.ranges[repetition].clone()
    }

    pub(crate) fn first_id(&self) -> u32 {
        self.first_id
    }

    pub(crate) fn starts(&self) -> &[u32] {
        &self.starts
    }

    pub(crate) fn slot_buckets(&self, repetition: usize) -> &[u16] {
        &self.slot_buckets[repetition]
    }

    pub(crate) fn slot_bits(&self, repetition: usize) -> Option<&Apart> {
        self.slot_bits[repetition].as_ref()
    }
}
