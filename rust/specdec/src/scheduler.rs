//! Requests, the blocks that they hold, and which of them run.
//!
//! A step is a transaction: [`plan`](Scheduler::plan) says what the models are to compute, then
//! [`commit`](Scheduler::commit) takes what came out of it, or [`abort`](Scheduler::abort) takes everything back.

use std::collections::BTreeSet;

use thrifty_base::memory;

use crate::choose::{Ask, Choice, Round};
use crate::live::{Live, Table};
use crate::pace::{self, Pace};
use crate::policy::{Chooser, Policy};
use crate::pool::Pool;
use crate::prefix::Prefixes;
use crate::request::{End, Handle, Request, State, Submission};
use crate::step::Step;
use crate::texts::Texts;
use crate::{Error, Result};

/// Sizes that do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Blocks of the cache.
    pub blocks: u32,
    /// Tokens of a block.
    pub block_size: u32,
    /// Requests that run at a time.
    pub max_running: u32,
    /// Tokens of a request, its prompt among them.
    pub max_length: u32,
    /// Tokens of a step; at least `max_running`, so that every request that runs gives an id in every step.
    pub token_budget: u32,
    /// Drafts of a request and step.
    pub max_gamma: u8,
    /// Ids are below.
    pub vocab: u32,
    /// Whether requests that begin alike share blocks.
    pub share_prefixes: bool,
    /// One that arrived so many steps later goes behind one whose priority is less by 1: so nobody waits for ever.
    pub ageing: u32,
}

impl Settings {
    fn check(&self) -> Result<()> {
        let least = [
            ("blocks", self.blocks, 1),
            ("block_size", self.block_size, 1),
            ("max_running", self.max_running, 1),
            ("max_length", self.max_length, 2),
            ("token_budget", self.token_budget, self.max_running),
            ("vocab", self.vocab, 1),
        ];
        if let Some((argument, got, least)) = least.into_iter().find(|&(_, got, least)| got < least) {
            return Err(Error::argument(argument, format!("{got} is less than {least}")));
        }
        // Places in the cache are 32-bit numbers.
        if u64::from(self.blocks) * u64::from(self.block_size) > i32::MAX as u64 {
            let what = format!("{} of {} tokens are more than {} places", self.blocks, self.block_size, i32::MAX);
            return Err(Error::argument("blocks", what));
        }
        if self.max_length > i32::MAX as u32 {
            return Err(Error::argument("max_length", format!("{} is more than {}", self.max_length, i32::MAX)));
        }
        // Rows of the block table and of a plan, blocks of the pool, tokens of a plan.
        let rows = u64::from(self.max_running) * (4 * self.stride() as u64 + 256);
        let blocks = 36 * u64::from(self.blocks) + Prefixes::bytes(self.blocks);
        let bytes = rows + blocks + 16 * u64::from(self.token_budget);
        let there = memory::available().unwrap_or(u64::MAX);
        if bytes > there {
            let what = format!(
                "plans of {} requests over {} blocks take {bytes} bytes, this machine has free {there}",
                self.max_running, self.blocks
            );
            return Err(Error::argument("max_running", what));
        }
        Ok(())
    }

    /// Blocks of the longest request: its last id is never computed, and it can't have more than there are.
    pub(crate) fn stride(&self) -> usize {
        self.holding(self.max_length - 1).min(self.blocks) as usize
    }

    /// Blocks that hold so many tokens.
    #[inline]
    pub(crate) fn holding(&self, tokens: u32) -> u32 {
        self.full(tokens + self.block_size - 1)
    }

    /// Blocks that so many tokens fill.
    #[inline]
    pub(crate) fn full(&self, tokens: u32) -> u32 {
        // Divisions are most of what a plan computes, and sizes are seldom other than powers of 2.
        if self.block_size.is_power_of_two() {
            tokens >> self.block_size.trailing_zeros()
        } else {
            tokens / self.block_size
        }
    }
}

/// What has happened since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Steps that were committed.
    pub steps: u64,
    /// Steps that were taken back.
    pub aborted: u64,
    /// Rows of committed steps.
    pub rows: u64,
    /// Ids that requests got.
    pub emitted: u64,
    /// Drafts that were verified.
    pub drafted: u64,
    /// Drafts that were accepted.
    pub accepted: u64,
    /// Prompt tokens that went through the model, again after a preemption.
    pub prompt_tokens: u64,
    /// Prompt tokens that were found in the cache.
    pub shared_tokens: u64,
    /// Requests that lost their blocks to others and begin again.
    pub preempted: u64,
    /// Ids behind the first of requests that have a target for the time between them.
    pub paced: u64,
    /// Of these, the ones that came by then.
    pub on_time: u64,
    /// Requests that were submitted.
    pub submitted: u64,
    /// Requests that ended: by length, stop, cancellation, failure.
    pub ended: [u64; 4],
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The ids that followed its prompt.
    pub tokens: Vec<u32>,
    /// Why there are no more.
    pub end: End,
}

/// See the module.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) settings: Settings,
    pub(crate) chooser: Chooser,
    pub(crate) pool: Pool,
    pub(crate) prefixes: Prefixes,
    pub(crate) requests: Vec<Request>,
    pub(crate) texts: Texts,
    free: Vec<u32>,
    /// By order, and slot.
    pub(crate) waiting: BTreeSet<((i64, u64), u32)>,
    pub(crate) live: Vec<Live>,
    pub(crate) table: Table,
    pub(crate) step: Step,
    /// Of each row of the step, its place among those that run.
    pub(crate) places: Vec<u32>,
    /// The step of the plan that was neither committed nor aborted.
    pub(crate) in_flight: bool,
    /// What was cancelled meanwhile.
    pub(crate) cancelled: Vec<Handle>,
    /// Of those that run, what each gets in a step.
    pub(crate) shares: Vec<Share>,
    pub(crate) asks: Vec<Ask>,
    /// The place of each ask among those that run.
    pub(crate) asking: Vec<u32>,
    pub(crate) choices: Vec<Choice>,
    /// Of those that run, the first so many were looked at for whether they ask.
    pub(crate) asked: usize,
    /// What came of the choices of a commit.
    pub(crate) rounds: Vec<Round>,
    /// Blocks that are to be published, and their keys.
    pub(crate) full: Vec<(u128, u32)>,
    /// Places of those that a commit ended.
    pub(crate) ended: Vec<u32>,
    /// How many of those that run were admitted by the plan in flight: the last ones.
    pub(crate) admitted: usize,
    /// Tokens that those found in the cache.
    pub(crate) shared: u64,
    /// Of requests with targets that have not ended.
    pub(crate) paces: Vec<Pace>,
    /// Milliseconds of all steps, as far as they were told.
    pub(crate) clock_ms: f64,
    /// Those that ended, in that order; some may have been taken since.
    done: Vec<Handle>,
    pub(crate) stats: Stats,
}

/// What a running request gets in a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) fresh: u32,
    /// Blocks that it had before the plan.
    pub(crate) before: u32,
    pub(crate) choice: Choice,
}

impl Scheduler {
    /// The ids of a request of the step in flight.
    pub(crate) fn running_ids(&self, handle: Handle) -> &[u32] {
        self.known(&self.requests[handle.slot()])
    }

    /// All ids of a request.
    fn known(&self, request: &Request) -> &[u32] {
        let running = request.state == State::Running;
        self.texts.ids(if running { self.live[request.at as usize].text } else { request.text })
    }

    /// What models without a cache need: the ids before each token whose scores are needed, the last `reach` of them (drafts
    /// as they were filled in), as places (end, begin) in `ids`.
    pub fn contexts(&self, reach: usize, ids: &mut Vec<u32>, places: &mut Vec<(usize, usize)>) {
        ids.clear();
        places.clear();
        let step = &self.step;
        for row in 0..step.giving {
            let known = self.running_ids(step.handle(row));
            let (begin, drafts) = (ids.len(), usize::from(step.gamma[row]));
            ids.extend_from_slice(&known[known.len().saturating_sub(reach)..]);
            let first = ids.len();
            let end = step.first[row + 1] as usize;
            let before = &step.tokens[end - drafts..end];
            if !step.above.is_empty() {
                // Ways of a tree go apart, so each has its ids for itself.
                places.push((first, begin.max(first.saturating_sub(reach))));
                for node in 0..drafts {
                    let (at, mut token) = (ids.len(), end - drafts + node);
                    ids.extend_from_slice(&known[known.len().saturating_sub(reach)..]);
                    let way = ids.len();
                    while token >= end - drafts {
                        ids.push(step.tokens[token]);
                        token = step.above[token] as usize;
                    }
                    ids[way..].reverse();
                    places.push((ids.len(), at.max(ids.len().saturating_sub(reach))));
                }
                continue;
            }
            ids.extend_from_slice(before);
            places.extend((first..=first + drafts).map(|end| (end, begin.max(end.saturating_sub(reach)))));
        }
    }

    /// The plan in flight, or the last one.
    pub fn step(&self) -> &Step {
        &self.step
    }
}

impl Scheduler {
    /// Without requests; `policy` decides about drafts.
    pub fn new(settings: Settings, policy: Box<dyn Policy>) -> Result<Self> {
        settings.check()?;
        let rows = settings.max_running as usize;
        Ok(Self {
            settings,
            chooser: Chooser::new(policy),
            pool: Pool::new(settings.blocks)?,
            prefixes: Prefixes::new(settings.blocks)?,
            requests: Vec::new(),
            texts: Texts::new()?,
            free: Vec::new(),
            waiting: BTreeSet::new(),
            live: Vec::with_capacity(rows),
            table: Table::new(settings.max_running, settings.stride()),
            step: Step::with_capacity(rows, settings.token_budget as usize),
            places: Vec::with_capacity(rows),
            in_flight: false,
            cancelled: Vec::new(),
            shares: Vec::with_capacity(rows),
            asks: Vec::with_capacity(rows),
            asking: Vec::with_capacity(rows),
            choices: Vec::with_capacity(rows),
            asked: 0,
            rounds: Vec::with_capacity(rows),
            full: Vec::new(),
            ended: Vec::with_capacity(rows),
            admitted: 0,
            shared: 0,
            paces: Vec::new(),
            clock_ms: 0.0,
            done: Vec::new(),
            stats: Stats::default(),
        })
    }

    /// A new request.
    pub fn submit(&mut self, wanted: &Submission<'_>) -> Result<Handle> {
        let Settings { blocks, block_size, max_length, vocab, ageing, max_gamma, .. } = self.settings;
        if wanted.prompt.is_empty() {
            return Err(Error::argument("prompt", "it has no ids; at least one is needed"));
        }
        if wanted.max_new == 0 {
            return Err(Error::argument("max_new", "0; at least 1 is needed"));
        }
        for (argument, ids) in [("prompt", wanted.prompt), ("stop", wanted.stop)] {
            if let Some(at) = ids.iter().position(|&id| id >= vocab) {
                return Err(Error::argument(argument, format!("id {} at {at} is not below vocab = {vocab}", ids[at])));
            }
        }
        if let Some((argument, what)) = wanted.sampling.wrong() {
            return Err(Error::argument(argument, what));
        }
        let length = wanted.prompt.len().saturating_add(wanted.max_new);
        if length > max_length as usize {
            let what = format!("{length} ids with the prompt's {}; max_length is {max_length}", wanted.prompt.len());
            return Err(Error::argument("max_new", what));
        }
        let needed = self.settings.holding(length as u32 - 1);
        if needed > blocks {
            let what = format!(
                "a request of {length} ids needs {needed} blocks of {block_size} tokens, there are {blocks}; \
                 shorten it, or give the cache more blocks"
            );
            return Err(Error::OutOfBlocks { what });
        }
        pace::check(wanted.tbt_ms)?;
        let text = self.texts.begin(wanted.prompt, length as u32)?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.requests.push(Request::free());
            self.requests.len() as u32 - 1
        });
        let number = self.stats.submitted;
        self.stats.submitted += 1;
        let order = (self.stats.steps as i64 - i64::from(wanted.priority) * i64::from(ageing), number);
        let request = &mut self.requests[slot as usize];
        *request = Request {
            generation: request.generation,
            state: State::Waiting,
            max_gamma: wanted.max_gamma.min(max_gamma),
            text,
            prompt: wanted.prompt.len() as u32,
            limit: length as u32,
            order,
            uid: wanted.uid,
            salt: wanted.salt,
            class: wanted.class,
            sampling: wanted.sampling,
            stop: wanted.stop.to_vec(),
            ..Request::free()
        };
        let handle = Handle::new(slot, request.generation);
        self.waiting.insert((order, slot));
        self.paces.extend(wanted.tbt_ms.map(|tbt_ms| Pace::new(handle, tbt_ms, wanted.prompt.len() as u32)));
        Ok(handle)
    }

    pub(crate) fn request(&self, handle: Handle) -> Result<&Request> {
        let found = self.requests.get(handle.slot());
        found
            .filter(|r| r.generation == handle.generation() && r.state != State::Free)
            .ok_or_else(|| Error::argument("handle", "it names no request; what became of it was taken already"))
    }

    /// Where a request is.
    pub fn state(&self, handle: Handle) -> Result<State> {
        Ok(self.request(handle)?.state)
    }

    /// The ids that have followed the prompt so far.
    pub fn tokens(&self, handle: Handle) -> Result<&[u32]> {
        let request = self.request(handle)?;
        Ok(&self.known(request)[request.prompt as usize..])
    }

    /// All ids that there are of it, the prompt first.
    pub fn ids(&self, handle: Handle) -> Result<&[u32]> {
        Ok(self.known(self.request(handle)?))
    }

    /// What became of a request that has ended; its handle names nothing from then on.
    pub fn take(&mut self, handle: Handle) -> Result<Outcome> {
        let State::Finished(end) = self.request(handle)?.state else {
            return Err(Error::argument("handle", "the request goes on; cancel it to end it"));
        };
        // The list is for those that take all; it need not grow for others.
        if self.done.len() > 2 * self.requests.len() {
            let requests = &self.requests;
            self.done.retain(|h| {
                let r = &requests[h.slot()];
                r.generation == h.generation() && r.state != State::Free
            });
        }
        let request = &mut self.requests[handle.slot()];
        request.state = State::Free;
        request.generation = request.generation.wrapping_add(1);
        self.free.push(handle.slot() as u32);
        let tokens = self.texts.ids(request.text)[request.prompt as usize..].to_vec();
        self.texts.end(request.text, request.limit);
        Ok(Outcome { tokens, end })
    }

    /// Takes all that have ended, in that order.
    pub fn take_all(&mut self, mut each: impl FnMut(Handle, Outcome)) {
        for handle in std::mem::take(&mut self.done) {
            if let Ok(outcome) = self.take(handle) {
                each(handle, outcome);
            }
        }
    }

    /// Ends a request. Its blocks are free at once, or, while a plan is in flight, when that is committed or aborted.
    pub fn cancel(&mut self, handle: Handle) -> Result<()> {
        match self.request(handle)?.state {
            State::Finished(_) | State::Free => {}
            _ if self.in_flight => {
                self.requests[handle.slot()].cancelled = true;
                self.cancelled.push(handle);
            }
            _ => self.end_now(handle.slot() as u32, End::Cancelled),
        }
        Ok(())
    }

    /// Ends a request of which no plan in flight knows.
    pub(crate) fn end_now(&mut self, slot: u32, end: End) {
        let request = &self.requests[slot as usize];
        match request.state {
            State::Waiting => {
                self.waiting.remove(&(request.order, slot));
            }
            State::Running => {
                let at = request.at as usize;
                self.table.vacate(&mut self.live[at], &mut self.pool);
                self.leave(at);
            }
            State::Free | State::Finished(_) => return,
        }
        self.finish(slot, end);
    }

    /// Takes a request whose blocks are gone from those that run; the last one takes its place.
    pub(crate) fn leave(&mut self, at: usize) {
        let one = self.live.swap_remove(at);
        if let Some(moved) = self.live.get(at) {
            self.requests[moved.slot as usize].at = at as u32;
        }
        let request = &mut self.requests[one.slot as usize];
        request.text = one.text;
    }

    /// Lets a request whose blocks are gone wait again.
    pub(crate) fn wait(&mut self, at: usize) {
        let slot = self.live[at].slot;
        self.leave(at);
        let request = &mut self.requests[slot as usize];
        request.state = State::Waiting;
        self.waiting.insert((request.order, slot));
    }

    /// Notes the end of a request that holds nothing any more.
    pub(crate) fn finish(&mut self, slot: u32, end: End) {
        let request = &mut self.requests[slot as usize];
        (request.state, request.cancelled) = (State::Finished(end), false);
        self.done.push(Handle::new(slot, request.generation));
        self.stats.ended[end as usize] += 1;
    }

    /// The block table: `max_running` rows, -1 where there is none. Its memory stays in one place.
    pub fn table(&self) -> &Vec<i32> {
        &self.table.numbers
    }

    /// Entries of a row of it.
    pub fn stride(&self) -> usize {
        self.table.stride
    }

    /// Its sizes.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Who decides about drafts.
    pub fn chooser(&mut self) -> &mut Chooser {
        &mut self.chooser
    }

    /// How many requests run, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        (self.live.len(), self.waiting.len())
    }

    /// Blocks that nobody holds.
    pub fn available(&self) -> usize {
        self.pool.available()
    }
}
