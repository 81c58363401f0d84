//! What becomes of a plan.

use crate::choose::{Choice, Round};
use crate::live::Live;
use crate::plan::{AHEAD, NEAR};
use crate::prefix;
use crate::request::End;
use crate::scheduler::Scheduler;
use crate::step::Step;
use crate::texts::Texts;
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
        let settings = self.settings;
        let far = self.places.len() > NEAR;
        let drafts = |row: usize, step: &Step| u64::from(proposed.map_or(step.gamma[row], |proposed| proposed[row]));
        let (mut prompt_tokens, mut emitted, mut failed) = (0, 0, 0);
        for row in 0..self.places.len() {
            if far {
                self.expect_rows(row, accepted);
            }
            let i = self.places[row] as usize;
            let one = &mut self.live[i];
            let (slot, before) = (one.slot, one.computed);
            let fresh = self.step.fresh[row] as u32;
            prompt_tokens += u64::from((before + fresh).min(one.prompt) - before.min(one.prompt));
            if row >= self.step.giving {
                one.computed += fresh;
                self.fill_up(i, before);
                continue;
            }
            if accepted[row] == FAILED {
                failed += drafts(row, &self.step);
                self.retire(i, End::Failed);
                continue;
            }
            let stop: &[u32] = if one.stops { &self.requests[slot as usize].stop } else { &[] };
            let had = one.text.len();
            let end = take(one, &mut self.texts, &tokens[row * width..][..width], accepted[row] as usize + 1, stop);
            emitted += u64::from(one.text.len() - had);
            // The last id is known, not computed.
            one.computed = one.text.len() - 1;
            let choice = Choice { draft: self.step.draft[row], gamma: self.step.asked[row] };
            if choice.gamma > 0 {
                self.rounds.push(Round { slot, choice, accepted: accepted[row] as u8 });
            }
            self.fill_up(i, before);
            match end {
                Some(end) => self.retire(i, end),
                None => {
                    let one = &mut self.live[i];
                    self.table.shrink(one, settings.holding(one.text.len()), &mut self.pool);
                }
            }
        }
        self.stats.steps += 1;
        self.stats.shared_tokens += self.shared;
        self.stats.rows += self.step.rows() as u64;
        self.stats.prompt_tokens += prompt_tokens;
        self.stats.emitted += emitted;
        let drafted: u64 = (0..self.step.giving).map(|row| drafts(row, &self.step)).sum();
        self.stats.drafted += drafted - failed;
        self.stats.accepted += self.rounds.iter().map(|round| u64::from(round.accepted)).sum::<u64>();
        self.chooser.observe(&self.rounds);
        self.rounds.clear();
        self.land();
        if !self.paces.is_empty() {
            self.keep_pace();
        }
        Ok(())
    }

    /// Asks memory for what a commit reads and writes of rows that come later.
    #[inline]
    fn expect_rows(&self, row: usize, accepted: &[i64]) {
        if let Some(&place) = self.places.get(row + 2 * AHEAD) {
            let one = &self.live[place as usize];
            self.texts.expect(one.text);
            if self.turns(one, accepted.get(row + 2 * AHEAD)) {
                self.table.expect(one);
            }
        }
        if let Some(&place) = self.places.get(row + AHEAD) {
            let one = &self.live[place as usize];
            if self.turns(one, accepted.get(row + AHEAD)) {
                self.pool.expect(*self.table.last(one) as u32);
            }
        }
    }

    /// Whether a request fills a block, or lets one go.
    #[inline]
    fn turns(&self, one: &Live, accepted: Option<&i64>) -> bool {
        let computed = one.text.len().saturating_add_signed(*accepted.unwrap_or(&0) as i32);
        self.settings.full(one.computed) < self.settings.full(computed)
            || self.settings.holding(computed + 1) < one.blocks
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
            let found = &tokens[row * width..][..width];
            if !all_below(self.settings.vocab, found, accepted[row] as usize) {
                let wrong = |id: &&i64| !(0..i64::from(self.settings.vocab)).contains(*id);
                let id = found.iter().find(wrong).copied().unwrap_or_default();
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
            let last = self.live.len() - 1;
            self.table.vacate(&mut self.live[last], &mut self.pool);
            self.wait(last);
        }
        for (one, share) in self.live.iter_mut().zip(&self.shares) {
            self.table.shrink(one, share.before, &mut self.pool);
        }
        self.stats.aborted += 1;
        self.land();
        Ok(())
    }

    /// Ends all requests of plan `number`, with which a model can't go on.
    pub fn fail(&mut self, number: u64) -> Result<()> {
        self.expect(number)?;
        for row in 0..self.places.len() {
            self.retire(self.places[row] as usize, End::Failed);
        }
        self.stats.aborted += 1;
        self.land();
        Ok(())
    }

    /// Takes blocks and row from a request of the plan; it leaves those that run when the plan lands.
    fn retire(&mut self, place: usize, end: End) {
        self.publish();
        self.table.vacate(&mut self.live[place], &mut self.pool);
        self.ended.push(place as u32);
        self.finish(self.live[place].slot, end);
    }

    /// The end of a plan: what was cancelled meanwhile ends now.
    fn land(&mut self) {
        self.publish();
        self.in_flight = false;
        self.admitted = 0;
        // The last place first, so that whoever takes a place stays.
        self.ended.sort_unstable_by(|a, b| b.cmp(a));
        for at in 0..self.ended.len() {
            self.leave(self.ended[at] as usize);
        }
        self.ended.clear();
        for handle in std::mem::take(&mut self.cancelled) {
            // It may have ended by itself, and its flag with it.
            if self.request(handle).is_ok_and(|request| request.cancelled) {
                self.end_now(handle.slot() as u32, End::Cancelled);
            }
        }
    }

    /// Notes blocks that became full of computed tokens. Only what was verified is ever computed here.
    #[inline]
    fn fill_up(&mut self, place: usize, before: u32) {
        let size = self.settings.block_size as usize;
        let one = &mut self.live[place];
        let (from, to) = (self.settings.full(before) as usize, self.settings.full(one.computed) as usize);
        if from == to || !self.settings.share_prefixes {
            return;
        }
        let ids = &self.texts.ids(one.text)[from * size..to * size];
        for (ids, &block) in ids.chunks_exact(size).zip(&self.table.row(one.row)[from..to]) {
            one.key = prefix::key(one.key, ids);
            self.prefixes.expect(one.key);
            self.full.push((one.key, block as u32));
        }
        // A few at a time, so that memory has come by then.
        if self.full.len() >= AHEAD {
            self.publish();
        }
    }

    /// Publishes the blocks that were noted; while whoever filled them holds them.
    fn publish(&mut self) {
        for (key, block) in self.full.drain(..) {
            self.prefixes.publish(key, block, &mut self.pool);
        }
    }
}

/// Whether the ids up to place `last` are below a limit. All are looked at, since where the last one is is luck.
#[inline]
fn all_below(limit: u32, ids: &[i64], last: usize) -> bool {
    let most = i64::from(limit) - 1;
    // The sign of what is not.
    let mut wrong = 0;
    for (at, &id) in ids.iter().enumerate() {
        let counts = (at as i64 - last as i64 - 1) >> 63;
        wrong |= (id | most.wrapping_sub(id)) & counts;
    }
    wrong >= 0
}

/// Gives a request the first `count` ids that were found, until one ends it.
#[inline]
fn take(one: &mut Live, texts: &mut Texts, found: &[i64], count: usize, stop: &[u32]) -> Option<End> {
    let room = one.limit - one.text.len();
    let mut count = count.min(room as usize);
    let stops = |&id: &i64| stop.contains(&(id as u32));
    let stopped = if stop.is_empty() { None } else { found[..count].iter().position(stops) };
    count = stopped.map_or(count, |at| at + 1);
    texts.extend_from(&mut one.text, found, count, room);
    one.last = found[count - 1] as u32;
    match stopped {
        Some(_) => Some(End::Stop),
        None if one.text.len() == one.limit => Some(End::Length),
        None => None,
    }
}

impl Scheduler {
    /// Writes the drafts of plan `number` into its tokens: `width` ids a row, -1 behind the last. Rows that got fewer than
    /// they were to get are shorter from then on, so that the target computes nothing for drafts that there are not. With
    /// parents they are nodes of trees: each follows the one before it that its parent names, or the known ids where that
    /// is -1.
    pub fn fill(&mut self, number: u64, drafts: &[i64], parents: Option<&[i64]>, width: usize) -> Result<()> {
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
        let count = |row: &[i64]| row.iter().take_while(|&&id| id != -1).count() as u8;
        let short = |(row, &gamma): (&[i64], &u8)| count(row) < gamma;
        if width > 0 && drafts.chunks_exact(width).zip(&self.step.gamma).any(short) {
            self.step.shorten(drafts.chunks_exact(width).map(count));
        }
        if let Some(parents) = parents {
            self.branch(drafts, parents, width)?;
        }
        Ok(())
    }

    /// Writes draft `depth` of a row into the tokens of the plan in flight.
    pub(crate) fn write_draft(&mut self, row: usize, depth: usize, id: usize) -> Result<()> {
        if id >= self.settings.vocab as usize {
            let what = format!("{id} in row {row} is no id below vocab = {}", self.settings.vocab);
            return Err(Error::argument("drafts", what));
        }
        let begin = self.step.first[row + 1] as usize - usize::from(self.step.gamma[row]);
        self.step.tokens[begin + depth] = id as u32;
        Ok(())
    }

    /// Where nodes stand: a position behind their parents, in places of their own.
    fn branch(&mut self, drafts: &[i64], parents: &[i64], width: usize) -> Result<()> {
        if parents.len() != drafts.len() {
            let what = format!("{} numbers; {} are needed", parents.len(), drafts.len());
            return Err(Error::argument("parents", what));
        }
        let step = &mut self.step;
        if step.above.is_empty() {
            step.chains();
        }
        for (row, (drafts, parents)) in
            drafts.chunks_exact(width.max(1)).zip(parents.chunks_exact(width.max(1))).enumerate()
        {
            let gamma = usize::from(step.gamma[row]);
            let begin = step.first[row + 1] as usize - gamma;
            for node in (0..width.min(gamma)).take_while(|&node| drafts[node] >= 0) {
                let parent = parents[node];
                if !(-1..node as i64).contains(&parent) {
                    let what = format!("row {row}, node {node}: {parent} is neither -1 nor a node before it");
                    return Err(Error::argument("parents", what));
                }
                // A row has a known token at least.
                let above = (begin as i64 + parent) as usize;
                step.above[begin + node] = above as i32;
                step.positions[begin + node] = step.positions[above] + 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_count_are_looked_at() {
        for (ids, last, wanted) in [
            ([0, 4, 3, 2], 3, true),
            ([0, 4, 5, -1], 1, true),
            ([0, 4, 5, -1], 2, false),
            ([-1, 4, 5, -1], 0, false),
            ([i64::MIN, 0, 0, 0], 0, false),
            ([0, i64::MAX, 0, 0], 1, false),
            ([0, 0, 0, i64::MIN], 3, false),
            ([0, 0, 0, i64::MIN], 2, true),
        ] {
            assert_eq!(all_below(5, &ids, last), wanted, "{ids:?} {last}");
        }
    }
}
