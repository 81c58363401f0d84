//! Text that a model makes up.

use thrifty_base::philox::Philox;
use thrifty_base::progress::Progress;
use thrifty_base::sampling::Sampling;

use crate::drafter::{Room, STREAM, Turn, draw, valid};
use crate::model::PairLm;
use crate::{Error, Result};

/// `tokens` ids that follow `prompt`. An id is a function of the seed, its place in what its position sees and the ids
/// there: the last `window`, or with 0 all.
pub fn generate(
    model: &PairLm,
    prompt: &[u32],
    tokens: usize,
    sampling: &Sampling,
    seed: u64,
    window: usize,
    progress: &Progress,
) -> Result<Vec<u32>> {
    valid(sampling)?;
    if prompt.is_empty() {
        return Err(Error::argument("prompt", "at least one id is needed"));
    }
    model.check(prompt)?;
    progress.start("generate", tokens as u64)?;
    let mut ids = prompt.to_vec();
    let mut room = Room::default();
    for _ in 0..tokens {
        let from = if window == 0 { 0 } else { ids.len().saturating_sub(window) };
        let mut found = 0;
        let random = Philox::new(seed, STREAM);
        let turn = Turn { sampling: *sampling, random, position: ids.len() };
        draw(model, &[&ids[from..]], &[turn], &mut room, None, |_, (id, _)| found = id)?;
        ids.push(found);
        progress.advance(1)?;
    }
    Ok(ids.split_off(prompt.len()))
}
