//! Waiting under signals, by which clock, and beside peers that are killed or stopped.
#![allow(unsafe_code)]

mod ground;
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use annulus::spsc::Ring;
use annulus::{Options, RecvError, SendError, WaitMethod};
use nix::sys::signal::Signal;

use ground::{Ground, KINDS, Kind, LONG, take, until};
use support::{Child, Family, Role};

support::roles! { weathers_storms, stays, sleeps }

const METHODS: [WaitMethod; 3] = [WaitMethod::Futex, WaitMethod::Semaphore, WaitMethod::Spin];

fn options(method: WaitMethod, slice: Duration) -> Options<Ring<u64>> {
    Ring::options().capacity(2).wait_method(method).slice(slice)
}

/// Removes what a ring of semaphores has beside it.
fn end(ground: &Ground, method: WaitMethod) {
    if method == WaitMethod::Semaphore {
        annulus::unlink(ground.address()).unwrap();
    }
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Fewer signals are no storm.
const MANY: u64 = 200;

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Handles a signal without `SA_RESTART`, so that every system call is interrupted.
fn interrupt_by(signal: libc::c_int) {
    // SAFETY: plain numbers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    // SAFETY: reads one structure; the handler counts and does nothing else.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
}

fn milliseconds(ms: i64) -> libc::timeval {
    libc::timeval { tv_sec: 0, tv_usec: ms * 1000 }
}

/// Receives, times out and sends while signals rain on the process and on the thread.
fn weathers_storms(role: &mut Role) {
    interrupt_by(libc::SIGALRM);
    interrupt_by(libc::SIGUSR1);
    let ring = ground::open(role, &Ring::<u64>::options().slice(Duration::from_millis(30)));
    let back = Ring::<u64>::options().capacity(2).create_memfd("back").unwrap();
    let (mut receiver, mut sender) = (ring.receiver().unwrap(), back.sender().unwrap());
    // SAFETY: the thread lives until the storm is over.
    let this = unsafe { libc::pthread_self() };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let every = milliseconds(1);
            let storm = libc::itimerval { it_interval: every, it_value: every };
            // SAFETY: reads one structure.
            unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const storm, std::ptr::null_mut()) };
            while !over.load(Ordering::Relaxed) {
                // SAFETY: as above: `this` outlives the scope.
                unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
                thread::sleep(Duration::from_micros(100));
            }
            let none = libc::itimerval { it_interval: milliseconds(0), it_value: milliseconds(0) };
            // SAFETY: as above.
            unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const none, std::ptr::null_mut()) };
        });
        role.say("ready");
        for message in 0..100 {
            assert_eq!(receiver.recv(), Ok(message), "signals are no news");
        }
        let (start, timeout) = (Instant::now(), Duration::from_millis(150));
        assert_eq!(receiver.recv_timeout(timeout), Err(RecvError::Timeout));
        assert!(start.elapsed() >= timeout, "not before its time");
        sender.send_many(&[0, 1]).unwrap();
        let start = Instant::now();
        assert_eq!(sender.send_timeout(2, timeout), Err(SendError::Timeout(2)));
        assert!(start.elapsed() >= timeout, "not before its time");
        // It is a storm, if it takes some time.
        let start = Instant::now();
        while SIGNALS.load(Ordering::Relaxed) <= MANY {
            assert!(start.elapsed() < LONG, "no storm");
            thread::sleep(Duration::from_millis(1));
        }
        // Still looking around, though no sleep lasts a slice.
        role.say("die");
        assert_eq!(receiver.recv(), Err(RecvError::Died));
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn storms_of_signals_never_surface() {
    let family = Family::new();
    for method in METHODS {
        let (ground, ring) = Ground::new(Kind::Shm, &options(method, LONG));
        let mut other = ground.pass(family.child(stays)).arg("sender").spawn();
        other.expect("here");
        let mut child = ground.pass(family.child(weathers_storms)).spawn();
        child.expect("ready");
        other.say("send 100");
        other.expect("sent");
        child.expect("die");
        other.kill();
        child.wait_ok();
        drop(ring);
        end(&ground, method);
    }
}

/// Takes a seat and does nothing, or sends slowly when told.
fn stays(role: &mut Role) {
    let ring = ground::open(role, &Ring::<u64>::options());
    let receives = role.argument(1) == "receiver";
    let _receiver = receives.then(|| ring.receiver().unwrap());
    let mut sender = (!receives).then(|| ring.sender().unwrap());
    role.say("here");
    loop {
        let count = role.hear().strip_prefix("send ").unwrap().parse().unwrap();
        for message in 0..count {
            thread::sleep(Duration::from_micros(700));
            sender.as_mut().unwrap().send(message).unwrap();
        }
        role.say("sent");
    }
}

/// Sleeps in one call until killed: `recv`, or `send` on a full ring.
fn sleeps(role: &mut Role) {
    let ring = ground::open(role, &Ring::<u64>::options().slice(LONG).spin(Duration::ZERO));
    role.say("here");
    if role.argument(1) == "receiver" {
        let message = ring.receiver().unwrap().recv();
        panic!("woken: {message:?}");
    }
    let mut sender = ring.sender().unwrap();
    while sender.try_send(9).is_ok() {}
    panic!("woken: {:?}", sender.send(9));
}

/// The system call and its arguments that a thread of a process sleeps in.
fn sleeping_in(child: &Child<'_>) -> Option<Vec<u64>> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.pid())).unwrap();
    let calls = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number: u64 = words.next()?.parse().ok()?;
        let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
        let arguments = words.map(hex).collect::<Option<Vec<_>>>()?;
        Some(std::iter::once(number).chain(arguments).collect::<Vec<_>>())
    });
    // In a futex with a time to wake: the harness's own threads have none.
    calls.into_iter().find(|call| call[0] == libc::SYS_futex as u64 && call[4] != 0)
}

#[test]
fn sleeps_are_timed_by_the_monotonic_clock() {
    let family = Family::new();
    for method in [WaitMethod::Futex, WaitMethod::Semaphore] {
        for which in ["receiver", "sender"] {
            let (ground, ring) = Ground::new(Kind::Shm, &options(method, LONG));
            let mut child = ground.pass(family.child(sleeps)).arg(which).spawn();
            child.expect("here");
            let mut call = None;
            until("asleep", || {
                call = sleeping_in(&child);
                call.is_some()
            });
            // FUTEX_WAIT_BITSET takes an absolute time, by the monotonic clock but for one
            // bit: setting the time of day changes nothing.
            let operation = call.unwrap()[2] as libc::c_int;
            let command = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
            assert_eq!(command, libc::FUTEX_WAIT_BITSET);
            assert_eq!(operation & libc::FUTEX_CLOCK_REALTIME, 0);
            child.kill();
            drop(ring);
            end(&ground, method);
        }
    }
}

/// Sets the clock of the machine back and forth, so it runs on request alone.
#[test]
fn setting_the_time_of_day_neither_shortens_nor_prolongs_a_wait() {
    if std::env::var_os("ANNULUS_SET_CLOCK").is_none() {
        support::skip!("sets the machine's clock: as root, with ANNULUS_SET_CLOCK=1");
    }
    let shift = |seconds: i64| {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one structure.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
        now.tv_sec += seconds;
        // SAFETY: reads one structure.
        assert_eq!(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const now) }, 0);
    };
    for method in METHODS {
        let (ground, ring) = Ground::new(Kind::Shm, &options(method, LONG));
        let mut receiver = ring.receiver().unwrap();
        let waiting = thread::spawn(move || {
            let start = Instant::now();
            (receiver.recv_timeout(Duration::from_millis(300)), start.elapsed())
        });
        thread::sleep(Duration::from_millis(50));
        shift(3600);
        thread::sleep(Duration::from_millis(50));
        shift(-7200);
        thread::sleep(Duration::from_millis(50));
        shift(3600);
        let (got, waited) = waiting.join().unwrap();
        assert_eq!(got, Err(RecvError::Timeout));
        assert!((300..5000).contains(&waited.as_millis()), "{waited:?}");
        end(&ground, method);
    }
}

#[test]
fn a_killed_peer_is_noticed_within_two_slices() {
    const SLICE: Duration = Duration::from_millis(100);
    let family = Family::new();
    for method in METHODS {
        let mut times = Vec::new();
        for round in 0..6 {
            let (ground, ring) = Ground::new(Kind::Shm, &options(method, SLICE));
            let role = if round % 2 == 0 { "sender" } else { "receiver" };
            let mut child = ground.pass(family.child(stays)).arg(role).spawn();
            child.expect("here");
            let (receives, ring_here) = (role == "sender", ring.clone());
            let waiting = thread::spawn(move || {
                if receives {
                    assert_eq!(ring_here.receiver().unwrap().recv(), Err(RecvError::Died));
                } else {
                    let mut sender = ring_here.sender().unwrap();
                    sender.send_many(&[0, 1]).unwrap();
                    assert_eq!(sender.send(2), Err(SendError::Died(2)));
                }
                Instant::now()
            });
            // At another moment of the slice each time.
            thread::sleep(Duration::from_millis(20 + 37 * round));
            let (observer, seat) = (ground.observe(), usize::from(role == "receiver"));
            child.signal(Signal::SIGKILL);
            until("the kernel's word", || !observer.seats().unwrap()[seat].held);
            let freed = Instant::now();
            times.push(waiting.join().unwrap().saturating_duration_since(freed));
            drop((child, ring));
            end(&ground, method);
        }
        times.sort();
        println!("{method:?}: noticed after {times:?}");
        // On a machine that has other things to do.
        let bound = 2 * SLICE + Duration::from_secs(2);
        assert!(times.iter().all(|time| *time <= bound), "{times:?}");
    }
}

#[test]
fn whoever_is_killed_asleep_leaves_an_event_that_works() {
    let family = Family::new();
    let kinds = |method| KINDS.into_iter().filter(move |k| (method, *k) != NO_NAME);
    for method in [WaitMethod::Futex, WaitMethod::Semaphore] {
        for kind in kinds(method) {
            for which in ["receiver", "sender"] {
                // So long a slice that a flag left wrong would be a hang.
                let (ground, ring) = Ground::new(kind, &options(method, LONG));
                for _ in 0..3 {
                    let mut child = ground.pass(family.child(sleeps)).arg(which).spawn();
                    child.expect("here");
                    until("asleep", || sleeping_in(&child).is_some());
                    child.kill();
                }
                let mut receiver = take(|| ring.receiver());
                let mut sender = take(|| ring.sender());
                while receiver.try_recv().is_ok() {}
                let receiving = thread::spawn(move || {
                    let got = (0..2000).all(|n| receiver.recv_timeout(LONG / 2) == Ok(n));
                    (got, receiver.rescues())
                });
                for message in 0..2000 {
                    sender.send_timeout(message, LONG / 2).unwrap();
                }
                assert_eq!(receiving.join().unwrap(), (true, 0));
                assert_eq!(sender.rescues(), 0);
                drop(ring);
                end(&ground, method);
            }
        }
    }
}

/// Semaphores need a name.
const NO_NAME: (WaitMethod, Kind) = (WaitMethod::Semaphore, Kind::Memfd);
