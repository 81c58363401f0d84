//! How active neurons are chosen.

use serde::{Deserialize, Serialize};

use crate::active::Draw;
use crate::hash::{Family, Hash};
use crate::head::Slice;
use crate::tables::Tables;
use crate::{Error, Result};

/// Where the neurons come from that rows ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Hash tables, with hashes of a family.
    Tables(Family),
    /// The highest scores of all neurons: what tables come close to, at the price of the whole layer.
    Exact,
    /// Nowhere: all but the labels are random.
    Random,
}

/// How neurons are hashed and how many are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// Where neurons come from.
    pub method: Method,
    /// Whether `k` and `range` follow from how many neurons the tables return.
    pub tuned: bool,
    /// Hashes a table (K).
    pub k: usize,
    /// Tables (L).
    pub tables: usize,
    /// Bits of a table's codes (R).
    pub range: usize,
    /// Neurons of a bucket that a query takes at most.
    pub bucket: usize,
    /// Active neurons of a batch.
    pub active: usize,
    /// Neurons that a row asks of its tables at most.
    pub each: usize,
    /// Of the neurons that most of a row's tables return, how many are scored, so that the row asks for the best of them;
    /// no more than `each`: none, the row asks for what most tables return.
    pub pool: usize,
    /// Whether each row has a set of its own: its labels, what it asked for, and the random neurons. Else one set serves all.
    pub own: bool,
    /// Rows that a step hashes again at most.
    pub rehash: usize,
    /// How random neurons are drawn.
    pub draw: Draw,
    /// Whether scores of random neurons are corrected for the chance of being drawn.
    pub correct: bool,
}

impl Sampling {
    /// Hashes a table and bits of its codes that suit so many neurons: buckets of about four, at most two for each neuron.
    pub fn fitting(family: Family, neurons: usize) -> (usize, usize) {
        let bits = (neurons as f64 / 4.0).log2().max(1.0);
        let k = (1..16).find(|&k| family.plain_bits(k + 1).is_none_or(|next| next as f64 > bits + 1.5)).unwrap_or(1);
        let most = (neurons as f64 * 2.0).log2().ceil() as usize;
        let k = if family.plain_bits(k).is_none() { 2 } else { k };
        (k, family.plain_bits(k).unwrap_or(bits.round() as usize).min(most).clamp(1, 24))
    }

    /// Refuses what is not possible.
    pub fn check(&self) -> Result<()> {
        for (argument, value, most) in [
            ("bucket", self.bucket, usize::MAX),
            ("active", self.active, usize::MAX),
            ("each", self.each, usize::MAX),
            ("rehash", self.rehash, usize::MAX),
        ] {
            if value == 0 || value > most {
                return Err(Error::argument(argument, format!("{value} is not possible; from 1 to {most}")));
            }
        }
        Ok(())
    }

    /// Bytes that tables over so many neurons take at most, about: codes, buckets, which keep the room that they had once
    /// as neurons move, and the queue.
    pub fn table_bytes(&self, neurons: usize) -> u64 {
        let Method::Tables(_) = self.method else {
            return 0;
        };
        let (neurons, buckets) = (neurons as u64, 1u64 << self.range);
        let runs = (neurons * 16 + buckets * 4).next_multiple_of(1 << 16);
        self.tables as u64 * (neurons * 6 + buckets * 9 + runs) + 8 * neurons
    }

    /// Fewer hashes a table where rows are returned too few neurons, more where too many: those that suit so many neurons
    /// a row; `None` where they do already.
    pub(crate) fn retuned(&self, returned: f64, neurons: usize) -> Option<Self> {
        let Method::Tables(family) = self.method else {
            return None;
        };
        let target = 2.0 * self.pool.max(self.each) as f64;
        let k = match (returned / target, family.plain_bits(1)) {
            (_, None) => return None,
            (ratio, _) if ratio > 3.0 => self.k + 1,
            (ratio, Some(bits)) if ratio < 0.3 && ratio * f64::from(1u32 << bits) < 3.0 => self.k - 1,
            _ => return None,
        };
        let most = (neurons as f64 * 2.0).log2().ceil() as usize;
        let range = family.plain_bits(k)?.min(most).clamp(1, 24);
        (self.tuned && (1..=16).contains(&k)).then_some(Self { k, range, ..*self })
    }

    /// The same, but for what is tuned.
    pub(crate) fn as_asked(&self) -> Self {
        if self.tuned { Self { k: 0, range: 0, ..*self } } else { *self }
    }

    /// Tables for a slice of a layer with rows of `length` numbers, where this needs some.
    pub(crate) fn tables_for(&self, slice: Slice, length: usize, seed: u64) -> Result<Option<Tables>> {
        let Method::Tables(family) = self.method else {
            return Ok(None);
        };
        let hash = Hash::new(family, self.k, self.tables, self.range, length, seed)?;
        Ok(Some(Tables::new(hash, slice.first, slice.rows, slice.neurons, seed)))
    }
}
