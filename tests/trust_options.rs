//! Who may reach a segment and how it is held: groups and modes, files that outlive their
//! processes, memory that is locked, huge pages, file systems.
#![allow(unsafe_code)]

mod ground;
mod support;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use annulus::spsc::Ring;
use annulus::{Error, Options, RecvError};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

use ground::{Ground, Kind};
use support::{Family, Role};

support::roles! {
    comes_as_another, makes_and_ends, locks_memory, locks_too_much, asks_for_huge_pages, overlays,
}

/// Ids that nobody has.
const USER: u32 = 61_234;
const GROUP: u32 = 61_235;

fn options() -> Options<Ring<u64>> {
    Ring::options().capacity(8)
}

fn path(ground: &Ground) -> String {
    match ground.address().split_once(':').unwrap() {
        ("shm", name) => format!("/dev/shm/{name}"),
        (_, path) => path.to_owned(),
    }
}

/// As another user, in a group that is argument 1, opens the ring of argument 2's owner.
fn comes_as_another(role: &mut Role) {
    let gid = Gid::from_raw(role.parse(1));
    setgroups(&[]).unwrap();
    setgid(gid).unwrap();
    setuid(Uid::from_raw(USER)).unwrap();
    let unnamed = options().mode(0o660).open(role.argument(0));
    let ring = options().mode(0o660).owner(role.parse(2)).open(role.argument(0));
    match ring {
        Ok(ring) => {
            assert!(matches!(unnamed, Err(Error::Mismatch { .. })), "{unnamed:?}");
            let mut receiver = ring.receiver().unwrap();
            role.say(&format!("received {:?}", receiver.recv()));
            role.hear();
        }
        Err(Error::Os { source, .. }) => role.say(&format!("refused {source}")),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_group_that_a_mode_lets_in_takes_part_and_strangers_do_not() {
    if !geteuid().is_root() {
        support::skip!("not root: no other user to be");
    }
    let family = Family::new();
    for kind in [Kind::Shm, Kind::File] {
        let (ground, ring) = Ground::new(kind, &options().mode(0o660).group(GROUP));
        let facts = fs::metadata(path(&ground)).unwrap();
        assert_eq!((facts.gid(), facts.mode() & 0o7777, facts.uid()), (GROUP, 0o660, 0));
        if kind == Kind::File {
            // The way there is the caller's business.
            let folder = Path::new(ground.address().strip_prefix("file:").unwrap());
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(folder.parent().unwrap(), open).unwrap();
        }
        let mut sender = ring.sender().unwrap();
        sender.send(7).unwrap();
        let mut child = ground.pass(family.child(comes_as_another)).arg(GROUP).arg(0).spawn();
        child.expect("received Ok(7)");
        // Across users too, a seat is a seat, and a death a death.
        assert!(
            matches!(ring.receiver(), Err(Error::SeatTaken { pid, .. }) if pid == Some(child.pid()))
        );
        assert_eq!(sender.peer().unwrap(), annulus::SeatState::Live);
        child.kill();
        assert_eq!(sender.peer().unwrap(), annulus::SeatState::Died);
        let mut stranger = ground.pass(family.child(comes_as_another)).arg(USER).arg(0).spawn();
        let heard = stranger.hear();
        assert!(heard.starts_with("refused Permission denied"), "{heard}");
        stranger.wait_ok();
    }
}

#[test]
fn a_group_that_one_is_not_in_can_not_be_given() {
    if geteuid().is_root() {
        support::skip!("root may give any group");
    }
    let name = support::random_name();
    let made = options().group(0).create_new(&name.shm());
    assert!(matches!(made, Err(Error::Os { .. })), "{made:?}");
    assert_eq!(name.leftovers(), [""; 0]);
}

/// Makes a ring, sends, and ends in the middle of it all.
fn makes_and_ends(role: &mut Role) {
    let ring = options().create_new(role.argument(0)).unwrap();
    let mut sender = ring.sender().unwrap();
    sender.send_many(&[1, 2, 3]).unwrap();
    role.say("sent");
    role.hear();
}

#[test]
fn a_file_or_named_ring_outlives_all_its_processes() {
    let family = Family::new();
    let folder = tempfile::tempdir().unwrap();
    let name = support::random_name();
    for address in [name.shm(), format!("file:{}", folder.path().join("ring").display())] {
        let mut child = family.child(makes_and_ends).arg(&address).spawn();
        child.expect("sent");
        child.kill();
        let ring = options().open(&address).unwrap();
        let mut receiver = ring.receiver().unwrap();
        let got = [receiver.recv(), receiver.recv(), receiver.recv(), receiver.recv()];
        assert_eq!(got, [Ok(1), Ok(2), Ok(3), Err(RecvError::Died)]);
        let mut sender = ring.sender().unwrap();
        assert_eq!(sender.position(), 3);
        sender.send(4).unwrap();
        drop((sender, receiver, ring));
        // Nobody has it open now.
        assert_eq!(options().open(&address).unwrap().receiver().unwrap().recv(), Ok(4));
        annulus::unlink(&address).unwrap();
    }
}

/// A field of the shared mapping of a file, in /proc/self/smaps.
fn smaps(name: &str, field: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let mapping = text.lines().skip_while(|line| !line.contains(name)).skip(1);
    let line = mapping.take_while(|line| !line.contains(name)).find(|l| l.starts_with(field))?;
    Some(line[field.len()..].trim().to_owned())
}

fn locks_memory(role: &mut Role) {
    let named = options().capacity(1 << 14);
    let plain = named.clone().create_memfd("left-alone").unwrap();
    let locked = match named.lock_memory(true).create_memfd("kept-in-memory") {
        Ok(ring) => ring,
        Err(error) => return role.say(&format!("no locked memory: {error}")),
    };
    assert_eq!(smaps("left-alone", "Locked:").unwrap(), "0 kB");
    let kept = smaps("kept-in-memory", "Locked:").unwrap();
    assert_eq!(kept, smaps("kept-in-memory", "Size:").unwrap());
    drop((plain, locked));
    role.say("locked");
}

#[test]
fn locked_memory_is_kept() {
    let family = Family::new();
    let mut child = family.child(locks_memory).spawn();
    let heard = child.hear();
    child.wait_ok();
    if heard != "locked" {
        support::skip!("{heard}");
    }
}

fn locks_too_much(role: &mut Role) {
    let page = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const page) }, 0);
    if geteuid().is_root() {
        // Limits are not for root.
        setuid(Uid::from_raw(USER)).unwrap();
    }
    let kept = options().capacity(1 << 14).lock_memory(true).create_memfd("too-much");
    match kept {
        Err(Error::Os { call, source }) => {
            let errors = [Some(libc::ENOMEM), Some(libc::EAGAIN), Some(libc::EPERM)];
            assert!(errors.contains(&source.raw_os_error()), "{call}: {source}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(smaps("too-much", "Size:"), None, "nothing is left of it");
    role.say("refused");
}

#[test]
fn more_locked_memory_than_allowed_is_an_error() {
    let family = Family::new();
    let mut child = family.child(locks_too_much).spawn();
    child.expect("refused");
    child.wait_ok();
}

fn asks_for_huge_pages(role: &mut Role) {
    let large = options().capacity(1 << 18);
    let plain = large.clone().create_memfd("small-pages").unwrap();
    let asked = large.huge_pages(true).create_memfd("huge-pages").unwrap();
    let flags = |name| smaps(name, "VmFlags:").unwrap();
    assert!(!flags("small-pages").split(' ').any(|flag| flag == "hg"));
    let asked_for = flags("huge-pages").split(' ').any(|flag| flag == "hg");
    // Given or not, it is a ring.
    let (mut sender, mut receiver) = (asked.sender().unwrap(), asked.receiver().unwrap());
    sender.send(7).unwrap();
    assert_eq!(receiver.recv(), Ok(7));
    drop(plain);
    role.say(if asked_for { "asked" } else { "this kernel knows no huge pages" });
}

#[test]
fn huge_pages_are_asked_for() {
    let family = Family::new();
    let mut child = family.child(asks_for_huge_pages).spawn();
    let heard = child.hear();
    child.wait_ok();
    if heard != "asked" {
        support::skip!("{heard}");
    }
}

fn mount(kind: &str, at: &Path, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let text = |bytes: &[u8]| CString::new(bytes).unwrap();
    let (kind, at, data) =
        (text(kind.as_bytes()), text(at.as_os_str().as_bytes()), text(data.as_bytes()));
    let source = kind.as_ptr();
    // SAFETY: C strings that live through the call.
    match unsafe { libc::mount(source, at.as_ptr(), source, flags, data.as_ptr().cast()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// In a mount namespace of its own, a ring on an overlay.
fn overlays(role: &mut Role) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .map_err(io::Error::from)
        .and_then(|()| mount("none", Path::new("/"), private, ""))
        .and_then(|()| mount("tmpfs", at, 0, ""))
        .and_then(|()| {
            for part in ["lower", "upper", "work", "merged"] {
                fs::create_dir(at.join(part)).unwrap();
            }
            let parts = ["lowerdir=lower", "upperdir=upper", "workdir=work"]
                .map(|part| part.replace('=', &format!("={}/", at.display())));
            mount("overlay", &at.join("merged"), 0, &parts.join(","))
        });
    let said = match mounted {
        Err(error) => format!("no overlay: {error}"),
        Ok(()) => {
            let merged = at.join("merged");
            let address = format!("file:{}", merged.join("ring").display());
            let ring = options().create_new(&address).unwrap();
            let mut sender = ring.sender().unwrap();
            assert!(matches!(
                options().open(&address).unwrap().sender(),
                Err(Error::SeatTaken { .. })
            ));
            sender.send(7).unwrap();
            assert_eq!(options().open(&address).unwrap().receiver().unwrap().recv(), Ok(7));
            drop((sender, ring));
            "a ring".to_owned()
        }
    };
    // The namespace takes its mounts with it; the folder below can go.
    for mounted in [at.join("merged"), at.to_owned()] {
        let _ = nix::unistd::chdir("/");
        let mounted = CString::new(mounted.as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string.
        unsafe { libc::umount2(mounted.as_ptr(), libc::MNT_DETACH) };
    }
    role.say(&said);
}

#[test]
fn a_ring_can_stand_on_an_overlay() {
    let family = Family::new();
    let mut child = family.child(overlays).spawn();
    let heard = child.hear();
    child.wait_ok();
    if heard != "a ring" {
        support::skip!("{heard}");
    }
}
