//! From documents, item counts, multiplicity and a rate or a size to the shape of an index.

mod classes;
mod fit;
pub mod rate;
mod search;

use serde::{Deserialize, Serialize};
use thrifty_base::container::file_length;

use crate::format::{Sizes, specs};
use crate::sample::Samples;
use crate::{Error, Result};

pub(crate) use fit::fit;

/// Shape of one repetition: a Bloom filter a bucket, all with the same rows and hashes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// Buckets (B).
    pub buckets: u32,
    /// Hash functions (eta).
    pub hashes: u32,
    /// Bits of each bucket's filter (m): one a row.
    pub rows: u64,
    /// Probability that two documents share a bucket.
    pub collision: f64,
}

impl Repetition {
    /// Bits of all rows.
    pub fn bits(&self) -> u64 {
        self.rows * u64::from(self.buckets)
    }

    /// The share of one of `nodes` shards.
    pub fn shard(self, nodes: u32) -> Self {
        Self { buckets: self.buckets / nodes, ..self }
    }
}

/// Plan of one segment: documents of like size that share R, B, eta and rows.
///
/// Repetitions need not be alike. The first gets most of the hashes and, where documents are many, the most buckets: it
/// tells most documents apart, and the later ones, narrow enough for one vector, look only at what it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentPlan {
    /// One entry a repetition (R of them).
    pub repetitions: Vec<Repetition>,
    /// Documents that the plan holds.
    pub documents: u64,
    /// (document, distinct item) pairs that the plan holds.
    pub items: u64,
    /// Items of the largest document it takes.
    pub largest: u64,
    /// Mean number of documents that hold an item, of those some document holds (V).
    pub multiplicity: f64,
    /// Predicted rate of false positives for an item that no document holds, a mean over documents.
    pub fpr: f64,
}

impl SegmentPlan {
    /// Predicted rate for an item that `holders` other documents of the segment hold: (own) formula
    /// prod over r of 1 - (1 - p_r)(1 - c_r)^V, the paper's with the collision probability of balanced buckets for 1/B.
    pub fn fpr_at(&self, holders: f64) -> f64 {
        self.fpr_from(self.fpr, holders)
    }

    /// The same from another rate for items that no document holds.
    pub fn fpr_from(&self, fpr: f64, holders: f64) -> f64 {
        // Filters of all repetitions are equally full, so a hash contributes the same factor in each.
        let factor = fpr.powf(1.0 / f64::from(self.hashes()));
        rate::with_holders(self.repetitions.iter().map(|r| (factor.powi(r.hashes as i32), r.collision)), holders)
    }

    /// Buckets of the first repetition.
    pub fn buckets(&self) -> u32 {
        self.repetitions.first().map_or(0, |r| r.buckets)
    }

    /// Probability that a document shares the bucket of a holder of the usual item in some repetition, at most.
    pub fn shared(&self) -> f64 {
        self.multiplicity * self.repetitions.iter().map(|r| r.collision).fold(f64::INFINITY, f64::min)
    }

    /// Sum of hashes over repetitions: rows read for an item.
    pub fn hashes(&self) -> u32 {
        self.repetitions.iter().map(|r| r.hashes).sum()
    }

    /// Cache lines read for an item that passes no early stop.
    pub fn lines_per_item(&self) -> f64 {
        self.repetitions.iter().map(|r| f64::from(r.hashes) * rate::lines_per_row(r.buckets)).sum()
    }

    /// Bits of all rows.
    pub fn bits(&self) -> u64 {
        self.repetitions.iter().map(Repetition::bits).sum()
    }

    /// Refuses shapes that a damaged or hostile file or plan may hold.
    pub fn check(&self) -> Result<()> {
        let fine = (1..=rate::MAX_REPETITIONS).contains(&self.repetitions.len())
            && self.repetitions.iter().all(|r| {
                (1..=rate::MAX_BUCKETS).contains(&r.buckets)
                    && (1..=rate::MAX_HASHES).contains(&r.hashes)
                    && (1..=rate::MAX_ROWS).contains(&r.rows)
                    && (0.0..=1.0).contains(&r.collision)
            })
            && (0.0..=1.0).contains(&self.fpr)
            && self.multiplicity.is_finite();
        if fine {
            return Ok(());
        }
        Err(Error::argument(
            "plan",
            format!(
                "a segment of {} repetitions, or its buckets, rows and hashes, is outside what an index can hold",
                self.repetitions.len()
            ),
        ))
    }
}

/// Shape of a whole index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Rate that was asked for, or the one that the memory allows.
    pub fpr: f64,
    /// Key of hashes and partitions.
    pub seed: u64,
    /// Shards that the index is built in; 1 for one build.
    pub nodes: u32,
    /// Size classes, largest documents first.
    pub segments: Vec<SegmentPlan>,
}

/// What to plan for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Rate of false positives a (item, document) pair.
    pub fpr: f64,
    /// Largest file, where there is such a limit: then the best rate within it is planned.
    pub max_bytes: Option<u64>,
    /// Mean number of documents that hold an item.
    pub multiplicity: f64,
    /// Shards.
    pub nodes: u32,
    /// Key of hashes and partitions.
    pub seed: u64,
}

/// Documents that each of several shards has room for: dealt by hash, up to four standard deviations more than its share
/// come to one.
pub(crate) fn share(documents: u64, nodes: u32) -> u64 {
    if nodes == 1 {
        return documents;
    }
    let mean = documents as f64 / f64::from(nodes);
    ((mean + 4.0 * mean.sqrt()).ceil() as u64 + 1).min(documents.max(1))
}

/// Sampled (item, document) pairs that an index of so many pairs keeps.
pub(crate) fn sample_size(pairs: u64) -> usize {
    (pairs / 4096).clamp(64, 8192) as usize
}

/// Zero bits of sampled hashes when so many pairs are expected.
pub(crate) fn sample_shift(pairs: u64) -> u32 {
    (pairs / sample_size(pairs) as u64).max(1).ilog2()
}

/// Rate of false positives when nothing is said.
pub const DEFAULT_FPR: f64 = 1e-3;

impl Wish {
    /// The defaults: rate 1e-3, no memory limit, multiplicity 1, one node.
    pub fn new(seed: u64) -> Self {
        Self { fpr: DEFAULT_FPR, max_bytes: None, multiplicity: 1.0, nodes: 1, seed }
    }

    /// Refuses what can't be planned.
    pub fn check(&self) -> Result<()> {
        if !(self.fpr >= 1e-12 && self.fpr <= 0.5) {
            return Err(Error::argument("fpr", format!("{} is not possible; give a rate from 1e-12 to 0.5", self.fpr)));
        }
        if !(self.multiplicity >= 1.0 && self.multiplicity.is_finite()) {
            return Err(Error::argument(
                "multiplicity",
                format!("{} is not possible; an item is held by at least 1 document", self.multiplicity),
            ));
        }
        if !(1..=4096).contains(&self.nodes) {
            return Err(Error::argument("nodes", format!("{} is not possible; give 1 to 4096", self.nodes)));
        }
        Ok(())
    }
}

/// Plans an index over documents with these item counts.
pub fn plan(counts: &[u64], wish: &Wish) -> Result<Plan> {
    plan_sizes(&classes::Sizes::new(counts, None), counts, wish)
}

/// The same, with the multiplicity of each class taken from samples of the documents.
pub(crate) fn plan_sampled(counts: &[u64], samples: &Samples, wish: &Wish) -> Result<Plan> {
    plan_sizes(&classes::Sizes::new(counts, Some(&samples.thinned(1 << 12))), counts, wish)
}

fn plan_sizes(sizes: &classes::Sizes, counts: &[u64], wish: &Wish) -> Result<Plan> {
    wish.check()?;
    if counts.is_empty() {
        return Err(Error::argument("documents", "none to plan for"));
    }
    let Some(max_bytes) = wish.max_bytes else {
        return Ok(classes::plan(sizes, wish));
    };
    // The largest rate is the smallest file; from there the rate is lowered as far as the memory allows.
    let at = |log_fpr: f64| classes::plan(sizes, &Wish { fpr: log_fpr.exp(), ..wish.clone() });
    let (mut low, mut high) = (1e-12f64.ln(), 0.5f64.ln());
    let smallest = at(high);
    if smallest.bytes(counts.len()) > max_bytes {
        return Err(Error::Infeasible {
            what: format!(
                "max-bytes {max_bytes} is too small: {} documents with {} items need {} bytes even at a rate of 0.5",
                counts.len(),
                counts.iter().sum::<u64>(),
                smallest.bytes(counts.len())
            ),
        });
    }
    let mut best = smallest;
    for _ in 0..24 {
        let middle = 0.5 * (low + high);
        let candidate = at(middle);
        if candidate.bytes(counts.len()) <= max_bytes {
            (high, best) = (middle, candidate);
        } else {
            low = middle;
        }
    }
    Ok(best)
}

/// Plans for `documents` of `items_each` without seeing them.
pub fn plan_uniform(documents: u64, items_each: u64, wish: &Wish) -> Result<Plan> {
    for (argument, value, most) in [("documents", documents, 1 << 32), ("items-each", items_each, 1 << 48)] {
        if value == 0 || value > most {
            return Err(Error::argument(argument, format!("{value} is not possible; give 1 to {most}")));
        }
    }
    plan(&vec![items_each; documents as usize], wish)
}

impl Plan {
    /// Size of the file with names of ordinary length.
    pub fn bytes(&self, documents: usize) -> u64 {
        let shapes: Vec<_> = self.segments.iter().map(|s| (s.repetitions.clone(), s.documents as usize)).collect();
        let sizes = Sizes {
            meta: 512 + 256 * self.segments.len(),
            names: 16 * documents,
            documents,
            removed: 0,
            sample: sample_size(self.items()),
        };
        file_length(&specs(&shapes, sizes))
    }

    /// Documents that the plan holds.
    pub fn documents(&self) -> u64 {
        self.segments.iter().map(|s| s.documents).sum()
    }

    /// (document, item) pairs that the plan holds.
    pub fn items(&self) -> u64 {
        self.segments.iter().map(|s| s.items).sum()
    }

    /// Cache lines read for an item that passes no early stop.
    pub fn lines_per_item(&self) -> f64 {
        self.segments.iter().map(SegmentPlan::lines_per_item).sum()
    }

    /// Predicted rate for an item that no document holds: mean over documents.
    pub fn predicted_fpr(&self) -> f64 {
        self.mean(|s| s.fpr)
    }

    /// Predicted rate for an item that the planned number of other documents hold.
    pub fn predicted_fpr_at_multiplicity(&self) -> f64 {
        self.mean(|s| s.fpr_at(s.multiplicity))
    }

    fn mean(&self, of: impl Fn(&SegmentPlan) -> f64) -> f64 {
        let total: f64 = self.segments.iter().map(|s| s.documents as f64 * of(s)).sum();
        total / (self.documents() as f64).max(1.0)
    }

    /// What a user should know before building.
    pub fn warnings(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (i, s) in self.segments.iter().enumerate() {
            if s.shared() > 0.1 {
                let collision = s.shared() / s.multiplicity;
                out.push(format!(
                    "segment {i}: an item is held by {:.1} documents on average and {} buckets make each of them share \
                     a bucket with {:.0} % of the others (V/B = {:.2} > 0.1): near-identical documents will be hard to \
                     tell apart; more memory buys more buckets",
                    s.multiplicity,
                    s.buckets(),
                    100.0 * collision,
                    s.multiplicity / f64::from(s.buckets())
                ));
            }
        }
        out
    }

    /// The segment that takes a document of so many items: the tightest class that is large enough.
    pub fn class_of(&self, items: u64) -> usize {
        self.segments.iter().rposition(|s| items <= s.largest).unwrap_or(0)
    }

    /// Refuses plans that a damaged or hostile file may hold.
    pub fn check(&self) -> Result<()> {
        if self.segments.is_empty() || self.segments.len() > rate::MAX_SEGMENTS {
            return Err(Error::argument("plan", format!("{} segments are not possible", self.segments.len())));
        }
        self.segments.iter().try_for_each(SegmentPlan::check)
    }
}

/// A plan as it is printed: the whole first, then what it is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Described<'a> {
    /// Documents planned for.
    pub documents: u64,
    /// (document, distinct item) pairs planned for.
    pub items: u64,
    /// Buckets of the largest segment's first repetition (B).
    pub buckets: u32,
    /// Repetitions of that segment (R).
    pub repetitions: usize,
    /// Hashes a repetition of that segment, a mean (eta).
    pub hashes: f64,
    /// Rows a repetition of that segment, a mean (m): B * R * rows are its bits.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Predicted rate for an item that no document holds.
    pub fpr: f64,
    /// Predicted rate for an item that the usual number of other documents hold.
    pub fpr_at_multiplicity: f64,
    /// Usual number of documents that hold an item.
    pub multiplicity: f64,
    /// Cache lines read for an item.
    pub lines_per_item: f64,
    /// What to know before building.
    pub warnings: Vec<String>,
    /// The plan itself, which a build takes.
    pub plan: &'a Plan,
}

impl Plan {
    /// For printing; `bytes` is the size of the file where it is known, else it is predicted.
    pub fn describe(&self, bytes: Option<u64>) -> Described<'_> {
        let main = self.segments.iter().max_by_key(|s| s.items).expect("a plan has a segment");
        let repetitions = main.repetitions.len();
        Described {
            documents: self.documents(),
            items: self.items(),
            buckets: main.buckets(),
            repetitions,
            hashes: f64::from(main.hashes()) / repetitions as f64,
            rows: main.bits() / u64::from(main.buckets()) / repetitions as u64,
            bytes: bytes.unwrap_or_else(|| self.bytes(self.documents() as usize)),
            fpr: self.predicted_fpr(),
            fpr_at_multiplicity: self.predicted_fpr_at_multiplicity(),
            multiplicity: self.mean(|s| s.multiplicity),
            lines_per_item: self.lines_per_item(),
            warnings: self.warnings(),
            plan: self,
        }
    }
}
