//! What proposes ids for another model to verify.

use crate::noise::Noise;
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

/// A sequence for which a tree is wanted.
#[derive(Clone, Copy, Debug)]
pub struct TreeAsk {
    /// The sequence.
    pub sequence: usize,
    /// How many nodes at most.
    pub nodes: usize,
    /// The law that children are drawn from.
    pub sampling: Sampling,
    /// The random numbers of the request.
    pub noise: Noise,
    /// The position of the root's children.
    pub begin: u64,
    /// How children come about.
    pub children: Children,
    /// What is expected of them.
    pub hopes: Hopes,
}

/// How children come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// Drawn without replacement, with random numbers of their own; what verifies by their chances asks for this.
    Drawn,
    /// Drawn without replacement, with the numbers by which the target draws at their position.
    Shared,
    /// The likeliest.
    Likeliest,
}

/// What is expected of children, by which a tree grows where it likely pays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hopes {
    /// With which chance a first child is accepted, where its law says nothing; the likelier its likeliest id, the more.
    pub first: f32,
    /// What part of this each sibling has of the one before it.
    pub sibling: f32,
}

impl Default for Hopes {
    fn default() -> Self {
        Self { first: 0.65, sibling: 0.4 }
    }
}

/// Trees of ids, one for each ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trees {
    /// Ids of the nodes of all asks; parents come before their children, and siblings in the order in which they were drawn.
    pub ids: Vec<u32>,
    /// The parent of each in its tree, -1 for the root.
    pub parents: Vec<i32>,
    /// Where the nodes of each ask end.
    pub ends: Vec<usize>,
    /// Of each tree the law that the children of the root were drawn from, and those of each node; empty where there are no
    /// children. Where laws are kept.
    pub laws: Laws,
}

impl Trees {
    /// Forgets all.
    pub fn clear(&mut self) {
        let Self { ids, parents, ends, laws } = self;
        ids.clear();
        parents.clear();
        ends.clear();
        laws.clear();
    }
}

impl Laws {
    /// Forgets all.
    pub fn clear(&mut self) {
        let Self { ids, chances, ends } = self;
        ids.clear();
        chances.clear();
        ends.clear();
    }
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
        laws.clear();
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

/// A drafter of trees.
pub trait DraftTrees: Draft {
    /// Proposes a tree for each that asks, in one call. Sequences stay as they are.
    fn propose_trees(&mut self, asks: &[TreeAsk], laws: bool, out: &mut Trees) -> Result<(), Self::Error>;
}
