//! PairLM: a whole language model whose layers look up pairs.
//!
//! A layer is that of a Llama-like decoder with a pair table in the place of attention:
//!
//! ```text
//! x = x + out . lookup(ids)                                   ids alone, not hidden values, go into the lookup
//! x = x + down . (silu(gate . n) * (up . n)),  n = rms(x) * norm
//! ```
//! and the scores of the next id are `head . (rms(x) * norm)`. All that a position needs of those before it is their ids.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thrifty_base::math::{LANES, axpy, dispatch, dot, exp, log_sum_exp};
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};
use thrifty_base::tensors::{self, Dtype, Tensor, Tensors};

use crate::chosen::Rows;
use crate::dense::Matrix;
use crate::hash;
use crate::lookup::Room;
use crate::shortlist::{Shortlist, ShortlistSpec};
use crate::spec::{PairSpec, Precision};
use crate::table::{PairTable, check_ids, hash_is_known};
use crate::whole::Whole;
use crate::{Error, Result};

/// What files of models say they are.
const FORMAT: &str = "thrifty.pairlm";
/// Their version.
const VERSION: u32 = 1;
/// Positions that go through the layers together.
const TILE: usize = 16;
/// What is added to the mean of squares.
const EPSILON: f32 = 1e-5;

/// Sizes of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Ids are below.
    pub vocab: usize,
    /// Numbers of a hidden vector, a multiple of 16.
    pub dim: usize,
    /// Units of the second half of a layer, a multiple of 16.
    pub hidden: usize,
    /// The table of each layer.
    pub layers: Vec<PairSpec>,
    /// Which ids are scored, where not all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortlist: Option<ShortlistSpec>,
}

impl ModelSpec {
    fn check(&self) -> Result<()> {
        let within = |argument, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::argument(argument, format!("{value} is not between 1 and {most}")))
        };
        within("vocab", self.vocab, 1 << 24)?;
        within("dim", self.dim, 1 << 14)?;
        within("hidden", self.hidden, 1 << 16)?;
        within("layers", self.layers.len(), 1 << 8)?;
        for (argument, value) in [("dim", self.dim), ("hidden", self.hidden)] {
            if !value.is_multiple_of(LANES) {
                return Err(Error::argument(argument, format!("{value} is no multiple of {LANES}")));
            }
        }
        if let Some(shortlist) = &self.shortlist {
            shortlist.check()?;
        }
        for spec in &self.layers {
            spec.check()?;
            if spec.vocab != self.vocab {
                return Err(Error::argument("layers", format!("a table of {} ids, not {}", spec.vocab, self.vocab)));
            }
            if !spec.width().is_multiple_of(LANES) {
                let what = format!("heads x head_dim = {} is no multiple of {LANES}", spec.width());
                return Err(Error::argument("layers", what));
            }
        }
        Ok(())
    }
}

/// A model.
#[derive(Debug)]
pub struct PairLm {
    spec: ModelSpec,
    embed: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    note: String,
    path: Path,
    precision: Precision,
    file: Arc<Tensors>,
    short: Option<Short>,
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
    /// Opens a file of a model. Dense weights are rounded to `precision`; tables stay in the file, as they are there.
    pub fn open(path: &FilePath, precision: Precision, progress: &Progress) -> Result<Self> {
        Self::of(Arc::new(Tensors::open(path)?), precision, progress)
    }

    fn of(file: Arc<Tensors>, precision: Precision, progress: &Progress) -> Result<Self> {
        let path = file.path();
        file.expect_format(FORMAT, VERSION)?;
        hash_is_known(&file, hash::VERSION)?;
        let bad = |what: String| thrifty_base::Error::format(path, "header", 8, what);
        let Some(spec) = file.metadata().get("spec") else {
            return Err(bad("there is no 'spec' in the metadata".into()).into());
        };
        let spec: ModelSpec = serde_json::from_str(spec).map_err(|e| bad(format!("spec: {e}")))?;
        spec.check().map_err(|e| bad(format!("spec: {e}")))?;
        file.verify_all(progress)?;
        let simd = simd::path()?;
        let floats = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let numbers: Vec<f32> = bytemuck::cast_slice(file.expect(name, Dtype::F32, shape)?).to_vec();
            match numbers.iter().position(|x| !x.is_finite()) {
                Some(at) => {
                    let what = format!("'{name}' has {} at number {at}; numbers are finite", numbers[at]);
                    Err(thrifty_base::Error::format(path, "data", 0, what).into())
                }
                None => Ok(numbers),
            }
        };
        let matrix = |name: &str, rows: usize, columns: usize| -> Result<Matrix> {
            Ok(Matrix::new(simd, &floats(name, &[rows, columns])?, columns, precision))
        };
        let (dim, hidden) = (spec.dim, spec.hidden);
        let short = match spec.shortlist {
            Some(short) => {
                let list = Shortlist::of(short, spec.vocab, &file)?;
                let rows = Rows::new(simd, &floats("embed", &[spec.vocab, dim])?, dim, precision);
                Some(Short { list, rows })
            }
            None => None,
        };
        let layers = spec.layers.iter().enumerate().map(|(i, table)| {
            let name = |part: &str| format!("layers.{i}.{part}");
            Ok(Layer {
                table: PairTable::of(*table, Arc::clone(&file), &name("rows"))?,
                out: matrix(&name("out"), dim, table.width())?,
                norm: floats(&name("norm"), &[dim])?,
                gate_up: matrix(&name("gate_up"), 2 * hidden, dim)?,
                down: matrix(&name("down"), dim, hidden)?,
            })
        });
        Ok(Self {
            embed: matrix("embed", spec.vocab, dim)?,
            layers: layers.collect::<Result<_>>()?,
            norm: floats("norm", &[dim])?,
            note: file.metadata().get("note").cloned().unwrap_or_default(),
            path: simd,
            precision,
            short,
            spec,
            file,
        })
    }

    /// The same model with another shortlist, or without.
    pub fn with_shortlist(&self, list: Option<Shortlist>, progress: &Progress) -> Result<Self> {
        let mut model = Self::of(Arc::clone(&self.file), self.precision, progress)?;
        model.spec.shortlist = list.as_ref().map(|list| *list.spec());
        model.short = match list {
            Some(list) => {
                let dim = self.spec.dim;
                let embed = self.file.expect("embed", Dtype::F32, &[self.spec.vocab, dim])?;
                let rows = Rows::new(self.path, bytemuck::cast_slice(embed), dim, self.precision);
                Some(Short { list, rows })
            }
            None => None,
        };
        Ok(model)
    }

    /// Writes a file of the model as it is now, with dense weights as precise as those that it was opened from.
    pub fn save(&self, path: &FilePath, progress: &Progress) -> Result<()> {
        let metadata = metadata(&self.spec, &self.note);
        let names: Vec<&str> = self.file.names().filter(|name| !name.starts_with("shortlist.")).collect();
        let views = names.iter().map(|name| self.file.tensor(name)).collect::<thrifty_base::Result<Vec<_>>>()?;
        let mut tensors: Vec<_> = names
            .iter()
            .zip(&views)
            .map(|(name, v)| Tensor { name, dtype: v.dtype, shape: v.shape, bytes: v.bytes })
            .collect();
        let shape = self.short.as_ref().map_or([0, 0], |short| short.list.shape());
        if let Some(short) = &self.short {
            tensors.extend(short.list.tensors(&shape));
        }
        Ok(tensors::write(path, &metadata, &tensors, progress)?)
    }

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
    pub(crate) fn reach(&self) -> usize {
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
            let Some(Short { list, rows }) = &self.short else {
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
        for layer in &self.layers {
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

/// Numbers of a model to write: name, shape and values.
pub type Dense<'a> = (&'a str, &'a [usize], &'a [f32]);

/// Writes a file of a model. Names and shapes are those that [`PairLm::open`] looks for.
pub fn write(
    path: &FilePath,
    spec: &ModelSpec,
    note: &str,
    dense: &[Dense<'_>],
    tables: &[&PairTable],
    shortlist: Option<&Shortlist>,
    progress: &Progress,
) -> Result<()> {
    spec.check()?;
    if shortlist.map(Shortlist::spec) != spec.shortlist.as_ref() {
        return Err(Error::argument("shortlist", "it is not that of the model"));
    }
    if !tables.iter().map(|table| table.spec()).eq(&spec.layers) {
        return Err(Error::argument("tables", "they are not those of the model's layers"));
    }
    let metadata = metadata(spec, note);
    let names: Vec<String> = (0..tables.len()).map(|i| format!("layers.{i}.rows")).collect();
    let shapes: Vec<_> = tables.iter().map(|table| table.shape()).collect();
    let dense = dense.iter().map(|&(name, shape, values)| Tensor {
        name,
        dtype: Dtype::F32,
        shape,
        bytes: bytemuck::cast_slice(values),
    });
    let rows = tables.iter().zip(&names).zip(&shapes).map(|((table, name), (dtype, shape))| Tensor {
        name,
        dtype: *dtype,
        shape,
        bytes: table.data(),
    });
    let shape = shortlist.map_or([0, 0], Shortlist::shape);
    let short = shortlist.into_iter().flat_map(|list| list.tensors(&shape));
    Ok(tensors::write(path, &metadata, &dense.chain(rows).chain(short).collect::<Vec<_>>(), progress)?)
}

/// What the header of a model's file says.
fn metadata(spec: &ModelSpec, note: &str) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let mut tell = |key: &str, value: String| metadata.insert(key.to_owned(), value);
    tell("format", FORMAT.into());
    tell("version", VERSION.to_string());
    tell("hash_version", hash::VERSION.to_string());
    tell("spec", serde_json::to_string(spec).expect("plain structures become JSON"));
    tell("note", note.to_owned());
    metadata
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
