//! What a policy is asked, and what it answers: how many drafts a request gets, and from which drafter.

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

/// What came of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Whose it was.
    pub slot: u32,
    /// What it got.
    pub choice: Choice,
    /// How many of its ids were accepted, the first ones.
    pub accepted: u8,
}
