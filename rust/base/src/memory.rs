//! The bytes of a file, mapped or copied into memory.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;
pub use memmap2::MmapMut;

use crate::{Error, Result};

/// How to hold a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read-only mapping: opens at once, shared between processes, may be larger than the memory.
    Map,
    /// A private copy on huge pages where the system has them: fewer TLB misses for random reads.
    Load,
}

/// Immutable bytes of a whole file.
#[derive(Debug)]
pub struct Bytes(Inner);

#[derive(Debug)]
enum Inner {
    Mapped(Mmap),
    Loaded(MmapMut),
    Empty,
}

impl Bytes {
    /// The bytes of `file`; `path` is for messages.
    pub fn of(file: &mut File, path: &Path, mode: Mode) -> Result<Self> {
        let length = file.metadata().map_err(Error::io(path, "reading its length"))?.len();
        let length = usize::try_from(length)
            .map_err(|_| Error::format(path, "header", 0, "larger than this machine's address space"))?;
        if length == 0 {
            return Ok(Self(Inner::Empty));
        }
        match mode {
            // SAFETY: the mapping is read-only and every reader treats the bytes as untrusted. A file that another
            // process shortens while it is mapped ends this process with SIGBUS; our own writers never do that, they
            // replace files by renaming.
            Mode::Map => Ok(Self(Inner::Mapped(unsafe { Mmap::map(&*file) }.map_err(Error::io(path, "mapping"))?))),
            Mode::Load => {
                let mut memory = zeroed(length, path)?;
                file.read_exact(&mut memory).map_err(Error::io(path, "reading"))?;
                Ok(Self(Inner::Loaded(memory)))
            }
        }
    }

    /// Tells the system that reads will jump about, so that it reads no pages ahead.
    pub fn expect_random_reads(&self) {
        #[cfg(unix)]
        if let Inner::Mapped(map) = &self.0 {
            // Advice only: a kernel that refuses it still serves the pages.
            let _ = map.advise(memmap2::Advice::Random);
        }
    }

    /// Asks the system to read the file in huge pages and to map it so, for random places all over what fits in memory.
    pub fn expect_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        if let Inner::Mapped(map) = &self.0 {
            // Advice only, which many file systems can't follow.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
    }
}

impl From<MmapMut> for Bytes {
    fn from(memory: MmapMut) -> Self {
        Self(Inner::Loaded(memory))
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Mapped(map) => map,
            Inner::Loaded(memory) => memory,
            Inner::Empty => &[],
        }
    }
}

/// Zeroed memory on huge pages where the system has them. Pages are taken at first touch.
pub fn zeroed(length: usize, path: &Path) -> Result<MmapMut> {
    let memory = MmapMut::map_anon(length.max(1)).map_err(Error::io(path, "taking memory"))?;
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    Ok(memory)
}

/// Makes memory of [`zeroed`] longer; its bytes stay, wherever it then lies.
pub fn lengthen(memory: &mut MmapMut, length: usize) -> Result<()> {
    let path = Path::new("(memory)");
    #[cfg(target_os = "linux")]
    {
        let options = memmap2::RemapOptions::new().may_move(true);
        // SAFETY: the mapping is anonymous, so that no file can be too short for it, and `&mut` says that nobody holds a
        // reference into it.
        unsafe { memory.remap(length, options) }.map_err(Error::io(path, "taking memory"))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut longer = zeroed(length, path)?;
        longer[..memory.len()].copy_from_slice(memory);
        *memory = longer;
        Ok(())
    }
}

/// Says that the bytes no longer matter: the system takes the pages when it is short of memory, and until then writing to
/// them again costs no fault.
pub fn forget(memory: &mut MmapMut) {
    #[cfg(target_os = "linux")]
    // SAFETY: what the pages then hold, old bytes or zeros, are valid bytes, and `&mut` says that nobody looks.
    let _ = unsafe { memory.unchecked_advise(memmap2::UncheckedAdvice::Free) };
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

/// Bytes of memory that this process may still take: what is free, or what its control group allows; `None` where the
/// system does not say.
pub fn available() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let free = 1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?;
    let limit = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    match (limit("memory.max"), limit("memory.current")) {
        (Some(most), Some(used)) => {
            // Cached pages of files count as used there, and are given up when memory is needed.
            let stat = std::fs::read_to_string("/sys/fs/cgroup/memory.stat").unwrap_or_default();
            let of = |line: &str| -> Option<u64> {
                let bytes = line.strip_prefix("inactive_file ").or(line.strip_prefix("active_file "))?;
                bytes.trim().parse().ok()
            };
            let cached: u64 = stat.lines().filter_map(of).sum();
            Some(free.min(most.saturating_sub(used.saturating_sub(cached))))
        }
        _ => Some(free),
    }
}
