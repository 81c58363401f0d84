//! The ids of all requests, in one array on huge pages. A step reads and writes a few of each, all over the memory; on small
//! pages the processor would look up more of their addresses than it can remember.

use thrifty_base::pages::Pages;
use thrifty_base::prefetch::prefetch;

use crate::{Error, Result};

/// Ids of a piece; texts begin where one does.
const PIECE: usize = 16;

/// The ids of all requests.
#[derive(Debug)]
pub(crate) struct Texts {
    ids: Pages<u32>,
    /// Pieces that were ever in use.
    used: usize,
    /// Where texts began that are gone, by what they had room for.
    free: Vec<Vec<u32>>,
}

/// Where the ids of a request stand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text {
    /// In pieces.
    begin: u32,
    len: u32,
}

impl Text {
    #[inline]
    pub(crate) fn len(self) -> u32 {
        self.len
    }

    fn begin(self) -> usize {
        self.begin as usize * PIECE
    }
}

/// Pieces for so many ids, four sizes to a factor of 2; and the number of the size.
fn size(ids: u32) -> (usize, usize) {
    let pieces = (ids as usize).div_ceil(PIECE).max(4);
    let step = pieces.ilog2() - 2;
    let steps = pieces.div_ceil(1 << step);
    (steps << step, 4 * step as usize + steps)
}

impl Texts {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { ids: Pages::zeros(0)?, used: 0, free: Vec::new() })
    }

    /// A text that may get `most` ids.
    pub(crate) fn begin(&mut self, ids: &[u32], most: u32) -> Result<Text> {
        let (pieces, number) = size(most);
        let free = self.free.get_mut(number).and_then(Vec::pop);
        let begin = match free {
            Some(begin) => begin,
            None => {
                let Ok(begin) = u32::try_from(self.used) else {
                    let what = format!("{most} more ids are more than the scheduler keeps; take requests that ended");
                    return Err(Error::argument("max_new", what));
                };
                self.ids.lengthen((self.used + pieces) * PIECE)?;
                self.used += pieces;
                begin
            }
        };
        let mut text = Text { begin, len: 0 };
        self.extend(&mut text, ids.iter().copied());
        Ok(text)
    }

    /// Forgets a text that could get `most` ids.
    pub(crate) fn end(&mut self, text: Text, most: u32) {
        let (_, number) = size(most);
        self.free.resize(self.free.len().max(number + 1), Vec::new());
        self.free[number].push(text.begin);
    }

    #[inline]
    pub(crate) fn ids(&self, text: Text) -> &[u32] {
        &self.ids[text.begin()..][..text.len as usize]
    }

    /// Adds ids; no more than the text may get.
    #[inline]
    pub(crate) fn extend(&mut self, text: &mut Text, ids: impl ExactSizeIterator<Item = u32>) {
        let begin = text.begin() + text.len as usize;
        text.len += ids.len() as u32;
        for (own, id) in self.ids[begin..begin + ids.len()].iter_mut().zip(ids) {
            *own = id;
        }
    }

    /// Adds the first `count` ids of those found, where the text may get `room` more. Where there is room for all of them all
    /// are written: how many count is luck, and loops that end by luck take longer.
    #[inline]
    pub(crate) fn extend_from(&mut self, text: &mut Text, found: &[i64], count: usize, room: u32) {
        if found.len() > room as usize {
            return self.extend(text, found[..count].iter().map(|&id| id as u32));
        }
        let begin = text.begin() + text.len as usize;
        text.len += count as u32;
        for (own, &id) in self.ids[begin..begin + found.len()].iter_mut().zip(found) {
            *own = id as u32;
        }
    }

    /// Asks memory for the end of a text.
    #[inline]
    pub(crate) fn expect(&self, text: Text) {
        prefetch(&self.ids[text.begin() + text.len as usize - 1..][..1]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sizes_hold_what_they_are_for(ids in 1u32..3_000_000, more in 0u32..1000) {
            let ((pieces, number), (larger, next)) = (size(ids), size(ids + more));
            prop_assert!(pieces * PIECE >= ids as usize && pieces <= (ids as usize).div_ceil(PIECE).max(4) * 5 / 4);
            // Texts of one number are alike.
            prop_assert_eq!(number == next, pieces == larger);
        }

        /// Against a list of vectors.
        #[test]
        fn as_vectors_would(steps in prop::collection::vec((0u8..5, 1u32..200, 0usize..8), 0..100)) {
            let mut texts = Texts::new().unwrap();
            let mut all: Vec<(Text, u32, Vec<u32>)> = Vec::new();
            for (step, (what, most, which)) in steps.into_iter().enumerate() {
                let new: Vec<u32> = (0..most).map(|i| i ^ (step as u32) << 16).collect();
                match what {
                    0 => {
                        let ids = &new[..most as usize / 2];
                        all.push((texts.begin(ids, most).unwrap(), most, ids.to_vec()));
                    }
                    3 if which < all.len() => {
                        // Some of what was found, near the end as well.
                        let (text, most, ids) = &mut all[which];
                        let room = *most - text.len();
                        let found: Vec<i64> = new.iter().take(9).map(|&id| id.into()).collect();
                        let count = found.len().min(room as usize).min(step % 10);
                        texts.extend_from(text, &found, count, room);
                        ids.extend_from_slice(&new[..count]);
                    }
                    1 if which < all.len() => {
                        let (text, most, _) = all.swap_remove(which);
                        texts.end(text, most);
                    }
                    _ if which < all.len() => {
                        let (text, most, ids) = &mut all[which];
                        let more = (*most as usize - ids.len()).min(new.len());
                        texts.extend(text, new[..more].iter().copied());
                        ids.extend_from_slice(&new[..more]);
                    }
                    _ => {}
                }
                prop_assert!(all.iter().all(|(text, _, ids)| texts.ids(*text) == ids));
            }
        }
    }
}
