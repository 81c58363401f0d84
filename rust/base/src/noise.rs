//! Which random numbers decide what, so that no two decisions share one.
//!
//! A verifier accepts a draft or not, and what it saw then must say nothing of what is drawn later. So each purpose has
//! a stream of its own, and each round of drafting too: rules that look at a whole chain (block verification) know
//! something of positions behind the one that they stop at, and the next round draws for those again.
//!
//! ```text
//! key      mix64(mix64(seed) ^ mix64(uid + 1))           a request; uids of one seed give different keys
//! stream   begin << 8 | purpose                          begin: the position of the round's first draft; 0 for Shared
//!          node << 48 | begin << 8 | purpose             what follows a node of a tree; the root is 0, begin below 2^40
//! counter  position << 24 | word / 4                     word: which of the row's words an id has a half of; see sampling
//! ```

use crate::hash::mix64;
use crate::philox::Philox;

/// What a random number decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Which id a drafter proposes.
    Draft = 1,
    /// Whether a proposal is accepted.
    Accept = 2,
    /// What stands in the place of the first proposal that was not.
    Resample = 3,
    /// What follows when all were.
    Bonus = 4,
    /// What drafter and verifier both draw with: the seed-exact rule. The same in all rounds.
    Shared = 5,
}

/// The random numbers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    key: u64,
}

impl Noise {
    /// Those of request `uid` under `seed`.
    pub const fn new(seed: u64, uid: u64) -> Self {
        Self { key: mix64(mix64(seed) ^ mix64(uid.wrapping_add(1))) }
    }

    /// Those that serve a purpose in the round whose first draft stands at position `begin`, which is below 2^56.
    pub const fn of(self, purpose: Purpose, begin: u64) -> Philox {
        let begin = if matches!(purpose, Purpose::Shared) { 0 } else { begin };
        Philox::new(self.key, begin << 8 | purpose as u64)
    }
}

impl Noise {
    /// Those that serve a purpose behind a node of a round's tree: 0 for the root, `k + 1` for node `k`, which is below
    /// 255. Nodes at one position have numbers of their own, since what a tree grows depends on all of them; but for
    /// [`Purpose::Shared`], by which the target draws as well.
    pub const fn behind(self, purpose: Purpose, begin: u64, node: u64) -> Philox {
        self.of(purpose, node << 40 | begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_streams_meet() {
        let all = [Purpose::Draft, Purpose::Accept, Purpose::Resample, Purpose::Bonus];
        let mut seen = std::collections::HashSet::new();
        for (seed, uid) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let noise = Noise::new(seed, uid);
            for purpose in all {
                for begin in 0..50 {
                    assert!(seen.insert(noise.of(purpose, begin).words_at(7 << 24)));
                    assert!(seen.insert(noise.behind(purpose, begin, 1 + begin % 5).words_at(7 << 24)));
                }
            }
            assert!(seen.insert(noise.of(Purpose::Shared, 3).words_at(7 << 24)));
            assert_eq!(noise.of(Purpose::Shared, 3), noise.of(Purpose::Shared, 9));
            assert_eq!(noise.of(Purpose::Shared, 3), noise.behind(Purpose::Shared, 9, 4));
            assert_eq!(noise.of(Purpose::Draft, 3), noise.behind(Purpose::Draft, 3, 0));
        }
    }
}
