//! What the integration tests share: child processes, skips, names, leaks.
//!
//! ```text
//!   test ── Family ── child(role) ──▶ this binary again: child_entry ── role(&mut Role)
//!                       │  lines and descriptors over one socket  │
//!                       └── deadline, /proc, SIGKILL              └── watchdog, PDEATHSIG
//! ```
//!
//! A test never forks the threaded harness: a child is this very binary, executed again
//! for one role. A test file declares its roles by [`roles!`] and starts them from a
//! [`Family`]; what the machine lacks is left out by [`skip!`], never silently.
//!
//! ```text
//!   mod support;
//!   use support::{Family, Role};
//!
//!   support::roles! { echo }
//!
//!   fn echo(role: &mut Role) {
//!       let line = role.hear();
//!       role.say(&line);
//!   }
//!
//!   #[test]
//!   fn a_child_echoes() {
//!       let family = Family::new();
//!       let mut child = family.child(echo).spawn();
//!       child.say("hello");
//!       child.expect("hello");
//!       child.wait_ok();
//!   }
//! ```

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports, unused_macros)]

mod diagnose;
mod family;
mod leaks;
mod link;
mod mount;
mod names;
mod role;
mod skips;
mod spawn;
mod watchdog;

pub use diagnose::lives;
pub use family::{Child, Family};
pub use leaks::Snapshot;
pub use link::Link;
pub use names::{TestName, random_name};
pub use role::{Role, enter};
pub use skips::record_skip;
pub use spawn::{Spawn, Unavailable};
pub use watchdog::Counter;

/// Declares the roles that children of this test binary can take.
///
/// Once in a file, beside `mod support;` at its root. Each role is a
/// `fn(&mut support::Role)`.
macro_rules! roles {
    ($($role:ident),* $(,)?) => {
        /// Where a child process begins; nothing to do in the harness itself.
        #[test]
        fn child_entry() {
            $crate::support::enter(&[$((stringify!($role), $role as fn(&mut _))),*]);
        }
    };
}
pub(crate) use roles;

/// Leaves a test out for a reason that lies in the machine: `skip!("no {thing}")`.
///
/// Prints and records it (see [`record_skip`]) and returns from the test; under
/// `ANNULUS_REQUIRE=all` it fails the test instead.
macro_rules! skip {
    ($($reason:tt)*) => {{
        fn here() {}
        $crate::support::record_skip(
            std::any::type_name_of_val(&here),
            &format!($($reason)*),
        );
        return;
    }};
}
pub(crate) use skip;
