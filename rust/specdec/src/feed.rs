//! What a drafter is fed that is a model with a cache of its own, and what is drawn from its scores.
//!
//! Ids of a request lie in the cache where they stand in its sequence, in the slot that is its row of the block table. A
//! round goes by passes: the first ones feed what the cache lacks, each other one what was drawn last.

use thrifty_base::noise::{Noise, Purpose};
use thrifty_base::sampling::race;
use thrifty_base::simd;

use crate::request::Handle;
use crate::scheduler::Scheduler;
use crate::{Error, Result};

/// Rows that lack more ids go through the model alone: others would be filled up to their length.
const LONG: usize = 24;

/// What a slot of the cache holds: ids of a request up to `length`, and drafts behind them.
#[derive(Clone, Debug)]
struct Kept {
    handle: Handle,
    length: usize,
    drafts: Vec<u32>,
}

/// A row that is drafted for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    row: usize,
    slot: usize,
    /// Ids of its request, and how many of them the cache has.
    known: usize,
    begin: usize,
    gamma: usize,
    drawn: usize,
}

impl Asked {
    /// Where what is fed next begins, and where it ends.
    fn span(&self) -> (usize, usize) {
        if self.drawn == 0 { (self.begin, self.known) } else { (self.known + self.drawn - 1, self.known + self.drawn) }
    }
}

/// A pass of the model: `rows` of `width` ids each, filled up with 0 behind their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Rows.
    pub rows: usize,
    /// Slot of the first row, and the position of its first id.
    pub slot: usize,
    /// See `slot`.
    pub begin: usize,
    /// Ids of a row.
    pub width: usize,
    /// The last ones whose scores are needed; 0 for all.
    pub keep: usize,
}

/// What one model is fed; the first numbers of its arrays are those of a pass. Their memory stays where it is.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// The slot of each row.
    pub slots: Vec<i64>,
    /// Ids, row after row.
    pub ids: Vec<i64>,
    /// Their positions.
    pub positions: Vec<i64>,
    kept: Vec<Option<Kept>>,
    asked: Vec<Asked>,
    /// Places in `asked` of the rows of the pass.
    rows: Vec<usize>,
    /// Scores of each row of the pass.
    scored: usize,
    /// Of the plan.
    number: u64,
    width: usize,
    laws: Vec<f32>,
    order: Vec<u32>,
}

impl Feed {
    /// One of a scheduler of so many requests of so many ids.
    pub fn new(max_running: usize, max_length: usize) -> Self {
        let ids = (max_running * LONG).max(max_length);
        Self { slots: vec![0; max_running], ids: vec![0; ids], positions: vec![0; ids], ..Self::default() }
    }

    /// Begins to draft for some rows of the step in flight, as many ids as each is to get; `None` where that is none.
    pub fn begin(&mut self, scheduler: &Scheduler, rows: impl Iterator<Item = usize>) -> Result<Option<Pass>> {
        let step = scheduler.step();
        self.asked.clear();
        (self.width, self.number) = (0, step.number);
        for row in rows {
            if row >= step.giving {
                return Err(Error::argument("rows", format!("{row} is not one of {} that give ids", step.giving)));
            }
            let (handle, slot, gamma) = (step.handle(row), step.table_row[row] as usize, usize::from(step.gamma[row]));
            if gamma == 0 {
                continue;
            }
            let ids = scheduler.running_ids(handle);
            self.kept.resize_with(self.kept.len().max(slot + 1), || None);
            // A pass that fails leaves nothing that one can go on from.
            let begin = self.kept[slot].take().filter(|kept| kept.handle == handle && kept.length < ids.len());
            let begin = begin.map_or(0, |kept| {
                let behind = &ids[kept.length..ids.len() - 1];
                kept.length + kept.drafts.iter().zip(behind).take_while(|(a, b)| a == b).count()
            });
            self.asked.push(Asked { row, slot, known: ids.len(), begin, gamma, drawn: 0 });
            self.width = self.width.max(gamma);
        }
        let vocab = scheduler.settings().vocab as usize;
        self.laws.resize(step.giving * self.width * vocab, 0.0);
        Ok(self.pass(scheduler))
    }

    /// The next pass: rows that lack many ids one by one, then the others together.
    fn pass(&mut self, scheduler: &Scheduler) -> Option<Pass> {
        let going = |asked: &&Asked| asked.drawn < asked.gamma;
        let drawn = self.asked.iter().filter(going).map(|asked| asked.drawn).min()?;
        let length = |asked: &Asked| asked.span().1 - asked.span().0;
        let long = |asked: &Asked| drawn == 0 && asked.drawn == 0 && length(asked) > LONG;
        self.rows.clear();
        if let Some(alone) = self.asked.iter().position(|asked| going(&asked) && long(asked)) {
            self.rows.push(alone);
        } else {
            let now = |(_, asked): &(usize, &Asked)| going(asked) && asked.drawn == drawn;
            self.rows.extend(self.asked.iter().enumerate().filter(now).map(|(at, _)| at));
        }
        let lengths = self.rows.iter().map(|&at| length(&self.asked[at]));
        let width = lengths.clone().max()?;
        let keep = usize::from(lengths.clone().all(|length| length == width));
        let step = scheduler.step();
        for (place, &at) in self.rows.iter().enumerate() {
            let asked = self.asked[at];
            let (begin, end) = asked.span();
            self.slots[place] = asked.slot as i64;
            let ids = &mut self.ids[place * width..][..width];
            ids.fill(0);
            if asked.drawn == 0 {
                let known = &scheduler.running_ids(step.handle(asked.row))[begin..end];
                ids.iter_mut().zip(known).for_each(|(to, &id)| *to = i64::from(id));
            } else {
                let last = step.first[asked.row + 1] as usize - asked.gamma + asked.drawn - 1;
                ids[0] = i64::from(step.tokens[last]);
            }
            let positions = &mut self.positions[place * width..][..width];
            positions.iter_mut().zip(begin..).for_each(|(to, position)| *to = position as i64);
        }
        self.scored = if keep == 1 { 1 } else { width };
        let first = &self.asked[self.rows[0]];
        Some(Pass { rows: self.rows.len(), slot: first.slot, begin: first.span().0, width, keep })
    }

    /// How many rows of scores the pass gives.
    fn places(&self) -> usize {
        self.rows.len() * self.scored
    }

    /// Draws from the scores of the pass, under the law of each row's request, into the tokens of the step; returns the
    /// next pass. What a model has more of than ids below the scheduler's `vocab` is left out.
    pub fn drew(
        &mut self,
        scheduler: &mut Scheduler,
        scores: &[f32],
        (seed, purpose): (u64, Purpose),
    ) -> Result<Option<Pass>> {
        let rows = self.places();
        if rows == 0 || scores.is_empty() || !scores.len().is_multiple_of(rows) {
            let what = format!("{} numbers; as many for each of {rows} places are needed", scores.len());
            return Err(Error::argument("scores", what));
        }
        if scheduler.step().number != self.number {
            return Err(Error::StalePlan { plan: self.number, what: "another was made since" });
        }
        let (vocab, own) = (scheduler.settings().vocab as usize, scores.len() / rows);
        let same = vocab.min(own);
        let path = simd::path()?;
        for (place, &at) in self.rows.iter().enumerate() {
            let Asked { row, slot, known, drawn, gamma, .. } = self.asked[at];
            let (begin, end) = self.asked[at].span();
            // What stands behind a row's own ids fills it up.
            let last = if self.scored == 1 { 0 } else { end - begin - 1 };
            let law = &mut self.laws[(row * self.width + drawn) * vocab..][..vocab];
            let (law, none) = law.split_at_mut(same);
            law.copy_from_slice(&scores[(place * self.scored + last) * own..][..same]);
            none.fill(0.0);
            let step = scheduler.step();
            step.sampling(row).law(path, law, &mut self.order);
            let random = Noise::new(seed, step.uids[row]).of(purpose, step.next(row));
            let Some(id) = race(path, law, random, step.next(row) + drawn as u64) else {
                return Err(Error::argument("scores", format!("those of row {row} are no law")));
            };
            let handle = step.handle(row);
            match &mut self.kept[slot] {
                Some(kept) if drawn > 0 => {
                    let fed = step.first[row + 1] as usize - gamma + drawn - 1;
                    kept.drafts.push(step.tokens[fed]);
                }
                kept => *kept = Some(Kept { handle, length: known, drafts: Vec::with_capacity(gamma) }),
            }
            scheduler.write_draft(row, drawn, id)?;
            self.asked[at].drawn += 1;
        }
        Ok(self.pass(scheduler))
    }

    /// The laws that drafts were drawn from: `width` places of `vocab` numbers a row of the step, of which those of its
    /// drafts hold something.
    pub fn laws(&self) -> (&[f32], usize) {
        (&self.laws, self.width)
    }

    /// Whether a target can be fed all of the step in flight in one pass that computes little in vain.
    pub fn holds(&self, scheduler: &Scheduler) -> bool {
        let (step, rows) = (scheduler.step(), scheduler.step().rows());
        let width = step.first.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        rows > 0 && rows == step.giving && (rows == 1 || width <= LONG) && rows * width <= self.ids.len()
    }

    /// What a target is fed for the step in flight, where it [`holds`](Self::holds) that: all rows in one pass.
    pub fn target(&mut self, scheduler: &Scheduler) -> Pass {
        let step = scheduler.step();
        let counts = || step.first.windows(2).map(|w| (w[1] - w[0]) as usize);
        let width = counts().max().unwrap_or(0);
        for (row, count) in counts().enumerate() {
            self.slots[row] = i64::from(step.table_row[row]);
            let places = row * width..(row + 1) * width;
            self.ids[places.clone()].fill(0);
            let tokens = &step.tokens[step.first[row] as usize..][..count];
            self.ids[places.clone()].iter_mut().zip(tokens).for_each(|(to, &id)| *to = i64::from(id));
            self.positions[places].iter_mut().zip(step.begin[row]..).for_each(|(to, position)| *to = position);
        }
        let keep = if counts().all(|count| count == width) { usize::from(step.asks().0) + 1 } else { 0 };
        Pass { rows: step.rows(), slot: step.table_row[0] as usize, begin: step.begin[0] as usize, width, keep }
    }
}
