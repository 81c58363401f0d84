//! The file format that indexes and journals share: named sections, checksummed by block.
//!
//! ```text
//! 0   head (64 bytes)   magic, kind, versions, number of sections, file length, checksums
//! 64  table             one entry of 64 bytes a section: name, offset, length, flags, checksum
//! ..  sections          each at a multiple of 64 (or 4,096), zeros between them
//! ..  "checksums"       xxh3-64 of every block of 1 MiB of every section, in order of the table
//! ```
//! All numbers are little-endian. Small sections are checked when a file is opened, bulk ones by
//! [`Container::verify`]. Lengths are checked against the file before anything is read or allocated.

mod read;
mod write;

pub use read::{Container, Damage};
pub use write::{Target, Writer};

const MAGIC: [u8; 8] = *b"\x89THRIFT\n";
/// Version of the layout above.
const LAYOUT: u32 = 1;
const HEAD: usize = 64;
const ENTRY: usize = 64;
const NAME: usize = 32;
const BLOCK: usize = 1 << 20;
const CHECKSUMS: &str = "checksums";
const BULK: u64 = 1;
/// The "path" of what is in memory only, for messages.
const IN_MEMORY: &str = "(in memory)";
/// More sections than any writer makes: bounds the table of a hostile file.
const MAX_SECTIONS: u32 = 1 << 20;

/// What a file holds, and the newest version of that which this program knows.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Up to 8 ASCII letters.
    pub name: &'static str,
    /// Version of the sections' meaning.
    pub version: u32,
}

impl Kind {
    fn bytes(&self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..self.name.len()].copy_from_slice(self.name.as_bytes());
        out
    }
}

/// One section before it is written.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Unique, at most 32 bytes.
    pub name: String,
    /// Its exact length in bytes.
    pub length: u64,
    /// Bulk sections start at a multiple of 4,096 and are checked by `verify` only.
    pub bulk: bool,
}

impl Spec {
    /// A section that is checked at every opening.
    pub fn small(name: impl Into<String>, length: usize) -> Self {
        Self { name: name.into(), length: length as u64, bulk: false }
    }

    /// A section that is checked by [`Container::verify`].
    pub fn bulk(name: impl Into<String>, length: u64) -> Self {
        Self { name: name.into(), length, bulk: true }
    }

    fn align(&self) -> u64 {
        if self.bulk { 4096 } else { 64 }
    }
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    offset: u64,
    length: u64,
    bulk: bool,
    checksum: u64,
    /// Index of its first block in the list of checksums.
    first_block: usize,
}

impl Section {
    fn blocks(&self) -> usize {
        self.length.div_ceil(BLOCK as u64) as usize
    }
}

/// Lays out sections: offsets, and the length of the file with the list of checksums at its end.
fn lay_out(specs: &[Spec]) -> (Vec<Section>, u64) {
    let mut at = (HEAD + ENTRY * (specs.len() + 1)) as u64;
    let mut sections = Vec::with_capacity(specs.len() + 1);
    let mut first_block = 0;
    for spec in specs {
        assert!(spec.name.len() <= NAME && spec.name != CHECKSUMS, "section name {}", spec.name);
        at = at.next_multiple_of(spec.align());
        let section = Section {
            name: spec.name.clone(),
            offset: at,
            length: spec.length,
            bulk: spec.bulk,
            checksum: 0,
            first_block,
        };
        first_block += section.blocks();
        at += spec.length;
        sections.push(section);
    }
    at = at.next_multiple_of(64);
    let length = 8 * first_block as u64;
    sections.push(Section { name: CHECKSUMS.into(), offset: at, length, bulk: false, checksum: 0, first_block });
    (sections, at + length)
}

/// The length of the file that `specs` make.
pub fn file_length(specs: &[Spec]) -> u64 {
    lay_out(specs).1
}

#[cfg(test)]
mod tests;
