//! Size classes: documents of unlike size would waste each other's memory.

use super::search::{self, Choice, Class};
use super::{Plan, Repetition, SegmentPlan, Wish, rate};
use crate::sample::Samples;

/// Item counts, largest first, with their sums.
pub(super) struct Sizes {
    counts: Vec<u64>,
    /// Sum of the first i counts.
    before: Vec<u64>,
    /// Sampled items with the rank of a document that holds each, sorted.
    sample: Vec<(u64, u32)>,
}

impl Sizes {
    pub(super) fn new(counts: &[u64], samples: Option<&Samples>) -> Self {
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by_key(|&d| std::cmp::Reverse(counts[d]));
        let mut sample = Vec::new();
        if let Some(samples) = samples {
            for (rank, &d) in order.iter().enumerate() {
                sample.extend(samples.document(d).iter().map(|&h| (h, rank as u32)));
            }
            sample.sort_unstable();
        }
        let counts: Vec<u64> = order.iter().map(|&d| counts[d]).collect();
        let mut before = vec![0];
        before.extend(counts.iter().scan(0u64, |sum, &c| {
            *sum += c;
            Some(*sum)
        }));
        Self { counts, before, sample }
    }

    /// Mean number of documents of a class that hold an item, where it was sampled.
    fn multiplicity(&self, from: usize, to: usize) -> Option<f64> {
        let (mut items, mut holders, mut last) = (0u64, 0u64, None);
        for &(hash, rank) in &self.sample {
            if (from..to).contains(&(rank as usize)) {
                items += u64::from(last != Some(hash));
                holders += 1;
                last = Some(hash);
            }
        }
        (items > 0).then(|| holders as f64 / items as f64)
    }

    /// Places where a class may begin: where the size has fallen by a quarter since the last place.
    fn cuts(&self) -> Vec<usize> {
        let mut cuts = vec![0];
        let mut top = self.counts[0];
        for (i, &c) in self.counts.iter().enumerate() {
            if (c as f64) < 0.75 * top as f64 {
                cuts.push(i);
                top = c;
            }
        }
        cuts.push(self.counts.len());
        cuts
    }

    fn items(&self, from: usize, to: usize) -> u64 {
        self.before[to] - self.before[from]
    }
}

/// Memory is traded for query time at this rate: bytes + WORTH * (bytes of ideal filters) * ln(time) is made least, so
/// half the time is worth 4 % of the memory.
const WORTH: f64 = 0.06;

/// Classes and shapes with the least bytes plus worth of query time.
pub(super) fn plan(sizes: &Sizes, wish: &Wish) -> Plan {
    let bits = wish.fpr.ln() / 0.6185f64.ln();
    let worth = WORTH * sizes.items(0, sizes.counts.len()) as f64 * bits / 8.0;
    // The logarithm is taken piece by piece: its slope at the time of the last solution.
    let mut ns = -9.0 * wish.fpr.log2();
    let mut chosen = Vec::new();
    for _ in 0..3 {
        chosen = classes(sizes, wish, worth / ns);
        ns = chosen.iter().map(|(_, _, choice)| choice.ns).sum();
    }
    let segments = chosen.iter().map(|(from, to, choice)| segment(sizes, *from, *to, choice, wish)).collect();
    Plan { fpr: wish.fpr, seed: wish.seed, nodes: wish.nodes, segments }
}

/// The best classes where a nanosecond is worth so many bytes: shortest path over the cuts.
fn classes(sizes: &Sizes, wish: &Wish, bytes_per_ns: f64) -> Vec<(usize, usize, Choice)> {
    let cuts = sizes.cuts();
    let class = |from: usize, to: usize| Class {
        counts: &sizes.counts[from..to],
        items: sizes.items(from, to),
        nodes: wish.nodes,
        multiplicity: sizes.multiplicity(from, to).unwrap_or(wish.multiplicity).min((to - from) as f64),
        fpr: wish.fpr,
        bytes_per_ns,
    };
    let n = cuts.len();
    // Cost, previous cut and shape of the best way to each cut.
    let mut best: Vec<(f64, usize, Option<Choice>)> = vec![(f64::INFINITY, 0, None); n];
    best[0].0 = 0.0;
    for to in 1..n {
        for from in 0..to {
            let choice = class(cuts[from], cuts[to]).best();
            let cost = best[from].0 + choice.cost;
            if cost < best[to].0 {
                best[to] = (cost, from, Some(choice));
            }
        }
    }
    let mut out = Vec::new();
    let mut to = n - 1;
    while let (_, from, Some(choice)) = &best[to] {
        out.push((cuts[*from], cuts[to], choice.clone()));
        to = *from;
    }
    out.reverse();
    out
}

fn segment(sizes: &Sizes, from: usize, to: usize, choice: &Choice, wish: &Wish) -> SegmentPlan {
    let counts = &sizes.counts[from..to];
    let (documents, items) = (counts.len() as u64, sizes.items(from, to));
    let direct = choice.repetitions.len() == 1;
    let loads: Vec<_> = choice
        .repetitions
        .iter()
        .map(|&(b, _)| if direct { search::direct_loads(counts) } else { search::even_loads(counts.len(), b) })
        .collect();
    let hashes: Vec<u32> = choice.repetitions.iter().map(|r| r.1).collect();
    let x = rate::solve(&hashes, &loads, wish.fpr);
    let repetitions = choice
        .repetitions
        .iter()
        .map(|&(buckets, hashes)| {
            let (full, collision) = if direct {
                (documents as f64, 0.0)
            } else {
                (f64::from(buckets), search::collision(documents as f64, buckets))
            };
            Repetition { buckets, hashes, rows: rate::rows(hashes, items as f64 / full, x), collision }
        })
        .collect();
    SegmentPlan {
        repetitions,
        documents,
        items,
        largest: counts[0],
        multiplicity: wish.multiplicity.min(documents as f64),
        fpr: rate::mean_rate(&hashes, &loads, x),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan as plan_for;
    use super::*;

    #[test]
    fn like_sizes_share_a_segment() {
        let p = plan_for(&[20_000; 1000], &Wish { fpr: 3.5e-3, multiplicity: 2.2, ..Wish::new(1) }).unwrap();
        assert_eq!(p.segments.len(), 1);
        assert!(p.predicted_fpr() <= 3.5e-3);
        let bits = p.segments[0].bits() as f64 / 20e6;
        assert!((11.7..12.3).contains(&bits), "{bits}");
    }

    #[test]
    fn a_thousandfold_spread_is_split() {
        let mut counts = vec![4_800_000; 9];
        counts.extend([2_000_000; 6]);
        counts.extend((0..367).map(|i| 2_000 + i * 40));
        let p = plan_for(&counts, &Wish { multiplicity: 3.0, ..Wish::new(1) }).unwrap();
        assert!((2..=6).contains(&p.segments.len()), "{}", p.segments.len());
        let total: u64 = counts.iter().sum();
        let bits = p.segments.iter().map(SegmentPlan::bits).sum::<u64>() as f64 / total as f64;
        assert!(bits < 14.38 * 1.05, "{bits}"); // 14.38 bits is a Bloom filter's optimum at 1e-3
        for (i, &c) in [4_800_000u64, 2_000_000, 2_000].iter().enumerate() {
            assert!(p.segments[p.class_of(c)].largest >= c, "{i}");
        }
    }

    #[test]
    fn a_size_limit_is_kept() {
        let counts = vec![20_000; 1000];
        for max in [10_000_000, 30_000_000, 60_000_000] {
            let p = plan_for(&counts, &Wish { max_bytes: Some(max), ..Wish::new(1) }).unwrap();
            let bytes = p.bytes(1000);
            assert!(bytes <= max && bytes as f64 > 0.97 * max as f64, "{bytes} {max}");
        }
        assert!(plan_for(&counts, &Wish { max_bytes: Some(1000), ..Wish::new(1) }).is_err());
    }

    #[test]
    fn odd_collections() {
        for counts in [vec![0], vec![0, 0, 0], vec![5], vec![1, 1_000_000], vec![0, 7, 7, 7, 7]] {
            let p = plan_for(&counts, &Wish::new(3)).unwrap();
            p.check().unwrap();
            assert_eq!(p.documents(), counts.len() as u64);
        }
    }
}
