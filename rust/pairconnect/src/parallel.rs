//! Tasks of a call, on its threads.

use rayon::prelude::*;
use thrifty_base::pool::{default_threads, pool};

use crate::Result;

/// Does `work` for each of `tasks`; with one thread, on the calling one. Each thread has room that its tasks share.
pub(crate) fn each<T: Send, R: Default>(
    threads: usize,
    tasks: Vec<T>,
    work: impl Fn(&mut R, T) -> Result<()> + Sync + Send,
) -> Result<()> {
    let threads = if threads == 0 { default_threads() } else { threads };
    if threads == 1 || tasks.len() < 2 {
        let mut room = R::default();
        return tasks.into_iter().try_for_each(|task| work(&mut room, task));
    }
    pool(threads)?.install(|| tasks.into_par_iter().try_for_each_init(R::default, work))
}
