//! Trees of ids that may follow sequences, grown where they likely pay.
//!
//! A node more goes where it is most likely accepted, by what the drafter thinks before it is drawn. Why this keeps the
//! target's law, whatever the drafter thinks: take the node that was drawn last. It was drawn from its law given all
//! that was drawn before, and nothing else depends on it. So with it or without it, what is emitted, completed by the
//! target, has the same law: there a child is tried that a rule of verification leaves no trace of, here the target
//! draws. Take off node after node; what is left is the target alone. Where a node went may thus depend on everything
//! that was drawn before it, but never on itself: a node is not taken back when its id turns out unlikely.

use thrifty_base::draft::{Children, Hopes, Laws, TreeAsk, Trees};
use thrifty_base::noise::Purpose;
use thrifty_base::sampling::{race, race_of};

use crate::drafter::Room;
use crate::model::PairLm;
use crate::{Error, Result};

/// Of laws of which less is left, no child is drawn: rounding would be a part of what is.
const LEAST: f32 = 1e-3;

/// A node, or the root.
#[derive(Debug, Default)]
struct Node {
    id: u32,
    parent: i32,
    depth: usize,
    /// With which chance it is accepted, as far as the drafter can tell.
    hope: f32,
    /// The part of this in which all children so far are rejected.
    rest: f32,
    /// The law that children are drawn from: ids (none where they are all), and chances; those of children are 0.
    ids: Vec<u32>,
    law: Vec<f32>,
    /// Children: places in the law, and what they had there.
    taken: Vec<(usize, f32)>,
    /// The sum of what is left, and the place of the most.
    left: f32,
    most: usize,
}

impl Node {
    fn open(&mut self, ids: &[u32], law: &[f32]) {
        self.ids.clear();
        self.law.clear();
        self.ids.extend_from_slice(ids);
        self.law.extend_from_slice(law);
        (self.rest, self.left) = (1.0, 1.0);
        self.find();
    }

    fn find(&mut self) {
        let most = self.law.iter().fold(0.0f32, |most, &p| most.max(p));
        self.most = self.law.iter().position(|&p| p == most).unwrap_or(0);
    }

    /// With which chance another child is accepted when all before it were not; 0 where there can't be one.
    fn chance(&self, Hopes { first, sibling }: Hopes) -> f32 {
        let Some(&most) = self.law.get(self.most) else { return 0.0 };
        if self.left < LEAST || most <= 0.0 {
            return 0.0;
        }
        (first + (1.0 - first) * (most / self.left).min(1.0)) * sibling.powi(self.taken.len() as i32)
    }

    /// Takes a child with so much chance to be accepted.
    fn take(&mut self, place: usize, chance: f32) -> u32 {
        let p = std::mem::take(&mut self.law[place]);
        self.taken.push((place, p));
        self.left -= p;
        self.rest *= 1.0 - chance.min(1.0);
        if place == self.most {
            self.find();
        }
        self.ids.get(place).copied().unwrap_or(place as u32)
    }

    /// Appends its law, all of it, where it has children.
    fn keep(&self, laws: &mut Laws) {
        if !self.taken.is_empty() {
            let whole = |place: usize| self.taken.iter().find(|t| t.0 == place).map_or(self.law[place], |t| t.1);
            for place in 0..self.law.len() {
                let p = whole(place);
                if p > 0.0 {
                    laws.ids.push(self.ids.get(place).copied().unwrap_or(place as u32));
                    laws.chances.push(p);
                }
            }
        }
        laws.ends.push(laws.ids.len());
    }
}

/// The tree of an ask while it grows; the root is first.
struct Growing<'a> {
    ask: &'a TreeAsk,
    nodes: Vec<Node>,
    /// Whether nothing can follow any more.
    full: bool,
}

impl Growing<'_> {
    /// Draws a node where it is hoped for the most; without, the tree is full.
    fn more(&mut self, model: &PairLm) -> Result<()> {
        let TreeAsk { nodes: most, noise, begin, children, hopes, .. } = *self.ask;
        let value = |node: &Node| node.hope * node.rest * node.chance(hopes);
        let mut best = 0;
        for (at, node) in self.nodes.iter().enumerate() {
            // Of equal ones the first.
            if value(node) > value(&self.nodes[best]) {
                best = at;
            }
        }
        let hope = value(&self.nodes[best]);
        if self.nodes.len() > most || hope <= 0.0 {
            self.full = true;
            return Ok(());
        }
        let node = &mut self.nodes[best];
        let (chance, depth) = (node.chance(hopes), node.depth + 1);
        let place = match children {
            Children::Likeliest => node.most,
            Children::Drawn | Children::Shared => {
                let purpose = if children == Children::Shared { Purpose::Shared } else { Purpose::Draft };
                let random = noise.behind(purpose, begin, best as u64);
                let position = begin + node.depth as u64;
                let drawn = if node.ids.is_empty() {
                    race(model.path(), &node.law, random, position)
                } else {
                    race_of(&node.ids, &node.law, random, position).map(|(_, place)| place)
                };
                drawn.ok_or(Error::NotFinite)?
            }
        };
        let id = node.take(place, chance);
        self.nodes.push(Node { id, parent: best as i32 - 1, depth, hope, ..Node::default() });
        Ok(())
    }

    /// The ids before node `at` and its own, behind `ids`.
    fn way(&self, ids: &[u32], at: usize) -> Vec<u32> {
        let mut way = Vec::with_capacity(ids.len() + self.nodes[at].depth);
        let mut node = at;
        while node > 0 {
            way.push(self.nodes[node].id);
            node = (self.nodes[node].parent + 1) as usize;
        }
        way.extend(ids.iter().rev());
        way.reverse();
        way
    }
}

/// Grows a tree for each ask; `ids` are those of its sequence.
pub(crate) fn grow(
    model: &PairLm,
    asks: &[TreeAsk],
    ids: &[&[u32]],
    laws: bool,
    room: &mut Room,
    out: &mut Trees,
) -> Result<()> {
    let root = || Node { parent: -1, hope: 1.0, ..Node::default() };
    let mut all: Vec<Growing<'_>> =
        asks.iter().map(|ask| Growing { ask, nodes: vec![root()], full: ask.nodes == 0 }).collect();
    loop {
        let open: Vec<usize> = (0..all.len()).filter(|&i| !all[i].full).collect();
        if open.is_empty() {
            break;
        }
        // What follows the last node of each, in one call. No more of the sequence than the model looks at.
        let ways: Vec<Vec<u32>> = open
            .iter()
            .map(|&i| {
                let known = ids[i];
                all[i].way(&known[known.len().saturating_sub(model.reach())..], all[i].nodes.len() - 1)
            })
            .collect();
        let contexts: Vec<&[u32]> = ways.iter().map(Vec::as_slice).collect();
        let Room { work, order } = &mut *room;
        model.short_scores(&contexts, work, |k, ids, law| {
            let growing = &mut all[open[k]];
            let mut sampling = growing.ask.sampling;
            if growing.ask.children == Children::Likeliest && sampling.temperature == 0.0 {
                // All chances, of which the likeliest are to be found.
                sampling.temperature = 1.0;
            }
            sampling.law(model.path(), law, order);
            if law.iter().any(|p| p.is_nan()) {
                return Err(Error::NotFinite);
            }
            if let Some(last) = growing.nodes.last_mut() {
                last.open(ids, law);
            }
            growing.more(model)
        })?;
        // The last node needs no law: nothing follows it.
        for growing in &mut all {
            growing.full |= growing.nodes.len() > growing.ask.nodes;
        }
    }
    for growing in &all {
        out.ids.extend(growing.nodes[1..].iter().map(|node| node.id));
        out.parents.extend(growing.nodes[1..].iter().map(|node| node.parent));
        out.ends.push(out.ids.len());
        if laws {
            growing.nodes.iter().for_each(|node| node.keep(&mut out.laws));
        }
    }
    Ok(())
}
