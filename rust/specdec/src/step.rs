//! A step: what the models are to compute, row by row.
//!
//! Rows whose next id comes out of the step stand first; behind them those that only fill the cache with a part of their
//! prompt. A row feeds `fresh` known tokens and then `gamma` drafts, at positions from `begin` on; of its last
//! `gamma + 1` tokens the scores are needed.

use thrifty_base::sampling::Sampling;

use crate::request::Handle;

/// A handle that names no request.
const NOBODY: u64 = u64::MAX;
/// Tokens that are laid at a time in rows which decode, where no row has more: their number is luck, and loops that end by
/// luck take longer than some tokens too many, which the next row is written over.
pub(crate) const SHORT: usize = 12;
/// The same for longer drafts.
pub(crate) const LONG: usize = 20;

/// Arrays with one entry a row, or a token. Their memory stays where it is from step to step.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Its number; 0 before the first.
    pub number: u64,
    /// Of the rows, those that give ids.
    pub giving: usize,
    /// The request of each row.
    pub handles: Vec<u64>,
    /// What its random numbers are a function of.
    pub uids: Vec<u64>,
    /// The position of its first token.
    pub begin: Vec<i64>,
    /// Known tokens.
    pub fresh: Vec<i32>,
    /// Drafts; where a drafter had fewer than it was asked for, those that it had.
    pub gamma: Vec<u8>,
    /// Drafts that were asked for.
    pub asked: Vec<u8>,
    /// Which drafter; it has no meaning where `gamma` is 0.
    pub draft: Vec<u8>,
    /// Its row of the block table.
    pub table_row: Vec<i32>,
    /// Where each row's tokens begin, and where the last ones end: rows + 1 entries.
    pub first: Vec<i32>,
    /// Tokens of all rows; drafts are 0 until they are known.
    pub tokens: Vec<u32>,
    /// Their positions.
    pub positions: Vec<i32>,
    /// Where in the cache each goes: block * block size + place.
    pub places: Vec<i32>,
    /// Which token each stands behind, -1 where that is in the cache. Empty while drafts of all rows are chains, in which it
    /// is the one before it.
    pub above: Vec<i32>,
    /// The law of each row's ids: the four numbers of [`Sampling`].
    pub temperature: Vec<f32>,
    /// See `temperature`.
    pub top_k: Vec<u32>,
    /// See `temperature`.
    pub top_p: Vec<f32>,
    /// See `temperature`.
    pub min_p: Vec<f32>,
}

impl Step {
    /// Room for so many rows and tokens, which is never outgrown: whoever looks at the memory may go on doing so.
    pub(crate) fn with_capacity(rows: usize, tokens: usize) -> Self {
        // Written to once, so that all of it holds numbers.
        fn room<T: Clone + Default>(n: usize) -> Vec<T> {
            let mut all = vec![T::default(); n];
            all.clear();
            all
        }
        Self {
            number: 0,
            giving: 0,
            handles: room(rows),
            uids: room(rows),
            begin: room(rows),
            fresh: room(rows),
            gamma: room(rows),
            asked: room(rows),
            draft: room(rows),
            table_row: room(rows),
            first: room(rows + 1),
            tokens: room(tokens + LONG),
            positions: room(tokens + LONG),
            places: room(tokens + LONG),
            above: room(tokens),
            temperature: room(rows),
            top_k: room(rows),
            top_p: room(rows),
            min_p: room(rows),
        }
    }

    /// Makes room for the rows and tokens of the next plan. Rows keep what they had.
    pub(crate) fn begin_plan(&mut self, rows: usize, giving: usize, tokens: usize) {
        // Handles of rows that come anew are nobody's, so that all of such a row is written.
        self.handles.resize(rows, NOBODY);
        self.uids.resize(rows, 0);
        self.begin.resize(rows, 0);
        self.fresh.resize(rows, 0);
        self.gamma.resize(rows, 0);
        self.asked.resize(rows, 0);
        self.draft.resize(rows, 0);
        self.table_row.resize(rows, 0);
        self.first.resize(rows + 1, 0);
        self.tokens.resize(tokens + LONG, 0);
        self.positions.resize(tokens + LONG, 0);
        self.places.resize(tokens + LONG, 0);
        self.above.clear();
        self.temperature.resize(rows, 0.0);
        self.top_k.resize(rows, 0);
        self.top_p.resize(rows, 0.0);
        self.min_p.resize(rows, 0.0);
        (self.number, self.giving) = (self.number + 1, giving);
    }

    /// Leaves the tokens that were written.
    pub(crate) fn end_plan(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
        self.positions.truncate(tokens);
        self.places.truncate(tokens);
    }

    /// Lays the tokens of a row that decodes, from token `first` of the step on: its last known id, at position `from`, and
    /// `N - 1` drafts, of which those count that it has. Blocks have `N` tokens at least.
    #[inline]
    pub(crate) fn lay<const N: usize>(&mut self, first: usize, id: u32, from: u32, size: u32, blocks: &[i32]) {
        let all = first..first + N;
        let (Ok(tokens), Ok(positions), Ok(places)) = (
            <&mut [u32; N]>::try_from(&mut self.tokens[all.clone()]),
            <&mut [i32; N]>::try_from(&mut self.positions[all.clone()]),
            <&mut [i32; N]>::try_from(&mut self.places[all]),
        ) else {
            return;
        };
        let (block, offset) = (from / size, (from % size) as i32);
        let (from, size) = (from as i32, size as i32);
        let here = blocks[block as usize].wrapping_mul(size).wrapping_add(offset);
        // Where there is no other block all stay in this one.
        let left = size - offset;
        let other = blocks.get(block as usize + 1).map_or(0, |other| other.wrapping_mul(size)).wrapping_sub(left);
        *tokens = [0; N];
        tokens[0] = id;
        for j in 0..N {
            positions[j] = from.wrapping_add(j as i32);
            places[j] = if (j as i32) < left { here } else { other }.wrapping_add(j as i32);
        }
    }

    /// Lays the tokens of any row: `known` ones from position `from` on, then drafts.
    pub(crate) fn lay_any(&mut self, first: usize, known: &[u32], drafts: usize, from: u32, size: u32, blocks: &[i32]) {
        let all = first..first + known.len() + drafts;
        let tokens = &mut self.tokens[all.clone()];
        tokens[..known.len()].copy_from_slice(known);
        tokens[known.len()..].fill(0);
        let (mut block, mut offset) = ((from / size) as usize, from % size);
        let (positions, places) = (&mut self.positions[all.clone()], &mut self.places[all]);
        for ((position, place), at) in positions.iter_mut().zip(places).zip(from..) {
            *position = at as i32;
            *place = blocks[block] * size as i32 + offset as i32;
            offset += 1;
            if offset == size {
                (block, offset) = (block + 1, 0);
            }
        }
    }

    pub(crate) fn set_sampling(&mut self, row: usize, sampling: &Sampling) {
        self.temperature[row] = sampling.temperature;
        self.top_k[row] = sampling.top_k as u32;
        self.top_p[row] = sampling.top_p;
        self.min_p[row] = sampling.min_p;
    }

    /// Leaves each row that gives ids so many of its drafts, and no room for the others.
    pub(crate) fn shorten(&mut self, counts: impl Iterator<Item = u8>) {
        for (gamma, count) in self.gamma[..self.giving].iter_mut().zip(counts) {
            *gamma = count.min(*gamma);
        }
        let mut to = 0;
        for row in 0..self.rows() {
            let from = self.first[row] as usize;
            let tokens = self.fresh[row] as usize + usize::from(self.gamma[row]);
            self.first[row] = to as i32;
            self.tokens.copy_within(from..from + tokens, to);
            self.positions.copy_within(from..from + tokens, to);
            self.places.copy_within(from..from + tokens, to);
            to += tokens;
        }
        let rows = self.rows();
        self.first[rows] = to as i32;
        self.tokens.truncate(to);
        self.positions.truncate(to);
        self.places.truncate(to);
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.handles.len()
    }

    /// The request of a row.
    pub fn handle(&self, row: usize) -> Handle {
        Handle(self.handles[row])
    }

    /// The position of a row's first draft, which is also that of the first id that it gives.
    pub fn next(&self, row: usize) -> u64 {
        self.begin[row] as u64 + self.fresh[row] as u64
    }

    /// Which token each stands behind, where drafts are chains.
    pub(crate) fn chains(&mut self) {
        self.above.extend((0..self.tokens.len() as i32).map(|t| t - 1));
        for &first in self.first.iter().take(self.handles.len()) {
            if let Some(above) = self.above.get_mut(first as usize) {
                *above = -1;
            }
        }
    }

    /// The law of a row.
    pub fn sampling(&self, row: usize) -> Sampling {
        Sampling {
            temperature: self.temperature[row],
            top_k: self.top_k[row] as usize,
            top_p: self.top_p[row],
            min_p: self.min_p[row],
        }
    }
}

impl Step {
    /// The largest gamma, and the drafter that all rows with drafts have, if there is one.
    pub fn asks(&self) -> (u8, Option<u8>) {
        let (mut most, mut which, mut several) = (0, None, false);
        for (&gamma, &draft) in self.gamma[..self.giving].iter().zip(&self.draft) {
            most = most.max(gamma);
            several |= gamma > 0 && *which.get_or_insert(draft) != draft;
        }
        (most, which.filter(|_| !several))
    }

    /// How many tokens need scores: of each row that gives ids its drafts and the one before them.
    pub fn outputs(&self) -> usize {
        self.gamma[..self.giving].iter().map(|&gamma| usize::from(gamma) + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A row that decodes is the same whichever way it is laid.
        #[test]
        fn rows_are_laid_alike(from in 0u32..200, drafts in 0usize..12, size in 12u32..40, blocks in prop::collection::vec(0i32..1000, 18)) {
            // As many blocks as it needs, and often no more.
            let blocks = &blocks[..blocks.len().min(((from + drafts as u32) / size) as usize + 1)];
            let mut steps = [Step::with_capacity(1, 50), Step::with_capacity(1, 50)];
            for (step, any) in steps.iter_mut().zip([false, true]) {
                step.begin_plan(1, 1, 10 + drafts + 1);
                if any {
                    step.lay_any(10, &[7], drafts, from, size, blocks);
                } else if drafts < SHORT && size >= SHORT as u32 && drafts % 2 == 0 {
                    step.lay::<SHORT>(10, 7, from, size, blocks);
                } else if size >= LONG as u32 {
                    step.lay::<LONG>(10, 7, from, size, blocks);
                } else {
                    return Ok(());
                }
                step.end_plan(10 + drafts + 1);
            }
            let [one, other] = steps;
            prop_assert_eq!(&one.tokens[10..], &other.tokens[10..]);
            prop_assert_eq!(&one.positions[10..], &other.positions[10..]);
            prop_assert_eq!(&one.places[10..], &other.places[10..]);
        }
    }
}
