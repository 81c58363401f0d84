//! Token recycling (arXiv 2408.08696): what the target found likeliest behind an id, when it last verified that id, is
//! what may follow it again.
//!
//! The paper looks at one id; contexts of more are for vocabularies whose ids say little, such as bytes.

use super::keys::{ByKey, key};
use super::ready::Source;
use crate::{Error, Result};

/// No id.
const NONE: u32 = u32::MAX;

/// The likeliest ids behind contexts of `order` ids, shared by all sequences.
#[derive(Clone, Debug)]
pub struct Recycled {
    order: usize,
    width: usize,
    contexts: usize,
    rows: ByKey<u32>,
    /// The contexts of rows, and who is the next to be forgotten.
    keys: Vec<u64>,
    next: usize,
    likeliest: Vec<u32>,
}

impl Recycled {
    /// Keeps `width` ids a context, and the last `contexts` that were new.
    pub fn new(width: usize, order: usize, contexts: usize) -> Result<Self> {
        for (argument, got, most) in [("width", width, 255), ("order", order, 16), ("contexts", contexts, 1 << 28)] {
            if !(1..=most).contains(&got) {
                return Err(Error::argument(argument, format!("{got} is not between 1 and {most}")));
            }
        }
        let (rows, keys, likeliest) = (ByKey::default(), Vec::new(), Vec::new());
        Ok(Self { order, width, contexts, rows, keys, next: 0, likeliest })
    }

    /// The likeliest ids behind a text, the likeliest first; none where its last ids were not verified yet.
    pub fn candidates(&self, text: &[u32]) -> &[u32] {
        let Some(begin) = text.len().checked_sub(self.order) else { return &[] };
        match self.rows.get(&key(&text[begin..])) {
            Some(&row) => &self.likeliest[row as usize * self.width..][..self.width],
            None => &[],
        }
    }

    fn row(&mut self, key: u64) -> usize {
        if let Some(&row) = self.rows.get(&key) {
            return row as usize;
        }
        let row = if self.keys.len() < self.contexts {
            self.keys.push(key);
            self.likeliest.resize(self.keys.len() * self.width, NONE);
            self.keys.len() - 1
        } else {
            let row = self.next;
            self.next = (row + 1) % self.contexts;
            self.rows.remove(&std::mem::replace(&mut self.keys[row], key));
            row
        };
        self.rows.insert(key, row as u32);
        row
    }
}

impl Source for Recycled {
    type Kept = ();

    fn follow(&self, (): &(), ids: &[u32], tokens: usize, out: &mut Vec<u32>) {
        let begin = out.len();
        let mut context: Vec<u32> = ids[ids.len().saturating_sub(self.order)..].to_vec();
        while out.len() < begin + tokens {
            let Some(&id) = self.candidates(&context).first() else { return };
            out.push(id);
            context.push(id);
        }
    }

    fn wants(&self) -> usize {
        self.width
    }

    fn observe(&mut self, text: &[u32], likeliest: &[u32]) {
        let begin = text.len() - likeliest.len() / self.width;
        for (at, ids) in (begin..text.len()).zip(likeliest.chunks_exact(self.width)) {
            if let Some(first) = (at + 1).checked_sub(self.order) {
                let row = self.row(key(&text[first..=at]));
                self.likeliest[row * self.width..][..self.width].copy_from_slice(ids);
            }
        }
    }
}
