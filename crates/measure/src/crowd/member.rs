//! One process of a crowd: waits for orders, works, says what came of it.

use std::os::fd::{OwnedFd, RawFd};

use nix::time::{ClockId, clock_gettime};

use super::Task;
use super::board::{Board, Outcome};
use super::work::{Hands, Work};
use crate::{Error, child, cores};

/// Works for ever, or until something fails: then it has left the reason. Whether it did.
pub(crate) fn serve(description: &str) -> bool {
    let mut parts = description.split(';');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let numbers = [number(), number(), number(), number()];
    let fds: Vec<OwnedFd> = parts
        .next()
        .unwrap_or_default()
        .split(',')
        .filter_map(|fd| fd.parse::<RawFd>().ok())
        .map(child::inherited)
        .collect();
    let [Some(me), Some(senders), Some(receivers), Some(core)] = numbers else {
        eprintln!("member of a crowd: cannot read {description:?}");
        return true;
    };
    let mut fds = fds.into_iter();
    let board = fds.next().ok_or_else(|| Error::Spec("no board".into())).and_then(Board::attach);
    let board = match board {
        Ok(board) => board,
        // Nowhere to leave the reason.
        Err(error) => {
            eprintln!("member of a crowd: {error}");
            return true;
        }
    };
    let hands = Hands { board: &board, me, senders, receivers };
    if let Err(error) = work(hands, core, fds) {
        board.fail(&error.to_string());
    }
    true
}

fn work(hands: Hands<'_>, core: usize, fds: impl Iterator<Item = OwnedFd>) -> Result<(), Error> {
    cores::pin(core)?;
    let mut work = Work::new(hands, fds)?;
    let (board, me) = (hands.board, hands.me);
    board.be_ready();
    let mut round = 0;
    loop {
        let (now, order) = board.next(round);
        round = now;
        let task = Task::from_word(order.task)
            .ok_or_else(|| Error::Spec(format!("no task {}", order.task)))?;
        if task == Task::Line && me >= 2 {
            // Not asked; but the next order may be written only when all have read this one.
            board.finish(me, round, Outcome::default());
            continue;
        }
        board.line_up(order.arrivals)?;
        let (begin, before) = (now_nanos(), cores::processor_time());
        let (sum, missed) = work.take_part(task, order.count)?;
        let end = now_nanos();
        let spent = cores::processor_time().saturating_sub(before);
        board.finish(me, round, Outcome { begin, end, sum, missed, spent });
    }
}

/// The monotonic clock, the same in all processes.
fn now_nanos() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
