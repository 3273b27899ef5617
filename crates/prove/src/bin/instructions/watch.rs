//! The main process: gives workers their cells, listens, and notices who hangs.
//!
//! Imports: verbs; child, report.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use annulus_prove::{Depth, Options, Report, child};

use crate::verbs::{self, Before, Cell, Company, Fill, Place, Verb};

/// In the environment: what the names of a worker's segments begin with.
pub const TAG: &str = "ANNULUS_PROVE_TAG";
/// The processor that a worker keeps to.
pub const CORE: &str = "ANNULUS_PROVE_CORE";

/// Silence for so long is a hang.
const WATCHDOG: Duration = Duration::from_secs(30);

/// One worker, as the main process knows it.
struct Worker {
    child: Child,
    orders: ChildStdin,
    /// The cell that it is at, and its last word.
    cell: Option<usize>,
    last: String,
    heard: std::time::Instant,
}

/// What has come of a ring's cells.
#[derive(Default)]
struct Tally {
    cells: u64,
    kills: u64,
    exhausted: u64,
    images: u64,
}

/// Who says what; `None`: it has ended.
type Line = (usize, Option<String>);

/// Runs all cells that are wanted.
pub fn run(options: &Options, report: &Report) {
    let cells = verbs::cells();
    let wanted = |n: &usize| options.wants(&cells[*n].to_string()) && chosen(&cells[*n], options);
    let mut todo: Vec<usize> = (0..cells.len()).filter(wanted).collect();
    if options.bug.is_some() {
        by_variety(&mut todo, &cells, options.seed);
    }
    report.figure("cells", todo.len());
    // Those with much to do last would keep one worker waiting for the other.
    todo.reverse();
    // Two a processor: survivors sleep now and then.
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let workers = 2 * cores;
    let tag = format!("annulus-prove-{:x}", options.seed ^ u64::from(std::process::id()));
    let (tell, lines) = mpsc::channel();
    let mut team: Vec<Option<Worker>> =
        (0..workers).map(|n| Some(hire(n, cores, &tag, options, &tell))).collect();
    let (mut tallies, mut faults) = (BTreeMap::new(), Faults::default());
    let total = todo.len();
    for slot in &mut team {
        next(slot, &mut todo);
    }
    while team.iter().any(Option::is_some) {
        listen(&lines, &mut team, |worker, line| {
            let cell = worker.cell.map(|n| cells[n]);
            heard(report, &mut faults, &mut tallies, cell, line);
        });
        let stop = options.bug.is_some() && report.findings() > 0;
        if stop {
            todo.clear();
        }
        for (n, slot) in team.iter_mut().enumerate() {
            let Some(worker) = slot else { continue };
            if worker.cell.is_none() && !stop {
                next(slot, &mut todo);
                report.progress(format!("{} of {total} cells", total - todo.len()));
                continue;
            }
            let silent = worker.heard.elapsed() > WATCHDOG;
            if stop || silent {
                if silent {
                    report.found(format!("hang, or death of a survivor: {}", worker.last));
                    faults.note("hang");
                }
                let _ = worker.child.kill();
                let _ = worker.child.wait();
                *slot = (!stop).then(|| hire(n, cores, &tag, options, &tell));
                next(slot, &mut todo);
            }
        }
    }
    clean(&tag);
    figures(report, &tallies, options);
    for (name, count) in SIGNS.iter().zip(faults.0) {
        report.figure(name.0, count);
    }
}

/// What was found, by sort, and by which words it is known.
const SIGNS: [(&str, &[&str]); 4] = [
    ("hangs", &["hang", "wedged", "sleeps on", "no end"]),
    ("torn", &["torn", "can't be"]),
    ("lost", &["lost", "positions, but"]),
    ("doubles that are not marked", &["double", "came twice", "came again"]),
];

#[derive(Default)]
struct Faults([u64; SIGNS.len()]);

impl Faults {
    fn note(&mut self, what: &str) {
        for (count, (_, signs)) in self.0.iter_mut().zip(SIGNS) {
            *count += u64::from(signs.iter().any(|sign| what.contains(sign)));
        }
    }
}

fn comes(cell: &Cell) -> bool {
    cell.verb.comes() || cell.verb.makes()
}

/// One of each sort of cell before a second of any: any of them may have the bug. What it costs
/// to be there with others comes behind what is done alone.
fn by_variety(todo: &mut [usize], cells: &[Cell], seed: u64) {
    let mix = |n: usize| (n as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    todo.sort_by_cached_key(|n| mix(*n));
    let mut turns = BTreeMap::new();
    todo.sort_by_cached_key(|n| {
        let Cell { kind, verb, company, before, place, .. } = cells[*n];
        let sort = match verb.makes() {
            // The same for all rings.
            true => format!("{verb:?} {before:?} {place:?}"),
            false => format!("{kind:?} {verb:?} {before:?} {company:?}"),
        };
        let turn = turns.entry(sort).or_insert(0);
        *turn += 1;
        (*turn, company != Company::None || comes(&cells[*n]))
    });
}

/// Whether a cell is run at this depth. The quick run has one fill where the segment is no memfd,
/// and of second deaths and rivals those of verbs that do not wait:
/// what differs there is how one comes to it. Bugs are looked for in memfds, and in the making of
/// all.
fn chosen(cell: &Cell, options: &Options) -> bool {
    // Who may wait and need not leaves the same behind as one who may not.
    let waits = matches!(cell.verb, Verb::Send | Verb::SendMany | Verb::Recv | Verb::RecvMany);
    let sampled = options.depth == Depth::Quick && options.only.is_none();
    if sampled && waits && matches!(cell.company, Company::Second(_) | Company::Rival) {
        return false;
    }
    if cell.place == Place::Memfd || (options.bug.is_some() && cell.verb.makes()) {
        return true;
    }
    let one = if cell.verb.sends() { Fill::Wrap } else { Fill::One };
    let new = cell.before == Before::Nobody && comes(cell);
    options.bug.is_none() && (!sampled || cell.fill == one || new || cell.verb.makes())
}

fn hire(n: usize, cores: usize, tag: &str, options: &Options, tell: &Sender<Line>) -> Worker {
    let mut command = child::command("worker", options, 0);
    command.args(std::env::args().skip(1));
    command.args(["--seed", &options.seed.to_string()]);
    command.env(TAG, format!("{tag}-{n}")).env(CORE, (n % cores).to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // A victim that panics says so; its death is what counts.
    let mut child = command.spawn().expect("a worker");
    let (orders, said) =
        (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let tell = tell.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines() {
            let Ok(line) = line else { break };
            if tell.send((n, Some(line))).is_err() {
                return;
            }
        }
        let _ = tell.send((n, None));
    });
    let heard = std::time::Instant::now();
    Worker { child, orders, cell: None, last: "its start".into(), heard }
}

/// Gives a worker its next cell, or lets it go.
fn next(slot: &mut Option<Worker>, todo: &mut Vec<usize>) {
    let Some(worker) = slot else { return };
    worker.heard = std::time::Instant::now();
    match todo.pop() {
        Some(cell) => {
            worker.cell = Some(cell);
            let _ = writeln!(worker.orders, "{cell}");
        }
        None => {
            if let Some(mut worker) = slot.take() {
                drop(worker.orders);
                let _ = worker.child.wait();
            }
        }
    }
}

/// Takes in what has been said.
fn listen(
    lines: &Receiver<Line>,
    team: &mut [Option<Worker>],
    mut told: impl FnMut(&Worker, &str),
) {
    let first = match lines.recv_timeout(Duration::from_secs(1)) {
        Ok(line) => line,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
    };
    for (n, line) in std::iter::once(first).chain(lines.try_iter()) {
        let Some(worker) = &mut team[n] else { continue };
        worker.heard = std::time::Instant::now();
        match line {
            Some(line) => {
                told(worker, &line);
                if line.starts_with("done ") {
                    worker.cell = None;
                }
                worker.last = line;
            }
            // Not in order: the watchdog need not wait.
            None => worker.heard -= WATCHDOG + Duration::from_secs(1),
        }
    }
}

fn heard(
    report: &Report,
    faults: &mut Faults,
    tallies: &mut BTreeMap<&'static str, Tally>,
    cell: Option<Cell>,
    line: &str,
) {
    if let Some(what) = line.strip_prefix("found ") {
        report.found(what);
        faults.note(what);
    }
    let (Some(numbers), Some(cell)) = (line.strip_prefix("done "), cell) else { return };
    let numbers: Vec<u64> = numbers.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [kills, steps, images] = numbers[..] else { return };
    let tally = tallies.entry(cell.kind.name()).or_default();
    tally.cells += 1;
    tally.kills += kills;
    tally.images += images;
    tally.exhausted += u64::from(kills > steps);
}

fn figures(report: &Report, tallies: &BTreeMap<&'static str, Tally>, options: &Options) {
    let sum = |of: fn(&Tally) -> u64| tallies.values().map(of).sum::<u64>();
    report.figure("kill points", sum(|tally| tally.kills));
    for (kind, tally) in tallies {
        report.figure(&format!("kill points, {kind}"), tally.kills);
    }
    report.figure("cells run", sum(|tally| tally.cells));
    report.figure("cells with a kill at every instruction", sum(|tally| tally.exhausted));
    report.figure("distinct memory images on the way", sum(|tally| tally.images));
    match options.depth {
        Depth::Quick => report.skipped(
            "quick",
            "verbs of more than 200 instructions are sampled at 40, of named segments and files \
             one fill at 6, making at 40, waiters at 24, rivals at 40 pairs, second deaths at \
             8 after 3 images, and these of verbs that do not wait",
        ),
        Depth::Full => report.skipped(
            "full",
            "verbs of more than 1000 instructions are sampled at 400, each change of memory and \
             system call among them; those of named segments and files of more than 120 at 60; \
             rivals at 500 pairs; second deaths of more than 60 instructions at 40, after 12 images",
        ),
    }
}

/// Removes what killed workers left.
fn clean(tag: &str) {
    for folder in ["/dev/shm".into(), std::env::temp_dir()] {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(tag) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
