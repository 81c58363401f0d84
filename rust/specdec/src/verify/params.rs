//! How scores of each request become laws.

use thrifty_base::sampling::Sampling;

use crate::{Error, Result};

/// Settings of requests, an array each; an empty one leaves its setting as [`Setting::default`] has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// See [`Sampling::temperature`].
    pub temperature: &'a [f32],
    /// See [`Sampling::top_k`].
    pub top_k: &'a [i64],
    /// See [`Sampling::top_p`].
    pub top_p: &'a [f32],
    /// See [`Sampling::min_p`].
    pub min_p: &'a [f32],
    /// Scores of ids seen are divided by it where they are positive, else multiplied (arXiv 1909.05858, section 4.1).
    pub repetition_penalty: &'a [f32],
    /// Taken from scores of ids seen.
    pub presence_penalty: &'a [f32],
    /// Taken from scores of ids seen, as often as they were.
    pub frequency_penalty: &'a [f32],
    /// Where the ids of each request before its first draft begin and end in `prefix`; empty, or one more than
    /// requests.
    pub indptr: &'a [i64],
    /// Ids of all requests.
    pub prefix: &'a [i64],
}

/// The settings of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting<'a> {
    pub(super) sampling: Sampling,
    pub(super) repetition: f32,
    pub(super) presence: f32,
    pub(super) frequency: f32,
    pub(super) prefix: &'a [i64],
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { sampling: Sampling::default(), repetition: 1.0, presence: 0.0, frequency: 0.0, prefix: &[] }
    }
}

impl Setting<'_> {
    /// Whether scores depend on ids seen.
    pub(super) fn penalises(&self) -> bool {
        self.repetition != 1.0 || self.presence != 0.0 || self.frequency != 0.0
    }

    /// Whether ids are left out for their chances.
    pub(super) fn limits(&self, vocab: usize) -> bool {
        let Sampling { top_k, top_p, min_p, .. } = self.sampling;
        (1..vocab).contains(&top_k) || top_p < 1.0 || min_p > 0.0
    }

    /// One over the temperature; `None` where only the best id is left.
    pub(super) fn scale(&self) -> Option<f32> {
        Some(1.0 / self.sampling.temperature).filter(|scale| scale.is_finite())
    }
}

impl<'a> Params<'a> {
    /// Fails, naming the argument, where an array has another length than there are requests or holds what can't be.
    pub(super) fn check(&self, requests: usize, vocab: usize) -> Result<()> {
        let lengths = [
            ("temperature", self.temperature.len()),
            ("top_k", self.top_k.len()),
            ("top_p", self.top_p.len()),
            ("min_p", self.min_p.len()),
            ("repetition_penalty", self.repetition_penalty.len()),
            ("presence_penalty", self.presence_penalty.len()),
            ("frequency_penalty", self.frequency_penalty.len()),
        ];
        if let Some((name, got)) = lengths.into_iter().find(|&(_, n)| n != 0 && n != requests) {
            return Err(Error::argument(name, format!("{got} numbers for {requests} requests; one each is needed")));
        }
        self.check_prefix(requests)?;
        for request in 0..requests {
            if let Some(&k) = self.top_k.get(request).filter(|&&k| k < 0) {
                return Err(Error::argument("top_k", format!("request {request}: {k} is below 0; 0 keeps all ids")));
            }
            let Setting { sampling, repetition, presence, frequency, prefix } = self.of(request);
            if let Some((name, what)) = sampling.wrong() {
                return Err(Error::argument(name, format!("request {request}: {what}")));
            }
            if !(repetition > 0.0 && repetition.is_finite()) {
                let what = format!("request {request}: {repetition} is not above 0; 1 changes nothing");
                return Err(Error::argument("repetition_penalty", what));
            }
            for (name, x) in [("presence_penalty", presence), ("frequency_penalty", frequency)] {
                if !x.is_finite() {
                    return Err(Error::argument(
                        name,
                        format!("request {request}: {x} is no number; 0 changes nothing"),
                    ));
                }
            }
            if let Some(at) = prefix.iter().position(|&id| id < 0 || id >= vocab as i64) {
                let what = format!("request {request}, id {at}: {} is not below the vocabulary of {vocab}", prefix[at]);
                return Err(Error::argument("prefix", what));
            }
        }
        Ok(())
    }

    fn check_prefix(&self, requests: usize) -> Result<()> {
        let Self { indptr, prefix, .. } = *self;
        let fits = match (indptr.first(), indptr.last()) {
            (None, None) => prefix.is_empty(),
            (first, last) => {
                indptr.len() == requests + 1
                    && first == Some(&0)
                    && last == Some(&(prefix.len() as i64))
                    && indptr.is_sorted()
            }
        };
        if fits {
            return Ok(());
        }
        let what = format!(
            "indptr of {} numbers for {requests} requests and {} ids; one more than requests is needed, from 0 up to \
             the number of ids",
            indptr.len(),
            prefix.len()
        );
        Err(Error::argument("prefix", what))
    }

    /// Those of a request.
    pub(super) fn of(&self, request: usize) -> Setting<'a> {
        let standard = Setting::default();
        let get = |array: &[f32], standard: f32| array.get(request).copied().unwrap_or(standard);
        let prefix = match self.indptr.get(request..request + 2) {
            Some(&[begin, end]) => &self.prefix[begin as usize..end as usize],
            _ => &[],
        };
        Setting {
            sampling: Sampling {
                temperature: get(self.temperature, standard.sampling.temperature),
                top_k: self.top_k.get(request).map_or(0, |&k| usize::try_from(k).unwrap_or(0)),
                top_p: get(self.top_p, standard.sampling.top_p),
                min_p: get(self.min_p, standard.sampling.min_p),
            },
            repetition: get(self.repetition_penalty, standard.repetition),
            presence: get(self.presence_penalty, standard.presence),
            frequency: get(self.frequency_penalty, standard.frequency),
            prefix,
        }
    }
}
