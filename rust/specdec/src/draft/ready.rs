//! Sequences of a source of drafts.

use thrifty_base::draft::{Ask, Draft, Proposals};

use crate::{Error, Result};

/// What may follow a text, known without a model.
pub trait Source {
    /// What is kept of a sequence beside its ids.
    type Kept: Clone + Default + std::fmt::Debug;

    /// Ids of a sequence from `from` on are settled: they will not be taken back by verification.
    fn settle(&mut self, _kept: &mut Self::Kept, _ids: &[u32], _from: usize) {}

    /// Settled ids are taken back nevertheless, from `length` on.
    fn unsettle(&mut self, _kept: &mut Self::Kept, _ids: &[u32], _length: usize) {}

    /// Appends what may follow `ids`, all of them settled, at most `tokens` of it.
    fn follow(&self, kept: &Self::Kept, ids: &[u32], tokens: usize, out: &mut Vec<u32>);

    /// See [`Draft::wants`].
    fn wants(&self) -> usize {
        0
    }

    /// See [`Draft::observe`]; `likeliest` has as many ids as are wanted, for each of the last ids of the text.
    fn observe(&mut self, _text: &[u32], _likeliest: &[u32]) {}
}

#[derive(Clone, Debug, Default)]
struct Sequence<K> {
    ids: Vec<u32>,
    settled: usize,
    kept: K,
}

/// A source as a drafter.
#[derive(Clone, Debug)]
pub struct Ready<S: Source> {
    source: S,
    vocab: usize,
    sequences: Vec<Option<Sequence<S::Kept>>>,
    free: Vec<usize>,
    found: Vec<u32>,
    /// Sequences that ask, while a call looks whether one does twice.
    asked: Vec<bool>,
}

impl<S: Source> Ready<S> {
    /// Without sequences; ids are below `vocab`.
    pub fn new(source: S, vocab: usize) -> Self {
        Self { source, vocab, sequences: Vec::new(), free: Vec::new(), found: Vec::new(), asked: Vec::new() }
    }

    /// Where its drafts come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The ids of a sequence.
    pub fn ids(&self, sequence: usize) -> Result<&[u32]> {
        Ok(&self.get(sequence)?.ids)
    }

    fn get(&self, sequence: usize) -> Result<&Sequence<S::Kept>> {
        self.sequences.get(sequence).and_then(Option::as_ref).ok_or_else(|| unknown(sequence))
    }

    fn add(&mut self, new: Sequence<S::Kept>) -> usize {
        let name = self.free.pop().unwrap_or(self.sequences.len());
        if name == self.sequences.len() {
            self.sequences.push(None);
        }
        self.sequences[name] = Some(new);
        name
    }

    fn check(&self, ids: &[u32]) -> Result<()> {
        match ids.iter().position(|&id| id as usize >= self.vocab) {
            Some(at) => {
                let what = format!("id {} at {at} is not below vocab = {}", ids[at], self.vocab);
                Err(Error::argument("ids", what))
            }
            None => Ok(()),
        }
    }

    /// Settles all ids of a sequence and finds what may follow them.
    fn find(&mut self, sequence: usize, tokens: usize) -> Result<()> {
        let Self { source, sequences, found, .. } = self;
        let one = sequences.get_mut(sequence).and_then(Option::as_mut).ok_or_else(|| unknown(sequence))?;
        source.settle(&mut one.kept, &one.ids, one.settled);
        one.settled = one.ids.len();
        found.clear();
        source.follow(&one.kept, &one.ids, tokens, found);
        Ok(())
    }
}

fn unknown(sequence: usize) -> Error {
    Error::argument("sequence", format!("there is none called {sequence}"))
}

impl<S: Source> Draft for Ready<S> {
    type Error = Error;

    fn vocab(&self) -> usize {
        self.vocab
    }

    fn open(&mut self, ids: &[u32]) -> Result<usize> {
        self.check(ids)?;
        Ok(self.add(Sequence { ids: ids.to_vec(), settled: 0, kept: S::Kept::default() }))
    }

    fn fork(&mut self, sequence: usize) -> Result<usize> {
        let copy = self.get(sequence)?.clone();
        Ok(self.add(copy))
    }

    fn close(&mut self, sequence: usize) -> Result<()> {
        self.get(sequence)?;
        self.sequences[sequence] = None;
        self.free.push(sequence);
        Ok(())
    }

    fn length(&self, sequence: usize) -> Result<usize> {
        Ok(self.get(sequence)?.ids.len())
    }

    fn append(&mut self, sequence: usize, ids: &[u32]) -> Result<()> {
        self.check(ids)?;
        let one = self.sequences.get_mut(sequence).and_then(Option::as_mut).ok_or_else(|| unknown(sequence))?;
        one.ids.extend_from_slice(ids);
        Ok(())
    }

    fn truncate(&mut self, sequence: usize, length: usize) -> Result<()> {
        let Self { source, sequences, .. } = self;
        let one = sequences.get_mut(sequence).and_then(Option::as_mut).ok_or_else(|| unknown(sequence))?;
        if length > one.ids.len() {
            let what = format!("{length} is more than the {} ids of sequence {sequence}", one.ids.len());
            return Err(Error::argument("length", what));
        }
        if length < one.settled {
            source.unsettle(&mut one.kept, &one.ids[..one.settled], length);
            one.settled = length;
        }
        one.ids.truncate(length);
        Ok(())
    }

    /// With an error, no sequence has changed.
    fn propose(&mut self, asks: &[Ask], laws: bool, out: &mut Proposals) -> Result<()> {
        out.clear();
        self.asked.clear();
        self.asked.resize(self.sequences.len(), false);
        for ask in asks {
            self.get(ask.sequence)?;
            if std::mem::replace(&mut self.asked[ask.sequence], true) {
                return Err(Error::argument("sequences", format!("{} asks twice", ask.sequence)));
            }
        }
        for ask in asks {
            self.find(ask.sequence, ask.tokens)?;
            if let Some(one) = &mut self.sequences[ask.sequence] {
                one.ids.extend_from_slice(&self.found);
            }
            out.ids.extend_from_slice(&self.found);
            out.ends.push(out.ids.len());
        }
        out.chances.resize(out.ids.len(), 1.0);
        if laws {
            out.laws.ids.extend_from_slice(&out.ids);
            out.laws.chances.extend_from_slice(&out.chances);
            out.laws.ends.extend(1..=out.ids.len());
        }
        Ok(())
    }

    fn offer(&mut self, sequence: usize, tokens: usize) -> Result<usize> {
        self.find(sequence, tokens)?;
        Ok(self.found.len())
    }

    fn wants(&self) -> usize {
        self.source.wants()
    }

    fn observe(&mut self, text: &[u32], likeliest: &[u32]) -> Result<()> {
        let wants = self.source.wants();
        if wants == 0 {
            return Ok(());
        }
        if !likeliest.len().is_multiple_of(wants) || likeliest.len() / wants > text.len() {
            let what = format!("{} numbers for a text of {}; {wants} an id are needed", likeliest.len(), text.len());
            return Err(Error::argument("likeliest", what));
        }
        self.check(likeliest)?;
        self.source.observe(text, likeliest);
        Ok(())
    }
}
