//! The verbs of frames, on memory that lies.

use annulus::frames::{Frame, Received, Receiver, Ring, SendFrameError, Sender};
use annulus::hooks::kill_before;
use annulus::{SendError, Trust, TrySendError};

use super::script::{Input, Place};
use super::seen::Noted;
use super::spsc::Either;
use super::world::{World, came, lot, patient, time};

const BUFFERS: u64 = 2;
const SEATS: u64 = 3;

/// The longest frame.
const LONGEST: usize = 64;

/// More than any call makes that waits for next to no time: as of an mpmc ring, for each
/// handle that a receive passes over, which are one more than there are buffers.
pub(super) const ACCESSES: u64 = 12_000_000;

impl<A: Trust> Noted for SendFrameError<A> {
    fn noted(&self) {
        self.reason.noted();
    }
}

/// What is in hand, across calls.
struct Hands<A: Trust> {
    frames: Vec<Frame<A>>,
    received: Vec<Received<A>>,
}

fn send<A: Trust>(
    sender: &mut Sender<A>,
    hands: &mut Hands<A>,
    world: &World,
    input: &mut Input<'_>,
) {
    let wait = time(input);
    let verb = input.below(4);
    if verb == 3 {
        sender.cancel_handle().cancel();
    }
    let taken = world.call(input, || match verb {
        0 | 1 => sender.try_take().map_err(Why::Try),
        2 => sender.take_timeout(wait).map_err(Why::Wait),
        _ => sender.take().map_err(Why::Wait),
    });
    let Ok(mut frame) = taken else { return };
    let bytes = &[5; LONGEST + 9][..input.below(LONGEST + 10)];
    match input.below(4) {
        0 => world.quietly(|| drop(frame)),
        1 => hands.frames.push(frame),
        _ => {
            world.quietly(|| assert!(frame.append(bytes) <= frame.capacity()));
            sender.cancel_handle().cancel();
            if let Err(back) = world.call(input, || frame.send()) {
                world.quietly(|| drop(back));
            }
        }
    }
}

/// Why no buffer was had.
enum Why {
    Try(TrySendError<()>),
    Wait(SendError<()>),
}

impl Noted for Why {
    fn noted(&self) {
        match self {
            Self::Try(error) => error.noted(),
            Self::Wait(error) => error.noted(),
        }
    }
}

fn receive<A: Trust>(
    receiver: &mut Receiver<A>,
    hands: &mut Hands<A>,
    world: &World,
    input: &mut Input<'_>,
) {
    let (wait, verb, at) = (time(input), input.below(4), input.below(LONGEST + 8));
    if verb == 3 {
        receiver.cancel_handle().cancel();
    }
    let said = world.call(input, || match verb {
        0 | 1 => receiver.try_recv().map_err(Either::Try),
        2 => receiver.recv_timeout(wait).map_err(Either::Wait),
        _ => receiver.recv().map_err(Either::Wait),
    });
    let Ok(frame) = said else { return };
    assert!(frame.len() <= LONGEST, "{} bytes", frame.len());
    world.quietly(|| {
        assert!(frame.read_at(at, &mut [0; 80]) <= frame.len());
        assert_eq!(frame.to_vec().len(), frame.len());
    });
    match input.below(3) {
        0 => hands.received.push(frame),
        _ => world.quietly(|| drop(frame)),
    }
}

fn drive<A: Trust>(ring: &Ring<A>, sender: Sender<A>, place: Place, input: &mut Input<'_>) {
    let world = World::new(input, place, BUFFERS, ACCESSES);
    let mut senders: [Option<Sender<A>>; 2] = [Some(sender), None];
    let mut receivers: [Option<Receiver<A>>; 2] = [ring.receiver().ok(), None];
    let mut hands = Hands { frames: Vec::new(), received: Vec::new() };
    while !input.is_over() {
        let which = input.below(2);
        match input.below(16) {
            0..=5 => {
                let sender = senders[which].take();
                let mut sender = sender.or_else(|| came(&world, input, || ring.sender()));
                if let Some(sender) = &mut sender {
                    send(sender, &mut hands, &world, input);
                }
                senders[which] = sender;
            }
            6..=11 => {
                let receiver = receivers[which].take();
                let mut receiver = receiver.or_else(|| came(&world, input, || ring.receiver()));
                if let Some(receiver) = &mut receiver {
                    receive(receiver, &mut hands, &world, input);
                }
                receivers[which] = receiver;
            }
            12 => match input.below(4) {
                2 => world.quietly(|| drop(hands.frames.pop())),
                3 => world.quietly(|| drop(hands.received.pop())),
                0 => world.quietly(|| drop(senders[which].take())),
                _ => world.quietly(|| drop(receivers[which].take())),
            },
            13 | 14 => {
                let before = 1 + u64::from(input.byte() % 24);
                if input.byte() & 1 == 0
                    && let Some(mut sender) = senders[which].take()
                {
                    kill_before(before, || {
                        send(&mut sender, &mut hands, &world, input);
                        drop(sender);
                    });
                } else if let Some(mut receiver) = receivers[which].take() {
                    kill_before(before, || {
                        receive(&mut receiver, &mut hands, &world, input);
                        drop(receiver);
                    });
                }
            }
            _ => world.scribble(input),
        }
    }
    world.quietly(|| drop((senders, receivers, hands.frames, hands.received)));
}

/// Frames.
pub(super) fn frames(bytes: &[u8]) {
    let input = &mut Input::new(bytes);
    let options = Ring::options().capacity(BUFFERS).seats(SEATS).max_len(LONGEST as u64);
    let options = patient(options);
    let len = options.segment_len().expect("a small one");
    if !input.byte().is_multiple_of(4) {
        let ring = options.create_heap().expect("little memory");
        let (sender, place) = World::find(len, || ring.sender());
        drive(&ring, sender.expect("the first"), place, input);
    } else {
        let (segment, place) = lot(len as usize);
        let ring = options.create_in(segment).expect("it is zero");
        let sender = ring.sender().expect("the first");
        drive(&ring, sender, place, input);
    }
}
