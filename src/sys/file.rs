//! Files behind segments: made without a name, given one when complete, opened with care.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AtFlags, FcntlArg, OFlag, SealFlag};
use nix::sys::memfd::MFdFlags;
use nix::sys::stat::{Mode, SFlag};

use super::bug::{Bug, seeded};
use super::wide;

/// What `fstat` says that decides anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) regular: bool,
    pub(crate) owner: u32,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) len: u64,
    /// Bytes of memory or disk that it has.
    pub(crate) allocated: u64,
}

/// File systems, by what rings can rely on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    /// Memory or a local disk: mappings are coherent and locks are the kernel's own.
    Local,
    /// Another machine or another program answers for it.
    Remote(&'static str),
}

/// The seals that make a memfd's size final.
pub(crate) const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// Why a name could not be opened.
#[derive(Debug)]
pub(crate) enum OpenRefusal {
    /// Nothing stands there.
    NotFound,
    /// A symbolic link stands there.
    Link,
    /// Something stands there that can't be opened to read and write.
    NotAFile,
    /// Anything else.
    Os(io::Error),
}

/// A file in `directory` that has no name yet and vanishes with its last descriptor;
/// `None` where the file system has no such files.
pub(crate) fn anonymous_file(directory: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    match wide::open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(file) => Ok(Some(file)),
        Err(nix::Error::EOPNOTSUPP | nix::Error::EISDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A new file under a name that nobody has, for file systems without nameless files.
pub(crate) fn named_file(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    Ok(wide::open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

/// Gives a nameless file its name; fails if the name is taken.
pub(crate) fn link(file: &OwnedFd, path: &Path) -> io::Result<()> {
    let from = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    Ok(nix::unistd::linkat(
        nix::fcntl::AT_FDCWD,
        from.as_str(),
        nix::fcntl::AT_FDCWD,
        path,
        AtFlags::AT_SYMLINK_FOLLOW,
    )?)
}

/// Renames; fails if the new name is taken.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    // By number, since not every C library has a name for it.
    // SAFETY: I5: two C strings.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An anonymous file that is passed as a descriptor and can be sealed.
pub(crate) fn memfd(name: &str) -> io::Result<OwnedFd> {
    Ok(nix::sys::memfd::memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?)
}

/// Sets [`SEALS`].
pub(crate) fn seal(file: &OwnedFd) -> io::Result<()> {
    nix::fcntl::fcntl(file, FcntlArg::F_ADD_SEALS(SealFlag::from_bits_retain(SEALS)))?;
    Ok(())
}

/// The seals that are set; an error on files that know none.
pub(crate) fn seals(file: impl AsFd) -> io::Result<i32> {
    Ok(nix::fcntl::fcntl(file, FcntlArg::F_GET_SEALS)?)
}

/// Opens what stands under a name, without following a link or waiting for a FIFO's peer.
pub(crate) fn open_existing(path: &Path, write: bool) -> Result<OwnedFd, OpenRefusal> {
    let access = if write { OFlag::O_RDWR } else { OFlag::O_RDONLY };
    let mut flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    if seeded(Bug::FollowsLinks) {
        flags.remove(OFlag::O_NOFOLLOW);
    }
    if seeded(Bug::WaitsForFifo) {
        flags.remove(OFlag::O_NONBLOCK);
    }
    wide::open(path, flags, Mode::empty()).map_err(|error| match error {
        nix::Error::ENOENT => OpenRefusal::NotFound,
        nix::Error::ELOOP => OpenRefusal::Link,
        nix::Error::EISDIR | nix::Error::ENXIO => OpenRefusal::NotAFile,
        error => OpenRefusal::Os(error.into()),
    })
}

/// Sets the permission bits, whatever the umask.
pub(crate) fn chmod(file: &OwnedFd, mode: u32) -> io::Result<()> {
    Ok(nix::sys::stat::fchmod(file, Mode::from_bits_truncate(mode))?)
}

/// Gives the file to a group.
pub(crate) fn set_group(file: &OwnedFd, group: u32) -> io::Result<()> {
    Ok(nix::unistd::fchown(file, None, Some(nix::unistd::Gid::from_raw(group)))?)
}

/// Makes the file that long and reserves its memory: `ENOSPC` now, not `SIGBUS` later.
pub(crate) fn allocate(file: &OwnedFd, len: u64) -> io::Result<()> {
    /// Some file systems undo a call that a signal interrupts: short ones get done even
    /// under a fast timer.
    const CHUNK: u64 = 1 << 20;
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    for at in (0..len).step_by(CHUNK as usize) {
        let count = libc::off_t::try_from(CHUNK.min(len - at)).map_err(too_large)?;
        let at = libc::off_t::try_from(at).map_err(too_large)?;
        while let Err(error) = nix::fcntl::posix_fallocate(file, at, count) {
            if error != nix::Error::EINTR || seeded(Bug::InterruptedAllocationFails) {
                if seeded(Bug::SparseIfFull) {
                    let whole = libc::off_t::try_from(len).map_err(too_large)?;
                    return Ok(nix::unistd::ftruncate(file, whole)?);
                }
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// What the file is.
pub(crate) fn facts(file: impl AsFd) -> io::Result<Facts> {
    let stat = wide::fstat(file)?;
    Ok(Facts {
        regular: stat.mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits(),
        owner: stat.owner,
        mode: stat.mode & 0o7777,
        len: u64::try_from(stat.len).unwrap_or(0),
        allocated: u64::try_from(stat.blocks).unwrap_or(0).saturating_mul(512),
    })
}

/// What the file is on.
pub(crate) fn file_system(file: impl AsFd) -> io::Result<FileSystem> {
    const REMOTE: &[(u32, &str)] = &[
        (0x6969, "NFS"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9p"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x7375_7245, "Coda"),
        (0x5346_414f, "AFS"),
        (0x00c3_6400, "Ceph"),
        (0x0bd0_0bd0, "Lustre"),
        (0x0116_1970, "GFS2"),
        (0x7461_636f, "OCFS2"),
        (0x4750_4653, "GPFS"),
        (0x786f_4256, "vboxsf"),
    ];
    let found = nix::sys::statfs::fstatfs(file)?.filesystem_type().0 as u32;
    let remote = REMOTE.iter().find(|(magic, _)| *magic == found);
    Ok(remote.map_or(FileSystem::Local, |(_, name)| FileSystem::Remote(name)))
}

/// Reads from the file's start, without mapping it: says how many bytes there are.
pub(crate) fn read_start(file: &OwnedFd, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match nix::sys::uio::pread(file, out, 0) {
            Err(nix::Error::EINTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// Whether `path` is a name of this very file now, no link followed.
pub(crate) fn is_name_of(file: impl AsFd, path: &Path) -> io::Result<bool> {
    let own = wide::fstat(file)?;
    match wide::lstat(path) {
        // The number of an open file is not given to another, even when it has no name.
        Ok(there) => Ok((there.device, there.number) == (own.device, own.number)),
        Err(nix::Error::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a name.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    Ok(nix::unistd::unlink(path)?)
}

/// Who this process acts as.
pub(crate) fn effective_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// This process.
pub(crate) fn process_id() -> u32 {
    std::process::id()
}

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE) {
        Ok(Some(size)) => usize::try_from(size).unwrap_or(4096),
        _ => 4096,
    }
}

/// A random word; from the clock where the kernel has no randomness to give yet.
pub(crate) fn creation_id() -> u64 {
    let mut word = [0; 8];
    // SAFETY: I5: eight private bytes.
    let got = unsafe { libc::getrandom(word.as_mut_ptr().cast(), word.len(), libc::GRND_NONBLOCK) };
    if got == 8 {
        return u64::from_ne_bytes(word);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64) ^ (u64::from(process_id()) << 32)
}
