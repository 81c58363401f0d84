//! Small batches, where each request counts. Each is moved by itself, to any draft and length, while that helps; then
//! several are, one after the other, since they pay together for a pass of a draft and for places that are padded.

use super::{EPSILON, Fixed, Outcome};
use crate::acceptance::{DEPTHS, Row};
use crate::choose::Choice;
use crate::times::{Depths, MOST_DRAFTS, Times};

/// Requests of a batch that is small. Looking at one takes a third of a microsecond a draft.
pub(super) const MOST_ROWS: usize = 8;
/// Requests of a batch so small that pairs are moved together.
const MOST_PAIRS: usize = 5;
/// Ids that requests are lengthened or shortened by in a row.
const STEPS: usize = 16;
/// Times that all requests are looked at.
const ROUNDS: usize = 4;

/// Improves the choices of a small batch.
pub(super) fn polish(
    times: &Times,
    offered: u8,
    fixed: &Fixed,
    values: &[Row],
    best: &mut Outcome,
    choices: &mut [Choice],
) {
    let mut batch = Batch::new(times, offered, fixed, values, choices);
    for _ in 0..ROUNDS {
        let mut moved = false;
        for i in 0..batch.choices.len() {
            moved |= batch.move_request(i);
        }
        if !moved {
            for i in 0..batch.choices.len() {
                moved |= batch.exchange(i) || batch.choices.len() <= MOST_PAIRS && batch.make_room(i);
            }
            moved |= batch.walk(1) || batch.walk(-1);
        }
        if !moved {
            break;
        }
    }
    (best.score, best.ms) = (batch.score, batch.now.ms(&batch));
    best.drafts = batch.choices.iter().filter(|c| c.gamma > 0).fold(0, |set, c| set | 1 << c.draft);
}

/// What a plan adds up to.
#[derive(Clone, Copy)]
struct Now {
    gain: f64,
    draft_ms: f64,
    drafted: u32,
}

struct Batch<'a> {
    times: &'a Times,
    fixed: &'a Fixed,
    offered: u8,
    values: &'a [Row],
    choices: &'a mut [Choice],
    counts: [Depths; MOST_DRAFTS],
    now: Now,
    score: f64,
}

impl Now {
    fn ms(&self, batch: &Batch<'_>) -> f64 {
        batch.fixed.ms(batch.times, self.drafted, self.draft_ms)
    }

    fn score(&self, batch: &Batch<'_>) -> f64 {
        batch.fixed.score(self.gain, self.ms(batch))
    }
}

impl<'a> Batch<'a> {
    fn new(times: &'a Times, offered: u8, fixed: &'a Fixed, values: &'a [Row], choices: &'a mut [Choice]) -> Self {
        let counts = [[0; DEPTHS]; MOST_DRAFTS];
        let now = Now { gain: 0.0, draft_ms: 0.0, drafted: 0 };
        let mut batch = Self { times, fixed, offered, values, choices, counts, now, score: f64::NEG_INFINITY };
        for i in 0..batch.choices.len() {
            let choice = batch.choices[i];
            batch.count(choice, 1);
            batch.now.gain += batch.gain(i, choice);
            batch.now.drafted += u32::from(choice.gamma);
        }
        batch.now.draft_ms = batch.draft_ms();
        batch.score = batch.now.score(&batch);
        batch
    }

    fn offered(&self) -> impl Iterator<Item = usize> + use<> {
        let (offered, drafts) = (self.offered, self.times.drafts.len().min(MOST_DRAFTS));
        (0..drafts).filter(move |&d| offered >> d & 1 == 1)
    }

    fn row(&self, draft: usize, i: usize) -> &'a [f32; DEPTHS] {
        &self.values[draft * self.choices.len() + i].0
    }

    fn gain(&self, i: usize, choice: Choice) -> f64 {
        if choice.gamma == 0 {
            return 0.0;
        }
        let row = self.row(choice.draft.into(), i);
        row[..usize::from(choice.gamma)].iter().map(|&v| f64::from(v)).sum()
    }

    fn count(&mut self, choice: Choice, by: i32) {
        if choice.gamma > 0 {
            for n in &mut self.counts[usize::from(choice.draft)][..usize::from(choice.gamma)] {
                *n = n.saturating_add_signed(by);
            }
        }
    }

    fn draft_ms(&self) -> f64 {
        (0..self.times.drafts.len().min(MOST_DRAFTS)).map(|d| self.times.draft_ms(d, &self.counts[d])).sum()
    }

    /// What a pass takes more when it has `more` sequences instead of `n`.
    fn more_ms(&self, draft: usize, n: u32, more: u32) -> f64 {
        let ms = |n: u32| if n == 0 { 0.0 } else { self.times.drafts[draft].ms(n, 0) };
        ms(more) - ms(n)
    }

    /// Gives a request the choice that is best while the others keep theirs; whether it is another one.
    fn move_request(&mut self, i: usize) -> bool {
        let had = self.choices[i];
        self.count(had, -1);
        let without = Now {
            gain: self.now.gain - self.gain(i, had),
            draft_ms: self.draft_ms(),
            drafted: self.now.drafted - u32::from(had.gamma),
        };
        let mut best = (had, self.now, self.score);
        let mut consider = |choice: Choice, now: Now, score: f64| {
            if score > best.2 + EPSILON {
                best = (choice, now, score);
            }
        };
        consider(Choice::NOTHING, without, without.score(self));
        for draft in self.offered() {
            let row = self.row(draft, i);
            let mut now = without;
            for k in 0..DEPTHS {
                if row[k] <= 0.0 || now.drafted >= self.fixed.room {
                    break;
                }
                let n = self.counts[draft][k];
                now.gain += f64::from(row[k]);
                now.draft_ms += self.more_ms(draft, n, n + 1);
                now.drafted += 1;
                consider(Choice::new(draft as u8, k as u8 + 1), now, now.score(self));
            }
        }
        let chosen;
        (chosen, self.now, self.score) = best;
        self.count(chosen, 1);
        self.choices[i] = chosen;
        chosen != had
    }

    /// Shortens a request by one and lengthens another by one, if that helps.
    fn exchange(&mut self, i: usize) -> bool {
        let had = self.choices[i];
        if had.gamma == 0 {
            return false;
        }
        let (draft, depth) = (usize::from(had.draft), usize::from(had.gamma) - 1);
        let n = self.counts[draft][depth];
        self.counts[draft][depth] = n - 1;
        let without = Now {
            gain: self.now.gain - f64::from(self.row(draft, i)[depth]),
            draft_ms: self.now.draft_ms + self.more_ms(draft, n, n - 1),
            drafted: self.now.drafted - 1,
        };
        let mut best = (None, self.now, self.score);
        for j in (0..self.choices.len()).filter(|&j| j != i) {
            let Choice { draft: had, gamma } = self.choices[j];
            let depth = usize::from(gamma);
            for draft in self.offered().filter(|&d| depth == 0 || d == usize::from(had)) {
                if depth >= DEPTHS || self.row(draft, j)[depth] <= 0.0 {
                    continue;
                }
                let n = self.counts[draft][depth];
                let now = Now {
                    gain: without.gain + f64::from(self.row(draft, j)[depth]),
                    draft_ms: without.draft_ms + self.more_ms(draft, n, n + 1),
                    drafted: without.drafted + 1,
                };
                let score = now.score(self);
                if score > best.2 + EPSILON {
                    best = (Some((j, draft, depth)), now, score);
                }
            }
        }
        let (Some((j, joined, at)), now, score) = best else {
            self.counts[draft][depth] = n;
            return false;
        };
        self.choices[i] = Choice::new(had.draft, had.gamma - 1);
        self.choices[j] = Choice::new(joined as u8, at as u8 + 1);
        self.counts[joined][at] += 1;
        (self.now, self.score) = (now, score);
        true
    }

    /// Shortens a request, gives another what is then best for it, and then the first; whether all of it helps.
    fn make_room(&mut self, i: usize) -> bool {
        let (had, now, score) = (self.choices[i], self.now, self.score);
        for j in (0..self.choices.len()).filter(|&j| j != i) {
            for gamma in [0, had.gamma.saturating_sub(1)].into_iter().filter(|&g| g < had.gamma) {
                let (counts, other) = (self.counts, self.choices[j]);
                self.count(had, -1);
                self.choices[i] = Choice::new(had.draft, gamma);
                self.count(self.choices[i], 1);
                self.now.gain += self.gain(i, self.choices[i]) - self.gain(i, had);
                self.now.drafted -= u32::from(had.gamma - gamma);
                self.now.draft_ms = self.draft_ms();
                self.score = self.now.score(self);
                self.move_request(j);
                self.move_request(i);
                if self.score > score + EPSILON {
                    return true;
                }
                (self.choices[i], self.choices[j], self.counts) = (had, other, counts);
                (self.now, self.score) = (now, score);
            }
        }
        false
    }

    /// Lengthens requests one id at a time, each time the one that then is best, or shortens them; stops where all of
    /// it was best. So passes and padded places are filled that no request would pay for alone.
    fn walk(&mut self, by: i32) -> bool {
        let start = (self.now, self.score);
        let (mut best, mut taken, mut length) = (start, 0, 0);
        let mut steps = [(0u8, Choice::NOTHING); STEPS];
        while length < STEPS {
            let Some((i, choice, now)) = self.next(by) else { break };
            let depth = usize::from(choice.gamma.max(self.choices[i].gamma)) - 1;
            let draft = usize::from(if by > 0 { choice.draft } else { self.choices[i].draft });
            steps[length] = (i as u8, self.choices[i]);
            length += 1;
            self.counts[draft][depth] = self.counts[draft][depth].saturating_add_signed(by);
            self.choices[i] = choice;
            (self.now, self.score) = (now, now.score(self));
            if self.score > best.1 + EPSILON {
                (best, taken) = ((self.now, self.score), length);
            }
        }
        for &(i, had) in steps[taken..length].iter().rev() {
            let i = usize::from(i);
            self.count(self.choices[i], -1);
            self.count(had, 1);
            self.choices[i] = had;
        }
        (self.now, self.score) = best;
        taken > 0
    }

    /// The best of all plans that differ by one id.
    fn next(&self, by: i32) -> Option<(usize, Choice, Now)> {
        let mut best: Option<(f64, usize, Choice, Now)> = None;
        for i in 0..self.choices.len() {
            let Choice { draft: had, gamma } = self.choices[i];
            let depth = if by > 0 { usize::from(gamma) } else { usize::from(gamma).wrapping_sub(1) };
            if depth >= DEPTHS || by > 0 && self.now.drafted >= self.fixed.room {
                continue;
            }
            for draft in self.offered().filter(|&d| gamma == 0 || d == usize::from(had)) {
                let value = self.row(draft, i)[depth];
                if value <= 0.0 {
                    continue;
                }
                let n = self.counts[draft][depth];
                let now = Now {
                    gain: self.now.gain + f64::from(by) * f64::from(value),
                    draft_ms: self.now.draft_ms + self.more_ms(draft, n, n.saturating_add_signed(by)),
                    drafted: self.now.drafted.saturating_add_signed(by),
                };
                let score = now.score(self);
                if best.is_none_or(|(most, ..)| score > most) {
                    let gamma = gamma.saturating_add_signed(by as i8);
                    best = Some((score, i, Choice::new(draft as u8, gamma), now));
                }
            }
        }
        best.map(|(_, i, choice, now)| (i, choice, now))
    }
}
