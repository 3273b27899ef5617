//! An address with no usable stream under it gets exit code 2 and a sentence, and what
//! stands there is left as it is.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use annulus::{spsc, stream};
use nix::sys::stat::Mode;
use support::{Random, annulus, record_skip, run, start};
use tempfile::TempDir;

/// What stands in a folder: names, kinds, times of change, contents.
fn state(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let facts = fs::symlink_metadata(&path).unwrap();
        let bytes = if facts.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let (mode, changed) = (facts.mode(), (facts.mtime_nsec(), facts.ctime_nsec()));
        all.push(format!("{path:?} {mode:o} {} {changed:?} {bytes:?}", facts.ino()));
    }
    all.sort();
    all
}

/// Both sides refuse it and change nothing.
fn refused(folder: &TempDir, what: &str, make: impl FnOnce(&Path)) {
    let path = folder.path().join(what);
    make(&path);
    let before = state(folder.path());
    let address = format!("file:{}", path.display());
    for verb in ["send", "recv"] {
        println!("{verb} {what}");
        let (ended, output) = run(&[verb, &address]);
        ended.expect_complaint(2);
        assert!(ended.complaint.contains(&address), "{}", ended.complaint);
        assert_eq!(output, "");
        assert_eq!(state(folder.path()), before, "{verb} {what}");
    }
}

/// A stream that nobody is in.
fn make_stream(path: &Path) {
    stream::Ring::options().create_new(&format!("file:{}", path.display())).unwrap();
}

#[test]
fn what_is_no_stream_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = |at: usize, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |path: &Path| {
            make_stream(path);
            let mut all = fs::read(path).unwrap();
            all[at..at + bytes.len()].copy_from_slice(&bytes);
            fs::write(path, all).unwrap();
        }
    };
    refused(&folder, "a directory", |path| fs::create_dir(path).unwrap());
    refused(&folder, "a FIFO", |path| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap());
    refused(&folder, "a socket", |path| drop(UnixListener::bind(path).unwrap()));
    refused(&folder, "an empty file", |path| fs::write(path, "").unwrap());
    refused(&folder, "a short file", |path| fs::write(path, [7; 100]).unwrap());
    refused(&folder, "random bytes", |path| {
        fs::write(path, Random::new().bytes(100_000)).unwrap();
    });
    refused(&folder, "a truncated stream", |path| {
        make_stream(path);
        fs::File::options().write(true).open(path).unwrap().set_len(4096).unwrap();
    });
    refused(&folder, "another version", damaged(8, &[99]));
    refused(&folder, "another kind", damaged(16, &[1]));
    refused(&folder, "an unknown kind", damaged(16, &[200]));
    refused(&folder, "another checksum", damaged(96, &[1, 2, 3, 4, 5, 6, 7, 8]));
    refused(&folder, "a link to nothing", |path| symlink("nothing", path).unwrap());
    refused(&folder, "a ring of messages", |path| {
        let address = format!("file:{}", path.display());
        spsc::Ring::<u64>::options().create_new(&address).unwrap();
    });
}

#[test]
fn a_link_is_not_followed_even_to_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    make_stream(&folder.path().join("stream"));
    refused(&folder, "a link", |path| symlink("stream", path).unwrap());
}

#[test]
fn a_stream_that_others_may_reach_is_not_received() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    let address = format!("file:{}", path.display());
    let ring = stream::Ring::options().create_new(&address).unwrap();
    let _sender = ring.sender().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let (ended, _) = run(&["recv", &address]);
    ended.expect_complaint(2);
    assert!(ended.complaint.contains("mode"), "{}", ended.complaint);
}

#[test]
fn a_stream_of_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        let name = "addresses::a_stream_of_another_user_is_refused";
        return record_skip(name, "needs root to give a file away");
    }
    let folder = tempfile::tempdir().unwrap();
    refused(&folder, "another's", |path| {
        make_stream(path);
        std::os::unix::fs::chown(path, Some(12_345), None).unwrap();
    });
}

#[test]
fn what_is_no_address_is_refused() {
    let long = format!("shm:{}", "x".repeat(256));
    for address in ["", "name", "shm:", "shm:..", "shm:a/b", "file:", "file:/", &long, "x\ny"] {
        for command in ["send", "recv", "inspect", "rm"] {
            let (ended, output) = run(&[command, address]);
            ended.expect_complaint(2);
            assert_eq!(output, "");
        }
    }
}

#[test]
fn a_place_without_a_directory_is_refused_by_the_sender() {
    let (ended, _) = run(&["send", "file:/no/such/directory/stream"]);
    ended.expect_complaint(2);
}

#[test]
fn a_wrong_call_is_told_how_it_would_be_right() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["sned", "shm:x"],
        &["send"],
        &["recv"],
        &["send", "shm:x", "--capacity", "many"],
        &["recv", "shm:x", "--timeout", "-1"],
        &["recv", "shm:x", "--timeout", "soon"],
        &["inspect", "--jsno", "shm:x"],
    ];
    for arguments in wrong {
        let ended = start(annulus(arguments)).end();
        ended.expect(2);
        assert!(ended.complaint.contains("Usage:") || ended.complaint.contains("--help"));
    }
}

#[test]
fn a_capacity_that_no_ring_can_have_is_refused_with_one_that_it_can() {
    let name = support::random_name();
    for (capacity, advice) in [("1000", "1024"), ("0", "--capacity"), ("4", "--capacity")] {
        let (ended, _) = run(&["send", &name.shm(), "--capacity", capacity]);
        ended.expect_complaint(2);
        assert!(ended.complaint.contains(advice), "{}", ended.complaint);
    }
    support::expect_nothing_left(&name);
}
