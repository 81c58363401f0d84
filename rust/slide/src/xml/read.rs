//! Reading a file: lines and pairs are counted, so that each part of the file has its place, then all are parsed.

use std::path::Path;

use rayon::prelude::*;
use thrifty_base::memory::{Bytes, Mode};
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

use super::Rows;
use super::line::Filler;
use crate::{Error, Result};

/// Bytes that one thread reads at a time.
const PART: usize = 1 << 20;
/// Bytes of a header at most: three numbers and some blanks.
const HEADER: usize = 256;

/// Whole lines of the file, and where what they say goes.
struct Part<'a> {
    text: &'a [u8],
    /// Lines before.
    lines: usize,
    /// Pairs before.
    pairs: usize,
    ends: &'a mut [u64],
    label_ends: &'a mut [u64],
    features: &'a mut [u32],
    values: &'a mut [f32],
}

/// Reads a file on `threads` threads.
pub fn read(path: &Path, threads: usize, progress: &Progress) -> Result<Rows> {
    let mut file = std::fs::File::open(path).map_err(thrifty_base::Error::io(path, "opening"))?;
    let bytes = Bytes::of(&mut file, path, Mode::Map)?;
    let bad = |line: u64, what: String| Error::Input { path: path.to_owned(), line, what };
    let Header { rows, shape, body } = header(&bytes).map_err(|what| bad(1, what))?;
    let pool = pool(threads)?;
    let texts = cut(body);
    progress.start("count", body.len() as u64)?;
    let counts = pool.install(|| {
        let count = |text: &&[u8]| {
            progress.advance(text.len() as u64)?;
            // A pair takes four bytes with what parts it from the next; more colons are a mistake that parsing finds.
            let pairs = occurrences(text, b':').min(text.len().div_ceil(4));
            let lines = occurrences(text, b'\n') + usize::from(!text.ends_with(b"\n"));
            Ok((lines, pairs))
        };
        texts.par_iter().map(count).collect::<Result<Vec<_>>>()
    })?;
    let lines: usize = counts.iter().map(|c| c.0).sum();
    if lines != rows {
        return Err(bad(lines as u64 + 1, format!("the header says {rows} rows, the file has {lines}")));
    }
    let pairs = counts.iter().map(|c| c.1).sum();
    let mut all = Rows {
        ends: vec![0; lines],
        features: vec![0; pairs],
        values: vec![0.0; pairs],
        label_ends: vec![0; lines],
        labels: Vec::new(),
        shape,
    };
    let parts = deal(&mut all, &texts, &counts);
    progress.start("read", body.len() as u64)?;
    let labels = pool.install(|| {
        let one = |part: Part<'_>| {
            progress.check()?;
            let length = part.text.len() as u64;
            let (at, what) = match fill(part, shape) {
                Ok(labels) => return progress.advance(length).map(|()| labels).map_err(Error::from),
                Err(wrong) => wrong,
            };
            Err(bad(at as u64 + 2, what))
        };
        // All results are looked at in order: the error is that of the first bad line.
        parts.into_par_iter().map(one).collect::<Vec<Result<Vec<u32>>>>()
    });
    let labels = labels.into_iter().collect::<Result<Vec<_>>>()?;
    pool.install(|| join_labels(&mut all, &counts, &labels));
    Ok(all)
}

struct Header<'a> {
    rows: usize,
    /// Features and labels.
    shape: (usize, usize),
    body: &'a [u8],
}

fn header(bytes: &[u8]) -> std::result::Result<Header<'_>, String> {
    let head = &bytes[..bytes.len().min(HEADER)];
    let end = head.iter().position(|&b| b == b'\n').unwrap_or(head.len());
    let numbers: Option<Vec<usize>> = std::str::from_utf8(&head[..end])
        .ok()
        .and_then(|h| h.split_ascii_whitespace().map(|n| n.parse().ok()).collect());
    let Some(&[rows, features, labels]) = numbers.as_deref() else {
        return Err("the header must be three numbers: rows, features, labels".into());
    };
    for (count, what) in [(features, "features"), (labels, "labels")] {
        if count as u64 > 1 << 32 {
            return Err(format!(
                "the header says {count} {what}; ids have 32 bits, so there are at most {}",
                1u64 << 32
            ));
        }
    }
    Ok(Header { rows, shape: (features, labels), body: &bytes[(end + 1).min(bytes.len())..] })
}

/// Parts of whole lines.
fn cut(mut body: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while !body.is_empty() {
        let from = PART.min(body.len());
        let end = body[from..].iter().position(|&b| b == b'\n').map_or(body.len(), |n| from + n + 1);
        let (part, rest) = body.split_at(end);
        parts.push(part);
        body = rest;
    }
    parts
}

fn occurrences(text: &[u8], byte: u8) -> usize {
    // Sums of a byte that can't overflow are sums of whole vectors.
    text.chunks(192).map(|c| usize::from(c.iter().map(|&b| u8::from(b == byte)).sum::<u8>())).sum()
}

/// Gives every part its stretch of the arrays.
fn deal<'a>(all: &'a mut Rows, texts: &[&'a [u8]], counts: &[(usize, usize)]) -> Vec<Part<'a>> {
    let (mut ends, mut label_ends) = (&mut all.ends[..], &mut all.label_ends[..]);
    let (mut features, mut values) = (&mut all.features[..], &mut all.values[..]);
    let (mut lines, mut pairs) = (0, 0);
    let mut parts = Vec::with_capacity(texts.len());
    for (text, &(own_lines, own_pairs)) in texts.iter().zip(counts) {
        parts.push(Part {
            text,
            lines,
            pairs,
            ends: ends.split_off_mut(..own_lines).expect("lines were counted"),
            label_ends: label_ends.split_off_mut(..own_lines).expect("lines were counted"),
            features: features.split_off_mut(..own_pairs).expect("pairs were counted"),
            values: values.split_off_mut(..own_pairs).expect("pairs were counted"),
        });
        lines += own_lines;
        pairs += own_pairs;
    }
    parts
}

/// Parses a part; label ends count from its first label. An error has the number of its row.
fn fill(part: Part<'_>, shape: (usize, usize)) -> std::result::Result<Vec<u32>, (usize, String)> {
    let room = part.features.len();
    let mut filler = Filler::new(part.features, part.values, shape);
    let mut at = 0;
    for (i, (end, label_end)) in part.ends.iter_mut().zip(part.label_ends).enumerate() {
        at = filler.line(part.text, at).map_err(|what| (part.lines + i, what))?;
        *end = (part.pairs + filler.filled()) as u64;
        *label_end = filler.labels.len() as u64;
    }
    assert_eq!(filler.filled(), room, "every colon of good lines is a pair");
    Ok(filler.labels)
}

/// Labels of all parts one after the other, and their ends counted from the first.
fn join_labels(all: &mut Rows, counts: &[(usize, usize)], labels: &[Vec<u32>]) {
    all.labels = vec![0; labels.iter().map(Vec::len).sum()];
    let (mut ends, mut rest) = (&mut all.label_ends[..], &mut all.labels[..]);
    let mut before = 0;
    let mut work = Vec::with_capacity(labels.len());
    for (own, &(lines, _)) in labels.iter().zip(counts) {
        let into = rest.split_off_mut(..own.len()).expect("labels were counted");
        work.push((own, into, ends.split_off_mut(..lines).expect("lines were counted"), before));
        before += own.len() as u64;
    }
    work.into_par_iter().for_each(|(own, into, ends, before)| {
        into.copy_from_slice(own);
        ends.iter_mut().for_each(|end| *end += before);
    });
}
