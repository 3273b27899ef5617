//! Memfds: private, sealed at their size before anybody else sees them, and refused if
//! they are not.

mod segments;
mod support;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use annulus::spsc::Ring;
use annulus::{Error, Field, Found, Message, Observer};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use segments::{Refusal, Spot, refusal, too_short};

const SEALS: SealFlag =
    SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// The bytes of a ring of `u64` with 8 slots.
fn ring() -> Vec<u8> {
    Spot::file().with_ring().bytes()
}

/// A memfd of these bytes with these permission bits and seals.
fn memfd(bytes: &[u8], mode: u32, seals: SealFlag) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("made-by-hand", flags).unwrap());
    file.write_all(bytes).unwrap();
    nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(mode)).unwrap();
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    file.into()
}

fn seals(fd: impl AsFd) -> SealFlag {
    SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS).unwrap())
}

fn duplicate<M: Message>(ring: &Ring<M>) -> OwnedFd {
    ring.segment_fd().unwrap().try_clone_to_owned().unwrap()
}

fn unsealed(found: Found) -> Refusal {
    Refusal::Mismatch(Field::Seals, found, Found::Bits(SEALS.bits() as u64))
}

#[test]
fn a_new_memfd_is_private_sealed_and_whole() {
    let ring = Ring::<u64>::options().capacity(8).create_memfd("new").unwrap();
    let fd = duplicate(&ring);
    assert_eq!(seals(&fd), SEALS);
    let file = File::from(fd.try_clone().unwrap());
    let facts = file.metadata().unwrap();
    assert_eq!(facts.mode() & 0o7777, 0o600);
    assert_eq!(facts.len(), Ring::<u64>::options().capacity(8).segment_len().unwrap());
    // Nobody can change its size, or seal it further.
    for len in [0, facts.len() - 1, facts.len() + 1] {
        assert_eq!(file.set_len(len).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
    let more = fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_FUTURE_WRITE));
    assert_eq!(more, Err(nix::Error::EPERM));
    // Not for those who are executed.
    let flags = fcntl(ring.segment_fd().unwrap(), FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, libc::FD_CLOEXEC);
    let mode = Ring::<u64>::options().capacity(8).mode(0o640).create_memfd("new").unwrap();
    let facts = File::from(duplicate(&mode)).metadata().unwrap();
    assert_eq!(facts.mode() & 0o7777, 0o640);
}

#[test]
fn a_passed_memfd_is_the_same_ring() {
    let ring = Ring::<u64>::options().capacity(8).create_memfd("passed").unwrap();
    let other = Ring::<u64>::from_fd(duplicate(&ring)).unwrap();
    let id = |ring| Observer::from_fd(duplicate(ring)).unwrap().creation_id();
    assert_eq!(id(&ring), id(&other));
    let _sender = ring.sender().unwrap();
    assert!(matches!(other.sender(), Err(Error::SeatTaken { .. })));
    // A size mismatch and the like are as in files.
    let said = refusal(Ring::<u32>::from_fd(duplicate(&ring)));
    assert_eq!(said, Refusal::Mismatch(Field::MessageSize, Found::Number(8), Found::Number(4)));
}

#[test]
fn a_memfd_that_lacks_any_of_the_three_seals_is_refused() {
    let bytes = ring();
    for some in 0..8u64 {
        let bits = SEALS.iter().enumerate().filter(|(index, _)| some >> index & 1 == 1);
        let some = bits.fold(SealFlag::empty(), |all, (_, seal)| all | seal);
        let opened = Ring::<u64>::from_fd(memfd(&bytes, 0o600, some));
        if some == SEALS {
            opened.unwrap();
        } else {
            let found = Found::Bits(u64::try_from(some.bits()).unwrap());
            assert_eq!(refusal(opened), unsealed(found));
        }
    }
}

#[test]
fn a_memfd_that_cannot_be_sealed_is_refused() {
    let mut file = File::from(memfd_create("never", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(&ring()).unwrap();
    let found = Found::Bits(SealFlag::F_SEAL_SEAL.bits() as u64);
    assert_eq!(refusal(Ring::<u64>::from_fd(file.into())), unsealed(found));
}

#[test]
fn what_is_no_memfd_is_refused_by_its_seals() {
    let open = |path: &std::path::Path| {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty()).unwrap()
    };
    // On disk there are no seals; in shared memory there is the one that forbids more.
    let (file, shm) = (Spot::file().with_ring(), Spot::shm().with_ring());
    let none = Found::Text("none: no memfd");
    assert_eq!(refusal(Ring::<u64>::from_fd(open(&file.path))), unsealed(none));
    let one = Found::Bits(SealFlag::F_SEAL_SEAL.bits() as u64);
    assert_eq!(refusal(Ring::<u64>::from_fd(open(&shm.path))), unsealed(one));
    let (reader, writer) = std::io::pipe().unwrap();
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let folder = File::open("/").unwrap();
    let null = open(std::path::Path::new("/dev/null"));
    let others = [reader.into(), writer.into(), socket.into(), folder.into(), null];
    for other in others {
        assert_eq!(refusal(Ring::<u64>::from_fd(other)), unsealed(none));
    }
}

#[test]
fn a_memfd_of_the_wrong_mode_length_or_contents_is_refused() {
    let bytes = ring();
    // 0777 is what memfds begin with.
    for mode in [0o777, 0o640, 0o604] {
        let said = refusal(Ring::<u64>::from_fd(memfd(&bytes, mode, SEALS)));
        let (found, expected) = (Found::Octal(mode), Found::Octal(0o600));
        assert_eq!(said, Refusal::Mismatch(Field::Mode, found, expected));
    }
    for len in [0, 1, 127] {
        let said = refusal(Ring::<u64>::from_fd(memfd(&bytes[..len], 0o600, SEALS)));
        assert_eq!(said, too_short(len as u64));
    }
    let whole = bytes.len();
    for len in [128, whole - 1, whole + 1, 2 * whole] {
        let mut other = bytes.clone();
        other.resize(len, 0);
        let said = refusal(Ring::<u64>::from_fd(memfd(&other, 0o600, SEALS)));
        let (found, expected) = (Found::Number(len as u64), Found::Number(whole as u64));
        assert_eq!(said, Refusal::Mismatch(Field::Length, found, expected));
    }
    let said = refusal(Ring::<u64>::from_fd(memfd(&[0; 4096], 0o600, SEALS)));
    assert!(matches!(said, Refusal::Mismatch(Field::Magic, ..)));
}

#[test]
fn a_memfd_of_another_owner_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        support::skip!("no right to give a memfd away");
    }
    let fd = memfd(&ring(), 0o600, SEALS);
    nix::unistd::fchown(&fd, Some(65_534.into()), None).unwrap();
    let said = refusal(Ring::<u64>::from_fd(fd.try_clone().unwrap()));
    let expected = Refusal::Mismatch(Field::Owner, Found::Number(65_534), Found::Number(0));
    assert_eq!(said, expected);
    Ring::<u64>::options().owner(65_534).from_fd(fd).unwrap();
}

#[test]
fn a_memfd_that_cannot_be_written_is_refused_by_the_kernel_and_can_be_observed() {
    let reopen = |fd: &OwnedFd| {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
    };
    let whole = memfd(&ring(), 0o600, SEALS);
    let said = refusal(Ring::<u64>::from_fd(reopen(&whole)));
    assert_eq!(said, Refusal::Os(Some(libc::EACCES)));
    Observer::from_fd(reopen(&whole)).unwrap();
    // Sealed against new writers.
    let future = memfd(&ring(), 0o600, SEALS | SealFlag::F_SEAL_FUTURE_WRITE);
    let said = refusal(Ring::<u64>::from_fd(future.try_clone().unwrap()));
    assert_eq!(said, Refusal::Os(Some(libc::EPERM)));
    Observer::from_fd(reopen(&future)).unwrap();
}

#[test]
fn a_refused_descriptor_is_closed() {
    let (reader, writer) = std::io::pipe().unwrap();
    refusal(Ring::<u64>::from_fd(writer.into()));
    // Nobody holds the other end any more.
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}
