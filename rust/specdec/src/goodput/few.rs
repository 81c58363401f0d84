//! Small batches with one draft, where each request counts: the drafts of all, best ones first, and after each of them
//! what the step would give if it were the last; so for every depth. Exact where a pass takes longer by as much for every
//! request that joins it.

use super::{EPSILON, Fixed, Outcome};
use crate::acceptance::{DEPTHS, Row};
use crate::choose::Choice;
use crate::times::Times;

/// The part of a step's time that a plan may lack.
const MATTERS: f64 = 5e-3;

/// A plan: all drafts up to some depth that are among the first ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) score: f64,
    pub(super) ms: f64,
    depth: usize,
    tokens: usize,
}

/// What the first items up to some depth add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    gain: f64,
    passes: f64,
    tokens: usize,
}

/// Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Few {
    /// Value, request and depth in one number each, best first.
    items: Vec<u64>,
    /// Milliseconds of a step without passes, by drafts.
    verify: Vec<f64>,
    /// What one sequence more adds to a pass of so many.
    more: Vec<f64>,
    /// How deep drafts may go.
    deepest: usize,
}

impl Few {
    /// The best plan that drafts, if it is better than another one.
    pub(super) fn best(
        &mut self,
        times: &Times,
        fixed: &Fixed,
        draft: usize,
        values: &[Row],
        other: &Outcome,
    ) -> Option<Found> {
        let Self { items, verify, more, deepest } = self;
        items.clear();
        *deepest = 0;
        for (i, row) in values.iter().enumerate() {
            for (k, value) in row.0.iter().enumerate().take_while(|(_, v)| **v > 0.0) {
                // Of equal ones the earlier one comes first.
                items.push(u64::from(value.to_bits()) << 32 | u64::from(u32::MAX - (i * DEPTHS + k) as u32));
                *deepest = (*deepest).max(k + 1);
            }
        }
        items.sort_unstable_by(|a, b| b.cmp(a));
        let most = items.len().min(fixed.room as usize);
        verify.clear();
        verify.extend((0..=most as u32).map(|drafted| fixed.ms(times, drafted, 0.0)));
        more.clear();
        let pass = |n: usize| if n == 0 { 0.0 } else { times.drafts[draft].ms(n as u32, 0) };
        more.extend((0..values.len()).map(|n| pass(n + 1) - pass(n)));
        let mut best = None;
        let mut most_score = other.score + EPSILON;
        // The best so far as its time, and what it gains.
        let mut least = fixed.own_ms(other.ms);
        let mut most_gain = (other.score + least.ln()) * fixed.weight;
        let mut counts = [0usize; DEPTHS];
        let mut sums = [Sum::default(); DEPTHS];
        for item in items.iter() {
            let k = place(*item) % DEPTHS;
            let (gain, ms) = (f64::from(f32::from_bits((item >> 32) as u32)), more[counts[k]]);
            counts[k] += 1;
            // Of all plans that go as deep as this one, or deeper.
            for (depth, sum) in sums.iter_mut().enumerate().take(*deepest).skip(k) {
                if sum.tokens == most {
                    continue;
                }
                sum.gain += gain;
                sum.passes += ms;
                sum.tokens += 1;
                let ms = verify[sum.tokens] + sum.passes;
                // No logarithm where a bound of it will do: most plans are no better by far.
                if (fixed.weight + most_gain - sum.gain) * fixed.own_ms(ms) > fixed.weight * least {
                    continue;
                }
                let score = fixed.score(sum.gain, ms);
                if score > most_score {
                    (most_score, most_gain, least) = (score, sum.gain, fixed.own_ms(ms));
                    best = Some(Found { score, ms, depth: depth + 1, tokens: sum.tokens });
                }
            }
        }
        best
    }

    /// Whether plans of the last draft looked at are as good as exact for a step of so many milliseconds: passes that are
    /// bent so little that no order of drafts could save more than half a percent of it.
    pub(super) fn exact(&self, ms: f64) -> bool {
        // The first one pays for the pass.
        let Some(more) = self.more.get(1..).filter(|more| !more.is_empty()) else { return true };
        let mean = more.iter().sum::<f64>() / more.len() as f64;
        let (mut off, mut bent) = (0.0f64, 0.0f64);
        for more in more {
            off += more - mean;
            bent = bent.max(off.abs());
        }
        bent * self.deepest as f64 <= MATTERS * ms
    }

    /// What it makes of each request.
    pub(super) fn realise(&self, found: &Found, draft: usize, choices: &mut [Choice]) {
        choices.fill(Choice::NOTHING);
        let inside = |item: &&u64| place(**item) % DEPTHS < found.depth;
        for item in self.items.iter().filter(inside).take(found.tokens) {
            let (i, k) = (place(*item) / DEPTHS, place(*item) % DEPTHS);
            choices[i] = Choice::new(draft as u8, k as u8 + 1);
        }
    }
}

fn place(item: u64) -> usize {
    (u32::MAX - item as u32) as usize
}
