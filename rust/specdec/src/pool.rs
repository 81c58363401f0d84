//! Blocks of the cache: who holds each, which are free, and which hold a prefix that may come again.
//!
//! A block is held by as many requests as its count says. One that nobody holds is free, or, when its content is
//! published under a key, idle: it can be had again under that key until its memory is needed, the longest idle first.

/// No block.
const NONE: u32 = u32::MAX;

/// A fixed number of blocks.
#[derive(Clone, Debug)]
pub struct Pool {
    held: Vec<u32>,
    free: Vec<u32>,
    keys: Vec<Option<u128>>,
    // Idle blocks in a ring of links, from the longest idle on.
    before: Vec<u32>,
    after: Vec<u32>,
    oldest: u32,
    newest: u32,
    idle: usize,
}

impl Pool {
    /// All free; the first to be taken is block 0.
    pub fn new(blocks: u32) -> Self {
        let n = blocks as usize;
        Self {
            held: vec![0; n],
            free: (0..blocks).rev().collect(),
            keys: vec![None; n],
            before: vec![NONE; n],
            after: vec![NONE; n],
            oldest: NONE,
            newest: NONE,
            idle: 0,
        }
    }

    /// How many there are.
    pub fn blocks(&self) -> usize {
        self.held.len()
    }

    /// How many can be taken now, idle ones among them.
    pub fn available(&self) -> usize {
        self.free.len() + self.idle
    }

    /// How many are idle.
    pub fn idle(&self) -> usize {
        self.idle
    }

    /// How many requests hold a block.
    pub fn held(&self, block: u32) -> u32 {
        self.held[block as usize]
    }

    /// The key under which its content is published.
    pub fn key(&self, block: u32) -> Option<u128> {
        self.keys[block as usize]
    }

    /// A block that nobody holds, from now on held once; and the key that an idle one had, which holds nothing any more.
    #[inline]
    pub fn take(&mut self) -> Option<(u32, Option<u128>)> {
        let (block, key) = match self.free.pop() {
            Some(block) => (block, None),
            None if self.oldest == NONE => return None,
            None => {
                let block = self.oldest;
                self.unlink(block);
                (block, self.keys[block as usize].take())
            }
        };
        self.held[block as usize] = 1;
        Some((block, key))
    }

    /// Holds a block that is held, or idle, once more.
    pub fn share(&mut self, block: u32) {
        if self.held[block as usize] == 0 {
            self.unlink(block);
        }
        self.held[block as usize] += 1;
    }

    /// Lets a block go once.
    #[inline]
    pub fn release(&mut self, block: u32) {
        let held = &mut self.held[block as usize];
        debug_assert!(*held > 0, "block {block} is let go more often than it was held");
        *held -= 1;
        if *held > 0 {
            return;
        }
        if self.keys[block as usize].is_none() {
            self.free.push(block);
            return;
        }
        self.before[block as usize] = self.newest;
        self.after[block as usize] = NONE;
        match self.newest {
            NONE => self.oldest = block,
            newest => self.after[newest as usize] = block,
        }
        self.newest = block;
        self.idle += 1;
    }

    /// Publishes the content of a held block.
    pub fn publish(&mut self, block: u32, key: u128) {
        debug_assert!(self.held[block as usize] > 0);
        self.keys[block as usize] = Some(key);
    }

    fn unlink(&mut self, block: u32) {
        let (before, after) = (self.before[block as usize], self.after[block as usize]);
        match before {
            NONE => self.oldest = after,
            before => self.after[before as usize] = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.before[after as usize] = before,
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
            let mut pool = Pool::new(7);
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
