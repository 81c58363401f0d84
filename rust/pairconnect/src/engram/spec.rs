//! What a table of n-grams is a function of.

use serde::{Deserialize, Serialize};

use crate::spec::Precision;
use crate::{Error, Result};

/// A table of n-grams: each position looks up the n-grams that end there, of each order in `heads` tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngramSpec {
    /// Canonical ids are below.
    pub vocab: usize,
    /// Lengths of n-grams, rising.
    pub orders: Vec<usize>,
    /// Tables of an order, each with a modulus of its own.
    pub heads: usize,
    /// Numbers that a head gives.
    pub head_dim: usize,
    /// Rows of a head at least, for each order; there are as many as the next prime that no other head has.
    pub sizes: Vec<usize>,
    /// The layers of a model that have such a table, in the order in which primes are dealt.
    pub layers: Vec<u64>,
    /// The layer that has this one.
    pub layer: u64,
    /// What the multipliers were drawn from.
    pub seed: u64,
    /// The id that stands before the first one of a sequence.
    pub pad: u64,
    /// Odd numbers, one for each id of the longest n-gram, that of the last id first.
    pub multipliers: Vec<u64>,
    /// What the numbers are.
    #[serde(rename = "dtype")]
    pub precision: Precision,
}

/// Rows of a head, and ids, have their number in 31 bits.
const MOST_ROWS: usize = 1 << 31;
/// Longer n-grams than this are all different in any text.
const MOST_ORDER: usize = 16;
/// Heads of all orders and layers: so many primes are looked for.
const MOST_PRIMES: usize = 1 << 14;

impl EngramSpec {
    /// Refuses sizes that can not be.
    pub fn check(&self) -> Result<()> {
        let within = |argument, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::argument(argument, format!("{value} is not between {least} and {most}")))
        };
        within("vocab", self.vocab, 1, MOST_ROWS)?;
        within("heads", self.heads, 1, 1 << 10)?;
        within("head_dim", self.head_dim, 1, 1 << 14)?;
        if self.orders.is_empty() || !self.orders.is_sorted_by(|a, b| a < b) {
            let what = format!("{:?}; one or more lengths of n-grams are needed, each once, rising", self.orders);
            return Err(Error::argument("orders", what));
        }
        self.orders.iter().try_for_each(|&order| within("orders", order, 1, MOST_ORDER))?;
        if self.sizes.len() != self.orders.len() {
            let what = format!("{} numbers where there are {} orders", self.sizes.len(), self.orders.len());
            return Err(Error::argument("sizes", what));
        }
        self.sizes.iter().try_for_each(|&size| within("sizes", size, 1, MOST_ROWS - (1 << 20)))?;
        if let Some(twice) = self.layers.iter().enumerate().find(|(i, layer)| self.layers[..*i].contains(layer)) {
            return Err(Error::argument("layers", format!("{} is there twice", twice.1)));
        }
        if !self.layers.contains(&self.layer) {
            let what = format!("{} is none of the layers {:?}", self.layer, self.layers);
            return Err(Error::argument("layer", what));
        }
        let primes = self.layers.len().saturating_mul(self.each());
        if primes > MOST_PRIMES {
            let what = format!("{} layers of {} heads; together at most {MOST_PRIMES}", self.layers.len(), self.each());
            return Err(Error::argument("layers", what));
        }
        self.check_multipliers()
    }

    /// Products of ids below `vocab` are below 2^63, as where the hash comes from.
    fn check_multipliers(&self) -> Result<()> {
        let longest = self.longest();
        if self.multipliers.len() != longest {
            let what = format!("{} numbers; n-grams have up to {longest} ids", self.multipliers.len());
            return Err(Error::argument("multipliers", what));
        }
        let most = (1 << 63) / self.vocab as u64;
        match self.multipliers.iter().find(|&&m| m % 2 == 0 || m > most) {
            Some(m) => Err(Error::argument("multipliers", format!("{m} is no odd number up to 2^63 / vocab = {most}"))),
            None => Ok(()),
        }
    }

    /// Ids of the longest n-gram.
    pub fn longest(&self) -> usize {
        self.orders.last().copied().unwrap_or(0)
    }

    /// Rows that a position looks up.
    pub fn each(&self) -> usize {
        self.orders.len() * self.heads
    }

    /// Numbers that a lookup gives a position.
    pub fn width(&self) -> usize {
        self.each() * self.head_dim
    }
}
