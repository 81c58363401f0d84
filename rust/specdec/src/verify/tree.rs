//! Trees: several drafts at a position, of which one may be accepted.
//!
//! Siblings are drawn from one law q without replacement, in their order. Each is judged like a single draft, with what
//! the rejections before it left: after one, p becomes max(p - q, 0), scaled to 1, and q goes without the id that was
//! tried, scaled to 1 (arXiv 2401.06706; arXiv 2402.14160). In the place of siblings that were
//! all rejected stands a draw of what is left of p. What is emitted has the law p.

use thrifty_base::noise::Purpose;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};

use super::Rule;
use super::batch::{Batch, Drafted, each_request, length};
use super::chain::{Chain, Place, Room};
use super::rows::{Law, subtract};
use super::tree_block;
use crate::{Error, Result};

/// A batch whose drafts are nodes of trees.
#[derive(Clone, Copy, Debug)]
pub struct Trees<'a> {
    /// Drafts are nodes: `width` of each request. Row 0 of p and of q is for what follows the root, row k + 1 for what
    /// follows node k; q has as many rows as p. Sums and chances of drafts are not told.
    pub batch: Batch<'a>,
    /// The parent of each node: one before it, or -1 for the root; -1 too where there is no node.
    pub parents: &'a [i64],
}

impl Trees<'_> {
    /// Fails, naming the argument, where arrays do not fit together or hold what can't be.
    pub fn check(&self) -> Result<()> {
        let Self { batch, parents } = self;
        batch.check_with(batch.width + 1).map_err(|error| match error {
            Error::Argument { argument: "draft", what } => Error::Argument { argument: "tokens", what },
            error => error,
        })?;
        for (name, told) in [("q_lse", batch.q_lse), ("q_token", batch.q_token)] {
            if told.is_some() {
                return Err(Error::argument(name, "trees have none; leave it out"));
            }
        }
        length("parents", parents.len(), batch.draft.len())?;
        if batch.width == 0 {
            return Ok(());
        }
        for (request, (own, nodes)) in parents.chunks(batch.width).zip(batch.draft.chunks(batch.width)).enumerate() {
            for (node, (&parent, &id)) in own.iter().zip(nodes).enumerate() {
                let last = if id < 0 { 0 } else { node as i64 };
                if !(-1..last).contains(&parent) {
                    let what = format!(
                        "request {request}, node {node}: {parent} is neither -1 nor a node before it, or is no node's"
                    );
                    return Err(Error::argument("parents", what));
                }
                if id >= 0 && (0..node).any(|other| own[other] == parent && nodes[other] == id) {
                    let what = format!("request {request}, node {node}: a sibling has the same id {id}");
                    return Err(Error::argument("tokens", what));
                }
            }
        }
        Ok(())
    }
}

/// Decides on all requests: how many nodes of each are accepted; and, `2 width + 1` numbers each, what it emits, these
/// and one id more, in the first `width + 1`, and which nodes these are in the rest; -1 behind the last of both.
///
/// Trees without branches emit what chains do.
pub fn verify_trees(
    trees: &Trees<'_>,
    rule: Rule,
    seed: u64,
    threads: usize,
    progress: &Progress,
    accepted: &mut [i64],
    out: &mut [i64],
) -> Result<()> {
    verify_trees_on(simd::path()?, trees, rule, seed, threads, progress, accepted, out)
}

/// [`verify_trees`] on one path.
pub(super) fn verify_trees_on(
    path: Path,
    trees: &Trees<'_>,
    rule: Rule,
    seed: u64,
    threads: usize,
    progress: &Progress,
    accepted: &mut [i64],
    out: &mut [i64],
) -> Result<()> {
    trees.check()?;
    let Trees { batch, parents } = trees;
    length("accepted", accepted.len(), batch.uid.len())?;
    let width = batch.width;
    each_request(2 * width + 1, threads, progress, accepted, out, |request, room, out| {
        let chain = Chain::new(batch, path, seed, request, room);
        let tree = Tree {
            parents: &parents[request * width..][..chain.draft.len()],
            rows: request * (width + 1),
            certain: matches!(batch.q, Drafted::Certain),
            chain,
        };
        let (tokens, nodes) = out.split_at_mut(width + 1);
        match rule {
            Rule::Block => tree_block::verify(&tree, room, tokens, nodes),
            _ => tree.walk(rule, room, tokens, nodes),
        }
    })
}

/// One request.
pub(super) struct Tree<'a> {
    pub(super) chain: Chain<'a>,
    parents: &'a [i64],
    /// Its first row of q.
    pub(super) rows: usize,
    /// Whether siblings were not drawn.
    pub(super) certain: bool,
}

/// What follows a node.
enum Next {
    Node(usize),
    Id(usize),
}

impl Tree<'_> {
    /// Goes from the root to the last accepted node and returns how many nodes that are.
    fn walk(&self, rule: Rule, room: &mut Room, tokens: &mut [i64], nodes: &mut [i64]) -> Result<usize> {
        // Taken out while it is looked at, and put back for the next request.
        let mut way = std::mem::take(&mut room.way);
        way.clear();
        let mut row = 0;
        let result = loop {
            let place = Place { row, drafts: &way, position: way.len() };
            let next = match rule {
                Rule::Greedy => self.chain.best_at(place, &mut room.p).map(|own| self.child(row, own)),
                Rule::SeedExact => self.drawn(place, room).map(|own| self.child(row, own)),
                Rule::Token | Rule::Block => self.tried(place, room),
            };
            match next {
                Ok(Next::Node(node)) => {
                    (tokens[way.len()], nodes[way.len()]) = (self.chain.draft[node], node as i64);
                    way.push(self.chain.draft[node]);
                    row = node + 1;
                }
                Ok(Next::Id(id)) => {
                    tokens[way.len()] = id as i64;
                    break Ok(way.len());
                }
                Err(error) => break Err(error),
            }
        };
        room.way = way;
        result
    }

    /// Nodes that follow row `row`.
    pub(super) fn children(&self, row: usize) -> impl Iterator<Item = usize> {
        let parent = row as i64 - 1;
        self.parents.iter().enumerate().filter(move |(_, of)| **of == parent).map(|(node, _)| node)
    }

    /// The child with an id, or the id.
    fn child(&self, row: usize, id: usize) -> Next {
        let found = self.children(row).find(|&node| self.chain.draft[node] == id as i64);
        found.map_or(Next::Id(id), Next::Node)
    }

    fn drawn(&self, place: Place<'_>, room: &mut Room) -> Result<usize> {
        self.chain.drawn_at(Purpose::Shared, place, room)
    }

    /// Tries one child after the other.
    fn tried(&self, place: Place<'_>, room: &mut Room) -> Result<Next> {
        let (chain, i) = (&self.chain, place.position);
        let p = chain.p_at(place, &mut room.p)?;
        let Some(first) = self.children(place.row).next() else {
            return Ok(Next::Id(chain.draw(Purpose::Bonus, i, &p, &mut room.out)?));
        };
        let of_all = chain.q_at(self.rows + place.row, place, chain.draft[first], &mut room.q)?;
        p.write(chain.path, 1.0, &mut room.out);
        // What is left of p and of q; the law is what `out` and q hold over them.
        let (mut left, mut of_q) = (1.0f64, 1.0f64);
        for (siblings, node) in self.children(place.row).enumerate() {
            let id = chain.draft[node] as usize;
            let q = if self.certain { Law::One(id) } else { of_all };
            let chance = q.chance(chain.path, id);
            chain.check_chance(i, id, chance)?;
            if of_q <= 0.0 {
                let what = format!("id {id} can't have been drawn: its siblings have all chances");
                return Err(chain.argument("q", i, &what));
            }
            if chain.uniform(i, siblings) * f64::from(chance) * left <= f64::from(room.out[id]) * of_q {
                return Ok(Next::Node(node));
            }
            scale(&mut room.out, (of_q / left) as f32);
            left = subtract(chain.path, &q, &mut room.out);
            if left.is_nan() {
                return Err(chain.not_finite("q", i));
            }
            // As in a chain: nothing is left only where p and q differ by less than f32 can tell.
            if left <= 0.0 {
                break;
            }
            if !self.certain {
                of_q -= f64::from(chance);
            }
        }
        Ok(Next::Id(chain.replace_by(i, &p, &mut room.out)?))
    }
}

/// Multiplies all numbers; by 1 changes none.
pub(super) fn scale(out: &mut [f32], times: f32) {
    if times != 1.0 {
        out.iter_mut().for_each(|x| *x *= times);
    }
}

/// The nodes on the way from the root to each node, itself included, as bits: `width.div_ceil(64)` words a node, the
/// lowest bit first. What attention of a node may see, beside the tokens before the tree.
///
/// `parents` has `width` nodes of each tree; what is no node has the parent -1, and sees itself alone.
pub fn ancestors(parents: &[i64], width: usize) -> Result<Vec<u64>> {
    let words = width.div_ceil(64);
    let mut out = vec![0u64; parents.len() * words];
    for (tree, parents) in parents.chunks(width.max(1)).enumerate() {
        for (node, &parent) in parents.iter().enumerate() {
            if !(-1..node as i64).contains(&parent) {
                let what = format!("tree {tree}, node {node}: {parent} is neither -1 nor a node before it");
                return Err(Error::argument("parents", what));
            }
            let own = (tree * width + node) * words;
            if let Ok(parent) = usize::try_from(parent) {
                let from = (tree * width + parent) * words;
                out.copy_within(from..from + words, own);
            }
            out[own + node / 64] |= 1 << (node % 64);
        }
    }
    Ok(out)
}
