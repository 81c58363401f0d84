//! Replacing a file in one step, and the lock of its one writer.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// `path` with `suffix` added to its name: `a/b.idx` + `.lock` = `a/b.idx.lock`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// A file that appears under its final name only when it is complete.
///
/// The bytes go to `NAME.partial` in the same folder; [`commit`](Self::commit) syncs and renames. Dropped without
/// commit, the partial file is removed.
#[derive(Debug)]
pub struct Replacement {
    file: Option<File>,
    partial: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Starts a replacement of `path`. The caller holds the [`WriteLock`] of `path`.
    pub fn new(path: &Path) -> Result<Self> {
        let partial = with_suffix(path, ".partial");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&partial)
            .map_err(Error::io(&partial, "creating"))?;
        Ok(Self { file: Some(file), partial, path: path.to_owned() })
    }

    /// The file being written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_mut().expect("the file is there until commit consumes self")
    }

    /// Where the bytes are now, for messages.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Syncs the bytes, gives the file its final name, syncs the folder and returns the name.
    pub fn commit(mut self) -> Result<PathBuf> {
        let mut file = self.file.take().expect("commit is called once, it consumes self");
        let done = (|| {
            file.flush().map_err(Error::io(&self.partial, "writing"))?;
            file.sync_all().map_err(Error::io(&self.partial, "syncing"))?;
            drop(file);
            std::fs::rename(&self.partial, &self.path).map_err(Error::io(&self.path, "renaming to it"))?;
            sync_folder_of(&self.path)
        })();
        if done.is_err() {
            let _ = std::fs::remove_file(&self.partial);
        }
        done.map(|()| std::mem::take(&mut self.path))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Makes a rename in the folder of `path` survive a power cut.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder, "syncing the folder"))?;
    }
    Ok(())
}

/// Held by the one process that may write `path`; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct WriteLock {
    _file: File,
    lock: PathBuf,
}

impl WriteLock {
    /// Takes the lock `NAME.lock`, or fails at once with [`Error::Locked`].
    pub fn take(path: &Path) -> Result<Self> {
        let lock = with_suffix(path, ".lock");
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&lock)
                .map_err(Error::io(&lock, "creating the lock"))?;
            match file.try_lock() {
                // Its last holder may have removed the file between our opening and locking it.
                Ok(()) if is_at(&file, &lock) => return Ok(Self { _file: file, lock }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: path.to_owned(), lock }),
                Err(TryLockError::Error(e)) => return Err(Error::io(&lock, "locking")(e)),
            }
        }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Removed while the lock is still held, so nobody else can hold the file that goes.
        let _ = std::fs::remove_file(&self.lock);
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("thrifty-files-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn replaced_whole_or_not_at_all() {
        let dir = folder("replace");
        let path = dir.join("a.bin");
        std::fs::write(&path, b"old").unwrap();
        let mut r = Replacement::new(&path).unwrap();
        r.file().write_all(b"half").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(r);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "the partial file is gone");
        let mut r = Replacement::new(&path).unwrap();
        r.file().write_all(b"new").unwrap();
        r.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn one_writer() {
        let dir = folder("lock");
        let path = dir.join("a.bin");
        let first = WriteLock::take(&path).unwrap();
        assert!(matches!(WriteLock::take(&path), Err(Error::Locked { .. })));
        drop(first);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "no lock file stays behind");
        WriteLock::take(&path).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}
