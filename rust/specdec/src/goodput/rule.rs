//! What the plan of a large batch with one draft goes by: what an id has to be worth. It outlasts its step: while ids cost
//! what they did, those who ask next are given what is worth as much, whoever they are, and nothing is solved.
//!
//! That is so where the time of a verification is a straight line. Where it bends, or goes up a step, a plan fills it just
//! to there, and which ids fit has to be found out anew.

use super::sweep::Candidate;
use super::{Fixed, Outcome, Step};
use crate::choose::{Ask, Choice};
use crate::times::Times;

/// Prices are alike that differ by one part of so many, about as much as a bin is wide, and numbers of requests as well.
const ALIKE: u32 = 16;
/// Or by so little that no request would notice: logarithms of what it gets.
const NOTHING: f64 = 5e-3;
/// Beyond its last draft one part of so many is looked at.
const BEYOND: u32 = 4;
/// Worths are compared so many at a time.
const SIDE: usize = 8;

/// What is drafted, and what that was paid for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    /// Ids that are worth more are drafted.
    limit: f32,
    /// Ids of a draft at most; 0 where nothing is drafted.
    depth: u8,
    /// Requests, and drafts of them all.
    rows: u32,
    drafted: u32,
    /// What an id had to be worth for its place in the verification, and milliseconds that drafting took.
    price: f64,
    draft_ms: f64,
}

impl Rule {
    /// To draft nothing.
    pub(super) fn nothing(times: &Times, fixed: &Fixed, rows: usize) -> Self {
        let rows = rows as u32;
        let price = price(times, fixed, 0, rows);
        Self { limit: f32::INFINITY, depth: 0, rows, drafted: 0, price, draft_ms: 0.0 }
    }

    /// To draft down to a limit, where neither room nor the times of verifications end it.
    pub(super) fn of(times: &Times, fixed: &Fixed, found: &Candidate, limit: f32, rows: usize) -> Option<Self> {
        let drafted = found.tokens;
        let rule = Self {
            limit,
            depth: found.depths[0],
            rows: rows as u32,
            drafted,
            price: price(times, fixed, 0, drafted),
            draft_ms: found.ms - fixed.ms(times, drafted, 0.0),
        };
        (drafted == found.whole && rule.is_straight(times, fixed)).then_some(rule)
    }

    /// Whether it is as good for another step.
    fn fits(&self, times: &Times, fixed: &Fixed, rows: u32) -> bool {
        if rows.abs_diff(self.rows) > self.rows / ALIKE {
            return false;
        }
        let many = if self.drafted == 0 { rows } else { self.drafted };
        self.is_price(price(times, fixed, 0, many)) && (self.drafted == 0 || self.is_straight(times, fixed))
    }

    /// Whether some more ids would cost as much each.
    fn is_straight(&self, times: &Times, fixed: &Fixed) -> bool {
        let more = self.drafted.div_ceil(BEYOND);
        self.drafted + more <= fixed.room && self.is_price(price(times, fixed, self.drafted, more))
    }

    fn is_price(&self, price: f64) -> bool {
        (price - self.price).abs() <= NOTHING.max(self.price / f64::from(ALIKE))
    }
}

/// What an id has to be worth to pay for its place in a verification, behind so many others: the mean of so many.
fn price(times: &Times, fixed: &Fixed, before: u32, many: u32) -> f64 {
    let ms = |drafted: u32| fixed.ms(times, drafted, 0.0);
    fixed.weight * (ms(before + many) - ms(before)) / (f64::from(many) * fixed.own_ms(ms(0)))
}

impl Outcome {
    /// Whether other steps can follow it: a plan of a large batch with one draft.
    pub fn outlasts(&self) -> bool {
        self.rule.is_some()
    }

    /// Makes the choices of a later step by what those of this plan were made by, if that still holds; says what comes of
    /// them, but for the score. `worth` is that of its draft to a request.
    pub fn follow<'a>(
        &self,
        times: &Times,
        step: &Step<'_>,
        worth: impl Fn(&Ask) -> &'a [f32],
        out: &mut Vec<Choice>,
    ) -> Option<Self> {
        let rule = self.rule?;
        let fixed = Fixed::of(times, step);
        if !rule.fits(times, &fixed, step.asks.len() as u32) {
            return None;
        }
        out.clear();
        out.resize(step.asks.len(), Choice::NOTHING);
        let depth = rule.depth.min(step.max_gamma);
        let mut drafted = 0;
        if depth > 0 {
            for (choice, ask) in out.iter_mut().zip(step.asks) {
                let gamma = above(rule.limit, ask, worth(ask), depth);
                drafted += u32::from(gamma);
                *choice = Choice::new(0, gamma);
            }
        }
        (drafted <= fixed.room).then(|| Self { ms: fixed.ms(times, drafted, rule.draft_ms), ..*self })
    }
}

/// How many ids of a draft are worth more than a limit to a request, no more than `most`.
#[inline(always)]
fn above(limit: f32, ask: &Ask, worth: &[f32], most: u8) -> u8 {
    let (sides, _) = worth.as_chunks::<SIDE>();
    let above = sides.iter().map(|side| side.iter().map(|&worth| u8::from(ask.weight * worth > limit)).sum::<u8>());
    above.sum::<u8>().min(ask.cap.min(most))
}

/// Gives requests what is worth more than the first limit, and of what is worth more than the second, which is worth about
/// the same, as much as there is to give: the first ones get it.
pub(super) fn share_out<'a>(
    (high, low): (f32, f32),
    most: u8,
    tokens: u32,
    draft: u8,
    asks: &[Ask],
    worth: impl Fn(usize, &Ask) -> &'a [f32],
    out: &mut [Choice],
) {
    let mut left = tokens;
    for (i, (choice, ask)) in out.iter_mut().zip(asks).enumerate() {
        let gamma = above(high, ask, worth(i, ask), most);
        left = left.saturating_sub(gamma.into());
        *choice = Choice::new(draft, gamma);
    }
    for (i, (choice, ask)) in out.iter_mut().zip(asks).enumerate() {
        if left == 0 {
            return;
        }
        let gamma = above(low, ask, worth(i, ask), most);
        let more = u32::from(gamma.saturating_sub(choice.gamma)).min(left);
        left -= more;
        *choice = Choice::new(draft, choice.gamma + more as u8);
    }
}
