//! Several processes that measure together: started once for a configuration, they take a
//! sample whenever the parent asks for one, and write down when they began and ended.
#![allow(unsafe_code, missing_docs, dead_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, ftruncate};

/// Words of shared memory that all map.
pub const WORDS: usize = 1 << 16;

/// Most processes.
const MOST: usize = 16;

const ROUND: usize = 0;
const SUBJECT: usize = 16;
const COUNT: usize = 17;
const READY: usize = 18;
/// A line for each process: round done, begin, end, checksum.
const LINES: usize = 64;
/// The first word that is the subjects'.
pub const FREE: usize = 1024;

/// Shared memory.
#[derive(Clone, Copy)]
pub struct Shared(NonNull<AtomicU64>);

// SAFETY: atomics alone.
unsafe impl Send for Shared {}

impl Shared {
    fn map(fd: RawFd) -> Self {
        let (access, len) = (libc::PROT_READ | libc::PROT_WRITE, WORDS * 8);
        // SAFETY: a new mapping of an open memfd of that length.
        let page =
            unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        Self(NonNull::new(page.cast()).expect("not at zero"))
    }

    /// A word, which lives as long as the process.
    pub fn word(self, index: usize) -> &'static AtomicU64 {
        assert!(index < WORDS);
        // SAFETY: within the mapping.
        let word = unsafe { self.0.add(index) };
        // SAFETY: mapped, aligned, never unmapped.
        unsafe { word.as_ref() }
    }
}

/// Nanoseconds of the monotonic clock, the same in all processes.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core).expect("a core");
    sched_setaffinity(Pid::from_raw(0), &set).expect("a core of ours");
}

/// A memfd of all words.
pub fn memory() -> OwnedFd {
    let fd = memfd_create(c"crowd", MFdFlags::empty()).expect("a memfd");
    ftruncate(&fd, WORDS as i64 * 8).expect("some memory");
    fd
}

/// The parent's side.
pub struct Crowd {
    pub shared: Shared,
    children: Vec<Child>,
    round: u64,
}

/// What one sample came to.
pub struct Sample {
    /// From the first who began to the last who ended.
    pub nanos: f64,
    /// Sum of what all wrote down.
    pub checksum: u64,
}

impl Crowd {
    /// Starts `count` processes with this executable, each told its number and `config`;
    /// `fds` are inherited, the first being the shared memory.
    pub fn start(count: usize, config: &str, fds: &[RawFd]) -> Self {
        assert!(count <= MOST);
        let shared = Shared::map(fds[0]);
        for fd in fds {
            // SAFETY: inherited on purpose.
            unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) };
        }
        let list: Vec<_> = fds.iter().map(RawFd::to_string).collect();
        let children = (0..count)
            .map(|number| {
                let mut command = Command::new("/proc/self/exe");
                command
                    .env("ANNULUS_CROWD", format!("{number};{config};{}", list.join(",")))
                    .stdout(Stdio::inherit());
                // SAFETY: one system call between fork and exec.
                unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
                command.spawn().expect("this executable starts")
            })
            .collect();
        let mut crowd = Self { shared, children, round: 0 };
        crowd.wait("ready", |crowd| {
            crowd.shared.word(READY).load(Ordering::Acquire) == count as u64
        });
        crowd
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            std::thread::sleep(Duration::from_micros(200));
            for child in &mut self.children {
                assert!(child.try_wait().expect("a child").is_none(), "a process ended: {what}");
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nobody is {what}");
        }
    }

    /// One sample of a subject.
    pub fn sample(&mut self, subject: u64, count: u64) -> Sample {
        let shared = self.shared;
        shared.word(SUBJECT).store(subject, Ordering::Relaxed);
        shared.word(COUNT).store(count, Ordering::Relaxed);
        self.round += 1;
        let round = self.round;
        shared.word(ROUND).store(round, Ordering::Release);
        let lines: Vec<_> = (0..self.children.len()).map(|n| LINES + 16 * n).collect();
        let done = |at: &usize| shared.word(*at).load(Ordering::Acquire) == round;
        self.wait("done", |_| lines.iter().all(done));
        let times = |n| lines.iter().map(move |at| shared.word(at + n).load(Ordering::Relaxed));
        Sample {
            nanos: (times(2).max().unwrap_or(0) - times(1).min().unwrap_or(0)) as f64,
            checksum: times(3).fold(0, u64::wrapping_add),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Gone already: just as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One process of a crowd.
pub struct Member {
    pub number: usize,
    pub config: String,
    pub shared: Shared,
    pub fds: Vec<OwnedFd>,
}

impl Member {
    /// This process, if it is one; pinned to a core.
    pub fn enter() -> Option<Self> {
        let spec = std::env::var("ANNULUS_CROWD").ok()?;
        let mut parts = spec.split(';');
        let number: usize = parts.next()?.parse().ok()?;
        let config = parts.next()?.to_owned();
        // SAFETY: inherited for this process, and used here alone.
        let own = |fd: &str| unsafe { OwnedFd::from_raw_fd(fd.parse().expect("a number")) };
        let fds: Vec<_> = parts.next()?.split(',').map(own).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        pin(number % cores);
        Some(Self { number, config, shared: Shared::map(fds[0].as_raw_fd()), fds })
    }

    /// Takes samples for ever: `work(subject, count)` gives a checksum.
    pub fn serve(self, mut work: impl FnMut(u64, u64) -> u64) -> ! {
        let shared = self.shared;
        let line = LINES + 16 * self.number;
        shared.word(READY).fetch_add(1, Ordering::Release);
        let mut seen = 0;
        loop {
            let round = shared.word(ROUND).load(Ordering::Acquire);
            if round == seen {
                std::thread::yield_now();
                continue;
            }
            seen = round;
            let subject = shared.word(SUBJECT).load(Ordering::Relaxed);
            let count = shared.word(COUNT).load(Ordering::Relaxed);
            shared.word(line + 1).store(now(), Ordering::Relaxed);
            let checksum = work(subject, count);
            shared.word(line + 2).store(now(), Ordering::Relaxed);
            shared.word(line + 3).store(checksum, Ordering::Relaxed);
            shared.word(line).store(round, Ordering::Release);
        }
    }
}

/// Tries until it works, giving the processor away after a while: there may be more
/// processes than cores.
pub fn insist<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut tries = 0_u32;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        tries += 1;
        if tries.is_multiple_of(256) {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Median and the tenth and ninetieth percentile.
pub fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [5, 1, 9].map(|tenth| values[(values.len() - 1) * tenth / 10])
}

/// As text.
pub fn shown(values: Vec<f64>, digits: usize) -> String {
    let [median, low, high] = spread(values);
    format!("{median:.digits$} ({low:.digits$}..{high:.digits$})")
}
