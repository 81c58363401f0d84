//! What proposes ids for another model to verify.

use crate::philox::Philox;
use crate::sampling::Sampling;

/// A sequence for which ids are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The sequence, as [`Draft::open`] or [`Draft::fork`] named it.
    pub sequence: usize,
    /// How many ids at most; a drafter may propose fewer.
    pub tokens: usize,
    /// The law that its ids are drawn from.
    pub sampling: Sampling,
    /// What decides: an id at a position of the sequence is the one that wins [`race`](crate::sampling::race) there.
    pub random: Philox,
}

/// Chains of ids, one for each ask, and the laws that they were drawn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposals {
    /// Ids of all asks, one chain after the other.
    pub ids: Vec<u32>,
    /// The probability that each of them had.
    pub chances: Vec<f32>,
    /// Where the chain of each ask ends in `ids`.
    pub ends: Vec<usize>,
    /// The law of each id, where laws are kept.
    pub laws: Laws,
}

/// Laws as lists of ids and their probabilities, which come to 1; others have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Laws {
    /// Ids, ascending in each law.
    pub ids: Vec<u32>,
    /// Their probabilities.
    pub chances: Vec<f32>,
    /// Where each law ends.
    pub ends: Vec<usize>,
}

impl Proposals {
    /// Forgets all.
    pub fn clear(&mut self) {
        let Self { ids, chances, ends, laws } = self;
        ids.clear();
        chances.clear();
        ends.clear();
        laws.ids.clear();
        laws.chances.clear();
        laws.ends.clear();
    }
}

/// A drafter: it knows sequences, and proposes what may follow them.
///
/// Ids that it proposes become a part of their sequence. Who verifies them truncates to what was accepted and appends
/// what the verifier drew in the place of the rest.
pub trait Draft {
    /// What can go wrong.
    type Error;

    /// Ids are below.
    fn vocab(&self) -> usize;

    /// A new sequence of ids.
    fn open(&mut self, ids: &[u32]) -> Result<usize, Self::Error>;

    /// A new sequence that begins as another is now.
    fn fork(&mut self, sequence: usize) -> Result<usize, Self::Error>;

    /// Ends a sequence; its name may be given again.
    fn close(&mut self, sequence: usize) -> Result<(), Self::Error>;

    /// How many ids a sequence has.
    fn length(&self, sequence: usize) -> Result<usize, Self::Error>;

    /// Appends ids.
    fn append(&mut self, sequence: usize, ids: &[u32]) -> Result<(), Self::Error>;

    /// Takes back all ids from `length` on.
    fn truncate(&mut self, sequence: usize, length: usize) -> Result<(), Self::Error>;

    /// Proposes ids for all that ask, in one call; with `laws`, says what each was drawn from.
    fn propose(&mut self, asks: &[Ask], laws: bool, out: &mut Proposals) -> Result<(), Self::Error>;

    /// How many ids it would propose for a sequence, of `tokens` at most. Who can't tell before drafting says `tokens`.
    fn offer(&mut self, _sequence: usize, tokens: usize) -> Result<usize, Self::Error> {
        Ok(tokens)
    }

    /// How many of the likeliest ids behind each verified id it wants to be told.
    fn wants(&self) -> usize {
        0
    }

    /// What the verifier found likeliest behind the last ids of a text: [`wants`](Draft::wants) ids for each of those, in
    /// the order of the text, the likeliest first.
    fn observe(&mut self, _text: &[u32], _likeliest: &[u32]) -> Result<(), Self::Error> {
        Ok(())
    }
}
