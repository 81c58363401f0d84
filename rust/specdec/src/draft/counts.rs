//! Back-off: what followed the last ids most often, in a text and in all sequences so far; where the last `order` ids were
//! not seen, the last `order - 1`, and so on.

use super::keys::{ByKey, keys};
use super::ready::Source;
use crate::{Error, Result};

/// Longest context.
pub const MOST_ORDER: usize = 16;

/// Counts of ids by what stood before them, shared by all sequences. What was counted stays, also when ids are taken back.
#[derive(Clone, Debug)]
pub struct Counts {
    order: usize,
    least: u32,
    contexts: usize,
    /// Ids and their counts, the most frequent first, of equal ones the lowest.
    followers: ByKey<Vec<(u32, u32)>>,
}

impl Counts {
    /// Contexts of 1 to `order` ids; an id is proposed where it came `least` times. Once `contexts` were seen there are no
    /// new ones.
    pub fn new(order: usize, least: u32, contexts: usize) -> Result<Self> {
        if !(1..=MOST_ORDER).contains(&order) {
            return Err(Error::argument("order", format!("{order} is not between 1 and {MOST_ORDER}")));
        }
        if least == 0 {
            return Err(Error::argument("least", "0; at least 1 is needed"));
        }
        Ok(Self { order, least, contexts, followers: ByKey::default() })
    }

    /// Counts the ids of a text from `from` on.
    pub fn learn(&mut self, text: &[u32], from: usize) {
        let Self { order, contexts, followers, .. } = self;
        for at in from..text.len() {
            for key in keys(text[..at].iter().rev().take(*order).copied()) {
                if followers.len() < *contexts {
                    count(followers.entry(key).or_default(), text[at]);
                } else if let Some(known) = followers.get_mut(&key) {
                    count(known, text[at]);
                }
            }
        }
    }

    /// How many contexts were seen.
    pub fn contexts(&self) -> usize {
        self.followers.len()
    }
}

/// Counts one more, and keeps the order.
fn count(followers: &mut Vec<(u32, u32)>, id: u32) {
    let at = followers.iter().position(|f| f.0 == id).unwrap_or_else(|| {
        followers.push((id, 0));
        followers.len() - 1
    });
    followers[at].1 = followers[at].1.saturating_add(1);
    let own = followers[at];
    let to = followers[..at].partition_point(|f| (f.1, own.0) > (own.1, f.0));
    followers[to..=at].rotate_right(1);
}

impl Source for Counts {
    type Kept = ();

    fn settle(&mut self, (): &mut (), ids: &[u32], from: usize) {
        self.learn(ids, from);
    }

    fn follow(&self, (): &(), ids: &[u32], tokens: usize, out: &mut Vec<u32>) {
        let begin = out.len();
        for _ in 0..tokens {
            let last = out[begin..].iter().rev().chain(ids.iter().rev()).take(self.order);
            let known = keys(last.copied()).filter_map(|key| self.followers.get(&key)?.first());
            let Some(&(id, _)) = known.filter(|f| f.1 >= self.least).last() else { return };
            out.push(id);
        }
    }
}
