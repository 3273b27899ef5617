//! frames: buffers that go round between two senders and two receivers, with deaths.

use annulus::frames::{Frame, Receiver, Ring, Sender};
use annulus::{Trusted, TryRecvError, TrySendError};
use loom::thread;

use crate::account::{Notes, OF_ONE, number, settle, words};
use crate::{attach, below};

type Tx = Sender<Trusted>;
type Rx = Receiver<Trusted>;

/// Refusals after which a sender has looked for the dead.
const PATIENCE: usize = 4097;

fn write(frame: &mut Frame<Trusted>, number: u64) {
    let bytes = words(number).map(u64::to_le_bytes).concat();
    assert_eq!(frame.append(&bytes), 16);
}

/// Sends `count` frames; some buffers are taken and given back, or forgotten, before.
fn send(mut sender: Tx, name: u64, count: u64, notes: &Notes) {
    let mut next = name * OF_ONE;
    while next < name * OF_ONE + count {
        match sender.try_take() {
            Ok(mut frame) if below(4) == 0 => write(&mut frame, u64::MAX),
            Ok(mut frame) => {
                write(&mut frame, next);
                notes.sending([next]);
                match frame.send() {
                    Ok(()) => notes.sent(1),
                    // Nobody receives any more.
                    Err(_) => {
                        notes.sent(0);
                        return;
                    }
                }
                next += 1;
            }
            Err(TrySendError::Full(())) => thread::yield_now(),
            Err(TrySendError::Closed(()) | TrySendError::Died(())) => return,
            Err(error) => panic!("taking: {error}"),
        }
    }
}

/// Receives until told that nobody sends. Holds on to a frame while it takes the next, at
/// times.
fn receive(mut receiver: Rx, notes: &Notes) {
    let mut held = None;
    loop {
        notes.receiving(1);
        match receiver.try_recv() {
            Ok(frame) => {
                let mut bytes = [0; 16];
                assert_eq!(frame.read_at(0, &mut bytes), 16);
                let word = |at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
                let got = (number([word(0), word(8)]), frame.redelivered());
                held = (below(2) == 0).then_some(frame);
                notes.got([got]);
            }
            Err(TryRecvError::Empty | TryRecvError::Stalled) => {
                held = None;
                notes.got([]);
                thread::yield_now();
            }
            Err(TryRecvError::Closed | TryRecvError::Died) => break,
            Err(error) => panic!("receiving: {error}"),
        }
    }
    drop(held);
    notes.got([]);
}

/// Two of each on two buffers; nobody dies.
pub fn round_and_round() -> usize {
    let options = Ring::options().capacity(2).max_len(16).seats(3);
    let ring: Ring<Trusted> = options.create_heap().expect("a ring");
    let mut all = Vec::new();
    let mut threads = Vec::new();
    let txs = [(); 2].map(|()| ring.sender().expect("a seat"));
    let rxs = [(); 2].map(|()| ring.receiver().expect("a seat"));
    let mut begin = |play: Box<dyn FnOnce(&Notes) + Send>| {
        let notes = Notes::default();
        all.push(notes.clone());
        threads.push(thread::spawn(move || notes.play(false, || play(&notes))));
    };
    for (name, tx) in (1..).zip(txs) {
        begin(Box::new(move |notes| send(tx, name, 4, notes)));
    }
    for rx in rxs {
        begin(Box::new(move |notes| receive(rx, notes)));
    }
    for thread in threads {
        thread.join().expect("it would have failed");
    }
    settle(&all)
}

/// One of each, one of whom is killed, and those who take their seats: they settle what the
/// dead had in hand, and all buffers are there again at the end.
pub fn estates() -> usize {
    let options = Ring::options().capacity(2).max_len(16).seats(1);
    let ring: Ring<Trusted> = options.create_heap().expect("a ring");
    let (tx, rx) = (ring.sender().expect("the first"), ring.receiver().expect("the first"));
    let [tx_dies, rx_dies] = [below(2) == 0, below(2) == 0];
    let all = [(); 4].map(|()| Notes::default());
    let [first, second, third, fourth] = all.clone();
    let same = ring.clone();
    let sending = thread::spawn(move || {
        first.play(tx_dies, || send(tx, 1, 3, &first));
        second.play(false, || send(attach(|| same.sender()), 2, 3, &second));
    });
    let same = ring.clone();
    let receiving = thread::spawn(move || {
        third.play(rx_dies, || receive(rx, &third));
        fourth.play(false, || receive(attach(|| same.receiver()), &fourth));
    });
    sending.join().expect("it would have failed");
    receiving.join().expect("it would have failed");
    let last = Notes::default();
    last.play(false, || receive(attach(|| ring.receiver()), &last));
    let received = settle(&all.into_iter().chain([last]).collect::<Vec<_>>());
    // Nobody has any now; one who is refused looks for the dead, not at once.
    let mut sender = attach(|| ring.sender());
    let _receiver = attach(|| ring.receiver());
    let mut take = || (0..PATIENCE).find_map(|_| sender.try_take().ok());
    let buffers = [take(), take()];
    assert!(buffers.iter().all(Option::is_some), "a buffer is gone");
    received
}
