//! Files behind segments: made without a name, given one when complete, opened with care.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{AtFlags, FcntlArg, OFlag, RenameFlags, SealFlag};
use nix::sys::memfd::MFdFlags;
use nix::sys::stat::{Mode, SFlag};
use nix::sys::statfs;

/// What `fstat` says that decides anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) regular: bool,
    pub(crate) owner: u32,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) len: u64,
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
    match nix::fcntl::open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(file) => Ok(Some(file)),
        Err(nix::Error::EOPNOTSUPP | nix::Error::EISDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A new file under a name that nobody has, for file systems without nameless files.
pub(crate) fn named_file(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    Ok(nix::fcntl::open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

/// Gives a nameless file its name; fails if the name is taken.
pub(crate) fn link(file: &OwnedFd, path: &Path) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
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
    let cwd = nix::fcntl::AT_FDCWD;
    Ok(nix::fcntl::renameat2(cwd, from, cwd, to, RenameFlags::RENAME_NOREPLACE)?)
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
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    nix::fcntl::open(path, flags, Mode::empty()).map_err(|error| match error {
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
    let len =
        libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    loop {
        match nix::fcntl::posix_fallocate(file, 0, len) {
            Err(nix::Error::EINTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// What the file is.
pub(crate) fn facts(file: impl AsFd) -> io::Result<Facts> {
    let stat = nix::sys::stat::fstat(file)?;
    Ok(Facts {
        regular: stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits(),
        owner: stat.st_uid,
        mode: stat.st_mode & 0o7777,
        len: u64::try_from(stat.st_size).unwrap_or(0),
    })
}

/// What the file is on.
pub(crate) fn file_system(file: impl AsFd) -> io::Result<FileSystem> {
    const REMOTE: &[(statfs::FsType, &str)] = &[
        (statfs::NFS_SUPER_MAGIC, "NFS"),
        (statfs::FUSE_SUPER_MAGIC, "FUSE"),
        (statfs::FsType(0x0102_1997), "9p"),
        (statfs::SMB_SUPER_MAGIC, "SMB"),
        (statfs::FsType(0xff53_4d42_u32 as libc::__fsword_t), "CIFS"),
        (statfs::FsType(0xfe53_4d42_u32 as libc::__fsword_t), "SMB2"),
        (statfs::CODA_SUPER_MAGIC, "Coda"),
        (statfs::AFS_SUPER_MAGIC, "AFS"),
        (statfs::FsType(0x00c3_6400), "Ceph"),
    ];
    let found = statfs::fstatfs(file)?.filesystem_type();
    let remote = REMOTE.iter().find(|(magic, _)| *magic == found);
    Ok(remote.map_or(FileSystem::Local, |(_, name)| FileSystem::Remote(name)))
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
