//! A ring inside a segment that the `shared_memory` crate made: for programs that manage
//! their memory with it already.
//!
//! `cargo run --release --example adopt` starts both processes.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::ptr::NonNull;

use annulus::spsc::Ring;
use annulus::{Error, RecvError, Segment};
use shared_memory::{Shmem, ShmemConf};

const MESSAGES: u64 = 100_000;

/// Keeps the mapping for as long as the ring lives.
struct Owner {
    _memory: Shmem,
}

// SAFETY: nothing but the ring touches the memory, and dropping it elsewhere only unmaps it.
#[allow(unsafe_code)]
unsafe impl Send for Owner {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Owner {}

/// Gives the memory to annulus, with its file, so that the death of a peer is seen.
fn adopt(memory: Shmem) -> Result<Segment, Box<dyn std::error::Error>> {
    let path = format!("/dev/shm/{}", memory.get_os_id().trim_start_matches('/'));
    let file = OwnedFd::from(OpenOptions::new().read(true).write(true).open(path)?);
    let base = NonNull::new(memory.as_ptr()).ok_or("a mapping is not at zero")?;
    let len = memory.len();
    // SAFETY: mapped until `Owner` is dropped, which the segment keeps; used by nobody
    // else here; nobody shortens the file.
    #[allow(unsafe_code)]
    let segment = unsafe {
        Segment::from_mapping(base, len, Some(file), Box::new(Owner { _memory: memory }))
    };
    Ok(segment?)
}

fn sending() -> Result<(), Box<dyn std::error::Error>> {
    let options = Ring::<u64>::options().capacity(1024);
    let len = usize::try_from(options.segment_len()?)?;
    let memory = ShmemConf::new().size(len).create()?;
    let id = memory.get_os_id().to_owned();
    let ring = options.create_in(adopt(memory)?)?;
    let mut sender = ring.sender()?;
    let mut receiving = Command::new(std::env::current_exe()?).args(["receive", &id]).spawn()?;
    for i in 0..MESSAGES {
        sender.send(i)?;
    }
    drop(sender);
    if receiving.wait()?.success() { Ok(()) } else { Err("the receiver failed".into()) }
}

fn receiving(id: &str) -> Result<(), Box<dyn std::error::Error>> {
    let memory = ShmemConf::new().os_id(id).open()?;
    let ring: Result<_, Error> = Ring::<u64>::options().open_in(adopt(memory)?);
    let mut receiver = ring?.receiver()?;
    for expected in 0..MESSAGES {
        assert_eq!(receiver.recv()?, expected);
    }
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    println!("{MESSAGES} messages through memory that shared_memory made");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("receive"), Some(id)) => receiving(&id),
        _ => sending(),
    }
}
