//! A sequence that grows and shrinks, position by position.
//!
//! What a position looks up depends on ids alone. So ids are all that is kept, 4 bytes each for all layers of a model, and
//! to take back positions is to forget their ids.

use thrifty_base::simd;

use crate::lookup::{Room, check_weights};
use crate::table::PairTable;
use crate::{Error, Result};

/// The ids of a sequence.
#[derive(Clone, Debug, Default)]
pub struct State {
    ids: Vec<u32>,
    room: Room,
}

impl State {
    /// No ids yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Appends ids and writes what they look up: `heads * head_dim` numbers each, the bits that
    /// [`PairTable::lookup`] gives for the whole sequence. With an error nothing is appended.
    pub fn append(&mut self, table: &PairTable, ids: &[u32], weights: Option<&[f32]>, out: &mut [f32]) -> Result<()> {
        table.check(ids)?;
        check_weights(table.spec(), weights)?;
        if out.len() != ids.len() * table.spec().width() {
            let what = format!("{} numbers; {} are needed", out.len(), ids.len() * table.spec().width());
            return Err(Error::argument("out", what));
        }
        let from = self.ids.len();
        self.ids.extend_from_slice(ids);
        table.view().sequence(simd::path()?, &self.ids, from, weights, &mut self.room, out);
        Ok(())
    }

    /// Takes back all positions from `length` on.
    pub fn truncate(&mut self, length: usize) -> Result<()> {
        if length > self.ids.len() {
            let what = format!("{length} is more than the {} ids that there are", self.ids.len());
            return Err(Error::argument("length", what));
        }
        self.ids.truncate(length);
        Ok(())
    }
}
