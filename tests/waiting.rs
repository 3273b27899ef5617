//! Blocked calls: woken by the other side, by a deadline, by a cancellation; for every
//! way to sleep, on every kind of segment.

mod ground;
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Options, RecvError, SendError, WaitMethod};

use ground::{Ground, KINDS, Kind, LONG};

/// A slice that no test outlasts: only a wake-up ends a sleep.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Long enough for a thread that was told to go to be asleep.
const SETTLED: Duration = Duration::from_millis(15);

/// Long enough to be told from nothing.
const SHORT: Duration = Duration::from_millis(20);

/// A ring of two slots, with what it needs to live.
struct Case {
    ring: Ring<u64>,
    ground: Option<Ground>,
    method: WaitMethod,
}

impl Case {
    fn ends(&self) -> (Sender<u64>, Receiver<u64>) {
        (self.ring.sender().unwrap(), self.ring.receiver().unwrap())
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if let (Some(ground), WaitMethod::Semaphore) = (&self.ground, self.method) {
            annulus::unlink(ground.address()).unwrap();
        }
    }
}

/// Every method on every kind of segment that has it, with both forms of the barrier.
fn cases(options: &Options<Ring<u64>>) -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [WaitMethod::Futex, WaitMethod::Semaphore, WaitMethod::Spin] {
        for fenced in [false, true] {
            let options = options.clone().capacity(2).wait_method(method).fenced(fenced);
            for kind in KINDS {
                if (method, kind) != (WaitMethod::Semaphore, Kind::Memfd) {
                    let (ground, ring) = Ground::new(kind, &options);
                    cases.push(Case { ring, ground: Some(ground), method });
                }
            }
            if method != WaitMethod::Semaphore {
                let ring = Ring::from(options.create_heap().unwrap());
                cases.push(Case { ring, ground: None, method });
            }
        }
    }
    cases
}

fn sleepers() -> Options<Ring<u64>> {
    Ring::options().slice(FOR_EVER)
}

#[test]
fn a_blocked_receive_is_woken_by_a_send() {
    for case in cases(&sleepers()) {
        let (mut sender, mut receiver) = case.ends();
        let (say, told) = mpsc::channel();
        let receiving = thread::spawn(move || {
            let got = receiver.recv_timeout(LONG);
            say.send(()).unwrap();
            let exposed = receiver.recv_ref_timeout(LONG).map(|guard| guard.read());
            say.send(()).unwrap();
            let mut many = [0; 8];
            let count = receiver.recv_many(&mut many);
            (got, exposed, count.map(|count| many[..count].to_vec()))
        });
        thread::sleep(SETTLED);
        sender.send(1).unwrap();
        told.recv().unwrap();
        thread::sleep(SETTLED);
        let mut slot = sender.reserve().unwrap();
        slot.write(&2);
        slot.commit();
        told.recv().unwrap();
        thread::sleep(SETTLED);
        sender.send_many(&[3]).unwrap();
        assert_eq!(receiving.join().unwrap(), (Ok(1), Ok(2), Ok(vec![3])));
        assert_eq!(sender.rescues(), 0);
    }
}

#[test]
fn a_blocked_send_is_woken_by_a_receive() {
    for case in cases(&sleepers()) {
        let (mut sender, mut receiver) = case.ends();
        sender.send_many(&[0, 1]).unwrap();
        let (say, told) = mpsc::channel();
        let sending = thread::spawn(move || {
            sender.send_timeout(2, LONG).unwrap();
            say.send(()).unwrap();
            let mut slot = sender.reserve_timeout(LONG).unwrap();
            slot.write(&3);
            slot.commit();
            say.send(()).unwrap();
            sender.send_many(&[4, 5, 6, 7]).unwrap();
            sender
        });
        thread::sleep(SETTLED);
        assert_eq!(receiver.recv(), Ok(0));
        told.recv().unwrap();
        thread::sleep(SETTLED);
        receiver.recv_ref().unwrap().release();
        told.recv().unwrap();
        thread::sleep(SETTLED);
        let mut out = [0; 2];
        for expected in [[2, 3], [4, 5], [6, 7]] {
            let count = receiver.recv_many(&mut out).unwrap();
            if count == 1 {
                out[1] = receiver.recv_timeout(LONG).unwrap();
            }
            assert_eq!(out, expected);
        }
        let sender = sending.join().unwrap();
        assert_eq!((sender.rescues(), receiver.rescues()), (0, 0));
    }
}

#[test]
fn a_receiver_asleep_is_woken_when_the_sender_leaves_and_the_other_way_round() {
    for case in cases(&sleepers()) {
        let (mut sender, mut receiver) = case.ends();
        sender.send_many(&[0, 1]).unwrap();
        let sending = thread::spawn(move || (sender.send_timeout(2, LONG), sender));
        thread::sleep(SETTLED);
        drop(receiver);
        let (sent, sender) = sending.join().unwrap();
        assert_eq!(sent, Err(SendError::Closed(2)));
        receiver = case.ring.receiver().unwrap();
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(1)));
        let receiving = thread::spawn(move || receiver.recv_timeout(LONG));
        thread::sleep(SETTLED);
        drop(sender);
        assert_eq!(receiving.join().unwrap(), Err(RecvError::Closed));
    }
}

#[test]
fn timeouts_and_deadlines_end_a_wait_not_before_their_time() {
    for slice in [FOR_EVER, Duration::from_millis(2)] {
        for case in cases(&sleepers().slice(slice)) {
            let (mut sender, mut receiver) = case.ends();
            let timed = |call: &mut dyn FnMut()| {
                let start = Instant::now();
                call();
                let waited = start.elapsed();
                assert!(waited >= SHORT && waited < LONG, "{waited:?}");
            };
            let timeout = Err(RecvError::Timeout);
            timed(&mut || assert_eq!(receiver.recv_timeout(SHORT), timeout));
            timed(&mut || assert_eq!(receiver.recv_deadline(Instant::now() + SHORT), timeout));
            timed(&mut || {
                assert_eq!(receiver.recv_ref_timeout(SHORT).err(), Some(RecvError::Timeout));
            });
            sender.send_many(&[0, 1]).unwrap();
            let timeout = Err(SendError::Timeout(2));
            timed(&mut || assert_eq!(sender.send_timeout(2, SHORT), timeout));
            timed(&mut || assert_eq!(sender.send_deadline(2, Instant::now() + SHORT), timeout));
            timed(&mut || {
                assert_eq!(sender.reserve_timeout(SHORT).err(), Some(SendError::Timeout(())));
            });
        }
    }
}

#[test]
fn a_deadline_that_has_passed_ends_a_wait_at_once_and_never_is_never() {
    let before = Instant::now();
    for case in cases(&sleepers()) {
        let (mut sender, mut receiver) = case.ends();
        assert_eq!(receiver.recv_deadline(before), Err(RecvError::Timeout));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvError::Timeout));
        sender.send_many(&[0, 1]).unwrap();
        assert_eq!(sender.send_deadline(2, before), Err(SendError::Timeout(2)));
        // What is ready is had whatever the time is.
        assert_eq!(receiver.recv_deadline(before), Ok(0));
        assert_eq!(sender.send_timeout(2, Duration::ZERO), Ok(()));
        let sending = thread::spawn(move || sender.send_timeout(3, Duration::MAX));
        thread::sleep(SETTLED);
        assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(1));
        assert_eq!(sending.join().unwrap(), Ok(()));
    }
}

#[test]
fn a_cancellation_ends_one_blocked_call() {
    for case in cases(&sleepers()) {
        let (mut sender, mut receiver) = case.ends();
        let cancel = receiver.cancel_handle();
        let receiving = thread::spawn(move || {
            let ended = (receiver.recv(), receiver.recv_timeout(SHORT));
            (ended, receiver)
        });
        thread::sleep(SETTLED);
        cancel.clone().cancel();
        let (ended, mut receiver) = receiving.join().unwrap();
        assert_eq!(ended, (Err(RecvError::Cancelled), Err(RecvError::Timeout)));

        sender.send_many(&[0, 1]).unwrap();
        for blocked in 0..3 {
            let cancel = sender.cancel_handle();
            let sending = thread::spawn(move || {
                let ended = match blocked {
                    0 => sender.send(2).unwrap_err() == SendError::Cancelled(2),
                    1 => sender.reserve().err() == Some(SendError::Cancelled(())),
                    _ => {
                        let failed = sender.send_many(&[2, 3]).unwrap_err();
                        (failed.sent, failed.reason) == (0, SendError::Cancelled(()))
                    }
                };
                (ended, sender)
            });
            thread::sleep(SETTLED);
            cancel.cancel();
            let cancelled;
            (cancelled, sender) = sending.join().unwrap();
            assert!(cancelled);
        }
        // Nothing was sent by them, and the ring goes on.
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(1)));
        sender.send(2).unwrap();
        assert_eq!(receiver.recv(), Ok(2));
    }
}

#[test]
fn a_cancellation_beforehand_ends_the_next_call_that_would_block_and_no_other() {
    for case in cases(&sleepers()) {
        let (mut sender, mut receiver) = case.ends();
        let cancel = receiver.cancel_handle();
        cancel.cancel();
        cancel.cancel();
        // This one does not block.
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(RecvError::Cancelled));
        assert_eq!(receiver.recv_timeout(SHORT), Err(RecvError::Timeout), "two at once are one");
        cancel.cancel();
        assert_eq!(receiver.recv_ref().err(), Some(RecvError::Cancelled));
        // The sender's waits are its own.
        receiver.cancel_handle().cancel();
        sender.send_many(&[2, 3]).unwrap();
        assert_eq!(sender.send_timeout(4, SHORT), Err(SendError::Timeout(4)));
    }
}

#[test]
fn cancellations_race_with_wake_ups_and_neither_is_lost() {
    let options = sleepers().spin(Duration::ZERO).yielding(Duration::ZERO);
    for case in cases(&options) {
        let (mut sender, mut receiver) = case.ends();
        let (cancel, rounds) = (receiver.cancel_handle(), 300);
        let receiving = thread::spawn(move || {
            let (mut got, mut cancelled) = (0, 0);
            while got < rounds {
                match receiver.recv_timeout(LONG) {
                    Ok(message) => {
                        assert_eq!(message, got);
                        got += 1;
                    }
                    Err(RecvError::Cancelled) => cancelled += 1,
                    other => panic!("{other:?}"),
                }
            }
            cancelled
        });
        let cancelling = thread::spawn(move || (0..rounds).for_each(|_| cancel.cancel()));
        for message in 0..rounds {
            sender.send_timeout(message, LONG).unwrap();
        }
        cancelling.join().unwrap();
        let cancelled = receiving.join().unwrap();
        assert!(cancelled <= rounds, "{cancelled} of {rounds} cancellations came");
    }
}
