//! The greedy rule: what the target finds best, of equal ids the first, as if there were no drafts.

use super::chain::{Chain, Place, Room};
use crate::Result;

/// Writes what is emitted and returns how many drafts were accepted.
pub(super) fn verify(chain: &Chain<'_>, room: &mut Room, tokens: &mut [i64]) -> Result<usize> {
    super::follow(chain, tokens, |i| {
        let place = Place { row: i, drafts: chain.draft, position: i };
        chain.best_at(place, &mut room.p)
    })
}
