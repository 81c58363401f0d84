//! How likely drafts are accepted: of each request and draft, the chance S(k) that its first k ids are.
//!
//! Requests of a class (the same temperature, say) are of a few levels, and nobody says which. Of a level j an id at
//! position k is accepted, when those before it were, with
//!
//! ```text
//! p_j(k)  =  1 - failure_j * shape(k)
//! ```
//!
//! What is known of a request is how likely it is of each level: each round multiplies that by the chance of what was
//! seen, and before it a small share goes back to what the class is made of, since texts change (a hidden Markov model,
//! filtered). A class learns from all its requests what it is made of, the failures, and the shape, each round counted
//! by levels as likely as they are. So a class whose requests are alike soon has one level, and its requests' luck means
//! nothing; one whose requests differ tells them apart within a few rounds. And a position that only good requests
//! reach is not thought to be an easy one.
//!
//! ```text
//! S(k)    =  sum over j of  P(level j) p_j(1) ... p_j(k)
//! ```

use pulp::{Simd, WithSimd};
use thrifty_base::math::dispatch;
use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::{self, Path};

use crate::choose::{Choice, Round};
use crate::worth::worth;
use crate::{Error, Result};

/// Longest draft whose positions are told apart.
pub const DEPTHS: usize = 16;
/// Most drafts are no longer, and half the positions are half the work.
const HALF: usize = DEPTHS / 2;
/// Levels of a class.
const LEVELS: usize = 8;
/// What they begin as: chances that the first draft fails.
const FAILURES: Levels = [0.96, 0.82, 0.66, 0.5, 0.34, 0.2, 0.09, 0.015];
/// Chance that a request is of another level from a round on.
const TURN: f32 = 0.01;
/// The same while it has no drafts, and its class says more than it does.
const IDLE_TURN: f32 = 0.02;
/// What a round counts for a class after the next one.
const CLASS_KEEP: f32 = 1.0 - 1.0 / 8192.0;
/// Rounds that the guess of a draft's acceptance counts like, and the share of them that goes to other levels.
const GUESS: f32 = 8.0;
const DOUBT: f32 = 1.0 / 32.0;
/// Rejections that a level counts as it began.
const ANCHOR: f32 = 20.0;
/// Rejections that the position before counts like.
const SMOOTH: f32 = 2.0;
/// Share of a class that any level has at least.
const LEAST: f32 = 1e-3;
/// Rounds after which a class says what it learned, at most.
const LATELY: u32 = 64;
/// Classes that are told apart.
pub const MOST_CLASSES: u32 = 1024;
/// Memory of a request is asked for when so many before it are to be counted first.
const AHEAD: usize = 6;
/// Requests that are looked at together.
const SIDE: usize = 16;
/// Class of a slot that has no request.
const NOBODY: u32 = u32::MAX;
/// A number of accepted drafts that there can't be.
const NEVER: usize = DEPTHS + 1;
/// Rows of as many ones as their number.
const FIRST: [[f32; DEPTHS]; DEPTHS + 1] = {
    let mut rows = [[0.0; DEPTHS]; DEPTHS + 1];
    let mut at = 0;
    while at < DEPTHS * (DEPTHS + 1) {
        let (row, k) = (at / DEPTHS, at % DEPTHS);
        rows[row][k] = if k < row { 1.0 } else { 0.0 };
        at += 1;
    }
    rows
};

/// A number for each level.
type Levels = [f32; LEVELS];

/// A number for each position of a draft, the first one first; a line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Row(pub [f32; DEPTHS]);

/// What requests of a kind have in common.
#[derive(Clone, Debug)]
struct Class {
    /// The guess: levels as they began, and how likely each.
    failure0: Levels,
    share0: Levels,
    /// Rounds of each level, its rejections, and those that a failure of 1 would have had.
    rounds: Levels,
    rejected: Levels,
    exposed: Levels,
    /// Rejections at each position, and those that a shape of 1 would have had.
    rejected_at: Row,
    exposed_at: Row,
    /// What follows: how likely each level is, its failure, the sum of shapes up to a position, and the chances that
    /// 0, 1, 2, ... drafts are accepted, by level and by number; the last row is of [`NEVER`].
    share: Levels,
    failure: Levels,
    reach: [f32; DEPTHS + 1],
    survival: [Row; LEVELS],
    by_count: [Levels; DEPTHS + 2],
    /// Rounds, and those that were not told yet.
    seen: u32,
    news: u32,
}

impl Class {
    fn new(alpha: f32) -> Self {
        let mut failure0 = FAILURES;
        let far = |failure: f32| (1.0 - alpha - failure).abs();
        let nearest = (0..LEVELS).min_by(|&a, &b| far(FAILURES[a]).total_cmp(&far(FAILURES[b]))).unwrap_or(0);
        let mut share0 = [DOUBT / (LEVELS - 1) as f32; LEVELS];
        share0[nearest] = 1.0 - DOUBT;
        // So much that all levels together fail as often as was guessed, where one level can make up for the others.
        let share = |j: usize| LEAST + (1.0 - LEAST * LEVELS as f32) * share0[j];
        let others: f32 = (0..LEVELS).filter(|&j| j != nearest).map(|j| share(j) * FAILURES[j]).sum();
        failure0[nearest] = ((1.0 - alpha - others) / share(nearest)).clamp(LEAST, 1.0);
        let none = [0.0; LEVELS];
        let mut class = Self {
            failure0,
            share0,
            rounds: none,
            rejected: none,
            exposed: none,
            rejected_at: Row::default(),
            exposed_at: Row::default(),
            share: share0,
            failure: failure0,
            reach: [0.0; DEPTHS + 1],
            survival: [Row::default(); LEVELS],
            by_count: [none; DEPTHS + 2],
            seen: 0,
            news: 0,
        };
        class.refresh();
        class
    }

    /// Counts a round of a request that is of each level as likely as `known` says.
    #[inline(always)]
    fn add<const N: usize>(&mut self, known: &Levels, gamma: usize, accepted: usize) {
        // How many were accepted is luck, so no branch depends on it.
        let looked = gamma.min(accepted + 1);
        let rejected = (looked - accepted) as f32;
        let mut failures = [0.0; LEVELS];
        for j in 0..LEVELS {
            self.rounds[j] = CLASS_KEEP * self.rounds[j] + known[j];
            self.rejected[j] = CLASS_KEEP * self.rejected[j] + rejected * known[j];
            self.exposed[j] = CLASS_KEEP * self.exposed[j] + self.reach[looked] * known[j];
            failures[j] = self.failure[j] * known[j];
        }
        let mean = sum(&failures);
        for k in 0..N {
            self.exposed_at.0[k] += mean * FIRST[looked][k];
        }
        self.rejected_at.0[accepted.min(DEPTHS - 1)] += rejected;
        self.seen = self.seen.saturating_add(1);
        self.news += 1;
    }

    /// Whether there is enough news to say what follows of it.
    fn stale(&self) -> bool {
        self.news > 0 && self.news >= (self.seen / 16).min(LATELY)
    }

    /// Says what follows of what was counted.
    fn refresh(&mut self) {
        // Positions forget here, all at once.
        let keep = CLASS_KEEP.powi(self.news as i32);
        self.news = 0;
        let mut shape = [1.0f32; DEPTHS];
        for k in 0..DEPTHS {
            self.exposed_at.0[k] *= keep;
            self.rejected_at.0[k] *= keep;
            let (exposed, rejected) = (self.exposed_at.0[k], self.rejected_at.0[k]);
            let before = if k > 0 { shape[k - 1] } else { 1.0 };
            shape[k] = before * (SMOOTH + rejected) / (SMOOTH + before * exposed);
            self.reach[k + 1] = self.reach[k] + shape[k];
        }
        let mut all = 0.0;
        for j in 0..LEVELS {
            let begun = self.failure0[j].max(LEAST);
            self.failure[j] = (begun * (ANCHOR + self.rejected[j]) / (ANCHOR + begun * self.exposed[j])).min(1.0);
            self.share[j] = GUESS * self.share0[j] + self.rounds[j];
            all += self.share[j];
        }
        self.by_count[0] = [1.0; LEVELS];
        for j in 0..LEVELS {
            self.share[j] = LEAST + (1.0 - LEAST * LEVELS as f32) * self.share[j] / all;
            let mut product = 1.0;
            for k in 0..DEPTHS {
                product *= 1.0 - (self.failure[j] * shape[k]).min(1.0);
                self.survival[j].0[k] = product;
                self.by_count[k + 1][j] = product;
            }
        }
    }

    /// What is known of a request after a round.
    #[inline(always)]
    fn filtered(&self, known: &Levels, gamma: usize, accepted: usize) -> Levels {
        let mut found = turned(known, &self.share, TURN);
        let (so_many, more) =
            (&self.by_count[accepted], &self.by_count[if accepted < gamma { accepted + 1 } else { NEVER }]);
        for j in 0..LEVELS {
            // Nothing is impossible.
            found[j] *= (so_many[j] - more[j]).max(1e-9);
        }
        let all = sum(&found);
        found.map(|chance| chance / all)
    }

    /// S(1), S(2), ... of a request, of the first positions.
    #[inline(always)]
    fn mean<const N: usize>(&self, known: &Levels) -> [f32; N] {
        let mut halves = [[0.0f32; N]; 2];
        for j in 0..LEVELS {
            for k in 0..N {
                halves[j % 2][k] += known[j] * self.survival[j].0[k];
            }
        }
        std::array::from_fn(|k| (halves[0][k] + halves[1][k]).min(1.0))
    }
}

/// The sum, in an order that lets halves be added side by side.
#[inline(always)]
fn sum(levels: &Levels) -> f32 {
    let mut half = [0.0; LEVELS / 2];
    for j in 0..LEVELS / 2 {
        half[j] = levels[j] + levels[j + LEVELS / 2];
    }
    (half[0] + half[2]) + (half[1] + half[3])
}

/// What is known of a request, of which a part may have become another.
#[inline(always)]
fn turned(known: &Levels, share: &Levels, turn: f32) -> Levels {
    let mut out = [0.0; LEVELS];
    for j in 0..LEVELS {
        out[j] = known[j] + turn * (share[j] - known[j]);
    }
    out
}

/// The chances of all requests, by slot and draft.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// Of each draft, what is thought before anything is known.
    alphas: Vec<f32>,
    max_gamma: u8,
    classes: Vec<Class>,
    class_of: Vec<u32>,
    /// How likely a request is of each level.
    known: Vec<Levels>,
    /// What ids are worth that follow, in pieces of so many for each.
    worth: Vec<[f32; HALF]>,
    pieces: usize,
    path: Path,
}

/// Rounds to count, on any path: plain Rust, so that all give the same.
struct Rounds<'a> {
    rounds: &'a [Round],
    all: &'a mut Acceptance,
}

impl WithSimd for Rounds<'_> {
    type Output = Result<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Result<()> {
        let Self { rounds, all } = self;
        if all.pieces == 1 { all.count_all::<HALF>(rounds) } else { all.count_all::<DEPTHS>(rounds) }
    }
}

impl Acceptance {
    /// For drafts of which nothing is known but a guess each, a probability, and which are no longer than `max_gamma`.
    pub fn new(alphas: &[f32], max_gamma: u8) -> Result<Self> {
        if usize::from(max_gamma) > DEPTHS {
            return Err(Error::argument("max_gamma", format!("{max_gamma} is not between 0 and {DEPTHS}")));
        }
        for alpha in alphas {
            if !(0.0..=1.0).contains(alpha) {
                return Err(Error::argument("alpha", format!("{alpha} is not a probability between 0 and 1")));
            }
        }
        Ok(Self {
            alphas: alphas.to_vec(),
            max_gamma,
            classes: Vec::new(),
            class_of: Vec::new(),
            known: Vec::new(),
            worth: Vec::new(),
            path: simd::path()?,
            pieces: if usize::from(max_gamma) <= HALF { 1 } else { 2 },
        })
    }

    /// Drafts.
    pub fn drafts(&self) -> usize {
        self.alphas.len()
    }

    /// A new request at `slot`, which knows what its class knows. Classes from [`MOST_CLASSES`] on are one.
    pub fn admit(&mut self, slot: u32, class: u32) {
        let class = class.min(MOST_CLASSES);
        let drafts = self.drafts();
        let slots = slot as usize + 1;
        if self.class_of.len() < slots {
            self.class_of.resize(slots, NOBODY);
            self.known.resize(slots * drafts, [0.0; LEVELS]);
            self.worth.resize(slots * drafts * self.pieces, [0.0; HALF]);
        }
        while self.classes.len() < (class as usize + 1) * drafts {
            self.classes.push(Class::new(self.alphas[self.classes.len() % drafts]));
        }
        self.class_of[slot as usize] = class;
        for draft in 0..drafts as u8 {
            let (at, of) = self.places(slot, draft);
            self.known[at] = self.classes[of].share;
            self.estimate_all(at, of);
        }
    }

    /// Ends the request at `slot`; its class keeps what it learned.
    pub fn forget(&mut self, slot: u32) {
        if let Some(class) = self.class_of.get_mut(slot as usize) {
            *class = NOBODY;
        }
    }

    /// Whether a request is at `slot`.
    pub fn knows(&self, slot: u32) -> bool {
        self.class_of.get(slot as usize).is_some_and(|&class| class != NOBODY)
    }

    /// A round of the request at `slot`: of `gamma` ids of a draft the first `accepted` were.
    pub fn observe(&mut self, slot: u32, draft: u8, gamma: u8, accepted: u8) -> Result<()> {
        self.observe_all(&[Round { slot, choice: Choice { draft, gamma }, accepted }])
    }

    /// Many rounds, one after the other. The first error is told, and keeps no other round from being counted.
    pub fn observe_all(&mut self, rounds: &[Round]) -> Result<()> {
        dispatch(self.path, Rounds { rounds, all: self })
    }

    /// Counts rounds, of which the first `N` positions matter.
    #[inline(always)]
    fn count_all<const N: usize>(&mut self, rounds: &[Round]) -> Result<()> {
        let mut refused = None;
        let mut places = [(0, 0); SIDE];
        for (begin, some) in (0..).step_by(SIDE).zip(rounds.chunks(SIDE)) {
            let mut counted = 0;
            for (i, round) in some.iter().enumerate() {
                if let Some(later) = rounds.get(begin + i + AHEAD) {
                    self.expect(later.slot);
                }
                let Round { slot, choice: Choice { draft, gamma }, accepted } = *round;
                let fits = gamma <= self.max_gamma && accepted <= gamma;
                if !(fits && usize::from(draft) < self.drafts() && self.knows(slot)) {
                    refused.get_or_insert_with(|| self.refusal(round));
                } else if gamma > 0 {
                    places[counted] = self.count::<N>(slot, draft, gamma.into(), accepted.into());
                    counted += 1;
                }
            }
            // What follows waits for nothing, so it is done for some together.
            for &(at, of) in &places[..counted] {
                self.estimate::<N>(at, of);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    #[cold]
    fn refusal(&self, round: &Round) -> Error {
        let Round { slot, choice: Choice { draft, gamma }, accepted } = *round;
        let drafts = self.drafts();
        if !self.knows(slot) {
            Error::argument("slot", format!("{slot} has no request; admit it first"))
        } else if usize::from(draft) >= drafts {
            Error::argument("draft", format!("{draft} is not below {drafts}, the number of drafts"))
        } else if gamma > self.max_gamma {
            Error::argument("gamma", format!("{gamma} is not between 0 and {}", self.max_gamma))
        } else {
            Error::argument("accepted", format!("{accepted} of {gamma} drafts can not be"))
        }
    }

    /// Counts a round; says where it stands.
    #[inline(always)]
    fn count<const N: usize>(&mut self, slot: u32, draft: u8, gamma: usize, accepted: usize) -> (usize, usize) {
        let (at, of) = self.places(slot, draft);
        let class = &mut self.classes[of];
        let known = class.filtered(&self.known[at], gamma, accepted);
        class.add::<N>(&known, gamma, accepted);
        self.known[at] = known;
        (at, of)
    }

    /// Where what is known of a request and draft stands, and its class.
    #[inline(always)]
    fn places(&self, slot: u32, draft: u8) -> (usize, usize) {
        let (drafts, draft) = (self.alphas.len(), usize::from(draft));
        (slot as usize * drafts + draft, self.class_of[slot as usize] as usize * drafts + draft)
    }

    /// Asks memory for what an observation of the request at `slot` reads and writes.
    #[inline]
    fn expect(&self, slot: u32) {
        let at = slot as usize * self.drafts();
        if let (Some(known), Some(worth)) = (self.known.get(at), self.worth.get(at * self.pieces)) {
            prefetch(std::slice::from_ref(known));
            prefetch(std::slice::from_ref(worth));
        }
    }

    /// Lets classes say what they learned since the last call.
    pub fn refresh(&mut self) {
        self.classes.iter_mut().filter(|class| class.stale()).for_each(Class::refresh);
    }

    /// Counts a round without drafts: what was seen of this request grows old, and what its class learned comes in.
    pub fn idle(&mut self, slot: u32) {
        if self.knows(slot) {
            for draft in 0..self.drafts() as u8 {
                let (at, of) = self.places(slot, draft);
                self.known[at] = turned(&self.known[at], &self.classes[of].share, IDLE_TURN);
                self.estimate_all(at, of);
            }
        }
    }

    /// S(1), S(2), ... of a request that is known.
    pub fn survival(&self, slot: u32, draft: u8) -> Row {
        let (at, of) = self.places(slot, draft);
        let mut row = Row::default();
        if self.pieces == 1 {
            row.0[..HALF].copy_from_slice(&self.classes[of].mean::<HALF>(&self.known[at]));
        } else {
            row.0 = self.classes[of].mean(&self.known[at]);
        }
        row
    }

    /// What the first, second, ... id of a draft is worth to a request that is known, see [`worth`].
    #[inline(always)]
    pub fn worth(&self, slot: u32, draft: u8) -> &[f32] {
        let at = slot as usize * self.alphas.len() + usize::from(draft);
        self.worth[at * self.pieces..][..self.pieces].as_flattened()
    }

    /// Says what follows of what is known, for the first `N` positions.
    #[inline(always)]
    fn estimate<const N: usize>(&mut self, at: usize, of: usize) {
        let worth = worth(&self.classes[of].mean::<N>(&self.known[at]));
        self.worth[at * (N / HALF)..][..N / HALF].as_flattened_mut().copy_from_slice(&worth);
    }

    fn estimate_all(&mut self, at: usize, of: usize) {
        if self.pieces == 1 {
            self.estimate::<HALF>(at, of);
        } else {
            self.estimate::<DEPTHS>(at, of);
        }
    }
}

#[cfg(test)]
mod tests;
