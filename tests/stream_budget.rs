//! A stream's `try_*` in numbers: accesses to shared memory, allocations, system calls.
//!
//! A copy of bytes counts as one access, two where it passes the ring's end.
#![allow(unsafe_code)]

mod streams;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use annulus::hooks::count;
use annulus::stream::{Receiver, Ring, Sender};
use annulus::{TryRecvError, TrySendError};
use streams::site::{PLACES, SHARED, Site, open, until};
use support::{Family, Role};

support::roles! { makes_no_call, makes_a_call }

/// Counts what its thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: I5: no shared memory here; all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: I5: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: I5: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const CAPACITIES: [u64; 3] = [16, 256, 4096];

/// Runs `test` on streams of all kinds and some capacities.
fn everywhere(test: impl Fn(Sender, Receiver, usize)) {
    for place in PLACES {
        for capacity in CAPACITIES {
            let site = Site::new(place, &Ring::options().capacity(capacity));
            let (sender, receiver) = (site.one.sender().unwrap(), site.other.receiver().unwrap());
            test(sender, receiver, capacity as usize);
        }
    }
}

#[test]
fn a_send_that_fits_in_one_piece_takes_four_accesses() {
    everywhere(|mut sender, mut receiver, capacity| {
        let piece = vec![7; capacity / 4];
        for _ in 0..4 {
            // The receiver's seat, the bytes, the tail, the flag of a sleeper.
            assert_eq!(count(|| sender.try_send(&piece).unwrap()), (piece.len(), 4));
        }
        // The seat, the head, the seat again.
        assert_eq!(count(|| sender.try_send(&piece)), (Err(TrySendError::Full(())), 3));
        receiver.try_recv(&mut vec![0; capacity / 2]).unwrap();
        // The head too.
        assert_eq!(count(|| sender.try_send(&piece[..3]).unwrap()), (3, 5));
        // What passes the end: from 3 on to the last but one, then over it.
        receiver.try_recv(&mut vec![0; capacity]).unwrap();
        let rest = vec![1; capacity - 4];
        sender.try_send(&rest).unwrap();
        receiver.try_recv(&mut vec![0; capacity]).unwrap();
        let (sent, accesses) = count(|| sender.try_send(b"ab").unwrap());
        assert_eq!((sent, accesses), (2, 4 + 1), "two copies");
        drop(receiver);
        // The seat says so.
        assert_eq!(count(|| sender.try_send(&piece)), (Err(TrySendError::Closed(())), 1));
    });
}

#[test]
fn a_receive_in_one_piece_takes_four_accesses_and_three_where_bytes_are_known_of() {
    everywhere(|mut sender, mut receiver, capacity| {
        sender.try_send(&vec![7; capacity]).unwrap();
        let mut out = vec![0; capacity / 4];
        // The tail, the bytes, the head, the flag of a sleeper.
        assert_eq!(count(|| receiver.try_recv(&mut out).unwrap()), (out.len(), 4));
        for _ in 0..3 {
            assert_eq!(count(|| receiver.try_recv(&mut out).unwrap()), (out.len(), 3));
        }
        // The tail, the sender's seat.
        assert_eq!(count(|| receiver.try_recv(&mut out)), (Err(TryRecvError::Empty), 2));
        sender.try_send(b"ab").unwrap();
        // The tail once more: is there enough for all of `out`? And for its rest?
        assert_eq!(count(|| receiver.try_recv(&mut out[..4]).unwrap()), (2, 6));
        drop(sender);
        // The tail, the seat, the tail again.
        assert_eq!(count(|| receiver.try_recv(&mut out)), (Err(TryRecvError::Closed), 3));
    });
}

#[test]
fn long_ones_take_three_accesses_a_quarter_of_the_ring() {
    everywhere(|mut sender, mut receiver, capacity| {
        let all = vec![7; capacity];
        // The seat; four pieces.
        assert_eq!(count(|| sender.try_send(&all).unwrap()), (capacity, 1 + 4 * 3));
        let mut out = all.clone();
        // The tail; four pieces.
        assert_eq!(count(|| receiver.try_recv(&mut out).unwrap()), (capacity, 1 + 4 * 3));
        // Three times what there is room for: the head at each look for more.
        let more = vec![7; 3 * capacity];
        let (sent, accesses) = count(|| sender.try_send(&more).unwrap());
        assert_eq!((sent, accesses), (capacity, 1 + 1 + 4 * (3 + 1) + 1));
    });
}

#[test]
fn writing_and_reading_in_place_takes_an_access_a_copy_and_two_to_end() {
    everywhere(|mut sender, mut receiver, capacity| {
        // The seat.
        let (mut place, reserving) = count(|| sender.try_reserve(capacity / 2).unwrap());
        assert_eq!(reserving, 1);
        assert_eq!(count(|| place.append(b"abc")), (3, 1));
        assert_eq!(count(|| place.append(b"de")), (2, 1));
        // The tail, the flag.
        assert_eq!(count(|| place.commit()), (5, 2));
        assert_eq!(count(|| drop(sender.try_reserve(1).unwrap())), ((), 1));
        // The tail.
        let (guard, exposing) = count(|| receiver.try_recv_ref().unwrap());
        assert_eq!((guard.len(), exposing), (5, 1));
        assert_eq!(count(|| guard.read_at(1, &mut [0; 3])), (3, 1));
        // The head, the flag; nothing for none.
        assert_eq!(count(|| guard.release_first(2)), ((), 2));
        let guard = receiver.try_recv_ref().unwrap();
        assert_eq!(count(|| guard.release_first(0)), ((), 0));
    });
}

#[test]
fn filling_and_draining_take_one_system_call_as_a_copy() {
    everywhere(|mut sender, mut receiver, capacity| {
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let null = std::fs::File::create("/dev/null").unwrap();
        let half = capacity / 2;
        // The seat, `readv`, the tail, the flag.
        assert_eq!(count(|| sender.fill_from(&zero, half).unwrap()), (half, 4));
        // The tail, `writev`, the head, the flag.
        assert_eq!(count(|| receiver.drain_to(&null, half).unwrap()), (half, 4));
    });
}

#[test]
fn coming_to_a_stream_and_going_takes_a_fixed_number() {
    for place in PLACES {
        // On the heap the seat's lock is a word too.
        let lock = u64::from(place == streams::site::Place::Heap);
        for capacity in CAPACITIES {
            let site = Site::new(place, &Ring::options().capacity(capacity));
            // The seat: state, pid, state. The head, the tail, the flag.
            let (mut sender, coming) = count(|| site.one.sender().unwrap());
            assert_eq!(coming, lock + 3 + 3);
            sender.try_send(&vec![1; capacity as usize]).unwrap();
            // No walk: the head, the flag.
            let (receiver, coming) = count(|| site.other.receiver().unwrap());
            assert_eq!(coming, lock + 3 + 2);
            // The state, the flag; then the seat and the head.
            assert_eq!(count(|| sender.finish()).1, 2 + 2);
            assert_eq!(count(|| drop(receiver)), ((), 2));
        }
    }
}

/// Everything that does not wait, some laps of it.
fn every_try(sender: &mut Sender, receiver: &mut Receiver, bytes: &[u8], out: &mut [u8]) {
    for lap in 0..200 {
        let len = bytes.len() - lap % 7;
        let _ = sender.try_send(&bytes[..len]);
        let _ = sender.try_send(bytes);
        let _ = receiver.try_recv(&mut out[..len / 3]);
        if let Ok(mut place) = sender.try_reserve(5) {
            place.append(b"abc");
            place.commit();
        }
        let _ = sender.try_reserve(len).is_ok();
        if let Ok(guard) = receiver.try_recv_ref() {
            guard.read_at(1, out);
            guard.release_first(1);
        }
        let _ = receiver.try_recv(out);
        let _ = receiver.try_recv(out);
    }
    let _ = (sender.position(), receiver.position());
}

#[test]
fn a_streams_tries_allocate_nothing() {
    everywhere(|mut sender, mut receiver, capacity| {
        let (bytes, mut out) = (vec![7; capacity + 9], vec![0; capacity]);
        every_try(&mut sender, &mut receiver, &bytes, &mut out);
        let before = ALLOCATIONS.get();
        every_try(&mut sender, &mut receiver, &bytes, &mut out);
        assert_eq!(ALLOCATIONS.get() - before, 0);
        drop(vec![0_u8; 99]);
        assert_eq!(ALLOCATIONS.get() - before, 1, "they are counted");
    });
}

/// From now on this thread may make no system call, or the process is killed.
fn forbid_system_calls() -> bool {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // Every call: kill the process.
    let kill = libc::BPF_RET | libc::BPF_K;
    let mut filter = [statement(kill, libc::SECCOMP_RET_KILL_PROCESS)];
    let program = libc::sock_fprog { len: 1, filter: filter.as_mut_ptr() };
    // SAFETY: I5: no memory of ours is touched.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return false;
    }
    // SAFETY: I5: reads the program, which lives.
    let made = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
    };
    made == 0
}

static STAGE: AtomicBool = AtomicBool::new(false);
static WITHOUT: AtomicBool = AtomicBool::new(false);

/// Runs `call` on a thread that may make no system call, and says how it went. The thread
/// can't end, which is a call too: it spins until the process does.
fn alone(role: &mut Role, call: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        if !forbid_system_calls() {
            WITHOUT.store(true, Ordering::Relaxed);
            return;
        }
        call();
        STAGE.store(true, Ordering::Relaxed);
        loop {
            std::hint::spin_loop();
        }
    });
    until("done", || STAGE.load(Ordering::Relaxed) || WITHOUT.load(Ordering::Relaxed));
    role.say(if WITHOUT.load(Ordering::Relaxed) { "no filter" } else { "done" });
    // With the thread.
    std::process::exit(0);
}

fn makes_no_call(role: &mut Role) {
    let ring = open(role, &Ring::options());
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let (bytes, mut out) = (vec![7; 300], vec![0; 300]);
    every_try(&mut sender, &mut receiver, &bytes, &mut out);
    alone(role, move || {
        every_try(&mut sender, &mut receiver, &bytes, &mut out);
        // To the end of the process: dropping them would make calls.
        std::mem::forget((sender, receiver, bytes, out));
    });
}

fn makes_a_call(role: &mut Role) {
    let ring = open(role, &Ring::options());
    let sender = ring.sender().unwrap();
    alone(role, move || {
        let _ = sender.peer();
    });
}

#[test]
fn a_streams_tries_make_no_system_call() {
    let family = Family::new();
    for place in SHARED {
        let site = Site::new(place, &Ring::options().capacity(256));
        let mut child = site.pass(family.child(makes_no_call)).spawn();
        let heard = child.hear();
        child.wait_ok();
        if heard != "done" {
            support::skip!("{heard}");
        }
        // A call would have been noticed.
        let site = Site::new(place, &Ring::options().capacity(256));
        let _receiver = site.one.receiver().unwrap();
        let mut child = site.pass(family.child(makes_a_call)).spawn();
        child.wait_signalled(nix::sys::signal::Signal::SIGSYS);
    }
}
