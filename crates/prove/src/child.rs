//! A campaign's processes: this program again, each for one role.
//!
//! ```text
//!   main ── enter(&[("victim", victim), …]) ──▶ in a child: the role, then exit
//!     └──── command("victim", options) ──▶ Command ── PDEATHSIG, alarm ──▶ child
//! ```
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{self, Command};

use crate::Options;

const ROLE: &str = "ANNULUS_PROVE_ROLE";
const BUG: &str = "ANNULUS_PROVE_BUG";

/// Does what every process of a campaign does first in `main`: switches the seeded bug on
/// and, in a child, runs its role and ends.
///
/// # Panics
/// If a role or a bug is unknown, or a bug is asked for in a build without them.
pub fn enter(options: &Options, roles: &[(&str, fn())]) {
    let inherited = std::env::var(BUG).ok();
    if let Some(bug) = options.bug.as_deref().or(inherited.as_deref()) {
        seed(bug);
    }
    if let Ok(role) = std::env::var(ROLE) {
        let role = roles.iter().find(|(name, _)| *name == role).expect("a role of this program");
        role.1();
        process::exit(0);
    }
}

#[cfg(feature = "seeded")]
fn seed(name: &str) {
    let bug = annulus::hooks::Bug::named(name).unwrap_or_else(|| panic!("no bug is called {name}"));
    annulus::hooks::seed(Some(bug));
}

#[cfg(not(feature = "seeded"))]
fn seed(name: &str) {
    panic!("{name}: this build has no bugs; build it with the feature `seeded`");
}

/// The command that starts a child for this role. What it needs to know goes into
/// arguments or the environment; `seconds` without an end kill it (SIGALRM).
///
/// The child dies with the thread that starts it.
pub fn command(role: &str, options: &Options, seconds: u32) -> Command {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.env(ROLE, role);
    if let Some(bug) = &options.bug {
        command.env(BUG, bug);
    }
    let parent = process::id();
    let prepare = move || {
        // SAFETY: I5: plain calls with numbers, allowed between fork and exec.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: the same.
        if unsafe { libc::getppid() }.cast_unsigned() != parent {
            return Err(std::io::Error::other("the campaign has ended"));
        }
        // SAFETY: the same; the alarm outlives the exec.
        unsafe { libc::alarm(seconds) };
        Ok(())
    };
    // SAFETY: I5: `prepare` allocates nothing but on its way to failure, and takes no lock.
    unsafe { command.pre_exec(prepare) };
    command
}
