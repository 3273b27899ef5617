//! One process waits on many feeds: twenty rings of quotes, a queue of orders that several
//! send to, and a stream of log lines; it sleeps on all of them at once.
//!
//! `cargo run --release --example gateway` starts all six processes.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use annulus::{TryRecvError, WaitSet, Waitable, mpmc, spsc, stream};

const FEEDERS: u64 = 4;
/// Rings of each feeder, and what it sends on each; and its orders.
const RINGS: u64 = 5;
const QUOTES: u64 = 2000;
const ORDERS: u64 = 500;
/// The logger's.
const LINES: u64 = 1000;
/// The segments' numbers, behind those of the feeders' rings.
const QUEUE: u64 = FEEDERS * RINGS;
const LOG: u64 = QUEUE + 1;

type Failure = Box<dyn std::error::Error>;

fn address(prefix: &str, number: u64) -> String {
    format!("shm:gateway-{prefix}-{number}")
}

/// All names with a prefix, which go whatever happens.
struct Names(String);

impl Drop for Names {
    fn drop(&mut self) {
        for number in 0..=LOG {
            let _ = annulus::unlink(&address(&self.0, number));
        }
    }
}

/// What the gateway waits for.
enum Source {
    Quotes(spsc::Receiver<u64>),
    Orders(Box<mpmc::Receiver<u64>>),
    Log(stream::Receiver),
}

impl Source {
    fn member(&mut self) -> &mut dyn Waitable {
        match self {
            Self::Quotes(receiver) => receiver,
            Self::Orders(receiver) => &mut **receiver,
            Self::Log(receiver) => receiver,
        }
    }

    /// Takes what is there, without waiting, and counts quotes, orders and lines.
    fn take(&mut self, counts: &mut [u64; 3]) -> Result<(), TryRecvError> {
        match self {
            Self::Quotes(receiver) => {
                let expected = receiver.position();
                assert_eq!(receiver.try_recv()?, expected, "a quote is missing");
                counts[0] += 1;
            }
            Self::Orders(receiver) => {
                receiver.try_recv()?;
                counts[1] += 1;
            }
            Self::Log(receiver) => {
                let mut text = [0; 256]; // pieces of lines, as from a pipe
                let len = receiver.try_recv(&mut text)?;
                counts[2] += text[..len].iter().filter(|byte| **byte == b'\n').count() as u64;
            }
        }
        Ok(())
    }
}

fn gateway() -> Result<(), Failure> {
    let names = Names(std::process::id().to_string());
    let name = |number| address(&names.0, number);
    let mut sources = Vec::new();
    for number in 0..QUEUE {
        let ring = spsc::Ring::options().capacity(64).create_new(&name(number))?;
        sources.push(Source::Quotes(ring.receiver()?));
    }
    let queue = mpmc::Ring::options().capacity(64).create_new(&name(QUEUE))?;
    sources.push(Source::Orders(Box::new(queue.receiver()?)));
    let log = stream::Ring::options().capacity(4096).create_new(&name(LOG))?;
    sources.push(Source::Log(log.receiver()?));

    // A queue whose senders have all left is closed, even if others are still to come: our
    // own keeps it open until the feeders are through.
    let mut open = Some(queue.sender()?);
    let mut children = Vec::new();
    let mut start = |arguments: &[&str]| -> Result<(), Failure> {
        children.push(Command::new(std::env::current_exe()?).args(arguments).spawn()?);
        Ok(())
    };
    for number in 0..FEEDERS {
        start(&["feeder", &names.0, &number.to_string()])?;
    }
    start(&["logger", &names.0])?;

    let (mut set, mut counts, mut feeds) = (WaitSet::new(), [0; 3], QUEUE);
    while !sources.is_empty() {
        let mut members: Vec<_> = sources.iter_mut().map(Source::member).collect();
        let due = set.wait(&mut members, Some(Duration::from_secs(20)))?;
        match sources[due].take(&mut counts) {
            // In a queue others may have been first, or the next order be half written.
            Ok(()) | Err(TryRecvError::Empty | TryRecvError::Stalled) => {}
            // An end stays due: what has ended leaves the set.
            Err(TryRecvError::Closed) => {
                if let Source::Quotes(_) = sources.swap_remove(due) {
                    feeds -= 1;
                }
                if feeds == 0 {
                    drop(open.take());
                }
            }
            Err(error) => return Err(error.into()), // `Died`, say
        }
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a child failed".into());
        }
    }
    println!("{} quotes, {} orders, {} log lines", counts[0], counts[1], counts[2]);
    let expected = [QUEUE * QUOTES, FEEDERS * ORDERS, LINES];
    if counts == expected { Ok(()) } else { Err("some are missing".into()) }
}

fn feeder(prefix: &str, feeder: u64) -> Result<(), Failure> {
    let own = feeder * RINGS..(feeder + 1) * RINGS;
    let rings = own.map(|number| spsc::Ring::<u64>::open(&address(prefix, number))?.sender());
    let mut rings = rings.collect::<Result<Vec<_>, _>>()?;
    let mut orders = mpmc::Ring::<u64>::open(&address(prefix, QUEUE))?.sender()?;
    for number in 0..QUOTES {
        for ring in &mut rings {
            ring.send(number)?;
        }
        if number % (QUOTES / ORDERS) == 0 {
            orders.send(number)?;
        }
    }
    Ok(()) // the senders go, and so their rings are closed
}

fn logger(prefix: &str) -> Result<(), Failure> {
    let mut log = stream::Ring::open(&address(prefix, LOG))?.sender()?;
    for number in 0..LINES {
        writeln!(log, "line {number}: all is well")?;
    }
    Ok(log.finish()?) // the end of a stream is said: otherwise it would be cut off
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["feeder", prefix, number] => feeder(prefix, number.parse()?),
        ["logger", prefix] => logger(prefix),
        _ => gateway(),
    }
}
