//! The `SIGBUS` guard and whoever handled the signal before it: what is not the guard's
//! goes where it went before.
#![allow(unsafe_code)]

mod support;

use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;

use annulus::Options;
use annulus::spsc::Ring;
use nix::sys::signal::{Signal, raise};

use support::{Family, Role};

support::roles! { faults_elsewhere, is_sent_the_signal }

fn options() -> Options<Ring<u64>> {
    Ring::options().capacity(4)
}

extern "C" fn with_information(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid structure with SA_SIGINFO.
    let signal = unsafe { (*info).si_signo };
    // SAFETY: ends the process.
    unsafe { libc::_exit(if signal == libc::SIGBUS { 42 } else { 1 }) };
}

extern "C" fn plain(signal: i32) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(if signal == libc::SIGBUS { 43 } else { 1 }) };
}

/// What handles the signal before the guard does: argument `which`.
fn handle_first(which: &str) {
    // SAFETY: plain numbers, for which zero is a value: the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    match which {
        "information" => {
            action.sa_sigaction = with_information as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
        }
        "plain" => action.sa_sigaction = plain as *const () as usize,
        "ignored" => action.sa_sigaction = libc::SIG_IGN,
        _ => action.sa_sigaction = libc::SIG_DFL,
    }
    // SAFETY: reads one structure.
    let set = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// A guarded ring, beside which other memory faults.
fn faults_elsewhere(role: &mut Role) {
    handle_first(role.argument(0));
    let ring = options().sigbus_guard(true).create_memfd("guarded").unwrap();
    let _ends = (ring.sender().unwrap(), ring.receiver().unwrap());
    let file = tempfile::tempfile().unwrap();
    let (access, flags) = (libc::PROT_READ, libc::MAP_SHARED);
    let null = std::ptr::null_mut();
    // SAFETY: a new mapping, of a page that the file does not have.
    let page = unsafe { libc::mmap(null, 4096, access, flags, file.as_raw_fd(), 0) };
    assert_ne!(page, libc::MAP_FAILED);
    role.say("faults");
    // SAFETY: mapped; the load faults, which is what is tested.
    let byte = unsafe { page.cast::<u8>().read_volatile() };
    panic!("read {byte}");
}

#[test]
fn faults_of_other_memory_go_to_the_earlier_handler() {
    let family = Family::new();
    for (which, code) in
        [("information", Some(42)), ("plain", Some(43)), ("default", None), ("ignored", None)]
    {
        let mut child = family.child(faults_elsewhere).arg(which).spawn();
        child.expect("faults");
        let status = child.wait();
        assert_eq!(status.code(), code, "{which}: {status}");
        if code.is_none() {
            assert_eq!(status.signal(), Some(libc::SIGBUS), "{which}: {status}");
        }
    }
}

/// A guarded process to which somebody sends the signal.
fn is_sent_the_signal(role: &mut Role) {
    handle_first(role.argument(0));
    let ring = options().sigbus_guard(true).create_memfd("guarded").unwrap();
    role.say("raises");
    raise(Signal::SIGBUS).unwrap();
    drop(ring);
    role.say("lives");
}

#[test]
fn a_signal_that_somebody_sent_is_not_swallowed() {
    let family = Family::new();
    for (which, code) in [("information", 42), ("plain", 43)] {
        let mut child = family.child(is_sent_the_signal).arg(which).spawn();
        child.expect("raises");
        assert_eq!(child.wait().code(), Some(code), "{which}");
    }
    let mut child = family.child(is_sent_the_signal).arg("default").spawn();
    child.expect("raises");
    child.wait_signalled(Signal::SIGBUS);
    let mut child = family.child(is_sent_the_signal).arg("ignored").spawn();
    child.expect("raises");
    child.expect("lives");
    child.wait_ok();
}
