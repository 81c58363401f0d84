//! Adam for the rows that a step touched (the semantics of torch.optim.SparseAdam). What dense Adam does to the others is
//! in [`crate::drift`].

pub use thrifty_base::math::adam::{Step, Updated, update};

use crate::{Error, Result};

/// Settings of a step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Adam {
    /// Learning rate.
    pub rate: f32,
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of their squares.
    pub beta2: f32,
    /// Added to the root of the latter.
    pub epsilon: f32,
    /// Whether rows without a gradient move on and their moments decay, as with torch.optim.Adam; or all stand still, as
    /// with torch.optim.SparseAdam.
    #[serde(default)]
    pub dense: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, dense: false }
    }
}

impl Adam {
    /// Refuses a learning rate that is none.
    pub fn check(&self) -> Result<()> {
        if self.rate.is_finite() && self.rate > 0.0 {
            return Ok(());
        }
        Err(Error::argument("lr", format!("{} is not possible; a number above 0", self.rate)))
    }

    /// The step with this number, from 1.
    pub fn step(self, number: u64) -> Step {
        Step::new(self.rate, self.beta1, self.beta2, self.epsilon, number)
    }
}
