//! Rows whose weights changed since they were hashed, in the order in which they changed.

use std::collections::VecDeque;

/// Rows that wait to be hashed again, each once.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: VecDeque<u32>,
    /// For each row the step after which it waits; 0 for rows that do not.
    since: Vec<u32>,
}

impl Queue {
    /// A queue for `rows` rows.
    pub fn new(rows: usize) -> Self {
        Self { waiting: VecDeque::new(), since: vec![0; rows] }
    }

    /// A row changed in a step (from 1).
    pub fn push(&mut self, row: u32, step: u64) {
        let since = &mut self.since[row as usize];
        if *since == 0 {
            *since = step as u32;
            self.waiting.push_back(row);
        }
    }

    /// The rows that wait longest, at most `most`; they no longer wait.
    pub fn take(&mut self, most: usize) -> Vec<u32> {
        let rows: Vec<u32> = self.waiting.drain(..most.min(self.waiting.len())).collect();
        rows.iter().for_each(|&row| self.since[row as usize] = 0);
        rows
    }

    /// Nothing waits any more.
    pub fn clear(&mut self) {
        self.take(usize::MAX);
    }

    /// Rows that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The row that waits longest, and the step since which it does.
    pub fn oldest(&self) -> Option<(u32, u64)> {
        self.waiting.front().map(|&row| (row, u64::from(self.since[row as usize])))
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        4 * (self.waiting.capacity() + self.since.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_once_and_in_order() {
        let mut queue = Queue::new(10);
        assert!(queue.is_empty() && queue.oldest().is_none());
        for (row, step) in [(3, 1), (5, 1), (3, 2), (7, 2)] {
            queue.push(row, step);
        }
        assert_eq!((queue.len(), queue.oldest()), (3, Some((3, 1))));
        assert_eq!(queue.take(2), [3, 5]);
        queue.push(3, 4);
        assert_eq!(queue.oldest(), Some((7, 2)));
        assert_eq!(queue.take(9), [7, 3]);
        queue.push(1, 5);
        queue.clear();
        assert!(queue.is_empty());
        queue.push(1, 6);
        assert_eq!(queue.oldest(), Some((1, 6)));
    }
}
