//! One who opens a ring, takes seats, works, and is killed with something in hand.

use std::time::Duration;

use annulus_prove::fleet::Random;
use annulus_prove::rings::{Receiver, Ring, Sender};
use nix::sys::signal::{Signal, raise};

const WAIT: Duration = Duration::from_millis(1);

/// This process's end.
fn die() -> ! {
    let _ = raise(Signal::SIGKILL);
    unreachable!("a killed process")
}

/// Lives, and is killed.
pub fn live(ring: &Ring, mut random: Random) {
    let random = &mut random;
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..random.below(4) {
        // What is refused is somebody's, for a moment or for good.
        senders.extend(ring.sender());
        receivers.extend(ring.receiver());
    }
    if random.once_in(3) {
        receivers.pop();
    }
    for _ in 0..random.below(12) {
        if let Some(sender) = senders.first_mut() {
            let _ = sender.try_send(random.next());
        }
        if let Some(receiver) = receivers.first_mut()
            && random.once_in(2)
        {
            let _ = receiver.try_recv();
        }
    }
    match random.below(6) {
        0 => hold_message(receivers.first_mut()),
        1 => hold_room(senders.first_mut()),
        2 => {
            // In a sleep, or just out of it.
            if let Some(receiver) = receivers.first_mut() {
                let _ = receiver.recv(WAIT);
            }
        }
        3 => {
            // In order, and then killed all the same.
            drop((senders, receivers));
            die();
        }
        _ => {}
    }
    die()
}

/// Dies with a message in hand.
fn hold_message(receiver: Option<&mut Receiver>) {
    match receiver {
        Some(Receiver::Spsc(receiver)) => {
            let _guard = receiver.try_recv_ref();
            die()
        }
        Some(Receiver::Stream(receiver)) => {
            let _guard = receiver.try_recv_ref();
            die()
        }
        Some(Receiver::Mpmc(receiver)) => {
            let _guard = receiver.try_recv_ref();
            die()
        }
        Some(Receiver::Frames(receiver)) => {
            let _frame = receiver.try_recv();
            die()
        }
        _ => {}
    }
}

/// Dies with room in hand.
fn hold_room(sender: Option<&mut Sender>) {
    match sender {
        Some(Sender::Spsc(sender)) => {
            let _slot = sender.try_reserve();
            die()
        }
        Some(Sender::Stream(sender)) => {
            let _bytes = sender.try_reserve(8);
            die()
        }
        Some(Sender::Mpmc(sender)) => {
            let _slot = sender.try_reserve();
            die()
        }
        Some(Sender::Frames(sender)) => {
            let _frame = sender.try_take();
            die()
        }
        _ => {}
    }
}
