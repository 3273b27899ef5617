//! The verbs of an spsc ring, on memory that lies.

use annulus::hooks::kill_before;
use annulus::spsc::{Receiver, Ring, Sender};
use annulus::{Payload, SendManyError, Trust};

use super::script::{Input, Place};
use super::seen::Noted;
use super::world::{World, came, lot, patient, start, time};

const CAPACITY: u64 = 4;

/// The longest byte message.
const LONGEST: usize = 16;

/// More than any call makes that waits for no time: 32 polls with a closer look each, a
/// batch of a lap, a walk over the ring.
const ACCESSES: u64 = 1_000;

type Words = [u64; 2];

/// What a message of words or of bytes does its own way.
trait Copied: Payload {
    fn send<A: Trust>(sender: &mut Sender<Self, A>, world: &World, input: &mut Input<'_>);
    fn receive<A: Trust>(receiver: &mut Receiver<Self, A>, world: &World, input: &mut Input<'_>);
}

impl Noted for SendManyError {
    fn noted(&self) {
        self.reason.noted();
    }
}

impl Copied for Words {
    fn send<A: Trust>(sender: &mut Sender<Self, A>, world: &World, input: &mut Input<'_>) {
        let many = [[7; 2]; 6];
        let some = &many[..input.below(7)];
        match input.below(5) {
            0 | 1 => drop(world.call(input, || sender.try_send([9; 2]))),
            2 => {
                let wait = time(input);
                let _ = world.call(input, || sender.send_timeout([9; 2], wait));
            }
            3 => {
                if let Ok(count) = world.call(input, || sender.try_send_many(some)) {
                    assert!(count <= some.len(), "{count} of {}", some.len());
                }
            }
            _ => {
                sender.cancel_handle().cancel();
                let said = world.call(input, || sender.send_many(some));
                assert!(said.is_ok_and(|()| true) || said.is_err_and(|it| it.sent <= some.len()));
            }
        }
    }

    fn receive<A: Trust>(receiver: &mut Receiver<Self, A>, world: &World, input: &mut Input<'_>) {
        let mut many = [[0; 2]; 6];
        let some = input.below(7);
        match input.below(5) {
            0 | 1 => drop(world.call(input, || receiver.try_recv())),
            2 => {
                let wait = time(input);
                let _ = world.call(input, || receiver.recv_timeout(wait));
            }
            3 => {
                if let Ok(count) = world.call(input, || receiver.try_recv_many(&mut many[..some])) {
                    assert!(count <= some, "{count} of {some}");
                }
            }
            _ => {
                receiver.cancel_handle().cancel();
                let some = some.max(1);
                if let Ok(count) = world.call(input, || receiver.recv_many(&mut many[..some])) {
                    assert!(count <= some, "{count} of {some}");
                }
            }
        }
    }
}

impl Copied for [u8] {
    fn send<A: Trust>(sender: &mut Sender<Self, A>, world: &World, input: &mut Input<'_>) {
        let message = &[5; LONGEST + 2][..input.below(LONGEST + 3)];
        match input.below(3) {
            0 => drop(world.call(input, || sender.try_send(message))),
            1 => {
                let wait = time(input);
                let _ = world.call(input, || sender.send_timeout(message, wait));
            }
            _ => {
                sender.cancel_handle().cancel();
                let _ = world.call(input, || sender.send(message));
            }
        }
    }

    fn receive<A: Trust>(receiver: &mut Receiver<Self, A>, world: &World, input: &mut Input<'_>) {
        let mut out = [0; LONGEST];
        let out = &mut out[..input.below(LONGEST + 1)];
        let wait = time(input);
        let (len, verb) = (out.len(), input.below(3));
        if verb == 2 {
            receiver.cancel_handle().cancel();
        }
        let said = world.call(input, || match verb {
            0 => receiver.try_recv(out).map_err(Either::Try),
            1 => receiver.recv_timeout(out, wait).map_err(Either::Wait),
            _ => receiver.recv(out).map_err(Either::Wait),
        });
        match said {
            Ok(count) => assert!(count <= len, "{count} of {len}"),
            Err(error) => error.check_needed(LONGEST),
        }
    }
}

/// Why nothing was received.
pub(super) enum Either {
    Try(annulus::TryRecvError),
    Wait(annulus::RecvError),
}

impl Either {
    /// A message that is too long for the buffer is none that is too long for the ring.
    pub(super) fn check_needed(&self, longest: usize) {
        if let Self::Try(annulus::TryRecvError::TooSmall { needed })
        | Self::Wait(annulus::RecvError::TooSmall { needed }) = self
        {
            assert!(*needed <= longest, "a message of {needed} bytes in a ring for {longest}");
        }
    }
}

impl Noted for Either {
    fn noted(&self) {
        match self {
            Self::Try(error) => error.noted(),
            Self::Wait(error) => error.noted(),
        }
    }
}

fn send<M: Copied + ?Sized, A: Trust>(
    sender: &mut Sender<M, A>,
    world: &World,
    input: &mut Input<'_>,
) {
    match input.below(8) {
        0..=3 => M::send(sender, world, input),
        4 => {
            let bytes = &[3; 20][..input.below(21)];
            let commits = input.byte() & 1 == 0;
            let _ = world.call(input, || {
                sender.try_reserve().map(|mut slot| {
                    assert!(slot.append(bytes) <= slot.capacity());
                    if commits {
                        slot.commit();
                    }
                })
            });
        }
        5 => {
            let wait = time(input);
            let _ = world.call(input, || sender.reserve_timeout(wait).map(std::mem::forget));
        }
        6 => drop(world.call(input, || sender.peer())),
        _ => {
            let wait = time(input);
            let _ = world.call(input, || sender.wait_for_peer(Some(wait)));
        }
    }
}

fn receive<M: Copied + ?Sized, A: Trust>(
    receiver: &mut Receiver<M, A>,
    world: &World,
    input: &mut Input<'_>,
) {
    match input.below(8) {
        0..=3 => M::receive(receiver, world, input),
        4 => {
            let (at, forgets) = (input.below(20), input.byte() & 1 == 0);
            let mut out = [0; 24];
            let _ = world.call(input, || {
                receiver.try_recv_ref().map(|guard| {
                    assert!(guard.len() <= LONGEST, "{} bytes", guard.len());
                    assert!(guard.read_at(at, &mut out) <= guard.len());
                    let _ = (guard.position(), guard.redelivered());
                    if forgets {
                        std::mem::forget(guard);
                    }
                })
            });
        }
        5 => {
            let wait = time(input);
            let _ = world.call(input, || receiver.recv_ref_timeout(wait).map(|it| it.release()));
        }
        6 => drop(world.call(input, || receiver.peer())),
        _ => {
            let wait = time(input);
            let _ = world.call(input, || receiver.wait_for_peer(Some(wait)));
        }
    }
}

/// The ends come and go, die and are lied to, until the program is over.
fn drive<M: Copied + ?Sized, A: Trust>(
    ring: &Ring<M, A>,
    sender: Sender<M, A>,
    place: Place,
    input: &mut Input<'_>,
) {
    let world = World::new(input, place, CAPACITY, ACCESSES);
    world.watch(sender.position());
    let (mut sender, mut receiver) = (Some(sender), ring.receiver().ok());
    while !input.is_over() {
        match input.below(16) {
            0..=6 => {
                sender = sender.or_else(|| came(&world, input, || ring.sender()));
                if let Some(sender) = &mut sender {
                    let before = sender.position();
                    send(sender, &world, input);
                    world.check_sent(before, sender.position(), CAPACITY);
                }
            }
            7..=12 => {
                receiver = receiver.or_else(|| came(&world, input, || ring.receiver()));
                if let Some(receiver) = &mut receiver {
                    receive(receiver, &world, input);
                }
            }
            13 => match input.below(4) {
                0 => world.quietly(|| drop(sender.take())),
                1 => world.quietly(|| drop(receiver.take())),
                2 => drop(came(&world, input, || ring.sender())),
                _ => drop(came(&world, input, || ring.receiver())),
            },
            14 => {
                // Killed somewhere in a verb, or in leaving.
                let before = 1 + u64::from(input.byte() % 12);
                if let Some(mut sender) = sender.take() {
                    kill_before(before, || {
                        send(&mut sender, &world, input);
                        drop(sender);
                    });
                } else if let Some(mut receiver) = receiver.take() {
                    kill_before(before, || {
                        receive(&mut receiver, &world, input);
                        drop(receiver);
                    });
                }
            }
            _ => world.scribble(input),
        }
    }
    world.quietly(|| drop((sender, receiver)));
}

fn run<M: Copied + ?Sized>(options: annulus::Options<Ring<M>>, input: &mut Input<'_>) {
    let options = patient(options.capacity(CAPACITY)).start(start(input));
    let len = options.segment_len().expect("a small one");
    if input.byte() & 1 == 0 {
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

/// Messages of words.
pub(super) fn words(bytes: &[u8]) {
    run(Ring::<Words>::options(), &mut Input::new(bytes));
}

/// Messages of bytes.
pub(super) fn bytes(bytes: &[u8]) {
    run(Ring::<[u8]>::options().max_len(LONGEST as u64), &mut Input::new(bytes));
}
