//! Which drafts of a chain are accepted and what follows them, so that what is emitted has the target's law.
//!
//! | file | what |
//! | --- | --- |
//! | `batch` | the batch call and its checks |
//! | `chain` | one request: laws, random numbers |
//! | `rows`, `kernels` | rows of p and q, and what is done with all their numbers |
//! | `left` | what p has more than q, as a race asks for it |
//! | `params`, `seen` | settings of requests, and penalties of ids seen |
//! | `token`, `block`, `greedy`, `seed_exact` | a rule each |
//! | `tree`, `tree_block` | several drafts at a position; by the block rule |

mod batch;
mod block;
mod chain;
mod greedy;
mod kernels;
mod lanes;
mod left;
mod params;
mod rows;
mod seed_exact;
mod seen;
mod token;
mod tree;
mod tree_block;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Drafted, verify};
pub use params::Params;
pub use rows::Numbers;
pub use tree::{Trees, ancestors, verify_trees};

use chain::{Chain, Room};

use crate::Result;

/// What decides on drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One after the other, each by its chances alone.
    Token,
    /// All together: the same law, and no rule accepts more.
    Block,
    /// Those that the target finds best.
    Greedy,
    /// Those that the target draws itself, by random numbers that are the same without drafts.
    SeedExact,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::Block, Self::Greedy, Self::SeedExact];

    /// The name of a rule.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Block => "block",
            Self::Greedy => "greedy",
            Self::SeedExact => "seed_exact",
        }
    }

    /// Decides on one chain.
    fn verify(self, chain: &Chain<'_>, room: &mut Room, tokens: &mut [i64]) -> Result<usize> {
        match self {
            Self::Token => token::verify(chain, room, tokens),
            Self::Block => block::verify(chain, room, tokens),
            Self::Greedy => greedy::verify(chain, room, tokens),
            Self::SeedExact => seed_exact::verify(chain, room, tokens),
        }
    }
}

/// Emits what the target has at each position as long as that is the draft, and one more.
fn follow(chain: &Chain<'_>, tokens: &mut [i64], mut own: impl FnMut(usize) -> Result<usize>) -> Result<usize> {
    for (i, &id) in chain.draft.iter().enumerate() {
        tokens[i] = own(i)? as i64;
        if tokens[i] != id {
            return Ok(i);
        }
    }
    tokens[chain.draft.len()] = own(chain.draft.len())? as i64;
    Ok(chain.draft.len())
}
