//! The policy that plans each step by what it will give: learned acceptance, learned times, goodput.

use super::offers::Offers;
use super::{Policy, Room, StepTimes, check};
use crate::acceptance::{Acceptance, DEPTHS};
use crate::choose::{Ask, Choice, Round};
use crate::explain::{Explanation, Seen};
use crate::goodput::{Outcome, Solver, Step};
use crate::times::Times;
use crate::{Error, Result};

/// Steps that a plan is used for, or what it goes by, since chances change slowly: in small batches while the same
/// requests run and no prompt comes, in large ones while drafts cost what they did. Where there are several drafts each
/// step has one to look at.
const KEPT: u32 = 4;
/// A draft that was not in use has to promise so much more to be taken at once.
const HYSTERESIS: f64 = 0.03;
/// Or these advantages, of one step after the other, together.
const PATIENCE: f64 = 0.3;
/// What is left of them after a step without one.
const FADE: f64 = 0.97;
/// Steps after which a draft that is not in use is looked at.
const CHALLENGE: u32 = 4;
/// Steps between two probes at least.
const PROBE_EVERY: u32 = 64;
/// Share of all time that probes may take.
const PROBE_SHARE: f64 = 0.01;
/// Probes that are saved up for are no dearer than so many steps.
const DEAREST_PROBE: f64 = 2.0;
/// Steps after which a request without drafts hears what its class learned.
const IDLE: u32 = 32;
/// Share of a step's host time that the estimate takes.
const HOST_RATE: f64 = 0.05;

/// What users set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Ids of a draft at most.
    pub max_gamma: u8,
    /// Whether drafts that are not in use are tried now and then.
    pub probe: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_gamma: 8, probe: true }
    }
}

/// Chooses what gives most.
#[derive(Debug)]
pub struct Planner {
    settings: Settings,
    times: Times,
    acceptance: Acceptance,
    solver: Solver,
    offers: Offers,
    /// The last step, for those who ask why.
    seen: Seen,
    /// What its plan gives, and the steps that it was used for.
    outcome: Option<Outcome>,
    used: u32,
    spare: Vec<Choice>,
    step: u32,
    /// Drafts in use, a bit each.
    current: u8,
    /// What drafts that are not in use promised more, lately.
    advantage: f64,
    probes: Probes,
}

/// When drafts that are not in use are tried.
#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    /// Milliseconds that were saved up.
    saved: f64,
    last: u32,
    draft: u8,
    /// Who is next.
    turn: usize,
}

impl Planner {
    /// For drafts whose acceptance is guessed as `alphas`, one for each draft of `times`.
    pub fn new(settings: Settings, times: Times, alphas: &[f32]) -> Result<Self> {
        if usize::from(settings.max_gamma) > DEPTHS {
            let what = format!("{} is not between 0 and {DEPTHS}", settings.max_gamma);
            return Err(Error::argument("max_gamma", what));
        }
        if alphas.len() != times.drafts.len() {
            let what = format!("{} for {} drafts; give one for each", alphas.len(), times.drafts.len());
            return Err(Error::argument("alphas", what));
        }
        Ok(Self {
            settings,
            offers: Offers::new(alphas.len()),
            times,
            acceptance: Acceptance::new(alphas, settings.max_gamma)?,
            solver: Solver::new(),
            seen: Seen::default(),
            outcome: None,
            used: 0,
            spare: Vec::new(),
            step: 0,
            current: 0,
            advantage: 0.0,
            probes: Probes::default(),
        })
    }

    /// What is known of times.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// What is known of acceptance.
    pub fn acceptance(&self) -> &Acceptance {
        &self.acceptance
    }

    /// Plans with the drafts in use and others, unless those others promise too little to change for.
    fn plan(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Outcome {
        let Self { times, acceptance, solver, offers, spare, current, .. } = self;
        let step =
            Step { asks, prefill: room.prefill, budget: room.tokens, drafts: 0, max_gamma: self.settings.max_gamma };
        let worth = |i: usize, draft: u8| {
            offers.worth(asks[i].slot, draft).unwrap_or_else(|| acceptance.worth(asks[i].slot, draft))
        };
        // Beside those in use, now and then another one is looked at.
        let turn = if *current == 0 { self.step } else { self.step / CHALLENGE };
        let looks = *current == 0 || self.step.is_multiple_of(CHALLENGE);
        let offered = *current | if looks { 1 << (turn % times.drafts.len() as u32) } else { 0 };
        let best = solver.solve(times, &Step { drafts: offered, ..step }, worth, out);
        if best.drafts & !*current == 0 {
            *current = best.drafts;
            self.advantage *= FADE;
            return best;
        }
        let present = solver.solve(times, &Step { drafts: *current, ..step }, worth, spare);
        let advantage = (best.score - present.score).exp_m1();
        self.advantage += advantage;
        if advantage > HYSTERESIS || self.advantage > PATIENCE {
            *current = best.drafts;
            self.advantage = 0.0;
            return best;
        }
        std::mem::swap(out, spare);
        present
    }

    /// Makes choices as the plan `had` did, if it still holds.
    fn again(&mut self, had: Outcome, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Option<Outcome> {
        if !had.outlasts() {
            return self.seen.again(asks, room, out).then_some(had);
        }
        let Self { times, acceptance, seen, settings, .. } = self;
        let max_gamma = settings.max_gamma;
        let step = Step { asks, prefill: room.prefill, budget: room.tokens, drafts: had.drafts, max_gamma };
        let outcome = had.follow(times, &step, |ask| acceptance.worth(ask.slot, 0), out)?;
        seen.keep(asks, room, out);
        Some(outcome)
    }

    /// Lets some requests try a draft that is not in use, as far as the time for it was saved up.
    fn probe(&mut self, asks: &[Ask], room: Room, outcome: &Outcome, out: &mut [Choice]) {
        let Self { times, probes, offers, .. } = self;
        probes.saved = (probes.saved + PROBE_SHARE * outcome.ms).min(DEAREST_PROBE * outcome.ms);
        if self.step.wrapping_sub(probes.last) < PROBE_EVERY || asks.is_empty() || self.settings.max_gamma == 0 {
            return;
        }
        let idle = asks.iter().zip(&*out).filter(|(ask, choice)| ask.cap > 0 && choice.gamma == 0).count() as u32;
        let has = |ask: &Ask, draft: u8| ask.cap > 0 && offers.tokens(ask.slot, draft) > 0;
        // Those without drafts try any; where all have some, one of them tries one that nobody has.
        let drafts = times.drafts.len() as u8;
        let tried = |&d: &u8| (idle > 0 || outcome.drafts >> d & 1 == 0) && asks.iter().any(|ask| has(ask, d));
        let Some(draft) = (1..=drafts).map(|d| (probes.draft + d) % drafts).find(tried) else { return };
        let drafted: u32 = out.iter().map(|c| u32::from(c.gamma)).sum();
        let kv: u64 = asks.iter().map(|a| u64::from(a.kv)).sum();
        let tokens = asks.len() as u32 + room.prefill + drafted;
        let left = room.tokens.saturating_sub(tokens);
        let mut many = left.min(if idle == 0 && outcome.drafts != 0 { 1 } else { idle });
        let cost = |n: u32| {
            let verify = times.verify.ms(tokens + n, kv) - times.verify.ms(tokens, kv);
            times.drafts[usize::from(draft)].ms(n, 0) + verify
        };
        while many > 0 && cost(many) > probes.saved {
            many /= 2;
        }
        let mut wanted = many;
        let begin = probes.turn % asks.len();
        for j in (0..asks.len()).map(|j| (begin + j) % asks.len()) {
            if wanted == 0 {
                break;
            }
            probes.turn = j + 1;
            if has(&asks[j], draft) && (out[j].gamma == 0 || idle == 0) {
                out[j] = Choice::new(draft, 1);
                wanted -= 1;
            }
        }
        if many == 0 {
            return;
        }
        probes.saved -= cost(many);
        probes.last = self.step;
        probes.draft = draft;
    }
}

impl Policy for Planner {
    fn prompts_within(&self, batch: u32) -> u32 {
        self.times.prompts_within(batch)
    }

    fn admit(&mut self, slot: u32, class: u32) {
        self.acceptance.admit(slot, class);
        self.offers.admit(slot);
    }

    fn offered(&mut self, slot: u32, draft: u8, tokens: u8) {
        self.offers.set(slot, draft, tokens);
    }

    fn choose(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Result<()> {
        check(asks)?;
        if let Some(ask) = asks.iter().find(|ask| !self.acceptance.knows(ask.slot)) {
            return Err(Error::argument("slot", format!("{} has no request; admit it first", ask.slot)));
        }
        self.acceptance.refresh();
        if self.offers.any() {
            for ask in asks {
                self.offers.cut(ask.slot, |draft| self.acceptance.worth(ask.slot, draft));
            }
        }
        // What was offered is for this step alone.
        let lasts = self.used < KEPT && !self.offers.any();
        let again = self.outcome.filter(|_| lasts).and_then(|had| self.again(had, asks, room, out));
        let outcome = match again {
            Some(outcome) => outcome,
            None => {
                let outcome = self.plan(asks, room, out);
                self.seen.keep(asks, room, out);
                // One that begins to draft, or ends it, is looked at again at once.
                let settled =
                    self.times.drafts.len() == 1 && self.outcome.is_some_and(|had| had.drafts == outcome.drafts);
                (self.outcome, self.used) = (Some(outcome), if settled { 0 } else { KEPT });
                outcome
            }
        };
        self.used += 1;
        if self.settings.probe {
            self.probe(asks, room, &outcome, out);
        }
        for (ask, choice) in asks.iter().zip(&*out) {
            if choice.gamma == 0 && (ask.slot ^ self.step).is_multiple_of(IDLE) {
                self.acceptance.idle(ask.slot);
            }
        }
        self.step = self.step.wrapping_add(1);
        Ok(())
    }

    fn observe(&mut self, slot: u32, choice: Choice, accepted: u8) -> Result<()> {
        if choice.gamma == 0 && accepted == 0 {
            return Ok(());
        }
        self.acceptance.observe(slot, choice.draft, choice.gamma, accepted)
    }

    fn observe_all(&mut self, rounds: &[Round]) -> Result<()> {
        self.acceptance.observe_all(rounds)
    }

    fn timed(&mut self, step: &StepTimes<'_>) -> Result<()> {
        if !(step.host_ms >= 0.0 && step.host_ms.is_finite()) {
            return Err(Error::argument("host_ms", format!("{} is not a number of at least 0", step.host_ms)));
        }
        self.times.verify.timed(&[step.tokens], step.kv, step.verify_ms)?;
        for time in step.drafts {
            let Some(draft) = self.times.drafts.get_mut(usize::from(time.draft)) else {
                return Err(Error::argument("draft", format!("{} is not one of the drafts", time.draft)));
            };
            draft.timed(time.passes, 0, time.ms)?;
        }
        // A pause of the host is no reason to think all steps longer.
        let host = &mut self.times.host_ms;
        let limit = if *host > 0.0 { 4.0 * *host } else { f64::INFINITY };
        *host += HOST_RATE * (step.host_ms.min(limit) - *host);
        Ok(())
    }

    fn forget(&mut self, slot: u32) {
        self.acceptance.forget(slot);
    }

    fn explain(&self, slot: u32) -> Option<Explanation> {
        Explanation::of(&self.seen, slot, &self.times, &self.acceptance, self.settings.max_gamma)
    }
}
