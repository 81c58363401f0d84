//! How many ids drafts have for requests, where they say so.

use crate::acceptance::{DEPTHS, Row};

/// Nothing was said: any number.
const ANY: u8 = u8::MAX;

/// By slot and draft.
#[derive(Clone, Debug, Default)]
pub(super) struct Offers {
    drafts: usize,
    /// Drafts that say, a bit each.
    saying: u8,
    tokens: Vec<u8>,
    /// What is worth planning with: chances of ids that there are.
    chances: Vec<Row>,
}

impl Offers {
    /// Of so many drafts.
    pub(super) fn new(drafts: usize) -> Self {
        Self { drafts, ..Self::default() }
    }

    /// A request begins: drafts that say what they have said nothing of it yet.
    pub(super) fn admit(&mut self, slot: u32) {
        let saying = self.saying;
        for draft in (0..self.drafts as u8).filter(|d| saying >> d & 1 == 1) {
            self.set(slot, draft, 0);
        }
    }

    pub(super) fn set(&mut self, slot: u32, draft: u8, tokens: u8) {
        if usize::from(draft) >= self.drafts {
            return;
        }
        self.saying |= 1 << draft;
        let at = self.at(slot, draft);
        if at >= self.tokens.len() {
            self.tokens.resize((slot as usize + 1) * self.drafts, ANY);
            self.chances.resize(self.tokens.len(), Row::default());
        }
        self.tokens[at] = tokens;
    }

    fn at(&self, slot: u32, draft: u8) -> usize {
        slot as usize * self.drafts + usize::from(draft)
    }

    /// How many ids there are.
    pub(super) fn tokens(&self, slot: u32, draft: u8) -> u8 {
        self.tokens.get(self.at(slot, draft)).copied().unwrap_or(ANY)
    }

    /// Whether any draft says.
    pub(super) fn any(&self) -> bool {
        self.saying != 0
    }

    /// Cuts chances to the ids that there are.
    pub(super) fn cut(&mut self, slot: u32, chances: impl Fn(u8) -> Row) {
        let saying = self.saying;
        for draft in (0..self.drafts as u8).filter(|d| saying >> d & 1 == 1) {
            let tokens = usize::from(self.tokens(slot, draft));
            if tokens >= DEPTHS {
                continue;
            }
            let mut row = chances(draft);
            row.0[tokens..].fill(0.0);
            let at = self.at(slot, draft);
            self.chances[at] = row;
        }
    }

    /// The chances that were cut, where they were.
    pub(super) fn chances(&self, slot: u32, draft: u8) -> Option<&Row> {
        (usize::from(self.tokens(slot, draft)) < DEPTHS).then(|| &self.chances[self.at(slot, draft)])
    }
}
