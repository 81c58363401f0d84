//! Which full blocks hold which tokens, so that requests which begin alike share them.
//!
//! The key of a block is a hash of the key of the block before it and of its own tokens, so it stands for all tokens up to
//! its end. Equal keys are taken for equal tokens: of 2^40 blocks, two that differ agree with probability 2^-49.

use bytemuck::{Pod, Zeroable};
use thrifty_base::hash::xxh3_128_with_seed;
use thrifty_base::pages::Pages;
use thrifty_base::prefetch::prefetch;

use crate::Result;
use crate::pool::Pool;

/// The key of a block of tokens behind the block with key `before`.
pub fn key(before: u128, tokens: &[u32]) -> u128 {
    let seed = before as u64 ^ (before >> 64) as u64;
    // The half that the seed does not hold goes in by itself.
    xxh3_128_with_seed(bytemuck::cast_slice(tokens), seed) ^ before.rotate_left(64)
}

/// The key before the first block: tokens with another salt (an adapter, a tenant) are other tokens.
pub fn root(salt: u64) -> u128 {
    xxh3_128_with_seed(b"thrifty.specdec.prefix", salt)
}

/// A place of the table: a part of a key, and the block that is published under it.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Place {
    part: u32,
    /// Its number and 1; 0 where there is none.
    block: u32,
}

/// Published blocks by their keys: an open table of places that is never more than half full. The keys themselves lie
/// with the blocks, so that a place is small and a look at a line of the cache is most often all.
#[derive(Debug)]
pub struct Prefixes {
    places: Pages<Place>,
    len: usize,
}

/// Keys are hashes already.
fn part(key: u128) -> u32 {
    key as u32
}

impl Prefixes {
    /// Bytes of the table for so many blocks.
    pub fn bytes(blocks: u32) -> u64 {
        (2 * u64::from(blocks)).next_power_of_two() * size_of::<Place>() as u64
    }

    /// An empty table for so many blocks.
    pub fn new(blocks: u32) -> Result<Self> {
        Ok(Self { places: Pages::zeros(Self::bytes(blocks) as usize / size_of::<Place>())?, len: 0 })
    }

    fn home(&self, part: u32) -> usize {
        part as usize & (self.places.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    /// The block of a key, or the place that it would have.
    #[inline]
    fn look(&self, key: u128, pool: &Pool) -> std::result::Result<u32, usize> {
        let mut at = self.home(part(key));
        loop {
            let place = self.places[at];
            let Some(block) = place.block.checked_sub(1) else { return Err(at) };
            if place.part == part(key) && pool.key(block) == Some(key) {
                return Ok(block);
            }
            at = self.after(at);
        }
    }

    /// The block of a key.
    pub fn get(&self, key: u128, pool: &Pool) -> Option<u32> {
        self.look(key, pool).ok()
    }

    /// Publishes a block that holds what a key stands for, unless another one has the key.
    #[inline]
    pub fn publish(&mut self, key: u128, block: u32, pool: &mut Pool) {
        if let Err(at) = self.look(key, pool) {
            self.places[at] = Place { part: part(key), block: block + 1 };
            self.len += 1;
            pool.publish(block, key);
        }
    }

    /// Forgets a block that was published under a key, and has another use now.
    #[inline]
    pub fn forget(&mut self, key: u128, block: u32) {
        let mut hole = self.home(part(key));
        while self.places[hole].block != block + 1 {
            if self.places[hole].block == 0 {
                return;
            }
            hole = self.after(hole);
        }
        // Those behind move up, so that no look ends before its time.
        let mut at = self.after(hole);
        while self.places[at].block != 0 {
            let way = |from: usize| at.wrapping_sub(from) & (self.places.len() - 1);
            if way(self.home(self.places[at].part)) >= way(hole) {
                self.places[hole] = self.places[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.places[hole].block = 0;
        self.len -= 1;
    }

    /// Asks memory for where a key is looked for.
    #[inline]
    pub fn expect(&self, key: u128) {
        prefetch(&self.places[self.home(part(key))..][..1]);
    }

    /// How many blocks are published.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_tell_all_that_came_before() {
        let tokens = [1u32, 2, 3, 4];
        let first = key(root(0), &tokens);
        let mut seen = std::collections::HashSet::new();
        for before in [root(0), root(1), first, first.swap_bytes(), first ^ (1 << 64 | 1)] {
            for tokens in [[1u32, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 5]] {
                assert!(seen.insert(key(before, &tokens)));
            }
        }
    }

    proptest! {
        /// Against a map, with keys whose parts meet and whose homes lie at both ends of the table.
        #[test]
        fn as_a_map_would(steps in prop::collection::vec((any::<bool>(), 0u32..9, 0usize..12), 0..300)) {
            const KEYS: [u128; 12] = [0, 1, 2, 15, 16, 31, 31 << 64, 15 << 64, 47, 63 | 1 << 90, 63, 1 << 32];
            let (mut pool, mut prefixes) = (Pool::new(9).unwrap(), Prefixes::new(9).unwrap());
            let mut twin: HashMap<u128, u32> = HashMap::new();
            (0..9).for_each(|_| _ = pool.take());
            for (publish, block, which) in steps {
                let has = twin.iter().find(|(_, b)| **b == block).map(|(&key, _)| key);
                match has {
                    None if publish => {
                        prefixes.publish(KEYS[which], block, &mut pool);
                        twin.entry(KEYS[which]).or_insert(block);
                    }
                    // Let go, found again or not, and taken for something else.
                    Some(key) if !publish => {
                        pool.release(block);
                        prop_assert_eq!(pool.take(), Some((block, Some(key))));
                        prefixes.forget(key, block);
                        twin.remove(&key);
                    }
                    _ => {}
                }
                for key in KEYS {
                    prop_assert_eq!(prefixes.get(key, &pool), twin.get(&key).copied());
                }
                prop_assert_eq!(prefixes.len(), twin.len());
            }
        }
    }
}
