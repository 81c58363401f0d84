//! A step: what the models are to compute, row by row.
//!
//! Rows whose next id comes out of the step stand first; behind them those that only fill the cache with a part of their
//! prompt. A row feeds `fresh` known tokens and then `gamma` drafts, at positions from `begin` on; of its last
//! `gamma + 1` tokens the scores are needed.

use thrifty_base::sampling::Sampling;

use crate::request::Handle;

/// A handle that names no request.
const NOBODY: u64 = u64::MAX;

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
            tokens: room(tokens),
            positions: room(tokens),
            places: room(tokens),
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
        self.tokens.resize(tokens, 0);
        self.positions.resize(tokens, 0);
        self.places.resize(tokens, 0);
        self.above.clear();
        self.temperature.resize(rows, 0.0);
        self.top_k.resize(rows, 0);
        self.top_p.resize(rows, 0.0);
        self.min_p.resize(rows, 0.0);
        (self.number, self.giving) = (self.number + 1, giving);
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
