//! Changes of an index that is there: each writes a new file in the place of the old one, or beside it.

mod add;
mod fold;
mod remove;
mod stack;

pub use add::{Added, add};
pub use fold::{FoldTo, fold};
pub use remove::remove;
pub use stack::stack;

use std::sync::Arc;

use crate::draft::RowSource;
use crate::index::Index;
use crate::{Error, Result, rows};

/// Where the columns of a new segment come from: segments of indexes, side by side.
struct SideBySide {
    /// `[new segment]` -> (index, segment) pairs.
    sources: Vec<Vec<(Arc<Index>, usize)>>,
}

impl SideBySide {
    /// One row of a repetition: the rows of all sources one after the other.
    fn row(&self, segment: usize, repetition: usize, row: u64, out: &mut rows::Packer) {
        for (index, s) in &self.sources[segment] {
            let buckets = index.segments()[*s].shape()[repetition].buckets;
            let mut words = vec![0; buckets.div_ceil(64) as usize];
            rows::read(index.rows(*s, repetition), row, buckets, &mut words);
            out.push(&words, buckets as usize);
        }
    }

    /// Buckets of a new segment's repetition.
    fn buckets(&self, segment: usize, repetition: usize) -> u32 {
        self.sources[segment].iter().map(|(index, s)| index.segments()[*s].shape()[repetition].buckets).sum()
    }
}

impl RowSource for SideBySide {
    fn rows(&self, segment: usize, repetition: usize, first: u64, last: u64) -> Vec<u8> {
        if let [(index, s)] = self.sources[segment].as_slice() {
            let bits = u64::from(index.segments()[*s].shape()[repetition].buckets);
            let (from, to) = (first * bits / 8, (last * bits).div_ceil(8));
            let mut bytes = index.rows(*s, repetition)[from as usize..to as usize].to_vec();
            rows::clear_above(&mut bytes, (last - first) * bits);
            return bytes;
        }
        let mut packer = rows::Packer::default();
        (first..last).for_each(|row| self.row(segment, repetition, row, &mut packer));
        packer.finish()
    }
}

fn check_buckets(buckets: u32) -> Result<()> {
    if buckets > crate::plan::rate::MAX_BUCKETS {
        return Err(Error::Capacity {
            what: format!("{buckets} buckets together are more than the 65,536 that an index can hold; fold first"),
        });
    }
    Ok(())
}
