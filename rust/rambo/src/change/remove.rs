//! Taking documents out.

use std::path::Path;
use std::sync::Arc;

use thrifty_base::container::Target;
use thrifty_base::files::WriteLock;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;

use super::SideBySide;
use crate::index::Index;
use crate::{Error, Result};

/// Takes documents out of the index at `path`: queries find them no more. Their bits stay, as Bloom filters can't forget,
/// and so does the rate of false positives; building anew gets rid of them.
pub fn remove(path: &Path, names: &[String], threads: usize, progress: &Progress) -> Result<Index> {
    let _lock = WriteLock::take(path)?;
    let base = Arc::new(Index::open(path, Mode::Map)?);
    let mut draft = base.draft();
    {
        let ids = base.ids_by_name();
        for name in names {
            let id = ids.get(name.as_str()).ok_or_else(|| Error::UnknownDocument { name: name.clone() })?;
            draft.removed.push(base.place_in_file(*id));
        }
    }
    draft.removed.sort_unstable();
    draft.removed.dedup();
    let sources = (0..base.segments().len()).map(|s| vec![(base.clone(), s)]).collect();
    draft.save(&Target::File(path.to_owned()), &SideBySide { sources }, threads, Mode::Map, progress)
}
