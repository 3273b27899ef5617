//! File systems that another program answers for are refused: shown on a FUSE that this
//! test serves itself, of one folder and one file.
#![allow(unsafe_code)]

mod support;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use annulus::spsc::Ring;
use annulus::{Error, Field};
use nix::sched::{CloneFlags, unshare};

use support::{Family, Role};

support::roles! { serves_itself }

/// Numbers of requests, in include/uapi/linux/fuse.h.
mod request {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const UNLINK: u32 = 10;
    pub const OPEN: u32 = 14;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const CREATE: u32 = 35;
    pub const INTERRUPT: u32 = 36;
    pub const BATCH_FORGET: u32 = 42;
}

/// The folder, the file `ring` in it, and whatever is created.
const FOLDER: u64 = 1;
const FILE: u64 = 2;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// `fuse_attr`: 6 words, then 10 half words.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == FOLDER { (0o40755, 0) } else { (0o100600, 4096) };
    let words = [node, size, 8, 0, 0, 0].into_iter().flat_map(u64::to_ne_bytes);
    let halves = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0_u32].into_iter().flat_map(u32::to_ne_bytes);
    words.chain(halves).collect()
}

/// `fuse_entry_out`.
fn entry(node: u64) -> Vec<u8> {
    let mut reply: Vec<_> = [node, 1, 0, 0, 0].into_iter().flat_map(u64::to_ne_bytes).collect();
    reply.extend(attributes(node));
    reply
}

/// The body of a reply, or an error; `None`: none is expected.
fn answer(operation: u32, node: u64, body: &[u8]) -> Option<Result<Vec<u8>, i32>> {
    Some(match operation {
        request::INIT => {
            let mut reply: Vec<_> = [7_u32, 31].into_iter().flat_map(u32::to_ne_bytes).collect();
            reply.resize(64, 0);
            // The longest write, which may not be zero.
            reply[20..24].copy_from_slice(&4096_u32.to_ne_bytes());
            Ok(reply)
        }
        request::LOOKUP if body.starts_with(b"ring\0") => Ok(entry(FILE)),
        request::LOOKUP => Err(libc::ENOENT),
        request::GETATTR => {
            let mut reply = vec![0; 16];
            reply.extend(attributes(node));
            Ok(reply)
        }
        request::OPEN => Ok(vec![0; 16]),
        request::CREATE => {
            let mut reply = entry(FILE + 1);
            reply.extend([0; 16]);
            Ok(reply)
        }
        request::STATFS => Ok(vec![0; 80]),
        request::UNLINK | request::RELEASE | request::FLUSH => Ok(Vec::new()),
        request::FORGET | request::BATCH_FORGET | request::INTERRUPT => return None,
        _ => Err(libc::ENOSYS),
    })
}

/// Answers requests until the file system is unmounted.
fn serve(mut device: &File) {
    let mut bytes = vec![0; 1 << 17];
    while let Ok(len) = device.read(&mut bytes) {
        let request = &bytes[..len];
        let (operation, unique, node) =
            (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        let Some(answer) = answer(operation, node, &request[40..]) else { continue };
        let (error, body) = answer.map_or_else(|error| (-error, Vec::new()), |body| (0, body));
        let mut reply = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        reply.extend(error.to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        // One whose asker was interrupted is not wanted any more.
        let _ = device.write(&reply);
    }
}

fn mount(kind: &str, at: &Path, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let text = |bytes: &[u8]| CString::new(bytes).unwrap();
    let (kind, at) = (text(kind.as_bytes()), text(at.as_os_str().as_bytes()));
    let (source, data) = (kind.as_ptr(), text(data.as_bytes()));
    // SAFETY: C strings that live through the call.
    match unsafe { libc::mount(source, at.as_ptr(), source, flags, data.as_ptr().cast()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// In a mount namespace of its own, mounts a FUSE, serves it, and wants a ring there.
fn serves_itself(role: &mut Role) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .map_err(io::Error::from)
        .and_then(|()| mount("none", Path::new("/"), private, ""))
        .and_then(|()| File::options().read(true).write(true).open("/dev/fuse"))
        .and_then(|device| {
            let fd = device.as_raw_fd();
            let how = format!("fd={fd},rootmode=40000,user_id=0,group_id=0");
            mount("fuse", at, libc::MS_NOSUID | libc::MS_NODEV, &how).map(|()| device)
        });
    let device = match mounted {
        Ok(device) => device,
        Err(error) => return role.say(&format!("no FUSE: {error}")),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&device));
        let address = |name: &str| format!("file:{}", at.join(name).display());
        let options = || Ring::<u64>::options().capacity(8);
        let outcomes = [
            options().create_new(&address("new")),
            options().open(&address("ring")),
            options().open_or_create(&address("other")),
        ];
        let looked = annulus::Observer::open(&address("ring")).map(|_| ());
        let text = CString::new(at.as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string. The server ends with the mount, whatever was found.
        unsafe { libc::umount2(text.as_ptr(), libc::MNT_DETACH) };
        for outcome in outcomes.into_iter().map(|outcome| outcome.map(|_| ())).chain([looked]) {
            let refusal = outcome.unwrap_err();
            assert!(
                matches!(refusal, Error::Mismatch { field: Field::FileSystem, .. }),
                "{refusal:?}"
            );
            assert_eq!(
                refusal.to_string(),
                "the segment's file system is FUSE, expected a local file system"
            );
        }
    });
    role.say("refused");
}

#[test]
fn a_ring_on_fuse_is_refused() {
    let family = Family::new();
    let mut child = family.child(serves_itself).spawn();
    let heard = child.hear();
    child.wait_ok();
    if heard != "refused" {
        support::skip!("{heard}");
    }
}
