//! The only system calls of the crate, by `nix`, `memmap2` and, for the rest, `libc`.
//!
//! Promises: no policy; each function is one call or one short sequence with one
//! purpose, and gives the kernel's answer as `io::Error`. Imports: nothing.

pub(crate) mod barrier;
pub(crate) mod bug;
mod clock;
mod file;
mod fork;
pub(crate) mod futex;
mod inherit;
mod lock;
mod map;
mod semaphore;
mod sigbus;
pub(crate) mod transfer;
mod wide;

pub(crate) use clock::Until;
pub(crate) use file::{
    Facts, FileSystem, OpenRefusal, SEALS, allocate, anonymous_file, chmod, creation_id,
    effective_user, facts, file_system, is_name_of, link, memfd, named_file, open_existing,
    page_size, process_id, read_start, remove, rename_new, seal, seals, set_group,
};
pub(crate) use fork::WipedPage;
pub(crate) use lock::{AttachLock, SeatLock};
pub(crate) use map::Mapping;
pub(crate) use semaphore::{AVAILABLE as SEMAPHORES_AVAILABLE, Semaphore};
pub(crate) use sigbus::install as guard_sigbus;
