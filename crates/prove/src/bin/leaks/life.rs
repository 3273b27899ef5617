//! One who opens a ring, takes seats, works, and is killed with something in hand, and whoever
//! he leaves behind: forked, or started as another program, before he was killed.
#![allow(unsafe_code)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use annulus_prove::fleet::{Note, Random, Shared};
use annulus_prove::rings::{Receiver, Ring, Sender};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, alarm, fork, pause};

const WAIT: Duration = Duration::from_millis(1);

/// This process's end.
fn die() -> ! {
    let _ = raise(Signal::SIGKILL);
    unreachable!("a killed process")
}

/// Seconds that one who is left behind lives at most.
const LEFT: u32 = 20;

/// The process that a life has left behind, if any.
#[derive(Debug)]
pub struct Heirs(Shared<Note>);

impl Default for Heirs {
    fn default() -> Self {
        // Whether there is to be one; its number.
        Self(Shared::new(2))
    }
}

impl Heirs {
    /// Begins one, who inherits what processes inherit and lives on.
    fn beget(&self, program: bool) {
        self.0[0].set(1);
        if program {
            let (mut command, none) = (Command::new("sleep"), Stdio::null);
            let command = command.arg(LEFT.to_string()).stdin(none()).stdout(none());
            if let Ok(child) = command.stderr(none()).spawn() {
                self.0[1].set(child.id().into());
            }
            return;
        }
        // SAFETY: this process has one thread.
        if let Ok(ForkResult::Child) = unsafe { fork() } {
            alarm::set(LEFT);
            self.0[1].set(std::process::id().into());
            loop {
                pause();
            }
        }
    }

    /// The life is over: now its heir is there, if there is to be one.
    pub fn come(&self) {
        let began = Instant::now();
        // The life may have been killed before it had one.
        while self.0[0].get() != 0
            && self.0[1].get() == 0
            && began.elapsed() < Duration::from_millis(20)
        {
            std::thread::yield_now();
        }
    }

    /// Ends it.
    pub fn go(&self) {
        match (i32::try_from(self.0[1].get()), self.0[0].get()) {
            (Ok(pid @ 1..), 1) => bury(Pid::from_raw(pid)),
            // The life was killed between having it and saying so.
            (_, 1) => children().into_iter().for_each(bury),
            _ => {}
        }
        self.0[0].set(0);
        self.0[1].set(0);
    }
}

/// Ends one whose parent is dead, and who is ours for that.
fn bury(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
}

/// Our children: those of the dead among them.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    let list = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
    let pids = list.unwrap_or_default();
    pids.split_whitespace().filter_map(|pid| pid.parse().ok().map(Pid::from_raw)).collect()
}

/// Lives, and is killed.
pub fn live(ring: &Ring, heirs: &Heirs, mut random: Random) {
    let random = &mut random;
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..random.below(4) {
        // What is refused is somebody's, for a moment or for good.
        senders.extend(ring.sender());
        receivers.extend(ring.receiver());
    }
    if random.once_in(3) {
        receivers.pop();
    }
    for _ in 0..random.below(12) {
        if let Some(sender) = senders.first_mut() {
            let _ = sender.try_send(random.next());
        }
        if let Some(receiver) = receivers.first_mut()
            && random.once_in(2)
        {
            let _ = receiver.try_recv();
        }
    }
    if random.once_in(6) {
        heirs.beget(random.once_in(4));
    }
    match random.below(6) {
        0 => hold_message(receivers.first_mut()),
        1 => hold_room(senders.first_mut()),
        2 => {
            // In a sleep, or just out of it.
            if let Some(receiver) = receivers.first_mut() {
                let _ = receiver.recv(WAIT);
            }
        }
        3 => {
            // In order, and then killed all the same.
            drop((senders, receivers));
            die();
        }
        _ => {}
    }
    die()
}

/// Dies with a message in hand.
fn hold_message(receiver: Option<&mut Receiver>) {
    match receiver {
        Some(Receiver::Spsc(receiver)) => {
            let _guard = receiver.try_recv_ref();
            die()
        }
        Some(Receiver::Stream(receiver)) => {
            let _guard = receiver.try_recv_ref();
            die()
        }
        Some(Receiver::Mpmc(receiver)) => {
            let _guard = receiver.try_recv_ref();
            die()
        }
        Some(Receiver::Frames(receiver)) => {
            let _frame = receiver.try_recv();
            die()
        }
        _ => {}
    }
}

/// Dies with room in hand.
fn hold_room(sender: Option<&mut Sender>) {
    match sender {
        Some(Sender::Spsc(sender)) => {
            let _slot = sender.try_reserve();
            die()
        }
        Some(Sender::Stream(sender)) => {
            let _bytes = sender.try_reserve(8);
            die()
        }
        Some(Sender::Mpmc(sender)) => {
            let _slot = sender.try_reserve();
            die()
        }
        Some(Sender::Frames(sender)) => {
            let _frame = sender.try_take();
            die()
        }
        _ => {}
    }
}
