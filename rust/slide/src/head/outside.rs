//! What others read and change between steps: settings, rows and the memory of Adam.

use thrifty_base::pages::Floats;

use super::Head;
use crate::adam::Adam;
use crate::drift::Drift;
use crate::matrix::Matrix;
use crate::queue::Queue;
use crate::sampling::Sampling;
use crate::softmax::Loss;
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

    /// What [`Self::memory`] gives, to be filled, with the number of steps done.
    pub(crate) fn restore(&mut self, steps: u64) -> (&mut Floats, &mut Floats, Option<&mut Floats>) {
        self.steps = steps;
        self.drift = Drift::new(self.adam, self.slice.rows);
        (&mut self.kept.moments, &mut self.kept.bias_moments, self.kept.master.as_mut())
    }

    /// Chooses neurons in another way from now on; tables are built anew when they are next needed.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        sampling.check()?;
        let tables = sampling.tables_for(self.slice, self.length, self.seed)?;
        self.queue = Queue::new(if tables.is_some() { self.slice.rows } else { 0 });
        (self.sampling, self.tables) = (sampling, tables);
        Ok(())
    }

    /// Settings of the optimizer.
    pub fn adam(&self) -> Adam {
        self.adam
    }

    /// What is minimised.
    pub fn minimised(&self) -> Loss {
        self.loss
    }

    /// Key of everything random.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Builds new tables of the weights and compares: (buckets in which the present ones differ, buckets). They differ in
    /// none when no row waits. In the pool of the caller; for tests, it costs what a rebuild costs.
    pub fn check_tables(&self, rows: Matrix<'_>) -> Result<(usize, usize)> {
        let Some((tables, mut fresh)) =
            self.tables.as_ref().zip(self.sampling.tables_for(self.slice, self.length, self.seed)?)
        else {
            return Ok((0, 0));
        };
        fresh.rebuild(self.path, rows)?;
        let all = tables.hash().tables() << tables.hash().bits();
        let differing = if tables.is_built() { tables.differing(&fresh) } else { all };
        let other = differing == 0 && !tables.same_as(&fresh);
        Ok((differing + usize::from(other), all))
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

    /// What training left beside the weights; of rows that are up to date, see [`Self::settle`].
    pub fn memory(&self) -> Memory<'_> {
        let (moments, bias_moments) = (&self.kept.moments[..], &self.kept.bias_moments[..]);
        Memory { steps: self.steps, moments, bias_moments, master: self.kept.master.as_deref() }
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
            self.kept.master = Some(own);
        }
        self.kept.moments.copy_from_slice(moments);
        self.kept.bias_moments.copy_from_slice(bias_moments);
        self.steps = steps;
        self.drift = Drift::new(self.adam, rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thrifty_base::math::padded;
    use thrifty_base::philox::Philox;

    use super::*;
    use crate::active::{Draw, Wanted};
    use crate::adam::Adam;
    use crate::batch::Batch;
    use crate::hash::Family;
    use crate::head::{Slice, Weights, WeightsMut};
    use crate::matrix::{Matrix, Values, ValuesMut};
    use crate::sampling::{Method, Sampling};
    use crate::softmax::Loss;
    use crate::sparse::Sparse;

    const ROWS: usize = 60;
    const LENGTH: usize = 16;

    fn head() -> Head {
        let (method, draw) = (Method::Tables(Family::Dwta), Draw::Uniform);
        let sizes = Sampling {
            tuned: false,
            pool: 0,
            own: false,
            method,
            k: 2,
            tables: 6,
            range: 6,
            bucket: 64,
            active: ROWS,
            each: 4,
            rehash: 8,
            draw,
            correct: false,
        };
        let slice = Slice { first: 0, rows: ROWS, neurons: ROWS };
        Head::new(slice, LENGTH, sizes, Loss::Softmax, Adam::default(), 1).unwrap()
    }

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let random = Philox::new(seed, 9);
        (0..count as u64).map(|i| (random.u64_at(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    fn matrix(values: &[f32]) -> Matrix<'_> {
        Matrix { values: Values::F32(values), stride: LENGTH, length: LENGTH }
    }

    fn step(head: &mut Head, weights: &mut [f32], bias: &mut [f32], seed: u64) {
        let mut hidden = vec![0.0; padded(3) * padded(LENGTH)];
        hidden[..3 * LENGTH].copy_from_slice(&numbers(3 * LENGTH, seed));
        let targets = Sparse { ends: &[1, 2, 3], indices: &[5, 40, 7], values: &[] };
        let batch = Batch::new(targets, &[0, 1, 2], hidden.into(), padded(LENGTH));
        let from = Weights { rows: matrix(weights), bias };
        let (wanted, _) = head.ask(from, &batch, 4);
        let active = head.choose(&batch, &wanted);
        let forward = head.forward(from, &batch, &active, &Wanted::default());
        let sums = forward.sums.clone();
        head.backward(WeightsMut { rows: ValuesMut::F32(weights), bias }, &batch, forward, &sums, 1.0);
    }

    #[test]
    fn a_head_goes_on_from_the_memory_of_another() {
        let (mut a, mut b) = (head(), head());
        let (mut weights, mut bias) = (numbers(ROWS * LENGTH, 1), numbers(ROWS, 2));
        a.rebuild(matrix(&weights)).unwrap();
        (0..3).for_each(|seed| step(&mut a, &mut weights, &mut bias, seed));
        let (mut other, mut other_bias) = (weights.clone(), bias.clone());
        b.rebuild(matrix(&other)).unwrap();
        b.remember(a.memory()).unwrap();
        assert_eq!(a.memory(), b.memory());
        (3..6).for_each(|seed| step(&mut a, &mut weights, &mut bias, seed));
        (3..6).for_each(|seed| step(&mut b, &mut other, &mut other_bias, seed));
        assert_eq!((weights, bias, a.memory().steps), (other, other_bias, 6));
        assert!(b.remember(Memory { moments: &[0.0], ..a.memory() }).is_err());
    }

    #[test]
    fn rates_and_biases() {
        let mut head = head().without_bias();
        let (mut weights, mut bias) = (numbers(ROWS * LENGTH, 1), vec![0.0; ROWS]);
        let before = weights.clone();
        head.rebuild(matrix(&weights)).unwrap();
        assert!(head.set_rate(-1.0).is_err() && head.set_rate(f32::NAN).is_err());
        head.set_rate(0.0).unwrap();
        step(&mut head, &mut weights, &mut bias, 1);
        assert_eq!(weights, before);
        head.set_rate(0.1).unwrap();
        step(&mut head, &mut weights, &mut bias, 2);
        assert_ne!(weights, before);
        assert!(bias.iter().all(|&b| b == 0.0));
    }

    /// Tables whose touched rows were hashed again equal those that are made from the new weights.
    #[test]
    fn touched_rows_are_hashed_again() {
        let (mut head, mut anew) = (head(), head());
        let mut weights = numbers(ROWS * LENGTH, 1);
        head.rebuild(matrix(&weights)).unwrap();
        weights[LENGTH..3 * LENGTH].copy_from_slice(&numbers(2 * LENGTH, 3));
        head.touch(&[1, 2, 1]).unwrap();
        assert_eq!(head.waiting().0, 2);
        head.rehash(matrix(&weights), usize::MAX).unwrap();
        anew.rebuild(matrix(&weights)).unwrap();
        assert!(head.tables().unwrap().same_as(anew.tables().unwrap()));
        assert!(head.touch(&[ROWS as u32]).is_err());
    }
}
