//! Thread pools that survive a fork.
//!
//! rayon's global pool hangs in a forked child: the child has the pool's memory and none of its threads. Here each
//! pool is remembered with the process that started it, so a child finds none of its own and starts one.
//! The list is lock-free: a fork at any moment leaves it readable.

use std::sync::atomic::{AtomicPtr, Ordering};

use rayon::ThreadPool;

use crate::{Error, Result};

struct Node {
    pid: u32,
    threads: usize,
    pool: ThreadPool,
    next: *const Node,
}

static HEAD: AtomicPtr<Node> = AtomicPtr::new(std::ptr::null_mut());

/// How many threads work uses when nothing is said: `THRIFTY_THREADS`, else the cores this process may run on.
pub fn default_threads() -> usize {
    if let Some(n) = std::env::var("THRIFTY_THREADS").ok().and_then(|v| v.trim().parse().ok())
        && n > 0
    {
        return n;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The pool of this process with `threads` threads (0: [`default_threads`]), started at first use.
///
/// Pools live until the process ends; a process uses few different sizes.
pub fn pool(threads: usize) -> Result<&'static ThreadPool> {
    let threads = if threads == 0 { default_threads() } else { threads };
    let pid = std::process::id();
    let mut head = HEAD.load(Ordering::Acquire);
    if let Some(found) = find(head, pid, threads) {
        return Ok(found);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("thrifty-{i}"))
        .build()
        .map_err(|e| Error::Threads { threads, why: e.to_string() })?;
    let node = Box::leak(Box::new(Node { pid, threads, pool, next: head }));
    // A thread that lost the race to another one keeps its pool as well: both work, and it happens at most once each.
    while let Err(now) = HEAD.compare_exchange_weak(head, node, Ordering::AcqRel, Ordering::Acquire) {
        head = now;
        node.next = head;
    }
    Ok(&node.pool)
}

#[allow(unsafe_code)]
fn find(mut node: *const Node, pid: u32, threads: usize) -> Option<&'static ThreadPool> {
    // SAFETY: every pointer in the list comes from `Box::leak` in `pool`, was published with Release after the node was
    // complete, is never changed after that and never freed.
    while let Some(n) = unsafe { node.as_ref() } {
        if n.pid == pid && n.threads == threads {
            return Some(&n.pool);
        }
        node = n.next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_size_same_pool() {
        let (a, b, c) = (pool(2).unwrap(), pool(2).unwrap(), pool(3).unwrap());
        assert!(std::ptr::eq(a, b));
        assert!(!std::ptr::eq(a, c));
        assert_eq!(a.current_num_threads(), 2);
        assert_eq!(c.install(rayon::current_num_threads), 3);
    }

    #[test]
    fn many_threads_ask_at_once() {
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| assert_eq!(pool(5).unwrap().current_num_threads(), 5));
            }
        });
    }
}
