//! What a scheduler asks each step: who drafts, with what, how many ids. [`Planner`] is ours; [`rivals`] has the rules of
//! others behind the same interface, for simulations.

mod chooser;
mod offers;
mod planner;
pub mod rivals;
#[cfg(test)]
mod tests;

pub use chooser::Chooser;
pub use planner::{Planner, Settings};

use crate::choose::{Ask, Choice, Round};
use crate::explain::Explanation;
use crate::{Error, Result};

/// Room that a step has beside its asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Tokens of a verification at most, prompts and one of each request included.
    pub tokens: u32,
    /// Tokens of prompts that go through the same verification.
    pub prefill: u32,
}

/// Measured times of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepTimes<'a> {
    /// Milliseconds outside the models.
    pub host_ms: f64,
    /// Tokens that were verified, those of prompts included.
    pub tokens: u32,
    /// Tokens in the caches that were read.
    pub kv: u64,
    /// Milliseconds of the verification.
    pub verify_ms: f64,
    /// Drafts that ran.
    pub drafts: &'a [DraftTime<'a>],
}

/// Measured time of the passes of a draft.
#[derive(Clone, Copy, Debug)]
pub struct DraftTime<'a> {
    /// Which.
    pub draft: u8,
    /// Sequences of each pass.
    pub passes: &'a [u32],
    /// Milliseconds of all passes.
    pub ms: f64,
}

/// Chooses drafts and their lengths. Who learns nothing needs no more than [`Policy::choose`].
pub trait Policy: std::fmt::Debug + Send + Sync {
    /// A new request at `slot`; requests of a class are thought to be alike (a range of temperatures, a use).
    fn admit(&mut self, _slot: u32, _class: u32) {}

    /// Makes the choices of a step, in the order of its asks.
    fn choose(&mut self, asks: &[Ask], room: Room, out: &mut Vec<Choice>) -> Result<()>;

    /// A draft has so many ids for a request now, and no more; of drafts that never say, any number is expected.
    fn offered(&mut self, _slot: u32, _draft: u8, _tokens: u8) {}

    /// Of what a request chose, the first `accepted` ids were accepted.
    fn observe(&mut self, _slot: u32, _choice: Choice, _accepted: u8) -> Result<()> {
        Ok(())
    }

    /// What came of the choices of a step; of several that are refused the first one is told.
    fn observe_all(&mut self, rounds: &[Round]) -> Result<()> {
        let each = |round: &Round| self.observe(round.slot, round.choice, round.accepted);
        rounds.iter().map(each).fold(Ok(()), Result::and)
    }

    /// What the step took.
    fn timed(&mut self, _times: &StepTimes<'_>) -> Result<()> {
        Ok(())
    }

    /// The request at `slot` is gone.
    fn forget(&mut self, _slot: u32) {}

    /// Why a request of the last step was given what it was, where a policy knows.
    fn explain(&self, _slot: u32) -> Option<Explanation> {
        None
    }

    /// Tokens of prompts beside so many requests that make a step at most half as long again; any number where a policy knows no
    /// times.
    fn prompts_within(&self, _batch: u32) -> u32 {
        u32::MAX
    }

    /// The one that may be told what is true, where a policy is one.
    fn oracle(&mut self) -> Option<&mut rivals::Oracle> {
        None
    }

    /// Passes that the draft makes for all requests whatever they chose; nothing where choices decide.
    fn passes(&self) -> Option<u8> {
        None
    }
}

/// Refuses asks that can not be.
fn check(asks: &[Ask]) -> Result<()> {
    for ask in asks {
        if !(ask.weight >= 0.0 && ask.weight <= MOST_WEIGHT) {
            let what = format!("{} of slot {} is not between 0 and {MOST_WEIGHT}", ask.weight, ask.slot);
            return Err(Error::argument("weight", what));
        }
    }
    Ok(())
}

/// Weights whose sums stay numbers.
const MOST_WEIGHT: f32 = 1e6;
