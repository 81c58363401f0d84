//! What becomes of a plan.

use crate::choose::Choice;
use crate::prefix;
use crate::request::{End, State};
use crate::scheduler::Scheduler;
use crate::{Error, Result};

/// In the place of a number of accepted drafts: the request can't go on.
pub const FAILED: i64 = -1;

impl Scheduler {
    fn expect(&self, number: u64) -> Result<()> {
        if number != self.step.number {
            return Err(Error::StalePlan { plan: number, what: "another was made since" });
        }
        if !self.in_flight {
            return Err(Error::StalePlan { plan: number, what: "it was committed or aborted before" });
        }
        Ok(())
    }

    /// Takes what came of plan `number`: for each row that gives ids how many of its drafts were proposed, how many of those
    /// accepted ([`FAILED`] where the request can't go on), and `width` ids, of which the first `accepted + 1` count. With an
    /// error nothing changes and the plan stays in flight.
    pub fn commit(
        &mut self,
        number: u64,
        proposed: Option<&[u8]>,
        accepted: &[i64],
        tokens: &[i64],
        width: usize,
    ) -> Result<()> {
        self.expect(number)?;
        self.check(proposed, accepted, tokens, width)?;
        for row in 0..self.step.rows() {
            let slot = self.step.handle(row).slot() as u32;
            let fresh = self.step.fresh[row] as u32;
            let request = &mut self.requests[slot as usize];
            self.stats.prompt_tokens +=
                u64::from((request.computed + fresh).min(request.prompt) - request.computed.min(request.prompt));
            if row >= self.step.giving {
                request.computed += fresh;
                self.publish(slot);
                continue;
            }
            if accepted[row] == FAILED {
                self.retire(slot, End::Failed);
                continue;
            }
            let found = &tokens[row * width..][..accepted[row] as usize + 1];
            let mut end = None;
            for &id in found {
                request.tokens.push(id as u32);
                self.stats.emitted += 1;
                if request.stop.contains(&(id as u32)) {
                    end = Some(End::Stop);
                } else if request.tokens.len() as u32 == request.limit {
                    end = Some(End::Length);
                }
                if end.is_some() {
                    break;
                }
            }
            // The last id is known, not computed.
            request.computed = request.tokens.len() as u32 - 1;
            let choice = Choice { draft: self.step.draft[row], gamma: self.step.gamma[row] };
            if choice.gamma > 0 {
                let proposed = proposed.map_or(choice.gamma, |p| p[row]);
                self.stats.drafted += u64::from(proposed);
                self.stats.accepted += accepted[row] as u64;
                self.chooser.observe(slot, choice, accepted[row] as u8);
            }
            self.publish(slot);
            match end {
                Some(end) => self.retire(slot, end),
                None => {
                    let keep = self.settings.holding(self.requests[slot as usize].tokens.len() as u32);
                    self.shrink(slot, keep);
                }
            }
        }
        self.stats.steps += 1;
        self.stats.shared_tokens += self.shared;
        self.stats.rows += self.step.rows() as u64;
        self.land();
        Ok(())
    }

    fn check(&self, proposed: Option<&[u8]>, accepted: &[i64], tokens: &[i64], width: usize) -> Result<()> {
        let giving = self.step.giving;
        let lengths = [
            ("proposed", proposed.map_or(giving, <[u8]>::len), giving),
            ("accepted", accepted.len(), giving),
            ("tokens", tokens.len(), giving * width),
        ];
        if let Some((argument, got, needed)) = lengths.into_iter().find(|&(_, got, needed)| got != needed) {
            return Err(Error::argument(argument, format!("{got} numbers; {needed} are needed, for {giving} rows")));
        }
        for row in 0..giving {
            let gamma = self.step.gamma[row];
            let most = proposed.map_or(gamma, |p| p[row]);
            if most > gamma {
                let what = format!("{most} drafts in row {row}, which was to get {gamma}");
                return Err(Error::argument("proposed", what));
            }
            if accepted[row] == FAILED {
                continue;
            }
            if !(0..=i64::from(most)).contains(&accepted[row]) || accepted[row] as usize >= width {
                let what = format!("{} of {most} drafts in row {row}, with {width} ids a row", accepted[row]);
                return Err(Error::argument("accepted", what));
            }
            let found = &tokens[row * width..][..accepted[row] as usize + 1];
            if let Some(&id) = found.iter().find(|&&id| id < 0 || id >= i64::from(self.settings.vocab)) {
                let what = format!("{id} in row {row} is no id below vocab = {}", self.settings.vocab);
                return Err(Error::argument("tokens", what));
            }
        }
        Ok(())
    }

    /// Takes plan `number` back: requests are as they were before it, but for those that lost their blocks to others.
    pub fn abort(&mut self, number: u64) -> Result<()> {
        self.expect(number)?;
        for _ in 0..self.admitted {
            let Some(slot) = self.running.pop() else { break };
            self.vacate(slot);
            let request = &mut self.requests[slot as usize];
            request.state = State::Waiting;
            self.waiting.insert((request.order, slot));
        }
        for i in 0..self.running.len() {
            let slot = self.running[i];
            self.shrink(slot, self.shares[i].before);
        }
        self.stats.aborted += 1;
        self.land();
        Ok(())
    }

    /// Ends all requests of plan `number`, with which a model can't go on.
    pub fn fail(&mut self, number: u64) -> Result<()> {
        self.expect(number)?;
        for row in 0..self.step.rows() {
            let slot = self.step.handle(row).slot() as u32;
            self.retire(slot, End::Failed);
        }
        self.stats.aborted += 1;
        self.land();
        Ok(())
    }

    /// Takes everything from a request of the plan; the list of those that run is cleaned when it lands.
    fn retire(&mut self, slot: u32, end: End) {
        self.vacate(slot);
        self.finish(slot, end);
    }

    /// The end of a plan: what was cancelled meanwhile ends now.
    fn land(&mut self) {
        self.in_flight = false;
        self.admitted = 0;
        let requests = &self.requests;
        self.running.retain(|&slot| requests[slot as usize].state == State::Running);
        for handle in std::mem::take(&mut self.cancelled) {
            // It may have ended by itself, and its flag with it.
            if self.request(handle).is_ok_and(|request| request.cancelled) {
                self.end_now(handle.slot() as u32, End::Cancelled);
            }
        }
    }

    /// Publishes blocks that are full of computed tokens. Only what was verified is ever computed here.
    #[inline]
    fn publish(&mut self, slot: u32) {
        if !self.settings.share_prefixes {
            return;
        }
        let size = self.settings.block_size;
        let request = &mut self.requests[slot as usize];
        while (request.keyed + 1) * size <= request.computed {
            let first = (request.keyed * size) as usize;
            request.key = prefix::key(request.key, &request.tokens[first..first + size as usize]);
            let block = self.table[request.row as usize * self.stride + request.keyed as usize] as u32;
            if self.prefixes.publish(request.key, block) {
                self.pool.publish(block, request.key);
            }
            request.keyed += 1;
        }
    }
}

impl Scheduler {
    /// Writes the drafts of plan `number` into its tokens: `width` ids a row, -1 behind the last.
    pub fn fill(&mut self, number: u64, drafts: &[i64], width: usize) -> Result<()> {
        self.expect(number)?;
        let giving = self.step.giving;
        if drafts.len() != giving * width {
            let what = format!("{} numbers; {} are needed, for {giving} rows", drafts.len(), giving * width);
            return Err(Error::argument("drafts", what));
        }
        for (row, drafts) in drafts.chunks_exact(width.max(1)).enumerate() {
            let end = self.step.first[row + 1] as usize;
            let room = &mut self.step.tokens[end - usize::from(self.step.gamma[row])..end];
            for (place, &id) in room.iter_mut().zip(drafts).filter(|(_, id)| **id != -1) {
                if id < 0 || id >= i64::from(self.settings.vocab) {
                    let what = format!("{id} in row {row} is no id below vocab = {}", self.settings.vocab);
                    return Err(Error::argument("drafts", what));
                }
                *place = id as u32;
            }
        }
        Ok(())
    }
}
