//! A policy as the scheduler asks for one.

use super::{Policy, Room};
use crate::choose::{Ask, Choice, Round};
use crate::explain::Explanation;
use crate::policy::{DraftTime, StepTimes};
use crate::request::Handle;
use crate::scheduler::Scheduler;
use crate::times::MOST_DRAFTS;
use crate::{Error, Result};

/// Lets a policy decide. A step that it refuses goes without drafts, and the reason is kept.
#[derive(Debug)]
pub struct Chooser {
    policy: Box<dyn Policy>,
    refused: Option<Error>,
}

impl Chooser {
    /// Of any policy.
    pub fn new(policy: Box<dyn Policy>) -> Self {
        Self { policy, refused: None }
    }

    /// The policy, to tell it times and to ask why.
    pub fn policy(&mut self) -> &mut dyn Policy {
        &mut *self.policy
    }

    /// What was refused since the last call, if anything was.
    pub fn refused(&mut self) -> Option<Error> {
        self.refused.take()
    }
}

impl Chooser {
    /// A slot begins to run; nothing is known of it but its class.
    pub(crate) fn admit(&mut self, slot: u32, class: u32) {
        self.policy.admit(slot, class);
    }

    /// A choice for each ask. All drafts together are `budget` at most, and `prompt` tokens of prompts share the step.
    pub(crate) fn choose(&mut self, asks: &[Ask], budget: usize, prompt: usize, out: &mut Vec<Choice>) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let room = Room { tokens: count(budget + prompt + asks.len()), prefill: count(prompt) };
        if let Err(error) = self.policy.choose(asks, room, out) {
            self.refused = Some(error);
            out.clear();
            out.resize(asks.len(), Choice::NOTHING);
        }
    }

    /// Tokens of prompts that make a step of so many requests at most half as long again.
    pub(crate) fn prompts_within(&self, batch: u32) -> u32 {
        self.policy.prompts_within(batch)
    }

    /// Of the drafts that requests got, so many were accepted. What a drafter had no proposal for was not accepted either: it
    /// is as well not asked for.
    pub(crate) fn observe(&mut self, rounds: &[Round]) {
        if let Err(error) = self.policy.observe_all(rounds) {
            self.refused = Some(error);
        }
    }
}

impl Scheduler {
    /// Tells the policy what the step in flight took: milliseconds outside the models, of the target, and of each drafter.
    pub fn timed(&mut self, host_ms: f64, verify_ms: f64, draft_ms: &[f64]) -> Result<()> {
        let step = &self.step;
        let mut passes: [Vec<u32>; MOST_DRAFTS] = Default::default();
        for (&gamma, &draft) in step.asked.iter().zip(&step.draft).filter(|(gamma, _)| **gamma > 0) {
            let passes = &mut passes[usize::from(draft) % MOST_DRAFTS];
            passes.resize(passes.len().max(usize::from(gamma)), 0);
            passes[..usize::from(gamma)].iter_mut().for_each(|n| *n += 1);
        }
        let drafts: Vec<DraftTime<'_>> = draft_ms
            .iter()
            .zip(&passes)
            .enumerate()
            .filter(|(_, (_, passes))| !passes.is_empty())
            .map(|(draft, (&ms, passes))| DraftTime { draft: draft as u8, passes, ms })
            .collect();
        let kv = (0..step.rows()).map(|row| step.next(row) + u64::from(step.gamma[row])).sum();
        let times = StepTimes { host_ms, tokens: step.tokens.len() as u32, kv, verify_ms, drafts: &drafts };
        let took = host_ms + verify_ms + draft_ms.iter().sum::<f64>();
        self.clock_ms += if took.is_finite() { took.max(0.0) } else { 0.0 };
        self.chooser.policy().timed(&times)
    }

    /// Why a request was given the drafts that it was in the last step, where the policy knows.
    pub fn explain(&mut self, handle: Handle) -> Result<Option<Explanation>> {
        self.request(handle)?;
        Ok(self.chooser.policy().explain(handle.slot() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::LatencyCurve;
    use crate::policy::{Planner, Settings};
    use crate::times::Times;

    #[test]
    fn a_refused_step_goes_without_drafts() {
        let curve = LatencyCurve {
            draft_layers: 1,
            draft_ms_per_layer: 0.1,
            draft_overhead_ms: 0.0,
            weights_ms: 20.0,
            compute_ms_per_token: 0.1,
            overhead_ms: 0.0,
        };
        let times = Times::of_curve(&curve, &[], 0.0).unwrap();
        let mut chooser = Chooser::new(Box::new(Planner::new(Settings::default(), times, &[0.8]).unwrap()));
        chooser.admit(0, 0);
        let (mut out, ask) = (Vec::new(), Ask { slot: 0, cap: 4, weight: 1.0, kv: 0 });
        chooser.choose(&[ask], 100, 0, &mut out);
        assert!(out[0].gamma > 0 && chooser.refused().is_none());
        chooser.observe(&[Round { slot: 0, choice: out[0], accepted: 0 }]);
        assert!(chooser.policy().explain(0).is_some());
        // The budget is one of drafts, beside prompts and a token of each request.
        chooser.choose(&[ask], 2, 500, &mut out);
        assert!(out[0].gamma <= 2);
        chooser.choose(&[Ask { slot: 9, ..ask }], 100, 0, &mut out);
        assert_eq!(out, [Choice::NOTHING]);
        assert!(matches!(chooser.refused(), Some(Error::Argument { argument: "slot", .. })));
        // One that is refused keeps no other from being seen.
        let round = |slot| Round { slot, choice: Choice::new(0, 1), accepted: 1 };
        chooser.observe(&[round(9), round(0)]);
        assert!(matches!(chooser.refused(), Some(Error::Argument { argument: "slot", .. })));
        assert!(chooser.refused().is_none());
    }
}
