//! Opening a file whatever its compression.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Decompressed bytes of a file, and how many bytes of it were read.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) read: Arc<AtomicU64>,
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Says which format failed: decoders alone say "unexpected end of file".
struct Named<R> {
    inner: R,
    format: &'static str,
}

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|e| {
            let why = match e.kind() {
                io::ErrorKind::UnexpectedEof => "the file ends early: it was cut short, fetch it again".to_owned(),
                _ => e.to_string(),
            };
            io::Error::new(e.kind(), format!("{}: {why}", self.format))
        })
    }
}

/// The end marker that every BGZF file has: an empty member.
const BGZF_END: [u8; 28] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 0x06, 0, 0x42, 0x43, 0x02, 0, 0x1b, 0, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Opens a file, or standard input for `-`, and takes the compression off that its first bytes show: gzip with any
/// number of members (so bgzip too), zstd with any number of frames, xz and bzip2 with any number of streams.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let io_error = |e: io::Error| Error::from(thrifty_base::Error::io(path, "reading")(e));
    let read = Arc::new(AtomicU64::new(0));
    let mut inner: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(Counted { inner: io::stdin(), read: read.clone() })
    } else {
        let file = File::open(path).map_err(thrifty_base::Error::io(path, "opening"))?;
        Box::new(Counted { inner: file, read: read.clone() })
    };
    let mut magic = [0u8; 18];
    let mut have = 0;
    while have < magic.len() {
        match inner.read(&mut magic[have..]).map_err(io_error)? {
            0 => break,
            n => have += n,
        }
    }
    let bytes = BufReader::with_capacity(1 << 16, Cursor::new(magic[..have].to_vec()).chain(inner));
    let reader: Box<dyn Read + Send> = match &magic[..have] {
        [0x1f, 0x8b, ..] => {
            if is_bgzf(&magic[..have]) {
                check_bgzf_end(path)?;
            }
            Box::new(Named { inner: flate2::bufread::MultiGzDecoder::new(bytes), format: "gzip" })
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(io_error)?;
            Box::new(Named { inner: decoder, format: "zstd" })
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(Named { inner: liblzma::bufread::XzDecoder::new_multi_decoder(bytes), format: "xz" })
        }
        [b'B', b'Z', b'h', ..] => {
            Box::new(Named { inner: bzip2::bufread::MultiBzDecoder::new(bytes), format: "bzip2" })
        }
        _ => Box::new(bytes),
    };
    Ok(Opened { reader, read })
}

fn is_bgzf(start: &[u8]) -> bool {
    start.len() >= 18 && start[3] & 4 != 0 && start[12..16] == [0x42, 0x43, 0x02, 0]
}

/// A bgzip file cut between two members is valid gzip; only the missing end marker tells.
fn check_bgzf_end(path: &Path) -> Result<()> {
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let mut end = [0; 28];
    if file.seek(SeekFrom::End(-28)).and_then(|_| file.read_exact(&mut end)).is_ok() && end != BGZF_END {
        return Err(Error::Input {
            path: PathBuf::from(path),
            line: None,
            what: "bgzip: the end marker is missing: the file was cut short, fetch it again".into(),
        });
    }
    Ok(())
}
