//! Waiting for several rings at once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use annulus::{
    Options, RecvError, RingKind, WaitError, WaitMethod, WaitSet, Waitable, broadcast, mpmc, spsc,
    stream,
};

/// A set member, whatever it is.
type Member<'a> = &'a mut dyn Waitable;

/// Never rescued by a slice, and asleep at once.
fn asleep<R: RingKind>(options: Options<R>) -> Options<R> {
    options.spin(Duration::ZERO).yielding(Duration::ZERO).slice(Duration::from_secs(600))
}

const BLINK: Option<Duration> = Some(Duration::from_millis(1));

#[test]
fn the_member_that_is_due_is_named_whatever_its_kind() {
    let spsc = asleep(spsc::Ring::<u64>::options()).capacity(2).create_heap().unwrap();
    let stream = asleep(stream::Ring::options()).capacity(8).create_heap().unwrap();
    let mpmc = asleep(mpmc::Ring::<u64>::options()).capacity(2).create_heap().unwrap();
    let cast = asleep(broadcast::Ring::<u64>::options()).capacity(2).create_heap().unwrap();
    let (mut s1, mut r1) = (spsc.sender().unwrap(), spsc.receiver().unwrap());
    let (mut s2, mut r2) = (stream.sender().unwrap(), stream.receiver().unwrap());
    let (mut s3, mut r3) = (mpmc.sender().unwrap(), mpmc.receiver().unwrap());
    let (mut s4, mut r4) = (cast.sender().unwrap(), cast.receiver().unwrap());
    let mut set = WaitSet::new();
    let mut due = |members: &mut [Member<'_>], timeout| set.wait(members, timeout);
    assert_eq!(due(&mut [&mut r1, &mut r2, &mut r3, &mut r4], BLINK), Err(WaitError::Timeout));
    for turn in 0..8 {
        match turn % 4 {
            0 => s1.send(1).unwrap(),
            1 => assert_eq!(s2.send(b"x"), Ok(1)),
            2 => s3.send(1).unwrap(),
            _ => s4.send(1).unwrap(),
        }
        let members: &mut [Member<'_>] = &mut [&mut r1, &mut r2, &mut r3, &mut r4];
        assert_eq!(due(members, None), Ok(turn % 4));
        match turn % 4 {
            0 => assert_eq!(r1.try_recv(), Ok(1)),
            1 => assert_eq!(r2.try_recv(&mut [0; 8]), Ok(1)),
            2 => assert_eq!(r3.try_recv(), Ok(1)),
            _ => assert_eq!(r4.try_recv(), Ok(1)),
        }
    }
    // Senders are due while there is room.
    assert_eq!(due(&mut [&mut s1, &mut s3], None), Ok(0));
    s1.try_send_many(&[1, 2]).unwrap();
    s3.try_send_many(&[1, 2]).unwrap();
    s2.try_send(&[0; 8]).unwrap();
    assert_eq!(due(&mut [&mut s1, &mut s2, &mut s3], BLINK), Err(WaitError::Timeout));
    r3.try_recv().unwrap();
    assert_eq!(due(&mut [&mut s1, &mut s2, &mut s3], None), Ok(2));
    // The end is something to do.
    drop((s1, s2, s3, s4));
    for _ in 0..2 {
        r1.try_recv().unwrap();
    }
    assert_eq!(due(&mut [&mut r1], None), Ok(0));
    assert_eq!(r1.recv(), Err(RecvError::Closed));
    assert_eq!(due(&mut [&mut r4], None), Ok(0));
}

#[test]
fn a_busy_ring_starves_no_other() {
    let mut rings: Vec<_> = (0..5).map(|_| spsc::channel::<u64>(64).unwrap()).collect();
    for (sender, _) in &mut rings {
        sender.try_send_many(&[0; 64]).unwrap();
    }
    let (_senders, mut receivers): (Vec<_>, Vec<_>) = rings.into_iter().unzip();
    let mut set = WaitSet::new();
    let mut counts = BTreeMap::<usize, u32>::new();
    for _ in 0..50 {
        let mut members: Vec<Member<'_>> =
            receivers.iter_mut().map(|receiver| receiver as Member<'_>).collect();
        let index = set.wait(&mut members, None).unwrap();
        *counts.entry(index).or_default() += 1;
        receivers[index].try_recv().unwrap();
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [10; 5]);
}

#[test]
fn a_set_of_nobody_and_a_cancelled_one_end() {
    let mut set = WaitSet::new();
    assert_eq!(set.wait(&mut [], BLINK), Err(WaitError::Timeout));
    assert_eq!(set.wait(&mut [], None), Err(WaitError::Cancelled));
    let (_one, mut a) = spsc::channel::<u64>(2).unwrap();
    let (_two, mut b) = spsc::channel::<u64>(2).unwrap();
    let cancel = b.cancel_handle();
    let thread = thread::spawn(move || set.wait(&mut [&mut a, &mut b], None));
    thread::sleep(Duration::from_millis(5));
    cancel.cancel();
    assert_eq!(thread.join().unwrap(), Err(WaitError::Cancelled));
}

/// So many feeds, each with its own sender, of which `each` messages must all come.
fn everything_comes(feeds: usize, each: u64, method: WaitMethod) {
    let mut receivers = Vec::new();
    let mut senders = Vec::new();
    for feed in 0..feeds {
        let options = spsc::Ring::<u64>::options().capacity(4).wait_method(method);
        let ring = asleep(options).create_memfd("feed").unwrap();
        receivers.push(ring.receiver().unwrap());
        senders.push((feed as u64, ring.sender().unwrap()));
    }
    let sending = thread::spawn(move || {
        for message in 0..each {
            for (feed, sender) in &mut senders {
                sender.send(*feed << 32 | message).unwrap();
            }
        }
        senders
    });
    let mut set = WaitSet::new();
    let mut next = vec![0; feeds];
    let mut open = feeds as u64 * each;
    while open > 0 {
        let mut members: Vec<Member<'_>> =
            receivers.iter_mut().map(|receiver| receiver as Member<'_>).collect();
        let index = set.wait(&mut members, None).unwrap();
        let message = receivers[index].try_recv().unwrap();
        assert_eq!(message, (index as u64) << 32 | next[index]);
        next[index] += 1;
        open -= 1;
    }
    sending.join().unwrap();
    assert!(receivers.iter().all(|receiver| receiver.rescues() == 0));
}

#[test]
fn no_wake_up_is_lost_among_twenty_feeds() {
    everything_comes(20, 2000, WaitMethod::Futex);
}

#[test]
fn more_feeds_than_the_kernel_waits_for_come_too() {
    everything_comes(130, 20, WaitMethod::Futex);
}

#[test]
fn feeds_that_spin_come_too() {
    everything_comes(3, 100, WaitMethod::Spin);
}

#[test]
fn a_set_that_was_woken_passes_the_wake_up_on() {
    let ring = asleep(mpmc::Ring::<u64>::options()).create_heap().unwrap();
    let (mut slow, mut quick) = (ring.sender().unwrap(), ring.sender().unwrap());
    let (mut first, mut second) = (ring.receiver().unwrap(), ring.receiver().unwrap());
    thread::scope(|scope| {
        let cancel = second.cancel_handle();
        let alone = scope.spawn(move || second.recv());
        // So that he sleeps in front, and behind the set once he was woken for nothing.
        thread::sleep(Duration::from_millis(50));
        let set = scope.spawn(move || {
            // Takes one message, and does not come back.
            WaitSet::new().wait(&mut [&mut first], None).unwrap();
            (first.recv().unwrap(), first)
        });
        thread::sleep(Duration::from_millis(50));
        // A place that is taken and not filled: who is woken for the one behind it finds none.
        let mut slot = slow.reserve().unwrap();
        quick.send(2).unwrap();
        thread::sleep(Duration::from_millis(50));
        slot.write(&1);
        slot.commit();
        let (one, first) = set.join().unwrap();
        // Ten seconds, or he sleeps on a message.
        for _ in 0..1000 {
            if !alone.is_finished() {
                thread::sleep(Duration::from_millis(10));
            }
        }
        let awake = alone.is_finished();
        cancel.cancel();
        let other = alone.join().unwrap();
        assert!(awake);
        assert_eq!(one + other.unwrap(), 3);
        drop(first);
    });
}
