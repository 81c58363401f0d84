//! Which bucket a document goes to, in each repetition.
//!
//! The paper hashes a document's name to a bucket. Loads are then Poisson, and the fullest buckets decide the rate of
//! false positives. Here two hashed candidates are compared by the items they hold, the lighter one is taken, and once
//! it would exceed the planned load the lightest of all is. The result is stored, not recomputed. It is a pure function
//! of (seed, repetition) and of the names and item counts of the documents so far.

use thrifty_base::hash::{mix64, reduce, xxh3_64_with_seed};
use thrifty_base::philox::Philox;

/// Philox streams of this crate.
pub(crate) mod stream {
    /// Multipliers of the row hashes.
    pub(crate) const ROWS: u64 = 1;
    /// Keys of the partitions.
    pub(crate) const PARTITION: u64 = 2;
    /// Key that deals documents to nodes.
    pub(crate) const NODES: u64 = 3;
}

/// Hash of a document's name, the only thing about it that is random here.
pub fn name_hash(name: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), seed)
}

/// The node that holds a document when an index is built in `nodes` shards (two-level hash, paper section 5.3).
pub fn node_of(name: &str, seed: u64, nodes: u32) -> u32 {
    let key = Philox::new(seed, stream::NODES).u64_at(0);
    reduce(mix64(name_hash(name, seed) ^ key), u64::from(nodes)) as u32
}

/// Deals documents to buckets in one repetition.
#[derive(Clone, Debug)]
pub struct Dealer {
    /// With one repetition every document has a bucket of its own: two in one could never be told apart.
    direct: bool,
    /// Buckets are split evenly between this many nodes; a document stays inside its node's share.
    nodes: u32,
    seed: u64,
    key: u64,
    planned_load: u64,
    loads: Vec<u64>,
    documents: Vec<u32>,
}

impl Dealer {
    /// Empty buckets. `planned_load`: items a bucket should hold when the plan is full. `nodes` divides `buckets`.
    pub fn new(buckets: u32, nodes: u32, repetition: u32, repetitions: u32, planned_load: u64, seed: u64) -> Self {
        Self {
            direct: repetitions == 1,
            nodes,
            seed,
            key: Philox::new(seed, stream::PARTITION).u64_at(u64::from(repetition)),
            planned_load,
            loads: vec![0; buckets as usize],
            documents: vec![0; buckets as usize],
        }
    }

    /// Takes note of a document that was dealt earlier.
    pub fn put(&mut self, bucket: u32, items: u64) {
        self.loads[bucket as usize] += items;
        self.documents[bucket as usize] += 1;
    }

    /// Deals one document and returns its bucket; `None` when one repetition has no empty bucket left.
    pub fn deal(&mut self, name: &str, items: u64) -> Option<u32> {
        let share = self.loads.len() / self.nodes as usize;
        let first = if self.nodes == 1 { 0 } else { node_of(name, self.seed, self.nodes) as usize * share };
        let bucket = self.choose(name_hash(name, self.seed), items, first..first + share)?;
        self.put(bucket, items);
        Some(bucket)
    }

    fn choose(&self, name_hash: u64, items: u64, range: std::ops::Range<usize>) -> Option<u32> {
        // Documents without items have no load to balance: their number is.
        let weight = |b: usize| (self.loads[b], self.documents[b]);
        if self.direct {
            return range.into_iter().find(|&b| self.documents[b] == 0).map(|b| b as u32);
        }
        let n = range.len() as u64;
        let random = mix64(name_hash ^ self.key);
        let a = range.start + reduce(random, n) as usize;
        let b = range.start + reduce(mix64(random), n) as usize;
        let lighter = if weight(b) < weight(a) { b } else { a };
        if self.loads[lighter] + items <= self.planned_load {
            return Some(lighter as u32);
        }
        // Scanned from a random place, so that ties do not fall alike in all repetitions.
        let lightest = (a..range.end).chain(range.start..a).min_by_key(|&b| weight(b));
        lightest.map(|b| b as u32)
    }

    /// Items in each bucket, counted once a document.
    pub fn loads(&self) -> &[u64] {
        &self.loads
    }
}

/// Probability that two different documents share a bucket.
pub fn collision(bucket_of: &[u16], buckets: u32) -> f64 {
    let documents = bucket_of.len() as f64;
    if documents < 2.0 {
        return 0.0;
    }
    let mut sizes = vec![0.0; buckets as usize];
    for &b in bucket_of {
        sizes[b as usize] += 1.0;
    }
    sizes.iter().map(|s| s * (s - 1.0)).sum::<f64>() / (documents * (documents - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(n: usize, buckets: u32, repetition: u32, items: impl Fn(usize) -> u64) -> (Vec<u32>, Dealer) {
        let total: u64 = (0..n).map(&items).sum();
        let mut dealer = Dealer::new(buckets, 1, repetition, 2, total.div_ceil(u64::from(buckets)), 42);
        let to = (0..n).map(|i| dealer.deal(&format!("d{i}"), items(i)).unwrap()).collect();
        (to, dealer)
    }

    #[test]
    fn equal_documents_are_dealt_evenly() {
        for (n, buckets) in [(1000, 256), (100, 50), (10_000, 512), (97, 8)] {
            let (_, dealer) = deal(n, buckets, 0, |_| 20_000);
            let (low, high) = (n as u64 / u64::from(buckets), (n as u64).div_ceil(u64::from(buckets)));
            for &load in dealer.loads() {
                assert!((low * 20_000..=high * 20_000).contains(&load), "{n} {buckets} {load}");
            }
        }
    }

    /// Documents of unlike size: the fullest bucket stays near the mean.
    #[test]
    fn unequal_documents_are_balanced() {
        let (_, dealer) = deal(5000, 64, 1, |i| 1000 + (mix64(i as u64) % 9000));
        let mean = dealer.loads().iter().sum::<u64>() as f64 / 64.0;
        for &load in dealer.loads() {
            assert!((load as f64 / mean - 1.0).abs() < 0.02, "{load} {mean}");
        }
    }

    /// The reference code hashes every repetition alike, so documents that share one bucket share all.
    #[test]
    fn repetitions_differ() {
        let n = 10_000;
        let (a, _) = deal(n, 100, 0, |i| 1000 + (i % 37) as u64);
        let (b, _) = deal(n, 100, 1, |i| 1000 + (i % 37) as u64);
        let alike = (0..n).filter(|&i| a[i] == b[i]).count();
        // Binomial(10,000, 1/100): mean 100, sd 10.
        assert!((50..150).contains(&alike), "{alike}");
        // Pairs that share a bucket in both: 10^8/2 / 10^4 = 5,000, sd about 70.
        let mut pairs = std::collections::HashMap::new();
        for i in 0..n {
            *pairs.entry((a[i], b[i])).or_insert(0u64) += 1;
        }
        let both: u64 = pairs.values().map(|c| c * (c - 1) / 2).sum();
        assert!((4_500..5_500).contains(&both), "{both}");
    }

    #[test]
    fn one_repetition_gives_each_its_own() {
        let mut dealer = Dealer::new(5, 1, 0, 1, 10, 1);
        let to: Vec<_> = (0..6).map(|i| dealer.deal(&i.to_string(), 1 + 9 * i)).collect();
        assert_eq!(to, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
    }

    /// What a node deals alone is what it deals inside the whole, shifted to its share.
    #[test]
    fn shards_equal_the_whole() {
        let mut whole = Dealer::new(64, 4, 1, 2, 5_000, 9);
        let mut shards = vec![Dealer::new(16, 1, 1, 2, 5_000, 9); 4];
        for i in 0..300u64 {
            let (name, items) = (format!("doc{i}"), 700 + mix64(i) % 600);
            let node = node_of(&name, 9, 4);
            let alone = shards[node as usize].deal(&name, items).unwrap();
            assert_eq!(whole.deal(&name, items).unwrap(), 16 * node + alone);
        }
    }

    #[test]
    fn nodes_share_alike() {
        let mut counts = [0; 4];
        for i in 0..4000 {
            counts[node_of(&format!("g{i}"), 7, 4) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (870..1130).contains(c)), "{counts:?}"); // 4.7 sd
    }

    #[test]
    fn collisions_counted() {
        assert_eq!(collision(&[0, 1, 2], 3), 0.0);
        assert_eq!(collision(&[0, 0, 0], 3), 1.0);
        assert!((collision(&[0, 0, 1, 1], 2) - 1.0 / 3.0).abs() < 1e-12);
    }
}
