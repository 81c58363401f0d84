//! Writing a container, in one pass.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::MmapMut;

use super::{BLOCK, BULK, Container, ENTRY, HEAD, IN_MEMORY, Kind, LAYOUT, MAGIC, NAME, Section, Spec, lay_out};
use crate::files::Replacement;
use crate::hash::xxh3_64;
use crate::memory::{Mode, zeroed};
use crate::{Error, Result};

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
            Sink::Memory { bytes, .. } => Ok(Container::in_memory(bytes, self.sections)),
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
