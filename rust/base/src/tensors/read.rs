//! Reading: nothing that the file says is believed before it is compared with its length.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use xxhash_rust::xxh3::Xxh3;

use super::write::header_sum;
use super::{BLOCK, CHECKSUM, DIGITS, Dtype, LINE, MOST_HEADER, PAD, PAGE, PREFIX};
use crate::memory::{Bytes, Mode};
use crate::progress::Progress;
use crate::{Error, Result};

/// A tensor of an open file.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What its numbers are.
    pub dtype: Dtype,
    /// Its sides, the slowest first.
    pub shape: &'a [usize],
    /// Its numbers, little-endian, the last side fastest; their address is a multiple of 64.
    pub bytes: &'a [u8],
}

/// An open file.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    bytes: Bytes,
    metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, Entry>,
    pads: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
    sum: u128,
}

impl Tensors {
    /// Maps a file and checks its header: checksum, names, dtypes, shapes, places.
    ///
    /// Files of other programs, which have no checksums, are refused.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path, "opening"))?;
        let bytes = Bytes::of(&mut file, path, Mode::Map)?;
        let start = data_start(path, &bytes)?;
        let Header { metadata, tensors } = parse(path, &bytes[8..start])?;
        let (sums, metadata) = metadata.into_iter().partition(|(key, _)| key == "xxh3" || key.starts_with(CHECKSUM));
        let mut this = Self { path: path.to_owned(), bytes, metadata, entries: BTreeMap::new(), pads: Vec::new() };
        this.place(tensors, &sums, start)?;
        Ok(this)
    }

    /// Says that numbers will be read from all over the file: pages are then as large as the system can make them.
    pub fn expect_huge_pages(&self) {
        self.bytes.expect_huge_pages();
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says of itself, without checksums.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Refuses a file whose metadata do not have the format `kind`, or have a version of it beyond `supported`; returns
    /// the version.
    pub fn expect_format(&self, kind: &str, supported: u32) -> Result<u32> {
        let of = |key: &str| self.metadata.get(key).map_or("", String::as_str);
        if of("format") != kind {
            return Err(self.bad("header", 8, format!("a file of format '{}', not '{kind}'", shown(of("format")))));
        }
        match of("version").parse() {
            Ok(found) if found <= supported => Ok(found),
            Ok(found) => Err(Error::Newer { path: self.path.clone(), kind: kind.to_owned(), found, supported }),
            Err(_) => Err(self.bad("header", 8, format!("'{}' is no version of {kind}", shown(of("version"))))),
        }
    }

    /// The tensors, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The tensor `name`.
    pub fn tensor(&self, name: &str) -> Result<View<'_>> {
        let Entry { dtype, shape, range, .. } = self.entry(name)?;
        Ok(View { dtype: *dtype, shape, bytes: &self.bytes[range.clone()] })
    }

    /// The bytes of the tensor `name`, which must have this dtype and shape.
    pub fn expect(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8]> {
        let found = self.tensor(name)?;
        if found.dtype == dtype && found.shape == shape {
            return Ok(found.bytes);
        }
        let (is, needed) = (found.dtype.name(), dtype.name());
        let what = format!("{is} of shape {:?} where {needed} of shape {shape:?} is needed", found.shape);
        Err(self.bad(name, self.entry(name)?.range.start, what))
    }

    /// Compares the data of the tensor `name` with their checksum.
    pub fn verify(&self, name: &str) -> Result<()> {
        self.check(name, self.entry(name)?, &Progress::new())
    }

    /// Compares all data with their checksums, what lies between them included.
    pub fn verify_all(&self, progress: &Progress) -> Result<()> {
        progress.start("verify", self.entries.values().map(|e| e.range.len() as u64).sum())?;
        for (name, entry) in &self.entries {
            self.check(name, entry, progress)?;
        }
        match self.pads.iter().find(|pad| self.bytes[(*pad).clone()].iter().any(|&b| b != 0)) {
            Some(pad) => Err(self.bad("padding", pad.start, "not all zeros: the file is damaged; fetch it again")),
            None => Ok(()),
        }
    }

    fn check(&self, name: &str, entry: &Entry, progress: &Progress) -> Result<()> {
        let mut hash = Xxh3::new();
        for block in self.bytes[entry.range.clone()].chunks(BLOCK) {
            hash.update(block);
            progress.advance(block.len() as u64)?;
        }
        if hash.digest128() == entry.sum {
            return Ok(());
        }
        let what = "checksum does not match: the file is damaged; write it again or fetch it again";
        Err(self.bad(name, entry.range.start, what))
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| {
            let mut there: Vec<&str> = self.names().take(8).collect();
            if self.entries.len() > there.len() {
                there.push("...");
            }
            self.bad(name, 0, format!("there is no such tensor; there are: {}", there.join(", ")))
        })
    }

    fn bad(&self, section: &str, offset: usize, what: impl Into<String>) -> Error {
        Error::format(&self.path, section, offset as u64, what)
    }

    /// Gives every tensor its place: one after the other, without holes, up to the end of the file.
    fn place(&mut self, mut tensors: Vec<(String, Raw)>, sums: &BTreeMap<String, String>, start: usize) -> Result<()> {
        tensors.sort_by_key(|(_, raw)| raw.data_offsets);
        let room = self.bytes.len() - start;
        let mut end = 0;
        for (name, Raw { dtype, shape, data_offsets: [from, to] }) in tensors {
            let at = (start + end) as u64;
            let bad = |what: String| Err(Error::format(&self.path, &shown(&name), at, what));
            let Some(dtype) = Dtype::named(&dtype) else {
                return bad(format!("dtype '{}' is not known", shown(&dtype)));
            };
            if from != end || to < from || to > room {
                return bad(format!(
                    "lies at {from}..{to} of {room} bytes of data, and the tensor before ends at {end}"
                ));
            }
            if dtype.bytes(&shape) != Some(to - from) {
                return bad(format!("{} of shape {shape:?} does not take {} bytes", dtype.name(), to - from));
            }
            let range = start + from..start + to;
            end = to;
            if name.starts_with(PAD) {
                self.pads.push(range);
                continue;
            }
            if from % LINE != 0 {
                return bad(format!("starts at {from}, which is no multiple of {LINE}"));
            }
            let Some(sum) = sums.get(&format!("{CHECKSUM}{name}")).and_then(|s| unhex(s.as_bytes())) else {
                return bad("has no checksum in the metadata; write the file again with thrifty".into());
            };
            if self.entries.insert(name, Entry { dtype, shape, range, sum }).is_some() {
                unreachable!("names were compared when the header was parsed");
            }
        }
        if end != room {
            let what = format!("{room} bytes of data where the tensors take {end}: the file was cut or extended");
            return Err(self.bad("data", start + end, what));
        }
        Ok(())
    }
}

/// Where the data start, once the header is known to be whole.
fn data_start(path: &Path, bytes: &[u8]) -> Result<usize> {
    let bad = |offset: usize, what: String| Err(Error::format(path, "header", offset as u64, what));
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return bad(0, format!("{} bytes are too few for a safetensors file", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > rest.len() as u64 {
        return bad(0, format!("a header of {length} bytes in a file of {}: it was cut or is none", bytes.len()));
    }
    if length > MOST_HEADER as u64 {
        return bad(0, format!("a header of {length} bytes; there are at most {MOST_HEADER}"));
    }
    let header = &rest[..length as usize];
    if !header.starts_with(PREFIX.as_bytes()) || header.len() < PREFIX.len() + DIGITS {
        let what = "begins without a checksum: not a file that thrifty wrote, or it is damaged";
        return bad(8, what.into());
    }
    if unhex(&header[PREFIX.len()..PREFIX.len() + DIGITS]) != Some(header_sum(header)) {
        return bad(8, "checksum does not match: the file is damaged; write it again or fetch it again".into());
    }
    let start = 8 + header.len();
    if !start.is_multiple_of(PAGE) {
        return bad(0, format!("data start at {start}, which is no multiple of {PAGE}"));
    }
    Ok(start)
}

/// A name for messages.
fn shown(name: &str) -> String {
    name.escape_debug().take(80).collect()
}

/// A checksum, in lower case as it is written.
fn unhex(digits: &[u8]) -> Option<u128> {
    if digits.len() != DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |sum, &d| match d {
        b'0'..=b'9' => Some(sum << 4 | u128::from(d - b'0')),
        b'a'..=b'f' => Some(sum << 4 | u128::from(d - b'a' + 10)),
        _ => None,
    })
}

fn parse(path: &Path, header: &[u8]) -> Result<Header> {
    serde_json::from_slice(header).map_err(|e| {
        // Columns count from 1; a header is one line.
        let at = if e.line() == 1 { 7 + e.column() } else { 8 };
        Error::format(path, "header", at as u64, e.to_string())
    })
}

#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Raw)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

struct Unique(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("strings by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unique, A::Error> {
                let mut out = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if out.contains_key(&key) {
                        return Err(A::Error::custom(format!("metadata '{}' is there twice", shown(&key))));
                    }
                    out.insert(key, value);
                }
                Ok(Unique(out))
            }
        }
        from.deserialize_map(Pairs)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut out = Header::default();
                let mut seen = std::collections::BTreeSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format!("'{}' is there twice", shown(&name))));
                    }
                    if name == "__metadata__" {
                        out.metadata = map.next_value::<Unique>()?.0;
                    } else {
                        out.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(out)
            }
        }
        from.deserialize_map(Entries)
    }
}
