//! Distinct hashes of a document.

/// Hashes that are looked at together: their bitmap of 16 bits each stays in the second-level cache.
const PART: usize = 1 << 16;
const MAX_PARTS_LOG: u32 = 12;

/// Removes repeats from `hashes`; what stays is in the order of its first occurrence below 65,536 hashes, and beyond
/// that in an order that is the same at every run.
///
/// Large sets are dealt into parts by the top bits of their hashes, which are uniform.
pub fn dedup(hashes: &mut Vec<u64>) {
    Distinct::default().dedup(hashes);
}

/// [`dedup`] with memory for the next call.
#[derive(Default)]
pub(crate) struct Distinct(Work);

impl Distinct {
    /// See [`dedup`].
    pub(crate) fn dedup(&mut self, hashes: &mut Vec<u64>) {
        dedup_with(&mut self.0, hashes);
    }
}

fn dedup_with(work: &mut Work, hashes: &mut Vec<u64>) {
    let n = hashes.len();
    let parts_log = (n / PART).checked_ilog2().map_or(0, |log| (log + 1).min(MAX_PARTS_LOG));
    if parts_log == 0 {
        let kept = work.dedup(hashes);
        hashes.truncate(kept);
        return;
    }
    let shift = 64 - parts_log;
    let mut ends = vec![0usize; 1 << parts_log];
    for &h in hashes.iter() {
        ends[(h >> shift) as usize] += 1;
    }
    let mut at = 0;
    for end in &mut ends {
        (*end, at) = (at, at + *end); // for now where the part begins
    }
    let mut dealt = vec![0u64; n];
    for &h in hashes.iter() {
        let end = &mut ends[(h >> shift) as usize];
        dealt[*end] = h;
        *end += 1;
    }
    hashes.clear();
    let mut begin = 0;
    for end in ends {
        let part = &mut dealt[begin..end];
        let kept = work.dedup(part);
        hashes.extend_from_slice(&part[..kept]);
        begin = end;
    }
}

/// Memory that parts share.
#[derive(Default)]
struct Work {
    seen: Vec<u64>,
    suspects: Vec<u64>,
    suspected: Table,
    kept: Table,
}

impl Work {
    /// Moves the first occurrence of each hash to the front, in order; returns how many there are.
    ///
    /// A repeat finds its bit in a bitmap set; so do a few others by chance. Only those suspects meet a table.
    fn dedup(&mut self, hashes: &mut [u64]) -> usize {
        let log = (16 * hashes.len().max(4)).next_power_of_two().ilog2();
        self.seen.clear();
        self.seen.resize(1 << (log - 6), 0);
        self.suspects.clear();
        for &h in hashes.iter() {
            let at = spread(h) >> (64 - log);
            let (word, bit) = (&mut self.seen[(at / 64) as usize], 1 << (at % 64));
            if *word & bit != 0 {
                self.suspects.push(h);
            }
            *word |= bit;
        }
        if self.suspects.is_empty() {
            return hashes.len();
        }
        // The same bitmap, now by other bits, of what may be a suspect.
        let place = |h: u64| spread(h).rotate_left(20) >> (64 - log);
        self.seen.fill(0);
        for &h in &self.suspects {
            self.seen[(place(h) / 64) as usize] |= 1 << (place(h) % 64);
        }
        self.suspected.fill(&self.suspects);
        self.kept.reset(self.suspects.len());
        let mut n = 0;
        for i in 0..hashes.len() {
            let h = hashes[i];
            hashes[n] = h;
            let maybe = self.seen[(place(h) / 64) as usize] >> (place(h) % 64) & 1 == 1;
            n += usize::from(!maybe || !self.suspected.contains(h) || self.kept.insert(h));
        }
        n
    }
}

/// Callers may bring numbers that are no hashes; the upper bits of this are fit to choose places.
#[inline]
fn spread(h: u64) -> u64 {
    h.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Set of 64-bit hashes by open addressing.
#[derive(Default)]
pub struct Table {
    slots: Vec<u64>,
    shift: u32,
    has_zero: bool,
}

impl Table {
    /// The set of these hashes.
    pub fn of(hashes: &[u64]) -> Self {
        let mut table = Self::default();
        table.fill(hashes);
        table
    }

    fn fill(&mut self, hashes: &[u64]) {
        self.reset(hashes.len());
        for &h in hashes {
            self.insert(h);
        }
    }

    /// Whether `h` is in the set.
    #[inline]
    pub fn contains(&self, h: u64) -> bool {
        if h == 0 {
            return self.has_zero;
        }
        self.slots[self.slot(h)] == h
    }

    /// Where `h` is, or where it would go.
    #[inline]
    fn slot(&self, h: u64) -> usize {
        let mut slot = (spread(h) >> self.shift) as usize;
        while self.slots[slot] != 0 && self.slots[slot] != h {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    fn reset(&mut self, items: usize) {
        let size = (2 * items.max(8)).next_power_of_two();
        self.slots.clear();
        self.slots.resize(size, 0);
        self.shift = 64 - size.ilog2();
        self.has_zero = false;
    }

    /// Whether `h` is new.
    #[inline]
    fn insert(&mut self, h: u64) -> bool {
        if h == 0 {
            return !std::mem::replace(&mut self.has_zero, true);
        }
        let slot = self.slot(h);
        std::mem::replace(&mut self.slots[slot], h) != h
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use thrifty_base::hash::mix64;

    proptest! {
        #[test]
        fn equals_a_set(values in prop::collection::vec(0u64..500, 0..1000)) {
            let mut hashes: Vec<u64> = values.iter().map(|&v| if v == 7 { 0 } else { mix64(v) }).collect();
            let set: HashSet<u64> = hashes.iter().copied().collect();
            dedup(&mut hashes);
            prop_assert_eq!(hashes.len(), set.len());
            prop_assert_eq!(hashes.into_iter().collect::<HashSet<_>>(), set);
        }
    }

    #[test]
    fn many_parts() {
        let mut hashes: Vec<u64> = (0..300_000u64).map(|i| mix64(i % 120_000)).collect();
        dedup(&mut hashes);
        assert_eq!(hashes.len(), 120_000);
        let mut again = hashes.clone();
        dedup(&mut again);
        assert_eq!(again, hashes, "without repeats, the order is that of the parts already");
    }

    /// Numbers that differ in their upper bits only would all meet in one place of a table that looks at the lower ones.
    #[test]
    fn numbers_that_are_no_hashes() {
        for shift in [0, 20, 32, 44] {
            let mut hashes: Vec<u64> = (0..200_000u64).map(|i| (i % 100_000) << shift).collect();
            dedup(&mut hashes);
            let set: HashSet<u64> = (0..100_000u64).map(|i| i << shift).collect();
            assert_eq!(hashes.len(), set.len());
        }
    }

    /// Short queries keep their order: positions in a read stay meaningful.
    #[test]
    fn short_lists_keep_their_order() {
        let mut hashes = vec![5, 3, 5, 0, 3, 9, 0];
        dedup(&mut hashes);
        assert_eq!(hashes, [5, 3, 0, 9]);
    }
}
