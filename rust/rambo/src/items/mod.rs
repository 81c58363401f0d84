//! From documents to sets of hashed items: DNA k-mers or word n-grams.

pub mod distinct;
pub mod dna;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where an n-gram ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Within {
    /// N-grams run over line ends.
    Document,
    /// N-grams stay inside a line.
    Line,
}

/// What an item is. Stored in the index: queries are cut the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Items {
    /// Canonical k-mers of A, C, G, T.
    Dna {
        /// Length, 1 to 63.
        k: u32,
    },
    /// Runs of n words.
    Text {
        /// Words in an item.
        n: u32,
        /// Whether items run over line ends.
        within: Within,
    },
}

impl Items {
    /// Canonical k-mers; `k` from 1 to 63.
    pub fn dna(k: u32) -> Result<Self> {
        if !(1..=dna::MAX_K).contains(&k) {
            return Err(Error::argument("k", format!("{k} is not possible; k-mers have 1 to {} letters", dna::MAX_K)));
        }
        Ok(Self::Dna { k })
    }

    /// Word n-grams; `n` from 1 to 1,000.
    pub fn text(n: u32, within: Within) -> Result<Self> {
        if !(1..=1000).contains(&n) {
            return Err(Error::argument("n", format!("{n} is not possible; n-grams have 1 to 1000 words")));
        }
        Ok(Self::Text { n, within })
    }

    /// Refuses what a damaged or hostile file may hold.
    pub fn check(self) -> Result<Self> {
        match self {
            Self::Dna { k } => Self::dna(k),
            Self::Text { n, within } => Self::text(n, within),
        }
    }

    /// The words that messages use for it.
    pub fn describe(self) -> String {
        match self {
            Self::Dna { k } => format!("canonical {k}-mers"),
            Self::Text { n, within: Within::Document } => format!("word {n}-grams"),
            Self::Text { n, within: Within::Line } => format!("word {n}-grams within lines"),
        }
    }

    /// Hashes of the items of one sequence or text, in order, repeats included. Returns how many windows were skipped
    /// for letters other than A, C, G, T (always 0 for text).
    pub fn hashes(self, bytes: &[u8], out: &mut Vec<u64>) -> u64 {
        match self {
            Self::Dna { k } => dna::hashes(bytes, k, out),
            Self::Text { n, within } => {
                let mut grams = text::Grams::new(n, within);
                grams.push(bytes, out);
                grams.end_document(out);
                0
            }
        }
    }
}
