//! The only system calls of the crate, by `nix`, `memmap2` and, for the rest, `libc`.
//!
//! Promises: no policy; each function is one call or one short sequence with one
//! purpose, and gives the kernel's answer as `io::Error`. Imports: nothing.

mod file;
mod fork;
mod lock;
mod map;

pub(crate) use file::{
    FileSystem, OpenRefusal, SEALS, allocate, anonymous_file, chmod, creation_id, effective_user,
    facts, file_system, link, memfd, named_file, open_existing, page_size, process_id, remove,
    rename_new, seal, seals,
};
pub(crate) use fork::WipedPage;
pub(crate) use lock::SeatLock;
pub(crate) use map::Mapping;
