//! Rows of f32 that training reads and writes: in a table, or wherever their owner has them.

use crate::spec::{PairSpec, Pool};
use crate::{Error, Result};

/// Numbers of each row among others: `length` of them, from `first + row * stride` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where row 0 begins.
    pub first: usize,
    /// From one row to the next.
    pub stride: usize,
    /// Numbers of a row.
    pub length: usize,
}

impl Field {
    /// Rows that lie close.
    pub fn close(length: usize) -> Self {
        Self { first: 0, stride: length, length }
    }

    /// Where a row begins.
    #[inline(always)]
    pub(crate) fn start(&self, row: usize) -> usize {
        self.first + row * self.stride
    }
}

/// The rows of a table, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Where values lie, and how.
    pub values: (&'a [f32], Field),
    /// The same of logits, where rows have some.
    pub logits: Option<(&'a [f32], Field)>,
}

impl<'a> Rows<'a> {
    /// Rows whose values lie close, and their logits likewise; refuses what is not the rows of `spec`.
    pub fn apart(spec: &PairSpec, values: &'a [f32], logits: Option<&'a [f32]>) -> Result<Self> {
        let rows = spec.rows * spec.heads;
        if values.len() != rows * spec.head_dim {
            let what = format!("{} numbers; {rows} rows of {} are needed", values.len(), spec.head_dim);
            return Err(Error::argument("values", what));
        }
        if logits.map(<[f32]>::len) != (spec.pool == Pool::Softmax).then_some(rows) {
            let what = "one a row is needed where rows are pooled by softmax, and none elsewhere";
            return Err(Error::argument("logits", what));
        }
        let logits = logits.map(|logits| (logits, Field::close(1)));
        Ok(Self { values: (values, Field::close(spec.head_dim)), logits })
    }

    /// No rows: what the gradients of sums and means without weights need. Refuses a spec or weights that need more.
    pub fn none(spec: &PairSpec, weighed: bool) -> Result<Self> {
        if spec.pool == Pool::Softmax || weighed {
            return Err(Error::argument("values", "they are needed where rows have logits or distances weights"));
        }
        Ok(Self { values: (&[], Field::close(spec.head_dim)), logits: None })
    }

    #[inline(always)]
    pub(crate) fn logit(&self, row: usize) -> f32 {
        self.logits.map_or(0.0, |(numbers, field)| numbers[field.start(row)])
    }
}
