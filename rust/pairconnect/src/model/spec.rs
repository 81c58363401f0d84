//! Sizes of a model.

use serde::{Deserialize, Serialize};
use thrifty_base::math::LANES;

use crate::shortlist::ShortlistSpec;
use crate::spec::PairSpec;
use crate::{Error, Result};

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
    pub(super) fn check(&self) -> Result<()> {
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
