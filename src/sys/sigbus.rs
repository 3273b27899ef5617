//! The `SIGBUS` guard: a peer that truncates a segment must not take others with it.
//!
//! A store or load beyond the new end of the file faults. The handler, if the address
//! lies in a guarded mapping, puts private pages of ones over the whole mapping and
//! returns: the access goes through, and what the ring reads from then on is garbage
//! that it refuses as corrupt. Any other fault goes to the handler that was there before.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use std::io;
use std::sync::OnceLock;

use super::bug::{Bug, seeded};

/// Finds the guarded mapping that an address lies in: base and length.
pub(crate) type Find = fn(usize) -> Option<(usize, usize)>;

/// What handled the signal before.
struct Earlier(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: I3: written once, before the handler that reads it is set.
unsafe impl Sync for Earlier {}

static EARLIER: Earlier = Earlier(UnsafeCell::new(MaybeUninit::zeroed()));

static FIND: OnceLock<Find> = OnceLock::new();

/// Sets the handler, once. `find` must be fit for a signal handler: no lock, no
/// allocation.
pub(crate) fn install(find: Find) -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let outcome = INSTALLED.get_or_init(|| {
        FIND.get_or_init(|| find);
        // SAFETY: I5: `sigaction` is plain numbers, for which zero is a value.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        let earlier = EARLIER.0.get().cast::<libc::sigaction>();
        // SAFETY: I3: asks for the present action; nobody reads `EARLIER` yet.
        let asked = unsafe { libc::sigaction(libc::SIGBUS, core::ptr::null(), earlier) };
        // SAFETY: I4: the handler lives as long as the process.
        let set =
            || unsafe { libc::sigaction(libc::SIGBUS, &raw const action, core::ptr::null_mut()) };
        if asked != 0 || set() != 0 {
            return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
        }
        Ok(())
    });
    (*outcome).map_err(io::Error::from_raw_os_error)
}

/// Runs on the faulting thread, which holds no lock of ours: it was in a copy or an
/// atomic access. Makes only calls that signal handlers may make.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: I4: the kernel gives a valid structure with SA_SIGINFO.
    let info_ref = unsafe { &*info };
    // One that somebody sent has no address, but the sender's ids where it would be.
    let is_fault = info_ref.si_code > 0;
    // SAFETY: I4: a fault's SIGBUS has an address.
    let address = unsafe { info_ref.si_addr() }.addr();
    if is_fault
        && let Some((base, len)) = FIND.get().and_then(|find| find(address))
        && cover(base, len)
    {
        return;
    }
    chain(signal, info, context);
}

/// Puts private pages of ones over a mapping.
fn cover(base: usize, len: usize) -> bool {
    let at = core::ptr::with_exposed_provenance_mut::<libc::c_void>(base);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: I4: replaces a guarded mapping, which nothing refers to but through words
    // and copies that assume nothing of what they find (I5).
    let covered = unsafe { libc::mmap(at, len, access, flags, -1, 0) };
    if covered == libc::MAP_FAILED {
        return false;
    }
    if seeded(Bug::CoversWithZeros) {
        return true;
    }
    // Ones up to the first slots: no head, seat or flag looks like that. In the slots
    // zeros, which are no stamp of a ring in use but in its first lap, where the seats
    // tell.
    // SAFETY: I4: just mapped, private, at least a page.
    unsafe { core::ptr::write_bytes(at.cast::<u8>(), 0xff, len.min(CONTROL)) };
    true
}

/// As much as the words that every kind of ring has in common, less than a page. Of many
/// seats the later ones read as zeros: nobody's.
const CONTROL: usize = 768;

/// Hands the signal to whoever handled it before.
fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: I3: written before the handler was set, and never again.
    let earlier = unsafe { &*EARLIER.0.get().cast::<libc::sigaction>() };
    match earlier.sa_sigaction {
        // SAFETY: I4: the kernel gives a valid structure with SA_SIGINFO.
        libc::SIG_IGN if unsafe { (*info).si_code } <= 0 => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // As if there were no guard: the access faults again, for the default action.
            // (An ignored SIGBUS that the kernel raised is not ignored either.)
            // SAFETY: I5: restores what was there.
            unsafe { libc::sigaction(signal, earlier, core::ptr::null_mut()) };
            // One that somebody sent does not come again by itself.
            // SAFETY: I4: as above.
            if unsafe { (*info).si_code } <= 0 {
                // SAFETY: I5: takes no memory.
                unsafe { libc::raise(signal) };
            }
        }
        function if earlier.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: I4: installed as a function of this type.
            let function: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { core::mem::transmute(function) };
            function(signal, info, context);
        }
        function => {
            // SAFETY: I4: installed as a function of this type.
            let function: extern "C" fn(libc::c_int) = unsafe { core::mem::transmute(function) };
            function(signal);
        }
    }
}
