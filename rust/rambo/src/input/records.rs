//! Records of a FASTA, FASTQ or text file.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use needletail::errors::{ParseError, ParseErrorKind};
use needletail::parser::{FastaReader, FastqReader, FastxReader};

use super::{Input, open};
use crate::items::Items;
use crate::{Error, Result};

/// One record.
pub struct Record<'a> {
    /// First word of the header; for text, file name and number of the line.
    pub name: String,
    /// Sequence, possibly with line ends in it; or the line.
    pub bytes: &'a [u8],
    /// Line of the header, from 1.
    pub line: u64,
}

enum Parser {
    Fastx(Box<dyn FastxReader>),
    Lines {
        reader: BufReader<Box<dyn Read + Send>>,
        number: u64,
        stem: Option<String>,
    },
    /// A file without bytes: no records.
    Empty,
}

/// The records of one file, one after the other.
pub struct Records {
    path: PathBuf,
    parser: Parser,
    /// Bytes of the present record or piece.
    buffer: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl Records {
    /// Opens an input. DNA may be FASTA or FASTQ, by its first letter; text records are lines.
    pub fn open(input: &Input, items: Items) -> Result<Self> {
        let path = &input.path;
        let opened = open::open(path)?;
        let parser = match items {
            Items::Dna { .. } => fastx(path, opened.reader)?,
            Items::Text { .. } => Parser::Lines {
                reader: BufReader::with_capacity(1 << 16, opened.reader),
                number: 0,
                stem: Some(input.name.clone()),
            },
        };
        Ok(Self { path: path.clone(), parser, buffer: Vec::new(), read: opened.read })
    }

    /// Queries: like [`open`](Self::open), but a text record is named by the number of its line alone.
    pub fn open_queries(path: &Path, items: Items) -> Result<Self> {
        let mut this = Self::open(&Input::of(path), items)?;
        if let Parser::Lines { stem, .. } = &mut this.parser {
            *stem = None;
        }
        Ok(this)
    }

    /// Bytes of the file read so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The next record.
    #[allow(clippy::should_implement_trait)] // lends from self, which Iterator can't
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        self.buffer.clear();
        match &mut self.parser {
            Parser::Empty => Ok(None),
            Parser::Fastx(reader) => match reader.next() {
                None => Ok(None),
                Some(Err(e)) => Err(input_error(&self.path, e)),
                Some(Ok(record)) => {
                    self.buffer.extend_from_slice(record.raw_seq());
                    let word = record.id().split(u8::is_ascii_whitespace).find(|w| !w.is_empty());
                    let name = String::from_utf8_lossy(word.unwrap_or_default()).into_owned();
                    Ok(Some(Record { name, bytes: &self.buffer, line: record.start_line_number() }))
                }
            },
            Parser::Lines { reader, number, stem } => {
                let n = reader
                    .read_until(b'\n', &mut self.buffer)
                    .map_err(thrifty_base::Error::io(&self.path, "reading"))?;
                if n == 0 {
                    return Ok(None);
                }
                *number += 1;
                let name = match stem {
                    Some(stem) => format!("{stem}:{number}"),
                    None => number.to_string(),
                };
                Ok(Some(Record { name, bytes: &self.buffer, line: *number }))
            }
        }
    }

    /// The next stretch of a text, of any length.
    pub(super) fn next_piece(&mut self) -> Result<Option<&[u8]>> {
        let Parser::Lines { reader, .. } = &mut self.parser else { return Ok(None) };
        self.buffer.resize(1 << 16, 0);
        loop {
            match reader.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(n) => return Ok(Some(&self.buffer[..n])),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(thrifty_base::Error::io(&self.path, "reading")(e).into()),
            }
        }
    }
}

/// Chooses the parser by the first letter that is no white space.
fn fastx(path: &Path, mut reader: Box<dyn Read + Send>) -> Result<Parser> {
    let mut first = [0u8; 1];
    loop {
        match reader.read(&mut first) {
            Ok(0) => return Ok(Parser::Empty),
            Ok(_) if first[0].is_ascii_whitespace() => {}
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(thrifty_base::Error::io(path, "reading")(e).into()),
        }
    }
    let reader = Cursor::new(first).chain(reader);
    match first[0] {
        // needletail takes a header as the very last line for a cut record; two more line ends show that it is empty.
        b'>' => Ok(Parser::Fastx(Box::new(FastaReader::new(reader.chain(Cursor::new(b"\n\n")))))),
        b'@' => Ok(Parser::Fastx(Box::new(FastqReader::new(reader)))),
        other => Err(Error::Input {
            path: path.to_owned(),
            line: Some(1),
            what: format!(
                "not FASTA or FASTQ: it starts with '{}' instead of '>' or '@'{}",
                (other as char).escape_default(),
                if path.to_string_lossy().contains(".tar") { "; unpack the tar archive first" } else { "" }
            ),
        }),
    }
}

fn input_error(path: &Path, e: ParseError) -> Error {
    let what = match e.kind {
        ParseErrorKind::UnexpectedEnd => "the file ends inside a record: it was cut short, fetch it again".to_owned(),
        _ => e.msg,
    };
    let line = Some(e.position.line).filter(|&l| l > 0 && e.kind != ParseErrorKind::Io);
    Error::Input { path: path.to_owned(), line, what }
}
