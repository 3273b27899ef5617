//! Headers and all ways to open, of segments that the fuzzer made.
//!
//! The header's words are changed, its checksum made to fit or not; each load of it may lie.
//! What opens is used a little: a ring of another shape than its memory would be noticed.

use std::fs::{File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::OnceLock;

use annulus::{
    Error, Kind, Observer, Options, RingKind, Segment, broadcast, frames, hooks, mpmc, spsc, stream,
};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::script::{Input, Place};
use super::world::{World, lot, patient};

/// A header has next to no accesses; what opens is used, and a ring of frames may look at many
/// stale handles before it says so.
const ACCESSES: u64 = super::frames::ACCESSES;

/// What the rings are made of.
type Words = [u64; 2];

/// Changes some of the header, and says what else is asked for.
fn change(header: &mut [u8], input: &mut Input<'_>) {
    let word = |name: &str| {
        let at = hooks::HEADER.iter().position(|(_, it)| *it == name);
        hooks::HEADER[at.expect("a word of the header")].0
    };
    for _ in 0..input.below(4) {
        let at = hooks::HEADER[input.below(hooks::HEADER.len())].0;
        let byte = u64::from(input.byte());
        let before = u64::from_le_bytes(header[at..at + 8].try_into().expect("eight"));
        let value = match input.below(7) {
            0 => byte,
            1 => 1 << (byte % 64),
            2 => before ^ (1 << (byte % 64)),
            3 => before.wrapping_add(byte).wrapping_sub(128),
            4 => before.wrapping_mul(2),
            5 => before / 2,
            _ => input.word(),
        };
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    if input.below(8) == 0 {
        return;
    }
    let (from, to) = (word("version"), word("creation id"));
    let words: Vec<_> = (from..=to)
        .step_by(8)
        .map(|at| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight")))
        .collect();
    let sum = hooks::checksum(&words);
    header[word("checksum")..][..8].copy_from_slice(&sum.to_le_bytes());
}

/// What a kind of ring does with what was opened.
trait Used: RingKind {
    const CAPACITY: u64;
    /// Options that take the capacity which is there.
    fn any() -> Options<Self>;
    fn make() -> Options<Self> {
        Self::any().capacity(Self::CAPACITY)
    }
    fn use_it(&self, capacity: &mut u64) -> Result<(), Error>;
}

/// Sends and receives a little, by all who can be had.
macro_rules! used {
    ($ring:ty, $capacity:expr, $options:expr, $one:ident, $other:ident, $use:expr) => {
        impl Used for $ring {
            const CAPACITY: u64 = $capacity;

            fn any() -> Options<Self> {
                patient($options)
            }

            fn use_it(&self, capacity: &mut u64) -> Result<(), Error> {
                *capacity = self.capacity();
                let (mut $one, mut $other) = (self.sender()?, self.receiver()?);
                // Full, empty or corrupt: it is a little use.
                for _ in 0..3 {
                    let _ = $use;
                }
                Ok(())
            }
        }
    };
}

used!(spsc::Ring<Words>, 4, Self::options(), one, other, {
    (one.try_send([1; 2]), other.try_recv())
});
used!(spsc::Ring<[u8]>, 4, Self::options().max_len(16), one, other, {
    (one.try_send(b"1"), other.try_recv(&mut [0; 64]))
});
used!(stream::Ring, 16, Self::options(), one, other, {
    (one.try_send(b"1234567"), other.try_recv(&mut [0; 64]))
});
used!(mpmc::Ring<Words>, 4, Self::options().seats(2), one, other, {
    (one.try_send([1; 2]), other.try_recv())
});
used!(mpmc::Ring<[u8]>, 4, Self::options().seats(2).max_len(16), one, other, {
    (one.try_send(b"1"), other.try_recv(&mut [0; 64]))
});
used!(broadcast::Ring<Words>, 4, Self::options().seats(3), one, other, {
    (one.try_send([1; 2]), other.try_recv())
});
used!(broadcast::Ring<[u8]>, 4, Self::options().seats(3).max_len(16).lossless(true), one, other, {
    (one.try_send(b"1"), other.try_recv(&mut [0; 64]))
});
used!(frames::Ring, 2, Self::options().seats(2).max_len(64), one, other, {
    // A ring that lies can look full for ever: who sends a frame without a deadline waits.
    one.cancel_handle().cancel();
    (one.try_take().map(|frame| frame.send().is_ok()), other.try_recv().map(|it| it.to_vec()))
});

/// The bytes of a new ring of this kind.
fn image<R: Used + Fd>() -> Vec<u8> {
    let ring = R::make().create_memfd("image").expect("a small one");
    let file = File::from(ring.fd());
    let mut bytes = vec![0; file.metadata().expect("it is open").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("all of it");
    bytes
}

/// A ring with a descriptor.
trait Fd {
    fn fd(&self) -> OwnedFd;
}

macro_rules! has_fd {
    ($($ring:ty),*) => {$(
        impl Fd for $ring {
            fn fd(&self) -> OwnedFd {
                let fd = self.segment_fd().expect("a memfd");
                fd.try_clone_to_owned().expect("a free descriptor")
            }
        }
    )*};
}

has_fd!(
    spsc::Ring<Words>,
    spsc::Ring<[u8]>,
    stream::Ring,
    mpmc::Ring<Words>,
    mpmc::Ring<[u8]>,
    broadcast::Ring<Words>,
    broadcast::Ring<[u8]>,
    frames::Ring
);

/// Which ring an opener takes it for.
fn each<F: For>(which: usize, f: F) {
    match which {
        0 => f.go::<spsc::Ring<Words>>(),
        1 => f.go::<spsc::Ring<[u8]>>(),
        2 => f.go::<stream::Ring>(),
        3 => f.go::<mpmc::Ring<Words>>(),
        4 => f.go::<mpmc::Ring<[u8]>>(),
        5 => f.go::<broadcast::Ring<Words>>(),
        6 => f.go::<broadcast::Ring<[u8]>>(),
        _ => f.go::<frames::Ring>(),
    }
}

const RINGS: usize = 8;

/// Something that can be done for any kind of ring.
trait For {
    fn go<R: Used + Fd>(self);
}

/// The image of each kind, made once.
fn images() -> &'static [Vec<u8>; RINGS] {
    struct Into<'a>(&'a mut Vec<u8>);
    impl For for Into<'_> {
        fn go<R: Used + Fd>(self) {
            *self.0 = image::<R>();
        }
    }
    static IMAGES: OnceLock<[Vec<u8>; RINGS]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        core::array::from_fn(|which| {
            let mut bytes = Vec::new();
            each(which, Into(&mut bytes));
            bytes
        })
    })
}

/// The kind of ring in an execution, and the one that it is taken for: mostly the same.
fn kinds(input: &mut Input<'_>) -> (usize, usize) {
    let made = input.below(RINGS);
    let byte = input.byte();
    (made, if byte.is_multiple_of(8) { usize::from(byte / 8) % RINGS } else { made })
}

/// Options of an opener, who may expect something, or else has `others`.
fn expecting<R: Used>(input: &mut Input<'_>, others: Options<R>) -> Options<R> {
    match input.byte() {
        0 => R::make().capacity(2),
        1 => R::make().type_tag(7),
        2 => R::make().wait_method(annulus::WaitMethod::Spin),
        3 => R::make().capacity(3),
        4..128 => R::make(),
        _ => others,
    }
}

/// A header in memory that is as long as the segment, each load of which may lie.
pub(super) fn header(bytes: &[u8]) {
    struct Opens<'a, 'b> {
        input: &'a mut Input<'b>,
        world: World,
        segment: Segment,
        len: usize,
    }
    impl For for Opens<'_, '_> {
        fn go<R: Used + Fd>(self) {
            let Self { input, world, segment, len } = self;
            let options = expecting(input, R::any());
            let ring = world.call(input, || options.open_in(segment));
            if let Ok(ring) = ring {
                let mut capacity = 0;
                let _ = world.call(input, || ring.use_it(&mut capacity));
                let needed = R::any().capacity(capacity).segment_len();
                let fits = needed.is_ok_and(|needed| needed <= len as u64);
                assert!(fits, "a capacity of {capacity} in {len} bytes");
            }
        }
    }
    let input = &mut Input::new(bytes);
    let (made, taken) = kinds(input);
    let mut image = images()[made].clone();
    change(&mut image[..128], input);
    // As long as it says, or shorter.
    let len = match input.byte() {
        byte @ 0..16 => (usize::from(byte) * 64).max(8).min(image.len()),
        _ => image.len(),
    };
    let (segment, place) = lot(len);
    for (n, word) in image[..len / 8 * 8].chunks_exact(8).enumerate() {
        place.scribble(n * 8, u64::from_le_bytes(word.try_into().expect("eight")));
    }
    let world = World::new(input, place, 4, ACCESSES);
    each(taken, Opens { input, world, segment, len });
}

/// A directory of our own, for names.
fn directory() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = parent.join(format!("annulus-prove-open-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory of our own");
        path
    })
}

/// Removes what the executions of this process have made.
pub fn clean_up() {
    // Where there was none, there is nothing to remove.
    let path = PathBuf::from(format!("/dev/shm/annulus-prove-open-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(path);
}

/// A segment that is opened by its name, by a descriptor, as an observer, with the guard.
pub(super) fn open(bytes: &[u8]) {
    struct Opens<'a, 'b> {
        input: &'a mut Input<'b>,
        path: PathBuf,
        address: String,
    }
    impl For for Opens<'_, '_> {
        fn go<R: Used + Fd>(self) {
            let Self { input, path, address } = self;
            let way = input.below(9);
            // Those who may make one: a small one.
            let others = if matches!(way, 2 | 5) { R::make() } else { R::any() };
            let options = expecting(input, others);
            let fd = || File::options().read(true).write(true).open(&path).map(OwnedFd::from);
            // Mapped memory: what lies there is told by the file, and the loads are true.
            let world = World::new(input, Place { base: 8, len: 8 }, 4, ACCESSES);
            let ring = match way {
                0 => Some(world.call(input, || options.open(&address))),
                1 => Some(world.call(input, || options.clone().sigbus_guard(true).open(&address))),
                2 => Some(world.call(input, || options.open_or_create(&address))),
                3 => match fd() {
                    Ok(fd) => Some(world.call(input, || options.from_fd(fd))),
                    Err(_) => None,
                },
                4 => Some(world.call(input, || options.from_fd(sealed(&path)))),
                5 => Some(world.call(input, || options.create_new(&address))),
                6 => {
                    observe(&world, input, || Observer::open(&address));
                    None
                }
                7 => {
                    observe(&world, input, || Observer::open_guarded(&address));
                    None
                }
                _ => {
                    if let Ok(fd) = fd() {
                        observe(&world, input, || Observer::from_fd(fd));
                    }
                    None
                }
            };
            if let Some(Ok(ring)) = ring {
                let mut capacity = 0;
                let _ = world.call(input, || ring.use_it(&mut capacity));
            }
        }
    }
    let input = &mut Input::new(bytes);
    let (made, taken) = kinds(input);
    let mut image = images()[made].clone();
    change(&mut image[..128], input);
    let path = directory().join("ring");
    let address = match input.byte() {
        0 => "file:".to_owned(),
        1 => "nowhere:ring".to_owned(),
        2..8 => {
            let path = directory().join("none");
            // The last execution may have made it.
            let _ = std::fs::remove_file(&path);
            format!("file:{}", path.display())
        }
        8 => format!("file:{}", directory().display()),
        _ => format!("file:{}", path.display()),
    };
    let file = File::create(&path).expect("a file of our own");
    file.write_all_at(&image, 0).expect("little space");
    let (mode, len) = (input.byte(), input.byte());
    let mode = if mode.is_multiple_of(8) { (u32::from(mode) << 1) | 0o600 } else { 0o600 };
    file.set_permissions(Permissions::from_mode(mode)).expect("it is ours");
    let full = image.len() as u64;
    let len = [full, full, full, 0, 7, 64, 128, full / 2, full - 1, full + 1, full + 4096]
        [usize::from(len) % 11];
    file.set_len(len).expect("a file of our own");
    each(taken, Opens { input, path, address });
}

/// A sealed memfd with the same bytes.
fn sealed(path: &PathBuf) -> OwnedFd {
    let memfd = memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC);
    let file = File::from(memfd.expect("little memory"));
    let bytes = std::fs::read(path).expect("a file of our own");
    file.write_all_at(&bytes, 0).expect("little memory");
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("it allows seals");
    file.into()
}

/// Looks at all that an observer shows.
fn observe(world: &World, input: &mut Input<'_>, open: impl FnOnce() -> Result<Observer, Error>) {
    let Ok(observer) = world.call(input, open) else { return };
    let said = world.call(input, || observer.seats());
    assert!(said.is_err() || observer.capacity().is_power_of_two());
    if observer.kind() == Kind::Stream {
        assert!(observer.len() <= observer.capacity());
    }
    let _ = (observer.head(), observer.tail(), observer.len(), observer.rescues());
}
