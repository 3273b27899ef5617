//! Hand-offs between two processes that sleep while they wait, against the mechanisms of
//! the kernel that they could use instead; and what it costs to be able to wake somebody.
//!
//! One token goes to and fro; each side is asleep when its turn comes. Subjects take turns
//! within each round, so that all see the same machine; figures are medians of short
//! samples, and ratios are taken round by round to a bare futex (or, for the stream, to a
//! ring that only spins).
//!
//! `cargo bench --bench handoff [-- ROUNDS]`
#![allow(unsafe_code, missing_docs)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use annulus::WaitMethod;
use annulus::spsc::{Receiver, Ring, Sender};

/// Hand-offs there and back in a sample.
const TURNS: u32 = 200;
/// Messages in a sample of the stream.
const STREAM: u64 = 200_000;

const SUBJECTS: [&str; 8] = [
    "bare futex",
    "ring, futex",
    "ring, fenced futex",
    "ring, semaphore",
    "POSIX semaphore",
    "eventfd",
    "pipe",
    "Unix socket",
];
const STREAMS: [&str; 2] = ["spin-only ring", "ring that could wake"];

/// Both ends of one direction of everything.
struct Ends {
    rings: [(Sender<u64>, Receiver<u64>); 3],
    futex: (&'static AtomicU32, &'static AtomicU32),
    semaphores: (NonNull<libc::sem_t>, NonNull<libc::sem_t>),
    files: [(File, File); 3],
}

/// A page of memory that both processes map.
fn page(fd: RawFd) -> NonNull<u8> {
    let (access, len) = (libc::PROT_READ | libc::PROT_WRITE, 4096);
    // SAFETY: a new mapping of a whole page of an open memfd.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    NonNull::new(page.cast()).expect("not at zero")
}

fn at<T>(page: NonNull<u8>, offset: usize) -> NonNull<T> {
    // SAFETY: within the page.
    unsafe { page.add(offset) }.cast()
}

fn futex_wait(word: &AtomicU32, seen: u32) {
    while word.load(Ordering::Acquire) == seen {
        // SAFETY: the kernel checks the address.
        unsafe {
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, 0_usize);
        }
    }
}

fn futex_wake(word: &AtomicU32) {
    word.fetch_add(1, Ordering::Release);
    // SAFETY: the kernel checks the address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

impl Ends {
    /// Passes the token.
    fn pass(&mut self, subject: usize) {
        match subject {
            0 => futex_wake(self.futex.0),
            1..=3 => self.rings[subject - 1].0.send(1).expect("the peer lives"),
            4 => {
                // SAFETY: initialised before the processes parted.
                assert_eq!(unsafe { libc::sem_post(self.semaphores.0.as_ptr()) }, 0);
            }
            _ => self.files[subject - 5].0.write_all(&1_u64.to_ne_bytes()).expect("open"),
        }
    }

    /// Waits for it.
    fn take(&mut self, subject: usize, turn: &mut u32) {
        match subject {
            0 => {
                futex_wait(self.futex.1, *turn);
                *turn = turn.wrapping_add(1);
            }
            1..=3 => assert_eq!(self.rings[subject - 1].1.recv(), Ok(1)),
            4 => {
                // SAFETY: as in `pass`.
                while unsafe { libc::sem_wait(self.semaphores.1.as_ptr()) } != 0 {}
            }
            _ => {
                let mut token = [0; 8];
                self.files[subject - 5].1.read_exact(&mut token).expect("open");
                assert_eq!(u64::from_ne_bytes(token), 1);
            }
        }
    }
}

fn pin(core: usize) {
    let mut set = nix::sched::CpuSet::new();
    set.set(core).expect("a small number");
    // On one core alone the figures mean less, and are there.
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
}

fn methods() -> [(WaitMethod, bool); 3] {
    [(WaitMethod::Futex, false), (WaitMethod::Futex, true), (WaitMethod::Semaphore, false)]
}

/// Asleep at once: what is measured is waking up.
fn eager(method: WaitMethod) -> annulus::Options<Ring<u64>> {
    let none = Duration::ZERO;
    Ring::options().capacity(64).wait_method(method).spin(none).yielding(none)
}

fn file(fd: RawFd) -> File {
    // SAFETY: each number is a descriptor that nobody else owns in this process.
    File::from(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes this side's ends; `lead` is the parent.
fn ends(name: &str, memory: RawFd, fds: &[RawFd], lead: bool) -> Ends {
    let page = page(memory);
    // SAFETY: in the page, which stays mapped; an atomic.
    let futex = |n: usize| unsafe { at::<AtomicU32>(page, 128 * n).as_ref() };
    let semaphore = |n: usize| at::<libc::sem_t>(page, 1024 + 128 * n);
    let (own, peers) = if lead { (0, 1) } else { (1, 0) };
    let mut index = 0;
    let rings = methods().map(|(method, _)| {
        let open = |direction: usize| {
            eager(method).open(&format!("shm:{name}-{index}-{direction}")).expect("made")
        };
        let both = (open(own).sender().expect("free"), open(peers).receiver().expect("free"));
        index += 1;
        both
    });
    let files = [0, 1, 2].map(|n| {
        let pair = &fds[4 * n..4 * n + 4];
        if lead { (file(pair[0]), file(pair[1])) } else { (file(pair[2]), file(pair[3])) }
    });
    Ends {
        rings,
        futex: (futex(own), futex(peers)),
        semaphores: (semaphore(own), semaphore(peers)),
        files,
    }
}

/// The child: answers whatever it is told to, until its input ends.
fn child(name: &str, fds: Vec<RawFd>) {
    pin(1);
    let mut ends = ends(name, fds[0], &fds[1..], false);
    let stream = |n: usize| Ring::<u64>::open(&format!("shm:{name}-stream-{n}")).expect("made");
    let mut streams = [0, 1].map(|n| stream(n).receiver().expect("free"));
    let (mut orders, mut done) = (std::io::stdin(), std::io::stdout());
    let (mut order, mut turn) = ([0], 0);
    while orders.read_exact(&mut order).is_ok() {
        let subject = usize::from(order[0]);
        if let Some(n) = subject.checked_sub(SUBJECTS.len()) {
            let sum = (0..STREAM).map(|_| streams[n].recv().expect("the peer lives")).sum::<u64>();
            assert_eq!(sum, STREAM * (STREAM - 1) / 2);
        } else {
            for _ in 0..TURNS {
                ends.take(subject, &mut turn);
                ends.pass(subject);
            }
        }
        done.write_all(&order).and_then(|()| done.flush()).expect("the parent lives");
    }
}

struct Lead {
    ends: Ends,
    streams: [Sender<u64>; 2],
    child: Child,
    turn: u32,
}

impl Lead {
    /// Nanoseconds for a hand-off one way, or a message of the stream.
    fn sample(&mut self, subject: usize) -> f64 {
        let orders = self.child.stdin.as_mut().expect("piped");
        orders.write_all(&[subject as u8]).and_then(|()| orders.flush()).expect("it lives");
        let start = Instant::now();
        let count = if let Some(n) = subject.checked_sub(SUBJECTS.len()) {
            for message in 0..STREAM {
                self.streams[n].send(message).expect("it lives");
            }
            STREAM as f64
        } else {
            for _ in 0..TURNS {
                self.ends.pass(subject);
                self.ends.take(subject, &mut self.turn);
            }
            2.0 * f64::from(TURNS)
        };
        let time = start.elapsed();
        let mut done = [0];
        self.child.stdout.as_mut().expect("piped").read_exact(&mut done).expect("it lives");
        time.as_nanos() as f64 / count
    }
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

fn report(what: &str, names: &[&str], samples: &[Vec<f64>]) {
    println!("{what:<24}{:>12}{:>10}{:>18}", "ns", "ratio", "p10..p90");
    for (name, own) in names.iter().zip(samples) {
        let mut ratios: Vec<_> =
            own.iter().zip(&samples[0]).map(|(own, bare)| own / bare).collect();
        let mut own = own.clone();
        own.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        let [low, middle, high] = [0.1, 0.5, 0.9].map(|q| quantile(&ratios, q));
        println!("{name:<24}{:>12.1}{middle:>10.3}{low:>10.3}..{high:.3}", quantile(&own, 0.5));
    }
    println!("({} rounds)\n", samples[0].len());
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [role, name, fds @ ..] = &arguments[..]
        && role == "child"
    {
        return child(name, fds.iter().map(|fd| fd.parse().expect("a number")).collect());
    }
    let rounds = arguments.iter().find_map(|rounds| rounds.parse().ok()).unwrap_or(60);
    pin(0);

    let name = format!("annulus-handoff-{}", std::process::id());
    let mut made = Vec::new();
    for (index, (method, fenced)) in methods().into_iter().enumerate() {
        for direction in [0, 1] {
            let address = format!("shm:{name}-{index}-{direction}");
            made.push(eager(method).fenced(fenced).create_new(&address).expect("/dev/shm"));
        }
    }
    for (n, method) in [WaitMethod::Spin, WaitMethod::Futex].into_iter().enumerate() {
        let options = Ring::options().capacity(256).wait_method(method);
        made.push(options.create_new(&format!("shm:{name}-stream-{n}")).expect("/dev/shm"));
    }

    // SAFETY: a name, and no flags: the descriptors below are inherited.
    let memory = unsafe { libc::memfd_create(c"handoff".as_ptr(), 0) };
    // SAFETY: the memfd just made.
    assert_eq!(unsafe { libc::ftruncate(memory, 4096) }, 0);
    for n in [0, 1] {
        let semaphore = at::<libc::sem_t>(page(memory), 1024 + 128 * n);
        // SAFETY: in a mapped page that nobody uses yet.
        assert_eq!(unsafe { libc::sem_init(semaphore.as_ptr(), 1, 0) }, 0);
    }
    // Of each mechanism: the parent's ends to pass and to take, then the child's.
    // SAFETY: plain calls for new descriptors.
    let [a, b] = [0, 1].map(|_| unsafe { libc::eventfd(0, 0) });
    let pair = |make: &dyn Fn(*mut RawFd) -> i32| {
        let mut fds = [0; 2];
        assert_eq!(make(fds.as_mut_ptr()), 0);
        fds
    };
    // SAFETY: each writes two numbers.
    let pipe = || pair(&|fds| unsafe { libc::pipe(fds) });
    let (ping, pong) = (pipe(), pipe());
    let kind = libc::SOCK_STREAM;
    // SAFETY: as above.
    let socket = pair(&|fds| unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds) });
    // SAFETY: a second number for an open descriptor.
    let dup = |fd: RawFd| unsafe { libc::dup(fd) };
    let fds = [
        [a, b, dup(b), dup(a)],
        [ping[1], pong[0], pong[1], ping[0]],
        [socket[0], dup(socket[0]), socket[1], dup(socket[1])],
    ]
    .concat();

    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.arg("child").arg(&name).arg(memory.as_raw_fd().to_string());
    command.args(fds.iter().map(ToString::to_string));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let die_with_parent = || {
        let signal = nix::sys::signal::Signal::SIGKILL;
        nix::sys::prctl::set_pdeathsig(signal).map_err(std::io::Error::from)
    };
    // SAFETY: one call that a child between fork and exec may make.
    unsafe { command.pre_exec(die_with_parent) };
    let child = command.spawn().expect("this program");
    let ends = ends(&name, memory, &fds, true);
    let stream = |n: usize| Ring::open(&format!("shm:{name}-stream-{n}")).expect("made");
    let streams = [0, 1].map(|n| stream(n).sender().expect("free"));
    let mut lead = Lead { ends, streams, child, turn: 0 };

    let subjects = SUBJECTS.len() + STREAMS.len();
    let mut samples = vec![Vec::new(); subjects];
    for round in 0..=rounds {
        for (subject, samples) in samples.iter_mut().enumerate() {
            let nanos = lead.sample(subject);
            // The first round warms up.
            if round > 0 {
                samples.push(nanos);
            }
        }
        eprint!("\rround {round} of {rounds}");
    }
    eprintln!();
    report("sleeping hand-off", &SUBJECTS, &samples[..SUBJECTS.len()]);
    report("8-byte stream", &STREAMS, &samples[SUBJECTS.len()..]);
    println!("waits that only a slice rescued: {}", lead.ends.rings[0].1.rescues());

    drop(lead.child.stdin.take());
    assert!(lead.child.wait().expect("a child").success());
    for index in 0..3 {
        for direction in [0, 1] {
            annulus::unlink(&format!("shm:{name}-{index}-{direction}")).expect("it stands");
        }
    }
    for n in [0, 1] {
        annulus::unlink(&format!("shm:{name}-stream-{n}")).expect("it stands");
    }
}
