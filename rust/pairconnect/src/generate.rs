//! Text that a model makes up.

use thrifty_base::philox::Philox;
use thrifty_base::progress::Progress;
use thrifty_base::sampling::{Sampling, race};
use thrifty_base::simd;

use crate::model::{PairLm, Work};
use crate::{Error, Result};

/// Stream of the random generator.
const STREAM: u64 = 0x7063_0001;

/// `tokens` ids that follow `prompt`. An id is a function of the seed, its place and the ids that its position sees: the
/// last `window`, or with 0 all.
pub fn generate(
    model: &PairLm,
    prompt: &[u32],
    tokens: usize,
    sampling: &Sampling,
    seed: u64,
    window: usize,
    progress: &Progress,
) -> Result<Vec<u32>> {
    if let Some((argument, what)) = sampling.wrong() {
        return Err(Error::argument(argument, what));
    }
    if prompt.is_empty() {
        return Err(Error::argument("prompt", "at least one id is needed"));
    }
    model.check(prompt)?;
    progress.start("generate", tokens as u64)?;
    let mut ids = prompt.to_vec();
    let (mut work, mut law, mut order) = (Work::default(), vec![0.0; model.spec().vocab], Vec::new());
    let path = simd::path()?;
    for _ in 0..tokens {
        let from = if window == 0 { 0 } else { ids.len().saturating_sub(window) };
        model.scores(&[&ids[from..]], &mut work, &mut law);
        sampling.law(path, &mut law, &mut order);
        let Some(id) = race(path, &law, Philox::new(seed, STREAM), ids.len() as u64) else {
            return Err(Error::NotFinite);
        };
        ids.push(id as u32);
        progress.advance(1)?;
    }
    Ok(ids.split_off(prompt.len()))
}
