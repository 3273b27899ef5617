//! What tests can do to the facade: weaken an edge, limit or cut short a call, make
//! memory lie, and watch. Exists with the `test-hooks` feature alone.
//!
//! All of it but [`weaken`] and [`seed`] is per thread and off at first. Under loom "thread" is a
//! thread of the model.

use core::cell::{Cell, RefCell};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::RwLock;

#[cfg(loom)]
use loom::thread_local;

use super::bug::Bug;

/// The kind of a recorded access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A load.
    Load,
    /// A store.
    Store,
    /// A compare-and-exchange, whether it won or lost.
    Exchange,
    /// Message bytes copied in.
    CopyIn,
    /// Message bytes copied out.
    CopyOut,
}

/// One recorded access to shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What was done.
    pub op: Op,
    /// The edge named by the code, or `payload`.
    pub edge: &'static str,
    /// The word's address in this process.
    pub address: usize,
    /// The value loaded or stored; the length for copies.
    pub value: u64,
}

/// Chooses what a load returns: given the edge and the true value.
pub type Liar = Box<dyn FnMut(&'static str, u64) -> u64>;

thread_local! {
    static STATE: State = State::default();
}

#[derive(Default)]
struct State {
    /// Accesses since the counter was last reset.
    count: Cell<u64>,
    /// Panic when `count` passes it.
    budget: Cell<Option<u64>>,
    /// Crash before this access, counted from one.
    crash_at: Cell<Option<u64>>,
    /// The crash has happened: every later access of this thread is inert.
    dead: Cell<bool>,
    trace: RefCell<Option<Vec<Access>>>,
    liar: RefCell<Option<Liar>>,
}

/// The payload of the unwinding that stands for a kill.
struct Killed;

static WEAKENED: RwLock<Option<&'static str>> = RwLock::new(None);
static SEEDED: RwLock<Option<Bug>> = RwLock::new(None);

fn with<R>(other: R, f: impl FnOnce(&State) -> R) -> R {
    let mut f = Some(f);
    let mut other = Some(other);
    STATE
        .try_with(|state| f.take().map(|f| f(state)))
        .ok()
        .flatten()
        .or_else(|| other.take())
        .expect("one of the two is there")
}

/// Names of all edges, for campaigns that weaken one at a time.
pub fn edges() -> &'static [&'static str] {
    super::edge::NAMES
}

/// Makes the named edge `Relaxed` for the whole process until called again.
/// `None` restores it.
///
/// # Panics
/// If no edge has that name.
pub fn weaken(name: Option<&'static str>) {
    if let Some(name) = name {
        assert!(edges().contains(&name), "no edge is called {name}");
    }
    *WEAKENED.write().expect("never poisoned") = name;
}

pub(super) fn is_weakened(name: &str) -> bool {
    *WEAKENED.read().expect("never poisoned") == Some(name)
}

/// Switches a bug on for the whole process until called again; `None`: none.
pub fn seed(bug: Option<Bug>) {
    *SEEDED.write().expect("never poisoned") = bug;
}

pub(super) fn is_seeded(bug: Bug) -> bool {
    *SEEDED.read().expect("never poisoned") == Some(bug)
}

/// Runs `call` and counts its shared accesses; a copy of message bytes counts once.
pub fn count<R>(call: impl FnOnce() -> R) -> (R, u64) {
    with((), |s| s.count.set(0));
    let result = call();
    (result, with(0, |s| s.count.get()))
}

/// Runs `call` and panics inside it when it makes more than `limit` shared accesses.
pub fn budget<R>(limit: u64, call: impl FnOnce() -> R) -> R {
    with((), |s| {
        s.count.set(0);
        s.budget.set(Some(limit));
    });
    let result = call();
    with((), |s| s.budget.set(None));
    result
}

/// Runs `call`, killed just before its `k`-th shared access (the first is 1).
///
/// A kill unwinds, and makes the facade inert for this thread meanwhile, so that no
/// `Drop` repairs anything: what is in shared memory afterwards is what a real kill
/// leaves. Locks are released, as the kernel would. `None`: killed. `Some`: `call`
/// ended before it came to `k` accesses.
pub fn kill_before<R>(k: u64, call: impl FnOnce() -> R) -> Option<R> {
    with((), |s| {
        s.count.set(0);
        s.crash_at.set(Some(k));
        s.dead.set(false);
    });
    let result = catch_unwind(AssertUnwindSafe(call));
    with((), |s| {
        s.crash_at.set(None);
        s.dead.set(false);
    });
    match result {
        Ok(value) => Some(value),
        Err(payload) if <dyn Any>::is::<Killed>(&*payload) => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// Runs `call` with every load from shared memory answered by `liar`.
pub fn lie<R>(liar: Liar, call: impl FnOnce() -> R) -> R {
    with((), |s| *s.liar.borrow_mut() = Some(liar));
    let result = catch_unwind(AssertUnwindSafe(call));
    with((), |s| *s.liar.borrow_mut() = None);
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Runs `call` and gives its accesses in program order.
pub fn trace<R>(call: impl FnOnce() -> R) -> (R, Vec<Access>) {
    with((), |s| *s.trace.borrow_mut() = Some(Vec::new()));
    let result = call();
    let accesses = with(None, |s| s.trace.borrow_mut().take());
    (result, accesses.unwrap_or_default())
}

/// Every access passes here first. False: this thread is dead, do nothing.
pub(crate) fn enter() -> bool {
    with(true, |s| {
        if s.dead.get() {
            return false;
        }
        let count = s.count.get() + 1;
        s.count.set(count);
        if s.crash_at.get() == Some(count) {
            s.dead.set(true);
            panic_any(Killed);
        }
        if let Some(limit) = s.budget.get()
            && count > limit
        {
            s.budget.set(None);
            panic!("a call made more than {limit} shared accesses");
        }
        true
    })
}

/// Every load passes here after: it is told and recorded.
pub(super) fn loaded(edge: &'static str, address: usize, value: u64) -> u64 {
    let told = with(value, |s| match s.liar.borrow_mut().as_mut() {
        Some(liar) => liar(edge, value),
        None => value,
    });
    record(Op::Load, edge, address, told);
    told
}

/// Bytes copied out pass here: a liar may replace each word of them.
pub(crate) fn copied_out(bytes: &mut [u8]) {
    with((), |s| {
        if let Some(liar) = s.liar.borrow_mut().as_mut() {
            for chunk in bytes.chunks_mut(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                let told = liar("payload", u64::from_le_bytes(word)).to_le_bytes();
                chunk.copy_from_slice(&told[..chunk.len()]);
            }
        }
    });
}

pub(crate) fn record(op: Op, edge: &'static str, address: usize, value: u64) {
    with((), |s| {
        if let Some(trace) = s.trace.borrow_mut().as_mut() {
            trace.push(Access { op, edge, address, value });
        }
    });
}
