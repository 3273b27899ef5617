//! Video frames of several MiB: a camera process writes each frame straight into a slot of
//! a memfd, an encoder process reads it there. The descriptor is passed over a socket, so
//! no name is ever visible to others.
//!
//! `cargo run --release --example frames` starts both.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

use annulus::RecvError;
use annulus::spsc::Ring;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// One byte for each of three colours.
const FRAME: usize = WIDTH * HEIGHT * 3;
const FRAMES: u64 = 240;

type Frame = [u8; FRAME];

fn camera() -> Result<(), Box<dyn std::error::Error>> {
    let ring = Ring::<Frame>::options().capacity(4).create_memfd("frames")?;
    let mut sender = ring.sender()?;

    let (ours, theirs) = UnixStream::pair()?;
    let mut encoder = Command::new(std::env::current_exe()?)
        .arg("encoder")
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    let memfd = ring.segment_fd().expect("a memfd ring has a descriptor").as_raw_fd();
    sendmsg::<()>(
        ours.as_raw_fd(),
        &[IoSlice::new(b"f")],
        &[ControlMessage::ScmRights(&[memfd])],
        MsgFlags::empty(),
        None,
    )?;

    let mut row = [0; WIDTH * 3];
    for number in 0..FRAMES {
        let mut slot = sender.reserve()?;
        for y in 0..HEIGHT {
            row.fill((y as u64 + number) as u8);
            slot.append(&row); // copied once, into place
        }
        slot.commit();
    }
    drop(sender);
    if encoder.wait()?.success() { Ok(()) } else { Err("the encoder failed".into()) }
}

/// The memfd that the camera sends over the socket that is our standard input.
fn passed_memfd() -> Result<OwnedFd, Box<dyn std::error::Error>> {
    let stdin = std::io::stdin();
    let (mut byte, mut control) = ([0], nix::cmsg_space!([RawFd; 1]));
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(
        stdin.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part
            && let [descriptor] = descriptors[..]
        {
            // SAFETY: the kernel has just made it for this process, and nobody else
            // here knows its number.
            #[allow(unsafe_code)]
            return Ok(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
    Err("no descriptor came".into())
}

fn encoder() -> Result<(), Box<dyn std::error::Error>> {
    let mut receiver = Ring::<Frame>::from_fd(passed_memfd()?)?.receiver()?;
    let mut row = [0; WIDTH * 3];
    let mut frames = 0;
    loop {
        let frame = match receiver.recv_ref() {
            Ok(frame) => frame,
            Err(RecvError::Closed) => break,
            Err(error) => return Err(error.into()),
        };
        for y in 0..HEIGHT {
            frame.read_at(y * row.len(), &mut row);
            let expected = (y as u64 + frame.position()) as u8;
            if row.iter().any(|byte| *byte != expected) {
                return Err(format!("frame {} is torn", frame.position()).into());
            }
        }
        frames += 1;
    }
    println!("{frames} frames of {FRAME} bytes");
    if frames == FRAMES { Ok(()) } else { Err("frames are missing".into()) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("encoder") => encoder(),
        _ => camera(),
    }
}
