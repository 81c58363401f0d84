//! Gradients of the rows that a batch looked up.
//!
//! Pairs are sorted by row, head by head, and the terms of each row are summed in the order of their positions: nothing
//! depends on threads, and nothing on the number of rows. Up to [`BLOCK`] terms are summed in single precision, and such
//! sums in double, so that ten million terms of one row lose no more than a few do.

use thrifty_base::math::{self, combine};
use thrifty_base::pool::default_threads;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};

use crate::field::Rows;
use crate::hash::PairHash;
use crate::lookup::check_weights;
use crate::numbers::{Places, cuts, parts};
use crate::parallel::each;
use crate::shares::{Pooling, Shares, scale};
use crate::spec::{PairSpec, Pool};
use crate::table::check_ids;
use crate::{Error, Result};

/// Terms that are summed in single precision.
const BLOCK: usize = 64;
/// Pairs of a task, about.
const PART: usize = 4096;

/// What was looked up, and the gradient of what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Sequences, one after the other.
    pub ids: &'a [u32],
    /// Ids of a sequence.
    pub tokens: usize,
    /// A number a head and distance, as for the lookup.
    pub weights: Option<&'a [f32]>,
    /// `heads * head_dim` numbers a position.
    pub gradient: &'a [f32],
}

/// Gradients of some rows.
#[derive(Debug, Default, PartialEq)]
pub struct Gradients {
    /// Which, ascending, counted over all heads.
    pub rows: Vec<u64>,
    /// `head_dim` numbers each.
    pub values: Vec<f32>,
    /// One each where rows have logits.
    pub logits: Option<Vec<f32>>,
}

/// Memory that one batch leaves to the next.
#[derive(Debug, Default)]
pub struct Room {
    rows: Vec<u32>,
    sorted: Vec<(Vec<u64>, Vec<u64>)>,
    shares: Shares,
    scales: Vec<f32>,
}

/// A batch whose pairs are sorted.
#[derive(Debug)]
pub(crate) struct Sorted<'a> {
    path: Path,
    batch: Batch<'a>,
    places: Places<'a>,
    room: &'a Room,
}

/// Some rows of a head with all their pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    head: usize,
    words: &'a [u64],
}

impl Part<'_> {
    /// One past its last row, counted over all heads.
    pub(crate) fn end(&self, spec: &PairSpec) -> usize {
        self.head * spec.rows + self.words.last().map_or(0, |&word| parts(word).0 + 1)
    }

    /// How many pairs it has.
    pub(crate) fn pairs(&self) -> u64 {
        self.words.len() as u64
    }

    /// How many rows it has.
    pub(crate) fn count(&self) -> usize {
        self.words.chunk_by(|a, b| a >> 32 == b >> 32).count()
    }
}

/// Starts and factors of the terms of a row.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    starts: Vec<usize>,
    factors: Vec<f32>,
    block: Vec<f32>,
    sums: Vec<f64>,
}

impl Batch<'_> {
    /// Refuses what is no batch of a table.
    pub(crate) fn check(&self, spec: &PairSpec) -> Result<()> {
        check_ids(self.ids, spec.vocab)?;
        check_weights(spec, self.weights)?;
        let (ids, tokens) = (self.ids.len(), self.tokens);
        if tokens == 0 && ids > 0 || tokens != 0 && !ids.is_multiple_of(tokens) {
            return Err(Error::argument("ids", format!("{ids} ids are no sequences of {tokens}")));
        }
        if self.gradient.len() != ids * spec.width() {
            let what = format!("{} numbers; {} are needed", self.gradient.len(), ids * spec.width());
            return Err(Error::argument("grad", what));
        }
        Ok(())
    }
}

impl<'a> Sorted<'a> {
    /// Numbers and sorts the pairs of a batch; returns the gradient of its weights as well.
    pub(crate) fn of(
        spec: &'a PairSpec,
        hash: &PairHash,
        rows: Rows<'_>,
        batch: Batch<'a>,
        threads: usize,
        progress: &Progress,
        room: &'a mut Room,
    ) -> Result<(Self, Option<Vec<f32>>)> {
        batch.check(spec)?;
        let path = simd::path()?;
        let threads = if threads == 0 { default_threads() } else { threads };
        let places = Places::of(spec, batch.ids.len(), batch.tokens)?;
        progress.start("rows", batch.ids.len() as u64)?;
        places.rows(batch.ids, hash, threads, progress, &mut room.rows)?;
        progress.start("shares", batch.ids.len() as u64)?;
        let found = &room.rows;
        let mut of_weights = None;
        if spec.pool == Pool::Softmax || batch.weights.is_some() {
            let pooling = Pooling { path, rows, weights: batch.weights };
            of_weights = room.shares.fill(&places, pooling, found, batch.gradient, threads, progress)?;
        } else {
            room.shares.shares.clear();
            room.scales.clear();
            room.scales.extend((0..batch.ids.len()).map(|t| scale(spec.pool, places.count(t))));
        }
        progress.start("sort", spec.heads as u64)?;
        room.sorted.resize_with(spec.heads, Default::default);
        let heads: Vec<_> = room.sorted.iter_mut().enumerate().collect();
        each(threads, heads, |&mut (), (h, (sorted, spare))| {
            if found.is_empty() {
                sorted.clear();
            } else {
                places.sort(found, h, sorted, spare);
            }
            Ok(progress.advance(1)?)
        })?;
        progress.start("sums", room.sorted.iter().map(|(sorted, _)| sorted.len() as u64).sum())?;
        Ok((Self { path, batch, places, room }, of_weights))
    }

    /// All rows, in parts.
    pub(crate) fn parts(&self) -> Vec<Part<'a>> {
        let mut out = Vec::new();
        for (head, (sorted, _)) in self.room.sorted.iter().enumerate() {
            let mut begin = 0;
            for end in cuts(sorted, PART) {
                out.push(Part { head, words: &sorted[begin..end] });
                begin = end;
            }
        }
        out
    }

    /// The number of each row of a part, and its pairs.
    pub(crate) fn runs(&self, part: Part<'a>) -> impl Iterator<Item = (usize, &'a [u64])> {
        let first = part.head * self.places.spec.rows;
        part.words.chunk_by(|a, b| a >> 32 == b >> 32).map(move |run| (first + parts(run[0]).0, run))
    }

    /// Writes the gradient of the row whose pairs are `run`; returns that of its logit.
    pub(crate) fn sum(&self, run: &[u64], terms: &mut Terms, out: &mut [f32]) -> f32 {
        if let [word] = run {
            // Most rows of a batch.
            let (start, factor) = self.term(*word);
            let gradient = &self.batch.gradient[start..start + out.len()];
            out.iter_mut().zip(gradient).for_each(|(out, &x)| *out = factor * x);
        } else if run.len() <= BLOCK {
            out.fill(0.0);
            self.block(run, terms, out);
        } else {
            let mut block = std::mem::take(&mut terms.block);
            block.resize(out.len(), 0.0);
            terms.sums.clear();
            terms.sums.resize(out.len(), 0.0);
            for run in run.chunks(BLOCK) {
                block.fill(0.0);
                self.block(run, terms, &mut block);
                terms.sums.iter_mut().zip(&block).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            out.iter_mut().zip(&terms.sums).for_each(|(out, &sum)| *out = sum as f32);
            terms.block = block;
        }
        if self.places.spec.pool != Pool::Softmax {
            return 0.0;
        }
        run.iter().map(|&word| f64::from(self.room.shares.logits[parts(word).1])).sum::<f64>() as f32
    }

    /// Where the gradient of a pair begins, and what it is multiplied by.
    #[inline(always)]
    fn term(&self, word: u64) -> (usize, f32) {
        let Places { spec, pairs, .. } = self.places;
        let shares = &self.room.shares.shares;
        let place = word as u32;
        // A place is (position * heads + head) * pairs + distance, and numbers of a position lie head by head.
        let vector = (place / pairs as u32) as usize;
        let factor = if shares.is_empty() { self.room.scales[vector / spec.heads] } else { shares[place as usize] };
        (vector * spec.head_dim, factor)
    }

    #[inline(always)]
    fn block(&self, run: &[u64], terms: &mut Terms, out: &mut [f32]) {
        terms.starts.clear();
        terms.factors.clear();
        for &word in run {
            let (start, factor) = self.term(word);
            terms.starts.push(start);
            terms.factors.push(factor);
        }
        let rows = math::Rows { data: self.batch.gradient, starts: &terms.starts, length: out.len() };
        combine(self.path, rows, &terms.factors, out);
    }
}

/// Gradients of all rows that a batch looked up, and of its weights where it has some.
pub fn backward(
    spec: &PairSpec,
    hash: &PairHash,
    rows: Rows<'_>,
    batch: Batch<'_>,
    threads: usize,
    progress: &Progress,
    room: &mut Room,
) -> Result<(Gradients, Option<Vec<f32>>)> {
    let (sorted, of_weights) = Sorted::of(spec, hash, rows, batch, threads, progress, room)?;
    let parts = sorted.parts();
    let counts: Vec<usize> = parts.iter().map(Part::count).collect();
    let total = counts.iter().sum();
    let has_logits = spec.pool == Pool::Softmax;
    let mut out = Gradients {
        rows: vec![0; total],
        values: vec![0.0; total * spec.head_dim],
        logits: has_logits.then(|| vec![0.0; total]),
    };
    let (mut rows, mut values, mut logits) =
        (&mut out.rows[..], &mut out.values[..], out.logits.as_deref_mut().unwrap_or_default());
    let mut tasks = Vec::with_capacity(parts.len());
    for (part, n) in parts.into_iter().zip(counts) {
        let (a, b) = std::mem::take(&mut rows).split_at_mut(n);
        let (c, d) = std::mem::take(&mut values).split_at_mut(n * spec.head_dim);
        let (e, f) = std::mem::take(&mut logits).split_at_mut(if has_logits { n } else { 0 });
        tasks.push((part, a, c, e));
        (rows, values, logits) = (b, d, f);
    }
    each(threads, tasks, |terms: &mut Terms, (part, rows, values, logits)| {
        for (i, (row, run)) in sorted.runs(part).enumerate() {
            rows[i] = row as u64;
            let logit = sorted.sum(run, terms, &mut values[i * spec.head_dim..(i + 1) * spec.head_dim]);
            if has_logits {
                logits[i] = logit;
            }
        }
        Ok(progress.advance(part.pairs())?)
    })?;
    Ok((out, of_weights))
}
