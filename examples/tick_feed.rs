//! Market data: a feed process sends ticks to a strategy process through named shared
//! memory; the strategy sleeps when there are none.
//!
//! `cargo run --release --example tick_feed` starts both.

use std::process::Command;
use std::time::Duration;

use annulus::RecvError;
use annulus::spsc::Ring;
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Tick {
    instrument: u32,
    size: u32,
    /// In hundredths.
    price: i64,
}

/// Of this message type, whoever built the program: see `Options::type_tag`.
const TICK: u64 = u64::from_le_bytes(*b"tick-v1\0");
const TICKS: u32 = 1_000_000;

fn feed(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let ring = Ring::<Tick>::options().capacity(4096).type_tag(TICK).create_new(address)?;
    let mut sender = ring.sender()?;
    let mut strategy =
        Command::new(std::env::current_exe()?).args(["strategy", address]).spawn()?;
    sender.wait_for_peer(Some(Duration::from_secs(10)))?;

    let mut price = 10_000;
    for i in 0..TICKS {
        price += i64::from(i.wrapping_mul(2_654_435_761) >> 30) - 1;
        sender.send(Tick { instrument: i % 16, size: 1 + i % 100, price })?;
    }
    drop(sender);
    let ended = strategy.wait()?;
    annulus::unlink(address)?;
    if ended.success() { Ok(()) } else { Err("the strategy failed".into()) }
}

fn strategy(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut receiver = Ring::<Tick>::options().type_tag(TICK).open(address)?.receiver()?;
    let mut ticks = [Tick { instrument: 0, size: 0, price: 0 }; 64];
    let (mut count, mut volume, mut notional) = (0, 0_u64, 0_i128);
    loop {
        match receiver.recv_many(&mut ticks) {
            Ok(n) => {
                for tick in &ticks[..n] {
                    count += 1;
                    volume += u64::from(tick.size);
                    notional += i128::from(tick.price) * i128::from(tick.size);
                }
            }
            Err(RecvError::Closed) => break,
            Err(RecvError::Died) => return Err("the feed died".into()),
            Err(error) => return Err(error.into()),
        }
    }
    let average = notional / i128::from(volume);
    println!(
        "{count} ticks, volume {volume}, average price {}.{:02}",
        average / 100,
        average % 100
    );
    if count == TICKS { Ok(()) } else { Err("ticks are missing".into()) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("strategy"), Some(address)) => strategy(&address),
        _ => feed(&format!("shm:tick-feed-{}", std::process::id())),
    }
}
