//! Blocks of the cache: who holds each, which are free, and which hold a prefix that may come again.
//!
//! A block is held by as many requests as its count says. One that nobody holds is free, or, when its content is
//! published under a key, idle: it can be had again under that key until its memory is needed, the longest idle first.

use bytemuck::{Pod, Zeroable};
use thrifty_base::pages::Pages;
use thrifty_base::prefetch::prefetch;

use crate::Result;

/// No block.
const NONE: u32 = u32::MAX;
/// Free blocks are asked for when so many are to be taken before them.
const SOON: usize = 3;

/// What is known of a block: half a line of the cache, since blocks come and go in no order.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Block {
    /// It counts where the content is published.
    key: u128,
    held: u32,
    // Idle blocks in a ring of links, from the longest idle on.
    before: u32,
    after: u32,
    published: u32,
}

/// A fixed number of blocks.
#[derive(Debug)]
pub struct Pool {
    blocks: Pages<Block>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    idle: usize,
}

impl Pool {
    /// All free; the first to be taken is block 0.
    pub fn new(blocks: u32) -> Result<Self> {
        Ok(Self {
            blocks: Pages::zeros(blocks as usize)?,
            free: (0..blocks).rev().collect(),
            oldest: NONE,
            newest: NONE,
            idle: 0,
        })
    }

    /// How many there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// How many can be taken now, idle ones among them.
    #[inline]
    pub fn available(&self) -> usize {
        self.free.len() + self.idle
    }

    /// How many are idle.
    pub fn idle(&self) -> usize {
        self.idle
    }

    /// How many requests hold a block.
    pub fn held(&self, block: u32) -> u32 {
        self.blocks[block as usize].held
    }

    /// The key under which its content is published.
    #[inline]
    pub fn key(&self, block: u32) -> Option<u128> {
        let Block { key, published, .. } = self.blocks[block as usize];
        (published != 0).then_some(key)
    }

    /// A block that nobody holds, from now on held once; and the key that an idle one had, which holds nothing any more.
    #[inline]
    pub fn take(&mut self) -> Option<(u32, Option<u128>)> {
        let block = match self.free.pop() {
            Some(block) => {
                if let Some(&later) = self.free.len().checked_sub(SOON).and_then(|at| self.free.get(at)) {
                    self.expect(later);
                }
                block
            }
            None if self.oldest == NONE => return None,
            None => {
                let block = self.oldest;
                self.unlink(block);
                // The one after the next is asked for now: its turn may come soon.
                if let Some(next) = self.blocks.get(self.oldest as usize) {
                    self.expect(next.after);
                }
                block
            }
        };
        let key = self.key(block);
        let own = &mut self.blocks[block as usize];
        (own.held, own.published) = (1, 0);
        Some((block, key))
    }

    /// Asks memory for what is known of a block.
    #[inline]
    pub fn expect(&self, block: u32) {
        if let Some(block) = self.blocks.get(block as usize) {
            prefetch(std::slice::from_ref(block));
        }
    }

    /// The key of the block that is to be taken after all free ones.
    #[inline]
    pub fn next_key(&self) -> Option<u128> {
        self.blocks.get(self.oldest as usize).map(|block| block.key)
    }

    /// Holds a block that is held, or idle, once more.
    pub fn share(&mut self, block: u32) {
        if self.blocks[block as usize].held == 0 {
            self.unlink(block);
        }
        self.blocks[block as usize].held += 1;
    }

    /// Lets a block go once.
    #[inline]
    pub fn release(&mut self, block: u32) {
        let own = &mut self.blocks[block as usize];
        debug_assert!(own.held > 0, "block {block} is let go more often than it was held");
        own.held -= 1;
        if own.held > 0 {
            return;
        }
        if own.published == 0 {
            self.free.push(block);
            return;
        }
        (own.before, own.after) = (self.newest, NONE);
        match self.newest {
            NONE => self.oldest = block,
            newest => self.blocks[newest as usize].after = block,
        }
        self.newest = block;
        self.idle += 1;
    }

    /// Publishes the content of a held block.
    #[inline]
    pub fn publish(&mut self, block: u32, key: u128) {
        let own = &mut self.blocks[block as usize];
        debug_assert!(own.held > 0);
        (own.key, own.published) = (key, 1);
    }

    fn unlink(&mut self, block: u32) {
        let Block { before, after, .. } = self.blocks[block as usize];
        match before {
            NONE => self.oldest = after,
            before => self.blocks[before as usize].after = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.blocks[after as usize].before = before,
        }
        self.idle -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a twin that keeps counts in a map and idle blocks in a list.
        #[test]
        fn as_a_list_would(steps in prop::collection::vec((0u8..4, 0usize..64), 0..400)) {
            let mut pool = Pool::new(7).unwrap();
            let mut held: HashMap<u32, u32> = HashMap::new();
            let mut keys: HashMap<u32, u128> = HashMap::new();
            let mut idle: VecDeque<u32> = VecDeque::new();
            for (step, (what, which)) in steps.into_iter().enumerate() {
                let mut some: Vec<u32> = held.keys().copied().collect();
                some.sort_unstable();
                match what {
                    0 => {
                        let found = pool.take();
                        if held.len() + idle.len() < 7 {
                            let (block, key) = found.unwrap();
                            prop_assert!(key.is_none() && !held.contains_key(&block) && !idle.contains(&block));
                            held.insert(block, 1);
                        } else if let Some(oldest) = idle.pop_front() {
                            prop_assert_eq!(found, Some((oldest, keys.remove(&oldest))));
                            held.insert(oldest, 1);
                        } else {
                            prop_assert_eq!(found, None);
                        }
                    }
                    1 if !some.is_empty() => {
                        let block = some[which % some.len()];
                        pool.release(block);
                        let count = held.get_mut(&block).unwrap();
                        *count -= 1;
                        if *count == 0 {
                            held.remove(&block);
                            if keys.contains_key(&block) {
                                idle.push_back(block);
                            }
                        }
                    }
                    2 if !some.is_empty() => {
                        let block = some[which % some.len()];
                        pool.publish(block, step as u128);
                        keys.insert(block, step as u128);
                    }
                    3 if !(some.is_empty() && idle.is_empty()) => {
                        let mut all: Vec<u32> = some.iter().chain(&idle).copied().collect();
                        all.sort_unstable();
                        let block = all[which % all.len()];
                        pool.share(block);
                        idle.retain(|&b| b != block);
                        *held.entry(block).or_default() += 1;
                    }
                    _ => {}
                }
                prop_assert_eq!(pool.available(), 7 - held.len());
                prop_assert_eq!(pool.idle(), idle.len());
                prop_assert!((0..7).all(|b| pool.held(b) == held.get(&b).copied().unwrap_or(0)));
            }
        }
    }
}
