//! What a step takes, part by part.

use crate::acceptance::DEPTHS;
use crate::latency::{Knots, LatencyCurve, Learned, Table};
use crate::{Error, Result};

/// Drafts of a step at most.
pub const MOST_DRAFTS: usize = 8;

/// Times of the host, the target and the drafts.
#[derive(Clone, Debug)]
pub struct Times {
    /// Milliseconds outside the models.
    pub host_ms: f64,
    /// Verifications.
    pub verify: Learned,
    /// Passes of each draft.
    pub drafts: Vec<Learned>,
}

/// How many sequences are in each pass of a draft.
pub type Depths = [u32; DEPTHS];

impl Times {
    /// Of parts; a step has at least one draft to choose, and at most 8.
    pub fn new(host_ms: f64, verify: Learned, drafts: Vec<Learned>) -> Result<Self> {
        if !(host_ms >= 0.0 && host_ms.is_finite()) {
            return Err(Error::argument("host_ms", format!("{host_ms} is not a number of at least 0")));
        }
        if !(1..=MOST_DRAFTS).contains(&drafts.len()) {
            return Err(Error::argument("drafts", format!("{} are not between 1 and {MOST_DRAFTS}", drafts.len())));
        }
        Ok(Self { host_ms, verify, drafts })
    }

    /// As a curve says, with one draft; verifications are padded to these sizes, if there are any.
    pub fn of_curve(curve: &LatencyCurve, padded: &[u32], kv_ms_per_token: f64) -> Result<Self> {
        let verify = Learned::new(Knots::of_verify(curve, padded)?, kv_ms_per_token)?;
        Self::new(0.0, verify, vec![Learned::new(Knots::of_draft(curve)?, 0.0)?])
    }

    /// As a table says.
    pub fn of_table(table: &Table) -> Result<Self> {
        let drafts = table.drafts.iter().map(|draft| draft.line.learned()).collect::<Result<_>>()?;
        Self::new(table.host_ms, table.verify.learned()?, drafts)
    }

    /// The same, if drafts were made already and took this long.
    pub fn with_free_drafts(&self, ms: f64) -> Result<Self> {
        let free = Learned::new(Knots::new(&[1], &[0.0], false)?, 0.0)?;
        Self::new(self.host_ms + ms, self.verify.clone(), vec![free; self.drafts.len()])
    }

    /// The most prompt tokens, a power of 2, beside so many others that make a verification at most half as long again.
    pub fn prompts_within(&self, batch: u32) -> u32 {
        let most = 1.5 * self.verify.ms(batch, 0);
        (0..16).rev().map(|bit| 1u32 << bit).find(|&n| self.verify.ms(batch + n, 0) <= most).unwrap_or(1)
    }

    /// Milliseconds of all passes of a draft.
    pub fn draft_ms(&self, draft: usize, depths: &Depths) -> f64 {
        depths.iter().take_while(|&&n| n > 0).map(|&n| self.drafts[draft].ms(n, 0)).fold(0.0, |sum, ms| sum + ms)
    }
}
