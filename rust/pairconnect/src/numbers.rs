//! Which rows the pairs of a batch have, and which pairs each row has.

use thrifty_base::progress::Progress;

use crate::hash::PairHash;
use crate::lookup::View;
use crate::parallel::each;
use crate::spec::{Layout, PairSpec};
use crate::{Error, Result};

/// Positions of a task.
pub(crate) const TASK: usize = 64;
/// Bits that one pass of sorting takes at most: as many counters fit the first cache.
const DIGIT: u32 = 11;

/// The pairs of a batch. Each has a place: that of its head and distance among those of its position.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) spec: &'a PairSpec,
    pub(crate) tokens: usize,
    /// Pairs of a position and head at most.
    pub(crate) pairs: usize,
}

impl<'a> Places<'a> {
    pub(crate) fn of(spec: &'a PairSpec, ids: usize, tokens: usize) -> Result<Self> {
        let first = usize::from(!spec.include_self);
        let pairs = if spec.window == 0 { tokens.saturating_sub(first) } else { spec.window.min(tokens) };
        let all = ids.checked_mul(spec.heads * pairs);
        if all.is_none_or(|all| all > u32::MAX as usize) {
            let what = format!("{ids} ids of {} heads x {pairs} pairs; give fewer at a time", spec.heads);
            return Err(Error::Capacity { what });
        }
        Ok(Self { spec, tokens, pairs })
    }

    /// Places of a position.
    pub(crate) fn each(&self) -> usize {
        self.spec.heads * self.pairs
    }

    /// Pairs that a position has in each head.
    #[inline(always)]
    pub(crate) fn count(&self, position: usize) -> usize {
        self.spec.distances(position % self.tokens).len()
    }

    /// Writes the row that each pair has within its head.
    pub(crate) fn rows(
        &self,
        ids: &[u32],
        hash: &PairHash,
        threads: usize,
        progress: &Progress,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let (spec, tokens, wide) = (self.spec, self.tokens, self.each());
        out.resize(ids.len() * wide, 0);
        if out.is_empty() {
            return Ok(());
        }
        let view = View { spec, layout: Layout::of(spec)?, hash, data: &[] };
        let parts: Vec<_> = out.chunks_mut(TASK * wide).enumerate().collect();
        each(threads, parts, |(words, rows): &mut (Vec<u64>, Vec<usize>), (part, out)| {
            for (i, out) in out.chunks_exact_mut(wide).enumerate() {
                let t = part * TASK + i;
                view.rows(&ids[t / tokens * tokens..=t], words, rows);
                let n = words.len();
                for h in 0..spec.heads {
                    for (out, &row) in out[h * self.pairs..].iter_mut().zip(&rows[h * n..(h + 1) * n]) {
                        *out = (row - h * spec.rows) as u32;
                    }
                }
            }
            Ok(progress.advance((out.len() / wide) as u64)?)
        })
    }

    /// The pairs of a head by row, those of a row in the order of their places: `row << 32 | place`.
    pub(crate) fn sort(&self, rows: &[u32], head: usize, sorted: &mut Vec<u64>, spare: &mut Vec<u64>) {
        sorted.clear();
        for (position, rows) in rows.chunks_exact(self.each()).enumerate() {
            let first = head * self.pairs;
            let place = (position * self.each() + first) as u64;
            let rows = &rows[first..first + self.count(position)];
            sorted.extend(rows.iter().zip(place..).map(|(&row, place)| u64::from(row) << 32 | place));
        }
        let bits = usize::BITS - (self.spec.rows - 1).leading_zeros();
        let passes = bits.div_ceil(DIGIT);
        spare.resize(sorted.len(), 0);
        for pass in 0..passes {
            let digit = bits.div_ceil(passes);
            radix(sorted, spare, 32 + pass * digit, digit);
            std::mem::swap(sorted, spare);
        }
    }
}

/// One pass of a stable sort: by the `digit` bits from `shift` on.
fn radix(from: &[u64], to: &mut [u64], shift: u32, digit: u32) {
    let mask = (1usize << digit) - 1;
    let mut ends = [0u32; 1 << DIGIT];
    let of = |word: u64| (word >> shift) as usize & mask;
    for &word in from {
        ends[of(word)] += 1;
    }
    let mut sum = 0;
    for end in &mut ends[..=mask] {
        sum += std::mem::replace(end, sum);
    }
    for &word in from {
        let place = &mut ends[of(word)];
        to[*place as usize] = word;
        *place += 1;
    }
}

/// The row of a sorted word, and its place.
#[inline(always)]
pub(crate) fn parts(word: u64) -> (usize, usize) {
    ((word >> 32) as usize, word as u32 as usize)
}

/// Ends of parts of about `size` words, none of which cuts the words of a row.
pub(crate) fn cuts(sorted: &[u64], size: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while at < sorted.len() {
        at = (at + size).min(sorted.len());
        let row = sorted[at - 1] >> 32;
        at += sorted[at..].partition_point(|&word| word >> 32 == row);
        ends.push(at);
    }
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thrifty_base::hash::mix64;

    use super::*;

    proptest! {
        #[test]
        fn sorting_is_stable(n in 0u64..400, bits in 1u32..24, seed in 0u64..99) {
            let of = |i: u64| (mix64(seed + i) & ((1 << bits) - 1)) << 32 | i;
            let mut words: Vec<u64> = (0..n).map(of).collect();
            let mut wanted = words.clone();
            wanted.sort_by_key(|word| word >> 32);
            let (mut spare, passes) = (words.clone(), bits.div_ceil(DIGIT));
            for pass in 0..passes {
                let digit = bits.div_ceil(passes);
                radix(&words, &mut spare, 32 + pass * digit, digit);
                std::mem::swap(&mut words, &mut spare);
            }
            prop_assert_eq!(&words, &wanted);
            let ends = cuts(&words, 16);
            prop_assert_eq!(ends.last().copied().unwrap_or(0), words.len());
            prop_assert!(ends.iter().all(|&end| end == words.len() || words[end] >> 32 != words[end - 1] >> 32));
        }
    }
}
