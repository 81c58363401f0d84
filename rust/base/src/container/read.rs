//! Opening a container, and finding what is damaged.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::MmapMut;

use super::{BLOCK, BULK, CHECKSUMS, ENTRY, HEAD, IN_MEMORY, Kind, LAYOUT, MAGIC, MAX_SECTIONS, NAME, Section};
use crate::hash::xxh3_64;
use crate::memory::{Bytes, Mode};
use crate::progress::Progress;
use crate::{Error, Result};

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

    /// What was just written to memory.
    pub(super) fn in_memory(bytes: MmapMut, sections: Vec<Section>) -> Self {
        Self { path: PathBuf::from(IN_MEMORY), bytes: bytes.into(), sections }
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
