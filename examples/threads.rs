//! Two threads of one process: a ring on the heap, which trusts its ends by construction,
//! so that messages are lent instead of copied.
//!
//! `cargo run --release --example threads`

use std::thread;

use annulus::{RecvError, spsc};

const MESSAGES: u64 = 10_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut sender, mut receiver) = spsc::channel::<[u64; 4]>(1024)?;

    let summing = thread::spawn(move || {
        let mut sum = 0;
        loop {
            match receiver.recv_ref() {
                // Lent, not copied: the slot is released when the guard goes.
                Ok(message) => sum += message[0] + message[3],
                Err(RecvError::Closed) => return Ok(sum),
                Err(error) => return Err(error),
            }
        }
    });

    for i in 0..MESSAGES {
        sender.send([i, 0, 0, 1])?;
    }
    drop(sender); // closes: the receiver drains what is there, then gets `Closed`

    let sum = summing.join().expect("the receiver does not panic")?;
    println!("{MESSAGES} messages, sum {sum}");
    assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2 + MESSAGES);
    Ok(())
}
