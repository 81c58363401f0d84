//! Why a request drafts what it does, in words: which term binds, and what would change it.

use crate::acceptance::{Acceptance, DEPTHS};
use crate::choose::{Ask, Choice};
use crate::latency::alpha_for;
use crate::policy::Room;
use crate::times::{Depths, Times};

/// Above this share of a step, reading caches is what it does.
const MOSTLY: f64 = 0.5;

/// What keeps a draft from being longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// The draft's own passes.
    DraftLatency,
    /// Arithmetic of the verification.
    VerifyCompute,
    /// Reading caches, which takes most of the step whatever is drafted: drafts are cheap beside it.
    KvBytes,
    /// Room of the request: blocks of its cache, or tokens until its end.
    Blocks,
    /// Tokens that fit in a verification.
    TokenBudget,
    /// The draft is hardly ever right.
    Acceptance,
    /// The longest draft that is allowed.
    MaxGamma,
    /// Targets of others for the time between their tokens, which make them weigh more.
    Slo,
}

impl Term {
    /// The term in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DraftLatency => "draft latency",
            Self::VerifyCompute => "verify compute",
            Self::KvBytes => "KV bytes",
            Self::Blocks => "blocks",
            Self::TokenBudget => "token budget",
            Self::Acceptance => "acceptance",
            Self::MaxGamma => "max_gamma",
            Self::Slo => "SLO",
        }
    }
}

/// Why a request was given what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What it was given.
    pub choice: Choice,
    /// Which draft is spoken of: the chosen one, or the best of those that were not.
    pub draft: u8,
    /// What binds.
    pub term: Term,
    /// Requests of the step.
    pub batch: u32,
    /// Chance that the first draft is accepted.
    pub acceptance: f32,
    /// Acceptance at which a draft would pay, or a longer one; nothing where none would do.
    pub needed: Option<f64>,
    /// Milliseconds of the step, and its parts: host, drafts, rows of the verification, caches.
    pub ms: [f64; 5],
    /// Milliseconds that one more draft id takes, for each request that would have it: drafting and verifying it.
    pub next_ms: [f64; 2],
    /// Chance that this id is accepted, and what it has to be.
    pub next_chance: [f64; 2],
    /// What it weighs beside others.
    pub weight: f32,
    /// Chance from which one more id would pay if all weighed alike.
    pub alike: f64,
}

/// What was seen in a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    asks: Vec<Ask>,
    choices: Vec<Choice>,
    room: Option<Room>,
}

impl Seen {
    pub(crate) fn keep(&mut self, asks: &[Ask], room: Room, choices: &[Choice]) {
        self.asks.clear();
        self.asks.extend_from_slice(asks);
        self.choices.clear();
        self.choices.extend_from_slice(choices);
        self.room = Some(room);
    }

    /// Makes the same choices again, if the same requests ask and there is room.
    pub(crate) fn again(&mut self, asks: &[Ask], room: Room, choices: &mut Vec<Choice>) -> bool {
        let same = |((had, ask), choice): ((&Ask, &Ask), &Choice)| {
            had.slot == ask.slot && had.weight == ask.weight && choice.gamma <= ask.cap
        };
        if self.room != Some(room) || room.prefill > 0 || self.asks.len() != asks.len() {
            return false;
        }
        if !self.asks.iter().zip(asks).zip(&self.choices).all(same) {
            return false;
        }
        self.asks.copy_from_slice(asks);
        choices.clone_from(&self.choices);
        true
    }
}

/// A step, added up.
struct Sum {
    batch: u32,
    prefill: u32,
    tokens: u32,
    kv: u64,
    room: u32,
    depths: Vec<Depths>,
}

impl Sum {
    fn of(seen: &Seen, room: Room, drafts: usize) -> Self {
        let mut depths = vec![[0u32; DEPTHS]; drafts];
        let mut drafted = 0;
        for choice in seen.choices.iter().filter(|c| c.gamma > 0) {
            drafted += u32::from(choice.gamma);
            depths[usize::from(choice.draft)][..usize::from(choice.gamma)].iter_mut().for_each(|n| *n += 1);
        }
        let batch = seen.asks.len() as u32;
        let tokens = batch + room.prefill + drafted;
        let kv = seen.asks.iter().map(|a| u64::from(a.kv)).sum();
        Self { batch, prefill: room.prefill, tokens, kv, room: room.tokens.saturating_sub(tokens), depths }
    }
}

impl Sum {
    /// What prompts add to a step that drafts nothing.
    fn prompt_ms(&self, times: &Times) -> f64 {
        times.verify.ms(self.batch + self.prefill, self.kv) - times.verify.ms(self.batch, self.kv)
    }
}

impl Explanation {
    pub(crate) fn of(seen: &Seen, slot: u32, times: &Times, known: &Acceptance, max_gamma: u8) -> Option<Self> {
        let i = seen.asks.iter().position(|ask| ask.slot == slot)?;
        let (ask, choice, room) = (seen.asks[i], seen.choices[i], seen.room?);
        if !known.knows(slot) {
            return None;
        }
        let sum = Sum::of(seen, room, times.drafts.len());
        let first = |draft: u8| f64::from(known.survival(slot, draft).0[0]);
        let draft = if choice.gamma > 0 {
            choice.draft
        } else {
            // Of those that were not taken, the one that gains most for its time.
            let worth = |d: u8| first(d) / (1.0 + times.drafts[usize::from(d)].ms(sum.batch, 0));
            (0..times.drafts.len() as u8).max_by(|&a, &b| worth(a).total_cmp(&worth(b)))?
        };
        let depth = usize::from(choice.gamma);
        // Those who stand where this request does would draft the next id with it.
        let joins = |c: &Choice| c.gamma == choice.gamma && (c.gamma == 0 || c.draft == draft);
        let group = seen.choices.iter().filter(|c| joins(c)).count().max(1) as u32;
        let before = sum.depths[usize::from(draft)].get(depth).copied().unwrap_or(0);
        let pass = |n: u32| if n == 0 { 0.0 } else { times.drafts[usize::from(draft)].ms(n, 0) };
        let draft_ms = (pass(before + group) - pass(before)) / f64::from(group);
        let verify = |n: u32| times.verify.ms(n, sum.kv);
        let verify_ms = (verify(sum.tokens + group) - verify(sum.tokens)) / f64::from(group);
        let kv_ms = times.verify.kv_ms(sum.kv);
        let drafts_ms = sum.depths.iter().enumerate().fold(0.0, |ms, (d, depths)| ms + times.draft_ms(d, depths));
        let rows_ms = verify(sum.tokens) - kv_ms;
        let ms = times.host_ms + drafts_ms + rows_ms + kv_ms;
        // Its logarithm has to gain what that of the time does; what prompts take is left out of it.
        let share = seen.asks.iter().map(|a| f64::from(a.weight)).sum::<f64>() / f64::from(ask.weight).max(1e-9);
        let own = (ms - sum.prompt_ms(times)).max(1e-9);
        let tau = 1.0 + known.survival(slot, draft).0[..depth].iter().map(|&s| f64::from(s)).sum::<f64>();
        let pays_from = |share: f64| tau * (share * ((draft_ms + verify_ms) / own).ln_1p()).exp_m1();
        let (needed_chance, alike) = (pays_from(share), pays_from(f64::from(sum.batch)));
        let chance = f64::from(known.survival(slot, draft).0.get(depth).copied().unwrap_or(0.0));
        let pays = chance > needed_chance;
        let term = if ask.cap.min(max_gamma) == choice.gamma && ask.cap < max_gamma && (pays || ask.cap == 0) {
            Term::Blocks
        } else if choice.gamma >= max_gamma {
            Term::MaxGamma
        } else if sum.room == 0 && pays {
            Term::TokenBudget
        } else if !pays && chance > alike {
            Term::Slo
        } else if depth == 0 && chance < 0.5 * needed_chance.min(1.0) {
            Term::Acceptance
        } else if depth > 0 && kv_ms > MOSTLY * ms {
            Term::KvBytes
        } else if draft_ms >= verify_ms {
            Term::DraftLatency
        } else {
            Term::VerifyCompute
        };
        Some(Self {
            choice,
            draft,
            term,
            batch: sum.batch,
            acceptance: first(draft) as f32,
            needed: needed(times, &sum, (draft, choice.gamma, max_gamma), term, needed_chance),
            ms: [ms, times.host_ms, drafts_ms, rows_ms, kv_ms],
            next_ms: [draft_ms, verify_ms],
            next_chance: [chance, needed_chance],
            weight: ask.weight,
            alike,
        })
    }
}

/// The acceptance, the same at all positions, at which this batch would draft, or a request would draft one id more.
fn needed(times: &Times, sum: &Sum, (draft, gamma, max_gamma): (u8, u8, u8), term: Term, chance: f64) -> Option<f64> {
    let drafting = sum.depths.iter().any(|depths| depths[0] > 0);
    if drafting || term == Term::Slo {
        let root = chance.powf(1.0 / (f64::from(gamma) + 1.0));
        return (root <= 1.0).then_some(root);
    }
    let plain = times.host_ms + times.verify.ms(sum.batch, sum.kv);
    let step = |g: u32| {
        let passes = f64::from(g) * times.drafts[usize::from(draft)].ms(sum.batch, 0);
        let verified = times.verify.ms(sum.tokens + g * sum.batch, sum.kv) - sum.prompt_ms(times);
        times.host_ms + passes + verified
    };
    (1..=u32::from(max_gamma)).filter_map(|g| alpha_for(step(g) / plain, g)).min_by(f64::total_cmp)
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { choice, draft, batch, acceptance, ms, next_ms, next_chance, .. } = self;
        let gamma = choice.gamma;
        if gamma == 0 {
            write!(f, "gamma 0: acceptance {acceptance:.2} with draft {draft}, ")?;
        } else {
            write!(f, "gamma {gamma} with draft {draft}: acceptance {acceptance:.2}, ")?;
        }
        match (self.needed, gamma) {
            (Some(needed), 0) => write!(f, "{needed:.2} needed at batch {batch}")?,
            (None, 0) => write!(f, "and at batch {batch} no acceptance would do")?,
            (Some(needed), _) => write!(f, "one more would need {needed:.2} at batch {batch}")?,
            (None, _) => write!(f, "no acceptance would do for one more at batch {batch}")?,
        }
        let [all, host, drafts, rows, caches] = ms;
        write!(f, "; bound by {}: ", self.term.name())?;
        match self.term {
            Term::Blocks => write!(f, "the request has room for no more")?,
            Term::TokenBudget => write!(f, "the verification has room for no more")?,
            Term::MaxGamma => write!(f, "no more is allowed")?,
            Term::Slo => {
                let [chance, needed] = next_chance;
                write!(
                    f,
                    "one more id is accepted with {chance:.2}, and would pay from {:.2}, but others are nearer ",
                    self.alike
                )?;
                write!(f, "to their targets, so it has to be {needed:.2}")?;
            }
            Term::KvBytes => write!(f, "caches take {:.0} % of the step, whatever is drafted", 100.0 * caches / all)?,
            Term::Acceptance | Term::DraftLatency | Term::VerifyCompute => {
                let [chance, needed] = next_chance;
                let [drafting, verifying] = next_ms;
                write!(f, "one more id is accepted with {chance:.2}, and pays from {needed:.2}, since it takes ")?;
                write!(f, "{drafting:.3} ms to draft and {verifying:.3} ms to verify a request")?;
            }
        }
        if self.weight != 1.0 {
            write!(f, "; its target makes it weigh {}", self.weight)?;
        }
        write!(f, " (step {all:.2} ms: host {host:.2}, drafts {drafts:.2}, rows {rows:.2}, caches {caches:.2})")
    }
}
