//! Somebody leaves, or comes after one who died, in the midst of another's look for the dead:
//! the kernel's word is about whoever has the seat now, not about what was read there before.

mod interleaving;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::channel;
use std::time::Duration;

use annulus::hooks::kill_before;
use annulus::{broadcast, mpmc, spsc};
use interleaving::in_midst;

/// What the other one does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// Having lived there, he leaves in order.
    Leaves,
    /// He comes to the seat of one who died, if he can.
    Comes,
}

/// Of the seat that is looked at: its state, and its state when he has left who is there, if
/// anybody is: 1 live, 3 closed, 4 died. See docs/format.md.
type States = [u64; 2];

fn state(segment: &File, seat: u64) -> u64 {
    let mut byte = [0];
    segment.read_exact_at(&mut byte, 128 * (1 + seat)).unwrap();
    u64::from(byte[0])
}

/// Work that another thread does.
type Work = Box<dyn FnOnce() + Send>;

/// How a kind of ring, with one seat of each side, makes the scene.
macro_rules! looked_in_midst {
    ($name:ident, $kind:ident, $seats:expr) => {
        /// What came of it at this moment of the look; `None`: there is no such moment.
        fn $name(sends: bool, meanwhile: Meanwhile, moment: u64) -> Option<States> {
            let options = $seats($kind::Ring::<u64>::options().capacity(4));
            let one = options.create_memfd("annulus-test").unwrap();
            let fd = one.segment_fd().unwrap();
            let other = options.from_fd(fd.try_clone_to_owned().unwrap()).unwrap();
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let segment = File::open(path).unwrap();
            let comes = move || {
                let (mut sender, mut receiver) = (None, None);
                if sends {
                    sender = other.sender().ok();
                } else {
                    receiver = other.receiver().ok();
                }
                (sender, receiver)
            };
            let (mut sender, mut receiver) = comes();
            let look: Box<dyn FnOnce()> = if sends {
                let mut receiver = one.receiver().unwrap();
                Box::new(move || {
                    let _ = receiver.wait_for_peer(Some(Duration::ZERO));
                })
            } else {
                let mut sender = one.sender().unwrap();
                Box::new(move || {
                    let _ = sender.wait_for_peer(Some(Duration::ZERO));
                })
            };
            let (there, came) = channel();
            let work: Work = if meanwhile == Meanwhile::Leaves {
                Box::new(move || {
                    drop((sender, receiver));
                    there.send((None, None)).unwrap();
                })
            } else {
                let killed = kill_before(1, move || {
                    let _ = sender.as_mut().map(|it| it.try_send(0));
                    let _ = receiver.as_mut().map(|it| it.try_recv());
                });
                assert!(killed.is_none());
                Box::new(move || there.send(comes()).unwrap())
            };
            let (_, left) = in_midst(moment, look, work);
            if left.is_some() {
                return None;
            }
            let there = came.recv().unwrap();
            let seat = if sends { 0 } else { 1 };
            let before = state(&segment, seat);
            drop(there);
            Some([before, state(&segment, seat)])
        }
    };
}

looked_in_midst!(spsc_looked, spsc, |options: annulus::Options<spsc::Ring<u64>>| options);
looked_in_midst!(mpmc_looked, mpmc, |options: annulus::Options<mpmc::Ring<u64>>| options.seats(1));
looked_in_midst!(broadcast_looked, broadcast, |options: annulus::Options<broadcast::Ring<u64>>| {
    options.seats(2)
});

/// At every moment.
fn is_told_right(kind: &str, looked: fn(bool, Meanwhile, u64) -> Option<States>) {
    for sends in [false, true] {
        for meanwhile in [Meanwhile::Leaves, Meanwhile::Comes] {
            let states: Vec<_> =
                (1..).map_while(|moment| looked(sends, meanwhile, moment)).collect();
            println!("{kind}, sends: {sends}, {meanwhile:?}: {states:?}");
            // He has left in order, or he lives; or he could not come: while whoever looks
            // has the lock of the dead one's seat, nobody can.
            let right: &[States] = match meanwhile {
                Meanwhile::Leaves => &[[3, 3]],
                Meanwhile::Comes => &[[1, 3], [4, 4]],
            };
            assert!(!states.is_empty() && states.contains(&right[0]), "{states:?}");
            assert!(states.iter().all(|it| right.contains(it)), "{states:?}");
        }
    }
}

#[test]
fn who_leaves_or_comes_while_his_peer_looks_for_the_dead_has_not_died() {
    is_told_right("spsc", spsc_looked);
}

#[test]
fn who_leaves_or_comes_while_one_of_many_looks_for_the_dead_has_not_died() {
    is_told_right("mpmc", mpmc_looked);
}

#[test]
fn who_leaves_or_comes_while_one_of_a_broadcast_looks_for_the_dead_has_not_died() {
    is_told_right("broadcast", broadcast_looked);
}
