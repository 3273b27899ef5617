//! Forked processes and the memory that they share outside of any ring: for campaigns that
//! start and kill hundreds of them in a second.
//!
//! ```text
//!   campaign ── fork ──▶ life ── notes ──▶ Shared words ◀── reads them after the kill
//!       └───── SIGKILL, wait ──▶ ✝
//! ```
//!
//! A forked life starts in a fraction of a millisecond, where one that executes the program
//! again takes several. It opens its ring by itself, as any process does. The campaign has one
//! thread, so nothing is held by somebody who is not there in the child.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, compiler_fence};
use std::time::{Duration, Instant};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid};

/// A number that outlives whoever noted it.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Note(AtomicU64);

impl Note {
    /// Notes a number: what the program did before is done before a kill that finds it noted,
    /// and what it does afterwards is not done before a kill that does not.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        // A kill comes between two instructions, and all stores before it become visible: it
        // is the compiler's order alone that counts.
        compiler_fence(Ordering::SeqCst);
        self.0.store(value, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    /// The last one.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Adds, and gives what was there: for notes that several write.
    pub fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::SeqCst)
    }

    /// Adds to a note that nobody else writes.
    #[inline(always)]
    pub fn grow(&self, more: u64) {
        self.set(self.0.load(Ordering::Relaxed) + more);
    }
}

/// What lies in shared memory: any bytes, zeros at first, are a value, and it is atomic.
///
/// # Safety
/// That is so.
pub unsafe trait Shareable {}
// SAFETY: an atomic number.
unsafe impl Shareable for AtomicU8 {}
// SAFETY: an atomic number.
unsafe impl Shareable for AtomicU64 {}
// SAFETY: an atomic number.
unsafe impl Shareable for Note {}

/// So many zeros, shared with all processes that are forked from now on.
#[derive(Debug)]
pub struct Shared<T: Shareable> {
    base: NonNull<T>,
    count: usize,
}

impl<T: Shareable> Shared<T> {
    /// Maps them.
    ///
    /// # Panics
    /// If the memory can't be had.
    pub fn new(count: usize) -> Self {
        let size = NonZeroUsize::new(count * size_of::<T>()).expect("some of them");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let base = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) };
        Self { base: base.expect("memory for the notes").cast(), count }
    }
}

impl<T: Shareable> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: mapped while `self` lives, aligned to a page; zeros and all else are values.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.count) }
    }
}

impl<T: Shareable> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrowed is left.
        let _ = unsafe { munmap(self.base.cast(), self.count * size_of::<T>()) };
    }
}

/// What a life has to say of its own failure.
#[derive(Debug)]
pub struct LastWords(Shared<AtomicU8>);

const WORDS: usize = 1024;

impl Default for LastWords {
    fn default() -> Self {
        Self(Shared::new(WORDS))
    }
}

impl LastWords {
    /// Says it; the first is kept.
    pub fn say(&self, what: &str) {
        if self.0[0].load(Ordering::SeqCst) != 0 {
            return;
        }
        let (first, rest) = what.as_bytes().split_first().unwrap_or((&b'?', &[]));
        for (byte, place) in rest.iter().zip(&self.0[1..]) {
            place.store(*byte, Ordering::SeqCst);
        }
        self.0[0].store(*first, Ordering::SeqCst);
    }

    /// What was said, if anything.
    pub fn get(&self) -> Option<String> {
        let bytes = self.0.iter().map(|byte| byte.load(Ordering::SeqCst));
        let bytes: Vec<_> = bytes.take_while(|byte| *byte != 0).collect();
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A forked process; killed when it is dropped.
#[derive(Debug)]
pub struct Life(Pid);

impl Life {
    /// Begins one, which ends with its parent and after `seconds` at the latest. What it
    /// panics with are its last words.
    ///
    /// # Panics
    /// If the kernel has no process left.
    pub fn begin(seconds: u32, words: &LastWords, play: impl FnOnce()) -> Self {
        let parent = nix::unistd::getpid();
        // SAFETY: the campaign has one thread.
        match unsafe { fork() }.expect("a process") {
            ForkResult::Parent { child } => Self(child),
            ForkResult::Child => {
                let _ = set_pdeathsig(Signal::SIGKILL);
                nix::unistd::alarm::set(seconds);
                if getppid() == parent
                    && let Err(panic) = catch_unwind(AssertUnwindSafe(|| dawdling(play)))
                {
                    let said = panic.downcast_ref::<String>().map(String::as_str);
                    let said = said.or(panic.downcast_ref::<&str>().copied());
                    words.say(said.unwrap_or("a panic"));
                }
                // SAFETY: ends the process at once, as a forked child should.
                unsafe { libc::_exit(1) };
            }
        }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.0
    }

    /// Stops it where it is, until it is told to go on, or killed.
    pub fn stop(&self) {
        let _ = kill(self.0, Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }

    /// Kills it, and does not wait.
    pub fn kill(&self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }

    /// Waits until it has ended by a kill; else says how it ended.
    ///
    /// # Errors
    /// Then.
    pub fn bury(mut self) -> Result<(), String> {
        let pid = std::mem::replace(&mut self.0, Pid::from_raw(0));
        match waitpid(pid, None) {
            Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => Ok(()),
            other => Err(format!("it was not the kill that ended it: {other:?}")),
        }
    }

    /// Waits until it has ended by itself; kills it after `time`.
    ///
    /// # Errors
    /// Then.
    pub fn join(self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(200)),
                _ => {
                    std::mem::forget(self);
                    return Ok(());
                }
            }
        }
        Err("it does not end".to_owned())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.0.as_raw() > 0 {
            self.kill();
            let _ = waitpid(self.0, None);
        }
    }
}

/// Plays; in a build with test hooks with pauses before and behind accesses to shared memory,
/// so that others, stops and kills come between any two of them. Not all dawdle alike.
#[cfg(feature = "seeded")]
fn dawdling(play: impl FnOnce()) {
    use std::hash::{BuildHasher, Hasher};
    use std::{cell::RefCell, rc::Rc};
    let seed = std::hash::RandomState::new().build_hasher().finish();
    let random = Rc::new(RefCell::new(Random::new(seed ^ u64::from(std::process::id()))));
    // How seldom, and how long at most.
    let ways = [(u64::MAX, 0), (8, 64), (24, 400), (96, 3000)];
    let (times, most) = *random.borrow_mut().pick(&ways);
    if most == 0 {
        return play();
    }
    let pause = move || {
        let mut random = random.borrow_mut();
        if random.once_in(times) {
            (0..random.below(most)).for_each(|_| std::hint::spin_loop());
            if random.once_in(32) {
                std::thread::yield_now();
            }
        }
    };
    let (loads, stores) = (pause.clone(), pause);
    let liar = move |edge: &'static str, value| {
        if edge != "payload" {
            loads();
        }
        value
    };
    let forger = move |_: &'static str, _, value| {
        stores();
        Some(value)
    };
    use annulus::hooks::{forge, lie};
    lie(Box::new(liar), || forge(Box::new(forger), play));
}

#[cfg(not(feature = "seeded"))]
fn dawdling(play: impl FnOnce()) {
    play();
}

/// How long one waits for others who get on: until they have not for so long.
///
/// What counts is the time in which the waiting one itself has looked: where it is given the
/// processor seldom, or is stopped, so are those it waits for.
#[derive(Debug)]
pub struct Patience {
    most: Duration,
    spent: Duration,
    looked: Instant,
    seen: u64,
}

impl Patience {
    /// So much of it.
    pub fn new(most: Duration) -> Self {
        Self { most, spent: Duration::ZERO, looked: Instant::now(), seen: u64::MAX }
    }

    /// Looks how far they have come. False: there is none left.
    pub fn lasts(&mut self, come: u64) -> bool {
        let now = Instant::now();
        self.spent += (now - self.looked).min(Duration::from_millis(10));
        self.looked = now;
        if come != self.seen {
            (self.seen, self.spent) = (come, Duration::ZERO);
        }
        self.spent < self.most
    }
}

/// A generator of numbers that need not be good: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len() as u64) as usize]
    }
}

/// A number told by another.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_only_when_nothing_gets_on() {
        let mut patience = Patience::new(Duration::from_millis(1));
        let begin = Instant::now();
        for come in 0.. {
            assert!(patience.lasts(come), "{come}");
            if begin.elapsed() > Duration::from_millis(20) {
                break;
            }
        }
        let mut looks = 0_u64;
        while patience.lasts(u64::MAX - 1) {
            looks += 1;
            assert!(looks < u64::MAX / 2);
        }
    }
}
