//! What a step computes.
//!
//! Every request that runs gets one token. What is left of the step's tokens goes to prompts, the first come first, then
//! to requests that wait, then to drafts. Where blocks are short, nobody gets drafts, then prompts are cut, then the last
//! come lose their blocks and begin again later.

use crate::choose::{Ask, Choice};
use crate::prefix;
use crate::request::{Handle, State};
use crate::scheduler::{Scheduler, Settings, Share};
use crate::step::Step;
use crate::{Error, Result};

/// One part of so many of all blocks is kept for requests that run, before another begins.
const RESERVE: u32 = 100;

impl Scheduler {
    /// Plans a step; without `speculate` nobody gets drafts. A step without rows means that nobody runs or waits.
    pub fn plan(&mut self, speculate: bool) -> Result<&Step> {
        if self.in_flight {
            let what = "it was neither committed nor aborted, and there is one plan at a time";
            return Err(Error::StalePlan { plan: self.step.number, what });
        }
        self.share();
        (self.admitted, self.shared) = (0, 0);
        if !self.fit() {
            self.admit();
        }
        if speculate && self.settings.max_gamma > 0 {
            self.draft();
        }
        self.write();
        self.in_flight = true;
        Ok(&self.step)
    }

    /// Tokens of the step that nobody has yet.
    fn left(&self) -> u32 {
        self.settings.token_budget - self.shares.iter().map(|s| s.fresh).sum::<u32>()
    }

    /// Gives known tokens to those that run.
    fn share(&mut self) {
        self.shares.clear();
        let requests = &self.requests;
        let one = |&slot: &u32| Share { fresh: 1, before: requests[slot as usize].blocks, choice: Choice::default() };
        self.shares.extend(self.running.iter().map(one));
        let long = |i: usize| requests[self.running[i] as usize].known() > 1;
        let mut prompts: Vec<usize> = (0..self.running.len()).filter(|&i| long(i)).collect();
        prompts.sort_unstable_by_key(|&i| requests[self.running[i] as usize].order);
        let mut left = self.settings.token_budget - self.running.len() as u32;
        for i in prompts {
            let more = (requests[self.running[i] as usize].known() - 1).min(left);
            self.shares[i].fresh += more;
            left -= more;
        }
    }

    /// Asks how many drafts those get that give an id, and finds blocks for them.
    fn draft(&mut self) {
        self.asks.clear();
        self.asking.clear();
        let mut tokens = 0;
        for (i, (&slot, share)) in self.running.iter().zip(&self.shares).enumerate() {
            let request = &self.requests[slot as usize];
            tokens += share.fresh;
            let cap = request.room();
            if cap > 0 && share.fresh == request.known() {
                self.asks.push(Ask { slot, cap: cap as u8, weight: 1.0, kv: request.computed + share.fresh });
                self.asking.push(i as u32);
            }
        }
        let mut left = (self.settings.token_budget - tokens) as usize;
        if self.asks.is_empty() || left == 0 {
            return;
        }
        let prompt = tokens as usize - self.asks.len();
        self.chooser.choose(&self.asks, left, prompt, &mut self.choices);
        debug_assert!(self.choices.len() == self.asks.len());
        let mut wanted = 0;
        for (k, &i) in self.asking.iter().enumerate() {
            // Whoever decides may be wrong about what there is.
            let gamma = usize::from(self.choices[k].gamma.min(self.asks[k].cap)).min(left) as u8;
            left -= usize::from(gamma);
            let share = &mut self.shares[i as usize];
            share.choice = Choice { gamma, ..self.choices[k] };
            let request = &self.requests[self.asks[k].slot as usize];
            let tokens = request.computed + share.fresh + u32::from(gamma);
            wanted += self.settings.holding(tokens).saturating_sub(request.blocks);
        }
        if wanted as usize > self.pool.available() {
            self.trim();
        }
        for k in 0..self.asking.len() {
            let i = self.asking[k] as usize;
            let (slot, share) = (self.running[i], self.shares[i]);
            let tokens = self.requests[slot as usize].computed + share.fresh + u32::from(share.choice.gamma);
            self.grow(slot, self.settings.holding(tokens));
        }
    }

    /// Cuts drafts until there are blocks for them: the first come get theirs first.
    fn trim(&mut self) {
        let mut order = self.asking.clone();
        order.sort_unstable_by_key(|&i| self.requests[self.running[i as usize] as usize].order);
        let mut available = self.pool.available() as u32;
        for i in order {
            let (i, fresh) = (i as usize, self.shares[i as usize].fresh);
            let most = self.shares[i].choice.gamma;
            let fits = |gamma: u8| self.needed(i, fresh + u32::from(gamma)) <= available;
            let gamma = (0..=most).rev().find(|&gamma| fits(gamma)).unwrap_or(0);
            available -= self.needed(i, fresh + u32::from(gamma));
            self.shares[i].choice.gamma = gamma;
        }
    }

    fn needed(&self, i: usize, tokens: u32) -> u32 {
        let request = &self.requests[self.running[i] as usize];
        self.settings.holding(request.computed + tokens).saturating_sub(request.blocks)
    }

    /// Gives blocks for known tokens, or makes shares that there are blocks for; says whether somebody lost theirs.
    fn fit(&mut self) -> bool {
        let all: usize = (0..self.running.len()).map(|i| self.needed(i, self.shares[i].fresh) as usize).sum();
        let short = if all > self.pool.available() { self.cut() } else { false };
        if all > 0 {
            for i in 0..self.running.len() {
                let (slot, fresh) = (self.running[i], self.shares[i].fresh);
                let count = self.settings.holding(self.requests[slot as usize].computed + fresh);
                self.grow(slot, count);
            }
        }
        short
    }

    /// Cuts shares until there are blocks for them.
    fn cut(&mut self) -> bool {
        let mut order: Vec<usize> = (0..self.running.len()).collect();
        order.sort_unstable_by_key(|&i| self.requests[self.running[i] as usize].order);
        let mut lost = vec![false; order.len()];
        let (mut available, mut short) = (self.pool.available() as u32, false);
        let mut last = order.len();
        for at in 0..order.len() {
            let i = order[at];
            while !lost[i] {
                // As many known tokens as fit what it holds and what is left.
                let request = &self.requests[self.running[i] as usize];
                let holds = (request.blocks + available).saturating_mul(self.settings.block_size);
                let fresh = self.shares[i].fresh.min(holds.saturating_sub(request.computed));
                if fresh > 0 {
                    self.shares[i].fresh = fresh;
                    available -= self.needed(i, fresh);
                    break;
                }
                last -= 1;
                let victim = order[last];
                let slot = self.running[victim];
                lost[victim] = true;
                short = true;
                self.vacate(slot);
                let request = &mut self.requests[slot as usize];
                request.state = State::Waiting;
                self.waiting.insert((request.order, slot));
                self.stats.preempted += 1;
                // What the victim let go, and what it was given in this step: nothing, it comes behind.
                available = self.pool.available() as u32 - self.granted(&order[..at]);
            }
        }
        let mut place = 0;
        self.shares.retain(|_| {
            place += 1;
            !lost[place - 1]
        });
        place = 0;
        self.running.retain(|_| {
            place += 1;
            !lost[place - 1]
        });
        short
    }

    /// Blocks that known tokens of some of those that run still need.
    fn granted(&self, some: &[usize]) -> u32 {
        some.iter().map(|&i| self.needed(i, self.shares[i].fresh)).sum()
    }

    /// Lets requests begin that wait, while there are rows, tokens and blocks.
    fn admit(&mut self) {
        let Settings { blocks, block_size, max_running, .. } = self.settings;
        let mut left = self.left();
        while left > 0 && (self.running.len() as u32) < max_running {
            let Some(&(order, slot)) = self.waiting.first() else { return };
            let (hits, idle) = self.hits(slot);
            let request = &self.requests[slot as usize];
            // All of what is known: one that begins and loses its blocks at once helps nobody.
            let needed = self.settings.holding(request.tokens.len() as u32) as usize - hits.len();
            let reserve = if self.running.is_empty() { 0 } else { (blocks / RESERVE) as usize };
            if needed + idle + reserve > self.pool.available() {
                return;
            }
            let Some(row) = self.free_rows.pop() else { return };
            self.waiting.remove(&(order, slot));
            let request = &mut self.requests[slot as usize];
            (request.state, request.row) = (State::Running, row);
            (request.computed, request.blocks, request.keyed) =
                (hits.len() as u32 * block_size, hits.len() as u32, hits.len() as u32);
            for (place, &(block, key)) in hits.iter().enumerate() {
                self.pool.share(block);
                self.table[row as usize * self.stride + place] = block as i32;
                request.key = key;
            }
            self.shared += u64::from(request.computed);
            let fresh = request.known().min(left);
            let (computed, class) = (request.computed, request.class);
            left -= fresh;
            self.grow(slot, self.settings.holding(computed + fresh));
            self.running.push(slot);
            self.shares.push(Share { fresh, before: 0, choice: Choice::default() });
            self.admitted += 1;
            self.chooser.admit(slot, class);
        }
    }

    /// Blocks that hold what a request begins with, and their keys; and how many of them nobody holds. The last known token
    /// is not looked for: its scores are needed.
    fn hits(&self, slot: u32) -> (Vec<(u32, u128)>, usize) {
        let request = &self.requests[slot as usize];
        let (mut hits, mut idle) = (Vec::new(), 0);
        if !self.settings.share_prefixes {
            return (hits, idle);
        }
        let mut key = prefix::root(request.salt);
        let known = &request.tokens[..request.tokens.len() - 1];
        for tokens in known.chunks_exact(self.settings.block_size as usize) {
            key = prefix::key(key, tokens);
            let Some(block) = self.prefixes.get(key) else { break };
            idle += usize::from(self.pool.held(block) == 0);
            hits.push((block, key));
        }
        (hits, idle)
    }

    /// Writes the rows: those that give ids first.
    fn write(&mut self) {
        let number = self.step.number + 1;
        self.step.clear(number);
        for giving in [true, false] {
            for (&slot, share) in self.running.iter().zip(&self.shares) {
                let request = &self.requests[slot as usize];
                if (share.fresh == request.known()) != giving {
                    continue;
                }
                let (from, gamma) = (request.computed, u32::from(share.choice.gamma));
                let to = from + share.fresh;
                let step = &mut self.step;
                step.handles.push(Handle::new(slot, request.generation).0);
                step.uids.push(request.uid);
                step.begin.push(i64::from(from));
                step.fresh.push(share.fresh as i32);
                step.gamma.push(share.choice.gamma);
                step.draft.push(share.choice.draft);
                step.table_row.push(request.row as i32);
                step.tokens.extend_from_slice(&request.tokens[from as usize..to as usize]);
                step.tokens.resize(step.tokens.len() + gamma as usize, 0);
                let row = &self.table[request.row as usize * self.stride..][..self.stride];
                let size = self.settings.block_size;
                let (mut block, mut offset) = ((from / size) as usize, from % size);
                for at in from..to + gamma {
                    step.positions.push(at as i32);
                    step.places.push(row[block] * size as i32 + offset as i32);
                    offset += 1;
                    if offset == size {
                        (block, offset) = (block + 1, 0);
                    }
                }
                step.first.push(step.tokens.len() as i32);
                step.temperature.push(request.sampling.temperature);
                step.top_k.push(request.sampling.top_k as u32);
                step.top_p.push(request.sampling.top_p);
                step.min_p.push(request.sampling.min_p);
            }
            if giving {
                self.step.giving = self.step.rows();
            }
        }
    }
}
