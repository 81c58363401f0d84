//! What a table is a function of.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the rows of a position become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Their sum (the paper's).
    Sum,
    /// Their mean.
    Mean,
    /// Their mean, weighed by the exponentials of a logit that each row carries: what attention computes.
    Softmax,
}

/// Which function gives pairs their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Products and shifts of 64-bit words.
    Mix64,
    /// The same with 32-bit words, which graphics cards multiply faster; two pairs agree in all heads with probability
    /// 2^-32.
    H32,
    /// None: each pair (and distance) has a row of its own. For small vocabularies.
    Direct,
}

/// What the numbers of rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE binary32.
    F32,
    /// The upper half of a binary32.
    Bf16,
    /// Whole numbers from -127 to 127 and a factor a row.
    I8,
}

/// A pair table: each position looks up the pairs of its own id with those before it, in `heads` tables of `rows` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairSpec {
    /// Ids are below.
    pub vocab: usize,
    /// K: rows of a head.
    pub rows: usize,
    /// Tables, each with a hash of its own.
    pub heads: usize,
    /// Numbers that a head gives.
    pub head_dim: usize,
    /// Pairs of a position at most; 0 for all before it.
    pub window: usize,
    /// Whether the distance of two ids is a part of their key.
    pub offsets: bool,
    /// Whether a position is paired with itself.
    pub include_self: bool,
    /// How rows become one.
    pub pool: Pool,
    /// Ids of the query: the last `query_gram` up to the position, as one.
    pub query_gram: usize,
    /// Ids of the other side: the last `key_gram` up to there, as one.
    pub key_gram: usize,
    /// Which hash.
    pub hash: Kind,
    /// Key of the hash.
    pub seed: u64,
    /// What the numbers are.
    #[serde(rename = "dtype")]
    pub precision: Precision,
}

/// Rows of a head have their number in 32 bits.
const MOST_ROWS: usize = 1 << 31;
/// Longer n-grams than this are all different in any text.
const MOST_GRAM: usize = 16;

impl PairSpec {
    /// Refuses sizes that can not be.
    pub fn check(&self) -> Result<()> {
        let within = |argument, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::argument(argument, format!("{value} is not between {least} and {most}")))
        };
        within("vocab", self.vocab, 1, MOST_ROWS)?;
        within("rows", self.rows, 1, MOST_ROWS)?;
        within("heads", self.heads, 1, 1 << 10)?;
        within("head_dim", self.head_dim, 1, 1 << 14)?;
        within("window", self.window, 0, 1 << 20)?;
        within("query_gram", self.query_gram, 1, MOST_GRAM)?;
        within("key_gram", self.key_gram, 1, MOST_GRAM)?;
        if self.hash == Kind::Direct {
            self.check_direct()?;
        }
        Layout::of(self).map(|_| ())
    }

    /// Refuses a table whose rows are not one for each pair and distance.
    fn check_direct(&self) -> Result<()> {
        if self.query_gram != 1 || self.key_gram != 1 {
            let what = "'direct' has rows for pairs of single ids; take query_gram = key_gram = 1, or another hash";
            return Err(Error::argument("hash", what));
        }
        if self.offsets && self.window == 0 {
            let what = "'direct' with offsets has rows for each distance; give a window, or take offsets = false";
            return Err(Error::argument("hash", what));
        }
        let distances = if self.offsets { self.window } else { 1 };
        let needed = self.vocab.checked_mul(self.vocab).and_then(|n| n.checked_mul(distances));
        if needed == Some(self.rows) {
            return Ok(());
        }
        let needed = needed.map_or_else(|| "more than there can be".to_owned(), |n| n.to_string());
        let what = format!(
            "{}; hash 'direct' needs one for each of {} x {} pairs at {distances} distances: {needed}",
            self.rows, self.vocab, self.vocab
        );
        Err(Error::argument("rows", what))
    }

    /// Numbers that a lookup gives a position.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Distances of the pairs of position `t`, nearest first.
    #[inline(always)]
    pub fn distances(&self, t: usize) -> std::ops::Range<usize> {
        let first = usize::from(!self.include_self);
        let end = if self.window == 0 { t + 1 } else { (first + self.window).min(t + 1) };
        first..end.max(first)
    }
}

/// Numbers that kernels take at a time; values of a row are filled up to a multiple.
pub const BLOCK: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Where things lie in a row.
///
/// Values first. Whole numbers have their factor (f32) behind the last block. A logit (f32) comes behind the values, in
/// what fills their last block where there is room. Rows of floats begin at a multiple of 64 bytes, or of the next power
/// of two where they are shorter, so that none crosses a line that it need not; those of whole numbers lie close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Byte of the factor.
    pub scale: usize,
    /// Byte of the logit.
    pub logit: usize,
    /// Bytes of the rows of all heads.
    pub bytes: usize,
}

impl Layout {
    /// Of the rows of a pair table.
    pub fn of(spec: &PairSpec) -> Result<Self> {
        let total = spec.rows.checked_mul(spec.heads);
        Self::new(spec.head_dim, spec.precision, spec.pool == Pool::Softmax, total).ok_or_else(|| {
            Error::argument("rows", format!("{} heads of {} rows are more than there can be", spec.heads, spec.rows))
        })
    }

    /// Of `rows` rows of `head_dim` numbers each, with or without a logit; nothing where there can't be as many.
    pub(crate) fn new(head_dim: usize, precision: Precision, logits: bool, rows: Option<usize>) -> Option<Self> {
        let blocks = head_dim.next_multiple_of(BLOCK);
        let size = match precision {
            Precision::F32 => 4,
            Precision::Bf16 => 2,
            Precision::I8 => 1,
        };
        let scale = blocks;
        let (logit, least) = match precision {
            Precision::I8 => (blocks + 4, blocks + 4),
            _ => ((head_dim * size).next_multiple_of(4), blocks * size),
        };
        let needed = if logits { least.max(logit + 4) } else { least };
        let stride = match precision {
            Precision::I8 => needed,
            _ if needed < LINE => needed.next_power_of_two(),
            _ => needed.next_multiple_of(LINE),
        };
        let bytes = stride.checked_mul(rows?).filter(|&n| n < isize::MAX as usize)?;
        Some(Self { stride, scale, logit, bytes })
    }
}
