//! Calls whose instructions are counted: `annulus-counts RING VERB BYTES BATCHES`.
//!
//! ```text
//!   valgrind --tool=callgrind --toggle-collect=counted
//!        │        each batch:  BATCH x try_send   BATCH x try_recv
//!        └─ counts ──────────  one of the two, inside `counted`
//! ```
//!
//! `cargo xtask counts` runs it with two numbers of batches and takes the difference, so
//! that whatever happens once falls out. Rings are memfds, as between processes; nobody
//! sleeps, and no ring is full or empty.

use std::hint::black_box;

use annulus::{broadcast, mpmc, spsc, stream};

/// Calls of each verb in a batch, and slots of a ring.
const BATCH: usize = 1024;

/// All that is counted is called from here.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
#[inline(never)]
fn counted(calls: &mut dyn FnMut()) {
    calls();
}

/// What is not, from here.
#[inline(never)]
fn not_counted(calls: &mut dyn FnMut()) {
    calls();
}

fn run(verb: &str, batches: usize, send: &mut dyn FnMut(), recv: &mut dyn FnMut()) {
    for _ in 0..batches {
        match verb {
            "send" => {
                counted(send);
                not_counted(recv);
            }
            "recv" => {
                not_counted(send);
                counted(recv);
            }
            _ => panic!("send or recv, not {verb}"),
        }
    }
}

/// A fixed-size ring of any kind: a batch of each verb.
macro_rules! ring {
    ($kind:ident, $words:literal, $verb:expr, $batches:expr) => {{
        type Message = [u64; $words];
        let options = $kind::Ring::<Message>::options().capacity(BATCH as u64);
        let ring = options.create_memfd("counts").unwrap();
        // The order matters to a broadcast: who comes late misses what was sent.
        let mut receiver = ring.receiver().unwrap();
        let mut sender = ring.sender().unwrap();
        let message: Message = black_box([7; $words]);
        run(
            $verb,
            $batches,
            &mut || (0..BATCH).for_each(|_| assert!(sender.try_send(message).is_ok())),
            &mut || {
                for _ in 0..BATCH {
                    black_box(receiver.try_recv().unwrap());
                }
            },
        );
    }};
}

macro_rules! rtrb {
    ($kind:ident, $words:literal, $verb:expr, $batches:expr) => {{
        let (mut producer, mut consumer) = $kind::RingBuffer::<[u64; $words]>::new(BATCH);
        let message = black_box([7; $words]);
        run(
            $verb,
            $batches,
            &mut || (0..BATCH).for_each(|_| assert!(producer.push(message).is_ok())),
            &mut || {
                for _ in 0..BATCH {
                    black_box(consumer.pop().unwrap());
                }
            },
        );
    }};
}

fn stream(bytes: usize, verb: &str, batches: usize) {
    let options = stream::Ring::options().capacity((BATCH * bytes).next_power_of_two() as u64);
    let ring = options.create_memfd("counts").unwrap();
    let (mut receiver, mut sender) = (ring.receiver().unwrap(), ring.sender().unwrap());
    let (message, mut out) = (black_box(vec![7; bytes]), vec![0; bytes]);
    run(
        verb,
        batches,
        &mut || (0..BATCH).for_each(|_| assert_eq!(sender.try_send(&message), Ok(bytes))),
        &mut || {
            for _ in 0..BATCH {
                assert_eq!(receiver.try_recv(&mut out), Ok(bytes));
                black_box(&out);
            }
        },
    );
}

/// The size class of so many bytes: the number of 8-byte words that are the first argument's.
macro_rules! in_words {
    ($bytes:expr, $one:ident ! ($($argument:expr),*) $kind:ident) => {
        match $bytes {
            8 => $one!($kind, 1, $($argument),*),
            56 => $one!($kind, 7, $($argument),*),
            64 => $one!($kind, 8, $($argument),*),
            256 => $one!($kind, 32, $($argument),*),
            1024 => $one!($kind, 128, $($argument),*),
            4096 => $one!($kind, 512, $($argument),*),
            other => panic!("no class has {other} bytes"),
        }
    };
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [kind, verb, bytes, batches] = &arguments[..] else {
        panic!("RING VERB BYTES BATCHES, not {arguments:?}");
    };
    let (bytes, batches) = (bytes.parse().unwrap(), batches.parse().unwrap());
    match kind.as_str() {
        "spsc" => in_words!(bytes, ring!(verb, batches) spsc),
        "mpmc" => in_words!(bytes, ring!(verb, batches) mpmc),
        "broadcast" => in_words!(bytes, ring!(verb, batches) broadcast),
        "stream" => stream(bytes, verb, batches),
        "rtrb" => in_words!(bytes, rtrb!(verb, batches) rtrb),
        other => panic!("no ring is called {other}"),
    }
}
