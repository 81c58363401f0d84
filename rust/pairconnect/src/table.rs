//! Tables: rows in memory or in a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use thrifty_base::memory;
use thrifty_base::pages::Pages;
use thrifty_base::progress::Progress;
use thrifty_base::simd;
use thrifty_base::tensors::{Dtype, Tensor, Tensors, write};

use crate::backward::{Batch, Gradients, Room, backward};
use crate::field::{Field, Rows};
use crate::hash::{self, PairHash};
use crate::lookup::{View, check_weights};
use crate::spec::{BLOCK, Layout, PairSpec, Pool, Precision};
use crate::stored::Stored;
use crate::{Error, Result};

/// What files with one table say they are.
const FORMAT: &str = "thrifty.pairtable";
/// Their version.
const VERSION: u32 = 1;
/// Name of the tensor.
const ROWS: &str = "rows";

/// A pair table.
#[derive(Debug)]
pub struct PairTable {
    spec: PairSpec,
    layout: Layout,
    hash: PairHash,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Pages<u8>),
    File(Arc<Tensors>, String),
}

impl Store {
    /// Rows to be changed.
    fn memory(&mut self) -> Result<&mut [u8]> {
        match self {
            Self::Memory(pages) => Ok(pages),
            Self::File(..) => {
                Err(Error::argument("table", "it lies in a file, which is only read; copy it to change it"))
            }
        }
    }
}

impl PairTable {
    /// A table of zeros, which takes memory where it is written to. Refuses more than `max_bytes`, or than there is.
    pub fn zeros(spec: PairSpec, max_bytes: Option<usize>) -> Result<Self> {
        spec.check()?;
        let layout = Layout::of(&spec)?;
        let rows = format!("{} heads x {} rows x {}", spec.heads, spec.rows, layout.stride);
        check_room(layout.bytes, &rows, max_bytes)?;
        let store = Store::Memory(Pages::zeros(layout.bytes)?);
        Ok(Self { spec, layout, hash: PairHash::new(&spec), store })
    }

    /// The table in the tensor `name` of an open file.
    pub(crate) fn of(spec: PairSpec, file: Arc<Tensors>, name: &str) -> Result<Self> {
        spec.check()?;
        let layout = Layout::of(&spec)?;
        let (dtype, shape) = Stored::of(&spec, layout).tensor();
        file.expect(name, dtype, &shape)?;
        Ok(Self { spec, layout, hash: PairHash::new(&spec), store: Store::File(file, name.to_owned()) })
    }

    /// Opens a file that [`save`](Self::save) wrote: mapped, so that processes share its pages. The data are compared with
    /// their checksums only with `verify`.
    pub fn open(path: &Path, verify: bool, progress: &Progress) -> Result<Self> {
        let file = Tensors::open(path)?;
        file.expect_format(FORMAT, VERSION)?;
        let spec = of_metadata(&file, hash::VERSION, PairSpec::check)?;
        if verify {
            file.verify_all(progress)?;
        }
        Self::of(spec, Arc::new(file), ROWS)
    }

    /// Writes a file.
    pub fn save(&self, path: &Path, progress: &Progress) -> Result<()> {
        let mut metadata = BTreeMap::new();
        metadata.insert("format".to_owned(), FORMAT.to_owned());
        metadata.insert("version".to_owned(), VERSION.to_string());
        metadata.insert("hash_version".to_owned(), hash::VERSION.to_string());
        metadata.insert("spec".to_owned(), serde_json::to_string(&self.spec).expect("plain structures become JSON"));
        let (dtype, shape) = self.shape();
        let rows = Tensor { name: ROWS, dtype, shape: &shape, bytes: self.data() };
        Ok(write(path, &metadata, &[rows], progress)?)
    }

    /// What it is a function of.
    pub fn spec(&self) -> &PairSpec {
        &self.spec
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.layout.bytes
    }

    /// Those bytes, row by row.
    pub fn data(&self) -> &[u8] {
        match &self.store {
            Store::Memory(pages) => pages,
            Store::File(file, name) => file.tensor(name).expect("looked for when the table was opened").bytes,
        }
    }

    /// Its rows as a tensor.
    pub(crate) fn shape(&self) -> (Dtype, [usize; 2]) {
        Stored::of(&self.spec, self.layout).tensor()
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { spec: &self.spec, layout: self.layout, hash: &self.hash, data: self.data() }
    }

    pub(crate) fn hash(&self) -> &PairHash {
        &self.hash
    }

    /// Its numbers, and where values and logits are among them; refuses a table that is not of f32.
    pub(crate) fn fields(&self) -> Result<(&[f32], Field, Option<Field>)> {
        let Self { spec, layout, .. } = self;
        if spec.precision != Precision::F32 {
            let what = "rows of f32 are trained; make a table of dtype f32 of them, and round that when it is done";
            return Err(Error::argument("table", what));
        }
        let stride = layout.stride / 4;
        let logit = Field { first: layout.logit / 4, stride, length: 1 };
        let values = Field { first: 0, stride, length: spec.head_dim };
        Ok((bytemuck::cast_slice(self.data()), values, (spec.pool == Pool::Softmax).then_some(logit)))
    }

    /// Its rows, for training.
    pub fn rows_f32(&self) -> Result<Rows<'_>> {
        let (numbers, values, logits) = self.fields()?;
        Ok(Rows { values: (numbers, values), logits: logits.map(|field| (numbers, field)) })
    }

    /// Its numbers, to be changed.
    pub(crate) fn numbers_mut(&mut self) -> Result<&mut [f32]> {
        Ok(bytemuck::cast_slice_mut(self.store.memory()?))
    }

    /// Gradients of the rows that a batch looked up, and of its weights.
    pub fn backward(
        &self,
        batch: Batch<'_>,
        threads: usize,
        progress: &Progress,
    ) -> Result<(Gradients, Option<Vec<f32>>)> {
        let mut room = Room::default();
        backward(&self.spec, &self.hash, self.rows_f32()?, batch, threads, progress, &mut room)
    }

    /// Refuses ids that are not below `vocab`.
    pub fn check(&self, ids: &[u32]) -> Result<()> {
        check_ids(ids, self.spec.vocab)
    }

    /// What sequences of `tokens` ids look up, one after the other: `heads * head_dim` numbers a position.
    ///
    /// `weights` has a number for each head and distance (nearest first): rows are multiplied by it, with
    /// [`Pool::Softmax`] it is added to their logits.
    pub fn lookup(
        &self,
        ids: &[u32],
        tokens: usize,
        weights: Option<&[f32]>,
        threads: usize,
        progress: &Progress,
        out: &mut [f32],
    ) -> Result<()> {
        self.check(ids)?;
        check_weights(&self.spec, weights)?;
        if tokens == 0 && !ids.is_empty() || tokens != 0 && !ids.len().is_multiple_of(tokens) {
            return Err(Error::argument("ids", format!("{} ids are no sequences of {tokens}", ids.len())));
        }
        if out.len() != ids.len() * self.spec.width() {
            let what = format!("{} numbers; {} are needed", out.len(), ids.len() * self.spec.width());
            return Err(Error::argument("out", what));
        }
        self.view().sequences(simd::path()?, ids, tokens, weights, threads, progress, out)
    }

    /// Rows of the last of `ids`, counted over all heads: head by head, nearest pairs first.
    pub fn rows(&self, ids: &[u32]) -> Result<Vec<usize>> {
        self.check(ids)?;
        let (mut words, mut rows) = (Vec::new(), Vec::new());
        if !ids.is_empty() {
            self.view().rows(ids, &mut words, &mut rows);
        }
        Ok(rows)
    }

    /// Sets rows from `first` on: `head_dim` numbers each, and with [`Pool::Softmax`] a logit each. Returns the largest
    /// error of a number, and the relative error in the L2 norm, that rounding makes.
    pub fn set(&mut self, first: usize, values: &[f32], logits: Option<&[f32]>) -> Result<(f32, f64)> {
        let Self { spec, layout, store, .. } = self;
        let rows = values.len() / spec.head_dim;
        let total = spec.rows * spec.heads;
        if !values.len().is_multiple_of(spec.head_dim) || first > total || rows > total - first {
            let what =
                format!("{} numbers from row {first} on do not fit {total} rows of {}", values.len(), spec.head_dim);
            return Err(Error::argument("values", what));
        }
        if logits.map(<[f32]>::len) != (spec.pool == Pool::Softmax).then_some(rows) {
            let what = "one a row is needed where rows are pooled by softmax, and none elsewhere";
            return Err(Error::argument("logits", what));
        }
        let bytes = &mut store.memory()?[first * layout.stride..(first + rows) * layout.stride];
        for (row, logit) in bytes.chunks_exact_mut(layout.stride).zip(logits.unwrap_or_default()) {
            row[layout.logit..layout.logit + 4].copy_from_slice(&logit.to_le_bytes());
        }
        Ok(Stored::of(spec, *layout).write(simd::path()?, values, bytes))
    }

    /// Reads rows from `first` on: values, and with [`Pool::Softmax`] logits.
    pub fn get(&self, first: usize, values: &mut [f32], mut logits: Option<&mut [f32]>) -> Result<()> {
        let Self { spec, layout, .. } = self;
        let (rows, total) = (values.len() / spec.head_dim, spec.rows * spec.heads);
        if first > total || rows > total - first {
            let what = format!("rows {first}..{} of {total}", first.saturating_add(rows));
            return Err(Error::argument("rows", what));
        }
        let bytes = &self.data()[first * layout.stride..(first + rows) * layout.stride];
        if let Some(logits) = &mut logits
            && spec.pool == Pool::Softmax
        {
            for (row, logit) in bytes.chunks_exact(layout.stride).zip(logits.iter_mut()) {
                *logit = f32::from_le_bytes(row[layout.logit..layout.logit + 4].try_into().expect("four bytes"));
            }
        }
        Stored::of(spec, *layout).read(simd::path()?, bytes, values);
        Ok(())
    }
}

/// Refuses rows that take more than `max_bytes`, or than there is; `rows` says what they are.
pub(crate) fn check_room(bytes: usize, rows: &str, max_bytes: Option<usize>) -> Result<()> {
    let there = memory::available().map_or(usize::MAX, |n| n as usize);
    let (most, why) = match max_bytes {
        Some(most) if most < there => (most, "max_bytes allows"),
        _ => (there, "this machine has free"),
    };
    if bytes <= most {
        return Ok(());
    }
    let what = format!("the table takes {bytes} bytes ({rows}), {why} {most}; take fewer rows or a smaller precision");
    Err(Error::Capacity { what })
}

/// Refuses ids that are not below `vocab`.
pub(crate) fn check_ids(ids: &[u32], vocab: usize) -> Result<()> {
    // All are looked at without a branch; which one it is matters only when there is one.
    if ids.iter().max().is_none_or(|&most| (most as usize) < vocab) {
        return Ok(());
    }
    let at = ids.iter().position(|&id| id as usize >= vocab).unwrap_or(0);
    Err(Error::argument("ids", format!("{} at {at} is not below vocab = {vocab}", ids[at])))
}

/// The spec that a file names, of a hash that this program has; `check` refuses one that can not be.
pub(crate) fn of_metadata<S: DeserializeOwned>(
    file: &Tensors,
    hash_version: u32,
    check: impl Fn(&S) -> Result<()>,
) -> Result<S> {
    hash_is_known(file, hash_version)?;
    let bad = |what: String| thrifty_base::Error::format(file.path(), "header", 8, what);
    let Some(spec) = file.metadata().get("spec") else {
        return Err(bad("there is no 'spec' in the metadata".into()).into());
    };
    let spec = serde_json::from_str(spec).map_err(|e| bad(format!("spec: {e}")))?;
    check(&spec).map_err(|e| bad(format!("spec: {e}")))?;
    Ok(spec)
}

/// Refuses a file whose rows belong to pairs by another version of the hash.
pub(crate) fn hash_is_known(file: &Tensors, version: u32) -> Result<()> {
    let there = file.metadata().get("hash_version").map_or("", String::as_str).to_owned();
    let here = version.to_string();
    if there == here {
        return Ok(());
    }
    Err(Error::Mismatch { path: file.path().to_owned(), field: "hash_version", there, here })
}

const _: () = assert!(BLOCK == thrifty_base::math::LANES);
