//! What a victim does with each sort of ring, at either end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annulus::{CancelHandle, Options, broadcast, frames, mpmc, spsc, stream};

use crate::victim::{Victim, patient};

/// Bytes of a stream; messages of the others.
const BYTES: u64 = 4096;
const CAPACITY: u64 = 8;

/// The longest message or frame.
const LONGEST: usize = 100;

/// How often a call without a deadline is cancelled.
const CANCELS: Duration = Duration::from_millis(20);

/// Cancels the calls that have no deadline, again and again, as long as it lives.
struct Canceller {
    over: Arc<AtomicBool>,
}

impl Canceller {
    fn new(handle: CancelHandle) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(CANCELS);
                handle.cancel();
            }
        });
        Self { over }
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

pub fn stream_options() -> Options<stream::Ring> {
    patient(stream::Ring::options().capacity(BYTES))
}

pub fn spsc_options() -> Options<spsc::Ring<[u8]>> {
    patient(spsc::Ring::options().capacity(CAPACITY).max_len(LONGEST as u64))
}

pub fn mpmc_options() -> Options<mpmc::Ring<[u8]>> {
    patient(mpmc::Ring::options().capacity(CAPACITY).max_len(LONGEST as u64).seats(3))
}

pub fn broadcast_options() -> Options<broadcast::Ring<[u8]>> {
    let options = broadcast::Ring::options().capacity(CAPACITY).max_len(LONGEST as u64);
    patient(options.seats(4).lossless(true))
}

pub fn frames_options() -> Options<frames::Ring> {
    patient(frames::Ring::options().capacity(4).max_len(LONGEST as u64).seats(3))
}

macro_rules! sends_messages {
    ($victim:ident, $ring:ident, $sender:ident, $reserves:expr) => {{
        let bytes = [7; LONGEST];
        while !$victim.is_over() {
            let (time, len, verb) =
                ($victim.time(), $victim.some(LONGEST), $victim.random.below(6));
            let fine = match verb {
                0 | 1 => $victim.call(Duration::ZERO, || $sender.try_send(&bytes[..len])),
                2 | 3 => $victim.call(time, || $sender.send_timeout(&bytes[..len], time)),
                4 => $victim.call(time, || $sender.wait_for_peer(Some(time))),
                _ => $reserves(&mut $victim, &mut $sender, &bytes[..len]),
            };
            if !fine || $victim.leaves() {
                break;
            }
        }
    }};
}

macro_rules! receives_messages {
    ($victim:ident, $ring:ident, $receiver:ident, $lends:expr) => {{
        let mut out = [0; LONGEST];
        while !$victim.is_over() {
            let (time, len, verb) =
                ($victim.time(), $victim.some(LONGEST), $victim.random.below(6));
            let fine = match verb {
                0 | 1 => $victim.call(Duration::ZERO, || $receiver.try_recv(&mut out[..len])),
                2 | 3 => $victim.call(time, || $receiver.recv_timeout(&mut out, time)),
                4 => $victim.call(time, || $receiver.wait_for_peer(Some(time))),
                _ => $lends(&mut $victim, &mut $receiver),
            };
            if !fine || $victim.leaves() {
                break;
            }
        }
    }};
}

pub fn stream_sender(victim: &mut Victim) {
    let Some(ring) = victim.open(&stream_options()) else { return };
    let Some(mut sender) = victim.take(|| ring.sender()) else { return };
    let bytes = [5; 3000];
    while !victim.is_over() {
        let (time, len) = (victim.time(), 1 + victim.some(2999));
        let fine = match victim.random.below(6) {
            0 | 1 => victim.call(Duration::ZERO, || sender.try_send(&bytes[..len])),
            2 => victim.call(time, || sender.send_timeout(&bytes[..len], time)),
            3 => victim.call(time, || sender.wait_until_received(Some(time))),
            4 => victim.call(time, || sender.wait_for_peer(Some(time))),
            _ => victim.call(time, || {
                sender.reserve_timeout(len, time).map(|mut place| {
                    place.append(&bytes[..len]);
                    place.commit()
                })
            }),
        };
        if !fine {
            break;
        }
    }
    victim.leave(sender);
}

pub fn stream_receiver(victim: &mut Victim) {
    let Some(ring) = victim.open(&stream_options()) else { return };
    let Some(mut receiver) = victim.take(|| ring.receiver()) else { return };
    let mut out = [0; 3000];
    while !victim.is_over() {
        let (time, len) = (victim.time(), 1 + victim.some(2999));
        let fine = match victim.random.below(6) {
            0 | 1 => victim.call(Duration::ZERO, || receiver.try_recv(&mut out[..len])),
            2 | 3 => victim.call(time, || receiver.recv_timeout(&mut out[..len], time)),
            4 => victim.call(time, || receiver.wait_for_peer(Some(time))),
            _ => victim.call(time, || {
                receiver.recv_ref_timeout(time).map(|guard| {
                    assert!(guard.len() as u64 <= BYTES);
                    guard.read_at(0, &mut out)
                })
            }),
        };
        if !fine {
            break;
        }
    }
    victim.leave(receiver);
}

pub fn spsc_sender(mut victim: &mut Victim) {
    let Some(ring) = victim.open(&spsc_options()) else { return };
    let Some(mut sender) = victim.take(|| ring.sender()) else { return };
    let reserves = |victim: &mut &mut Victim, sender: &mut spsc::Sender<[u8]>, bytes: &[u8]| {
        victim.call(Duration::ZERO, || {
            sender.try_reserve().map(|mut slot| {
                slot.append(bytes);
                slot.commit()
            })
        })
    };
    sends_messages!(victim, ring, sender, reserves);
    victim.leave(sender);
}

pub fn spsc_receiver(mut victim: &mut Victim) {
    let Some(ring) = victim.open(&spsc_options()) else { return };
    let Some(mut receiver) = victim.take(|| ring.receiver()) else { return };
    let lends = |victim: &mut &mut Victim, receiver: &mut spsc::Receiver<[u8]>| {
        victim.call(Duration::ZERO, || {
            receiver.try_recv_ref().map(|guard| assert!(guard.to_vec().len() <= LONGEST))
        })
    };
    receives_messages!(victim, ring, receiver, lends);
    victim.leave(receiver);
}

pub fn mpmc_sender(mut victim: &mut Victim) {
    let Some(ring) = victim.open(&mpmc_options()) else { return };
    let Some(mut sender) = victim.take(|| ring.sender()) else { return };
    let reserves = |victim: &mut &mut Victim, sender: &mut mpmc::Sender<[u8]>, bytes: &[u8]| {
        victim.call(Duration::ZERO, || {
            sender.try_reserve().map(|mut slot| {
                slot.append(bytes);
                slot.commit()
            })
        })
    };
    sends_messages!(victim, ring, sender, reserves);
    victim.leave(sender);
}

pub fn mpmc_receiver(mut victim: &mut Victim) {
    let Some(ring) = victim.open(&mpmc_options()) else { return };
    let Some(mut receiver) = victim.take(|| ring.receiver()) else { return };
    let lends = |victim: &mut &mut Victim, receiver: &mut mpmc::Receiver<[u8]>| {
        victim.call(Duration::ZERO, || {
            receiver.try_recv_ref().map(|guard| assert!(guard.to_vec().len() <= LONGEST))
        })
    };
    receives_messages!(victim, ring, receiver, lends);
    victim.leave(receiver);
}

pub fn broadcast_sender(mut victim: &mut Victim) {
    let Some(ring) = victim.open(&broadcast_options()) else { return };
    let Some(mut sender) = victim.take(|| ring.sender()) else { return };
    let asks = |victim: &mut &mut Victim, sender: &mut broadcast::Sender<[u8]>, _: &[u8]| {
        victim.call(Duration::ZERO, || sender.receivers())
    };
    sends_messages!(victim, ring, sender, asks);
    victim.leave(sender);
}

pub fn broadcast_receiver(mut victim: &mut Victim) {
    let Some(ring) = victim.open(&broadcast_options()) else { return };
    let start = [broadcast::Start::Newest, broadcast::Start::Oldest][victim.some(1)];
    let Some(mut receiver) = victim.take(|| ring.receiver_from(start)) else { return };
    let looks = |victim: &mut &mut Victim, receiver: &mut broadcast::Receiver<[u8]>| {
        victim.call(Duration::ZERO, || receiver.latest_with(|view| assert!(view.len() <= LONGEST)))
    };
    receives_messages!(victim, ring, receiver, looks);
    victim.leave(receiver);
}

pub fn frames_sender(victim: &mut Victim) {
    let Some(ring) = victim.open(&frames_options()) else { return };
    let Some(mut sender) = victim.take(|| ring.sender()) else { return };
    let _canceller = Canceller::new(sender.cancel_handle());
    while !victim.is_over() {
        let (time, len) = (victim.time(), victim.some(LONGEST));
        let mut taken = None;
        if !victim.call(time, || sender.take_timeout(time).map(|it| taken = Some(it))) {
            break;
        }
        let Some(mut frame) = taken else { continue };
        frame.append(&[3; LONGEST][..len]);
        // It has no deadline, and is cancelled.
        if !victim.call(CANCELS, || frame.send().map_err(|error| error.reason)) {
            break;
        }
    }
    victim.leave(sender);
}

pub fn frames_receiver(victim: &mut Victim) {
    let Some(ring) = victim.open(&frames_options()) else { return };
    let Some(mut receiver) = victim.take(|| ring.receiver()) else { return };
    while !victim.is_over() {
        let time = victim.time();
        let fine = victim.call(time, || {
            receiver.recv_timeout(time).map(|frame| assert!(frame.to_vec().len() <= LONGEST))
        });
        if !fine {
            break;
        }
    }
    victim.leave(receiver);
}
