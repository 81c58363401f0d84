//! Rules of other engines, written down from what they say of them, behind our interface; and the one that knows all.
//! They say the same of each request, or trim what was drafted already, and none knows what a draft takes but the last.

use super::{Policy, Room, check};
use crate::acceptance::{Acceptance, DEPTHS, Row};
use crate::choose::{Ask, Choice};
use crate::goodput::{Solver, Step};
use crate::times::Times;
use crate::worth::worth;
use crate::{Error, Result};

/// The same for all, as far as there is room.
fn all(asks: &[Ask], room: Room, draft: u8, gamma: u8, out: &mut Vec<Choice>) {
    let mut left = room.tokens.saturating_sub(room.prefill).saturating_sub(asks.len() as u32);
    out.clear();
    for ask in asks {
        let gamma = u32::from(gamma.min(ask.cap)).min(left);
        left -= gamma;
        out.push(Choice::new(draft, gamma as u8));
    }
}

fn check_gamma(argument: &'static str, gamma: u8) -> Result<()> {
    if usize::from(gamma) <= DEPTHS {
        return Ok(());
    }
    Err(Error::argument(argument, format!("{gamma} is not between 0 and {DEPTHS}")))
}

/// A length for each batch size, written by hand (vLLM's way); one entry is a fixed length.
#[derive(Clone, Debug)]
pub struct ByBatch {
    /// Largest batch, and the length up to there; beyond the last one nothing is drafted.
    table: Vec<(u32, u8)>,
}

impl ByBatch {
    /// Of batch sizes that ascend.
    pub fn new(table: &[(u32, u8)]) -> Result<Self> {
        if table.windows(2).any(|w| w[0].0 >= w[1].0) {
            return Err(Error::argument("table", "batch sizes do not ascend"));
        }
        table.iter().try_for_each(|&(_, gamma)| check_gamma("table", gamma))?;
        Ok(Self { table: table.to_vec() })
    }

    /// The same length always.
    pub fn fixed(gamma: u8) -> Result<Self> {
        Self::new(&[(u32::MAX, gamma)])
    }
}

impl Policy for ByBatch {
    fn choose(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Result<()> {
        check(asks)?;
        let batch = asks.len() as u32;
        let gamma = self.table.iter().find(|&&(most, _)| batch <= most).map_or(0, |&(_, gamma)| gamma);
        all(asks, room, 0, gamma, out);
        Ok(())
    }
}

/// One of a few lengths for the whole batch, by a moving mean of what is accepted (SGLang's way): up a tier when nearly
/// all of the present one is, down when less is than the tier below could give.
#[derive(Clone, Debug)]
pub struct Tiers {
    tiers: Vec<u8>,
    at: usize,
    mean: f64,
    /// Accepted ids and rounds since the mean was moved.
    since: (u32, u32),
    steps: u32,
}

impl Tiers {
    const RATE: f64 = 0.2;
    const EVERY: u32 = 5;
    const UP: f64 = 0.5;
    const DOWN: f64 = 0.25;

    /// Of lengths that ascend, 1, 3 and 7 usually; begins in the middle.
    pub fn new(tiers: &[u8]) -> Result<Self> {
        if tiers.is_empty() || tiers[0] == 0 || tiers.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::argument("tiers", "lengths do not ascend from at least 1"));
        }
        tiers.iter().try_for_each(|&gamma| check_gamma("tiers", gamma))?;
        let at = tiers.len() / 2;
        Ok(Self { tiers: tiers.to_vec(), at, mean: f64::from(tiers[at]) - Self::UP, since: (0, 0), steps: 0 })
    }

    /// The length of the present tier.
    pub fn length(&self) -> u8 {
        self.tiers[self.at]
    }

    fn step(&mut self) {
        self.steps += 1;
        let (accepted, rounds) = self.since;
        if !self.steps.is_multiple_of(Self::EVERY) || rounds == 0 {
            return;
        }
        self.since = (0, 0);
        self.mean += Self::RATE * (f64::from(accepted) / f64::from(rounds) - self.mean);
        if self.at + 1 < self.tiers.len() && self.mean > f64::from(self.tiers[self.at]) - Self::UP {
            self.at += 1;
        } else if self.at > 0 && self.mean < f64::from(self.tiers[self.at - 1]) - Self::DOWN {
            self.at -= 1;
        }
    }
}

impl Policy for Tiers {
    fn choose(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Result<()> {
        check(asks)?;
        self.step();
        all(asks, room, 0, self.tiers[self.at], out);
        Ok(())
    }

    fn observe(&mut self, _: u32, choice: Choice, accepted: u8) -> Result<()> {
        if choice.gamma > 0 {
            self.since.0 += u32::from(accepted);
            self.since.1 += 1;
        }
        Ok(())
    }
}

/// Drafts a fixed length for all, then verifies what is worth its place (vLLM's adaptive verification): times were
/// measured beforehand, and chances are those of the step before.
#[derive(Debug)]
pub struct Trim {
    length: u8,
    times: Times,
    acceptance: Acceptance,
    solver: Solver,
}

impl Trim {
    /// With times that were measured, and a guess of acceptance.
    pub fn new(length: u8, times: Times, alpha: f32) -> Result<Self> {
        check_gamma("length", length)?;
        Ok(Self { length, times, acceptance: Acceptance::new(&[alpha], length)?, solver: Solver::new() })
    }
}

impl Policy for Trim {
    fn admit(&mut self, slot: u32, class: u32) {
        self.acceptance.admit(slot, class);
    }

    fn choose(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Result<()> {
        check(asks)?;
        if let Some(ask) = asks.iter().find(|ask| !self.acceptance.knows(ask.slot)) {
            return Err(Error::argument("slot", format!("{} has no request; admit it first", ask.slot)));
        }
        self.acceptance.refresh();
        // All passes are paid whatever is verified.
        let passes = f64::from(self.length) * self.times.drafts[0].ms(asks.len() as u32, 0);
        let sunk = self.times.with_free_drafts(passes)?;
        let step = Step { asks, prefill: room.prefill, budget: room.tokens, drafts: 1, max_gamma: self.length };
        let Self { acceptance, solver, .. } = self;
        solver.solve(&sunk, &step, |i, draft| acceptance.worth(asks[i].slot, draft), out);
        Ok(())
    }

    fn observe(&mut self, slot: u32, choice: Choice, accepted: u8) -> Result<()> {
        if choice.gamma == 0 {
            return Ok(());
        }
        self.acceptance.observe(slot, 0, choice.gamma, accepted)
    }

    fn forget(&mut self, slot: u32) {
        self.acceptance.forget(slot);
    }

    fn passes(&self) -> Option<u8> {
        Some(self.length)
    }
}

/// Plans as ours does, but is told the true chances and times: what can be had at best.
#[derive(Debug)]
pub struct Oracle {
    max_gamma: u8,
    times: Times,
    /// What ids are worth by their true chances, by slot and draft.
    worth: Vec<[f32; DEPTHS]>,
    solver: Solver,
}

impl Oracle {
    /// With true times.
    pub fn new(max_gamma: u8, times: Times) -> Result<Self> {
        check_gamma("max_gamma", max_gamma)?;
        Ok(Self { max_gamma, times, worth: Vec::new(), solver: Solver::new() })
    }

    /// Tells the true times from now on.
    pub fn set_times(&mut self, times: Times) {
        self.times = times;
    }

    /// Tells the true S(1), S(2), ... of a request, which are chances that do not rise.
    pub fn set_survival(&mut self, slot: u32, draft: u8, survival: Row) -> Result<()> {
        let drafts = self.times.drafts.len();
        if usize::from(draft) >= drafts {
            return Err(Error::argument("draft", format!("{draft} is not below {drafts}, the number of drafts")));
        }
        let fine = survival.0.iter().all(|s| (0.0..=1.0).contains(s)) && survival.0.windows(2).all(|w| w[1] <= w[0]);
        if !fine {
            return Err(Error::argument("survival", "these are not chances that do not rise"));
        }
        let rows = (slot as usize + 1) * drafts;
        if self.worth.len() < rows {
            self.worth.resize(rows, [0.0; DEPTHS]);
        }
        self.worth[slot as usize * drafts + usize::from(draft)] = worth(&survival.0);
        Ok(())
    }
}

impl Policy for Oracle {
    fn prompts_within(&self, batch: u32) -> u32 {
        self.times.prompts_within(batch)
    }

    fn oracle(&mut self) -> Option<&mut Oracle> {
        Some(self)
    }

    fn choose(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Result<()> {
        check(asks)?;
        let drafts = self.times.drafts.len();
        if let Some(ask) = asks.iter().find(|ask| (ask.slot as usize + 1) * drafts > self.worth.len()) {
            return Err(Error::argument("slot", format!("{} has no request; admit it first", ask.slot)));
        }
        let Self { times, worth, solver, max_gamma } = self;
        let worth = |i: usize, draft: u8| &worth[asks[i].slot as usize * drafts + usize::from(draft)][..];
        let every = ((1u32 << drafts) - 1) as u8;
        let step = Step { asks, prefill: room.prefill, budget: room.tokens, drafts: every, max_gamma: *max_gamma };
        solver.solve(times, &step, worth, out);
        Ok(())
    }
}
