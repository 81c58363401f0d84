//! The best shape for one size class.

use super::rate::{self, Loads};

/// One class of documents.
#[derive(Clone, Debug)]
pub(super) struct Class<'a> {
    /// Item counts of its documents, largest first (at least one).
    pub(super) counts: &'a [u64],
    /// Their sum.
    pub(super) items: u64,
    /// Shards the buckets are split over.
    pub(super) nodes: u32,
    pub(super) multiplicity: f64,
    pub(super) fpr: f64,
    /// Bytes that a nanosecond a query is worth.
    pub(super) bytes_per_ns: f64,
}

/// A shape and what it costs.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// Buckets and hashes of each repetition.
    pub(super) repetitions: Vec<(u32, u32)>,
    /// Bytes, plus what its query time and its rate for items that are held are worth in bytes.
    pub(super) cost: f64,
    /// Nanoseconds a query, about.
    pub(super) ns: f64,
}

/// Costs of the parts of a query, in nanoseconds as measured on a Zen 4 core; only their ratios matter, and not much.
/// A row's cache line from memory; the search for set bits in 512 buckets; a bucket that answers; a vector of documents
/// looked up in the first repetition, and in each further one; a document in the answer.
const LINE: f64 = 11.0;
const SCAN: f64 = 15.0;
const BUCKET: f64 = 4.0;
const STEP: f64 = 2.0;
const TEST: f64 = 1.0;
const DOCUMENT: f64 = 0.5;
/// Buckets that one vector holds.
const LANES: u32 = 512;
/// Documents that one step of the expansion tests at once.
const STEP_DOCUMENTS: f64 = 64.0;
/// Largest acceptable probability that a holder of an item shares a document's bucket.
const MAX_SHARED: f64 = 0.1;
/// Worth of a lower rate for items that some documents hold: this share of the memory that would lower the rate of all
/// items as much (a Bloom filter takes 1.44 bits an item to halve it).
const HELD: f64 = 0.25;

impl Class<'_> {
    /// The shape with the least bytes plus worth of query time.
    pub(super) fn best(&self) -> Choice {
        let ideal = -self.fpr.log2();
        let least = (ideal - 2.0).floor().max(1.0) as u32;
        let totals = least..=(ideal + 1.0).ceil().max(1.0) as u32;
        let mut best: Option<(bool, Choice)> = None;
        let mut offer = |shares_too_much: bool, choice: Choice| {
            let better = best.as_ref().is_none_or(|(s, b)| (shares_too_much, choice.cost) < (*s, b.cost));
            if better {
                best = Some((shares_too_much, choice));
            }
        };
        let sizes = self.bucket_sizes();
        for total in totals {
            let splits = splits(total);
            if let Some(choice) = self.direct(total) {
                offer(false, choice);
            }
            for &buckets in &sizes {
                let later = self.later_buckets(buckets);
                let shared = self.multiplicity * self.collision(buckets);
                let x = rate::solve(&[total], &[even_loads(self.counts.len(), buckets)], self.fpr);
                for hashes in &splits {
                    let all = hashes.iter().enumerate().map(|(r, &h)| (if r == 0 { buckets } else { later }, h));
                    offer(shared > MAX_SHARED, self.merged(all.collect(), x));
                }
            }
        }
        best.expect("a direct shape is always offered, or buckets where there are too many documents").1
    }

    fn documents(&self) -> f64 {
        self.counts.len() as f64
    }

    /// Numbers of buckets that can be balanced: at least two documents a bucket, none larger than a bucket's load.
    fn bucket_sizes(&self) -> Vec<u32> {
        let largest = self.counts[0].max(1);
        let most = (self.items / largest).min(self.counts.len() as u64 / 2).min(u64::from(rate::MAX_BUCKETS));
        let mut sizes: Vec<u32> = Vec::new();
        for power in 0..=16 {
            for quarter in [4u64, 5, 6, 7] {
                let b = (quarter << power) / 4;
                let whole_words = b <= 64 || b.is_multiple_of(64) && (b <= 512 || quarter == 4);
                let b = b.next_multiple_of(u64::from(self.nodes));
                if (2..=most).contains(&b) && (whole_words || self.nodes > 1) {
                    sizes.push(b as u32);
                }
            }
        }
        sizes.dedup();
        if sizes.is_empty() && self.direct_buckets() > u64::from(rate::MAX_BUCKETS) {
            sizes.push(rate::MAX_BUCKETS / self.nodes * self.nodes);
        }
        sizes
    }

    /// Buckets of the repetitions after the first: as many as one vector tests. Their filters answer for a quarter or half
    /// of all documents anyway, so that collisions add little there.
    fn later_buckets(&self, buckets: u32) -> u32 {
        if buckets <= LANES { buckets } else { (LANES / self.nodes * self.nodes).max(self.nodes) }
    }

    fn collision(&self, buckets: u32) -> f64 {
        collision(self.documents(), buckets)
    }

    /// Buckets when every document has its own.
    fn direct_buckets(&self) -> u64 {
        super::share(self.counts.len() as u64, self.nodes) * u64::from(self.nodes)
    }

    fn direct(&self, total: u32) -> Option<Choice> {
        let buckets = u32::try_from(self.direct_buckets()).ok().filter(|&b| b <= rate::MAX_BUCKETS)?;
        let mean = self.items as f64 / self.documents();
        let x = rate::solve(&[total], &[direct_loads(self.counts)], self.fpr);
        let bytes = rate::rows(total, mean, x) as f64 * f64::from(buckets) / 8.0;
        let lines = f64::from(total) * rate::lines_per_row(buckets);
        let scans = SCAN * (f64::from(buckets) / f64::from(LANES)).ceil();
        let ns = LINE * lines + scans + DOCUMENT * (self.fpr * self.documents() + 0.5 * self.multiplicity);
        Some(Choice { repetitions: vec![(buckets, total)], cost: bytes + self.bytes_per_ns * ns, ns })
    }

    /// `x`: set attempts a bit that keep the rate. It depends on the sum of hashes, hardly on their split.
    fn merged(&self, repetitions: Vec<(u32, u32)>, x: f64) -> Choice {
        let (mut bytes, mut ns) = (0.0, 0.0);
        for &(buckets, hashes) in &repetitions {
            let load = self.items as f64 / f64::from(buckets);
            bytes += rate::rows(hashes, load, x) as f64 * f64::from(buckets) / 8.0;
            ns += LINE * f64::from(hashes) * rate::lines_per_row(buckets);
        }
        let blooms: Vec<(f64, f64)> =
            repetitions.iter().map(|&(b, h)| (rate::bloom(h, x), self.collision(b))).collect();
        let first = f64::from(repetitions[0].0);
        let steps = (self.documents() / first / STEP_DOCUMENTS).ceil();
        let step = STEP + TEST * (repetitions.len() - 1) as f64;
        ns += SCAN * (first / f64::from(LANES)).ceil();
        // Half of the queries absent, half held by the usual number of documents.
        for holders in [0.0, self.multiplicity] {
            let hit = first * blooms[0].0 + holders;
            let answers = holders + self.documents() * rate::with_holders(blooms.iter().copied(), holders);
            ns += 0.5 * (hit * (BUCKET + step * steps) + DOCUMENT * answers);
        }
        let held = rate::with_holders(blooms.iter().copied(), self.multiplicity);
        let bits = HELD * 1.44 * (held / self.fpr).max(1.0).log2();
        let cost = bytes + self.bytes_per_ns * ns + bits * self.items as f64 / 8.0;
        Choice { repetitions, cost, ns }
    }
}

/// Probability that two documents share a bucket when buckets hold equally many.
pub(super) fn collision(documents: f64, buckets: u32) -> f64 {
    ((documents / f64::from(buckets) - 1.0) / (documents - 1.0).max(1.0)).max(0.0)
}

/// Loads when each document has a bucket of its own.
pub(super) fn direct_loads(counts: &[u64]) -> Loads {
    // At most 64 steps: the rate is a mean over documents, and neighbours in size are alike.
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let step = counts.len().div_ceil(64);
    counts
        .chunks(step)
        .map(|c| {
            let load = c.iter().sum::<u64>() as f64 / c.len() as f64 / mean.max(1e-9);
            (load, c.len() as f64 / counts.len() as f64)
        })
        .collect()
}

/// Loads when equal documents are dealt as evenly as whole numbers allow.
pub(super) fn even_loads(documents: usize, buckets: u32) -> Loads {
    let (k, b) = (documents as f64, f64::from(buckets));
    let low = (k / b).floor();
    let above = k - low * b; // buckets with one more
    let mean = k / b;
    let mut loads = vec![(low / mean, (b - above) * low / k)];
    if above > 0.0 {
        loads.push(((low + 1.0) / mean, above * (low + 1.0) / k));
    }
    loads
}

/// Ways to split hashes over two to four repetitions, most to the first: the more the first one tells apart, the
/// fewer documents are left to test.
fn splits(total: u32) -> Vec<Vec<u32>> {
    let mut out = Vec::new();
    for a in 1..total {
        let b = total - a;
        if a >= b {
            out.push(vec![a, b]);
        }
        for b in 1..total.saturating_sub(a) {
            let c = total - a - b;
            if a >= b && b >= c && b - c <= 1 {
                out.push(vec![a, b, c]);
            }
        }
        if total > a && (total - a).is_multiple_of(3) && a >= (total - a) / 3 {
            out.push(vec![a, (total - a) / 3, (total - a) / 3, (total - a) / 3]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(counts: &[u64], fpr: f64, multiplicity: f64) -> Class<'_> {
        let items = counts.iter().sum();
        let ideal_bytes = items as f64 * fpr.ln() / 0.6185f64.ln() / 8.0;
        Class { counts, items, nodes: 1, multiplicity, fpr, bytes_per_ns: 0.1 * ideal_bytes / (9.0 * -fpr.log2()) }
    }

    #[test]
    fn splits_keep_the_total() {
        for total in 1..20 {
            for s in splits(total) {
                assert_eq!(s.iter().sum::<u32>(), total);
                assert!(s.windows(2).all(|w| w[0] >= w[1]) && s.iter().all(|&h| h > 0));
            }
        }
        assert!(splits(8).contains(&vec![6, 2]) && splits(10).contains(&vec![6, 2, 2]));
    }

    #[test]
    fn loads_are_shares() {
        for (k, b) in [(1000, 256), (100, 50), (7, 2), (10_000, 512)] {
            let loads = even_loads(k, b);
            assert!((loads.iter().map(|l| l.1).sum::<f64>() - 1.0).abs() < 1e-9);
        }
        let direct = direct_loads(&[400, 200, 100, 100]);
        assert_eq!(direct[0], (2.0, 0.25));
    }

    #[test]
    fn few_documents_have_buckets_of_their_own() {
        let choice = class(&[20_000; 100], 3.5e-3, 1.1).best();
        assert_eq!((choice.repetitions[0].0, choice.repetitions.len()), (100, 1));
    }

    #[test]
    fn many_documents_share() {
        let counts = vec![20_000; 10_000];
        let choice = class(&counts, 3.5e-3, 13.5).best();
        assert!(choice.repetitions.len() >= 2, "{choice:?}");
        assert!((128..=1024).contains(&choice.repetitions[0].0), "{choice:?}");
        assert!(choice.repetitions[0].1 > choice.repetitions[1].1, "{choice:?}");
    }

    /// The bound that near-identical documents need, where buckets allow it.
    #[test]
    fn multiplicity_asks_for_buckets() {
        let counts = vec![10_000; 20_000];
        let choice = class(&counts, 1e-3, 60.0).best();
        assert!(60.0 / f64::from(choice.repetitions[0].0) <= 0.11, "{choice:?}");
    }
}
