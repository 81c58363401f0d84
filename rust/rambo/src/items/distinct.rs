//! Distinct hashes of a document.

/// Expected hashes a part: its table of twice the slots stays in the first-level cache.
const PART: usize = 1 << 10;
const MAX_PARTS_LOG: u32 = 12;

/// Removes repeats from `hashes`; the order of what stays is not specified but is the same at every run.
///
/// The hashes are uniform, so their top bits deal them into parts of like size, and each part meets a small
/// open-addressing table in cache.
pub fn dedup(hashes: &mut Vec<u64>) {
    let n = hashes.len();
    let parts_log = (n / PART).checked_ilog2().map_or(0, |log| (log + 1).min(MAX_PARTS_LOG));
    let mut table = Table::default();
    if parts_log == 0 {
        let mut kept = 0;
        table.reset(n);
        for i in 0..n {
            let h = hashes[i];
            hashes[kept] = h;
            kept += usize::from(table.insert(h));
        }
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
        let part = &dealt[begin..end];
        table.reset(part.len());
        hashes.extend(part.iter().copied().filter(|&h| table.insert(h)));
        begin = end;
    }
}

/// Set of 64-bit hashes by open addressing; the low bits choose the slot, since the high ones chose the part.
#[derive(Default)]
pub struct Table {
    slots: Vec<u64>,
    mask: usize,
    has_zero: bool,
}

impl Table {
    /// The set of these hashes.
    pub fn of(hashes: &[u64]) -> Self {
        let mut table = Self::default();
        table.reset(hashes.len());
        for &h in hashes {
            table.insert(h);
        }
        table
    }

    /// Whether `h` is in the set.
    #[inline]
    pub fn contains(&self, h: u64) -> bool {
        if h == 0 {
            return self.has_zero;
        }
        let mut slot = h as usize & self.mask;
        loop {
            match self.slots[slot] {
                0 => return false,
                there if there == h => return true,
                _ => slot = (slot + 1) & self.mask,
            }
        }
    }

    fn reset(&mut self, items: usize) {
        let size = (2 * items.max(8)).next_power_of_two();
        self.slots.clear();
        self.slots.resize(size, 0);
        self.mask = size - 1;
        self.has_zero = false;
    }

    /// Whether `h` is new.
    #[inline]
    fn insert(&mut self, h: u64) -> bool {
        if h == 0 {
            return !std::mem::replace(&mut self.has_zero, true);
        }
        let mut slot = h as usize & self.mask;
        loop {
            match self.slots[slot] {
                0 => {
                    self.slots[slot] = h;
                    return true;
                }
                there if there == h => return false,
                _ => slot = (slot + 1) & self.mask,
            }
        }
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

    /// Short queries keep their order: positions in a read stay meaningful.
    #[test]
    fn short_lists_keep_their_order() {
        let mut hashes = vec![5, 3, 5, 0, 3, 9, 0];
        dedup(&mut hashes);
        assert_eq!(hashes, [5, 3, 0, 9]);
    }
}
