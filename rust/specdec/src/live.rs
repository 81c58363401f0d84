//! What steps read and write of each request that runs: a line of the cache each, one behind the other.
//!
//! A step goes through all of them, so they lie in the order in which it does and not in their slots. What is asked for once
//! in a while stays with the [`Request`](crate::request::Request).

use thrifty_base::prefetch::prefetch;

use crate::choose::Ask;
use crate::pool::Pool;
use crate::prefix::{self, Prefixes};
use crate::request::{Handle, Request};
use crate::texts::Text;

/// A request that runs.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Live {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// The prompt, and what followed.
    pub(crate) text: Text,
    /// Key of the last block that is full of computed tokens.
    pub(crate) key: u128,
    /// The last of them.
    pub(crate) last: u32,
    pub(crate) prompt: u32,
    /// Most tokens.
    pub(crate) limit: u32,
    /// Tokens from the first on that the cache holds.
    pub(crate) computed: u32,
    /// Blocks in its row of the table.
    pub(crate) blocks: u32,
    /// Its row of the block table.
    pub(crate) row: u32,
    pub(crate) max_gamma: u8,
    /// Whether there are ids that end it.
    pub(crate) stops: bool,
}

const _: () = assert!(size_of::<Live>() == 64);

impl Live {
    /// A request begins to run, in a row of the table.
    pub(crate) fn begin(slot: u32, request: &Request, last: u32, row: u32) -> Self {
        Self {
            slot,
            generation: request.generation,
            text: request.text,
            key: prefix::root(request.salt),
            last,
            prompt: request.prompt,
            limit: request.limit,
            computed: 0,
            blocks: 0,
            row,
            max_gamma: request.max_gamma,
            stops: !request.stop.is_empty(),
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.slot, self.generation)
    }

    /// Tokens that the cache does not hold yet: one where it decodes, more in a prompt.
    #[inline]
    pub(crate) fn known(&self) -> u32 {
        self.text.len() - self.computed
    }

    /// What it asks a policy when so many of its known tokens are in the step.
    #[inline]
    pub(crate) fn ask(&self, fresh: u32) -> Ask {
        Ask { slot: self.slot, cap: self.room() as u8, weight: 1.0, kv: self.computed + fresh }
    }

    /// Drafts that could all be accepted, with one more id to follow.
    #[inline]
    pub(crate) fn room(&self) -> u32 {
        (self.limit - self.text.len()).saturating_sub(1).min(u32::from(self.max_gamma))
    }
}

/// The blocks of those that run: rows of `stride` numbers, -1 where there is none. Its memory stays in one place.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) numbers: Vec<i32>,
    pub(crate) stride: usize,
    pub(crate) free: Vec<u32>,
}

impl Table {
    pub(crate) fn new(rows: u32, stride: usize) -> Self {
        Self { numbers: vec![-1; rows as usize * stride], stride, free: (0..rows).rev().collect() }
    }

    #[inline]
    pub(crate) fn row(&self, row: u32) -> &[i32] {
        &self.numbers[row as usize * self.stride..][..self.stride]
    }

    /// Gives a request blocks until it has `count`; there must be as many.
    #[inline]
    pub(crate) fn grow(&mut self, one: &mut Live, count: u32, pool: &mut Pool, prefixes: &mut Prefixes) {
        if one.blocks >= count {
            return;
        }
        let row = &mut self.numbers[one.row as usize * self.stride..][..self.stride];
        while one.blocks < count {
            let Some((block, key)) = pool.take() else {
                debug_assert!(false, "blocks were counted before");
                return;
            };
            if let Some(key) = key {
                prefixes.forget(key, block);
                if let Some(next) = pool.next_key() {
                    prefixes.expect(next);
                }
            }
            row[one.blocks as usize] = block as i32;
            one.blocks += 1;
        }
    }

    /// Lets all blocks of a request go but the first `keep`, the last one first: so the first is forgotten last.
    #[inline]
    pub(crate) fn shrink(&mut self, one: &mut Live, keep: u32, pool: &mut Pool) {
        if one.blocks <= keep {
            return;
        }
        let row = &mut self.numbers[one.row as usize * self.stride..][..self.stride];
        for block in row[keep as usize..one.blocks as usize].iter_mut().rev() {
            pool.release(*block as u32);
            *block = -1;
        }
        one.blocks = keep;
    }

    /// Takes blocks and row from a request.
    pub(crate) fn vacate(&mut self, one: &mut Live, pool: &mut Pool) {
        self.shrink(one, 0, pool);
        self.free.push(one.row);
    }

    /// The last block of a request, or -1.
    #[inline]
    pub(crate) fn last(&self, one: &Live) -> &i32 {
        &self.numbers[one.row as usize * self.stride + (one.blocks as usize).saturating_sub(1)]
    }

    /// Asks memory for where a request writes next.
    #[inline]
    pub(crate) fn expect(&self, one: &Live) {
        prefetch(std::slice::from_ref(self.last(one)));
    }
}
