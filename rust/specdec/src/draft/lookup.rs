//! Prompt lookup: the longest text before that is as the last ids are, the latest of equal ones; what followed it follows
//! again.
//!
//! Places are found by their last `least` ids, and of one such place the one before is known, as in LZ77; taking ids back
//! is taking entries back. Only the latest `TRIES` places are compared, so a step costs no more however long a text is.
//! Source: Saxena, "Prompt lookup decoding" (2023), with the longest match in the place of the first.

use super::keys::{ByKey, key};
use super::ready::Source;
use crate::{Error, Result};

/// Places that are compared at most.
const TRIES: usize = 64;
/// No place.
const NONE: u32 = u32::MAX;

/// Looks in the ids of the sequence itself.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    least: usize,
    longest: usize,
}

/// Where contexts of `least` ids end.
#[derive(Clone, Debug, Default)]
pub struct Index {
    last: ByKey<u32>,
    /// The place before with the same context, from the first place that has one.
    before: Vec<u32>,
}

impl Lookup {
    /// A match has `least` ids or more; of those that agree in `longest`, the latest is taken.
    pub fn new(least: usize, longest: usize) -> Result<Self> {
        if least == 0 || longest < least {
            let what = format!("{least} to {longest} ids; 1 or more are needed, and no fewer at most than at least");
            return Err(Error::argument("least", what));
        }
        Ok(Self { least, longest })
    }

    /// Where the best match ends.
    fn matching(&self, index: &Index, ids: &[u32]) -> Option<usize> {
        let mut end = *index.before.get(ids.len().checked_sub(self.least)?)?;
        let (mut best, mut most) = (None, self.least - 1);
        for _ in 0..TRIES {
            if end == NONE {
                break;
            }
            let place = end as usize;
            let same = ids[..place].iter().rev().zip(ids.iter().rev()).take(self.longest);
            let length = same.take_while(|(a, b)| a == b).count();
            if length > most {
                (best, most) = (Some(place), length);
            }
            if length == self.longest {
                break;
            }
            end = index.before[place - self.least];
        }
        best
    }
}

impl Source for Lookup {
    type Kept = Index;

    fn settle(&mut self, kept: &mut Index, ids: &[u32], from: usize) {
        for end in from.max(self.least - 1) + 1..=ids.len() {
            let before = kept.last.insert(key(&ids[end - self.least..end]), end as u32);
            kept.before.push(before.unwrap_or(NONE));
        }
    }

    fn unsettle(&mut self, kept: &mut Index, ids: &[u32], length: usize) {
        for end in (length.max(self.least - 1) + 1..=ids.len()).rev() {
            let key = key(&ids[end - self.least..end]);
            match kept.before.pop() {
                Some(NONE) | None => kept.last.remove(&key),
                Some(before) => kept.last.insert(key, before),
            };
        }
    }

    /// Behind the end of the text it goes on with what it proposed itself, so a loop goes round.
    fn follow(&self, kept: &Index, ids: &[u32], tokens: usize, out: &mut Vec<u32>) {
        let Some(place) = self.matching(kept, ids) else { return };
        let begin = out.len();
        for at in (place..).take(tokens) {
            let id = if at < ids.len() { ids[at] } else { out[begin + at - ids.len()] };
            out.push(id);
        }
    }
}
