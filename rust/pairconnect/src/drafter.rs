//! Sequences for which a model proposes what follows.

use std::sync::Arc;

use thrifty_base::draft::{Ask, Draft, DraftTrees, Laws, Proposals, TreeAsk, Trees};
use thrifty_base::philox::Philox;
use thrifty_base::sampling::{Sampling, race, race_of};

use crate::grow::grow;
use crate::model::{PairLm, Work};
use crate::{Error, Result};

/// Stream of the random generator for text that no other model verifies.
pub const STREAM: u64 = 0x7063_0001;
/// Nodes of a tree.
const MOST: usize = 254;

/// A model as a drafter. All that it keeps of a sequence is its ids.
#[derive(Debug)]
pub struct Drafter {
    model: Arc<PairLm>,
    sequences: Vec<Option<Vec<u32>>>,
    free: Vec<usize>,
    room: Room,
}

/// Room that draws need, used again.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) work: Work,
    pub(crate) order: Vec<u32>,
}

/// How an id is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) sampling: Sampling,
    pub(crate) random: Philox,
    /// Of the id in its sequence.
    pub(crate) position: usize,
}

/// An id, and the probability that it had.
pub(crate) type Drawn = (u32, f32);

/// Draws what follows each of `contexts`; `laws` gets what they were drawn from.
pub(crate) fn draw(
    model: &PairLm,
    contexts: &[&[u32]],
    turns: &[Turn],
    room: &mut Room,
    mut laws: Option<&mut [Laws]>,
    mut each: impl FnMut(usize, Drawn),
) -> Result<()> {
    let Room { work, order } = room;
    let path = model.path();
    model.short_scores(contexts, work, |i, ids, law| {
        let Turn { sampling, random, position } = turns[i];
        sampling.law(path, law, order);
        let position = position as u64;
        let drawn = if ids.is_empty() {
            race(path, law, random, position).map(|id| (id as u32, law[id]))
        } else {
            race_of(ids, law, random, position).map(|(id, place)| (id, law[place]))
        };
        if let Some(laws) = &mut laws {
            keep(ids, law, &mut laws[i]);
        }
        each(i, drawn.ok_or(Error::NotFinite)?);
        Ok(())
    })
}

/// Appends a law; without ids, it is of all.
fn keep(ids: &[u32], law: &[f32], laws: &mut Laws) {
    for (place, &p) in law.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        laws.ids.push(if ids.is_empty() { place as u32 } else { ids[place] });
        laws.chances.push(p);
    }
    laws.ends.push(laws.ids.len());
}

impl Drafter {
    /// No sequences yet.
    pub fn new(model: Arc<PairLm>) -> Self {
        Self { model, sequences: Vec::new(), free: Vec::new(), room: Room::default() }
    }

    /// The model.
    pub fn model(&self) -> Arc<PairLm> {
        self.model.clone()
    }

    /// The ids of a sequence.
    pub fn ids(&self, sequence: usize) -> Result<&[u32]> {
        self.sequences.get(sequence).and_then(Option::as_deref).ok_or_else(|| unknown(sequence))
    }

    fn of(&mut self, sequence: usize) -> Result<&mut Vec<u32>> {
        self.sequences.get_mut(sequence).and_then(Option::as_mut).ok_or_else(|| unknown(sequence))
    }

    /// The law of what follows a sequence.
    pub fn law(&mut self, sequence: usize, sampling: &Sampling) -> Result<Laws> {
        valid(sampling)?;
        let Self { model, sequences, room, .. } = self;
        let ids = sequences.get(sequence).and_then(Option::as_deref).ok_or_else(|| unknown(sequence))?;
        not_empty(ids)?;
        let mut laws = [Laws::default()];
        draw(
            model,
            &[ids],
            &[Turn { sampling: *sampling, random: Philox::new(0, STREAM), position: ids.len() }],
            room,
            Some(&mut laws),
            |_, _| {},
        )?;
        let [law] = laws;
        Ok(law)
    }
}

impl Draft for Drafter {
    type Error = Error;

    fn vocab(&self) -> usize {
        self.model.spec().vocab
    }

    fn open(&mut self, ids: &[u32]) -> Result<usize> {
        self.model.check(ids)?;
        let sequence = self.free.pop().unwrap_or(self.sequences.len());
        if sequence == self.sequences.len() {
            self.sequences.push(None);
        }
        self.sequences[sequence] = Some(ids.to_vec());
        Ok(sequence)
    }

    fn fork(&mut self, sequence: usize) -> Result<usize> {
        let ids = self.ids(sequence)?.to_vec();
        self.open(&ids)
    }

    fn close(&mut self, sequence: usize) -> Result<()> {
        self.of(sequence)?;
        self.sequences[sequence] = None;
        self.free.push(sequence);
        Ok(())
    }

    fn length(&self, sequence: usize) -> Result<usize> {
        Ok(self.ids(sequence)?.len())
    }

    fn append(&mut self, sequence: usize, ids: &[u32]) -> Result<()> {
        self.model.check(ids)?;
        self.of(sequence)?.extend_from_slice(ids);
        Ok(())
    }

    fn truncate(&mut self, sequence: usize, length: usize) -> Result<()> {
        let ids = self.of(sequence)?;
        if length > ids.len() {
            let what = format!("{length} is more than the {} ids of sequence {sequence}", ids.len());
            return Err(Error::argument("length", what));
        }
        ids.truncate(length);
        Ok(())
    }

    /// With an error, no sequence has changed.
    fn propose(&mut self, asks: &[Ask], laws: bool, out: &mut Proposals) -> Result<()> {
        out.clear();
        let mut seen = vec![false; self.sequences.len()];
        for ask in asks {
            valid(&ask.sampling)?;
            not_empty(self.ids(ask.sequence)?)?;
            if std::mem::replace(&mut seen[ask.sequence], true) {
                return Err(Error::argument("sequences", format!("{} asks twice", ask.sequence)));
            }
        }
        let lengths: Vec<usize> = asks.iter().map(|ask| self.ids(ask.sequence).map_or(0, <[u32]>::len)).collect();
        let mut drawn: Vec<Vec<Drawn>> = vec![Vec::new(); asks.len()];
        let mut kept = vec![Laws::default(); if laws { asks.len() } else { 0 }];
        let outcome = self.all(asks, &mut drawn, &mut kept);
        if outcome.is_err() {
            for (ask, length) in asks.iter().zip(lengths) {
                self.truncate(ask.sequence, length)?;
            }
            return outcome;
        }
        for (i, drawn) in drawn.iter().enumerate() {
            out.ids.extend(drawn.iter().map(|d| d.0));
            out.chances.extend(drawn.iter().map(|d| d.1));
            out.ends.push(out.ids.len());
            if let Some(law) = kept.get(i) {
                let before = out.laws.ids.len();
                out.laws.ids.extend_from_slice(&law.ids);
                out.laws.chances.extend_from_slice(&law.chances);
                out.laws.ends.extend(law.ends.iter().map(|end| before + end));
            }
        }
        Ok(())
    }
}

impl DraftTrees for Drafter {
    fn propose_trees(&mut self, asks: &[TreeAsk], laws: bool, out: &mut Trees) -> Result<()> {
        out.clear();
        for ask in asks {
            valid(&ask.sampling)?;
            not_empty(self.ids(ask.sequence)?)?;
            if ask.nodes > MOST {
                return Err(Error::argument("nodes", format!("{} is more than {MOST}", ask.nodes)));
            }
        }
        let Self { model, sequences, room, .. } = self;
        let known = |ask: &TreeAsk| sequences[ask.sequence].as_deref().expect("checked before");
        let ids: Vec<&[u32]> = asks.iter().map(known).collect();
        grow(model, asks, &ids, laws, room, out)
    }
}

impl Drafter {
    /// Draws step by step for all that want another id.
    fn all(&mut self, asks: &[Ask], drawn: &mut [Vec<Drawn>], laws: &mut [Laws]) -> Result<()> {
        for step in 0..asks.iter().map(|ask| ask.tokens).max().unwrap_or(0) {
            let active: Vec<usize> = (0..asks.len()).filter(|&i| asks[i].tokens > step).collect();
            let Self { model, sequences, room, .. } = self;
            let contexts: Vec<&[u32]> =
                active.iter().map(|&i| sequences[asks[i].sequence].as_deref().expect("checked by propose")).collect();
            let turns: Vec<Turn> = active
                .iter()
                .zip(&contexts)
                .map(|(&i, ids)| Turn { sampling: asks[i].sampling, random: asks[i].random, position: ids.len() })
                .collect();
            let mut step_laws: Vec<Laws> =
                if laws.is_empty() { Vec::new() } else { vec![Laws::default(); active.len()] };
            let kept = (!laws.is_empty()).then_some(&mut step_laws[..]);
            draw(model, &contexts, &turns, room, kept, |i, id| drawn[active[i]].push(id))?;
            for (law, &i) in step_laws.iter().zip(&active) {
                let before = laws[i].ids.len();
                laws[i].ids.extend_from_slice(&law.ids);
                laws[i].chances.extend_from_slice(&law.chances);
                laws[i].ends.push(before + law.ids.len());
            }
            for &i in &active {
                let id = drawn[i].last().expect("one was drawn").0;
                self.sequences[asks[i].sequence].as_mut().expect("checked by propose").push(id);
            }
        }
        Ok(())
    }
}

fn unknown(sequence: usize) -> Error {
    Error::argument("sequence", format!("there is none called {sequence}"))
}

fn not_empty(ids: &[u32]) -> Result<()> {
    if ids.is_empty() {
        return Err(Error::argument("sequence", "it has no ids; at least one is needed"));
    }
    Ok(())
}

pub(crate) fn valid(sampling: &Sampling) -> Result<()> {
    match sampling.wrong() {
        Some((argument, what)) => Err(Error::argument(argument, what)),
        None => Ok(()),
    }
}
