//! What tests can do to the facade: weaken an edge, limit or cut short a call, make
//! memory lie, and watch. Exists with the `test-hooks` feature alone.
//!
//! All of it is per thread and off at first, under loom per thread of the model; but for
//! what makes a mutant: [`weaken`], [`weaken_use`], [`seed`] and the record that [`uses`]
//! takes are for the whole process, under loom for all threads of the models that the
//! calling thread explores, so that other threads can explore other mutants.

use core::cell::{Cell, RefCell};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
#[cfg(not(loom))]
use std::sync::Mutex;

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

/// Chooses what a store leaves in memory: given the edge, the word's address and the
/// value meant. `None`: the store is lost.
pub type Forger = Box<dyn FnMut(&'static str, usize, u64) -> Option<u64>>;

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
    trace: RefCell<Option<Vec<Access>>>,
    /// Addresses of the words that the kernel stored to, each with the length of the trace.
    unlocks: RefCell<Vec<(usize, usize)>>,
    liar: RefCell<Option<Liar>>,
    /// Address of the word that the liar is asked about.
    asked: Cell<usize>,
    forger: RefCell<Option<Forger>>,
}

/// The payload of the unwinding that stands for a kill.
struct Killed;

/// What makes a mutant of the code.
struct Mutant {
    edge: Option<&'static str>,
    place: Option<Use>,
    bug: Option<Bug>,
    /// Every use so far, while somebody asks.
    uses: Option<BTreeSet<Use>>,
}

impl Mutant {
    const NONE: Self = Self { edge: None, place: None, bug: None, uses: None };
}

#[cfg(not(loom))]
static MUTANT: Mutex<Mutant> = Mutex::new(Mutant::NONE);

#[cfg(not(loom))]
fn with_mutant<R>(f: impl FnOnce(&mut Mutant) -> R) -> R {
    f(&mut MUTANT.lock().expect("never poisoned"))
}

// The OS thread's, which runs all threads of a model.
#[cfg(loom)]
std::thread_local! {
    static MUTANT: RefCell<Mutant> = const { RefCell::new(Mutant::NONE) };
}

#[cfg(loom)]
fn with_mutant<R>(f: impl FnOnce(&mut Mutant) -> R) -> R {
    MUTANT.with(|mutant| f(&mut mutant.borrow_mut()))
}

/// Whether anything of the mutant is set at all: the question that each access asks.
#[cfg(not(loom))]
static ANY: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// The variable that switches a bug on in a whole process, from outside.
#[cfg(not(loom))]
const VARIABLE: &str = "ANNULUS_SEEDED_BUG";

#[cfg(not(loom))]
#[inline(always)]
fn any_mutant() -> bool {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if !ONCE.is_completed() {
        ONCE.call_once(|| {
            if let Ok(name) = std::env::var(VARIABLE) {
                let bug = Bug::named(&name).unwrap_or_else(|| panic!("no bug is called {name}"));
                seed(Some(bug));
            }
        });
    }
    ANY.load(std::sync::atomic::Ordering::Acquire)
}

#[cfg(loom)]
fn any_mutant() -> bool {
    true
}

/// Changes what makes the mutant.
fn set_mutant<R>(change: impl FnOnce(&mut Mutant) -> R) -> R {
    with_mutant(|mutant| {
        let result = change(mutant);
        #[cfg(not(loom))]
        ANY.store(
            mutant.edge.is_some()
                || mutant.place.is_some()
                || mutant.bug.is_some()
                || mutant.uses.is_some(),
            std::sync::atomic::Ordering::Release,
        );
        result
    })
}

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

/// One place in the code where an edge is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The source file, as the compiler knows it.
    pub file: &'static str,
    /// The line.
    pub line: u32,
    /// The edge's name.
    pub edge: &'static str,
}

/// Makes the named edge `Relaxed` wherever it is used, or removes the fence of that name,
/// until called again. `None` restores it.
///
/// # Panics
/// If no edge has that name.
pub fn weaken(name: Option<&'static str>) {
    if let Some(name) = name {
        assert!(edges().contains(&name), "no edge is called {name}");
    }
    set_mutant(|mutant| mutant.edge = name);
}

/// The same for one use of an edge, as [`uses`] gives it. Both can be weakened at once.
pub fn weaken_use(place: Option<Use>) {
    set_mutant(|mutant| mutant.place = place);
}

/// Runs `call` and gives every use of every edge that it comes by.
pub fn uses<R>(call: impl FnOnce() -> R) -> (R, BTreeSet<Use>) {
    set_mutant(|mutant| mutant.uses = Some(BTreeSet::new()));
    let result = call();
    (result, set_mutant(|mutant| mutant.uses.take()).unwrap_or_default())
}

/// Whether the edge is weakened, here or everywhere.
#[track_caller]
pub(super) fn is_weakened(edge: &'static str) -> bool {
    if !any_mutant() {
        return false;
    }
    let at = Location::caller();
    let here = Use { file: at.file(), line: at.line(), edge };
    with_mutant(|mutant| {
        if let Some(uses) = &mut mutant.uses {
            uses.insert(here);
        }
        mutant.edge == Some(edge) || mutant.place == Some(here)
    })
}

/// Switches a bug on until called again; `None`: none.
pub fn seed(bug: Option<Bug>) {
    set_mutant(|mutant| mutant.bug = bug);
    #[cfg(not(loom))]
    crate::sys::bug::tell(bug.map(|bug| format!("{bug:?}")));
}

pub(super) fn is_seeded(bug: Bug) -> bool {
    if !any_mutant() {
        return false;
    }
    with_mutant(|mutant| mutant.bug == Some(bug))
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

// Of the OS thread: a kill's unwinding comes by no access, so under loom no other thread
// of the model runs meanwhile.
std::thread_local! {
    /// The unwinding that stands for a kill is under way.
    static UNWINDING: Cell<bool> = const { Cell::new(false) };
    /// What the kernel will do at its end.
    static ESTATE: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Does what the kernel does for a process that has ended: at once, or for one who is
/// being killed when nothing of him is left.
pub(crate) fn as_the_kernel(work: impl FnOnce() + 'static) {
    if UNWINDING.get() {
        ESTATE.with_borrow_mut(|estate| estate.push(Box::new(work)));
    } else if !is_inert() {
        work();
    }
}

/// Whether this thread makes no accesses any more: it is being killed, or the model that
/// it is in has failed, and loom can't run its last words.
pub(super) fn is_inert() -> bool {
    UNWINDING.get() || (cfg!(loom) && std::thread::panicking())
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
    });
    let killed = || match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => Some(value),
        Err(payload) if <dyn Any>::is::<Killed>(&*payload) => None,
        Err(payload) => resume_unwind(payload),
    };
    let result = until_it_ends(killed, |s| s.crash_at.set(None));
    UNWINDING.set(false);
    for work in ESTATE.take() {
        work();
    }
    result
}

/// Runs `call`, then `end`, even if it panics; but not in a model that has failed, in
/// which there are no thread's variables any more.
fn until_it_ends<R>(call: impl FnOnce() -> R, end: impl FnOnce(&State)) -> R {
    let result = catch_unwind(AssertUnwindSafe(call));
    if result.is_ok() || UNWINDING.get() || !cfg!(loom) {
        with((), end);
    }
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Runs `call` with every load from shared memory answered by `liar`.
pub fn lie<R>(liar: Liar, call: impl FnOnce() -> R) -> R {
    with((), |s| *s.liar.borrow_mut() = Some(liar));
    until_it_ends(call, |s| *s.liar.borrow_mut() = None)
}

/// For a liar: the address of the word that it is asked about; of no use for `payload`.
pub fn asked_about() -> usize {
    with(0, |s| s.asked.get())
}

/// Runs `call` with `forger` deciding on every store to a shared word: a way to seed a
/// bug in the shipped code.
pub fn forge<R>(forger: Forger, call: impl FnOnce() -> R) -> R {
    with((), |s| *s.forger.borrow_mut() = Some(forger));
    until_it_ends(call, |s| *s.forger.borrow_mut() = None)
}

/// Runs `call` and gives its accesses in program order.
pub fn trace<R>(call: impl FnOnce() -> R) -> (R, Vec<Access>) {
    with((), |s| {
        *s.trace.borrow_mut() = Some(Vec::new());
        s.unlocks.borrow_mut().clear();
    });
    let result = call();
    let accesses = with(None, |s| s.trace.borrow_mut().take());
    (result, accesses.unwrap_or_default())
}

/// Of the last [`trace`]: the in-process locks that were given back, each as the number of
/// accesses before and the lock word's address.
pub fn unlocks() -> Vec<(usize, usize)> {
    with(Vec::new(), |s| s.unlocks.take())
}

/// A store of the kernel's.
pub(super) fn unlocked(address: usize) {
    with((), |s| {
        if let Some(trace) = s.trace.borrow().as_ref() {
            s.unlocks.borrow_mut().push((trace.len(), address));
        }
    });
}

/// Every access passes here first. False: do nothing.
pub(crate) fn enter() -> bool {
    if is_inert() {
        return false;
    }
    with(true, |s| {
        let count = s.count.get() + 1;
        s.count.set(count);
        if s.crash_at.get() == Some(count) {
            UNWINDING.set(true);
            // Not `panic_any`: a kill is no news for the panic hook.
            resume_unwind(Box::new(Killed));
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

/// Every store passes here before: what to leave in memory, if anything.
pub(super) fn storing(edge: &'static str, address: usize, value: u64) -> Option<u64> {
    let left = with(Some(value), |s| match s.forger.borrow_mut().as_mut() {
        Some(forger) => forger(edge, address, value),
        None => Some(value),
    });
    if let Some(left) = left {
        record(Op::Store, edge, address, left);
    }
    left
}

/// Every load passes here after: it is told and recorded.
pub(super) fn loaded(edge: &'static str, address: usize, value: u64) -> u64 {
    let told = with(value, |s| match s.liar.borrow_mut().as_mut() {
        Some(liar) => {
            s.asked.set(address);
            liar(edge, value)
        }
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
