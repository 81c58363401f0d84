//! The text format of the Extreme Classification Repository.
//!
//! A header `rows features labels`, then a line a row: `label,label feature:value feature:value`, ids from 0.

use std::path::Path;

use rayon::prelude::*;
use thrifty_base::memory::{Bytes, Mode};
use thrifty_base::pool::pool;

use crate::sparse::Sparse;
use crate::{Error, Result};

/// Rows of a file.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Where the features of each row end.
    pub ends: Vec<u64>,
    /// Features, ascending as the file has them.
    pub features: Vec<u32>,
    /// Their values.
    pub values: Vec<f32>,
    /// Where the labels of each row end.
    pub label_ends: Vec<u64>,
    /// Labels.
    pub labels: Vec<u32>,
    /// Features and labels that there are.
    pub shape: (usize, usize),
}

impl Rows {
    /// Features by row.
    pub fn inputs(&self) -> Sparse<'_> {
        Sparse { ends: &self.ends, indices: &self.features, values: &self.values }
    }

    /// Labels by row.
    pub fn targets(&self) -> Sparse<'_> {
        Sparse { ends: &self.label_ends, indices: &self.labels, values: &[] }
    }
}

/// Bytes that one thread reads at a time.
const PART: usize = 1 << 20;

/// Reads a file on `threads` threads.
pub fn read(path: &Path, threads: usize) -> Result<Rows> {
    let mut file = std::fs::File::open(path).map_err(thrifty_base::Error::io(path, "opening"))?;
    let bytes = Bytes::of(&mut file, path, Mode::Map)?;
    let bad = |line: u64, what: String| Error::Input { path: path.to_owned(), line, what };
    let header_end = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
    let header: Vec<usize> = std::str::from_utf8(&bytes[..header_end])
        .ok()
        .and_then(|h| h.split_ascii_whitespace().map(|n| n.parse().ok()).collect())
        .unwrap_or_default();
    let &[rows, features, labels] = header.as_slice() else {
        return Err(bad(1, "the header must be three numbers: rows, features, labels".into()));
    };
    let body = &bytes[(header_end + 1).min(bytes.len())..];
    let mut cuts = vec![0];
    while let Some(&last) = cuts.last()
        && last < body.len()
    {
        let from = (last + PART).min(body.len());
        cuts.push(body[from..].iter().position(|&b| b == b'\n').map_or(body.len(), |n| from + n + 1));
    }
    let parts: Vec<std::result::Result<Rows, (u64, String)>> = pool(threads)?
        .install(|| cuts.par_windows(2).map(|cut| parse(&body[cut[0]..cut[1]], features, labels)).collect());
    let mut all = Rows { shape: (features, labels), ..Rows::default() };
    for part in parts {
        let line = all.ends.len() as u64 + 2;
        let part = part.map_err(|(n, what)| bad(line + n, what))?;
        let (feature_base, label_base) = (all.features.len() as u64, all.labels.len() as u64);
        all.ends.extend(part.ends.iter().map(|e| e + feature_base));
        all.label_ends.extend(part.label_ends.iter().map(|e| e + label_base));
        all.features.extend(part.features);
        all.values.extend(part.values);
        all.labels.extend(part.labels);
    }
    if all.ends.len() != rows {
        let what = format!("the header says {rows} rows, the file has {}", all.ends.len());
        return Err(bad(all.ends.len() as u64 + 1, what));
    }
    Ok(all)
}

/// Rows of whole lines; an error has the number of its line, from 0.
fn parse(text: &[u8], features: usize, labels: usize) -> std::result::Result<Rows, (u64, String)> {
    let mut out = Rows::default();
    for (n, line) in text.split_inclusive(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        let fail = |what: String| (n as u64, what);
        let (of_labels, of_features) = match line.iter().position(|&b| b == b' ' || b == b'\t') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None if line.contains(&b':') => return Err(fail("labels and features are parted by a space".into())),
            None => (line, &[][..]),
        };
        for label in of_labels.split(|&b| b == b',').filter(|l| !l.is_empty()) {
            let id = number(label).ok_or_else(|| fail(format!("label '{}' is not a number", shown(label))))?;
            if id as usize >= labels {
                return Err(fail(format!("label {id} is beyond the {labels} labels of the header; ids count from 0")));
            }
            out.labels.push(id);
        }
        for pair in of_features.split(|&b| b == b' ' || b == b'\t').filter(|p| !p.is_empty()) {
            let Some(colon) = pair.iter().position(|&b| b == b':') else {
                return Err(fail(format!("'{}' is not feature:value", shown(pair))));
            };
            let id = number(&pair[..colon]);
            let id = id.ok_or_else(|| fail(format!("feature '{}' is not a number", shown(&pair[..colon]))))?;
            if id as usize >= features {
                let what = format!("feature {id} is beyond the {features} features of the header; ids count from 0");
                return Err(fail(what));
            }
            let value: Option<f32> = std::str::from_utf8(&pair[colon + 1..]).ok().and_then(|v| v.parse().ok());
            let value = value.filter(|v| v.is_finite()).ok_or_else(|| {
                fail(format!("feature {id} has the value '{}'; values are finite numbers", shown(&pair[colon + 1..])))
            })?;
            out.features.push(id);
            out.values.push(value);
        }
        out.ends.push(out.features.len() as u64);
        out.label_ends.push(out.labels.len() as u64);
    }
    Ok(out)
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    u32::try_from(digits.iter().fold(0u64, |n, d| 10 * n + u64::from(d - b'0'))).ok()
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned()
}
