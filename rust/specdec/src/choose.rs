//! Who decides how many drafts each request gets, and from which drafter.

/// A request that could use drafts in this step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Its slot, for what is remembered of it.
    pub slot: u32,
    /// No more drafts than this.
    pub cap: u8,
    /// What one of its ids is worth beside those of others.
    pub weight: f32,
    /// Tokens that the cache holds for it.
    pub kv: u32,
}

/// What it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which drafter.
    pub draft: u8,
    /// How many drafts; with 0 no drafter is asked.
    pub gamma: u8,
}

impl Choice {
    /// No drafts.
    pub const NOTHING: Self = Self { draft: 0, gamma: 0 };

    /// So many drafts of a drafter; none are nobody's.
    pub const fn new(draft: u8, gamma: u8) -> Self {
        if gamma == 0 { Self::NOTHING } else { Self { draft, gamma } }
    }
}

/// Decides, and learns from what came of it.
pub trait Choose {
    /// A slot begins to run; nothing is known of it but its class.
    fn admit(&mut self, slot: u32, class: u32);

    /// A choice for each ask. All drafts together are `budget` at most, and `prompt` tokens of prompts share the step.
    fn choose(&mut self, asks: &[Ask], budget: usize, prompt: usize, out: &mut Vec<Choice>);

    /// Of the drafts that a slot got, so many were proposed, and so many accepted.
    fn observe(&mut self, slot: u32, choice: Choice, proposed: u8, accepted: u8);
}

/// As many drafts for all, whatever comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub Choice);

impl Choose for Fixed {
    fn admit(&mut self, _: u32, _: u32) {}

    fn choose(&mut self, asks: &[Ask], mut budget: usize, _: usize, out: &mut Vec<Choice>) {
        out.clear();
        out.extend(asks.iter().map(|ask| {
            let gamma = usize::from(self.0.gamma.min(ask.cap)).min(budget) as u8;
            budget -= usize::from(gamma);
            Choice { gamma, ..self.0 }
        }));
    }

    fn observe(&mut self, _: u32, _: Choice, _: u8, _: u8) {}
}
