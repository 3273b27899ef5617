//! The words through which the two processes agree on what to do next.
//!
//! | line | written by | words |
//! |---|---|---|
//! | [`GO`] | this process | go, op, five arguments |
//! | [`REPLY`] | the peer | ready, done, result, interruptions, processor time |
//! | [`LEAD`], [`PEER`] | each its own | step, messages so far, state |
//! | [`END`] | whoever fails first | abort |
//! | [`TEXT`] | the peer | why it failed |
//! | from [`PROBE`] on | both | the raw probes' lines |

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::shared::Shared;

/// Distance between two words that must not share a cache line, nor a pair of them.
pub(crate) const LINE: usize = 128;
const GO: usize = 0;
const REPLY: usize = LINE;
const LEAD: usize = 2 * LINE;
const PEER: usize = 3 * LINE;
const END: usize = 4 * LINE;
const TEXT: usize = 5 * LINE;
const TEXT_WORDS: usize = 32;
const PROBE: usize = 8 * LINE;
const SIZE: usize = 4096;

/// What the peer is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Op {
    /// Leave.
    Quit,
    /// Follow a two-line round trip.
    TwoLine,
    /// Follow a one-line round trip.
    OneLine,
    /// Increment the shared counter.
    FetchAdd,
    /// Receive and check messages.
    Receive,
    /// Receive, check and answer messages.
    Echo,
    /// Receive part of a file.
    ReceiveFile,
}

impl Op {
    const ALL: [Op; 7] =
        [Op::Quit, Op::TwoLine, Op::OneLine, Op::FetchAdd, Op::Receive, Op::Echo, Op::ReceiveFile];

    fn from_word(word: u64) -> Option<Op> {
        Op::ALL.into_iter().find(|op| *op as u64 == word)
    }
}

/// One request: the operation and its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) args: [u64; 5],
}

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that started the other and keeps the time.
    Lead,
    /// The one that was started.
    Peer,
}

/// The control segment, seen from one side.
pub(crate) struct Control {
    shared: Shared,
    side: Side,
}

impl Control {
    pub(crate) fn create() -> Result<Control, Error> {
        Ok(Control { shared: Shared::create(SIZE)?, side: Side::Lead })
    }

    pub(crate) fn attach(fd: OwnedFd) -> Result<Control, Error> {
        Ok(Control { shared: Shared::attach(fd)?, side: Side::Peer })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.shared.as_fd()
    }

    /// Which of the two processes this is.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    #[inline(always)]
    fn word(&self, line: usize, index: usize) -> &AtomicU64 {
        self.shared.word(line + 8 * index)
    }

    /// A line of the raw probes.
    #[inline(always)]
    pub(crate) fn probe(&self, index: usize) -> &AtomicU64 {
        self.word(PROBE + index * LINE, 0)
    }

    /// Asks the peer for step `step`.
    pub(crate) fn ask(&self, step: u64, request: Request) {
        self.word(GO, 1).store(request.op as u64, Ordering::Relaxed);
        for (index, &arg) in request.args.iter().enumerate() {
            self.word(GO, 2 + index).store(arg, Ordering::Relaxed);
        }
        // Pairs with `asked`: whoever sees the step sees its arguments.
        self.word(GO, 0).store(step, Ordering::Release);
    }

    /// The request for step `step`, once it is there.
    pub(crate) fn asked(&self, step: u64) -> Option<Request> {
        if self.word(GO, 0).load(Ordering::Acquire) != step {
            return None;
        }
        let op = Op::from_word(self.word(GO, 1).load(Ordering::Relaxed))?;
        let args = std::array::from_fn(|index| self.word(GO, 2 + index).load(Ordering::Relaxed));
        Some(Request { op, args })
    }

    /// The peer stands at the step's starting line; it was interrupted so often so far.
    pub(crate) fn ready(&self, step: u64, interruptions: u64) {
        self.word(REPLY, 3).store(interruptions, Ordering::Relaxed);
        self.word(REPLY, 0).store(step, Ordering::Release);
    }

    pub(crate) fn is_ready(&self, step: u64) -> bool {
        self.word(REPLY, 0).load(Ordering::Acquire) == step
    }

    /// How often other programs had taken the peer's core before its last step.
    pub(crate) fn peer_interruptions(&self) -> u64 {
        self.word(REPLY, 3).load(Ordering::Relaxed)
    }

    /// The peer has done the step.
    pub(crate) fn finish(&self, step: u64, result: u64) {
        self.word(REPLY, 2).store(result, Ordering::Relaxed);
        // Pairs with `finished`.
        self.word(REPLY, 1).store(step, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn finished(&self, step: u64) -> bool {
        self.word(REPLY, 1).load(Ordering::Acquire) == step
    }

    /// What the step has cost the peer, in nanoseconds of processor time: told after
    /// its end, so that asking the kernel is no part of it.
    pub(crate) fn spend(&self, step: u64, nanos: u64) {
        self.word(REPLY, 4).store(nanos, Ordering::Relaxed);
        // Pairs with `spent`.
        self.word(REPLY, 5).store(step, Ordering::Release);
    }

    pub(crate) fn spent(&self, step: u64) -> Option<u64> {
        let told = self.word(REPLY, 5).load(Ordering::Acquire) == step;
        told.then(|| self.word(REPLY, 4).load(Ordering::Relaxed))
    }

    pub(crate) fn result(&self) -> u64 {
        self.word(REPLY, 2).load(Ordering::Relaxed)
    }

    /// Notes this side's progress for the watchdog: sole writer, read as a hint.
    #[inline(always)]
    pub(crate) fn progress(&self, step: u64, messages: u64) {
        let line = if self.side == Side::Lead { LEAD } else { PEER };
        self.word(line, 0).store(step, Ordering::Relaxed);
        self.word(line, 1).store(messages, Ordering::Relaxed);
    }

    /// Whether a step is under way, so that standing still means being stuck.
    pub(crate) fn busy(&self, busy: bool) {
        self.word(LEAD, 2).store(u64::from(busy), Ordering::Relaxed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.word(LEAD, 2).load(Ordering::Relaxed) != 0
    }

    /// Step and messages of both sides, and what was asked: the watchdog's view.
    pub(crate) fn state(&self) -> State {
        let pair = |line| [0, 1].map(|index| self.word(line, index).load(Ordering::Relaxed));
        State {
            op: Op::from_word(self.word(GO, 1).load(Ordering::Relaxed)),
            lead: pair(LEAD),
            peer: pair(PEER),
            reply: pair(REPLY),
        }
    }

    /// Tells both sides to stop.
    pub(crate) fn abort(&self) {
        self.word(END, 0).store(1, Ordering::Release);
    }

    /// An error once either side has given up: with the peer's reason if it left one.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.word(END, 0).load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        Err(match self.text() {
            text if text.is_empty() => Error::PeerGone("no reason given".into()),
            text => Error::Peer(text),
        })
    }

    /// Leaves the reason of the peer's failure, then stops both sides.
    pub(crate) fn fail(&self, reason: &str) {
        let bytes = reason.as_bytes();
        for index in 0..TEXT_WORDS {
            let mut word = [0; 8];
            let part = bytes.get(8 * index..).unwrap_or_default();
            let len = part.len().min(8);
            word[..len].copy_from_slice(&part[..len]);
            self.word(TEXT, index).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.abort();
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = (0..TEXT_WORDS)
            .flat_map(|index| self.word(TEXT, index).load(Ordering::Relaxed).to_le_bytes())
            .take_while(|&byte| byte != 0)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What the watchdog compares and prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    op: Option<Op>,
    lead: [u64; 2],
    peer: [u64; 2],
    reply: [u64; 2],
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.op.map_or("nothing".into(), |op| format!("{op:?}"));
        write!(
            f,
            "asked for {name}; this process: step {} message {}; peer: step {} message {}, \
             ready for {}, done with {}",
            self.lead[0], self.lead[1], self.peer[0], self.peer[1], self.reply[0], self.reply[1]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_reason_arrives_whole_or_cut() {
        let control = Control::create().unwrap();
        assert!(control.check().is_ok());
        control.fail("message 7: word 3 differs");
        assert!(
            matches!(control.check(), Err(Error::Peer(text)) if text == "message 7: word 3 differs")
        );
        control.fail(&"x".repeat(1000));
        assert!(matches!(control.check(), Err(Error::Peer(text)) if text == "x".repeat(256)));
    }

    #[test]
    fn a_request_is_seen_only_at_its_step() {
        let control = Control::create().unwrap();
        control.ask(3, Request { op: Op::Echo, args: [1, 2, 3, 4, 5] });
        assert!(control.asked(2).is_none());
        let request = control.asked(3).unwrap();
        assert_eq!((request.op, request.args), (Op::Echo, [1, 2, 3, 4, 5]));
    }
}
