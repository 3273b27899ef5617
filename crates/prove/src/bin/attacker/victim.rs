//! A victim: one end of a ring, which goes on calling whatever it is told.
//!
//! ```text
//!   open ─▶ a seat ─▶ call, call, … ─▶ a fault ─▶ drop all ─▶ open …
//!            each call: how it ended · how long after its deadline and a slice
//! ```

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use annulus::{
    Error, Fault, Observer, Options, RecvError, RingKind, SendError, TryRecvError, TrySendError,
    WaitError,
};

use crate::rings;
use crate::task::{Random, Task};

pub const SLICE: Duration = Duration::from_millis(20);

/// A call may be so late, beside the time in which its thread could run and did not.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long a call may wait when its segment is gone for good: it is told within its slices.
const PATIENT: Duration = Duration::from_secs(2);

/// What a victim has met.
#[derive(Default)]
struct Diary {
    calls: u64,
    said: BTreeMap<String, u64>,
    worst: Duration,
}

impl Diary {
    fn note(&mut self, what: String) {
        *self.said.entry(what).or_default() += 1;
    }
}

/// How a call went, in words; and whether the handle can't go on.
pub struct Ended(Option<String>, bool);

impl Ended {
    fn said(kind: &str, what: impl std::fmt::Debug) -> Self {
        let text = format!("{what:?}");
        let word: String = text.chars().take_while(|it| it.is_alphanumeric()).collect();
        Self(Some(format!("{kind}::{word}")), false)
    }

    fn fault(kind: &str, fault: Fault) -> Self {
        let what = match fault {
            Fault::Corrupt(corrupt) => format!("Corrupt({})", corrupt.word),
            Fault::PositionLimit => "PositionLimit".to_owned(),
            other => panic!("{kind}: {other}"),
        };
        Self(Some(format!("{kind}::{what}")), true)
    }
}

pub trait Ends {
    fn ended(self) -> Ended;
}

impl<T, E: Ends> Ends for Result<T, E> {
    fn ended(self) -> Ended {
        match self {
            Ok(_) => Ended(None, false),
            Err(error) => error.ended(),
        }
    }
}

impl<T> Ends for TrySendError<T> {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(_, fault) => Ended::fault("TrySendError", fault),
            other => Ended::said("TrySendError", other),
        }
    }
}

impl<T> Ends for SendError<T> {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(_, fault) => Ended::fault("SendError", fault),
            other => Ended::said("SendError", other),
        }
    }
}

impl Ends for TryRecvError {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(fault) => Ended::fault("TryRecvError", fault),
            other => Ended::said("TryRecvError", other),
        }
    }
}

impl Ends for RecvError {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(fault) => Ended::fault("RecvError", fault),
            other => Ended::said("RecvError", other),
        }
    }
}

impl Ends for WaitError {
    fn ended(self) -> Ended {
        match self {
            Self::Fault(fault) => Ended::fault("WaitError", fault),
            other => Ended::said("WaitError", other),
        }
    }
}

impl Ends for Error {
    fn ended(self) -> Ended {
        match self {
            Self::Mismatch { field, .. } => Ended(Some(format!("Error::Mismatch({field})")), true),
            Self::Corrupt(corrupt) => {
                Ended(Some(format!("Error::Corrupt({})", corrupt.word)), true)
            }
            Self::Os { call, source } => {
                Ended(Some(format!("Error::Os({call}: {:?})", source.kind())), true)
            }
            other => Ended(Ended::said("Error", other).0, true),
        }
    }
}

/// How long this thread could have run and did not, so far.
fn delayed() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// One process's work.
pub struct Victim {
    task: Task,
    until: Instant,
    pub random: Random,
    diary: Diary,
}

impl Victim {
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the segment is gone, and does not come again.
    fn is_gone(&self) -> bool {
        let len = || std::fs::metadata(&self.task.path).map(|file| file.len());
        self.task.attack == "cut" && len().is_ok_and(|len| len == 0)
    }

    /// A call that is to end within `time` and a slice. False: the handle can't go on.
    pub fn call<E: Ends>(&mut self, time: Duration, call: impl FnOnce() -> E) -> bool {
        let gone = time == PATIENT;
        let (before, began) = (delayed(), Instant::now());
        let Ended(what, over) = call().ended();
        let took = began.elapsed();
        let late = took.saturating_sub(time).saturating_sub(delayed() - before);
        self.diary.calls += 1;
        self.diary.worst = self.diary.worst.max(late);
        if let Some(what) = what {
            assert!(!gone || !what.ends_with("::Timeout"), "{what}, and the segment is gone");
            self.diary.note(what);
        }
        !over
    }

    /// How long a call may wait.
    pub fn time(&mut self) -> Duration {
        if self.is_gone() {
            return PATIENT;
        }
        [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(8)]
            [self.random.below(3) as usize]
    }

    /// Gives a seat back, which is a call too.
    pub fn leave<S>(&mut self, seat: S) {
        self.call(Duration::ZERO, || {
            drop(seat);
            Ok::<_, Error>(())
        });
    }

    /// Whether to leave and come again.
    pub fn leaves(&mut self) -> bool {
        let often = self.task.attack == "locks";
        self.random.below(if often { 8 } else { 500 }) == 0
    }

    pub fn some(&mut self, limit: usize) -> usize {
        self.random.below(limit as u64 + 1) as usize
    }

    /// Opens the ring again.
    pub fn open<R: RingKind>(&mut self, options: &Options<R>) -> Option<R> {
        let options = patient(options.clone()).sigbus_guard(self.task.place != "memfd");
        let address = self.task.address.clone();
        let mut ring = None;
        self.call(Duration::ZERO, || {
            let opened = match memfd(&address) {
                Some(memfd) => options.from_fd(memfd),
                None => options.open(&address),
            };
            opened.map(|it| ring = Some(it))
        });
        if self.random.below(4) == 0 {
            self.observe();
        }
        if ring.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        ring
    }

    /// Somebody looks on.
    fn observe(&mut self) {
        let address = self.task.address.clone();
        self.call(Duration::ZERO, || {
            let observer = match memfd(&address) {
                Some(memfd) => Observer::from_fd(memfd)?,
                None => Observer::open_guarded(&address)?,
            };
            let _ = (observer.len(), observer.head(), observer.tail(), observer.rescues());
            observer.seats().map(drop)
        });
    }

    /// Takes a seat.
    pub fn take<S>(&mut self, take: impl FnOnce() -> Result<S, Error>) -> Option<S> {
        let mut seat = None;
        // Whoever comes asks a few times for a lock that is held.
        self.call(Duration::from_millis(10), || take().map(|it| seat = Some(it)));
        if seat.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        seat
    }
}

/// The memfd at a path of `/proc`, if it is one.
fn memfd(address: &str) -> Option<OwnedFd> {
    let path = address.starts_with("/proc/").then_some(address)?;
    let file = std::fs::File::options().read(true).write(true).open(path);
    Some(file.expect("the parent keeps it").into())
}

pub fn patient<R: RingKind>(options: Options<R>) -> Options<R> {
    options.slice(SLICE)
}

/// A ring's name, and one life at one end of it.
type End = (&'static str, fn(&mut Victim));

fn run(ends: [End; 5], salt: u64) {
    let task = Task::read();
    let until = Instant::now() + task.time;
    let (_, end) = ends.iter().find(|(ring, _)| *ring == task.ring).expect("a ring");
    let random = Random(task.seed ^ salt);
    let mut victim = Victim { task, until, random, diary: Diary::default() };
    while !victim.is_over() {
        end(&mut victim);
    }
    for (what, times) in &victim.diary.said {
        println!("said {times} {what}");
    }
    println!("late {}", victim.diary.worst.as_micros());
    println!("calls {}", victim.diary.calls);
}

/// The role of a sender.
pub fn sender() {
    let ends: [End; 5] = [
        ("stream", rings::stream_sender),
        ("spsc", rings::spsc_sender),
        ("mpmc", rings::mpmc_sender),
        ("broadcast", rings::broadcast_sender),
        ("frames", rings::frames_sender),
    ];
    run(ends, 0);
}

/// The role of a receiver.
pub fn receiver() {
    let ends: [End; 5] = [
        ("stream", rings::stream_receiver),
        ("spsc", rings::spsc_receiver),
        ("mpmc", rings::mpmc_receiver),
        ("broadcast", rings::broadcast_receiver),
        ("frames", rings::frames_receiver),
    ];
    run(ends, 1 << 40);
}
