//! Cycles in which nobody dies: what is refused, forgotten, too long, or opened and closed.
//!
//! ```text
//!   refusals    another kind · capacity · a name that is taken, squatted, or nobody's ─▶ an error
//!   forgotten   a reservation, a guard ─▶ mem::forget ─▶ the next operation goes on
//!   too long    a message for a small buffer ─▶ its receiver leaves ─▶ another gets it
//!   guarded     opened with a SIGBUS guard, and closed: as often as one likes
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annulus::{Error, Options, RingKind, broadcast, frames, mpmc, spsc, stream};
use annulus_prove::fleet::Random;
use annulus_prove::ground::Place;
use annulus_prove::rings::{Kind, Receiver, Refusal, Ring, Sender, Shape};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{SEATS, Spot, address, take};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3);

/// So many of each, of a ring that nobody else has open.
pub fn cycles(site: &Spot<'_>, count: u64, random: &mut Random) -> Result<(), String> {
    for cycle in 0..count {
        guarded(site)?;
        // They cost more, and show after a few.
        if cycle % 8 == 0 {
            refusals(site, random)?;
            forgotten(site)?;
            too_long(site, random)?;
        }
    }
    Ok(())
}

fn refused<T>(what: &str, outcome: Result<T, Error>) -> Result<(), String> {
    match outcome {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("{what}: not refused")),
    }
}

/// Whatever is not what it should be.
fn refusals(site: &Spot<'_>, random: &mut Random) -> Result<(), String> {
    let shape = site.cell.shape;
    let other = if shape.kind == Kind::Spsc { Kind::Mpmc } else { Kind::Spsc };
    refused("another kind", site.open_as(&Shape { kind: other, ..shape }))?;
    let capacity = 2 * shape.capacity;
    refused("another capacity", site.open_as(&Shape { capacity, ..shape }))?;
    let path = format!("/proc/self/fd/{}", site.ring.fd().as_raw_fd());
    let whole = fs::read(path).map_err(|error| error.to_string())?;
    // The magic is another; there is no header; it has been cut.
    let mut wrong = whole.clone();
    wrong[random.below(8) as usize] ^= 1 << random.below(8);
    let squatters = [wrong, vec![0; whole.len()], whole[..whole.len() / 2].to_vec()];
    let Some(taken) = &site.address else {
        for squatter in &squatters {
            let memfd = sealed(squatter).map_err(|error| error.to_string())?;
            refused("a memfd of something else", shape.from_fd(memfd))?;
        }
        return Ok(());
    };
    refused("a name that is taken", shape.create(taken))?;
    let nobody = address(site.cell.place, random.next()).expect("a place with names");
    refused("a name that is nobody's", shape.open(&nobody))?;
    for squatter in &squatters {
        stands(&nobody, squatter).map_err(|error| error.to_string())?;
        refused("a squatted name", shape.open(&nobody))?;
        refused("a squatted name, guarded", open_guarded(site, Some(&nobody)))?;
        refused("a ring where somebody squats", shape.create(&nobody))?;
        fs::remove_file(path_of(&nobody)).map_err(|error| error.to_string())?;
    }
    let nobody = path_of(&nobody);
    let text = |error: std::io::Error| error.to_string();
    symlink(path_of(taken), &nobody).map_err(text)?;
    let through = refused("a symbolic link", shape.open(&address_of(site, &nobody)));
    fs::remove_file(&nobody).map_err(text)?;
    fs::create_dir(&nobody).map_err(text)?;
    let folder = refused("a folder", shape.open(&address_of(site, &nobody)));
    fs::remove_dir(&nobody).map_err(text)?;
    through.and(folder)
}

fn path_of(address: &str) -> PathBuf {
    match address.strip_prefix("shm:") {
        Some(name) => Path::new("/dev/shm").join(name),
        None => PathBuf::from(address.trim_start_matches("file:")),
    }
}

fn address_of(site: &Spot<'_>, path: &Path) -> String {
    match (site.cell.place, path.file_name()) {
        (Place::Named, Some(name)) => format!("shm:{}", name.display()),
        _ => format!("file:{}", path.display()),
    }
}

/// Puts a file with these bytes under a name.
fn stands(address: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path_of(address))?;
    file.write_all(bytes)
}

/// A memfd with these bytes, sealed as a segment is.
fn sealed(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("annulus-prove", flags)?);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Opens it with a guard, and closes it.
fn guarded(site: &Spot<'_>) -> Result<(), String> {
    open_guarded(site, site.address.as_deref()).map_err(|error| format!("guarded: {error}"))
}

fn open_guarded(site: &Spot<'_>, address: Option<&str>) -> Result<(), Error> {
    fn open<R: RingKind>(
        site: &Spot<'_>,
        address: Option<&str>,
        options: Options<R>,
    ) -> Result<(), Error> {
        let options = options.wait_method(site.cell.shape.method).sigbus_guard(true);
        match address {
            Some(address) => options.open(address).map(drop),
            None => {
                let memfd = site.ring.fd().try_clone_to_owned();
                options.from_fd(memfd.expect("a descriptor is left")).map(drop)
            }
        }
    }
    match site.cell.shape.kind {
        Kind::Spsc => open(site, address, spsc::Ring::<u64>::options()),
        Kind::Stream => open(site, address, stream::Ring::options()),
        Kind::Mpmc => open(site, address, mpmc::Ring::<u64>::options()),
        Kind::Broadcast => open(site, address, broadcast::Ring::<u64>::options()),
        Kind::Lossless => open(site, address, broadcast::Ring::<u64>::options().lossless(true)),
        Kind::Frames => open(site, address, frames::Ring::options()),
    }
}

/// What was forgotten is settled by the next operation.
fn forgotten(site: &Spot<'_>) -> Result<(), String> {
    let kind = site.cell.shape.kind;
    if kind == Kind::Stream {
        // It has one sender and one receiver in its life.
        return Ok(());
    }
    let ring = site.open().map_err(|error| error.to_string())?;
    let (Some(mut receiver), Some(mut sender)) =
        (take(kind, || ring.receiver())?, take(kind, || ring.sender())?)
    else {
        return Ok(());
    };
    // A few slices, in which what the dead have left is settled.
    for _ in 0..SEATS {
        while receiver.recv(SOON).is_ok() {}
    }
    for number in 1..=4 {
        match &mut sender {
            Sender::Spsc(sender) => sender.try_reserve().map(mem::forget),
            Sender::Mpmc(sender) => sender.try_reserve().map(mem::forget),
            _ => Ok(()),
        }
        .map_err(|why| format!("a reservation to forget: {why}"))?;
        for number in [number, number + 10] {
            sender.send(number, SOON).map_err(|why| format!("after a reservation: {why}"))?;
        }
        match &mut receiver {
            Receiver::Spsc(receiver) => forget_first(receiver.try_recv_ref().map(mem::forget))?,
            Receiver::Mpmc(receiver) => forget_first(receiver.try_recv_ref().map(mem::forget))?,
            receiver => expect(receiver, number)?,
        }
        expect(&mut receiver, number + 10)?;
    }
    Ok(())
}

fn forget_first(forgotten: Result<(), annulus::TryRecvError>) -> Result<(), String> {
    forgotten.map_err(|why| format!("what was sent after a forgotten reservation: {why}"))
}

fn expect(receiver: &mut Receiver, number: u64) -> Result<(), String> {
    match receiver.recv(LONG) {
        Ok(got) if got == number => Ok(()),
        other => Err(format!("instead of what came after something forgotten: {other:?}")),
    }
}

/// Messages that a receiver's buffer is too small for: it leaves, and its successor gets each,
/// once.
fn too_long(site: &Spot<'_>, random: &mut Random) -> Result<(), String> {
    let sent: [&[u8]; 3] = [b"one that is rather long", b"short", b"another that is long"];
    macro_rules! through {
        ($options:expr) => {{
            let options = $options.capacity(8).slice(Duration::from_millis(2));
            let address = address(site.cell.place, random.next());
            let ring = match &address {
                Some(address) => options.create_new(address),
                None => options.create_memfd("annulus-prove"),
            };
            let ring = ring.map_err(|error| error.to_string())?;
            let outcome = (|| {
                let text = |error: Error| error.to_string();
                let (mut sender, mut first) =
                    (ring.sender().map_err(text)?, ring.receiver().map_err(text)?);
                for message in sent {
                    sender.try_send(message).map_err(|why| format!("bytes: {why}"))?;
                }
                match first.try_recv(&mut [0; 8]) {
                    Err(annulus::TryRecvError::TooSmall { needed: 23 }) => {}
                    other => return Err(format!("23 bytes into 8: {other:?}")),
                }
                drop(first);
                let mut second = ring.receiver().map_err(text)?;
                let (began, mut got) = (Instant::now(), Vec::new());
                while got.len() < sent.len() && began.elapsed() < LONG {
                    let mut out = [0; 64];
                    match second.recv_timeout(&mut out, SOON) {
                        Ok(count) => got.push(out[..count].to_vec()),
                        Err(annulus::RecvError::Timeout) => {}
                        Err(why) => return Err(format!("bytes: {why}")),
                    }
                }
                got.sort();
                let mut sent = sent.to_vec();
                sent.sort_unstable();
                if got == sent {
                    return Ok(());
                }
                Err(format!("{} of 3 byte messages after one was too long", got.len()))
            })();
            drop(ring);
            if let Some(address) = address {
                super::remove_unused(&address)?;
            }
            outcome
        }};
    }
    match site.cell.shape.kind {
        Kind::Spsc => through!(spsc::Ring::<[u8]>::options().max_len(64)),
        Kind::Mpmc => through!(mpmc::Ring::<[u8]>::options().max_len(64).seats(4)),
        _ => Ok(()),
    }
}

/// Those who leave while a ring is full, and come again, find as much room as before.
pub fn room(ring: &Ring, kind: Kind) -> Result<(), String> {
    if kind == Kind::Stream || !kind.fills() {
        return Ok(());
    }
    let mut before = None;
    for _ in 0..3 {
        let (Some(mut receiver), Some(mut sender)) =
            (take(kind, || ring.receiver())?, take(kind, || ring.sender())?)
        else {
            return Ok(());
        };
        super::drain(&mut receiver)?;
        let mut room = 0_u64;
        while sender.try_send(room).is_ok() {
            room += 1;
        }
        if *before.get_or_insert(room) != room {
            return Err(format!("there was room for {before:?}, after leaving for {room}"));
        }
        drop(receiver);
        // Refused, to nobody: nothing is lost by that.
        for _ in 0..2 * room {
            match sender.send(0, Duration::ZERO) {
                Ok(()) if kind == Kind::Lossless => {}
                // Those before may have been killed.
                Err(Refusal::NotYet | Refusal::Closed | Refusal::Died) => {}
                other => return Err(format!("to nobody, and it is full: {other:?}")),
            }
        }
    }
    Ok(())
}
