//! Shortlists: for the last two ids, and for the last alone, the ids that most likely follow.
//!
//! A model with a large vocabulary spends its time on scores of ids that never come. With a shortlist it scores only the
//! union of two rows: one of a hashed table, for the pair of the last two ids, and one of the last id. What is sampled is
//! the law of these scores alone, which is the law that is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thrifty_base::hash::mix64;
use thrifty_base::progress::Progress;
use thrifty_base::tensors::{Dtype, Tensor, Tensors};

use crate::model::PairLm;
use crate::{Error, Result};

/// Sizes of a shortlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortlistSpec {
    /// Rows of pairs.
    pub rows: usize,
    /// Ids of a row.
    pub length: usize,
    /// Key of the hash of pairs.
    pub seed: u64,
}

/// Longer rows than this are no short lists.
const MOST: usize = 1024;
/// What stands where a row has fewer ids.
const NONE: u32 = u32::MAX;
/// Names of the tensors.
const IDS: &str = "shortlist.ids";
const LOGITS: &str = "shortlist.logits";

impl ShortlistSpec {
    pub(crate) fn check(&self) -> Result<()> {
        for (argument, value, most) in [("rows", self.rows, 1 << 31), ("length", self.length, MOST)] {
            if !(1..=most).contains(&value) {
                return Err(Error::argument(argument, format!("{value} is not between 1 and {most}")));
            }
        }
        Ok(())
    }
}

/// Rows of pairs first, then one for each id; the ids of a row ascend.
#[derive(Clone, Debug)]
pub struct Shortlist {
    spec: ShortlistSpec,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

impl Shortlist {
    /// From rows of ids, with [`u32::MAX`] where there are fewer, and the logarithm of each one's probability.
    pub fn new(spec: ShortlistSpec, vocab: usize, ids: Vec<u32>, logits: Vec<f32>) -> Result<Self> {
        spec.check()?;
        let wanted = (spec.rows + vocab) * spec.length;
        if ids.len() != wanted || logits.len() != wanted {
            let what = format!("{} ids and {} logits; {wanted} of each are needed", ids.len(), logits.len());
            return Err(Error::argument("shortlist", what));
        }
        for (row, ids) in ids.chunks_exact(spec.length).enumerate() {
            let there = ids.iter().take_while(|&&id| id != NONE).count();
            let ascend = ids[..there].is_sorted_by(|a, b| a < b) && ids[there..].iter().all(|&id| id == NONE);
            if !ascend || ids[..there].last().is_some_and(|&id| id as usize >= vocab) {
                let what = format!("ids of row {row} do not ascend below vocab = {vocab}");
                return Err(Error::argument("shortlist", what));
            }
        }
        Ok(Self { spec, ids, logits })
    }

    /// What a file has.
    pub(crate) fn of(spec: ShortlistSpec, vocab: usize, file: &Tensors) -> Result<Self> {
        spec.check()?;
        let shape = [spec.rows + vocab, spec.length];
        let ids = bytemuck::cast_slice(file.expect(IDS, Dtype::U32, &shape)?).to_vec();
        let logits = bytemuck::cast_slice(file.expect(LOGITS, Dtype::F32, &shape)?).to_vec();
        let bad = |e: Error| thrifty_base::Error::format(file.path(), IDS, 0, e.to_string());
        Ok(Self::new(spec, vocab, ids, logits).map_err(bad)?)
    }

    /// Its sizes.
    pub fn spec(&self) -> &ShortlistSpec {
        &self.spec
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        4 * (self.ids.len() + self.logits.len())
    }

    /// Its tensors, of this shape.
    pub(crate) fn tensors<'a>(&'a self, shape: &'a [usize; 2]) -> [Tensor<'a>; 2] {
        let tensor = |name, dtype, bytes| Tensor { name, dtype, shape, bytes };
        [
            tensor(IDS, Dtype::U32, bytemuck::cast_slice(&self.ids)),
            tensor(LOGITS, Dtype::F32, bytemuck::cast_slice(&self.logits)),
        ]
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.ids.len() / self.spec.length, self.spec.length]
    }

    /// Appends the ids that may follow a context, ascending: those of both rows, or all where both are empty.
    pub fn candidates(&self, context: &[u32], out: &mut Vec<u32>) {
        let row = |row: usize| {
            let ids = &self.ids[row * self.spec.length..(row + 1) * self.spec.length];
            &ids[..ids.partition_point(|&id| id != NONE)]
        };
        let [mut a, mut b] = rows(&self.spec, context).map(row);
        if a.is_empty() && b.is_empty() {
            out.extend(0..(self.ids.len() / self.spec.length - self.spec.rows) as u32);
            return;
        }
        while let (Some(&x), Some(&y)) = (a.first(), b.first()) {
            out.push(x.min(y));
            a = &a[usize::from(x <= y)..];
            b = &b[usize::from(y <= x)..];
        }
        out.extend_from_slice(a);
        out.extend_from_slice(b);
    }

    /// The likeliest ids after the pairs and ids of a text, by what a model says at all its positions: the masses of its
    /// `length` likeliest ids at each, added up a row. Rows hold twice as many while they are made; the lightest make room.
    pub fn of_text(
        spec: ShortlistSpec,
        model: &PairLm,
        ids: &[u32],
        threads: usize,
        progress: &Progress,
    ) -> Result<Self> {
        spec.check()?;
        model.check(ids)?;
        let vocab = model.spec().vocab;
        let length = spec.length.min(vocab);
        let mut masses: BTreeMap<usize, Vec<(u32, f32)>> = BTreeMap::new();
        progress.start("shortlist", ids.len() as u64)?;
        let quiet = progress.uncounted();
        let context = model.reach();
        let each = (1 << 24) / vocab.max(1) + 1;
        let mut scores = vec![0.0; each.min(ids.len()) * vocab];
        let mut order: Vec<u32> = Vec::new();
        for begin in (0..ids.len()).step_by(each) {
            let positions: Vec<_> =
                (begin + 1..=ids.len().min(begin + each)).map(|at| (at, at.saturating_sub(context))).collect();
            let scores = &mut scores[..positions.len() * vocab];
            model.all_scores(ids, &positions, threads, &quiet, scores)?;
            for (&(at, _), scores) in positions.iter().zip(scores.chunks_exact(vocab)) {
                order.clear();
                order.extend(0..vocab as u32);
                let key = |i: u32| (std::cmp::Reverse(ordered(scores[i as usize])), i);
                if length < vocab {
                    order.select_nth_unstable_by_key(length, |&i| key(i));
                }
                let total = thrifty_base::math::log_sum_exp(model.path(), scores);
                if !total.is_finite() {
                    return Err(Error::NotFinite);
                }
                for row in rows(&spec, &ids[at.saturating_sub(2)..at]) {
                    let row = masses.entry(row).or_default();
                    for &id in &order[..length] {
                        let mass = (scores[id as usize] - total).exp();
                        match row.binary_search_by_key(&id, |entry| entry.0) {
                            Ok(i) => row[i].1 += mass,
                            Err(i) => row.insert(i, (id, mass)),
                        }
                    }
                    keep(row, 4 * length);
                }
            }
            progress.advance(positions.len() as u64)?;
        }
        let shape = (spec.rows + vocab) * spec.length;
        let (mut ids, mut logits) = (vec![NONE; shape], vec![f32::NEG_INFINITY; shape]);
        for (row, mut entries) in masses {
            let total: f32 = entries.iter().map(|e| e.1).sum();
            keep(&mut entries, length);
            for (i, (id, mass)) in entries.into_iter().enumerate() {
                ids[row * spec.length + i] = id;
                logits[row * spec.length + i] = (mass / total).ln();
            }
        }
        Self::new(spec, vocab, ids, logits)
    }
}

/// The row of the pair of the last two ids, and of the last.
fn rows(spec: &ShortlistSpec, context: &[u32]) -> [usize; 2] {
    let last = *context.last().expect("contexts are not empty");
    // A first id is a pair with none.
    let before = context.len().checked_sub(2).map_or(NONE, |i| context[i]);
    let word = mix64((u64::from(last) << 32 | u64::from(before)) ^ mix64(spec.seed));
    [(((word >> 32) * spec.rows as u64) >> 32) as usize, spec.rows + last as usize]
}

/// Leaves the heaviest `most`, in the order of their ids.
fn keep(entries: &mut Vec<(u32, f32)>, most: usize) {
    if entries.len() > most {
        entries.select_nth_unstable_by(most, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        entries.truncate(most);
        entries.sort_unstable_by_key(|e| e.0);
    }
}

/// Bits in the order of the numbers.
fn ordered(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}
