//! Word n-grams.
//!
//! Text is put into Unicode form NFKC and lower case; words are the maximal runs of letters and digits (Unicode's
//! Alphabetic and Numeric). On ASCII this is `[a-z0-9]+`. An item is n consecutive words, hashed as the words with one
//! space between.

use std::ops::Range;

use thrifty_base::hash::xxh3_64;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use super::Within;

/// Cuts a text that arrives in pieces into n-grams.
pub struct Grams {
    n: usize,
    within: Within,
    /// The last words, a space after each; items are stretches of it.
    words: String,
    /// Where each of the last (at most n) words begins in `words`.
    starts: Vec<usize>,
    /// Bytes of an unfinished line.
    line: Vec<u8>,
}

/// Beyond this a "line" is cut at a blank so that memory stays bounded.
const MAX_LINE: usize = 1 << 20;
/// How much of the past is kept before it is moved to the front of the buffer.
const KEEP: usize = 1 << 16;

/// Where to cut a line that goes on too long: behind its last blank, else before its last letter. It depends on the text
/// alone and not on the pieces it comes in, so that documents and queries are cut alike.
fn cut(line: &[u8]) -> usize {
    let blank = line.iter().rposition(u8::is_ascii_whitespace).map(|i| i + 1);
    // A byte 10xxxxxx goes on with a letter of UTF-8.
    let letter = || (1..line.len()).rev().find(|&i| line[i] & 0xC0 != 0x80);
    blank.or_else(letter).unwrap_or(line.len())
}

impl Grams {
    /// N-grams of `n` words.
    pub fn new(n: u32, within: Within) -> Self {
        Self { n: n as usize, within, words: String::new(), starts: Vec::new(), line: Vec::new() }
    }

    /// Takes a piece of the text; appends the hashes of the items that it completes.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u64>) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            self.end_line(out);
        }
        self.line.extend_from_slice(rest);
        while self.line.len() > MAX_LINE {
            let cut = cut(&self.line[..=MAX_LINE]);
            let later = self.line.split_off(cut);
            let now = std::mem::replace(&mut self.line, later);
            self.words_of(&now, out);
        }
    }

    /// Ends the text: the last line counts with or without a line end.
    pub fn end_document(&mut self, out: &mut Vec<u64>) {
        self.end_line(out);
        self.forget();
    }

    fn end_line(&mut self, out: &mut Vec<u64>) {
        let mut line = std::mem::take(&mut self.line);
        self.words_of(&line, out);
        line.clear();
        self.line = line;
        if self.within == Within::Line {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.words.clear();
        self.starts.clear();
    }

    fn words_of(&mut self, line: &[u8], out: &mut Vec<u64>) {
        if line.is_ascii() {
            let mut at = 0;
            while let Some(Range { start, end }) = next_ascii_word(line, at) {
                let from = self.words.len();
                self.words.extend(line[start..end].iter().map(|b| b.to_ascii_lowercase() as char));
                self.word_from(from, out);
                at = end;
            }
            return;
        }
        let text = String::from_utf8_lossy(line);
        let lower = if is_nfkc_quick(text.chars()) == IsNormalized::Yes {
            text.to_lowercase()
        } else {
            text.nfkc().collect::<String>().to_lowercase()
        };
        for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
            let from = self.words.len();
            self.words.push_str(word);
            self.word_from(from, out);
        }
    }

    /// The word from `from` to the end of the buffer is complete.
    fn word_from(&mut self, from: usize, out: &mut Vec<u64>) {
        self.starts.push(from);
        if self.starts.len() >= self.n {
            let first = self.starts[self.starts.len() - self.n];
            out.push(xxh3_64(&self.words.as_bytes()[first..]));
        }
        self.words.push(' ');
        if self.words.len() > KEEP && self.starts.len() >= self.n {
            let old = self.starts.len() - (self.n - 1);
            self.starts.drain(..old);
            let cut = self.starts.first().copied().unwrap_or(self.words.len());
            self.words.drain(..cut);
            self.starts.iter_mut().for_each(|s| *s -= cut);
        }
    }
}

fn next_ascii_word(line: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + line[at..].iter().position(u8::is_ascii_alphanumeric)?;
    let end = line[start..].iter().position(|b| !b.is_ascii_alphanumeric()).map_or(line.len(), |i| start + i);
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grams(text: &str, n: u32, within: Within) -> Vec<u64> {
        let mut out = Vec::new();
        let mut g = Grams::new(n, within);
        g.push(text.as_bytes(), &mut out);
        g.end_document(&mut out);
        out
    }

    /// The slow twin: all words in a list, all windows joined.
    fn twin(text: &str, n: usize, within: Within) -> Vec<u64> {
        let pieces: Vec<&str> = match within {
            Within::Document => vec![text],
            Within::Line => text.split('\n').collect(),
        };
        let mut out = Vec::new();
        for piece in pieces {
            let mut words = Vec::new();
            for line in piece.split('\n') {
                let lower = line.nfkc().collect::<String>().to_lowercase();
                words.extend(lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned));
            }
            out.extend(words.windows(n).map(|w| xxh3_64(w.join(" ").as_bytes())));
        }
        out
    }

    #[test]
    fn examples() {
        let words = |w: &str| xxh3_64(w.as_bytes());
        assert_eq!(
            grams("Don't stop,\nNOW!", 2, Within::Document),
            [words("don t"), words("t stop"), words("stop now")]
        );
        assert_eq!(grams("Don't stop,\r\nNOW!", 2, Within::Line), [words("don t"), words("t stop")]);
        assert_eq!(grams("ﬁne Ⅻ", 1, Within::Document), [words("fine"), words("xii")]);
        assert!(grams("one two", 3, Within::Document).is_empty());
        assert!(grams("", 1, Within::Document).is_empty());
    }

    proptest! {
        #[test]
        fn equals_the_twin(text in "[a-zA-Z0-9 ,.'\n\rßÅéΣς٣ﬁ-]{0,300}", n in 1u32..6, line: bool) {
            let within = if line { Within::Line } else { Within::Document };
            prop_assert_eq!(grams(&text, n, within), twin(&text, n as usize, within));
        }

        /// The text may arrive in pieces of any size.
        #[test]
        fn pieces_do_not_matter(text in "[a-c Å\n]{0,200}", n in 1u32..4, size in 1usize..50) {
            let mut out = Vec::new();
            let mut g = Grams::new(n, Within::Document);
            for piece in text.as_bytes().chunks(size) { g.push(piece, &mut out); }
            g.end_document(&mut out);
            prop_assert_eq!(out, grams(&text, n, Within::Document));
        }
    }

    #[test]
    fn long_texts_keep_little() {
        let text = "alpha beta gamma ".repeat(40_000);
        let mut g = Grams::new(3, Within::Document);
        let mut out = Vec::new();
        g.push(text.as_bytes(), &mut out);
        assert!(g.words.capacity() < 4 * KEEP && g.starts.capacity() < KEEP);
        g.end_document(&mut out);
        assert_eq!(out.len(), 3 * 40_000 - 2);
        let mut distinct = out.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 3);
    }
}
