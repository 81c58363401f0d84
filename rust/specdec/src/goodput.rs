//! Which draft each request of a step takes, and how many ids of it, so that all come to their ends soonest.
//!
//! ```text
//! tau_i   = 1 + S_i(1) + ... + S_i(g_i)                            ids that request i gets of the step
//! ms      = host + sum over drafts and depths k of t_d(n_k) + t_v(sum of (g_i + 1), caches)
//! goodput = product over i of tau_i ^ (w_i / sum of w) / ms        their mean, by factors, for the time
//! ```
//!
//! n_k is the number of requests that a draft has with g_i >= k. The mean is that of factors, since a request that
//! gets 4 ids instead of 2 is saved as many of its steps as one that gets 2 instead of 1. What prompts add to the
//! step is left out of its time: they have to be computed whatever is drafted, and are no reason to draft more.
//!
//! The logarithm of all this is a sum. A draft id costs all requests the same, wherever it stands: a place in the
//! verification. So those that are worth most, w_i log(tau_i with it / tau_i without), come first, and since that falls with
//! k a request's first ones come before its later ones. What is to be found is how far down to go, and how deep at most,
//! since each depth is a pass of the draft. Values are counted in bins (`histogram`), depth by depth; then each bin and
//! depth is a plan whose time is known (`sweep`), and the best is taken, among them those that fill a verification just
//! to a size that it is padded to. No marginal costs are compared, so steps in times do no harm. To draft nothing is a plan too.
//!
//! With several drafts, each is tried alone, then together with another, where requests take what gains them most.
//! In small batches with one draft all plans that take the best ids up to some depth are looked at (`few`). With several
//! drafts, and where passes take longer by steps that matter, each request is then moved by itself (`polish`).

mod few;
mod histogram;
mod polish;
mod rule;
mod sweep;
#[cfg(test)]
mod tests;

use self::few::Few;
use self::histogram::{Histogram, Scale};
use self::rule::Rule;
use self::sweep::{Candidate, Sweep, Warm};
use crate::acceptance::{DEPTHS, Row};
use crate::choose::{Ask, Choice};
use crate::times::{MOST_DRAFTS, Times};

/// A plan has to be better by this, in logarithms, to be another plan.
const EPSILON: f64 = 1e-9;
/// Steps take no less.
const LEAST_MS: f64 = 1e-9;

/// A step to plan.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Its requests.
    pub asks: &'a [Ask],
    /// Tokens of prompts that go through the same verification.
    pub prefill: u32,
    /// Tokens of a verification at most, prompts and requests included.
    pub budget: u32,
    /// Drafts to look at, a bit each.
    pub drafts: u8,
    /// Ids of a draft at most.
    pub max_gamma: u8,
}

/// What a plan gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Logarithm of the goodput: of ids that a request gets a millisecond.
    pub score: f64,
    /// Milliseconds of the step.
    pub ms: f64,
    /// Drafts that it uses, a bit each.
    pub drafts: u8,
    /// Drafts worth less than this were left out; nothing where all were taken or none.
    pub threshold: f32,
    /// What it goes by.
    rule: Option<Rule>,
}

/// Finds plans. It keeps its memory, so that steps ask for none.
#[derive(Debug)]
pub struct Solver {
    rows: usize,
    /// Values of draft after draft.
    values: Vec<Row>,
    /// The draft of each request, while a set of drafts is looked at.
    draft_of: Vec<u8>,
    histograms: Vec<Histogram>,
    trial: Vec<Choice>,
    few: Few,
    /// Where the best plan was lately, for each set of drafts.
    warm: Vec<Warm>,
}

/// What a step has anyway.
#[derive(Clone, Copy)]
struct Fixed {
    weight: f64,
    /// Tokens that are verified with no draft.
    tokens: u32,
    /// Drafts that fit at most.
    room: u32,
    kv: u64,
    /// What prompts take of the step.
    prompt_ms: f64,
}

impl Default for Solver {
    fn default() -> Self {
        Self::new()
    }
}

impl Solver {
    /// A solver without memory yet.
    pub fn new() -> Self {
        Self {
            rows: 0,
            values: Vec::new(),
            draft_of: Vec::new(),
            histograms: Vec::new(),
            trial: Vec::new(),
            few: Few::default(),
            warm: vec![Warm::default(); 1 << MOST_DRAFTS],
        }
    }

    /// Makes the choices of a step; `worth` says what ids of a draft are [worth](crate::worth::worth) to the request at a
    /// place of the asks.
    pub fn solve<'a>(
        &mut self,
        times: &Times,
        step: &Step<'_>,
        worth: impl Fn(usize, u8) -> &'a [f32],
        out: &mut Vec<Choice>,
    ) -> Outcome {
        let fixed = Fixed::of(times, step);
        self.rows = step.asks.len();
        out.clear();
        out.resize(self.rows, Choice::NOTHING);
        let mut best = nothing(times, &fixed);
        if fixed.weight <= 0.0 {
            return best;
        }
        if self.rows > polish::MOST_ROWS && times.drafts.len() == 1 {
            best.rule = Some(Rule::nothing(times, &fixed, self.rows));
        }
        if self.rows > polish::MOST_ROWS && step.drafts.count_ones() == 1 {
            self.try_alone(times, &fixed, step, &worth, &mut best, out);
            return best;
        }
        let drafts = times.drafts.len().min(MOST_DRAFTS);
        self.values.resize(self.rows * drafts, Row::default());
        self.draft_of.resize(self.rows, 0);
        self.histograms.resize_with(drafts, Histogram::new);
        let offered = |draft: usize| step.drafts >> draft & 1 == 1;
        let mut tops = [0.0f32; MOST_DRAFTS];
        for draft in (0..drafts).filter(|&d| offered(d)) {
            tops[draft] = self.fill(step, draft, &worth);
            self.draft_of.fill(draft as u8);
            self.try_set(times, &fixed, 1 << draft, tops[draft], &mut best, out);
        }
        // Then others beside the best one, while that helps.
        while best.drafts != 0 {
            let used = best.drafts;
            for draft in (0..drafts).filter(|&d| offered(d) && used >> d & 1 == 0 && tops[d] > 0.0) {
                let set = used | 1 << draft;
                let top = (0..drafts).filter(|d| set >> d & 1 == 1).map(|d| tops[d]).fold(0.0, f32::max);
                self.assign(set, best.threshold);
                self.try_set(times, &fixed, set, top, &mut best, out);
            }
            if best.drafts == used {
                break;
            }
        }
        if self.rows <= polish::MOST_ROWS && step.drafts.count_ones() > 1 {
            // Two drafts may pay together of which neither does alone, and requests may change theirs.
            for first in (0..drafts).filter(|&d| tops[d] > 0.0) {
                for second in (0..first).filter(|&d| tops[d] > 0.0) {
                    let set = 1 << first | 1 << second;
                    self.assign(set, 0.0);
                    self.try_set(times, &fixed, set, tops[first].max(tops[second]), &mut best, out);
                }
            }
            polish::polish(times, step.drafts, &fixed, &self.values, &mut best, out);
            for draft in (0..drafts).filter(|&d| tops[d] > 0.0) {
                self.begin_with(times, &fixed, draft, step.drafts, &mut best, out);
            }
        }
        best
    }

    /// Looks for a better plan of a large batch with one draft: worths are looked at where they lie.
    fn try_alone<'a>(
        &mut self,
        times: &Times,
        fixed: &Fixed,
        step: &Step<'_>,
        worth: &impl Fn(usize, u8) -> &'a [f32],
        best: &mut Outcome,
        out: &mut [Choice],
    ) {
        let draft = step.drafts.trailing_zeros() as usize;
        if draft >= times.drafts.len() {
            return;
        }
        let cap = |ask: &Ask| usize::from(ask.cap.min(step.max_gamma));
        let first = |(i, ask): (usize, &Ask)| if cap(ask) > 0 { ask.weight * worth(i, draft as u8)[0] } else { 0.0 };
        let top = step.asks.iter().enumerate().map(first).fold(0.0, f32::max);
        if top <= 0.0 || fixed.room == 0 {
            return;
        }
        let scale = Scale::new(top);
        self.histograms.resize_with(self.histograms.len().max(draft + 1), Histogram::new);
        self.histograms[draft].clear();
        for (i, ask) in step.asks.iter().enumerate() {
            self.histograms[draft].add_some(scale, ask.weight, worth(i, draft as u8), cap(ask));
        }
        let look = Sweep { times, fixed, set: step.drafts, histograms: &self.histograms };
        let Some(found) = self.warm[usize::from(step.drafts)].find(&look, scale) else { return };
        if found.score <= best.score + EPSILON {
            return;
        }
        let limits = found.limits(scale);
        let rule = if times.drafts.len() == 1 { Rule::of(times, fixed, &found, limits.1, self.rows) } else { None };
        *best = Outcome { score: found.score, ms: found.ms, drafts: step.drafts, threshold: limits.1, rule };
        let most = found.depths[draft].min(step.max_gamma);
        rule::share_out(limits, most, found.tokens, draft as u8, step.asks, |i, _| worth(i, draft as u8), out);
    }

    /// Looks for a better plan near the best one with one draft, which need not be the best draft.
    fn begin_with(
        &mut self,
        times: &Times,
        fixed: &Fixed,
        draft: usize,
        offered: u8,
        best: &mut Outcome,
        out: &mut [Choice],
    ) {
        let mut trial = nothing(times, fixed);
        self.trial.clear();
        self.trial.resize(self.rows, Choice::NOTHING);
        let values = &self.values[draft * self.rows..][..self.rows];
        let Some(found) = self.few.best(times, fixed, draft, values, &trial) else { return };
        self.few.realise(&found, draft, &mut self.trial);
        polish::polish(times, offered, fixed, &self.values, &mut trial, &mut self.trial);
        if trial.score > best.score + EPSILON {
            *best = trial;
            out.copy_from_slice(&self.trial);
        }
    }

    /// What drafts are worth to each request; the most of all.
    fn fill<'a>(&mut self, step: &Step<'_>, draft: usize, worth: &impl Fn(usize, u8) -> &'a [f32]) -> f32 {
        let rows = &mut self.values[draft * self.rows..(draft + 1) * self.rows];
        let mut top = 0.0f32;
        for (i, (values, ask)) in rows.iter_mut().zip(step.asks).enumerate() {
            let cap = usize::from(ask.cap.min(step.max_gamma));
            *values = Row::default();
            for (k, (value, worth)) in values.0.iter_mut().zip(worth(i, draft as u8)).enumerate() {
                *value = if k < cap { ask.weight * worth } else { 0.0 };
            }
            top = top.max(values.0[0]);
        }
        top
    }

    /// Gives each request the draft of a set that gains it most above a threshold.
    fn assign(&mut self, set: u8, threshold: f32) {
        for i in 0..self.rows {
            let mut most = -1.0;
            for draft in (0..MOST_DRAFTS).filter(|d| set >> d & 1 == 1) {
                let values = &self.values[draft * self.rows + i].0;
                let surplus: f32 = values.iter().map(|v| (v - threshold).max(0.0)).sum();
                if surplus > most {
                    (most, self.draft_of[i]) = (surplus, draft as u8);
                }
            }
        }
    }

    /// Looks for a better plan in which requests have the drafts that they were given.
    fn try_set(&mut self, times: &Times, fixed: &Fixed, set: u8, top: f32, best: &mut Outcome, out: &mut [Choice]) {
        if top <= 0.0 || fixed.room == 0 {
            return;
        }
        let small = self.rows <= polish::MOST_ROWS;
        if small && set.count_ones() == 1 {
            let draft = set.trailing_zeros() as usize;
            let values = &self.values[draft * self.rows..][..self.rows];
            if let Some(found) = self.few.best(times, fixed, draft, values, best) {
                self.few.realise(&found, draft, out);
                *best = Outcome { score: found.score, ms: found.ms, drafts: set, threshold: 0.0, rule: None };
            }
            if best.drafts & !set == 0 && !self.few.exact(fixed.own_ms(best.ms)) {
                polish::polish(times, set, fixed, &self.values, best, out);
            }
            return;
        }
        let scale = Scale::new(top);
        let members = (0..MOST_DRAFTS).filter(|d| set >> d & 1 == 1);
        members.for_each(|draft| self.histograms[draft].clear());
        for i in 0..self.rows {
            let draft = usize::from(self.draft_of[i]);
            self.histograms[draft].add(scale, &self.values[draft * self.rows + i]);
        }
        let mut trial = nothing(times, fixed);
        let look = Sweep { times, fixed, set, histograms: &self.histograms };
        let found = if small { look.all(1) } else { self.warm[usize::from(set)].find(&look, scale) };
        // A small batch is polished whatever comes of bins; a large one has to be better than what there is.
        match found {
            Some(found) if small || found.score > best.score + EPSILON => {
                self.realise(&found, scale);
                let drafts = self.trial.iter().filter(|c| c.gamma > 0).fold(0u8, |set, c| set | 1 << c.draft);
                let threshold = scale.floor(found.bin);
                trial = Outcome { score: found.score, ms: found.ms, drafts, threshold, rule: None };
            }
            _ => {
                self.trial.clear();
                self.trial.resize(self.rows, Choice::NOTHING);
            }
        }
        if small {
            polish::polish(times, set, fixed, &self.values, &mut trial, &mut self.trial);
        }
        if trial.score > best.score + EPSILON {
            *best = trial;
            out.copy_from_slice(&self.trial);
        }
    }

    /// Turns a candidate into choices.
    fn realise(&mut self, candidate: &Candidate, scale: Scale) {
        let (high, low) = candidate.limits(scale);
        let above = |values: &Row, limit: f32, depth: u8| {
            let count = values.0.iter().map(|&v| u8::from(v > limit)).sum::<u8>();
            count.min(depth)
        };
        self.trial.clear();
        let mut left = candidate.tokens;
        for i in 0..self.rows {
            let draft = self.draft_of[i];
            let values = &self.values[usize::from(draft) * self.rows + i];
            let gamma = above(values, high, candidate.depths[usize::from(draft)]);
            left = left.saturating_sub(gamma.into());
            self.trial.push(Choice::new(draft, gamma));
        }
        // What is left goes to drafts of the last bins: in small batches the best ones, else all are worth about the same.
        if self.rows <= polish::MOST_ROWS {
            self.fill_best(left, low, &candidate.depths);
            return;
        }
        for i in 0..self.rows {
            if left == 0 {
                break;
            }
            let draft = self.draft_of[i];
            let values = &self.values[usize::from(draft) * self.rows + i];
            let gamma = above(values, low, candidate.depths[usize::from(draft)]);
            let had = self.trial[i].gamma;
            let more = u32::from(gamma - had).min(left);
            left -= more;
            self.trial[i] = Choice::new(draft, had + more as u8);
        }
    }

    /// Lengthens drafts one by one by what is worth most, down to a limit.
    fn fill_best(&mut self, left: u32, limit: f32, depths: &[u8; MOST_DRAFTS]) {
        for _ in 0..left {
            let next = |i: usize| {
                let draft = usize::from(self.draft_of[i]);
                let gamma = usize::from(self.trial[i].gamma);
                let inside = gamma < usize::from(depths[draft]).min(DEPTHS);
                if inside { self.values[draft * self.rows + i].0[gamma] } else { 0.0 }
            };
            let Some(i) = (0..self.rows).max_by(|&a, &b| next(a).total_cmp(&next(b)).then(b.cmp(&a))) else { return };
            if next(i) <= limit {
                return;
            }
            self.trial[i] = Choice::new(self.draft_of[i], self.trial[i].gamma + 1);
        }
    }
}

impl Fixed {
    fn of(times: &Times, step: &Step<'_>) -> Self {
        let (mut weight, mut kv) = (0.0, 0);
        for ask in step.asks {
            weight += f64::from(ask.weight);
            kv += u64::from(ask.kv);
        }
        let tokens = (step.asks.len() as u32).saturating_add(step.prefill);
        let alone = times.verify.ms(step.asks.len() as u32, kv);
        let prompt_ms = times.verify.ms(tokens, kv) - alone;
        Self { weight, tokens, room: step.budget.saturating_sub(tokens), kv, prompt_ms }
    }

    /// Milliseconds of a step.
    fn ms(&self, times: &Times, drafted: u32, draft_ms: f64) -> f64 {
        times.host_ms + draft_ms + times.verify.ms(self.tokens + drafted, self.kv)
    }

    /// Logarithm of the goodput.
    fn score(&self, gain: f64, ms: f64) -> f64 {
        gain / self.weight - self.own_ms(ms).ln()
    }

    /// Milliseconds of a step without what its prompts add.
    #[inline(always)]
    fn own_ms(&self, ms: f64) -> f64 {
        (ms - self.prompt_ms).max(LEAST_MS)
    }
}

/// The plan that drafts nothing.
fn nothing(times: &Times, fixed: &Fixed) -> Outcome {
    let ms = fixed.ms(times, 0, 0.0);
    Outcome { score: fixed.score(0.0, ms), ms, drafts: 0, threshold: 0.0, rule: None }
}
