//! The seed-exact rule (arXiv 2408.07978): the target's own draw at each position, as if there were no drafts.
//!
//! A draw is a race of ids with random numbers of (seed, request, position) alone. A drafter that runs the same race
//! with its law often names the same id; what is emitted does not depend on it, nor on how many ids it drafts.

use thrifty_base::noise::Purpose;

use super::chain::{Chain, Room};
use crate::Result;

/// Writes what is emitted and returns how many drafts were accepted.
pub(super) fn verify(chain: &Chain<'_>, room: &mut Room, tokens: &mut [i64]) -> Result<usize> {
    super::follow(chain, tokens, |i| chain.drawn_at(Purpose::Shared, chain.place(i), room))
}
