//! Leading a child by the hand.
#![allow(unsafe_code)]

use super::*;

#[test]
fn a_led_process_stops_at_its_markers_steps_in_between_and_can_be_killed() {
    // A test harness has threads: this child allocates nothing and takes no lock.
    let role = || {
        marker();
        let mut sum = 0u64;
        for n in 0..10u64 {
            sum = core::hint::black_box(sum + n);
        }
        marker();
    };
    // SAFETY: the child does no more than the lines above.
    let mut led = unsafe { Led::fork(role) };
    let mut steps = 0;
    while led.step() == Step::Stepped {
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
    assert_eq!(led.step(), Step::Marker);
    assert_eq!(led.go(Duration::from_secs(10)), Step::Marker);
    assert_eq!(led.go(Duration::from_secs(10)), Step::Ended);

    // SAFETY: as above.
    let mut led = unsafe { Led::fork(role) };
    let mut places = Vec::new();
    for _ in 0..40 {
        places.push(led.at());
        assert_eq!(led.step(), Step::Stepped);
    }
    // SAFETY: as above.
    let mut quick = unsafe { Led::fork(role) };
    let times = places[1..].iter().filter(|at| **at == places[39]).count() as u64;
    assert_eq!(quick.run_to(places[39], times, Duration::from_secs(10)), Step::Stepped);
    assert_eq!(quick.at(), places[39]);
    assert_eq!((quick.step(), quick.at()), (Step::Stepped, led.at()));
    assert_eq!(quick.go(Duration::from_secs(10)), Step::Marker);

    // SAFETY: as above.
    let mut led = unsafe { Led::fork(role) };
    assert_eq!(led.steps_on(5), Step::Stepped);
    let pid = led.pid();
    led.kill();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_signal_that_stops_or_means_nothing_is_no_step() {
    let role = || {
        marker();
        let mut sum = 0u64;
        for n in 0..10u64 {
            sum = core::hint::black_box(sum + n);
        }
        marker();
    };
    let signals = [Signal::SIGSTOP, Signal::SIGCONT, Signal::SIGWINCH];
    // SAFETY: the child does no more than the lines above.
    let mut calm = unsafe { Led::fork(role) };
    // SAFETY: as above.
    let mut led = unsafe { Led::fork(role) };
    for n in 0..30 {
        nix::sys::signal::kill(Pid::from_raw(led.pid()), signals[n % 3]).unwrap();
        assert_eq!((led.step(), led.at()), (calm.step(), calm.at()), "step {n}");
    }
    nix::sys::signal::kill(Pid::from_raw(led.pid()), Signal::SIGSTOP).unwrap();
    assert_eq!(led.go(Duration::from_secs(10)), Step::Marker);
    assert_eq!(led.go(Duration::from_secs(10)), Step::Ended);
}

#[test]
fn one_who_falls_asleep_is_blocked_and_goes_on_when_woken() {
    let word = core::sync::atomic::AtomicU32::new(0);
    let role = || {
        marker();
        // SAFETY: I5: the word outlives the call; nobody else has it.
        unsafe { libc::syscall(libc::SYS_futex, &word, 128, 0, 0usize) };
        marker();
    };
    // SAFETY: the child does no more than the lines above.
    let mut led = unsafe { Led::fork(role) };
    let outcome = led.steps_on(1_000_000);
    assert_eq!(outcome, Step::Blocked);
    assert!(led.sleeps());
    assert_eq!(led.wake(Duration::from_millis(1)), Step::Blocked);
    led.kill();
}
