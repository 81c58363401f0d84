//! How many ids drafts have for requests, where they say so.

use crate::acceptance::DEPTHS;

/// Nothing was said: any number.
const ANY: u8 = u8::MAX;

/// By slot and draft.
#[derive(Clone, Debug, Default)]
pub(super) struct Offers {
    drafts: usize,
    /// Drafts that say, a bit each.
    saying: u8,
    tokens: Vec<u8>,
    /// What ids are worth, of those that there are.
    worth: Vec<[f32; DEPTHS]>,
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
            self.worth.resize(self.tokens.len(), [0.0; DEPTHS]);
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

    /// Cuts what ids are worth to those that there are.
    pub(super) fn cut<'a>(&mut self, slot: u32, worth: impl Fn(u8) -> &'a [f32]) {
        let saying = self.saying;
        for draft in (0..self.drafts as u8).filter(|d| saying >> d & 1 == 1) {
            let tokens = usize::from(self.tokens(slot, draft));
            if tokens >= DEPTHS {
                continue;
            }
            let at = self.at(slot, draft);
            self.worth[at] = [0.0; DEPTHS];
            self.worth[at].iter_mut().zip(worth(draft)).take(tokens).for_each(|(own, &worth)| *own = worth);
        }
    }

    /// What was cut, where it was.
    pub(super) fn worth(&self, slot: u32, draft: u8) -> Option<&[f32]> {
        (usize::from(self.tokens(slot, draft)) < DEPTHS).then(|| &self.worth[self.at(slot, draft)][..])
    }
}
