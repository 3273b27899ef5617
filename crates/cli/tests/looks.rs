//! `inspect`, `ls` and `rm`: what stands there, and that looking changes nothing.

mod support;

use std::fs;
use std::io::Write;

use annulus::{Observer, spsc, stream};
use serde_json::Value;
use support::{
    expect_nothing_left, path, random_name, recv, run, send, until_seated, until_waiting,
};

/// What a command with `--json` prints.
fn json(arguments: &[&str]) -> Value {
    let (ended, output) = run(&[arguments, &["--json"]].concat());
    ended.expect_quiet(0);
    serde_json::from_str(&output).unwrap()
}

/// What `ls` says of an address.
fn listed(address: &str) -> Option<Value> {
    let Value::Array(all) = json(&["ls"]) else { panic!("no array") };
    all.into_iter().find(|segment| segment["address"] == address)
}

#[test]
fn a_stream_in_use_is_shown_with_what_waits_and_who_is_there() {
    let name = random_name();
    let (sender, mut input) = send(&[&name.shm(), "--capacity", "4096"]);
    input.write_all(&[1; 1234]).unwrap();
    until_waiting(&name.shm(), 1234);
    let before = fs::read(path(&name)).unwrap();

    let seen = json(&["inspect", &name.shm()]);
    assert_eq!(listed(&name.shm()), Some(seen.clone()));
    assert_eq!(seen["kind"], "stream");
    assert_eq!((&seen["capacity"], &seen["waiting"]), (&4096.into(), &1234.into()));
    assert_eq!((&seen["unit"], &seen["head"]), (&"bytes".into(), &0.into()));
    assert_eq!(seen["size"], fs::metadata(path(&name)).unwrap().len());
    assert_eq!(seen["type_tag"], format!("{:#018x}", u64::from_le_bytes(*b"annulus\x01")));
    let [sending, receiving] = &seen["seats"].as_array().unwrap()[..] else { panic!("{seen}") };
    assert_eq!((&sending["role"], &sending["state"]), (&"sender".into(), &"live".into()));
    assert_eq!((&sending["held"], &sending["pid"]), (&true.into(), &sender.pid().into()));
    assert_eq!((&receiving["state"], &receiving["held"]), (&"vacant".into(), &false.into()));

    for call in [&["inspect", &name.shm()][..], &["ls"]] {
        let (ended, text) = run(call);
        ended.expect_quiet(0);
        for part in ["stream", &name.shm(), "4096", "1234", &format!("process {}", sender.pid())] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    assert!(fs::read(path(&name)).unwrap() == before, "looking has changed it");

    let (receiver, _output) = recv(&[&name.shm()]);
    drop(input);
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn rings_of_messages_are_shown_too() {
    let name = random_name();
    let ring = spsc::Ring::<u64>::options().capacity(8).create_new(&name.shm()).unwrap();
    let mut sender = ring.sender().unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    let seen = json(&["inspect", &name.shm()]);
    assert_eq!((&seen["kind"], &seen["unit"]), (&"spsc".into(), &"messages".into()));
    assert_eq!((&seen["waiting"], &seen["message_size"]), (&2.into(), &8.into()));
    assert_eq!(listed(&name.shm()), Some(seen));
}

#[test]
fn one_who_died_is_shown_as_dead_before_anybody_noticed() {
    let name = random_name();
    let (sender, _input) = send(&[&name.shm()]);
    until_seated(&name.shm(), 0);
    sender.signal(nix::sys::signal::Signal::SIGKILL);
    sender.end();
    let seen = json(&["inspect", &name.shm()]);
    assert_eq!(seen["seats"][0]["state"], "died");
    assert_eq!(seen["seats"][0]["held"], false);
    assert!(run(&["inspect", &name.shm()]).1.contains("died"));
}

#[test]
fn a_folder_is_listed_without_what_is_no_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (none, text) = run(&["ls", folder.path().to_str().unwrap()]);
    none.expect_quiet(0);
    assert_eq!(text, "");
    let at = |name: &str| folder.path().join(name);
    let address = format!("file:{}", at("ring").display());
    drop(stream::Ring::options().create_new(&address).unwrap());
    fs::write(at("text"), "no segment").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    std::os::unix::fs::symlink("ring", at("link")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    let folder_text = folder.path().to_str().unwrap();
    let all = json(&["ls", folder_text]);
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert_eq!(all[0]["address"], address);
    assert_eq!(json(&["ls", at("ring").to_str().unwrap()]), all);
    assert_eq!(json(&["ls", at("text").to_str().unwrap()]), Value::Array(Vec::new()));

    // What can't be read is complained of after the rest.
    let (ended, text) = run(&["ls", "/no/such/folder", folder_text]);
    ended.expect_complaint(2);
    assert!(text.contains(&address), "{text}");
}

#[test]
fn a_name_can_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file:{}", folder.path().join("a\u{1b}[2Jb").display());
    drop(stream::Ring::options().create_new(&address).unwrap());
    let (_, text) = run(&["ls", folder.path().to_str().unwrap()]);
    assert!(text.contains(r"a\u{1b}[2Jb") && !text.contains('\u{1b}'), "{text:?}");
    let (_, text) = run(&["inspect", &address]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn nothing_to_look_at_is_said() {
    let name = random_name();
    for command in ["inspect", "rm"] {
        let (ended, output) = run(&[command, &name.shm()]);
        ended.expect_complaint(2);
        assert_eq!(output, "");
    }
}

#[test]
fn a_live_ring_is_removed_by_force_alone() {
    let name = random_name();
    let (sender, _input) = send(&[&name.shm()]);
    until_seated(&name.shm(), 0);
    let (ended, _) = run(&["rm", &name.shm()]);
    ended.expect_complaint(1);
    assert!(ended.complaint.contains(&format!("process {}", sender.pid())), "{ended:?}");
    assert!(path(&name).exists());
    run(&["rm", &name.shm(), "--force"]).0.expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn those_who_are_in_go_on_when_the_name_is_removed_by_force() {
    let name = random_name();
    let (sender, mut input) = send(&[&name.shm()]);
    let (receiver, output) = recv(&[&name.shm()]);
    until_seated(&name.shm(), 1);
    run(&["rm", &name.shm(), "--force"]).0.expect_quiet(0);
    // A stranger's by now, which they leave alone.
    let other = stream::Ring::options().create_new(&name.shm()).unwrap();
    drop(other);
    input.write_all(b"all the same").unwrap();
    drop(input);
    assert_eq!(support::collect(output).join().unwrap(), b"all the same");
    sender.end().expect_quiet(0);
    receiver.end().expect_quiet(0);
    assert!(path(&name).exists());
}

#[test]
fn one_that_a_program_has_open_is_removed_by_force_alone() {
    let name = random_name();
    let _ring = spsc::Ring::<u64>::options().capacity(8).create_new(&name.shm()).unwrap();
    run(&["rm", &name.shm()]).0.expect_complaint(1);
    assert!(path(&name).exists());
    run(&["rm", &name.shm(), "--force"]).0.expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn what_nobody_uses_is_removed() {
    let name = random_name();
    drop(spsc::Ring::<u64>::options().capacity(8).create_new(&name.shm()).unwrap());
    let _looking = Observer::open(&name.shm()).unwrap();
    run(&["rm", &name.shm()]).0.expect_quiet(0);
    expect_nothing_left(&name);
}

#[test]
fn what_is_no_segment_is_not_removed_even_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    fs::write(&file, "a letter that somebody wrote, longer than any header can be: ".repeat(9))
        .unwrap();
    let address = format!("file:{}", file.display());
    for force in [&[][..], &["--force"]] {
        run(&[&["rm", &address], force].concat()).0.expect_complaint(2);
        assert!(file.exists());
    }
}

#[test]
fn a_damaged_segment_is_removed_by_force_alone() {
    let name = random_name();
    drop(stream::Ring::options().create_new(&name.shm()).unwrap());
    let mut bytes = fs::read(path(&name)).unwrap();
    bytes[100] ^= 1;
    fs::write(path(&name), bytes).unwrap();
    let (ended, _) = run(&["rm", &name.shm()]);
    ended.expect_complaint(2);
    assert!(path(&name).exists());
    run(&["rm", &name.shm(), "--force"]).0.expect_quiet(0);
    expect_nothing_left(&name);
}
