//! The filters of an index under construction, and the rows that they make.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use thrifty_base::simd;

use crate::columns::{Columns, Insert, Locked, transpose};
use crate::dealing::Place;
use crate::draft::{Draft, RowSource};
use crate::index::Index;
use crate::plan::Repetition;
use crate::segment::multipliers;
use crate::simd::dispatch;
use crate::{Result, rows};

/// Filters by segment; memory is taken when the first document of a segment comes.
pub(crate) struct Filters {
    segments: Vec<Part>,
    /// The index that documents are added to, where there is one.
    base: Option<Arc<Index>>,
    path: PathBuf,
}

struct Part {
    multipliers: Vec<Vec<u64>>,
    shape: Vec<Repetition>,
    columns: Option<Vec<Columns>>,
}

impl Filters {
    /// Filters for the plan of `draft`; `path` is for messages.
    pub(crate) fn new(draft: &Draft, base: Option<Arc<Index>>, path: &Path) -> Self {
        let meta = draft.meta();
        let segments = draft
            .plan
            .segments
            .iter()
            .map(|plan| Part {
                multipliers: multipliers(plan, draft.plan.seed),
                shape: meta.shape(plan),
                columns: None,
            })
            .collect();
        Self { segments, base, path: path.to_owned() }
    }

    /// Takes the memory for a segment.
    pub(crate) fn need(&mut self, segment: usize) -> Result<()> {
        let part = &mut self.segments[segment];
        if part.columns.is_none() {
            let columns = part.shape.iter().map(|r| Columns::new(r.buckets, r.rows, &self.path));
            part.columns = Some(columns.collect::<Result<_>>()?);
        }
        Ok(())
    }

    /// Takes the memory for every segment that is new.
    pub(crate) fn need_all(&mut self) -> Result<()> {
        let old = self.base.as_ref().map_or(0, |b| b.segments().len());
        (old..self.segments.len()).try_for_each(|s| self.need(s))
    }

    /// The filters, for threads to write into.
    pub(crate) fn locked(&mut self) -> LockedFilters<'_> {
        LockedFilters {
            // A path that is refused fails where queries ask for it; the bits are the same on all.
            path: simd::path().unwrap_or(simd::Path::Scalar),
            segments: self
                .segments
                .iter_mut()
                .map(|part| LockedPart {
                    multipliers: &part.multipliers,
                    shape: &part.shape,
                    columns: part.columns.iter_mut().flatten().map(Columns::locked).collect(),
                })
                .collect(),
        }
    }

    /// Bytes of the filters of each segment and repetition that has memory, in order.
    pub(crate) fn bytes_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.segments.iter_mut().flat_map(|p| p.columns.iter_mut().flatten()).map(Columns::bytes_mut)
    }
}

/// See [`Filters::locked`].
pub(crate) struct LockedFilters<'a> {
    path: simd::Path,
    segments: Vec<LockedPart<'a>>,
}

struct LockedPart<'a> {
    multipliers: &'a [Vec<u64>],
    shape: &'a [Repetition],
    columns: Vec<Locked<'a>>,
}

impl LockedFilters<'_> {
    /// Sets the bits of hashes of a document that was dealt to `place`.
    pub(crate) fn insert(&self, place: &Place, hashes: &[u64]) {
        let part = &self.segments[place.segment];
        for (r, &bucket) in place.buckets.iter().enumerate() {
            let column = &part.columns[r][usize::from(bucket)];
            dispatch(self.path, Insert { column, hashes, multipliers: &part.multipliers[r], rows: part.shape[r].rows });
        }
    }

    /// Length in bytes of the filters of each segment and repetition, in order.
    pub(crate) fn lengths(&self) -> Vec<u64> {
        let length = |c: &Locked<'_>| {
            c.iter().map(|column| 8 * column.lock().unwrap_or_else(PoisonError::into_inner).len() as u64).sum()
        };
        self.segments.iter().flat_map(|p| p.columns.iter().map(length)).collect()
    }

    /// Hands the bytes of all filters in order to `take`, a bucket at a time.
    pub(crate) fn for_each_bucket(&self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for column in self.segments.iter().flat_map(|p| p.columns.iter().flatten()) {
            take(bytemuck::cast_slice(&column.lock().unwrap_or_else(PoisonError::into_inner)))?;
        }
        Ok(())
    }
}

impl RowSource for Filters {
    fn rows(&self, segment: usize, repetition: usize, first: u64, last: u64) -> Vec<u8> {
        let part = &self.segments[segment];
        let base = self.base.as_ref().filter(|b| segment < b.segments().len());
        let old = base.map(|b| {
            let bits = u64::from(part.shape[repetition].buckets);
            let (from, to) = (first * bits / 8, (last * bits).div_ceil(8));
            let mut bytes = b.rows(segment, repetition)[from as usize..to as usize].to_vec();
            rows::clear_above(&mut bytes, (last - first) * bits);
            bytes
        });
        let Some(columns) = &part.columns else {
            return old.expect("a segment without filters is one of the base");
        };
        let mut packer = rows::Packer::with_room((last - first) * u64::from(part.shape[repetition].buckets));
        transpose(&columns[repetition], (first / 64) as usize, last.div_ceil(64) as usize, &mut packer);
        let mut bytes = packer.finish();
        if let Some(old) = old {
            bytes.iter_mut().zip(old).for_each(|(b, o)| *b |= o);
        }
        bytes
    }

    fn fill(&self, segment: usize, repetition: usize) -> Option<Vec<u64>> {
        let columns = self.segments[segment].columns.as_ref().filter(|_| self.base.is_none())?;
        Some(columns[repetition].fill())
    }
}
