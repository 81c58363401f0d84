//! The block rule for trees: from the leaves to the root (arXiv 2505.12398; a chain is judged as by the block rule).
//!
//! A node waits with a weight r: it is accepted with this chance, and what follows it then has a law p. A child x drawn
//! from q waits with min(1, r p(x) / q(x)), which the child and all behind it see to. When it is rejected, its parent is
//! left with max(r p - q, 0), whose sum is s: the weight becomes s / (s + 1 - r), p becomes this scaled to 1, and q goes
//! without x, scaled to 1. A node whose children were all rejected is accepted with what weight is left; the root
//! always is.

use thrifty_base::lent::Lent;
use thrifty_base::noise::Purpose;

use super::chain::{Place, Room};
use super::rows::{Law, subtract};
use super::tree::{Tree, scale};
use crate::Result;

/// What rejections left of a node.
struct Rest {
    /// num / den is its weight.
    num: f64,
    den: f64,
    /// What is left of p, and its sum; p itself before the first rejection.
    p: Option<(Lent, f64)>,
    /// The sum of what is left of q.
    q: f64,
}

impl Rest {
    fn weight(&self) -> f64 {
        self.num / self.den
    }
}

/// Writes what is emitted, and by which nodes; returns how many those are.
pub(super) fn verify(tree: &Tree<'_>, room: &mut Room, tokens: &mut [i64], nodes: &mut [i64]) -> Result<usize> {
    // Taken out while it is written to, and put back for the next request.
    let mut way = std::mem::take(&mut room.way);
    way.clear();
    let next = tree.settle(0, 1.0, room, &mut way, nodes);
    let accepted = way.len();
    nodes[accepted..].fill(-1);
    tokens[..accepted].copy_from_slice(&way);
    room.way = way;
    // The root is certain, so something follows.
    tokens[accepted] = next?.unwrap_or_default() as i64;
    Ok(accepted)
}

impl Tree<'_> {
    /// What follows where row `row` or a node behind it is accepted, at the end of the way; none where none is.
    fn settle(
        &self,
        row: usize,
        r: f64,
        room: &mut Room,
        way: &mut Vec<i64>,
        nodes: &mut [i64],
    ) -> Result<Option<usize>> {
        let (chain, i) = (&self.chain, way.len());
        // Nodes at a depth have numbers of their own, and a chain has those of the block rule.
        let u = row.checked_sub(1).map_or(0.0, |node| chain.uniform(i - 1, node + 1 - i));
        let mut rest = Rest { num: r, den: 1.0, p: None, q: 1.0 };
        let mut children = self.children(row).peekable();
        while let Some(node) = children.next() {
            let (r, chance) = self.weigh(Place { row, drafts: way, position: i }, node, &rest, room)?;
            if r > 0.0 {
                way.push(chain.draft[node]);
                nodes[i] = node as i64;
                let found = self.settle(node + 1, r, room, way, nodes)?;
                if found.is_some() {
                    return Ok(found);
                }
                way.truncate(i);
            }
            // Weights only fall, so what is left does not matter where nobody asks for it.
            if u > rest.weight() && children.peek().is_none() {
                return Ok(None);
            }
            if !self.reject(Place { row, drafts: way, position: i }, node, chance, &mut rest, room)? {
                // Nothing is left but what rounding hides: a node that is certain still is, with p as it was.
                if rest.weight() < 1.0 {
                    return Ok(None);
                }
                break;
            }
        }
        if u * rest.den > rest.num {
            return Ok(None);
        }
        let p = chain.p_at(Place { row, drafts: way, position: i }, &mut room.p)?;
        let next = match &mut rest.p {
            Some((left, _)) => chain.replace_by(i, &p, left),
            None => chain.draw(Purpose::Bonus, i, &p, &mut room.out),
        };
        next.map(Some)
    }

    /// The weight of a child, and the chance that it has in the law from which all siblings are drawn.
    fn weigh(&self, place: Place<'_>, node: usize, rest: &Rest, room: &mut Room) -> Result<(f64, f32)> {
        let (chain, i) = (&self.chain, place.position);
        let id = chain.draft[node] as usize;
        let chance = self.law(place, node, room)?.chance(chain.path, id);
        chain.check_chance(i, id, chance)?;
        if rest.q <= 0.0 {
            let what = format!("id {id} can't have been drawn: its siblings have all chances");
            return Err(chain.argument("q", i, &what));
        }
        let p = match &rest.p {
            Some((left, sum)) => f64::from(left[id]) / sum,
            None => f64::from(chain.p_at(place, &mut room.p)?.chance(chain.path, id)),
        };
        Ok(((rest.weight() * (p / (f64::from(chance) / rest.q))).min(1.0), chance))
    }

    /// Takes a child away, which had so much chance; says whether anything is left.
    fn reject(&self, place: Place<'_>, node: usize, chance: f32, rest: &mut Rest, room: &mut Room) -> Result<bool> {
        let (chain, r) = (&self.chain, rest.weight());
        let mut left = match rest.p.take() {
            Some((mut left, sum)) => {
                scale(&mut left, (r * rest.q / sum) as f32);
                left
            }
            None => {
                let mut left = Lent::zeros(room.out.len());
                chain.p_at(place, &mut room.p)?.write(chain.path, r as f32, &mut left);
                left
            }
        };
        // Times what is left of q, which so need not be scaled.
        let sum = subtract(chain.path, &self.law(place, node, room)?, &mut left);
        if sum.is_nan() {
            return Err(chain.not_finite("q", place.position));
        }
        if sum <= 0.0 {
            return Ok(false);
        }
        let s = sum / rest.q;
        (rest.num, rest.den, rest.p) = (s, s + 1.0 - r, Some((left, sum)));
        if !self.certain {
            rest.q -= f64::from(chance);
        }
        Ok(true)
    }

    /// The law that the children of a row are drawn from; where they are certain, the child itself.
    fn law<'r>(&'r self, place: Place<'_>, node: usize, room: &'r mut Room) -> Result<Law<'r>> {
        self.chain.q_at(self.rows + place.row, place, self.chain.draft[node], &mut room.q)
    }
}
