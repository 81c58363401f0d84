//! Targets for the time between tokens, and what a request weighs that has one.
//!
//! A request is to get its tokens at the pace of its target, from its first one on; its lead is how many tokens it is ahead
//! of that. It weighs most, 32, while it is less than four tokens from that, ahead or behind, and half as much for each token
//! more: what is late by eight can't be helped any more, and weighs 1 as do those that are ahead by eight and those without a
//! target.
//!
//! A plan gives most to the mean of its requests by weight, so one that weighs much gets drafts where its drafts are accepted,
//! and short steps where they are not. Weights are not larger, since those who wait for the heavy ones stay longer, and steps
//! with more requests are longer for all.
//!
//! While a request weighs more than others, prompts come in parts that make a step at most half as long again, where the policy
//! knows times. Where many wait, which needs large steps, they get these: of all prompt tokens that wait, one of 32.

use crate::choose::Ask;
use crate::live::Live;
use crate::request::{Handle, Request, State};
use crate::scheduler::Scheduler;
use crate::{Error, Result};

/// Tokens of lead, or of delay, from which on a target adds no weight.
const SPAN: u32 = 8;
/// At most it weighs 2 to this.
const DOUBLINGS: u32 = 5;
/// One of so many prompt tokens that wait is computed in a step at least.
const PART: u64 = 32;
/// A request is late by no more tokens than this, so that one which was kept waiting can come to its pace again.
const LATEST: f64 = 2.0 * SPAN as f64;

/// What a request weighs beside others, by its lead.
pub fn weight(lead: f64) -> f32 {
    (1u32 << (SPAN - (lead.abs() as u32).min(SPAN)).min(DOUBLINGS)) as f32
}

/// Refuses a target that is none.
pub(crate) fn check(tbt_ms: Option<f64>) -> Result<()> {
    match tbt_ms {
        Some(ms) if !(ms > 0.0 && ms.is_finite()) => {
            Err(Error::argument("tbt_ms", format!("{ms} is not a finite number above 0")))
        }
        _ => Ok(()),
    }
}

/// When tokens are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    tbt_ms: f64,
    /// When the next one is; never, before the first has come.
    due_ms: f64,
}

impl Beat {
    pub(crate) fn new(tbt_ms: f64) -> Self {
        Self { tbt_ms, due_ms: f64::INFINITY }
    }

    fn lead(&self, now_ms: f64) -> f64 {
        (self.due_ms - now_ms) / self.tbt_ms - 1.0
    }

    /// Some tokens came; says how many of them had a time to come at, and how many of those came by then.
    pub(crate) fn took(&mut self, tokens: u32, now_ms: f64) -> (u32, u32) {
        let mut paced = tokens;
        if self.due_ms == f64::INFINITY {
            // The first one sets the pace.
            (paced, self.due_ms) = (tokens - 1, now_ms + self.tbt_ms);
        }
        let late = ((now_ms - self.due_ms) / self.tbt_ms).ceil().clamp(0.0, f64::from(paced));
        self.due_ms = (self.due_ms + f64::from(paced) * self.tbt_ms).max(now_ms + (1.0 - LATEST) * self.tbt_ms);
        (paced, paced - late as u32)
    }
}

/// How a request with a target keeps to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    handle: Handle,
    beat: Beat,
    /// Its tokens when it was last looked at.
    length: u32,
}

impl Pace {
    pub(crate) fn new(handle: Handle, tbt_ms: f64, length: u32) -> Self {
        Self { handle, beat: Beat::new(tbt_ms), length }
    }

    /// The request, if it has not been taken.
    fn of<'a>(&self, requests: &'a [Request]) -> Option<&'a Request> {
        let request = &requests[self.handle.slot()];
        (request.generation == self.handle.generation() && request.state != State::Free).then_some(request)
    }

    /// Its place among those that run.
    fn place(&self, requests: &[Request]) -> Option<u32> {
        self.of(requests).filter(|request| request.state == State::Running).map(|request| request.at)
    }
}

impl Scheduler {
    /// Gives asks their weights.
    #[cold]
    pub(crate) fn weigh(&mut self) {
        let Self { paces, requests, asks, asking, clock_ms, .. } = self;
        for pace in paces.iter() {
            let Some(place) = pace.place(requests) else { continue };
            // Those who ask stand in the order of their places.
            if let Ok(at) = asking.binary_search(&place) {
                asks[at] = Ask { weight: weight(pace.beat.lead(*clock_ms)), ..asks[at] };
            }
        }
    }

    /// Tokens of prompts that a step may have, for the sake of those that are near their pace.
    pub(crate) fn prompt_room(&self) -> u32 {
        let near = |pace: &Pace| weight(pace.beat.lead(self.clock_ms)) > 1.0 && pace.place(&self.requests).is_some();
        if !self.paces.iter().any(near) {
            return u32::MAX;
        }
        let enough = PART * u64::from(self.settings.token_budget);
        let mut known: u64 = self.live.iter().map(|one| u64::from(one.known() - 1)).sum();
        for &(_, slot) in &self.waiting {
            if known >= enough {
                break;
            }
            known += self.requests[slot as usize].text.len() as u64;
        }
        ((known / PART) as u32).max(self.chooser.prompts_within(self.live.len() as u32))
    }

    /// Of those that run, who keeps blocks when there are too few: the first ones. A weight that is twice as large counts as
    /// a priority that is larger by 1.
    #[cold]
    pub(crate) fn claims(&self) -> Vec<(i64, u64)> {
        let order = |one: &Live| self.requests[one.slot as usize].order;
        let mut claims: Vec<(i64, u64)> = self.live.iter().map(order).collect();
        for pace in &self.paces {
            if let Some(place) = pace.place(&self.requests) {
                let doublings = weight(pace.beat.lead(self.clock_ms)).log2() as i64;
                claims[place as usize].0 -= doublings * i64::from(self.settings.ageing);
            }
        }
        claims
    }

    /// Counts what a step gave to requests with targets.
    #[cold]
    pub(crate) fn keep_pace(&mut self) {
        let Self { paces, requests, live, stats, clock_ms, .. } = self;
        paces.retain_mut(|pace| {
            let Some(request) = pace.of(requests) else { return false };
            let running = request.state == State::Running;
            let length = if running { live[request.at as usize].text.len() } else { request.text.len() };
            if length > pace.length {
                let (paced, on_time) = pace.beat.took(length - pace.length, *clock_ms);
                pace.length = length;
                stats.paced += u64::from(paced);
                stats.on_time += u64::from(on_time);
            }
            running || request.state == State::Waiting
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn weights_double_towards_the_pace() {
        let leads = [-20.0, -8.0, -7.5, -5.0, -3.9, 0.0, 3.9, 4.0, 5.5, 7.0, 8.0, f64::INFINITY];
        let wanted = [1.0, 1.0, 2.0, 8.0, 32.0, 32.0, 32.0, 16.0, 8.0, 2.0, 1.0, 1.0];
        assert_eq!(leads.map(weight), wanted);
    }

    #[test]
    fn targets_that_are_none() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = check(Some(wrong)).unwrap_err();
            assert!(matches!(error, Error::Argument { argument: "tbt_ms", .. }));
        }
    }

    proptest! {
        /// Token by token: each has its own time, and one that is too late moves no other but by the bound.
        #[test]
        fn tokens_are_counted_as_one_by_one(tbt in 1u32..50, steps in prop::collection::vec((0u32..200, 1u32..9), 1..40)) {
            let tbt = f64::from(tbt);
            let mut pace = Pace::new(Handle::new(0, 0), tbt, 0);
            let (mut now, mut due, mut all, mut fine) = (0.0f64, None::<f64>, 0, 0);
            let mut counted = (0, 0);
            for (ms, tokens) in steps {
                now += f64::from(ms);
                for _ in 0..tokens {
                    match &mut due {
                        None => due = Some(now + tbt),
                        Some(due) => {
                            (all, fine) = (all + 1, fine + u32::from(now <= *due));
                            *due += tbt;
                        }
                    }
                }
                due = due.map(|due| due.max(now - 15.0 * tbt));
                let (paced, on_time) = pace.beat.took(tokens, now);
                counted = (counted.0 + paced, counted.1 + on_time);
                prop_assert_eq!(counted, (all, fine));
                prop_assert!((pace.beat.due_ms - due.unwrap_or(f64::INFINITY)).abs() < 1e-6);
                prop_assert!(pace.beat.lead(now) >= -16.0 - 1e-9);
            }
        }
    }
}
