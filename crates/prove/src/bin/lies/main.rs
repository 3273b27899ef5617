//! Lying memory, by a random generator: the targets of `fuzz/` on any machine.
//!
//! ```text
//!   main ──▶ a child for each target ──▶ executions: random bytes ─▶ Target::run
//!    ▲          │ rings lie between pages that can't be touched
//!    └─ figure: · found: ◀── outcomes, panics, and the number of the execution that killed it
//! ```
//!
//! Shows guarantee 7: no fault, panic or overrun, whatever the memory says. A finding is
//! repeated by `--seed` and `--only`.

#[cfg(feature = "seeded")]
mod guard;
#[cfg(feature = "seeded")]
mod pages;
#[cfg(feature = "seeded")]
mod work;

#[cfg(feature = "seeded")]
#[global_allocator]
static ALLOCATOR: guard::Guarded = guard::Guarded;

#[cfg(feature = "seeded")]
fn main() -> std::process::ExitCode {
    work::main()
}

#[cfg(not(feature = "seeded"))]
fn main() -> std::process::ExitCode {
    eprintln!("memory can lie in builds with the feature `seeded` alone");
    std::process::ExitCode::from(2)
}
