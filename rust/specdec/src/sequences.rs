//! A drafter's sequences, kept in step with the requests that they stand for.

use thrifty_base::draft::{Ask, Children, Draft, DraftTrees, Hopes, Laws, Proposals, TreeAsk, Trees};
use thrifty_base::noise::{Noise, Purpose};

use crate::request::Handle;
use crate::scheduler::Scheduler;

/// Ids before those that were verified that a drafter is told.
const CONTEXT: usize = 16;

/// What a drafter knows of a request.
#[derive(Clone, Debug)]
struct Known {
    handle: Handle,
    sequence: usize,
    /// Ids of the request when it was last asked, and what it proposed to follow.
    length: usize,
    proposed: Vec<u32>,
}

/// The sequences of one drafter, by the slots of requests.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    known: Vec<Option<Known>>,
    rows: Vec<usize>,
    asks: Vec<Ask>,
    out: Proposals,
    tree_asks: Vec<TreeAsk>,
    trees: Trees,
}

/// Drafts for the rows of a step that give ids: `width` places each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drafts {
    /// Places of a row.
    pub width: usize,
    /// Ids, -1 behind the last of a row.
    pub ids: Vec<i64>,
    /// Parents of nodes, where rows are trees; -1 for the root.
    pub parents: Vec<i64>,
    /// Where the law of each place ends in `law_ids`, behind a 0; of places without a draft it is empty. A tree has a place
    /// more, the first: the law of its root's children; behind it stand those of what follows each node.
    pub ends: Vec<i64>,
    /// Ids of the laws.
    pub law_ids: Vec<u32>,
    /// Their probabilities.
    pub law: Vec<f32>,
}

impl Drafts {
    /// No drafts yet for so many rows.
    pub fn clear(&mut self, rows: usize, width: usize) {
        self.width = width;
        self.ids.clear();
        self.ids.resize(rows * width, -1);
        self.parents.clear();
        self.ends.clear();
        self.ends.resize(rows * width + 1, 0);
        self.law_ids.clear();
        self.law.clear();
    }
}

impl Drafts {
    /// Leaves each row its first places; behind them there is nothing. Not for trees.
    pub fn narrow(&mut self, width: usize) {
        if width >= self.width {
            return;
        }
        let rows = self.ids.len() / self.width;
        for row in 0..rows {
            for place in 0..width {
                self.ids[row * width + place] = self.ids[row * self.width + place];
                self.ends[row * width + place + 1] = self.ends[row * self.width + place + 1];
            }
        }
        self.ids.truncate(rows * width);
        self.ends.truncate(rows * width + 1);
        self.width = width;
    }
}

/// Appends the `wants` ids of the largest scores, the largest first, of equal ones the lowest.
pub fn likeliest(scores: &[f32], wants: usize, out: &mut Vec<u32>) {
    let begin = out.len();
    for (id, &score) in scores.iter().enumerate() {
        let full = out.len() - begin == wants;
        if full && out.last().is_none_or(|&last| scores[last as usize] >= score) {
            continue;
        }
        if full {
            out.pop();
        }
        let place = out[begin..].partition_point(|&other| scores[other as usize] >= score);
        out.insert(begin + place, id as u32);
    }
}

/// Tells a drafter what the target found likeliest: [`Draft::wants`] ids behind each token whose scores are needed.
pub fn observe<D: Draft>(scheduler: &Scheduler, drafter: &mut D, likeliest: &[u32]) -> Result<(), D::Error> {
    let (step, wants) = (scheduler.step(), drafter.wants());
    let (mut text, mut from) = (Vec::new(), 0);
    for row in 0..step.giving {
        let (known, drafts) = (scheduler.running_ids(step.handle(row)), usize::from(step.gamma[row]));
        let end = step.first[row + 1] as usize;
        text.clear();
        text.extend_from_slice(&known[known.len().saturating_sub(CONTEXT)..]);
        text.extend_from_slice(&step.tokens[end - drafts..end]);
        let to = from + (drafts + 1) * wants;
        drafter.observe(&text, &likeliest[from..to])?;
        from = to;
    }
    Ok(())
}

impl Sequences {
    /// Asks `drafter` for what the step in flight wants of the drafter with number `which`. With `purpose`
    /// [`Purpose::Shared`] drafts are drawn as the seed-exact rule verifies them. Laws are kept with `laws`.
    pub fn propose<D: Draft>(
        &mut self,
        scheduler: &Scheduler,
        which: u8,
        (seed, purpose): (u64, Purpose),
        drafter: &mut D,
        laws: bool,
        out: &mut Drafts,
    ) -> Result<(), D::Error> {
        let step = scheduler.step();
        let width = step.gamma[..step.giving].iter().copied().max().unwrap_or(0) as usize;
        out.clear(step.giving, width);
        self.rows.clear();
        self.asks.clear();
        for row in (0..step.giving).filter(|&row| step.gamma[row] > 0 && step.draft[row] == which) {
            let sequence = self.follow(scheduler, step.handle(row), drafter)?;
            let random = Noise::new(seed, step.uids[row]).of(purpose, step.next(row));
            let tokens = usize::from(step.gamma[row]);
            self.asks.push(Ask { sequence, tokens, sampling: step.sampling(row), random });
            self.rows.push(row);
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        drafter.propose(&self.asks, laws, &mut self.out)?;
        let (mut begin, mut law) = (0, 0);
        for (&row, &end) in self.rows.iter().zip(&self.out.ends) {
            let ids = &self.out.ids[begin..end];
            for (place, &id) in out.ids[row * width..].iter_mut().zip(ids) {
                *place = i64::from(id);
            }
            if let Some(known) = &mut self.known[step.handle(row).slot()] {
                known.proposed.clear();
                known.proposed.extend_from_slice(ids);
            }
            begin = end;
        }
        if laws {
            // Rows are asked in their order, so their laws follow each other; places without one end where they begin.
            let mut which = self.rows.iter().zip(&self.out.ends).peekable();
            let mut before = 0;
            for row in 0..step.giving {
                let count = match which.peek() {
                    Some(&(&at, &end)) if at == row => {
                        which.next();
                        let count = end - before;
                        before = end;
                        count
                    }
                    _ => 0,
                };
                for place in 0..width {
                    if place < count {
                        law += 1;
                    }
                    let end = if law == 0 { 0 } else { self.out.laws.ends[law - 1] };
                    out.ends[row * width + place + 1] = end as i64;
                }
            }
            // Proposals are made anew each time, so these need not be copied.
            std::mem::swap(&mut out.law_ids, &mut self.out.laws.ids);
            std::mem::swap(&mut out.law, &mut self.out.laws.chances);
        }
        Ok(())
    }

    /// [`Self::propose`] for trees.
    pub fn propose_trees<D: DraftTrees>(
        &mut self,
        scheduler: &Scheduler,
        which: u8,
        (seed, children, hopes): (u64, Children, Hopes),
        drafter: &mut D,
        laws: bool,
        out: &mut Drafts,
    ) -> Result<(), D::Error> {
        let step = scheduler.step();
        let width = step.gamma[..step.giving].iter().copied().max().unwrap_or(0) as usize;
        out.clear(step.giving, width);
        out.parents.resize(step.giving * width, -1);
        out.ends.clear();
        self.tree_asks.clear();
        self.rows.clear();
        for row in (0..step.giving).filter(|&row| step.gamma[row] > 0 && step.draft[row] == which) {
            let sequence = self.follow(scheduler, step.handle(row), drafter)?;
            self.tree_asks.push(TreeAsk {
                sequence,
                nodes: usize::from(step.gamma[row]),
                sampling: step.sampling(row),
                noise: Noise::new(seed, step.uids[row]),
                begin: step.next(row),
                children,
                hopes,
            });
            self.rows.push(row);
        }
        drafter.propose_trees(&self.tree_asks, laws, &mut self.trees)?;
        let Trees { ids, parents, ends, laws: Laws { ids: law_ids, chances, ends: law_ends } } = &self.trees;
        let (mut begin, mut law) = (0, 0);
        if laws {
            out.ends.push(0);
        }
        let mut asked = self.rows.iter().zip(ends).peekable();
        for row in 0..step.giving {
            let end = asked.next_if(|(at, _)| **at == row).map(|(_, &end)| end);
            if let Some(end) = end {
                for (place, node) in (begin..end).enumerate() {
                    out.ids[row * width + place] = i64::from(ids[node]);
                    out.parents[row * width + place] = i64::from(parents[node]);
                }
            }
            if laws {
                // The root and each node have a law; places behind the last end where it does.
                let last = law + end.map_or(0, |end| end - begin + 1);
                for _ in 0..=width {
                    law = (law + 1).min(last);
                    out.ends.push(law.checked_sub(1).map_or(0, |law| law_ends[law] as i64));
                }
            }
            begin = end.unwrap_or(begin);
        }
        if laws {
            out.law_ids.extend_from_slice(law_ids);
            out.law.extend_from_slice(chances);
        }
        Ok(())
    }

    /// Tells the policy how many ids a drafter has for each request that runs.
    pub fn offer<D: Draft>(&mut self, scheduler: &mut Scheduler, which: u8, drafter: &mut D) -> Result<(), D::Error> {
        let most = usize::from(scheduler.settings.max_gamma);
        for i in 0..scheduler.live.len() {
            let handle = scheduler.live[i].handle();
            let sequence = self.follow(scheduler, handle, drafter)?;
            let tokens = drafter.offer(sequence, most)?;
            scheduler.chooser.policy().offered(handle.slot() as u32, which, tokens as u8);
        }
        Ok(())
    }

    /// The drafter's sequence of a request, with all of its ids.
    fn follow<D: Draft>(&mut self, scheduler: &Scheduler, handle: Handle, drafter: &mut D) -> Result<usize, D::Error> {
        let slot = handle.slot();
        if self.known.len() <= slot {
            self.known.resize(slot + 1, None);
        }
        let ids = scheduler.running_ids(handle);
        let known = &mut self.known[slot];
        if let Some(old) = known.as_ref().filter(|known| known.handle != handle) {
            drafter.close(old.sequence)?;
            *known = None;
        }
        if let Some(known) = known {
            let agreed = known.proposed.iter().zip(&ids[known.length..]).take_while(|(a, b)| a == b).count();
            drafter.truncate(known.sequence, known.length + agreed)?;
            drafter.append(known.sequence, &ids[known.length + agreed..])?;
            known.length = ids.len();
            known.proposed.clear();
            return Ok(known.sequence);
        }
        let sequence = drafter.open(ids)?;
        *known = Some(Known { handle, sequence, length: ids.len(), proposed: Vec::new() });
        Ok(sequence)
    }
}
