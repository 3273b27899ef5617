//! The verbs of an mpmc ring, on memory that lies.

use annulus::hooks::kill_before;
use annulus::mpmc::{Receiver, Ring, Sender};
use annulus::{Options, Payload, Trust};

use super::script::{Input, Place};
use super::spsc::Either;
use super::world::{World, came, lot, patient, start, time};

const CAPACITY: u64 = 4;
const SEATS: u64 = 3;

/// The longest byte message.
const LONGEST: usize = 16;

/// More than any call makes that waits for next to no time: some looks, each of 1,024 runs of
/// tombs at most, each of 128 tries, each of a counter, a word, a claim and an exchange; and
/// settling every claim of every seat.
const ACCESSES: u64 = 4_000_000;

type Words = [u64; 2];

/// What a message of words or of bytes does its own way.
trait Copied: Payload {
    fn send<A: Trust>(sender: &mut Sender<Self, A>, world: &World, input: &mut Input<'_>);
    fn receive<A: Trust>(receiver: &mut Receiver<Self, A>, world: &World, input: &mut Input<'_>);
}

impl Copied for Words {
    fn send<A: Trust>(sender: &mut Sender<Self, A>, world: &World, input: &mut Input<'_>) {
        let some = &[[7; 2]; 6][..input.below(7)];
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
        let (len, verb, wait) = (out.len(), input.below(3), time(input));
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

fn send<M: Copied + ?Sized, A: Trust>(
    sender: &mut Sender<M, A>,
    world: &World,
    input: &mut Input<'_>,
) {
    match input.below(8) {
        0..=3 => M::send(sender, world, input),
        4 => {
            let bytes = &[3; 20][..input.below(21)];
            let ends = input.below(3);
            let _ = world.call(input, || {
                sender.try_reserve().map(|mut slot| {
                    assert!(slot.append(bytes) <= slot.capacity());
                    match ends {
                        0 => drop(slot.commit()),
                        1 => std::mem::forget(slot),
                        _ => {}
                    }
                })
            });
        }
        5 => {
            let wait = time(input);
            let _ = world.call(input, || sender.reserve_timeout(wait).map(std::mem::forget));
        }
        6 => sender.lose_patience(),
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
        6 => receiver.lose_patience(),
        _ => {
            let wait = time(input);
            let _ = world.call(input, || receiver.wait_for_peer(Some(wait)));
        }
    }
}

fn drive<M: Copied + ?Sized, A: Trust>(
    ring: &Ring<M, A>,
    sender: Sender<M, A>,
    place: Place,
    input: &mut Input<'_>,
) {
    let world = World::new(input, place, CAPACITY, ACCESSES);
    let mut senders: [Option<Sender<M, A>>; 2] = [Some(sender), None];
    let mut receivers: [Option<Receiver<M, A>>; 2] = [ring.receiver().ok(), None];
    while !input.is_over() {
        let which = input.below(2);
        match input.below(16) {
            0..=5 => {
                let sender = senders[which].take();
                let mut sender = sender.or_else(|| came(&world, input, || ring.sender()));
                if let Some(sender) = &mut sender {
                    send(sender, &world, input);
                }
                senders[which] = sender;
            }
            6..=11 => {
                let receiver = receivers[which].take();
                let mut receiver = receiver.or_else(|| came(&world, input, || ring.receiver()));
                if let Some(receiver) = &mut receiver {
                    receive(receiver, &world, input);
                }
                receivers[which] = receiver;
            }
            12 => match input.below(4) {
                0 => world.quietly(|| drop(senders[which].take())),
                1 => world.quietly(|| drop(receivers[which].take())),
                2 => {
                    let mut all = Vec::new();
                    while let Some(sender) = came(&world, input, || ring.sender()) {
                        all.push(sender);
                        assert!(all.len() <= SEATS as usize, "more senders than seats");
                    }
                    world.quietly(|| drop(all));
                }
                _ => {
                    let mut all = Vec::new();
                    while let Some(receiver) = came(&world, input, || ring.receiver()) {
                        all.push(receiver);
                        assert!(all.len() <= SEATS as usize, "more receivers than seats");
                    }
                    world.quietly(|| drop(all));
                }
            },
            13 | 14 => {
                let before = 1 + u64::from(input.byte() % 16);
                if input.byte() & 1 == 0
                    && let Some(mut sender) = senders[which].take()
                {
                    kill_before(before, || {
                        send(&mut sender, &world, input);
                        drop(sender);
                    });
                } else if let Some(mut receiver) = receivers[which].take() {
                    kill_before(before, || {
                        receive(&mut receiver, &world, input);
                        drop(receiver);
                    });
                }
            }
            _ => world.scribble(input),
        }
    }
    world.quietly(|| drop((senders, receivers)));
}

fn run<M: Copied + ?Sized>(options: Options<Ring<M>>, input: &mut Input<'_>) {
    let options = patient(options.capacity(CAPACITY).seats(SEATS)).start(start(input));
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

/// Messages of words.
pub(super) fn words(bytes: &[u8]) {
    run(Ring::<Words>::options(), &mut Input::new(bytes));
}

/// Messages of bytes.
pub(super) fn bytes(bytes: &[u8]) {
    run(Ring::<[u8]>::options().max_len(LONGEST as u64), &mut Input::new(bytes));
}
