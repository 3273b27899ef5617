//! Notifiers killed between a change and its wake-up: only the end of a slice rescues the
//! sleeper, and that is counted.

use std::thread;
use std::time::{Duration, Instant};

use annulus::hooks::{kill_before, trace};
use annulus::spsc::Ring;
use annulus::{RecvError, SendError};

const SLICE: Duration = Duration::from_millis(60);

fn ring() -> Ring<u64> {
    let options = Ring::options().capacity(1).slice(SLICE);
    options.spin(Duration::ZERO).yielding(Duration::ZERO).create_memfd("rescues").unwrap()
}

/// A thread that does one thing, given back when it sleeps in a futex with a time to wake.
fn asleep<R: Send + 'static>(call: impl FnOnce() -> R + Send + 'static) -> thread::JoinHandle<R> {
    let (say, told) = std::sync::mpsc::channel();
    let running = thread::spawn(move || {
        say.send(nix::unistd::gettid()).unwrap();
        call()
    });
    let path = format!("/proc/self/task/{}/syscall", told.recv().unwrap());
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let words: Vec<_> = text.split_whitespace().collect();
        // Number, address, operation, value, time.
        let sleeps = words.first() == Some(&&*libc::SYS_futex.to_string())
            && words.get(4).is_some_and(|at| *at != "0x0");
        if sleeps || running.is_finished() || start.elapsed() > Duration::from_secs(20) {
            return running;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Keeps the kills, which unwind, from being printed as panics.
fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        if let Some(text) = info.payload_as_str() {
            eprintln!("{text} at {:?}", info.location());
        }
    }));
}

/// The number of the access by which a verb looks whether somebody sleeps, from 1 on.
fn look_at_the_flag(verb: impl FnOnce()) -> u64 {
    let ((), accesses) = trace(verb);
    let change = accesses
        .iter()
        .rposition(|access| ["publish::RELEASE", "retire::RELEASE"].contains(&access.edge));
    change.unwrap() as u64 + 2
}

/// A rescue is judged this long after it: a notifier may be late.
const JUDGED: Duration = Duration::from_millis(30);

#[test]
fn a_wait_is_rescued_by_a_slice_only_when_its_notifier_was_killed() {
    quiet();
    let ring = ring();
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    // The first send knows that there is room; the others look.
    sender.try_send(0).unwrap();
    assert_eq!(receiver.try_recv(), Ok(0));
    let send_look = look_at_the_flag(|| sender.try_send(0).unwrap());
    let recv_look = look_at_the_flag(|| assert_eq!(receiver.try_recv(), Ok(0)));

    // A sender that is killed after its message is committed, before it wakes anybody.
    let receiving = asleep(move || (receiver.recv(), receiver));
    assert!(kill_before(send_look, move || sender.try_send(1)).is_none());
    let got;
    (got, receiver) = receiving.join().unwrap();
    thread::sleep(JUDGED);
    assert_eq!((got, receiver.rescues()), (Ok(1), 1));

    // A receiver, after its message is retired. It is a new one: the sender died.
    let mut sender = ring.sender().unwrap();
    sender.try_send(2).unwrap();
    let sending = asleep(move || (sender.send(3), sender));
    assert!(kill_before(recv_look, move || receiver.try_recv()).is_none());
    let (sent, mut sender) = sending.join().unwrap();
    thread::sleep(JUDGED);
    assert_eq!((sent, sender.rescues()), (Ok(()), 1));

    // What they left is an event that works.
    let mut receiver = ring.receiver().unwrap();
    let receiving = thread::spawn(move || {
        let got: Vec<_> = (0..500).map(|_| receiver.recv().unwrap()).collect();
        (got, receiver.rescues())
    });
    for message in 4..503 {
        sender.send(message).unwrap();
    }
    assert_eq!(receiving.join().unwrap(), ((3..503).collect(), 1));
    assert_eq!(sender.rescues(), 1);
}

#[test]
fn a_wait_is_not_counted_as_rescued_when_nobody_changed_anything() {
    let ring = ring();
    let (sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    assert!(receiver.recv_timeout(3 * SLICE).is_err());
    assert_eq!((sender.rescues(), receiver.rescues()), (0, 0));
}

/// Messages cross in both states of the event: nobody asleep, and somebody.
fn assert_works(ring: &Ring<u64>) {
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    while receiver.try_recv().is_ok() {}
    let first = sender.position();
    let receiving =
        thread::spawn(move || (first..first + 8).all(|message| receiver.recv() == Ok(message)));
    for message in first..first + 8 {
        if message % 4 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
        sender.send(message).unwrap();
    }
    assert!(receiving.join().unwrap());
}

#[test]
fn a_notifier_killed_at_any_step_leaves_a_sleeper_that_gets_what_was_committed() {
    quiet();
    for k in 1.. {
        let ring = ring();
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        let receiving = asleep(move || receiver.recv());
        let lived = kill_before(k, move || sender.send(1).unwrap()).is_some();
        // Copy, stamp, flag, flag again, bump, wake, clear.
        let committed = k > 2;
        let got = receiving.join().unwrap();
        assert_eq!(got, if committed { Ok(1) } else { Err(annulus::RecvError::Died) }, "at {k}");
        assert_works(&ring);
        if lived {
            assert!(k > 7, "{k} steps are not all");
            break;
        }
    }
}

#[test]
fn a_sleeper_killed_at_any_step_leaves_an_event_that_works() {
    quiet();
    let millisecond = Duration::from_millis(1);
    let wait = |ring: &Ring<u64>, sends: bool, k: u64| {
        if sends {
            let mut sender = ring.sender().unwrap();
            while sender.try_send(0).is_ok() {}
            kill_before(k, move || sender.send_timeout(1, millisecond).is_ok()).is_some()
        } else {
            let mut receiver = ring.receiver().unwrap();
            while receiver.try_recv().is_ok() {}
            kill_before(k, move || receiver.recv_timeout(millisecond).is_ok()).is_some()
        }
    };
    for sends in [false, true] {
        // How often it polls before it sleeps is the scheduler's to say.
        for k in (1..).take(400) {
            let ring = ring();
            if wait(&ring, sends, k) {
                assert!(k > 10, "{k} steps are not all");
                break;
            }
            if k % 4 == 0 || k > 40 {
                assert_works(&ring);
            }
        }
    }
}

/// One who dies, as far as others can see.
fn dies<E: 'static>(endpoint: E, act: impl FnOnce(&mut E)) {
    let mut endpoint = endpoint;
    let killed = kill_before(1, move || act(&mut endpoint));
    assert!(killed.is_none(), "it was killed");
}

#[test]
fn many_waits_shorter_than_a_slice_notice_a_death() {
    let (slice, short) = (Duration::from_millis(20), Duration::from_micros(300));
    let ring = Ring::<u64>::options().slice(slice).create_memfd("short").unwrap();
    let mut receiver = ring.receiver().unwrap();
    let sender = ring.sender().unwrap();
    assert_eq!(receiver.recv_timeout(short), Err(RecvError::Timeout));
    dies(sender, |sender| sender.try_send(1).unwrap());
    while let Err(error) = receiver.recv_timeout(short) {
        if error == RecvError::Died {
            break;
        }
        assert_eq!(error, RecvError::Timeout);
    }

    let ring = annulus::stream::Ring::options().capacity(8).slice(slice);
    let ring = ring.create_memfd("short").unwrap();
    let (mut sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    sender.send(&[0; 8]).unwrap();
    dies(receiver, |receiver| {
        receiver.try_recv(&mut [0]).unwrap();
    });
    while let Err(error) = sender.send_timeout(&[0], short) {
        if error == SendError::Died(()) {
            break;
        }
        assert_eq!(error, SendError::Timeout(()));
    }

    let ring = Ring::<u64>::options().slice(slice).create_memfd("short").unwrap();
    let mut receiver = ring.receiver().unwrap();
    let sender = ring.sender().unwrap();
    dies(sender, |sender| sender.try_send(1).unwrap());
    let mut set = annulus::WaitSet::new();
    while let Err(error) = set.wait(&mut [&mut receiver], Some(short)) {
        assert_eq!(error, annulus::WaitError::Timeout);
    }
    assert_eq!(receiver.try_recv(), Err(annulus::TryRecvError::Died));
}
