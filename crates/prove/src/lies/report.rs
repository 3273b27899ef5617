//! One execution of a fuzzer's, and what all of them have reached, at the process's end.
#![allow(unsafe_code)]

use std::sync::Once;

use super::{TARGETS, branches, clean_up, seen};

thread_local! {
    static NAME: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Says on standard error which error branches were reached, and which not.
extern "C" fn tell() {
    let name = NAME.get();
    let seen = seen::all();
    let reached = |branch: &str| seen.keys().any(|(kind, it)| format!("{kind}::{it}") == branch);
    let possible = branches(name);
    let missed: Vec<_> = possible.iter().filter(|branch| !reached(branch)).collect();
    eprintln!("{name}: {} of {} error branches", possible.len() - missed.len(), possible.len());
    eprintln!("{name}: missed: {missed:?}");
    clean_up();
}

/// One execution of a target; the first one sees to it that the end is told.
///
/// # Panics
/// If there is no such target; and on a finding.
pub fn fuzzed(name: &'static str, bytes: &[u8]) {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        NAME.set(name);
        // The fuzzer ends on this thread; what is told outlives its variables.
        // SAFETY: I5: the function takes nothing and stays.
        unsafe { libc::atexit(tell) };
    });
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    (target.run)(bytes);
}
