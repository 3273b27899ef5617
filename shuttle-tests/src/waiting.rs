//! Those who sleep: no wake-up is lost, or the model stands still, which shuttle reports.

use annulus::hooks::weaken;
use annulus::{RecvError, Trusted, broadcast, frames, mpmc, spsc, stream};
use loom::thread;

use crate::account::{Message, Notes, OF_ONE, number, settle, words};
use crate::below;

/// Two senders and three receivers of an mpmc ring of one slot or two, by all calls that
/// wait.
pub fn a_crowd_sleeps() -> usize {
    const COUNT: u64 = 4;
    weaken(None);
    let options = mpmc::Ring::<Message>::options().capacity(1 + below(2)).seats(3);
    let ring = options.create_heap().expect("a ring");
    let all: Vec<_> = (0..5).map(|_| Notes::default()).collect();
    let mut threads = Vec::new();
    let txs = [(); 2].map(|()| ring.sender().expect("a seat"));
    let rxs = [(); 3].map(|()| ring.receiver().expect("a seat"));
    for ((name, mut tx), notes) in (1..).zip(txs).zip(all[..2].iter().cloned()) {
        threads.push(thread::spawn(move || {
            let mut next = name * OF_ONE;
            let end = next + COUNT;
            while next < end {
                let most = (next + 1 + below(3)).min(end);
                let batch: Vec<_> = (next..most).map(words).collect();
                notes.sending(next..most);
                match below(3) {
                    0 => tx.send_many(&batch).expect("somebody receives"),
                    _ => {
                        for message in &batch {
                            let mut slot = tx.reserve().expect("somebody receives");
                            slot.write(message);
                            slot.commit();
                        }
                    }
                }
                notes.sent(batch.len());
                next = most;
            }
            notes.play(false, || drop(tx));
        }));
    }
    for (mut rx, notes) in rxs.into_iter().zip(all[2..].iter().cloned()) {
        threads.push(thread::spawn(move || {
            loop {
                let result = match below(3) {
                    0 => {
                        let mut out = [[0; 2]; 2];
                        rx.recv_many(&mut out).map(|count| out[..count].to_vec())
                    }
                    1 => rx.recv_ref().map(|guard| vec![guard.read()]),
                    _ => rx.recv().map(|message| vec![message]),
                };
                match result {
                    Ok(messages) => {
                        notes.got(messages.into_iter().map(|words| (number(words), false)));
                    }
                    Err(RecvError::Closed) => break,
                    Err(error) => panic!("receiving: {error}"),
                }
            }
            notes.play(false, || drop(rx));
        }));
    }
    for thread in threads {
        thread.join().expect("it would have failed");
    }
    settle(&all)
}

/// Two that answer each other by two spsc rings, one slot each.
pub fn there_and_back() -> usize {
    const TURNS: u64 = 6;
    weaken(None);
    let (mut ask, mut asked) = spsc::channel::<u64>(1).expect("a ring");
    let (mut answer, mut answered) = spsc::channel::<u64>(1).expect("a ring");
    let answering = thread::spawn(move || {
        while let Ok(question) = asked.recv() {
            answer.send(question + 1).expect("he waits for it");
        }
    });
    for turn in 0..TURNS {
        ask.send(turn).expect("he answers");
        assert_eq!(answered.recv(), Ok(turn + 1));
    }
    drop(ask);
    answering.join().expect("it would have failed");
    TURNS as usize
}

/// Bytes through a stream of eight, by calls that wait on both sides.
pub fn bytes_through_eight() -> usize {
    const BYTES: usize = 24;
    weaken(None);
    let (mut sender, mut receiver) = stream::channel(8).expect("a ring");
    let sending = thread::spawn(move || {
        let mut sent = 0;
        while sent < BYTES {
            let len = (1 + below(10) as usize).min(BYTES - sent);
            let piece: Vec<_> = (sent..sent + len).map(|at| at as u8).collect();
            sent += match below(2) {
                0 => sender.send(&piece).expect("he receives"),
                _ => {
                    let len = len.min(8);
                    let mut reserved = sender.reserve(len).expect("he receives");
                    assert_eq!(reserved.append(&piece[..len]), len);
                    reserved.commit()
                }
            };
        }
        sender.finish().expect("he has been there");
    });
    let mut received = 0;
    loop {
        let mut out = [0; 5];
        match receiver.recv(&mut out) {
            Ok(count) => {
                for got in &out[..count] {
                    assert_eq!(*got, received as u8);
                    received += 1;
                }
            }
            Err(RecvError::Closed) => break,
            Err(error) => panic!("receiving: {error}"),
        }
    }
    assert_eq!(received, BYTES);
    sending.join().expect("it would have failed");
    received
}

/// A lossless broadcast of two slots to three that sleep, as its sender does.
pub fn a_cast_to_sleepers() -> usize {
    const COUNT: u64 = 6;
    weaken(None);
    let options = broadcast::Ring::<Message>::options().capacity(2).lossless(true).seats(4);
    let ring = options.create_heap().expect("a ring");
    let mut sender = ring.sender().expect("the first");
    let receivers = [(); 3].map(|()| ring.receiver().expect("a seat"));
    let receiving = receivers.map(|mut receiver| {
        thread::spawn(move || {
            // One who has had enough leaves, and the sender waits for him no longer.
            let enough = if below(3) == 0 { below(COUNT) } else { COUNT };
            for position in 0..enough {
                assert_eq!(receiver.recv().map(number), Ok(position));
            }
            enough as usize
        })
    });
    let mut next = 0;
    while next < COUNT {
        match below(2) {
            0 => {
                let end = (next + 1 + below(3)).min(COUNT);
                let batch: Vec<_> = (next..end).map(words).collect();
                sender.send_many(&batch).expect("lossless");
                next = end;
            }
            _ => {
                sender.send(words(next)).expect("lossless");
                next += 1;
            }
        }
    }
    let counts = receiving.map(|thread| thread.join().expect("it would have failed"));
    counts.iter().sum()
}

/// Two senders share one buffer, which two receivers give back.
pub fn one_buffer() -> usize {
    const COUNT: usize = 3;
    weaken(None);
    let options = frames::Ring::options().capacity(1).max_len(8).seats(2);
    let ring: frames::Ring<Trusted> = options.create_heap().expect("a ring");
    let senders = [(); 2].map(|()| ring.sender().expect("a seat"));
    let receivers = [(); 2].map(|()| ring.receiver().expect("a seat"));
    let sending = senders.map(|mut sender| {
        thread::spawn(move || {
            for _ in 0..COUNT {
                let mut frame = sender.take().expect("they receive");
                assert_eq!(frame.append(&[7; 8]), 8);
                frame.send().expect("they receive");
            }
        })
    });
    let receiving = receivers.map(|mut receiver| {
        thread::spawn(move || {
            let mut count = 0;
            loop {
                match receiver.recv() {
                    Ok(frame) => assert_eq!(frame.to_vec(), [7; 8]),
                    Err(RecvError::Closed) => return count,
                    Err(error) => panic!("receiving: {error}"),
                }
                count += 1;
            }
        })
    });
    for sending in sending {
        sending.join().expect("it would have failed");
    }
    let counts = receiving.map(|thread| thread.join().expect("it would have failed"));
    assert_eq!(counts.iter().sum::<usize>(), 2 * COUNT);
    2 * COUNT
}
