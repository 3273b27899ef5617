//! Crash and re-open, refuse, forget and close, thousands of times, with everything back at the
//! start: guarantee 4.
//!
//! ```text
//!   a life: opens (or makes) the ring, takes seats, sends, holds a guard … SIGKILL
//!                 (some have forked or started another process, which lives on meanwhile)
//!   then the campaign: opens the ring, takes a seat of either side, sends and receives, leaves
//!   in good order: see `orderly`
//!   after each cell: seats, room, descriptors, mappings, names, memory of /dev/shm
//! ```
//!
//! A cell is a kind of ring, a place, and a way of waiting. /dev/shm is one of this campaign's
//! own where the machine allows it, so that whatever is found there is its doing: semaphores
//! too, whose names are not the campaign's choice.

mod life;
mod orderly;
mod shm;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use annulus::{Error, WaitMethod};
use annulus_prove::fleet::{LastWords, Life, Random};
use annulus_prove::ground::{self, PREFIX, Place};
use annulus_prove::rings::{Kind, Receiver, Refusal, Ring, Shape};
use annulus_prove::{Options, Report, child};
use life::Heirs;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(10);
/// How long a seat may look taken that nobody has, and how often it is asked for at least.
const PASSING: (Duration, u32) = (Duration::from_secs(3), 500);
/// Numbers that a ring holds.
const CAPACITY: u64 = 8;
/// Seats that each side of a ring of many has; of a broadcast, all of them.
const SEATS: usize = 4;

/// A kind of ring in a place.
struct Cell {
    name: String,
    shape: Shape,
    place: Place,
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in Kind::ALL {
        for place in Place::ALL {
            for method in [WaitMethod::Futex, WaitMethod::Semaphore] {
                let semaphores = method == WaitMethod::Semaphore;
                if semaphores && (!kind.has_semaphores() || place == Place::Memfd) {
                    continue;
                }
                let suffix = if semaphores { "/semaphores" } else { "" };
                let name = format!("{}/{place:?}{suffix}", kind.name()).to_lowercase();
                let slice = Duration::from_millis(2);
                let polls = Duration::from_nanos(200);
                let shape =
                    Shape { kind: *kind, method, fenced: false, capacity: CAPACITY, slice, polls };
                cells.push(Cell { name, shape, place });
            }
        }
    }
    cells
}

fn main() -> ExitCode {
    let options = Options::from_args();
    child::enter(&options, &[]);
    let report = Report::new();
    let own = shm::enter();
    // Whoever the dead leave behind is ours to bury.
    let heirs = nix::sys::prctl::set_child_subreaper(true);
    if let Err(error) = heirs {
        report.skipped("heirs of the dead", error);
    }
    if let Err(error) = &own {
        report.skipped("all of /dev/shm", error);
    }
    let end = Instant::now() + Duration::from_secs(options.pick(50, 3600));
    let (cells, mut random) = (cells(), Random::new(options.seed));
    let wanted: Vec<_> = cells.iter().filter(|cell| options.wants(&cell.name)).collect();
    let each = options.pick(1_000_u64, 10_000).div_ceil(wanted.len().max(1) as u64);
    // More than there are places for guarded segments in a process, all in all.
    let orderly = options.pick(1_100_u64, 12_000).div_ceil(wanted.len().max(1) as u64);
    let each = (each, orderly);
    // What is made once and stays.
    if let Some(cell) = wanted.first()
        && let Err(what) = run(cell, (2, 1), end, &mut random)
    {
        report.found(format_args!("{}: {what}", cell.name));
    }
    let (mut cycles, mut whole, mut slowest) = (0, 0, Duration::ZERO);
    for cell in &wanted {
        if Instant::now() >= end {
            report.skipped(&cell.name, "the time is over");
            continue;
        }
        let (seed, before) = (random.next(), (ground::held(), shm::used()));
        match run(cell, each, end, &mut Random::new(seed)) {
            Ok((done, time)) => (cycles, slowest) = (cycles + done, slowest.max(time)),
            Err(what) => report.found(format_args!("{}, seed {seed}: {what}", cell.name)),
        }
        let found = report.findings();
        for thing in ground::more(&ground::held(), &before.0) {
            report.found(format_args!("{}: left behind: {thing}", cell.name));
        }
        if own.is_ok() {
            let now = shm::used();
            for name in now.names.iter().filter(|name| !before.1.names.contains(*name)) {
                report.found(format_args!("{}: left in /dev/shm: {name}", cell.name));
            }
            if now.blocks > before.1.blocks {
                let more = now.blocks - before.1.blocks;
                report.found(format_args!("{}: {more} blocks of /dev/shm more", cell.name));
            }
        }
        whole += u64::from(found == report.findings());
        report.progress(format_args!("{}: {cycles} cycles", cell.name));
        if options.bug.is_some() && report.findings() > 0 {
            break;
        }
    }
    report.figure("cells", wanted.len());
    report.figure("cells that were back at the start", whole);
    report.figure("crash and re-open cycles", cycles);
    report.figure("cycles in good order of each cell", orderly);
    report.figure("slowest cycle, milliseconds", slowest.as_millis());
    report.end()
}

/// The ring of a cell: made, and opened again and again.
struct Spot<'a> {
    cell: &'a Cell,
    address: Option<String>,
    ring: Ring,
}

impl<'a> Spot<'a> {
    fn new(cell: &'a Cell, random: u64) -> Result<Self, Error> {
        let address = address(cell.place, random);
        let ring = match &address {
            Some(address) => cell.shape.create(address)?,
            None => cell.shape.create_memfd()?,
        };
        Ok(Self { cell, address, ring })
    }

    fn open(&self) -> Result<Ring, Error> {
        self.open_as(&self.cell.shape)
    }

    /// As what may be something else.
    fn open_as(&self, shape: &Shape) -> Result<Ring, Error> {
        match &self.address {
            Some(address) => shape.open(address),
            None => {
                let memfd = self.ring.fd().try_clone_to_owned();
                shape.from_fd(memfd.expect("a descriptor is left"))
            }
        }
    }

    /// Nobody has it open but us: it can be removed as unused.
    fn remove(self) -> Result<(), String> {
        drop(self.ring);
        let Some(address) = self.address else { return Ok(()) };
        remove_unused(&address)
    }
}

/// Nobody has it open; one who was just being forked or started has it for a moment yet.
fn remove_unused(address: &str) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match annulus::unlink_unused(address) {
            Err(Error::InUse { .. }) if start.elapsed() < PASSING.0 => {
                std::thread::sleep(Duration::from_micros(200));
            }
            outcome => return outcome.map_err(|error| format!("it is not unused: {error}")),
        }
    }
}

fn address(place: Place, random: u64) -> Option<String> {
    let name = format!("{PREFIX}{}-{random:016x}", std::process::id());
    match place {
        Place::Named => Some(format!("shm:{name}")),
        Place::File => Some(format!("file:{}", ground::folder().join(name).display())),
        Place::Memfd => None,
    }
}

/// Cycles of one cell: how many there were, and how long the slowest took.
fn run(
    cell: &Cell,
    (cycles, orderly): (u64, u64),
    end: Instant,
    random: &mut Random,
) -> Result<(u64, Duration), String> {
    let text = |error: Error| error.to_string();
    let (words, heirs) = (LastWords::default(), Heirs::default());
    let mut site = Spot::new(cell, random.next()).map_err(text)?;
    let room = fill(&site, random)?;
    let (mut done, mut slowest) = (0, Duration::ZERO);
    while done < cycles && Instant::now() < end {
        done += 1;
        if random.once_in(8)
            && let Some(other) = address(cell.place, random.next())
        {
            made_by_the_dead(cell, &other, (&words, &heirs), random)?;
            continue;
        }
        if cell.shape.kind == Kind::Stream {
            // One sender and one receiver in its life.
            site.remove()?;
            site = Spot::new(cell, random.next()).map_err(text)?;
        }
        let start = Instant::now();
        let life = Life::begin(60, &words, || {
            life::live(&site.open().expect("the ring"), &heirs, random.clone());
        });
        if random.once_in(4) {
            std::thread::sleep(Duration::from_micros(random.below(600)));
            life.kill();
        }
        life.bury().map_err(|what| words.get().unwrap_or(what))?;
        heirs.come();
        use_it(&site.open().map_err(text)?, cell.shape.kind, random.next())?;
        heirs.go();
        slowest = slowest.max(start.elapsed());
    }
    if cell.shape.kind == Kind::Stream {
        site.remove()?;
        site = Spot::new(cell, random.next()).map_err(text)?;
    }
    orderly::cycles(&site, orderly, random)?;
    orderly::room(&site.open().map_err(text)?, cell.shape.kind)?;
    if cell.shape.kind != Kind::Stream {
        let now = fill(&site, random)?;
        if now != room {
            return Err(format!("there was room for {room}, and is for {now}"));
        }
        seats(&site.open().map_err(text)?, cell.shape.kind)?;
    }
    site.remove()?;
    Ok((done, slowest))
}

/// A ring whose maker was killed: there is none, or a whole one, which can be used and removed.
fn made_by_the_dead(
    cell: &Cell,
    address: &str,
    (words, heirs): (&LastWords, &Heirs),
    random: &mut Random,
) -> Result<(), String> {
    let life = Life::begin(60, words, || {
        life::live(&cell.shape.create(address).expect("a new name"), heirs, random.clone());
    });
    // The semaphores of one who is killed while he makes a ring stay: see docs/failure.md.
    if cell.shape.method != WaitMethod::Semaphore && random.once_in(2) {
        std::thread::sleep(Duration::from_micros(random.below(600)));
        life.kill();
    }
    life.bury().map_err(|what| words.get().unwrap_or(what))?;
    heirs.come();
    let outcome = made(cell, address, random);
    heirs.go();
    outcome
}

fn made(cell: &Cell, address: &str, random: &mut Random) -> Result<(), String> {
    match cell.shape.open(address) {
        Ok(ring) => use_it(&ring, cell.shape.kind, random.next())?,
        Err(Error::NotFound { .. }) => return Ok(()),
        Err(other) => return Err(format!("what the dead has made: {other}")),
    }
    remove_unused(address)
}

/// Takes a seat; of a stream, if nobody has had it.
fn take<T>(kind: Kind, mut attach: impl FnMut() -> Result<T, Error>) -> Result<Option<T>, String> {
    let (start, mut asked) = (Instant::now(), 0);
    loop {
        asked += 1;
        match attach() {
            Ok(end) => return Ok(Some(end)),
            Err(Error::Over { .. }) if kind == Kind::Stream => return Ok(None),
            Err(Error::SeatTaken { .. } | Error::NoSeat { .. })
                if start.elapsed() < PASSING.0 || asked < PASSING.1 =>
            {
                std::thread::sleep(Duration::from_micros(50));
            }
            Err(other) => return Err(format!("no seat: {other}")),
        }
    }
}

/// Sends a number and receives until it comes.
fn use_it(ring: &Ring, kind: Kind, number: u64) -> Result<(), String> {
    let number = number | 1;
    let mut receiver = take(kind, || ring.receiver())?;
    let mut sender = take(kind, || ring.sender())?;
    let (Some(receiver), Some(sender)) = (&mut receiver, &mut sender) else { return Ok(()) };
    drain(receiver)?;
    let start = Instant::now();
    loop {
        match sender.send(number, Duration::from_millis(5)) {
            Ok(()) => break,
            // A message that a dead receiver had in hand waits for a receiver.
            Err(Refusal::NotYet) if start.elapsed() < LONG => {
                while receiver.recv(Duration::from_millis(5)).is_ok() {}
            }
            Err(why) => return Err(format!("a send: {why}")),
        }
    }
    while start.elapsed() < LONG {
        match receiver.recv(Duration::from_millis(20)) {
            Ok(got) if got == number => return Ok(()),
            Ok(_) | Err(Refusal::NotYet | Refusal::Lagged(_)) => {}
            Err(other) => return Err(format!("a receive: {other}")),
        }
    }
    Err("what was sent does not come".to_owned())
}

fn drain(receiver: &mut Receiver) -> Result<(), String> {
    loop {
        match receiver.try_recv() {
            Ok(_) | Err(Refusal::Lagged(_)) => {}
            Err(Refusal::NotYet | Refusal::Closed | Refusal::Died) => return Ok(()),
            Err(other) => return Err(format!("a receive: {other}")),
        }
    }
}

/// Empties the ring, and says how many numbers it takes then.
fn fill(site: &Spot<'_>, random: &mut Random) -> Result<u64, String> {
    let kind = site.cell.shape.kind;
    if kind == Kind::Stream || !kind.fills() {
        return Ok(0);
    }
    let ring = site.open().map_err(|error| error.to_string())?;
    let taken = take(kind, || ring.receiver())?.zip(take(kind, || ring.sender())?);
    let (mut receiver, mut sender) = taken.expect("no stream");
    // A few slices, in which what the dead have left is settled.
    for _ in 0..SEATS {
        while receiver.recv(Duration::from_millis(5)).is_ok() {}
    }
    let mut room = 0;
    loop {
        match sender.send(random.next(), Duration::from_millis(8)) {
            Ok(()) => room += 1,
            Err(Refusal::NotYet) => break,
            Err(why) => return Err(format!("filling: {why}")),
        }
    }
    drain(&mut receiver)?;
    Ok(room)
}

/// Every seat can be taken, at once.
fn seats(ring: &Ring, kind: Kind) -> Result<(), String> {
    let (senders, receivers) = match kind {
        Kind::Spsc | Kind::Stream => (1, 1),
        Kind::Broadcast | Kind::Lossless => (1, SEATS - 1),
        Kind::Mpmc | Kind::Frames => (SEATS, SEATS),
    };
    let senders: Result<Vec<_>, _> = (0..senders).map(|_| take(kind, || ring.sender())).collect();
    let receivers: Result<Vec<_>, _> =
        (0..receivers).map(|_| take(kind, || ring.receiver())).collect();
    let (_senders, _receivers) = (senders?, receivers?);
    // One more is refused, and that leaves nothing behind either.
    for _ in 0..4 {
        let refused = |said: Result<(), Error>| match said {
            Err(Error::SeatTaken { .. } | Error::NoSeat { .. }) => Ok(()),
            other => Err(format!("one more than there are seats: {other:?}")),
        };
        refused(ring.sender().map(drop))?;
        refused(ring.receiver().map(drop))?;
    }
    Ok(())
}
