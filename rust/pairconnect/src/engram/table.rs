//! Tables of n-grams: rows in memory or in a file.

use std::collections::BTreeMap;
use std::path::Path;

use thrifty_base::pages::Pages;
use thrifty_base::progress::Progress;
use thrifty_base::simd;
use thrifty_base::tensors::{Dtype, Tensor, Tensors, write};

use super::hash::{self, EngramHash};
use super::lookup::{Positions, View};
use super::spec::EngramSpec;
use crate::spec::{Layout, Precision};
use crate::stored::Stored;
use crate::table::{check_room, of_metadata};
use crate::{Error, Result};

/// What files with one table say they are.
const FORMAT: &str = "thrifty.engram";
/// Their version.
const VERSION: u32 = 1;
/// Names of the tensors.
const ROWS: &str = "rows";
const REMAP: &str = "remap";
/// Bytes that are copied between two looks at whether to stop.
const COPIED: usize = 1 << 24;

/// A table of n-grams.
#[derive(Debug)]
pub struct EngramTable {
    spec: EngramSpec,
    rows: Stored,
    hash: EngramHash,
    remap: Option<Vec<u32>>,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Pages<u8>),
    File(Tensors),
}

/// A table without its rows.
struct Shape {
    rows: Stored,
    hash: EngramHash,
}

impl Shape {
    fn of(spec: &EngramSpec, remap: Option<&[u32]>) -> Result<Self> {
        spec.check()?;
        if let Some(remap) = remap {
            let wrong = remap.iter().position(|&id| id as usize >= spec.vocab);
            if let Some(at) = wrong {
                let what = format!("{} at {at} is not below vocab = {}", remap[at], spec.vocab);
                return Err(Error::argument("remap", what));
            }
        }
        let pad = canonical(&[spec.pad as i64], spec.vocab, remap);
        let pad = pad.map_err(|_| Error::argument("pad", format!("{} is no id", spec.pad)))?[0];
        let hash = EngramHash::new(spec, pad);
        let total = usize::try_from(hash.sizes().sum::<u64>()).ok();
        let Some(layout) = Layout::new(spec.head_dim, spec.precision, false, total) else {
            return Err(Error::argument("sizes", format!("{:?}: more rows than there can be", spec.sizes)));
        };
        Ok(Self { rows: Stored { precision: spec.precision, layout, head_dim: spec.head_dim }, hash })
    }

    fn check_room(&self, max_bytes: Option<usize>) -> Result<()> {
        let layout = self.rows.layout;
        let (heads, rows) = (self.hash.sizes().count(), layout.bytes / layout.stride);
        let rows = format!("{rows} rows of {heads} heads x {}", layout.stride);
        check_room(layout.bytes, &rows, max_bytes)
    }
}

impl EngramTable {
    /// A table of zeros, which takes memory where it is written to. Refuses more than `max_bytes`, or than there is.
    ///
    /// `remap` has the canonical id of each id; without it ids are canonical.
    pub fn zeros(spec: EngramSpec, remap: Option<Vec<u32>>, max_bytes: Option<usize>) -> Result<Self> {
        let shape = Shape::of(&spec, remap.as_deref())?;
        shape.check_room(max_bytes)?;
        let Shape { rows, hash } = shape;
        Ok(Self { spec, rows, hash, remap, store: Store::Memory(Pages::zeros(rows.layout.bytes)?) })
    }

    /// Opens a file that [`save`](Self::save) wrote: mapped, so that processes share its pages, or with `copy` as a copy in
    /// memory, which can be changed. The data are compared with their checksums only with `verify`.
    pub fn open(path: &Path, copy: bool, verify: bool, max_bytes: Option<usize>, progress: &Progress) -> Result<Self> {
        let file = Tensors::open(path)?;
        file.expect_huge_pages();
        file.expect_format(FORMAT, VERSION)?;
        let spec = of_metadata(&file, hash::VERSION, EngramSpec::check)?;
        let remap = if file.names().any(|name| name == REMAP) {
            let ids = file.tensor(REMAP)?.shape.first().copied().unwrap_or(0);
            let ids: &[u32] = bytemuck::cast_slice(file.expect(REMAP, Dtype::U32, &[ids])?);
            Some(ids.to_vec())
        } else {
            None
        };
        let bad = |e: Error| match e {
            Error::Argument { argument, what } => {
                thrifty_base::Error::format(path, "header", 8, format!("spec: {argument}: {what}")).into()
            }
            e => e,
        };
        let shape = Shape::of(&spec, remap.as_deref()).map_err(bad)?;
        let (dtype, sides) = shape.rows.tensor();
        file.expect(ROWS, dtype, &sides)?;
        if verify {
            file.verify_all(progress)?;
        }
        let store = if copy {
            shape.check_room(max_bytes)?;
            Store::Memory(copied(file.tensor(ROWS)?.bytes, progress)?)
        } else {
            Store::File(file)
        };
        Ok(Self { spec, rows: shape.rows, hash: shape.hash, remap, store })
    }

    /// Writes a file.
    pub fn save(&self, path: &Path, progress: &Progress) -> Result<()> {
        let mut metadata = BTreeMap::new();
        metadata.insert("format".to_owned(), FORMAT.to_owned());
        metadata.insert("version".to_owned(), VERSION.to_string());
        metadata.insert("hash_version".to_owned(), hash::VERSION.to_string());
        metadata.insert("spec".to_owned(), serde_json::to_string(&self.spec).expect("plain structures become JSON"));
        let (dtype, shape) = self.rows.tensor();
        let mut tensors = vec![Tensor { name: ROWS, dtype, shape: &shape, bytes: self.data() }];
        let ids = [self.remap.as_ref().map_or(0, Vec::len)];
        if let Some(remap) = &self.remap {
            let bytes = bytemuck::cast_slice(remap);
            tensors.push(Tensor { name: REMAP, dtype: Dtype::U32, shape: &ids, bytes });
        }
        Ok(write(path, &metadata, &tensors, progress)?)
    }

    /// What it is a function of.
    pub fn spec(&self) -> &EngramSpec {
        &self.spec
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.rows.layout.bytes
    }

    /// Rows of each head: order by order.
    pub fn sizes(&self) -> Vec<u64> {
        self.hash.sizes().collect()
    }

    /// The canonical id of each id, where ids are not canonical.
    pub fn remap(&self) -> Option<&[u32]> {
        self.remap.as_deref()
    }

    fn data(&self) -> &[u8] {
        match &self.store {
            Store::Memory(pages) => pages,
            Store::File(file) => file.tensor(ROWS).expect("looked for when the table was opened").bytes,
        }
    }

    fn view(&self) -> View<'_> {
        View { hash: &self.hash, rows: self.rows, each: self.spec.each(), data: self.data() }
    }

    /// Positions of sequences of `tokens` ids of which those from `start` on are looked up; there must be room for
    /// `each` numbers a position.
    fn positions<'a>(ids: &'a [u32], tokens: usize, start: usize, each: usize, room: usize) -> Result<Positions<'a>> {
        if tokens == 0 && !ids.is_empty() || tokens != 0 && !ids.len().is_multiple_of(tokens) {
            return Err(Error::argument("ids", format!("{} ids are no sequences of {tokens}", ids.len())));
        }
        if start > tokens {
            return Err(Error::argument("start", format!("{start} is behind the {tokens} positions of a sequence")));
        }
        let needed = ids.len().checked_div(tokens).unwrap_or(0) * (tokens - start) * each;
        if room != needed {
            return Err(Error::argument("out", format!("{room} numbers; {needed} are needed")));
        }
        Ok(Positions { ids, tokens, start })
    }

    /// What sequences of `tokens` ids look up, one after the other, for the positions of each from `start` on: a row of
    /// `head_dim` numbers for each order and head.
    pub fn lookup(
        &self,
        ids: &[i64],
        tokens: usize,
        start: usize,
        threads: usize,
        progress: &Progress,
        out: &mut [f32],
    ) -> Result<()> {
        let ids = self.canonical(ids)?;
        let positions = Self::positions(&ids, tokens, start, self.spec.width(), out.len())?;
        self.view().lookup(simd::path()?, positions, threads, progress, out)
    }

    /// The same for rows of bf16, as they are.
    pub fn lookup_bf16(
        &self,
        ids: &[i64],
        tokens: usize,
        start: usize,
        threads: usize,
        progress: &Progress,
        out: &mut [u16],
    ) -> Result<()> {
        if self.spec.precision != Precision::Bf16 {
            return Err(Error::argument("raw", "only rows of bf16 can be had as they are; this table has others"));
        }
        let ids = self.canonical(ids)?;
        let positions = Self::positions(&ids, tokens, start, self.spec.width(), out.len())?;
        self.view().lookup(simd::path()?, positions, threads, progress, out)
    }

    /// Rows that they look up, counted over all heads: one for each order and head.
    pub fn rows(&self, ids: &[i64], tokens: usize, start: usize, rows: &mut [u64]) -> Result<()> {
        let ids = self.canonical(ids)?;
        let positions = Self::positions(&ids, tokens, start, self.spec.each(), rows.len())?;
        self.view().numbers(positions, rows);
        Ok(())
    }

    fn canonical(&self, ids: &[i64]) -> Result<Vec<u32>> {
        canonical(ids, self.spec.vocab, self.remap.as_deref())
    }

    /// Sets rows from `first` on: `head_dim` numbers each. Returns the largest error of a number, and the relative error in
    /// the L2 norm, that rounding makes.
    pub fn set(&mut self, first: usize, values: &[f32]) -> Result<(f32, f64)> {
        let bytes = self.bytes_of(first, values.len(), "values")?;
        let Store::Memory(memory) = &mut self.store else {
            let what = "it lies in a file, which is only read; load a copy to change it";
            return Err(Error::argument("table", what));
        };
        Ok(self.rows.write(simd::path()?, values, &mut memory[bytes]))
    }

    /// Reads rows from `first` on.
    pub fn get(&self, first: usize, values: &mut [f32]) -> Result<()> {
        let bytes = self.bytes_of(first, values.len(), "rows")?;
        self.rows.read(simd::path()?, &self.data()[bytes], values);
        Ok(())
    }

    /// Where the rows of so many numbers lie.
    fn bytes_of(&self, first: usize, numbers: usize, argument: &'static str) -> Result<std::ops::Range<usize>> {
        let Stored { layout, head_dim, .. } = self.rows;
        let (rows, total) = (numbers / head_dim, layout.bytes / layout.stride);
        if !numbers.is_multiple_of(head_dim) || first > total || rows > total - first {
            let what = format!("{numbers} numbers from row {first} on do not fit {total} rows of {head_dim}");
            return Err(Error::argument(argument, what));
        }
        Ok(first * layout.stride..(first + rows) * layout.stride)
    }
}

/// Canonical ids, all below `vocab`.
fn canonical(ids: &[i64], vocab: usize, remap: Option<&[u32]>) -> Result<Vec<u32>> {
    let most = remap.map_or(vocab, <[u32]>::len);
    // All are looked at without a branch; which one it is matters only when there is one.
    if ids.iter().fold(false, |bad, &id| bad | (id as u64 >= most as u64)) {
        let at = ids.iter().position(|&id| id as u64 >= most as u64).unwrap_or(0);
        let of = if remap.is_some() { "the ids of remap" } else { "vocab" };
        return Err(Error::argument("ids", format!("{} at {at} is not between 0 and {of} = {most}", ids[at])));
    }
    Ok(match remap {
        Some(remap) => ids.iter().map(|&id| remap[id as usize]).collect(),
        None => ids.iter().map(|&id| id as u32).collect(),
    })
}

/// A copy on huge pages.
fn copied(bytes: &[u8], progress: &Progress) -> Result<Pages<u8>> {
    progress.start("load", bytes.len() as u64)?;
    let mut pages = Pages::zeros(bytes.len())?;
    for (to, from) in pages.chunks_mut(COPIED).zip(bytes.chunks(COPIED)) {
        to.copy_from_slice(from);
        progress.advance(from.len() as u64)?;
    }
    Ok(pages)
}
