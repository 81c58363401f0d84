//! One line of a file: first as nearly all are written, otherwise with care and words for what is wrong.

use super::decimal::{parse_f32, short};
use super::repeated;

/// Rows as they are read, in memory that has the right size already.
pub(super) struct Filler<'a> {
    pub(super) features: &'a mut [u32],
    pub(super) values: &'a mut [f32],
    pub(super) labels: Vec<u32>,
    /// Features and labels that there are.
    pub(super) bounds: (usize, usize),
    at: usize,
    scratch: Vec<u32>,
}

impl<'a> Filler<'a> {
    pub(super) fn new(features: &'a mut [u32], values: &'a mut [f32], bounds: (usize, usize)) -> Self {
        Self { features, values, labels: Vec::new(), bounds, at: 0, scratch: Vec::new() }
    }

    /// Features so far.
    pub(super) fn filled(&self) -> usize {
        self.at
    }

    /// Reads the line that begins at `from`; returns where the next one begins.
    pub(super) fn line(&mut self, text: &[u8], from: usize) -> Result<usize, String> {
        let (at, labels) = (self.at, self.labels.len());
        let next = match self.plain(text, from) {
            Some(next) => next,
            None => {
                self.at = at;
                self.labels.truncate(labels);
                let end = text[from..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| from + n);
                self.any(&text[from..end])?;
                end + 1
            }
        };
        if let Some(twice) = repeated(&self.features[at..self.at], &mut self.scratch) {
            return Err(format!("feature {twice} is there twice; a row has one value of a feature"));
        }
        if let Some(twice) = repeated(&self.labels[labels..], &mut self.scratch) {
            return Err(format!("label {twice} is there twice"));
        }
        Ok(next)
    }

    fn push(&mut self, feature: u32, value: f32) -> Option<()> {
        *self.features.get_mut(self.at)? = feature;
        *self.values.get_mut(self.at)? = value;
        self.at += 1;
        Some(())
    }

    /// A line with single blanks and ids and values of the usual length; `None` where it is another one.
    fn plain(&mut self, text: &[u8], mut at: usize) -> Option<usize> {
        if text.get(at) == Some(&b' ') {
            at += 1;
        } else {
            loop {
                let (label, end) = id(text, at)?;
                if label as usize >= self.bounds.1 {
                    return None;
                }
                self.labels.push(label);
                at = end + 1;
                match text.get(end)? {
                    b',' => {}
                    b' ' => break,
                    _ => return None,
                }
            }
        }
        loop {
            let (feature, colon) = id(text, at)?;
            if feature as usize >= self.bounds.0 || text.get(colon) != Some(&b':') {
                return None;
            }
            let (value, end) = match short(text, colon + 1) {
                Some(found) => found,
                None => long(text, colon + 1)?,
            };
            self.push(feature, value)?;
            at = end + 1;
            match (text.get(end)?, text.get(at)) {
                (b'\n', _) => return Some(at),
                (b'\r' | b' ', Some(b'\n')) => return Some(at + 1),
                (b' ', _) => {}
                _ => return None,
            }
        }
    }

    /// Any line.
    fn any(&mut self, line: &[u8]) -> Result<(), String> {
        let (features, labels) = self.bounds;
        let line = line.trim_ascii_end();
        let (of_labels, of_features) = match line.iter().position(|&b| b == b' ' || b == b'\t') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        if of_labels.contains(&b':') {
            let what = "is not a list of labels; a row without labels begins with a blank";
            return Err(format!("'{}' {what}", shown(of_labels)));
        }
        for label in of_labels.split(|&b| b == b',').filter(|l| !l.is_empty()) {
            let id = number(label).ok_or_else(|| format!("label '{}' is not a number", shown(label)))?;
            if id as usize >= labels {
                return Err(format!("label {id} is beyond the {labels} labels of the header; ids count from 0"));
            }
            self.labels.push(id);
        }
        for pair in of_features.split(|&b| b == b' ' || b == b'\t').filter(|p| !p.is_empty()) {
            let Some(colon) = pair.iter().position(|&b| b == b':') else {
                return Err(format!("'{}' is not feature:value", shown(pair)));
            };
            let (id, value) = (&pair[..colon], &pair[colon + 1..]);
            let id = number(id).ok_or_else(|| format!("feature '{}' is not a number", shown(id)))?;
            if id as usize >= features {
                return Err(format!("feature {id} is beyond the {features} features of the header; ids count from 0"));
            }
            let finite = parse_f32(value).filter(|v| v.is_finite());
            let what = || format!("feature {id} has the value '{}'; values are finite numbers", shown(value));
            // There is room for all pairs of a file without mistakes.
            self.push(id, finite.ok_or_else(what)?)
                .ok_or_else(|| "more pairs than the line has room for".to_owned())?;
        }
        Ok(())
    }
}

/// An id of at most nine digits at `at`, and where it ends.
#[inline(always)]
fn id(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let (mut id, mut end) = (0u32, at);
    while let Some(d) = text.get(end).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
        id = id.wrapping_mul(10).wrapping_add(u32::from(d));
        end += 1;
    }
    (end > at && end - at <= 9).then_some((id, end))
}

/// A value that is not short, up to the end of the line or the next blank.
#[cold]
fn long(text: &[u8], at: usize) -> Option<(f32, usize)> {
    let length = text[at..].iter().position(|b| b.is_ascii_whitespace())?;
    let value = parse_f32(&text[at..at + length]).filter(|v| v.is_finite())?;
    Some((value, at + length))
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    u32::try_from(digits.iter().fold(0u64, |n, d| 10 * n + u64::from(d - b'0'))).ok()
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).escape_debug().collect()
}
