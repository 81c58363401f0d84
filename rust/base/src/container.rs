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

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::MmapMut;

use crate::files::Replacement;
use crate::hash::xxh3_64;
use crate::memory::{Bytes, Mode, zeroed};
use crate::progress::Progress;
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"\x89THRIFT\n";
/// Version of the layout above.
const LAYOUT: u32 = 1;
const HEAD: usize = 64;
const ENTRY: usize = 64;
const NAME: usize = 32;
const BLOCK: usize = 1 << 20;
const CHECKSUMS: &str = "checksums";
const BULK: u64 = 1;
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

/// Where a container is written.
#[derive(Clone, Debug)]
pub enum Target {
    /// A file, which appears under its name when it is complete.
    File(PathBuf),
    /// Memory.
    Memory,
}

enum Sink {
    File(Replacement),
    Memory { bytes: MmapMut, at: usize },
}

impl Sink {
    fn new(target: &Target, length: u64) -> Result<Self> {
        match target {
            Target::File(path) => Ok(Self::File(Replacement::new(path)?)),
            Target::Memory => Ok(Self::Memory { bytes: zeroed(length as usize, Path::new(IN_MEMORY))?, at: 0 }),
        }
    }

    fn seek(&mut self, to: u64) -> Result<()> {
        match self {
            Self::File(replacement) => {
                let result = replacement.file().seek(SeekFrom::Start(to));
                result.map(|_| ()).map_err(Error::io(replacement.partial(), "writing"))
            }
            Self::Memory { at, .. } => {
                *at = to as usize;
                Ok(())
            }
        }
    }

    fn put(&mut self, new: &[u8]) -> Result<()> {
        match self {
            Self::File(replacement) => {
                let result = replacement.file().write_all(new);
                result.map_err(Error::io(replacement.partial(), "writing"))
            }
            Self::Memory { bytes, at } => {
                bytes[*at..*at + new.len()].copy_from_slice(new);
                *at += new.len();
                Ok(())
            }
        }
    }
}

/// The "path" of what is in memory only, for messages.
const IN_MEMORY: &str = "(in memory)";

/// Writes a container in one pass: sections in the order of the specs, then [`finish`](Self::finish).
pub struct Writer {
    sink: Sink,
    kind: Kind,
    sections: Vec<Section>,
    length: u64,
    current: usize,
    written: u64,
    block: Vec<u8>,
    checksums: Vec<u64>,
}

impl Writer {
    /// Starts a container of `specs`.
    pub fn create(target: &Target, kind: Kind, specs: &[Spec]) -> Result<Self> {
        let (sections, length) = lay_out(specs);
        let mut sink = Sink::new(target, length)?;
        sink.seek(sections[0].offset)?;
        Ok(Self {
            sink,
            kind,
            sections,
            length,
            current: 0,
            written: 0,
            block: Vec::with_capacity(BLOCK),
            checksums: Vec::new(),
        })
    }

    /// Appends bytes to the sections, which follow each other without further marks.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.skip_full_sections()?;
            let section = &self.sections[self.current];
            assert!(self.current + 1 < self.sections.len(), "more bytes than the sections hold");
            let room = (section.length - self.written).min((BLOCK - self.block.len()) as u64) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            self.written += now.len() as u64;
            if self.block.len() == BLOCK || self.written == section.length {
                self.flush_block()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Writes list and header. A file is synced, gets its final name and is opened with `mode`.
    pub fn finish(mut self, mode: Mode) -> Result<Container> {
        self.skip_full_sections()?;
        assert!(self.current + 1 == self.sections.len(), "section {} is short", self.sections[self.current].name);
        let list = bytemuck::cast_slice::<u64, u8>(&self.checksums).to_vec();
        self.put(&list)?;
        let n = self.sections.len();
        for section in &mut self.sections[..n - 1] {
            let own = &self.checksums[section.first_block..section.first_block + section.blocks()];
            section.checksum = xxh3_64(bytemuck::cast_slice(own));
        }
        self.sections[n - 1].checksum = xxh3_64(&list);
        let header = encode_header(self.kind, &self.sections, self.length);
        self.sink.seek(0)?;
        self.put(&header)?;
        match self.sink {
            Sink::File(replacement) => {
                let path = replacement.commit()?;
                Container::open(&path, self.kind, mode)
            }
            Sink::Memory { bytes, .. } => {
                Ok(Container { path: PathBuf::from(IN_MEMORY), bytes: bytes.into(), sections: self.sections })
            }
        }
    }

    fn skip_full_sections(&mut self) -> Result<()> {
        while self.current + 1 < self.sections.len() && self.written == self.sections[self.current].length {
            let end = self.sections[self.current].offset + self.written;
            self.current += 1;
            self.written = 0;
            let gap = self.sections[self.current].offset - end;
            self.put(&[0; 4096][..gap as usize])?;
        }
        Ok(())
    }

    fn flush_block(&mut self) -> Result<()> {
        self.checksums.push(xxh3_64(&self.block));
        let block = std::mem::take(&mut self.block);
        self.put(&block)?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.put(bytes)
    }
}

fn encode_header(kind: Kind, sections: &[Section], length: u64) -> Vec<u8> {
    let mut table = Vec::with_capacity(ENTRY * sections.len());
    for s in sections {
        let mut name = [0; NAME];
        name[..s.name.len()].copy_from_slice(s.name.as_bytes());
        table.extend_from_slice(&name);
        for word in [s.offset, s.length, if s.bulk { BULK } else { 0 }, s.checksum] {
            table.extend_from_slice(&word.to_le_bytes());
        }
    }
    let mut head = Vec::with_capacity(HEAD + table.len());
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&kind.bytes());
    head.extend_from_slice(&LAYOUT.to_le_bytes());
    head.extend_from_slice(&kind.version.to_le_bytes());
    head.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    head.extend_from_slice(&0u32.to_le_bytes());
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&0u64.to_le_bytes());
    head.extend_from_slice(&xxh3_64(&table).to_le_bytes());
    head.extend_from_slice(&xxh3_64(&head).to_le_bytes());
    head.extend_from_slice(&table);
    head
}

/// A damaged stretch of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The section, `padding` between two, or `checksums`.
    pub section: String,
    /// Offset of the stretch from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// An open container.
#[derive(Debug)]
pub struct Container {
    path: PathBuf,
    bytes: Bytes,
    sections: Vec<Section>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

impl Container {
    /// Opens `path`, checks its header, its length and its small sections.
    pub fn open(path: &Path, kind: Kind, mode: Mode) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path, "opening"))?;
        let sections = read_table(&mut file, path, kind)?;
        file.seek(SeekFrom::Start(0)).map_err(Error::io(path, "reading"))?;
        let bytes = Bytes::of(&mut file, path, mode)?;
        let this = Self { path: path.to_owned(), bytes, sections };
        this.check_checksums()?;
        for section in this.sections.iter().filter(|s| !s.bulk) {
            if let Some(damage) = this.damage_of(section, &Progress::new())?.first() {
                return Err(Error::format(
                    path,
                    &damage.section,
                    damage.offset,
                    "checksum does not match: the file is damaged; build it again or fetch it again",
                ));
            }
        }
        Ok(this)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file; none when the container is in memory only.
    pub fn file(&self) -> Option<&Path> {
        (self.path != Path::new(IN_MEMORY)).then_some(&self.path)
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where a section lies in [`bytes`](Self::bytes).
    pub fn range(&self, name: &str) -> Result<Range<usize>> {
        let s = self
            .sections
            .iter()
            .find(|s| s.name == name)
            .ok_or_else(|| Error::format(&self.path, name, 0, "section is missing: the file is damaged"))?;
        Ok(s.offset as usize..(s.offset + s.length) as usize)
    }

    /// The bytes of a section.
    pub fn section(&self, name: &str) -> Result<&[u8]> {
        Ok(&self.bytes[self.range(name)?])
    }

    /// The numbers of a section; it must hold `count` of them.
    pub fn numbers<T: bytemuck::Pod>(&self, name: &str, count: usize) -> Result<&[T]> {
        let bytes = self.section(name)?;
        match bytemuck::try_cast_slice(bytes) {
            Ok(numbers) if numbers.len() == count => Ok(numbers),
            _ => Err(self
                .bad(name, format!("{} bytes can't be {count} numbers of {}", bytes.len(), std::mem::size_of::<T>()))),
        }
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Offset of a section from the start of the file, for messages.
    pub fn offset(&self, name: &str) -> u64 {
        self.sections.iter().find(|s| s.name == name).map_or(0, |s| s.offset)
    }

    /// An [`Error::Format`] about a section of this file.
    pub fn bad(&self, section: &str, what: impl Into<String>) -> Error {
        Error::format(&self.path, section, self.offset(section), what)
    }

    /// Tells the system that reads will jump about.
    pub fn expect_random_reads(&self) {
        self.bytes.expect_random_reads();
    }

    /// Reads every byte of the file and lists what does not match, padding included.
    pub fn verify(&self, progress: &Progress) -> Result<Vec<Damage>> {
        progress.start("verify", self.length())?;
        let mut found = Vec::new();
        let mut end = (HEAD + ENTRY * self.sections.len()) as u64;
        for section in &self.sections {
            let gap = &self.bytes[end as usize..section.offset as usize];
            if gap.iter().any(|&b| b != 0) {
                found.push(Damage { section: "padding".into(), offset: end, length: gap.len() as u64 });
            }
            found.extend(self.damage_of(section, progress)?);
            end = section.offset + section.length;
        }
        Ok(found)
    }

    fn list(&self) -> &[u8] {
        let s = self.sections.last().expect("the list of checksums is always there");
        &self.bytes[s.offset as usize..(s.offset + s.length) as usize]
    }

    /// The list of checksums against its own checksum and against each section's.
    fn check_checksums(&self) -> Result<()> {
        let last = self.sections.last().expect("the list of checksums is always there");
        let list = self.list();
        let broken = || self.bad(CHECKSUMS, "checksum does not match: the file is damaged");
        if xxh3_64(list) != last.checksum {
            return Err(broken());
        }
        for s in &self.sections[..self.sections.len() - 1] {
            let own = &list[8 * s.first_block..8 * (s.first_block + s.blocks())];
            if xxh3_64(own) != s.checksum {
                return Err(broken());
            }
        }
        Ok(())
    }

    fn damage_of(&self, section: &Section, progress: &Progress) -> Result<Vec<Damage>> {
        let mut found = Vec::new();
        if section.name == CHECKSUMS {
            return Ok(found); // checked when the file was opened
        }
        let list = self.list();
        let bytes = &self.bytes[section.offset as usize..(section.offset + section.length) as usize];
        for (i, block) in bytes.chunks(BLOCK).enumerate() {
            if xxh3_64(block) != word(list, 8 * (section.first_block + i)) {
                let offset = section.offset + (i * BLOCK) as u64;
                found.push(Damage { section: section.name.clone(), offset, length: block.len() as u64 });
            }
            progress.advance(block.len() as u64)?;
        }
        Ok(found)
    }
}

/// Reads and checks head and table; every later access stays inside what is checked here.
fn read_table(file: &mut File, path: &Path, kind: Kind) -> Result<Vec<Section>> {
    let bad = |offset: usize, what: &str| Error::format(path, "header", offset as u64, what);
    let actual = file.metadata().map_err(Error::io(path, "reading its length"))?.len();
    let mut head = [0; HEAD];
    if actual < HEAD as u64 {
        return Err(bad(0, &format!("{actual} bytes are too few for a {} file", kind.name)));
    }
    file.read_exact(&mut head).map_err(Error::io(path, "reading"))?;
    if head[..8] != MAGIC {
        return Err(bad(0, &format!("not a thrifty {} file", kind.name)));
    }
    if head[8..16] != kind.bytes() {
        let other = String::from_utf8_lossy(&head[8..16]).trim_end_matches('\0').escape_default().to_string();
        return Err(bad(8, &format!("a file of kind '{other}', not '{}'", kind.name)));
    }
    for (at, what, supported) in [(16, "container", LAYOUT), (20, kind.name, kind.version)] {
        let found = half(&head, at);
        if found > supported {
            return Err(Error::Newer { path: path.to_owned(), kind: what.into(), found, supported });
        }
    }
    if xxh3_64(&head[..56]) != word(&head, 56) {
        return Err(bad(56, "checksum of the head does not match: the file is damaged"));
    }
    let (count, length) = (half(&head, 24), word(&head, 32));
    if length != actual {
        return Err(bad(32, &format!("the file has {actual} bytes and should have {length}: it was cut or extended")));
    }
    if count == 0 || count > MAX_SECTIONS || (HEAD + ENTRY * count as usize) as u64 > length {
        return Err(bad(24, &format!("{count} sections can't be right")));
    }
    let mut table = vec![0; ENTRY * count as usize];
    file.read_exact(&mut table).map_err(Error::io(path, "reading"))?;
    if xxh3_64(&table) != word(&head, 48) {
        return Err(bad(64, "checksum of the section table does not match: the file is damaged"));
    }
    let mut sections = Vec::with_capacity(count as usize);
    let mut end = (HEAD + table.len()) as u64;
    let mut first_block = 0;
    for (i, entry) in table.chunks_exact(ENTRY).enumerate() {
        let at = HEAD + ENTRY * i;
        let (offset, size) = (word(entry, NAME), word(entry, NAME + 8));
        let inside = offset >= end && offset - end < 4096 && size <= length && offset <= length - size;
        let name = std::str::from_utf8(&entry[..NAME]).map(|n| n.trim_end_matches('\0').to_owned());
        let (true, Ok(name)) = (inside, name) else {
            return Err(bad(at, "a section lies outside the file or over another"));
        };
        let section = Section {
            name,
            offset,
            length: size,
            bulk: word(entry, NAME + 16) & BULK != 0,
            checksum: word(entry, NAME + 24),
            first_block,
        };
        first_block += section.blocks();
        end = offset + size;
        sections.push(section);
    }
    let last = sections.last().expect("count > 0");
    let listed = 8 * (first_block - last.blocks()) as u64;
    if last.name != CHECKSUMS || last.length != listed || end != length {
        return Err(bad(64, "the list of checksums is not where it should be"));
    }
    Ok(sections)
}

#[cfg(test)]
mod tests;
