//! A sample of the items with the documents that hold them: multiplicities without counting everything.
//!
//! An item is in the sample when the upper bits of its hash are zero, so all documents sample the same items.

use std::collections::BTreeMap;

/// Samples of documents, thinned together so that the whole stays below a bound.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Items whose hash starts with this many zero bits are in.
    shift: u32,
    most: usize,
    total: usize,
    documents: Vec<Vec<u64>>,
}

fn sampled(hash: u64, shift: u32) -> bool {
    shift == 0 || hash >> (64 - shift) == 0
}

impl Samples {
    /// Samples of at most `most` (item, document) pairs.
    pub fn new(most: usize) -> Self {
        Self { shift: 0, most, total: 0, documents: Vec::new() }
    }

    /// The zero bits that a sampled hash starts with; it only grows.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Continues samples that were thinned to `shift` before.
    pub(crate) fn start_at(&mut self, shift: u32) {
        self.shift = self.shift.max(shift.min(63));
    }

    /// What `distinct` contributes at `shift`.
    pub fn of(distinct: &[u64], shift: u32) -> Vec<u64> {
        distinct.iter().copied().filter(|&h| sampled(h, shift)).collect()
    }

    /// Adds the next document's sample, taken at the present shift or an earlier one.
    pub fn push(&mut self, mut sample: Vec<u64>) {
        sample.retain(|&h| sampled(h, self.shift));
        self.total += sample.len();
        self.documents.push(sample);
        while self.total > self.most && self.shift < 63 {
            self.thin(self.shift + 1);
        }
    }

    fn thin(&mut self, shift: u32) {
        self.shift = shift;
        for d in &mut self.documents {
            d.retain(|&h| sampled(h, shift));
        }
        self.total = self.documents.iter().map(Vec::len).sum();
    }

    /// A copy thinned to at most `most` pairs.
    pub fn thinned(&self, most: usize) -> Self {
        let mut out = self.clone();
        while out.total > most && out.shift < 63 {
            out.thin(out.shift + 1);
        }
        out
    }

    /// Sample of one document.
    pub fn document(&self, i: usize) -> &[u64] {
        &self.documents[i]
    }

    /// How many documents hold each sampled item, by segment.
    pub fn table(&self, segment_of: &[u16]) -> Table {
        let mut table = Table { shift: self.shift, counts: BTreeMap::new() };
        for (d, &segment) in self.documents.iter().zip(segment_of) {
            table.add(segment, d);
        }
        table
    }
}

/// Holders of each sampled item, by segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Zero bits that a sampled hash starts with.
    pub shift: u32,
    /// (segment, item) -> documents that hold it.
    pub counts: BTreeMap<(u16, u64), u32>,
}

impl Table {
    /// Counts one more document's distinct items, sampled or not. Returns how many sampled items are new to the segment
    /// and how many the document holds.
    pub fn add(&mut self, segment: u16, distinct: &[u64]) -> (u64, u64) {
        let (mut new, mut pairs) = (0, 0);
        for &h in distinct {
            if sampled(h, self.shift) {
                let holders = self.counts.entry((segment, h)).or_default();
                *holders += 1;
                new += u64::from(*holders == 1);
                pairs += 1;
            }
        }
        (new, pairs)
    }

    /// Whether an item is sampled.
    pub(crate) fn samples(&self, hash: u64) -> bool {
        sampled(hash, self.shift)
    }

    /// Mean number of documents of a segment that hold an item, of the items some document there holds; 1 when nothing
    /// was sampled.
    pub fn multiplicity(&self, segment: u16) -> f64 {
        let (mut items, mut holders) = (0u64, 0u64);
        for (_, &count) in self.counts.range((segment, 0)..=(segment, u64::MAX)) {
            items += 1;
            holders += u64::from(count);
        }
        if items == 0 { 1.0 } else { holders as f64 / items as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thrifty_base::hash::mix64;

    fn documents() -> Vec<Vec<u64>> {
        // 40 documents of 500 items; items 0..100 are in all of them.
        (0..40u64).map(|d| (0..100).chain(1000 + d * 400..1400 + d * 400).map(mix64).collect()).collect()
    }

    #[test]
    fn multiplicity_is_estimated() {
        let mut samples = Samples::new(4_000);
        documents().iter().for_each(|d| samples.push(Samples::of(d, samples.shift())));
        assert!(samples.total <= 4_000 && samples.shift() >= 2);
        let v = samples.table(&[0; 40]).multiplicity(0);
        let exact = 20_000.0 / 16_100.0;
        assert!((v / exact - 1.0).abs() < 0.1, "{v} {exact}");
        assert_eq!(samples.table(&[0; 40]).multiplicity(3), 1.0);
    }

    /// Order and moment of thinning do not matter: only what is in the documents does.
    #[test]
    fn thinning_is_a_function_of_the_set() {
        let docs = documents();
        let mut a = Samples::new(3_000);
        docs.iter().for_each(|d| a.push(Samples::of(d, 0)));
        let mut b = Samples::new(3_000);
        docs.iter().rev().for_each(|d| b.push(Samples::of(d, b.shift())));
        assert_eq!(a.table(&[0; 40]), b.table(&[0; 40]));
        assert_eq!(a.thinned(500).table(&[0; 40]), b.thinned(500).table(&[0; 40]));
    }
}
