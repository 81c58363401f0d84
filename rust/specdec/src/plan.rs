//! What a step computes.
//!
//! Every request that runs gets one token. What is left of the step's tokens goes to prompts, the first come first, then
//! to requests that wait, then to drafts. Where blocks are short, nobody gets drafts, then prompts are cut, then the last
//! come, or those that weigh least, lose their blocks and begin again later. Prompts get less for the sake of targets, see
//! `pace.rs`.
//!
//! Blocks are counted first and taken when rows are written, so all that runs is gone through three times in a step: to
//! share tokens, to give drafts, and to write.

use crate::choose::Choice;
use crate::live::Live;
use crate::prefix;
use crate::request::State;
use crate::scheduler::{Scheduler, Settings, Share};
use crate::step::{LONG, SHORT, Step};
use crate::{Error, Result};

/// One part of so many of all blocks is kept for requests that run, before another begins.
const RESERVE: u32 = 100;
/// Memory of a request is asked for when so many before it are to be written first.
pub(crate) const AHEAD: usize = 6;
/// So many requests stay in the cache from step to step, and need not be asked for.
pub(crate) const NEAR: usize = 256;

/// What nobody has yet.
#[derive(Clone, Copy)]
struct Left {
    /// Tokens of the step.
    tokens: u32,
    /// Of them, those that prompts may have.
    prompts: u32,
    /// Blocks, less those that known tokens need.
    blocks: u32,
}

impl Settings {
    /// Blocks that a request needs beside its own, to have so many tokens computed.
    #[inline]
    fn needed(&self, one: &Live, tokens: u32) -> u32 {
        self.holding(one.computed + tokens).saturating_sub(one.blocks)
    }
}

impl Scheduler {
    /// Plans a step; without `speculate` nobody gets drafts. A step without rows means that nobody runs or waits.
    pub fn plan(&mut self, speculate: bool) -> Result<&Step> {
        if self.in_flight {
            let what = "it was neither committed nor aborted, and there is one plan at a time";
            return Err(Error::StalePlan { plan: self.step.number, what });
        }
        (self.admitted, self.shared) = (0, 0);
        let preempted = self.stats.preempted;
        let mut left = self.share();
        if self.stats.preempted == preempted {
            self.admit(&mut left);
        }
        if speculate && self.settings.max_gamma > 0 {
            self.draft(&mut left);
        }
        self.write(self.settings.token_budget - left.tokens);
        self.in_flight = true;
        Ok(&self.step)
    }

    /// Gives known tokens to those that run.
    fn share(&mut self) -> Left {
        let settings = self.settings;
        let (mut needed, mut prompts) = (0, Vec::new());
        self.shares.clear();
        self.asks.clear();
        self.asking.clear();
        let Self { shares, asks, asking, .. } = self;
        shares.extend(self.live.iter().enumerate().map(|(i, one)| {
            if one.known() > 1 {
                prompts.push(i);
            } else if one.room() > 0 {
                asks.push(one.ask(1));
                asking.push(i as u32);
            }
            needed += settings.needed(one, 1);
            Share { fresh: 1, before: one.blocks, choice: Choice::NOTHING }
        }));
        // Where some have a prompt left, who asks is found out when it has been shared out.
        self.asked = if prompts.is_empty() { self.live.len() } else { 0 };
        prompts.sort_unstable_by_key(|&i| self.order(i));
        let mut tokens = settings.token_budget - self.live.len() as u32;
        let mut room = self.prompt_room().min(tokens);
        for i in prompts {
            let one = &self.live[i];
            let more = (one.known() - 1).min(room);
            room -= more;
            tokens -= more;
            self.shares[i].fresh += more;
            needed += settings.needed(one, 1 + more) - settings.needed(one, 1);
        }
        if needed as usize > self.pool.available() {
            return self.cut(room);
        }
        Left { tokens, prompts: room, blocks: self.pool.available() as u32 - needed }
    }

    fn order(&self, place: usize) -> (i64, u64) {
        self.requests[self.live[place].slot as usize].order
    }

    /// Cuts shares until there are blocks for them.
    #[cold]
    fn cut(&mut self, prompts: u32) -> Left {
        let settings = self.settings;
        let (claims, mut order) = (self.claims(), (0..self.live.len()).collect::<Vec<_>>());
        order.sort_unstable_by_key(|&i| claims[i]);
        let mut lost = Vec::new();
        let mut available = self.pool.available() as u32;
        let mut last = order.len();
        for at in 0..order.len() {
            let i = order[at];
            while at < last {
                // As many known tokens as fit what it holds and what is left.
                let one = &self.live[i];
                let holds = (one.blocks + available).saturating_mul(settings.block_size);
                let fresh = self.shares[i].fresh.min(holds.saturating_sub(one.computed));
                if fresh > 0 {
                    self.shares[i].fresh = fresh;
                    available -= settings.needed(one, fresh);
                    break;
                }
                last -= 1;
                let victim = order[last];
                lost.push(victim);
                // It comes behind all that were given blocks in this step.
                let before = self.pool.available();
                self.table.vacate(&mut self.live[victim], &mut self.pool);
                available += (self.pool.available() - before) as u32;
                self.stats.preempted += 1;
            }
        }
        lost.sort_unstable_by(|a, b| b.cmp(a));
        for victim in lost {
            self.wait(victim);
            self.shares.swap_remove(victim);
        }
        self.asked = 0;
        let fresh = self.shares.iter().map(|share| share.fresh).sum::<u32>();
        Left { tokens: settings.token_budget - fresh, prompts, blocks: available }
    }

    /// Lets requests begin that wait, while there are rows, tokens and blocks.
    fn admit(&mut self, left: &mut Left) {
        let settings = self.settings;
        while left.prompts.min(left.tokens) > 0 && (self.live.len() as u32) < settings.max_running {
            let Some(&(order, slot)) = self.waiting.first() else { return };
            let (hits, idle) = self.hits(slot);
            let known = self.requests[slot as usize].text.len();
            // All of what is known: one that begins and loses its blocks at once helps nobody.
            let needed = settings.holding(known) - hits.len() as u32;
            let reserve = if self.live.is_empty() { 0 } else { settings.blocks / RESERVE };
            if needed + idle + reserve > left.blocks {
                return;
            }
            let Some(row) = self.table.free.pop() else { return };
            self.waiting.remove(&(order, slot));
            let request = &mut self.requests[slot as usize];
            (request.state, request.at) = (State::Running, self.live.len() as u32);
            let last = self.texts.ids(request.text).last().copied().unwrap_or(0);
            let mut one = Live::begin(slot, request, last, row);
            (one.computed, one.blocks) = (hits.len() as u32 * settings.block_size, hits.len() as u32);
            one.key = hits.last().map_or(one.key, |&(_, key)| key);
            let class = request.class;
            for (place, &(block, _)) in hits.iter().enumerate() {
                self.pool.share(block);
                self.table.numbers[row as usize * self.table.stride + place] = block as i32;
            }
            self.shared += u64::from(one.computed);
            let fresh = one.known().min(left.prompts).min(left.tokens);
            left.tokens -= fresh;
            left.prompts -= fresh;
            left.blocks -= idle + settings.needed(&one, fresh);
            self.live.push(one);
            self.shares.push(Share { fresh, before: 0, choice: Choice::NOTHING });
            self.admitted += 1;
            self.chooser.admit(slot, class);
        }
    }

    /// Blocks that hold what a request begins with, and their keys; and how many of them nobody holds. The last known token
    /// is not looked for: its scores are needed.
    fn hits(&self, slot: u32) -> (Vec<(u32, u128)>, u32) {
        let request = &self.requests[slot as usize];
        let (mut hits, mut idle) = (Vec::new(), 0);
        if !self.settings.share_prefixes {
            return (hits, idle);
        }
        let mut key = prefix::root(request.salt);
        let known = self.texts.ids(request.text);
        let known = &known[..known.len() - 1];
        for tokens in known.chunks_exact(self.settings.block_size as usize) {
            key = prefix::key(key, tokens);
            let Some(block) = self.prefixes.get(key, &self.pool) else { break };
            idle += u32::from(self.pool.held(block) == 0);
            hits.push((block, key));
        }
        (hits, idle)
    }

    /// Asks how many drafts those get that give an id, as far as there are tokens and blocks for them.
    fn draft(&mut self, left: &mut Left) {
        let settings = self.settings;
        if self.asked == 0 {
            self.asks.clear();
            self.asking.clear();
        }
        for (i, (one, share)) in self.live.iter().zip(&self.shares).enumerate().skip(self.asked) {
            if one.room() > 0 && share.fresh == one.known() {
                self.asks.push(one.ask(share.fresh));
                self.asking.push(i as u32);
            }
        }
        if self.asks.is_empty() || left.tokens == 0 {
            return;
        }
        let prompt = (settings.token_budget - left.tokens) as usize - self.asks.len();
        if !self.paces.is_empty() {
            self.weigh();
        }
        self.chooser.choose(&self.asks, left.tokens as usize, prompt, &mut self.choices);
        debug_assert!(self.choices.len() == self.asks.len());
        let mut wanted = 0;
        for ((&i, ask), &choice) in self.asking.iter().zip(&self.asks).zip(&self.choices) {
            // Whoever decides may be wrong about what there is.
            let gamma = u32::from(choice.gamma.min(ask.cap)).min(left.tokens);
            left.tokens -= gamma;
            let (one, share) = (&self.live[i as usize], &mut self.shares[i as usize]);
            share.choice = Choice { gamma: gamma as u8, ..choice };
            wanted += settings.needed(one, share.fresh + gamma) - settings.needed(one, share.fresh);
        }
        if wanted > left.blocks {
            self.trim(left);
        }
    }

    /// Cuts drafts until there are blocks for them: those that keep blocks first get theirs first.
    #[cold]
    fn trim(&mut self, left: &mut Left) {
        let settings = self.settings;
        let (claims, mut order) = (self.claims(), self.asking.clone());
        order.sort_unstable_by_key(|&i| claims[i as usize]);
        for i in order {
            let (one, share) = (&self.live[i as usize], &mut self.shares[i as usize]);
            let more =
                |gamma: u8| settings.needed(one, share.fresh + u32::from(gamma)) - settings.needed(one, share.fresh);
            let most = share.choice.gamma;
            let gamma = (0..=most).rev().find(|&gamma| more(gamma) <= left.blocks).unwrap_or(0);
            left.blocks -= more(gamma);
            left.tokens += u32::from(most - gamma);
            share.choice.gamma = gamma;
        }
    }

    /// Writes the rows: those that give ids first.
    fn write(&mut self, tokens: u32) {
        let gives = |i: usize| self.shares[i].fresh == self.live[i].known();
        self.places.clear();
        self.places.extend((0..self.live.len() as u32).filter(|&i| gives(i as usize)));
        let giving = self.places.len();
        if giving < self.live.len() {
            self.places.extend((0..self.live.len() as u32).filter(|&i| !gives(i as usize)));
        }
        self.step.begin_plan(self.live.len(), giving, tokens as usize);
        let size = self.settings.block_size;
        let most = usize::from(self.settings.max_gamma) + 1;
        let far = self.places.len() > NEAR;
        let mut first = 0;
        for row in 0..self.places.len() {
            if let Some(&next) = self.places.get(row + AHEAD).filter(|_| far) {
                self.table.expect(&self.live[next as usize]);
            }
            let i = self.places[row] as usize;
            let (one, share) = (&mut self.live[i], self.shares[i]);
            let (from, gamma) = (one.computed, u32::from(share.choice.gamma));
            let (to, count) = (from + share.fresh, share.fresh + gamma);
            self.table.grow(one, self.settings.holding(to + gamma), &mut self.pool, &mut self.prefixes);
            let step = &mut self.step;
            let handle = one.handle().0;
            // What does not change while a request runs is there already where the row had it before.
            if step.handles[row] != handle {
                let request = &self.requests[one.slot as usize];
                step.handles[row] = handle;
                step.uids[row] = request.uid;
                step.set_sampling(row, &request.sampling);
            }
            step.begin[row] = i64::from(from);
            step.fresh[row] = share.fresh as i32;
            step.gamma[row] = share.choice.gamma;
            step.asked[row] = share.choice.gamma;
            step.draft[row] = share.choice.draft;
            step.table_row[row] = one.row as i32;
            let (blocks, begin) = (self.table.row(one.row), first as usize);
            let decodes = share.fresh == 1 && one.known() == 1;
            if decodes && most <= SHORT && size as usize >= SHORT {
                step.lay::<SHORT>(begin, one.last, from, size, blocks);
            } else if decodes && most <= LONG && size as usize >= LONG {
                step.lay::<LONG>(begin, one.last, from, size, blocks);
            } else {
                let known = &self.texts.ids(one.text)[from as usize..to as usize];
                step.lay_any(begin, known, gamma as usize, from, size, blocks);
            }
            first += count;
            step.first[row + 1] = first as i32;
        }
        self.step.end_plan(tokens as usize);
    }
}
