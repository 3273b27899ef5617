//! Several pieces of work at a time.

use std::sync::Mutex;
use std::thread;

use anyhow::Result;

/// Does each piece of work, `lanes` at a time, taken from the front. The first error is
/// told, after each lane has ended.
pub fn run<T: Send>(
    lanes: usize,
    pieces: Vec<T>,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let pieces = Mutex::new(pieces.into_iter());
    let next = || pieces.lock().expect("nobody panics with it").next();
    let lane = || {
        while let Some(piece) = next() {
            work(piece)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes.max(1)).map(|_| scope.spawn(lane)).collect();
        let ends: Vec<Result<()>> =
            lanes.into_iter().map(|lane| lane.join().expect("a lane panicked")).collect();
        ends.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use anyhow::bail;

    use super::*;

    #[test]
    fn each_piece_is_done_once_whatever_the_lanes() {
        for lanes in 0..4 {
            let sum = AtomicU64::new(0);
            let add = |piece| {
                sum.fetch_add(piece, SeqCst);
                Ok(())
            };
            run(lanes, (1..=100).collect(), add).unwrap();
            assert_eq!(sum.into_inner(), 5050);
        }
    }

    #[test]
    fn two_lanes_work_side_by_side() {
        let barrier = std::sync::Barrier::new(2);
        let meet = |()| {
            barrier.wait();
            Ok(())
        };
        run(2, vec![(), ()], meet).unwrap();
    }

    #[test]
    fn an_error_ends_its_lane_and_is_told() {
        let done = AtomicU64::new(0);
        let work = |piece| {
            if piece == 2 {
                bail!("two");
            }
            done.fetch_add(1, SeqCst);
            Ok(())
        };
        assert_eq!(run(1, vec![1, 2, 3], work).unwrap_err().to_string(), "two");
        assert_eq!(done.into_inner(), 1);
    }
}
