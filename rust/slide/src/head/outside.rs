//! What others read and change between steps: settings, rows and the memory of Adam.

use thrifty_base::pages::Floats;

use super::Head;
use crate::{Error, Result};

/// What a head has learned beside the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory<'a> {
    /// Steps done.
    pub steps: u64,
    /// For each row of the slice its means of gradients, then means of their squares.
    pub moments: &'a [f32],
    /// For each bias both.
    pub bias_moments: &'a [f32],
    /// Weights in f32 beside those of the caller, where the head keeps them.
    pub master: Option<&'a [f32]>,
}

impl Head {
    /// The biases stay what they are: the layer has none.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.has_bias = false;
        self
    }

    /// Another learning rate from the next step on; with 0 only moments change.
    pub fn set_rate(&mut self, rate: f32) -> Result<()> {
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(Error::argument("lr", format!("{rate} is not possible; a number of at least 0")));
        }
        self.adam.rate = rate;
        Ok(())
    }

    /// Others changed these rows of the slice: they wait to be hashed again.
    pub fn touch(&mut self, rows: &[u32]) -> Result<()> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= self.slice.rows) {
            return Err(Error::argument("rows", format!("{row} is not below {}", self.slice.rows)));
        }
        if self.tables.is_some() {
            let step = self.steps.max(1);
            rows.iter().for_each(|&row| self.queue.push(row, step));
        }
        Ok(())
    }

    /// What training left beside the weights.
    pub fn memory(&self) -> Memory<'_> {
        let (moments, bias_moments) = (&self.moments[..], &self.bias_moments[..]);
        Memory { steps: self.steps, moments, bias_moments, master: self.master.as_deref() }
    }

    /// Goes on from what another head of the same shape had.
    pub fn remember(&mut self, memory: Memory<'_>) -> Result<()> {
        let Memory { steps, moments, bias_moments, master } = memory;
        let rows = self.slice.rows;
        for (what, found, needed) in [
            ("moments", moments.len(), 2 * rows * self.length),
            ("bias_moments", bias_moments.len(), 2 * rows),
            ("master", master.map_or(rows * self.length, <[f32]>::len), rows * self.length),
        ] {
            if found != needed {
                return Err(Error::argument(what, format!("{found} numbers, {needed} are needed")));
            }
        }
        if let Some(from) = master {
            let mut own = Floats::zeros(from.len())?;
            own.copy_from_slice(from);
            self.master = Some(own);
        }
        self.moments.copy_from_slice(moments);
        self.bias_moments.copy_from_slice(bias_moments);
        self.steps = steps;
        Ok(())
    }
}
