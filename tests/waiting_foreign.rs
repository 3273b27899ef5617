//! Programs in other languages at a ring of semaphores: a C program, compiled here, that
//! knows docs/format.md alone receives from it, sleeping, and sends to it.

mod ground;
mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use annulus::spsc::Ring;
use annulus::{SeatState, WaitMethod};

use ground::{Ground, Kind, LONG};
use support::{Family, Role, Snapshot};

support::roles! { opens_and_ends }

const PROGRAM: &str = include_str!("waiting_foreign.c");

/// How many messages go each way.
const MESSAGES: u64 = 5000;

fn options() -> annulus::Options<Ring<u64>> {
    // The program fences; it knows no membarrier.
    let options = Ring::options().capacity(4).wait_method(WaitMethod::Semaphore).fenced(true);
    options.slice(LONG).spin(Duration::ZERO).yielding(Duration::ZERO)
}

/// A running program; killed on drop.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Compiles the program; says why not if there is no compiler.
fn compile(folder: &std::path::Path) -> Result<std::path::PathBuf, String> {
    let (source, program) = (folder.join("foreign.c"), folder.join("foreign"));
    std::fs::write(&source, PROGRAM).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-O2", "-Wall", "-Werror", "-o"]).arg(&program).arg(&source);
    let output = compiler.args(["-pthread"]).output();
    let output = output.map_err(|error| format!("no C compiler: {error}"))?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}

/// Names of semaphores in /dev/shm that belong to this ring.
fn semaphores(ground: &Ground) -> Vec<String> {
    let id = format!("sem.annulus-{:016x}-", ground.observe().creation_id());
    let entries = std::fs::read_dir("/dev/shm").unwrap();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(&id)).collect();
    names.sort();
    names
}

fn run(program: &std::path::Path, verb: &str, ground: &Ground) -> Program {
    let name = ground.address().strip_prefix("shm:").unwrap();
    let mut command = Command::new(program);
    command.args([verb, &format!("/dev/shm/{name}"), &MESSAGES.to_string()]);
    Program(command.stdout(Stdio::piped()).spawn().unwrap())
}

fn ended_well(mut program: Program) {
    ground::until("the program's end", || program.0.try_wait().unwrap().is_some());
    assert!(program.0.wait().unwrap().success());
}

#[test]
fn a_c_program_receives_by_semaphore() {
    let folder = tempfile::tempdir().unwrap();
    let program = match compile(folder.path()) {
        Ok(program) => program,
        Err(reason) => support::skip!("{reason}"),
    };
    let (ground, ring) = Ground::new(Kind::Shm, &options());
    let mut sender = ring.sender().unwrap();
    let program = run(&program, "recv", &ground);
    for message in 0..MESSAGES {
        // Both sleep at times: it is never full and never empty for long.
        sender.send_timeout(message.wrapping_mul(0x9e37_79b9), LONG).unwrap();
        if message % 64 == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    ended_well(program);
    assert_eq!(sender.rescues(), 0);
    annulus::unlink(ground.address()).unwrap();
}

#[test]
fn a_c_program_sends_by_semaphore() {
    let folder = tempfile::tempdir().unwrap();
    let program = match compile(folder.path()) {
        Ok(program) => program,
        Err(reason) => support::skip!("{reason}"),
    };
    let (ground, ring) = Ground::new(Kind::Shm, &options());
    let mut receiver = ring.receiver().unwrap();
    let program = run(&program, "send", &ground);
    for message in 0..MESSAGES {
        assert_eq!(receiver.recv_timeout(LONG), Ok(message.wrapping_mul(0x9e37_79b9)));
        if message % 64 == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    // It takes no seat.
    assert_eq!(receiver.peer().unwrap(), SeatState::Vacant);
    ended_well(program);
    annulus::unlink(ground.address()).unwrap();
}

/// Uses a ring of semaphores and looks what it leaves.
fn opens_and_ends(role: &mut Role) {
    let mut before = None;
    for round in 0..20 {
        // What is opened once and stays is there after the first.
        if round == 1 {
            before = Some(Snapshot::take());
        }
        let ring = Ring::<u64>::options()
            .wait_method(WaitMethod::Semaphore)
            .open(role.argument(0))
            .unwrap();
        let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    }
    Snapshot::take().assert_no_more_than(&before.unwrap());
    role.say("done");
}

#[test]
fn unlink_removes_the_semaphores_of_a_ring_and_its_users_leave_nothing_else() {
    let family = Family::new();
    let (ground, ring) = Ground::new(Kind::Shm, &options());
    assert_eq!(semaphores(&ground).len(), 2, "made with the segment");
    let ends = (ring.sender().unwrap(), ring.receiver().unwrap());
    assert_eq!(semaphores(&ground).len(), 2);
    drop(ends);
    let mut child = family.child(opens_and_ends).arg(ground.address()).spawn();
    child.expect("done");
    child.wait_ok();
    let names = semaphores(&ground);
    assert_eq!(names.len(), 2, "they stay as long as the ring's name does");
    annulus::unlink(ground.address()).unwrap();
    let left: Vec<_> = names.iter().map(|name| format!("/dev/shm/{name}")).collect();
    assert!(left.iter().all(|path| !std::path::Path::new(path).exists()), "{left:?}");
}

#[test]
fn a_ring_of_semaphores_without_a_name_is_refused() {
    let memfd = options().create_memfd("nameless");
    assert!(matches!(memfd, Err(annulus::Error::Unsupported(_))), "{memfd:?}");
    let heap = options().create_heap();
    assert!(matches!(heap, Err(annulus::Error::Unsupported(_))), "{heap:?}");
}
