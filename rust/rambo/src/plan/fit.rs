//! Rows for documents that are known and dealt: the planned rate exactly, or the best within a size.

use super::{Plan, Wish, rate};
use crate::draft::Draft;
use crate::partition::collision;
use crate::sample::Samples;

/// Fits one segment: loads are real, rates are means over its documents.
struct Fit {
    hashes: Vec<u32>,
    /// Load of each bucket over the mean load, by repetition.
    loads: Vec<Vec<f64>>,
    mean_loads: Vec<f64>,
    /// Bucket of each document, by repetition.
    buckets: Vec<Vec<u16>>,
}

impl Fit {
    fn rate(&self, x: f64) -> f64 {
        let blooms: Vec<Vec<f64>> = self
            .loads
            .iter()
            .zip(&self.hashes)
            .map(|(loads, &h)| loads.iter().map(|&l| rate::bloom(h, x * l)).collect())
            .collect();
        let documents = self.buckets[0].len();
        let total: f64 = (0..documents)
            .map(|d| blooms.iter().zip(&self.buckets).map(|(p, b)| p[usize::from(b[d])]).product::<f64>())
            .sum();
        total / documents.max(1) as f64
    }

    fn solve(&self, fpr: f64) -> f64 {
        let (mut low, mut high) = (0.0, 64.0);
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            if self.rate(middle) <= fpr { low = middle } else { high = middle }
        }
        low.max(1e-9)
    }

    fn rows(&self, x: f64) -> Vec<u64> {
        self.hashes.iter().zip(&self.mean_loads).map(|(&h, &load)| rate::rows(h, load, x)).collect()
    }
}

/// Sets rows, rates and collision probabilities of `plan` for the documents of `draft`, whose buckets are dealt and
/// whose loads (items counted once a document) are given by segment and repetition.
///
/// Documents of a bucket that hold the same item set the same bits: the sample tells how far the load of a bucket's
/// union lies below the sum.
pub(crate) fn fit(plan: &mut Plan, draft: &Draft, loads: &[Vec<Vec<u64>>], samples: &Samples, wish: &Wish) {
    let mut fits = Vec::new();
    for (s, segment) in plan.segments.iter_mut().enumerate() {
        let buckets = draft.buckets[s].clone();
        let documents: Vec<usize> =
            (0..draft.counts.len()).filter(|&d| usize::from(draft.segment_of[d]) == s).collect();
        let mut means = Vec::new();
        let mut relative = Vec::new();
        for (r, of) in buckets.iter().enumerate() {
            let share = union_share(samples, &documents, of);
            let repetition = &mut segment.repetitions[r];
            repetition.collision = collision(of, repetition.buckets);
            let mean = loads[s][r].iter().sum::<u64>() as f64 / f64::from(repetition.buckets);
            means.push(mean * share);
            relative.push(loads[s][r].iter().map(|&l| l as f64 / mean.max(1e-9)).collect());
        }
        let hashes = segment.repetitions.iter().map(|r| r.hashes).collect();
        fits.push(Fit { hashes, loads: relative, mean_loads: means, buckets });
    }
    let set = |plan: &mut Plan, fpr: f64| {
        for (segment, fit) in plan.segments.iter_mut().zip(&fits) {
            let x = fit.solve(fpr);
            for (repetition, rows) in segment.repetitions.iter_mut().zip(fit.rows(x)) {
                repetition.rows = rows;
            }
            segment.fpr = fit.rate(x);
        }
    };
    let Some(max_bytes) = wish.max_bytes else {
        return set(plan, wish.fpr);
    };
    let bytes = |plan: &Plan| Draft { plan: plan.clone(), ..draft.clone() }.bytes();
    let (mut low, mut high) = (1e-12f64.ln(), 0.5f64.ln());
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        set(plan, middle.exp());
        if bytes(plan) <= max_bytes { high = middle } else { low = middle }
    }
    set(plan, high.exp());
    plan.fpr = high.exp();
}

/// Distinct (bucket, item) pairs over (document, item) pairs in the sample.
fn union_share(samples: &Samples, documents: &[usize], bucket_of: &[u16]) -> f64 {
    let mut pairs: Vec<(u16, u64)> =
        documents.iter().zip(bucket_of).flat_map(|(&d, &b)| samples.document(d).iter().map(move |&h| (b, h))).collect();
    let all = pairs.len();
    if all < 100 {
        return 1.0;
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs.len() as f64 / all as f64
}
