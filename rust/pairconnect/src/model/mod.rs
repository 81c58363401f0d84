//! PairLM: a whole language model whose layers look up pairs.
//!
//! A layer is that of a Llama-like decoder with a pair table in the place of attention:
//!
//! ```text
//! x = x + out . lookup(ids)                                   ids alone, not hidden values, go into the lookup
//! x = x + down . (silu(gate . n) * (up . n)),  n = rms(x) * norm
//! ```
//! and the scores of the next id are `head . (rms(x) * norm)`. All that a position needs of those before it is their ids.

mod file;
mod spec;

use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use thrifty_base::math::{axpy, dispatch, dot, exp, log_sum_exp};
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;
use thrifty_base::tensors::Tensors;

pub use file::{Dense, write};
pub use spec::ModelSpec;

use crate::chosen::Rows;
use crate::dense::Matrix;
use crate::lookup::Room;
use crate::shortlist::Shortlist;
use crate::spec::{PairSpec, Precision};
use crate::table::{PairTable, check_ids};
use crate::whole::Whole;
use crate::{Error, Result};

/// Positions that go through the layers together.
const TILE: usize = 16;
/// What is added to the mean of squares.
const EPSILON: f32 = 1e-5;

/// A model.
#[derive(Clone, Debug)]
pub struct PairLm {
    spec: ModelSpec,
    embed: Arc<Matrix>,
    layers: Arc<[Layer]>,
    norm: Vec<f32>,
    note: String,
    path: Path,
    precision: Precision,
    file: Arc<Tensors>,
    short: Option<Arc<Short>>,
}

/// A shortlist, and the output layer row after row.
#[derive(Debug)]
struct Short {
    list: Shortlist,
    rows: Rows,
}

#[derive(Debug)]
struct Layer {
    table: PairTable,
    out: Matrix,
    norm: Vec<f32>,
    gate_up: Matrix,
    down: Matrix,
}

/// Room that a model needs, used again.
#[derive(Debug, Default)]
pub struct Work {
    room: Room,
    whole: Whole,
    x: Vec<f32>,
    n: Vec<f32>,
    wide: Vec<f32>,
    pairs: Vec<f32>,
    add: Vec<f32>,
    scores: Vec<f32>,
    candidates: Vec<u32>,
    ends: Vec<usize>,
}

impl PairLm {
    /// Its sizes.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// What the writer wanted to be told again.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Bytes of dense weights, and of tables and shortlists.
    pub fn bytes(&self) -> (usize, usize) {
        let dense = |l: &Layer| l.out.bytes() + l.gate_up.bytes() + l.down.bytes();
        let layers: usize = self.layers.iter().map(dense).sum();
        let tables: usize = self.layers.iter().map(|l| l.table.bytes()).sum();
        let (rows, list) = self.short.as_ref().map_or((0, 0), |short| (short.rows.bytes(), short.list.bytes()));
        (self.embed.bytes() + layers + rows, tables + list)
    }

    /// Whether it scores the ids of a shortlist where it draws.
    pub fn has_shortlist(&self) -> bool {
        self.short.is_some()
    }

    pub(crate) fn path(&self) -> Path {
        self.path
    }

    /// How many ids at the end of a context matter.
    pub fn reach(&self) -> usize {
        let of = |spec: &PairSpec| match spec.window {
            0 => usize::MAX,
            window => window + spec.query_gram.max(spec.key_gram),
        };
        self.spec.layers.iter().map(of).max().unwrap_or(1).max(2)
    }

    /// Refuses ids that are not below `vocab`.
    pub fn check(&self, ids: &[u32]) -> Result<()> {
        check_ids(ids, self.spec.vocab)
    }

    /// Scores of what follows each of `contexts`, none of them empty: `vocab` numbers each. Ids must have been checked.
    pub fn scores(&self, contexts: &[&[u32]], work: &mut Work, out: &mut [f32]) {
        let vocab = self.spec.vocab;
        assert!(out.len() == contexts.len() * vocab);
        for (contexts, out) in contexts.chunks(TILE).zip(out.chunks_mut(TILE * vocab)) {
            self.hidden(contexts, work);
            self.embed.product(self.path, &work.n, &mut work.whole, out);
        }
    }

    /// Scores of the ids of the shortlist for what follows each of `contexts`; all ids where there is none. `each` gets the
    /// place of a context, its ids (none where they are all), and their scores.
    pub(crate) fn short_scores(
        &self,
        contexts: &[&[u32]],
        work: &mut Work,
        mut each: impl FnMut(usize, &[u32], &mut [f32]) -> Result<()>,
    ) -> Result<()> {
        for (tile, contexts) in contexts.chunks(TILE).enumerate() {
            let Some(Short { list, rows }) = self.short.as_deref() else {
                self.hidden(contexts, work);
                let Work { n, whole, scores, .. } = &mut *work;
                scores.resize(contexts.len() * self.spec.vocab, 0.0);
                self.embed.product(self.path, n, whole, scores);
                for (i, scores) in scores.chunks_exact_mut(self.spec.vocab).enumerate() {
                    each(tile * TILE + i, &[], scores)?;
                }
                continue;
            };
            let mut candidates = std::mem::take(&mut work.candidates);
            let mut ends = std::mem::take(&mut work.ends);
            candidates.clear();
            ends.clear();
            // Rows of the output layer come from memory while the layers are computed.
            for context in contexts {
                list.candidates(context, &mut candidates);
                ends.push(candidates.len());
            }
            rows.ask(&candidates);
            self.hidden(contexts, work);
            let Work { n, whole, scores, .. } = &mut *work;
            rows.round(self.path, n, whole);
            let mut begin = 0;
            for (i, &end) in ends.iter().enumerate() {
                let ids = &candidates[begin..end];
                scores.resize(ids.len(), 0.0);
                rows.products(self.path, ids, n, whole, i, scores);
                each(tile * TILE + i, ids, scores)?;
                begin = end;
            }
            work.candidates = candidates;
            work.ends = ends;
        }
        Ok(())
    }

    /// Leaves what the head multiplies in `work.n`.
    fn hidden(&self, contexts: &[&[u32]], work: &mut Work) {
        let ModelSpec { dim, hidden, .. } = self.spec;
        let Work { room, whole, x, n, wide, pairs, add, .. } = work;
        x.resize(contexts.len() * dim, 0.0);
        for (ids, x) in contexts.iter().zip(x.chunks_exact_mut(dim)) {
            let last = *ids.last().expect("contexts are not empty");
            self.embed.row(last as usize, x);
        }
        add.resize(contexts.len() * dim, 0.0);
        n.resize(contexts.len() * dim, 0.0);
        wide.resize(contexts.len() * 2 * hidden, 0.0);
        for layer in &*self.layers {
            let (table, width) = (layer.table.view(), layer.table.spec().width());
            pairs.resize(contexts.len() * width, 0.0);
            for (ids, pairs) in contexts.iter().zip(pairs.chunks_exact_mut(width)) {
                table.sequence(self.path, ids, ids.len() - 1, None, room, pairs);
            }
            layer.out.product(self.path, pairs, whole, add);
            axpy(self.path, 1.0, add, x);
            rms(self.path, x, &layer.norm, n);
            layer.gate_up.product(self.path, n, whole, wide);
            // In the place of what was looked up, which is no longer needed.
            let units = &mut *pairs;
            units.resize(contexts.len() * hidden, 0.0);
            for (wide, units) in wide.chunks_exact(2 * hidden).zip(units.chunks_exact_mut(hidden)) {
                let (gate, up) = wide.split_at(hidden);
                dispatch(self.path, Gated { gate, up, out: units });
            }
            layer.down.product(self.path, units, whole, add);
            axpy(self.path, 1.0, add, x);
        }
        rms(self.path, x, &self.norm, n);
    }

    /// Refuses ids that are not below `vocab`, and positions (at, from) that have no context `ids[from..at]`.
    fn check_all(&self, ids: &[u32], positions: &[(usize, usize)], most: usize) -> Result<()> {
        self.check(ids)?;
        let Some(&(at, from)) = positions.iter().find(|&&(at, from)| from >= at || at > most) else { return Ok(()) };
        let what = format!("position {at} with a context from {from} on, of {} ids", ids.len());
        Err(Error::argument("positions", what))
    }

    /// [`Self::scores`] of what follows `ids[from..at]` for each (at, from) of `positions`.
    pub fn all_scores(
        &self,
        ids: &[u32],
        positions: &[(usize, usize)],
        threads: usize,
        progress: &Progress,
        out: &mut [f32],
    ) -> Result<()> {
        self.check_all(ids, positions, ids.len())?;
        progress.start("score", positions.len() as u64)?;
        let tasks = positions.par_chunks(TILE).zip(out.par_chunks_mut(TILE * self.spec.vocab));
        pool(threads)?.install(|| {
            tasks.try_for_each_init(Work::default, |work, (positions, out)| {
                let contexts: Vec<&[u32]> = positions.iter().map(|&(at, from)| &ids[from..at]).collect();
                self.scores(&contexts, work, out);
                progress.advance(positions.len() as u64).map_err(Error::from)
            })
        })
    }

    /// Minus the logarithm of the probability of each of `positions` of `ids` (none the first) after the ids of its
    /// context, which begin at the second number of each.
    pub fn losses(
        &self,
        ids: &[u32],
        positions: &[(usize, usize)],
        threads: usize,
        progress: &Progress,
        out: &mut [f32],
    ) -> Result<()> {
        self.check_all(ids, positions, ids.len().saturating_sub(1))?;
        assert!(out.len() == positions.len());
        progress.start("evaluate", positions.len() as u64)?;
        let vocab = self.spec.vocab;
        let tasks = positions.par_chunks(TILE).zip(out.par_chunks_mut(TILE));
        pool(threads)?.install(|| {
            tasks.try_for_each_init(
                || (Work::default(), vec![0.0; TILE * vocab]),
                |(work, scores), (positions, out)| {
                    let contexts: Vec<&[u32]> = positions.iter().map(|&(at, from)| &ids[from..at]).collect();
                    let scores = &mut scores[..positions.len() * vocab];
                    self.scores(&contexts, work, scores);
                    for ((&(at, _), scores), out) in positions.iter().zip(scores.chunks_exact(vocab)).zip(out) {
                        *out = log_sum_exp(self.path, scores) - scores[ids[at] as usize];
                    }
                    progress.advance(positions.len() as u64).map_err(Error::from)
                },
            )
        })
    }
}

/// Vectors divided by the root of their mean square, times `weights`.
fn rms(path: Path, x: &[f32], weights: &[f32], out: &mut [f32]) {
    let dim = weights.len();
    for (x, out) in x.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
        let scale = 1.0 / (dot(path, x, x) / dim as f32 + EPSILON).sqrt();
        for ((out, x), w) in out.iter_mut().zip(x).zip(weights) {
            *out = x * scale * w;
        }
    }
}

/// `out = silu(gate) * up`.
struct Gated<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (gate, up) = (S::as_simd_f32s(self.gate).0, S::as_simd_f32s(self.up).0);
        let one = s.splat_f32s(1.0);
        for ((out, &g), &up) in S::as_mut_simd_f32s(self.out).0.iter_mut().zip(gate).zip(up) {
            // e^-|g|: the exponential takes nothing above 0.
            let e = exp(s, s.neg_f32s(s.abs_f32s(g)));
            let top = s.select_f32s(s.less_than_f32s(g, s.splat_f32s(0.0)), e, one);
            let share = s.div_f32s(top, s.add_f32s(one, e));
            *out = s.mul_f32s(s.mul_f32s(g, share), up);
        }
    }
}
