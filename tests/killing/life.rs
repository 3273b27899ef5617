//! One life: takes its seat, goes on with verb after verb, and waits to be killed.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use annulus::Error;
use annulus::spsc::{Receiver, Ring, Sender};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork};

use super::Random;
use super::journal::Journal;
use super::traffic::{Outcome, Traffic};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender.
    Sends,
    /// The receiver.
    Receives,
}

/// Begins a life: a forked child that ends by a kill, or tells in its journal that
/// something is wrong.
pub fn begin<M: Traffic + ?Sized>(
    side: Side,
    open: &dyn Fn() -> Ring<M>,
    notes: &Journal,
    random: Random,
) -> Pid {
    notes.clear();
    // SAFETY: the campaign has one thread besides the harness's, which waits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            set_pdeathsig(Signal::SIGKILL).unwrap();
            let lived = catch_unwind(AssertUnwindSafe(|| match side {
                Side::Sends => send(&open(), notes, random),
                Side::Receives => recv(&open(), notes, random),
            }));
            notes.failed.set(u64::from(lived.is_err()));
            // SAFETY: ends the process at once, as a forked child should.
            unsafe { libc::_exit(1) };
        }
    }
}

/// Takes a seat. The last occupant has ended, but who notes that holds its lock a moment.
fn take<T>(notes: &Journal, mut attach: impl FnMut() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match attach() {
            Err(Error::SeatTaken { .. }) if start.elapsed() < Duration::from_secs(5) => {
                notes.refusals.count();
            }
            outcome => return outcome.unwrap(),
        }
    }
}

/// Some idleness now and then, so that rings run empty and full.
fn rest(random: &mut Random) {
    if random.once_in(40) {
        std::thread::sleep(Duration::from_micros(random.below(300)));
    }
}

fn send<M: Traffic + ?Sized>(ring: &Ring<M>, notes: &Journal, mut random: Random) {
    let attach = || take(notes, || ring.sender());
    let mut sender: Sender<M> = attach();
    let start = sender.position();
    notes.start.set(start);
    notes.reached.set(start);
    notes.attached.set(1);
    loop {
        let position = sender.position();
        if M::send(&mut sender, position, &mut random, notes) == Outcome::Ended {
            notes.endings.count();
            let _ = sender.wait_for_peer(Some(Duration::from_millis(2)));
        }
        notes.reached.set(sender.position());
        if random.once_in(500) {
            let position = sender.position();
            drop(sender);
            sender = attach();
            assert_eq!(sender.position(), position, "after an orderly leave");
        }
        rest(&mut random);
    }
}

fn recv<M: Traffic + ?Sized>(ring: &Ring<M>, notes: &Journal, mut random: Random) {
    let attach = || take(notes, || ring.receiver());
    let mut receiver: Receiver<M> = attach();
    let start = receiver.position();
    let marked = (start..=start + receiver.capacity()).rev();
    let last = marked.into_iter().find(|position| receiver.is_redelivered(*position));
    notes.marked_until.set(last.map_or(0, |last| last + 1));
    notes.start.set(start);
    notes.got.set(start);
    notes.reached.set(start);
    notes.attached.set(1);
    loop {
        if M::recv(&mut receiver, &mut random, notes) == Outcome::Ended {
            notes.endings.count();
            let _ = receiver.wait_for_peer(Some(Duration::from_millis(2)));
        }
        if random.once_in(500) {
            let position = receiver.position();
            drop(receiver);
            receiver = attach();
            assert_eq!(receiver.position(), position, "after an orderly leave");
        }
        rest(&mut random);
    }
}
