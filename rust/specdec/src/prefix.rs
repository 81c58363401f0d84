//! Which full blocks hold which tokens, so that requests which begin alike share them.
//!
//! The key of a block is a hash of the key of the block before it and of its own tokens, so it stands for all tokens up to
//! its end. Equal keys are taken for equal tokens: of 2^40 blocks, two that differ agree with probability 2^-49.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use thrifty_base::hash::xxh3_128_with_seed;

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

/// Published blocks by their keys.
#[derive(Clone, Debug, Default)]
pub struct Prefixes {
    blocks: HashMap<u128, u32, BuildHasherDefault<Half>>,
}

/// Keys are hashes already.
#[derive(Clone, Debug, Default)]
struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

impl Prefixes {
    /// The block of a key.
    pub fn get(&self, key: u128) -> Option<u32> {
        self.blocks.get(&key).copied()
    }

    /// Publishes a block; says no where another one has the key.
    pub fn publish(&mut self, key: u128, block: u32) -> bool {
        let new = !self.blocks.contains_key(&key);
        if new {
            self.blocks.insert(key, block);
        }
        new
    }

    /// Forgets a key whose block has another use now.
    pub fn forget(&mut self, key: u128) {
        self.blocks.remove(&key);
    }

    /// How many blocks are published.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_first_block_of_a_key_stays() {
        let mut prefixes = Prefixes::default();
        assert!(prefixes.publish(5, 1) && !prefixes.publish(5, 2));
        assert_eq!(prefixes.get(5), Some(1));
        prefixes.forget(5);
        assert!(prefixes.get(5).is_none() && prefixes.is_empty());
    }
}
