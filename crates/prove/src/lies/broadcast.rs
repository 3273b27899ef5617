//! The verbs of a broadcast, on memory that lies.

use annulus::broadcast::{Receiver, Ring, Sender, Start, View};
use annulus::hooks::kill_before;
use annulus::{Options, Payload};

use super::script::{Input, Place};
use super::spsc::Either;
use super::world::{World, came, lot, patient, start, time};

const CAPACITY: u64 = 4;
const SEATS: u64 = 5;

/// The longest byte message.
const LONGEST: usize = 10;

/// More than any call makes that waits for no time: 32 polls, each with two scans of all
/// seats if a lie makes it worth them; or a hundred looks at the newest.
const ACCESSES: u64 = 34 * (4 * SEATS + 8) + 100 * 8 + 64;

type Words = [u64; 2];

/// What a message of words or of bytes does its own way.
trait Copied: Payload {
    fn send(sender: &mut Sender<Self>, world: &World, input: &mut Input<'_>);
    fn receive(receiver: &mut Receiver<Self>, world: &World, input: &mut Input<'_>);
}

impl Copied for Words {
    fn send(sender: &mut Sender<Self>, world: &World, input: &mut Input<'_>) {
        let some = &[[7; 2]; 6][..input.below(7)];
        match input.below(4) {
            0 => drop(world.call(input, || sender.try_send([9; 2]))),
            1 => {
                let wait = time(input);
                let _ = world.call(input, || sender.send_timeout([9; 2], wait));
            }
            2 => {
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

    fn receive(receiver: &mut Receiver<Self>, world: &World, input: &mut Input<'_>) {
        let mut many = [[0; 2]; 6];
        let some = input.below(7);
        match input.below(5) {
            0 => drop(world.call(input, || receiver.try_recv())),
            1 => {
                receiver.cancel_handle().cancel();
                let _ = world.call(input, || receiver.recv());
            }
            2 => {
                let wait = time(input);
                let _ = world.call(input, || receiver.recv_timeout(wait));
            }
            3 => drop(world.call(input, || receiver.latest())),
            _ => {
                if let Ok(count) = world.call(input, || receiver.try_recv_many(&mut many[..some])) {
                    assert!(count <= some, "{count} of {some}");
                }
            }
        }
    }
}

impl Copied for [u8] {
    fn send(sender: &mut Sender<Self>, world: &World, input: &mut Input<'_>) {
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

    fn receive(receiver: &mut Receiver<Self>, world: &World, input: &mut Input<'_>) {
        let mut out = [0; LONGEST];
        let out = &mut out[..input.below(LONGEST + 1)];
        let (len, verb, wait) = (out.len(), input.below(4), time(input));
        if verb == 2 {
            receiver.cancel_handle().cancel();
        }
        let said = world.call(input, || match verb {
            0 => receiver.try_recv(out).map_err(Either::Try),
            1 => receiver.recv_timeout(out, wait).map_err(Either::Wait),
            2 => receiver.recv(out).map_err(Either::Wait),
            _ => receiver.latest(out).map_err(Either::Try),
        });
        match said {
            Ok(count) => assert!(count <= len, "{count} of {len}"),
            Err(error) => error.check_needed(LONGEST),
        }
    }
}

fn look<M: Payload + ?Sized>(view: View<'_, M>, at: usize) {
    assert!(view.len() <= LONGEST.max(size_of::<Words>()), "{} bytes", view.len());
    assert!(view.read_at(at, &mut [0; 24]) <= view.len());
}

fn send<M: Copied + ?Sized>(sender: &mut Sender<M>, world: &World, input: &mut Input<'_>) {
    match input.below(8) {
        0..=5 => M::send(sender, world, input),
        6 => drop(world.call(input, || sender.receivers())),
        _ => {
            let wait = time(input);
            let _ = world.call(input, || sender.wait_for_peer(Some(wait)));
        }
    }
}

fn receive<M: Copied + ?Sized>(receiver: &mut Receiver<M>, world: &World, input: &mut Input<'_>) {
    let at = input.below(24);
    match input.below(10) {
        0..=4 => M::receive(receiver, world, input),
        5 => drop(world.call(input, || receiver.try_recv_with(|view| look(view, at)))),
        6 => drop(world.call(input, || receiver.latest_with(|view| look(view, at)))),
        7 => drop(world.call(input, || receiver.skip_to_newest())),
        8 => drop(world.call(input, || receiver.peer())),
        _ => {
            let wait = time(input);
            let _ = world.call(input, || receiver.wait_for_peer(Some(wait)));
        }
    }
}

/// Where a newcomer begins.
fn begin(input: &mut Input<'_>, position: u64) -> Start {
    let byte = u64::from(input.byte());
    match byte % 4 {
        0 => Start::Newest,
        1 => Start::Oldest,
        2 => Start::Position(position.wrapping_add(byte / 4).wrapping_sub(32)),
        _ => Start::Position(input.word()),
    }
}

fn drive<M: Copied + ?Sized>(
    ring: &Ring<M>,
    sender: Sender<M>,
    place: Place,
    input: &mut Input<'_>,
) {
    let world = World::new(input, place, CAPACITY, ACCESSES);
    let first = sender.position();
    let mut sender = Some(sender);
    let mut receivers: [Option<Receiver<M>>; 2] = [ring.receiver().ok(), None];
    while !input.is_over() {
        let which = input.below(2);
        match input.below(16) {
            0..=5 => {
                sender = sender.or_else(|| came(&world, input, || ring.sender()));
                if let Some(sender) = &mut sender {
                    send(sender, &world, input);
                }
            }
            6..=12 => {
                let from = begin(input, first);
                let receiver = receivers[which].take();
                let mut receiver =
                    receiver.or_else(|| came(&world, input, || ring.receiver_from(from)));
                if let Some(receiver) = &mut receiver {
                    receive(receiver, &world, input);
                }
                receivers[which] = receiver;
            }
            13 => match input.below(4) {
                0 => world.quietly(|| drop(sender.take())),
                1 => world.quietly(|| drop(receivers[which].take())),
                2 => drop(came(&world, input, || ring.sender())),
                _ => {
                    // All seats are taken, at some time.
                    let mut all = Vec::new();
                    while let Some(receiver) = came(&world, input, || ring.receiver()) {
                        all.push(receiver);
                        assert!(all.len() < SEATS as usize, "more receivers than seats");
                    }
                    world.quietly(|| drop(all));
                }
            },
            14 => {
                let before = 1 + u64::from(input.byte() % 16);
                if which == 0
                    && let Some(mut sender) = sender.take()
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
    world.quietly(|| drop((sender, receivers)));
}

fn run<M: Copied + ?Sized>(options: Options<Ring<M>>, lossless: bool, input: &mut Input<'_>) {
    let options = options.capacity(CAPACITY).seats(SEATS).lossless(lossless);
    let options = patient(options).start(start(input));
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

/// Words, the slow are overrun.
pub(super) fn overwrite(bytes: &[u8]) {
    run(Ring::<Words>::options(), false, &mut Input::new(bytes));
}

/// Words, the slowest holds the sender back.
pub(super) fn lossless(bytes: &[u8]) {
    run(Ring::<Words>::options(), true, &mut Input::new(bytes));
}

/// Byte messages, of either sort.
pub(super) fn bytes(bytes: &[u8]) {
    let input = &mut Input::new(bytes);
    let lossless = input.byte() & 1 == 0;
    run(Ring::<[u8]>::options().max_len(LONGEST as u64), lossless, input);
}
