//! What the tests of the command share: running it, feeding it, names.
//!
//! Each started command is killed when dropped, when the test's thread ends, and when it
//! has run for too long: whoever reads what it writes does not wait for ever.
// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports, unsafe_code)]

#[path = "../../../../tests/support/mount.rs"]
mod mount;
#[path = "../../../../tests/support/names.rs"]
mod names;
#[path = "../../../../tests/support/skips.rs"]
mod skips;

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use annulus::{Observer, SeatState, SeatView};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

pub use mount::PrivateShm;
pub use names::{SHM, TestName, random_name};
pub use skips::record_skip;

/// A command that is not over by then hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

/// One that still runs by then is killed: later than [`until`] gives up, which says more.
const LEASH: Duration = Duration::from_secs(150);

/// A running command.
pub struct Running {
    what: String,
    child: Arc<Mutex<Child>>,
    complaint: Option<JoinHandle<Vec<u8>>>,
    /// Dropped, it lets go of the watchdog.
    _leash: Sender<()>,
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// What it said on standard error.
    pub complaint: String,
}

impl Ended {
    /// By an exit code, and without a word if that is 0.
    #[track_caller]
    pub fn expect(&self, code: i32) {
        self.expect_code(code);
        if code == 0 {
            assert_eq!(self.complaint, "");
        }
    }

    /// By an exit code, whatever it said.
    #[track_caller]
    pub fn expect_code(&self, code: i32) {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}", self.complaint);
    }

    /// By an exit code, with one sentence that has something to say.
    #[track_caller]
    pub fn expect_complaint(&self, code: i32) {
        self.expect(code);
        let complaint = self.complaint.strip_suffix('\n').expect("a whole line");
        assert!(complaint.starts_with("annulus: ") && complaint.contains("; "), "{complaint:?}");
        assert!(complaint.len() > 20 && !complaint.contains('\n'), "{complaint:?}");
    }

    /// By an exit code, without a word.
    #[track_caller]
    pub fn expect_quiet(&self, code: i32) {
        self.expect(code);
        assert_eq!(self.complaint, "");
    }

    /// By a signal, without a word.
    #[track_caller]
    pub fn expect_signal(&self, signal: Signal) {
        assert_eq!((self.code, self.signal), (None, Some(signal as i32)), "{}", self.complaint);
        assert_eq!(self.complaint, "");
    }
}

/// `annulus` with these arguments; nothing to read.
pub fn annulus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annulus"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Signals of people: a test whose own are ignored, as a shell's background jobs have them,
/// does not pass that on.
const BY_HAND: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT];

/// Has a command killed when the test's thread ends.
fn dies_with_its_test(command: &mut Command) {
    let prepare = || {
        for by_hand in BY_HAND {
            // SAFETY: no handler is set.
            unsafe { signal(by_hand, SigHandler::SigDfl) }?;
        }
        Ok(set_pdeathsig(Signal::SIGKILL)?)
    };
    // SAFETY: system calls alone, between fork and exec.
    unsafe { command.pre_exec(prepare) };
}

/// Starts a command.
pub fn start(mut command: Command) -> Running {
    command.stderr(Stdio::piped());
    try_start(command).expect("the command starts")
}

/// Starts a command whose standard error goes where it says; an error if that can't be.
pub fn try_start(mut command: Command) -> std::io::Result<Running> {
    dies_with_its_test(&mut command);
    let mut child = command.spawn()?;
    let complaint = child.stderr.take().map(collect);
    let (child, what) = (Arc::new(Mutex::new(child)), format!("{command:?}"));
    let _leash = leash(Arc::clone(&child), what.clone());
    Ok(Running { what, child, complaint, _leash })
}

/// Has one that runs for too long killed, unless what is returned is dropped before.
fn leash(child: Arc<Mutex<Child>>, what: String) -> Sender<()> {
    let (leash, held) = channel();
    thread::spawn(move || {
        if held.recv_timeout(LEASH) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        eprintln!("killed, for it ran for {} s: {what}\n{}", LEASH.as_secs(), all_there_is());
        // One that has been waited for is not killed.
        let _ = lock(&child).kill();
    });
    leash
}

/// What `annulus ls` says within some seconds.
fn all_there_is() -> String {
    let ls = annulus(&["ls"]).stdout(Stdio::piped()).spawn();
    let Ok(mut ls) = ls else { return "no `annulus ls`".into() };
    let said = collect(ls.stdout.take().expect("piped"));
    for _ in 0..500 {
        if said.is_finished() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = ls.kill();
    let _ = ls.wait();
    String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned()
}

/// Whoever panicked with it has left it whole.
fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a command a tmpfs of so many bytes of its own over /dev/shm.
pub fn enter_private_shm(command: &mut Command, bytes: u64) {
    let mount = PrivateShm::new(bytes);
    // SAFETY: system calls alone, between fork and exec.
    unsafe { command.pre_exec(move || mount.enter()) };
}

/// A terminal: the end that a person would be at, and the one that programs have.
///
/// An error where the machine has none to give.
pub fn terminal() -> std::io::Result<(std::fs::File, OwnedFd)> {
    use std::ptr::{null, null_mut};
    let (mut near, mut far) = (-1, -1);
    // SAFETY: writes two numbers; the other pointers may be null.
    let made = unsafe { libc::openpty(&mut near, &mut far, null_mut(), null(), null()) };
    if made != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by nobody else.
    let near = unsafe { std::fs::File::from_raw_fd(near) };
    // SAFETY: as above.
    let far = unsafe { OwnedFd::from_raw_fd(far) };
    // Other commands must not keep it.
    for end in [near.as_fd(), far.as_fd()] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("an open descriptor");
    }
    Ok((near, far))
}

/// Whether nothing more goes into a pipe: whoever writes is stuck.
pub fn is_full(pipe: &ChildStdout) -> bool {
    let mut waiting: libc::c_int = 0;
    // SAFETY: writes a number.
    let asked = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut waiting) };
    asked == 0 && fcntl(pipe, FcntlArg::F_GETPIPE_SZ) == Ok(waiting)
}

/// Runs one to its end: how it ended, and its output.
pub fn run(arguments: &[&str]) -> (Ended, String) {
    let mut command = annulus(arguments);
    command.stdout(Stdio::piped());
    let mut running = start(command);
    let output = collect(running.output());
    let ended = running.end();
    (ended, String::from_utf8(output.join().unwrap()).unwrap())
}

/// `annulus send` with a pipe to its standard input.
pub fn send(arguments: &[&str]) -> (Running, ChildStdin) {
    let mut command = annulus(&["send"]);
    command.args(arguments).stdin(Stdio::piped());
    let mut running = start(command);
    let input = running.input();
    (running, input)
}

/// `annulus recv` with a pipe from its standard output.
pub fn recv(arguments: &[&str]) -> (Running, ChildStdout) {
    let mut command = annulus(&["recv"]);
    command.args(arguments).stdout(Stdio::piped());
    let mut running = start(command);
    let output = running.output();
    (running, output)
}

impl Running {
    fn output(&mut self) -> ChildStdout {
        lock(&self.child).stdout.take().expect("piped")
    }

    /// The pipe to its standard input.
    pub fn input(&mut self) -> ChildStdin {
        lock(&self.child).stdin.take().expect("piped")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("it has not been waited for");
    }

    /// Whether it runs.
    pub fn lives(&mut self) -> bool {
        lock(&self.child).try_wait().expect("a child").is_none()
    }

    /// Waits until it has ended.
    pub fn end(mut self) -> Ended {
        let what = self.what.clone();
        until(&format!("the end of {what}"), || !self.lives());
        let status = lock(&self.child).wait().expect("a child");
        let complaint = self.complaint.take().map(|said| {
            // Those whom it started may have more to say.
            until(&format!("the last words of {what}"), || said.is_finished());
            said.join().unwrap()
        });
        let complaint = String::from_utf8(complaint.unwrap_or_default()).expect("text");
        Ended { code: status.code(), signal: status.signal(), complaint }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Reads to the end, in a thread.
pub fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error counts.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Writes bytes in pieces of random sizes, in a thread, until it is done or nobody reads.
pub fn feed(mut to: ChildStdin, bytes: Vec<u8>, mut random: Random) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let most = [1, 7, 4096, 65_537, 300_001][random.below(5) as usize];
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(most) as usize));
            if to.write_all(piece).is_err() {
                return;
            }
            rest = after;
        }
    })
}

/// Waits for something that comes, watched.
#[track_caller]
pub fn until(what: &str, mut come: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !come() {
        assert!(begun.elapsed() < WATCHDOG, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The seats of the stream at an address: sender's, receiver's.
pub fn seats(address: &str) -> Option<[SeatView; 2]> {
    let seen = Observer::open(address).ok()?;
    seen.seats().ok()?.try_into().ok()
}

/// Waits until somebody lives on a seat: 0 is the sender's, 1 the receiver's.
#[track_caller]
pub fn until_seated(address: &str, seat: usize) {
    until("somebody on a seat", || {
        seats(address).is_some_and(|seats| seats[seat].held && seats[seat].state == SeatState::Live)
    });
}

/// Waits until so many live on the seats of a role.
#[track_caller]
pub fn until_all_seated(address: &str, role: &str, count: usize) {
    let lives = |seat: &SeatView| seat.role == role && seat.held && seat.state == SeatState::Live;
    until("all on their seats", || {
        let seats = Observer::open(address).and_then(|seen| seen.seats());
        seats.is_ok_and(|seats| seats.iter().filter(|seat| lives(seat)).count() == count)
    });
}

/// Waits until so many bytes or messages wait at an address.
#[track_caller]
pub fn until_waiting(address: &str, many: u64) {
    until("what waits", || Observer::open(address).is_ok_and(|seen| seen.len() == many));
}

/// Numbered lines of one length. A pipe holds 256 of a page each.
pub fn lines(numbers: std::ops::Range<usize>, len: usize) -> Vec<u8> {
    numbers.flat_map(|number| format!("{number:0width$}\n", width = len - 1).into_bytes()).collect()
}

/// Pseudo-random numbers; a failed test's output says from which seed.
pub struct Random(u64);

impl Random {
    /// From a new seed.
    pub fn new() -> Random {
        let seed = RandomState::new().hash_one(1) | 1;
        println!("seed {seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// At least 0, less than `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
        bytes.truncate(len);
        bytes
    }
}

/// What stands under a test's name in /dev/shm.
pub fn path(name: &TestName) -> PathBuf {
    PathBuf::from(SHM).join(&**name)
}

/// How many kills a test makes: `ANNULUS_KILLS`, 20 by default.
pub fn kills() -> u32 {
    std::env::var("ANNULUS_KILLS").map_or(20, |number| number.parse().expect("a number"))
}

/// Waits until a command watches for signals: soon afterwards it does what it is there for.
#[track_caller]
pub fn until_it_watches(running: &Running) {
    let tasks = format!("/proc/{}/task", running.pid());
    until("its thread for signals", || {
        std::fs::read_dir(&tasks).is_ok_and(|tasks| tasks.count() == 2)
    });
}

/// Nothing is left under a name.
#[track_caller]
pub fn expect_nothing_left(name: &TestName) {
    assert_eq!(name.leftovers(), Vec::<String>::new());
}
