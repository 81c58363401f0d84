//! An index before it is written: everything but the rows, which come from where they are.

use rayon::prelude::*;
use thrifty_base::container::{Target, Writer, file_length};
use thrifty_base::memory::Mode;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

use crate::columns::transpose64;
use crate::format::{KIND, Meta, Shape, Sizes, specs};
use crate::index::Index;
use crate::input::By;
use crate::items::Items;
use crate::partition::node_of;
use crate::plan::{Plan, Repetition};
use crate::sample::Table;
use crate::simd::OVERREAD;
use crate::{Error, Result, rows};

/// Everything of an index but its rows.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) items: Items,
    pub(crate) plan: Plan,
    pub(crate) node: Option<u32>,
    pub(crate) by: Option<By>,
    pub(crate) names: Vec<String>,
    /// Distinct items of each document.
    pub(crate) counts: Vec<u64>,
    pub(crate) segment_of: Vec<u16>,
    /// Documents taken out, ascending.
    pub(crate) removed: Vec<u32>,
    pub(crate) sample: Table,
    /// Bucket of each document of a segment: `[segment][repetition][document in the segment]`.
    pub(crate) buckets: Vec<Vec<Vec<u16>>>,
}

/// Gives packed rows of a segment's repetition.
pub(crate) trait RowSource: Sync {
    /// Rows `first..last` packed without gaps; `first` is a multiple of 64.
    fn rows(&self, segment: usize, repetition: usize, first: u64, last: u64) -> Vec<u8>;
    /// Set bits of each bucket, where the source knows them without looking at rows.
    fn fill(&self, _segment: usize, _repetition: usize) -> Option<Vec<u64>> {
        None
    }
}

/// Bytes of rows that a thread makes at once.
const CHUNK: u64 = 512 << 10;

impl Draft {
    /// What the file says of itself.
    pub(crate) fn meta(&self) -> Meta {
        Meta::new(self.items, self.plan.clone(), self.node, self.by, self.sample.shift)
    }

    /// What the layout of the file depends on, and its description as JSON.
    fn layout(&self) -> (Vec<Shape>, Sizes, Vec<u8>) {
        let meta = self.meta();
        let shapes = self.plan.segments.iter().zip(&self.buckets).map(|(p, b)| (meta.shape(p), b[0].len())).collect();
        let meta = serde_json::to_vec(&meta).expect("meta has only plain fields");
        let sizes = Sizes {
            meta: meta.len(),
            names: self.names.iter().map(String::len).sum(),
            documents: self.names.len(),
            removed: self.removed.len(),
            sample: self.sample.counts.len(),
        };
        (shapes, sizes, meta)
    }

    /// Length of the file that it makes.
    pub(crate) fn bytes(&self) -> u64 {
        let (shapes, sizes, _) = self.layout();
        file_length(&specs(&shapes, sizes))
    }

    /// Puts the documents of each node together, in their order: what stacking the nodes' shards gives.
    pub(crate) fn sort_by_node(&mut self) {
        let (seed, nodes) = (self.plan.seed, self.plan.nodes);
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by_cached_key(|&d| node_of(&self.names[d], seed, nodes));
        let mut place = vec![0u32; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new as u32;
        }
        self.removed.iter_mut().for_each(|d| *d = place[*d as usize]);
        self.removed.sort_unstable();
        let mut at = vec![0; self.buckets.len()];
        let in_segment: Vec<usize> = self
            .segment_of
            .iter()
            .map(|&s| {
                at[usize::from(s)] += 1;
                at[usize::from(s)] - 1
            })
            .collect();
        let mut buckets: Vec<Vec<Vec<u16>>> = self.buckets.iter().map(|b| vec![Vec::new(); b.len()]).collect();
        for &d in &order {
            let s = usize::from(self.segment_of[d]);
            for (new, old) in buckets[s].iter_mut().zip(&self.buckets[s]) {
                new.push(old[in_segment[d]]);
            }
        }
        self.buckets = buckets;
        self.names = order.iter().map(|&d| std::mem::take(&mut self.names[d])).collect();
        self.counts = order.iter().map(|&d| self.counts[d]).collect();
        self.segment_of = order.iter().map(|&d| self.segment_of[d]).collect();
    }

    /// Writes the index and opens it. The bytes depend on the content alone, not on threads or on the machine.
    pub(crate) fn save(
        &self,
        target: &Target,
        source: &dyn RowSource,
        threads: usize,
        mode: Mode,
        progress: &Progress,
    ) -> Result<Index> {
        let (shapes, sizes, meta) = self.layout();
        if u32::try_from(sizes.names).is_err() {
            return Err(Error::Capacity { what: "the names of all documents together exceed 4 GiB".into() });
        }
        let mut writer = Writer::create(target, KIND, &specs(&shapes, sizes))?;
        writer.write(&meta)?;
        writer.write(self.names.concat().as_bytes())?;
        let ends: Vec<u32> = self
            .names
            .iter()
            .scan(0, |end, n| {
                *end += n.len() as u32;
                Some(*end)
            })
            .collect();
        writer.write(bytemuck::cast_slice(&ends))?;
        writer.write(bytemuck::cast_slice(&self.counts))?;
        writer.write(bytemuck::cast_slice(&self.segment_of))?;
        writer.write(bytemuck::cast_slice(&self.removed))?;
        let hashes: Vec<u64> = self.sample.counts.keys().map(|k| k.1).collect();
        let segments: Vec<u16> = self.sample.counts.keys().map(|k| k.0).collect();
        let holders: Vec<u32> = self.sample.counts.values().copied().collect();
        writer.write(bytemuck::cast_slice(&hashes))?;
        writer.write(bytemuck::cast_slice(&segments))?;
        writer.write(bytemuck::cast_slice(&holders))?;
        for segment in &self.buckets {
            for repetition in segment {
                writer.write(bytemuck::cast_slice(repetition))?;
            }
        }
        progress
            .start("write", shapes.iter().flat_map(|(shape, _)| shape.iter().map(|r| r.bits().div_ceil(8))).sum())?;
        let mut fills = Vec::new();
        for (s, (shape, _)) in shapes.iter().enumerate() {
            for (r, repetition) in shape.iter().enumerate() {
                let make = |first, last| source.rows(s, r, first, last);
                let known = pool(threads)?.install(|| source.fill(s, r));
                fills.push(write_rows(&mut writer, &make, known, repetition, threads, progress)?);
            }
        }
        for fill in fills {
            writer.write(bytemuck::cast_slice(&fill))?;
        }
        Index::from_container(writer.finish(mode)?)
    }
}

/// Writes one section of rows; returns the set bits of each bucket.
fn write_rows(
    writer: &mut Writer,
    make: &(dyn Fn(u64, u64) -> Vec<u8> + Sync),
    known: Option<Vec<u64>>,
    repetition: &Repetition,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<u64>> {
    let Repetition { rows, buckets, .. } = *repetition;
    let pool = pool(threads)?;
    let step = (8 * CHUNK / u64::from(buckets)).next_multiple_of(64);
    let starts: Vec<u64> = (0..rows).step_by(step as usize).collect();
    let count = known.is_none();
    let mut fill = known.unwrap_or_else(|| vec![0; buckets as usize]);
    let make_all = |group: &[u64]| -> Vec<(Vec<u8>, Vec<u64>)> {
        let one = |&first: &u64| {
            let last = (first + step).min(rows);
            let bytes = make(first, last);
            let fill = if count { bits_by_bucket(&bytes, last - first, buckets) } else { Vec::new() };
            (bytes, fill)
        };
        group.par_iter().map(one).collect()
    };
    // While one thread writes a group the others make the next.
    let mut ready: Vec<(Vec<u8>, Vec<u64>)> = Vec::new();
    let groups = starts.chunks(pool.current_num_threads()).map(Some).chain([None]);
    for group in groups {
        let mut write = || -> Result<()> {
            for (bytes, part) in &ready {
                writer.write(bytes)?;
                fill.iter_mut().zip(part).for_each(|(f, p)| *f += p);
                progress.advance(bytes.len() as u64)?;
            }
            Ok(())
        };
        let (written, made) = pool.install(|| rayon::join(&mut write, || group.map(make_all).unwrap_or_default()));
        written?;
        ready = made;
    }
    writer.write(&[0; OVERREAD])?;
    Ok(fill)
}

/// Set bits of each bucket in packed rows.
fn bits_by_bucket(bytes: &[u8], rows: u64, buckets: u32) -> Vec<u64> {
    let groups = buckets.div_ceil(64) as usize;
    let mut fill = vec![0; buckets as usize];
    let mut block = vec![0u64; 64 * groups];
    let mut tile = [0u64; 64];
    for first in (0..rows).step_by(64) {
        let valid = (rows - first).min(64) as usize;
        block[valid * groups..].fill(0);
        for row in 0..valid {
            rows::read(bytes, first + row as u64, buckets, &mut block[row * groups..(row + 1) * groups]);
        }
        for g in 0..groups {
            for row in 0..64 {
                tile[row] = block[row * groups + g];
            }
            transpose64(&mut tile);
            for (i, word) in tile.iter().enumerate().take(buckets as usize - 64 * g) {
                fill[64 * g + i] += u64::from(word.count_ones());
            }
        }
    }
    fill
}
