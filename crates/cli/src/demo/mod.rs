//! `annulus demo [FILE]`: the main job in one command.
//!
//! ```text
//!   this process ── 64 KiB messages, 1 GiB, checksum ──> the other   (file)
//!   this process <── 8-byte messages, both ways ───────> the other   (small)
//!         \________ each beside the raw limit _________/
//! ```
//!
//! All lanes lie between the same two pinned processes, and samples of all transports
//! take turns, so that a core that moves or a noisy neighbour hits them alike.

mod file;
mod progress;
mod small;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use annulus_measure::placement::Placement;
use annulus_measure::stats::median;
use annulus_measure::{Error, Kind, Lane, Pair};

use progress::Progress;
use source::Source;

/// When the last sample is taken at the latest, leaving time for the report.
const TIME: Duration = Duration::from_secs(24);

/// Why there was no report.
pub enum Failure {
    /// FILE can't be read.
    File(String),
    /// A transport or a process failed.
    Measure(Error),
    /// The report could not be written.
    Output(io::Error),
}

impl Failure {
    /// The exit code: 2 for what the caller can mend.
    pub fn code(&self) -> u8 {
        match self {
            Failure::File(_) => 2,
            Failure::Measure(_) | Failure::Output(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::File(reason) => f.write_str(reason),
            Failure::Measure(error) => error.fmt(f),
            Failure::Output(error) => write!(f, "writing the report: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Measure(error)
    }
}

/// A transport as the tables show it.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    kind: Kind,
    blocking: bool,
}

/// The four transports; pipe and socket both polled, as ring and stream are, and sleeping
/// in the kernel, as they are mostly used.
const ROWS: [Row; 6] = [
    Row { name: "ring", kind: Kind::Ring, blocking: false },
    Row { name: "stream", kind: Kind::Stream, blocking: false },
    Row { name: "pipe, polled", kind: Kind::Pipe, blocking: false },
    Row { name: "Unix socket, polled", kind: Kind::UnixStream, blocking: false },
    Row { name: "pipe, sleeping", kind: Kind::Pipe, blocking: true },
    Row { name: "Unix socket, sleeping", kind: Kind::UnixStream, blocking: true },
];

impl Row {
    fn lane(&self, size: usize) -> Lane {
        let lane = Lane::new(self.kind, size);
        if self.blocking { lane.blocking() } else { lane }
    }
}

/// Runs the demo and prints its report.
pub fn run(path: Option<&Path>) -> Result<(), Failure> {
    let start = Instant::now();
    let source = Source::open(path).map_err(Failure::File)?;
    let lanes: Vec<Lane> = file::lanes().into_iter().chain(small::lanes()).collect();
    let mut pair = Pair::start(&lanes)?;
    let mut progress = Progress::new();

    let moved = file::measure(&mut pair, &source, &mut progress)?;
    let exchanged = small::measure(&mut pair, &lanes, start + TIME, &mut progress)?;
    progress.done();

    let cores = pair.cores();
    let mut out = format!("Two processes, on cores {} and {}.\n\n", cores.lead, cores.peer);
    out += &format!("{}\n{}", moved.report(&source), exchanged.report());
    out += "\nThrown away: samples during which the cores moved or another program had one.\n";
    out += &format!("Took {:.1} s.\n", start.elapsed().as_secs_f64());
    match io::stdout().write_all(out.as_bytes()) {
        // Whoever asked for it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Output),
    }
}

/// Where the cores stood while one table was measured.
struct Where {
    /// The placement met most, which the table's figures are from.
    main: Placement,
    /// The raw round trip there, in nanoseconds.
    line: f64,
    others: Vec<Placement>,
}

impl Where {
    /// Of all samples' placements and raw round trips.
    fn most(met: impl Iterator<Item = (Placement, f64)>) -> Where {
        let mut all: BTreeMap<Placement, Vec<f64>> = BTreeMap::new();
        for (placement, line) in met {
            all.entry(placement).or_default().push(line);
        }
        let main = all.iter().max_by_key(|(_, lines)| lines.len()).map(|(&placement, _)| placement);
        // Nowhere, if the cores never stood still: then the table has no figures.
        let main = main.unwrap_or(Placement::OneCore);
        let line = typical(all.remove(&main).unwrap_or_default());
        Where { main, line, others: all.into_keys().collect() }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Where { main, line, others } = self;
        write!(f, "Cores: {main}, {line:.0} ns for a bare cache line there and back")?;
        if !others.is_empty() {
            let others: Vec<String> = others.iter().map(Placement::to_string).collect();
            write!(f, ";\nmet for a while and not counted: {}", others.join(", "))?;
        }
        f.write_str(".")
    }
}

/// A warning, where the better part of some figure's samples was interrupted.
fn spoilt(interrupted: impl Iterator<Item = f64>) -> String {
    let worst = interrupted.fold(0.0, f64::max);
    if worst < 0.5 {
        return String::new();
    }
    let worst = percent(worst);
    format!("Other programs had a core during up to {worst} of the samples: do not trust these.\n")
}

fn typical(values: impl IntoIterator<Item = f64>) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

/// A share as the tables show it.
fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
