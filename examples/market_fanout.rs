//! Market data for many: one feed process, three strategy processes, of which one is too
//! slow. The feed waits for nobody; the slow one is told how many ticks it has missed.
//!
//! `cargo run --release --example market_fanout` starts them all.

use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use annulus::broadcast::{Observer, Ring, Start};
use annulus::{RecvError, TryRecvError};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Tick {
    /// Counts from 0, to check the accounts by.
    number: u64,
    /// In hundredths.
    price: u64,
}

const TICKS: u64 = 200_000;
/// Ticks come in bursts, with pauses in between.
const BURST: u64 = 64;
const PAUSE: Duration = Duration::from_micros(50);
/// What the slow strategy takes for one tick.
const THINKING: Duration = Duration::from_micros(300);

type Failure = Box<dyn std::error::Error>;

/// A name, which goes whatever happens.
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = annulus::unlink(&self.0);
    }
}

fn price(number: u64) -> u64 {
    10_000 + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100
}

fn feed(address: &str) -> Result<(), Failure> {
    let mut sender = Ring::<Tick>::open(address)?.sender()?;
    for number in 0..TICKS {
        sender.send(Tick { number, price: price(number) })?; // never waits
        if number % BURST == BURST - 1 {
            sleep(PAUSE);
        }
    }
    Ok(())
}

fn strategy(address: &str, name: &str) -> Result<(), Failure> {
    let ring = Ring::<Tick>::open(address)?;
    // From the first tick on, whenever we come: those that are gone are missed.
    let mut ticks = ring.receiver_from(Start::Position(0))?;
    let (mut received, mut missed, mut lags, mut sum) = (0, 0, 0, 0);
    let mut acted_on = 0; // ticks below that number are old news
    loop {
        match ticks.recv() {
            Ok(tick) => {
                if tick.number != received + missed || tick.price != price(tick.number) {
                    return Err(format!("{name}: tick {} is wrong", tick.number).into());
                }
                (received, sum) = (received + 1, sum + tick.price);
                if name == "slow" && tick.number >= acted_on {
                    sleep(THINKING);
                }
            }
            Err(RecvError::Lagged(count)) => {
                (missed, lags) = (missed + count, lags + 1);
                // Act on the newest price at once, and let those in between pass quickly.
                match ticks.latest() {
                    Ok(newest) => acted_on = newest.number + 1,
                    Err(TryRecvError::Empty) => {} // it changed as quickly as we looked
                    Err(error) => return Err(error.into()),
                }
            }
            Err(RecvError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{name}: {received} received, {missed} missed in {lags} lags, sum {sum}");
    let all = (0..TICKS).map(price).sum();
    // Received and missed are what was sent; who missed none has the same sum.
    let right = received + missed == TICKS && (missed > 0 || sum == all);
    if right && (name != "slow" || missed > 0) {
        Ok(())
    } else {
        Err(format!("{name}: the accounts are wrong").into())
    }
}

/// Starts the others, and watches the newest price without taking part: read-only, polling.
fn watch() -> Result<(), Failure> {
    let name = Name(format!("shm:market-fanout-{}", std::process::id()));
    let _ring = Ring::<Tick>::options().capacity(1024).create_new(&name.0)?;
    let start = |arguments: &[&str]| -> Result<Child, Failure> {
        Ok(Command::new(std::env::current_exe()?).args(arguments).arg(&name.0).spawn()?)
    };
    let mut strategies = Vec::new();
    for strategy in ["first", "second", "slow"] {
        strategies.push(start(&["strategy", strategy])?);
    }
    let mut feed = start(&["feed"])?;
    let mut observer = Observer::<Tick>::open(&name.0)?;
    let (mut looks, mut newest) = (0, None);
    loop {
        let ended = feed.try_wait()?;
        match observer.latest() {
            Ok(tick) if newest > Some(tick.number) => return Err("an older price came".into()),
            Ok(tick) => (looks, newest) = (looks + 1, Some(tick.number)),
            Err(TryRecvError::Empty) => {} // none yet
            Err(error) => return Err(error.into()),
        }
        match ended {
            Some(status) if status.success() => break,
            Some(_) => return Err("the feed failed".into()),
            None => sleep(Duration::from_millis(10)),
        }
    }
    println!("observer: looked {looks} times, at last at tick {}", newest.unwrap_or(0));
    for mut strategy in strategies {
        if !strategy.wait()?.success() {
            return Err("a strategy failed".into());
        }
    }
    if newest == Some(TICKS - 1) { Ok(()) } else { Err("the last price was not seen".into()) }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["feed", address] => feed(address),
        ["strategy", name, address] => strategy(address, name),
        _ => watch(),
    }
}
