//! The verbs of a stream, on memory that lies.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::sync::OnceLock;

use annulus::hooks::kill_before;
use annulus::stream::{Receiver, Ring, Sender};
use annulus::{RecvError, SendError, Trust};

use super::script::{Input, Place};
use super::seen::Noted;
use super::world::{World, came, lot, patient, start, time};

const CAPACITY: u64 = 16;

/// The longest piece: three laps.
const LONGEST: usize = 3 * CAPACITY as usize;

/// More than any call makes that waits for no time: 32 polls with a closer look each, and
/// each byte on its own if a lie tells of one at a time.
const ACCESSES: u64 = 1_000;

/// A descriptor's errors have ours inside.
struct Of<E>(E);

fn typed<E>(error: &io::Error) -> Of<E>
where
    E: Copy + std::error::Error + Send + Sync + 'static,
{
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    Of(*inner.unwrap_or_else(|| panic!("{error}")))
}

impl<E: Noted> Noted for Of<E> {
    fn noted(&self) {
        self.0.noted();
    }
}

fn zero() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| File::open("/dev/zero").expect("there is one"))
}

fn null() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| File::create("/dev/null").expect("there is one"))
}

fn at_most<E>(said: Result<usize, E>, len: usize) {
    if let Ok(count) = said {
        assert!(count <= len, "{count} of {len}");
    }
}

fn send<A: Trust>(sender: &mut Sender<A>, world: &World, input: &mut Input<'_>) {
    let bytes = &[7; LONGEST][..input.below(LONGEST + 1)];
    let len = bytes.len();
    let cancel = |sender: &Sender<A>| sender.cancel_handle().cancel();
    match input.below(12) {
        0 | 1 => at_most(world.call(input, || sender.try_send(bytes)), len),
        2 => {
            let wait = time(input);
            at_most(world.call(input, || sender.send_timeout(bytes, wait)), len);
        }
        3 => {
            cancel(sender);
            let (one, other) = bytes.split_at(len / 2);
            let parts = [IoSlice::new(one), IoSlice::new(other)];
            let said = world.call(input, || {
                sender.write_vectored(&parts).map_err(|it| typed::<SendError<()>>(&it))
            });
            at_most(said, len);
        }
        4 => {
            cancel(sender);
            let said = world.call(input, || {
                sender.fill_from(zero(), len).map_err(|it| typed::<SendError<()>>(&it))
            });
            at_most(said, len);
        }
        5 | 6 => {
            let len = input.below(CAPACITY as usize + 1);
            let (commits, appended) = (input.byte() & 1 == 0, input.below(LONGEST));
            let _ = world.call(input, || {
                sender.try_reserve(len).map(|mut place| {
                    assert_eq!(place.capacity(), len);
                    assert!(place.append(&[3; LONGEST][..appended]) <= len);
                    if commits {
                        assert!(place.commit() <= len);
                    }
                })
            });
        }
        7 => {
            let (wait, len) = (time(input), input.below(CAPACITY as usize + 1));
            let _ = world.call(input, || sender.reserve_timeout(len, wait).map(std::mem::forget));
        }
        8 => {
            let wait = time(input);
            let _ = world.call(input, || sender.wait_until_received(Some(wait)));
        }
        9 => drop(world.call(input, || sender.peer())),
        10 => {
            cancel(sender);
            at_most(world.call(input, || sender.send(bytes)), len);
        }
        _ => {
            let wait = time(input);
            let _ = world.call(input, || sender.wait_for_peer(Some(wait)));
        }
    }
}

fn receive<A: Trust>(receiver: &mut Receiver<A>, world: &World, input: &mut Input<'_>) {
    let mut out = [0; LONGEST];
    let out = &mut out[..input.below(LONGEST + 1)];
    let len = out.len();
    let cancel = |receiver: &Receiver<A>| receiver.cancel_handle().cancel();
    match input.below(11) {
        0 | 1 => at_most(world.call(input, || receiver.try_recv(out)), len),
        2 => {
            let wait = time(input);
            at_most(world.call(input, || receiver.recv_timeout(out, wait)), len);
        }
        3 => {
            cancel(receiver);
            let (one, other) = out.split_at_mut(len / 2);
            let parts = &mut [IoSliceMut::new(one), IoSliceMut::new(other)];
            let said = world.call(input, || {
                receiver.read_vectored(parts).map_err(|it| typed::<RecvError>(&it))
            });
            at_most(said, len);
        }
        4 => {
            cancel(receiver);
            let said = world.call(input, || {
                receiver.drain_to(null(), len).map_err(|it| typed::<RecvError>(&it))
            });
            at_most(said, len);
        }
        5 | 6 => {
            let (at, some, forgets) =
                (input.below(20), input.below(20), input.byte().is_multiple_of(3));
            let _ = world.call(input, || {
                receiver.try_recv_ref().map(|guard| {
                    let len = guard.len();
                    assert!((1..=CAPACITY as usize).contains(&len), "{len} bytes");
                    assert!(guard.read_at(at, out) <= len);
                    if forgets {
                        std::mem::forget(guard);
                    } else {
                        guard.release_first(some.min(len));
                    }
                })
            });
        }
        7 => {
            let wait = time(input);
            let said = world.call(input, || receiver.recv_ref_timeout(wait).map(|it| it.len()));
            at_most(said, CAPACITY as usize);
        }
        8 => drop(world.call(input, || receiver.peer())),
        9 => {
            cancel(receiver);
            at_most(world.call(input, || receiver.recv(out)), len);
        }
        _ => {
            let wait = time(input);
            let _ = world.call(input, || receiver.wait_for_peer(Some(wait)));
        }
    }
}

/// The ends come once, die and are lied to, until the program is over.
fn drive<A: Trust>(ring: &Ring<A>, sender: Sender<A>, place: Place, input: &mut Input<'_>) {
    let world = World::new(input, place, CAPACITY, ACCESSES);
    world.watch(sender.position());
    let (mut sender, mut receiver) = (Some(sender), came(&world, input, || ring.receiver()));
    while !input.is_over() {
        match (input.below(16), &mut sender, &mut receiver) {
            (0..=6, Some(sender), _) => {
                let before = sender.position();
                send(sender, &world, input);
                world.check_sent(before, sender.position(), CAPACITY);
            }
            (7..=11, _, Some(receiver)) => {
                let before = receiver.position();
                receive(receiver, &world, input);
                world.check_received(before, receiver.position(), CAPACITY);
            }
            (12, ..) => match input.below(10) {
                0 => world.quietly(|| drop(sender.take())),
                1 => world.quietly(|| drop(receiver.take())),
                2 => {
                    if let Some(sender) = sender.take() {
                        sender.cancel_handle().cancel();
                        let _ = world.call(input, || sender.finish());
                    }
                }
                3 => {
                    if let Some(sender) = sender.take() {
                        world.quietly(|| sender.abort());
                    }
                }
                4 => {
                    if let Some(receiver) = receiver.take() {
                        world.quietly(|| receiver.abort());
                    }
                }
                5 | 6 => drop(came(&world, input, || ring.sender())),
                _ => drop(came(&world, input, || ring.receiver())),
            },
            (13, ..) => {
                let before = 1 + u64::from(input.byte() % 12);
                match (input.below(12), sender.take(), receiver.take()) {
                    (0, Some(mut dying), it) => {
                        receiver = it;
                        kill_before(before, || {
                            send(&mut dying, &world, input);
                            drop(dying);
                        });
                    }
                    (1, it, Some(mut dying)) => {
                        sender = it;
                        kill_before(before, || {
                            receive(&mut dying, &world, input);
                            drop(dying);
                        });
                    }
                    (_, one, other) => (sender, receiver) = (one, other),
                }
            }
            (14, ..) => world.scribble(input),
            // Nobody is there to call.
            _ => {}
        }
    }
    world.quietly(|| drop((sender, receiver)));
}

/// A stream of bytes.
pub(super) fn stream(bytes: &[u8]) {
    let input = &mut Input::new(bytes);
    let options = patient(Ring::options().capacity(CAPACITY)).start(start(input));
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
