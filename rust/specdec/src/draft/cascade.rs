//! Two drafters: who asks gets what the first one has, and where it has nothing, what the other one drafts.

use thrifty_base::draft::{Ask, Draft, Laws, Proposals};

/// `first`, else `then`. Of sequences both know all ids; more than two are cascades of cascades.
#[derive(Clone, Debug)]
pub struct Cascade<A, B> {
    first: A,
    then: B,
    /// What each calls a sequence.
    names: Vec<Option<(usize, usize)>>,
    free: Vec<usize>,
    asks: Vec<Ask>,
    parts: [Proposals; 2],
}

impl<A, B> Cascade<A, B> {
    /// Neither may have sequences yet that anybody else uses.
    pub fn new(first: A, then: B) -> Self {
        let (names, free, asks) = (Vec::new(), Vec::new(), Vec::new());
        Self { first, then, names, free, asks, parts: Default::default() }
    }

    /// The drafters.
    pub fn parts(&self) -> (&A, &B) {
        (&self.first, &self.then)
    }
}

impl<E: From<crate::Error>, A: Draft<Error = E>, B: Draft<Error = E>> Cascade<A, B> {
    fn of(&self, sequence: usize) -> Result<(usize, usize), E> {
        let unknown = || crate::Error::argument("sequence", format!("there is none called {sequence}"));
        Ok(self.names.get(sequence).copied().flatten().ok_or_else(unknown)?)
    }

    fn add(&mut self, pair: (usize, usize)) -> usize {
        let name = self.free.pop().unwrap_or(self.names.len());
        if name == self.names.len() {
            self.names.push(None);
        }
        self.names[name] = Some(pair);
        name
    }
}

/// Appends the chain of an ask, with its laws, to what all get.
fn take(from: &Proposals, chain: usize, laws: bool, out: &mut Proposals) {
    let begin = if chain == 0 { 0 } else { from.ends[chain - 1] };
    let end = from.ends[chain];
    out.ids.extend_from_slice(&from.ids[begin..end]);
    out.chances.extend_from_slice(&from.chances[begin..end]);
    out.ends.push(out.ids.len());
    if laws {
        let Laws { ids, chances, ends } = &from.laws;
        let start = if begin == 0 { 0 } else { ends[begin - 1] };
        let stop = if end == 0 { 0 } else { ends[end - 1] };
        let shift = out.laws.ids.len();
        out.laws.ids.extend_from_slice(&ids[start..stop]);
        out.laws.chances.extend_from_slice(&chances[start..stop]);
        out.laws.ends.extend(ends[begin..end].iter().map(|end| shift + end - start));
    }
}

impl<E: From<crate::Error>, A: Draft<Error = E>, B: Draft<Error = E>> Draft for Cascade<A, B> {
    type Error = E;

    fn vocab(&self) -> usize {
        self.first.vocab().min(self.then.vocab())
    }

    fn open(&mut self, ids: &[u32]) -> Result<usize, E> {
        let first = self.first.open(ids)?;
        match self.then.open(ids) {
            Ok(then) => Ok(self.add((first, then))),
            Err(error) => {
                self.first.close(first)?;
                Err(error)
            }
        }
    }

    fn fork(&mut self, sequence: usize) -> Result<usize, E> {
        let (first, then) = self.of(sequence)?;
        let pair = (self.first.fork(first)?, self.then.fork(then)?);
        Ok(self.add(pair))
    }

    fn close(&mut self, sequence: usize) -> Result<(), E> {
        let (first, then) = self.of(sequence)?;
        self.names[sequence] = None;
        self.free.push(sequence);
        self.first.close(first)?;
        self.then.close(then)
    }

    fn length(&self, sequence: usize) -> Result<usize, E> {
        self.first.length(self.of(sequence)?.0)
    }

    fn append(&mut self, sequence: usize, ids: &[u32]) -> Result<(), E> {
        let (first, then) = self.of(sequence)?;
        self.then.append(then, ids)?;
        self.first.append(first, ids)
    }

    fn truncate(&mut self, sequence: usize, length: usize) -> Result<(), E> {
        let (first, then) = self.of(sequence)?;
        self.first.truncate(first, length)?;
        self.then.truncate(then, length)
    }

    fn propose(&mut self, asks: &[Ask], laws: bool, out: &mut Proposals) -> Result<(), E> {
        out.clear();
        let names = asks.iter().map(|ask| self.of(ask.sequence)).collect::<Result<Vec<_>, E>>()?;
        let mut own = std::mem::take(&mut self.asks);
        own.clear();
        own.extend(asks.iter().zip(&names).map(|(ask, pair)| Ask { sequence: pair.0, ..*ask }));
        let [found, rest] = &mut self.parts;
        self.first.propose(&own, laws, found)?;
        let mut begin = 0;
        own.clear();
        for ((ask, &(_, then)), &end) in asks.iter().zip(&names).zip(&found.ends) {
            if begin == end {
                own.push(Ask { sequence: then, ..*ask });
            }
            begin = end;
        }
        let outcome = if own.is_empty() { Ok(()) } else { self.then.propose(&own, laws, rest) };
        self.asks = own;
        let (mut begin, mut chain) = (0, 0);
        for (i, (&(first, then), &end)) in names.iter().zip(&found.ends).enumerate() {
            if let (Err(_), true) = (&outcome, begin < end) {
                self.first.truncate(first, self.first.length(first)? - (end - begin))?;
            } else if begin < end {
                self.then.append(then, &found.ids[begin..end])?;
                take(found, i, laws, out);
            } else if outcome.is_ok() {
                let drafted = out.ids.len();
                take(rest, chain, laws, out);
                self.first.append(first, &out.ids[drafted..])?;
                chain += 1;
            }
            begin = end;
        }
        if outcome.is_err() {
            out.clear();
        }
        outcome
    }

    fn offer(&mut self, sequence: usize, tokens: usize) -> Result<usize, E> {
        let (first, then) = self.of(sequence)?;
        match self.first.offer(first, tokens)? {
            0 => self.then.offer(then, tokens),
            some => Ok(some),
        }
    }

    fn wants(&self) -> usize {
        self.first.wants().max(self.then.wants())
    }

    fn observe(&mut self, text: &[u32], likeliest: &[u32]) -> Result<(), E> {
        let all = self.wants();
        let of = |wants: usize| -> Vec<u32> {
            likeliest.chunks_exact(all.max(1)).flat_map(|ids| ids[..wants].iter().copied()).collect()
        };
        let (first, then) = (of(self.first.wants()), of(self.then.wants()));
        self.first.observe(text, &first)?;
        self.then.observe(text, &then)
    }
}
