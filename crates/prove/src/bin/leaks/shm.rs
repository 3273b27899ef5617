//! A /dev/shm of one's own.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::{fs, io, ptr};

use annulus_prove::ground;

/// What is in it.
#[derive(Clone, Debug)]
pub struct Used {
    /// Names of files.
    pub names: Vec<String>,
    /// Blocks of memory, those of files without a name included.
    pub blocks: u64,
}

/// Gives this process one, if the machine allows it: a mount namespace, by a user namespace
/// if need be.
pub fn enter() -> io::Result<()> {
    ground::own_mounts()?;
    // Nothing mounted here may reach the namespace that was left.
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)?;
    mount(c"tmpfs", c"/dev/shm", libc::MS_NOSUID | libc::MS_NODEV)
}

fn mount(kind: &CStr, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let (kind, target) = (kind.as_ptr(), target.as_ptr());
    // SAFETY: strings that live on; no data.
    let said = unsafe { libc::mount(kind, target, kind, flags, ptr::null()) };
    if said == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What is in /dev/shm now.
pub fn used() -> Used {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let blocks = nix::sys::statvfs::statvfs("/dev/shm");
    let blocks = blocks.map_or(0, |it| it.blocks() - it.blocks_free());
    Used { names, blocks }
}
