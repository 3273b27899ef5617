//! Vyukov's bounded queue of words, in a crowd's board: what the mpmc ring is made from,
//! without claims, seats and recovery.

use std::sync::atomic::{AtomicU64, Ordering};

use super::CAPACITY;
use super::board::Board;

const TAIL: usize = 0;
const HEAD: usize = 16;
const SLOTS: usize = 32;

/// The queue.
#[derive(Clone, Copy)]
pub struct Vyukov<'a>(pub &'a Board);

impl Vyukov<'_> {
    #[inline(always)]
    fn slot(&self, position: u64) -> (&AtomicU64, &AtomicU64) {
        let at = SLOTS + 2 * (position & (CAPACITY - 1)) as usize;
        (self.0.queue(at), self.0.queue(at + 1))
    }

    /// Makes it empty, before anybody looks.
    pub fn make(&self) {
        for position in 0..CAPACITY {
            self.slot(position).0.store(position, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn take(&self, counter: usize, ready: u64) -> Option<u64> {
        let counter = self.0.queue(counter);
        loop {
            let position = counter.load(Ordering::Relaxed);
            let stamp = self.slot(position).0.load(Ordering::Acquire);
            match stamp.wrapping_sub(position + ready) as i64 {
                0 => {
                    let (done, other) = (Ordering::AcqRel, Ordering::Relaxed);
                    if counter.compare_exchange(position, position + 1, done, other).is_ok() {
                        return Some(position);
                    }
                }
                ..0 => return None,
                _ => {}
            }
        }
    }

    /// Sends, if there is room.
    #[inline(always)]
    pub fn send(&self, message: u64) -> Option<()> {
        let position = self.take(TAIL, 0)?;
        let (stamp, slot) = self.slot(position);
        slot.store(message, Ordering::Relaxed);
        stamp.store(position + 1, Ordering::Release);
        Some(())
    }

    /// Receives, if there is something.
    #[inline(always)]
    pub fn recv(&self) -> Option<u64> {
        let position = self.take(HEAD, 1)?;
        let (stamp, slot) = self.slot(position);
        let message = slot.load(Ordering::Relaxed);
        stamp.store(position + CAPACITY, Ordering::Release);
        Some(message)
    }
}
