//! The attacker: one who may write the segment's file, and does.
//!
//! ```text
//!   scribble   random words · flips · old snapshots · plausible headers · index jumps
//!   take away  truncate, and back or for good · punch holes · fill the file system
//!   hold       seats' and the attach byte's locks · futex waiters, by requeue and absorption
//! ```
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::task::{Random, Task};

pub const KINDS: [&str; 11] = [
    "random",
    "flips",
    "snapshots",
    "headers",
    "jumps",
    "futexes",
    "locks",
    "truncate",
    "cut",
    "punch",
    "fill",
];

const LINE: u64 = 128;

/// Seats' locks are bytes from here on; the one before says who is attached.
const FIRST_LOCK: i64 = 1 << 62;

/// One attacker at work.
struct Attacker {
    file: File,
    len: u64,
    random: Random,
    until: Instant,
    count: u64,
    task: Task,
    /// As it was made.
    first: Vec<u8>,
}

impl Attacker {
    fn read(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        // A file that was just cut reads as nothing.
        let _ = self.file.read_at(&mut word, at);
        u64::from_le_bytes(word)
    }

    fn write(&mut self, at: u64, value: u64) {
        self.file.write_all_at(&value.to_le_bytes(), at / 8 * 8 % self.len).expect("a write");
        self.count += 1;
    }

    /// Somewhere in the segment: mostly where its words are.
    fn somewhere(&mut self) -> u64 {
        let limit = if self.random.below(4) == 0 { self.len } else { self.len.min(18 * LINE) };
        // Who opens reads the header, and nobody else: it has an attack of its own.
        let from = if self.random.below(64) == 0 { 0 } else { LINE };
        from + self.random.below(limit - from) / 8 * 8
    }

    /// Puts everything back, so that the victims come in again.
    fn restore(&mut self) {
        if !["locks", "futexes", "cut"].contains(&self.task.attack.as_str()) {
            // Where the file system is full, later.
            let _ = self.file.write_all_at(&self.first, 0);
        }
    }

    /// Lets the victims go on for a moment.
    fn rest(&mut self) {
        if self.random.below(60) == 0 {
            self.restore();
            thread::sleep(Duration::from_millis(1));
        }
        if self.count.is_multiple_of(8) {
            thread::sleep(Duration::from_micros(self.random.below(200)));
        }
    }

    fn scribble(&mut self) {
        let (at, value) = (self.somewhere(), self.random.next());
        self.write(at, value);
    }

    fn flip(&mut self) {
        let at = self.somewhere();
        let value = self.read(at) ^ (1 << self.random.below(64));
        self.write(at, value);
    }

    fn jump(&mut self) {
        let at =
            LINE + self.random.below(17) * LINE + [0, 0, 8, 16, 64][self.random.below(5) as usize];
        let near = self.random.below(9).wrapping_sub(4);
        let truth = self.read(at % self.len);
        let value = match self.random.below(6) {
            0 => truth.wrapping_add(near),
            1 => truth.wrapping_add(near.wrapping_mul(8)),
            2 => (1_u64 << 62).wrapping_add(near),
            3 => u64::MAX.wrapping_sub(near),
            4 => truth.wrapping_add(near << 2),
            _ => (self.random.below(64) << 8) | self.random.below(6),
        };
        self.write(at, value);
    }

    /// Puts pieces of an earlier image back.
    fn snapshot(&mut self, old: &mut Vec<u8>) {
        if old.is_empty() || self.random.below(50) == 0 {
            let mut image = vec![0; self.len as usize];
            let _ = self.file.read_at(&mut image, 0);
            *old = image;
        }
        let from = (self.random.below(self.len) / 8 * 8) as usize;
        let to = old.len().min(from + 8 + self.random.below(600) as usize / 8 * 8);
        self.file.write_all_at(&old[from..to], from as u64).expect("a write");
        self.count += 1;
    }

    /// A header whose checksum fits, of a segment that is another.
    fn header(&mut self, first: &[u64; 16]) {
        let mut words = *first;
        for _ in 0..self.random.below(3) {
            let which = 2 + self.random.below(10) as usize;
            words[which] = match self.random.below(4) {
                0 => self.random.below(12),
                1 => 1 << self.random.below(64),
                2 => words[which].wrapping_mul(2),
                _ => self.random.next(),
            };
        }
        let bytes = words[1..12].iter().flat_map(|word| word.to_le_bytes());
        words[12] = bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        for (n, word) in words.iter().take(13).enumerate() {
            self.write(n as u64 * 8, *word);
        }
    }

    fn truncate(&mut self) {
        let len = [0, 1, LINE, 4096, self.len / 2, self.len - 1, self.len * 2]
            [self.random.below(7) as usize];
        match self.file.set_len(len) {
            Ok(()) => {}
            // Sealed.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                assert_eq!(self.task.place, "memfd", "{error}");
            }
            Err(error) => panic!("{error}"),
        }
        self.count += 1;
        thread::sleep(Duration::from_micros(self.random.below(3000)));
        if self.random.below(2) == 0 && self.task.place != "memfd" {
            self.file.set_len(self.len).expect("a longer file");
            self.restore();
        }
    }

    /// Leaves nothing of it, for good, when half of the time is over.
    fn cut(&mut self) {
        let left = self.until.saturating_duration_since(Instant::now());
        if self.count == 0 {
            thread::sleep(left / 2);
            self.file.set_len(0).expect("a shorter file");
            self.count += 1;
        }
        thread::sleep(left / 8);
    }

    fn punch(&mut self) {
        let from = self.random.below(self.len);
        let len = 1 + self.random.below(self.len * 2);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let fd = self.file.as_raw_fd();
        // SAFETY: I5: a call with numbers.
        unsafe { libc::fallocate(fd, mode, from.cast_signed(), len.cast_signed()) };
        self.count += 1;
        thread::sleep(Duration::from_micros(self.random.below(1500)));
        if self.random.below(3) == 0 {
            self.restore();
        }
    }

    /// Fills the file system that the ring is in, so that its holes can't be filled.
    fn fill(&mut self) {
        let beside = std::path::Path::new(&self.task.path).with_file_name("filler");
        let mut filler = File::create(&beside).expect("a file beside the ring");
        while filler.write(&[1; 1 << 16]).is_ok_and(|count| count > 0) {}
        self.punch();
        let _ = filler.write(&[1; 4096]);
        thread::sleep(Duration::from_millis(2));
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&beside);
        self.restore();
    }

    /// Holds the locks of all seats, and of who is attached.
    fn lock(&mut self) {
        let file = self.open();
        let kind = if self.random.below(3) == 0 { libc::F_RDLCK } else { libc::F_WRLCK };
        for seat in -1..8 {
            // SAFETY: I5: plain numbers, for which zero is a value.
            let mut lock: libc::flock = unsafe { core::mem::zeroed() };
            lock.l_type = kind as i16;
            lock.l_whence = libc::SEEK_SET as i16;
            (lock.l_start, lock.l_len) = (FIRST_LOCK + seat, 1);
            // SAFETY: I4: the lock is read during the call alone.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
            self.count += 1;
        }
        thread::sleep(Duration::from_micros(self.random.below(20_000)));
        drop(file);
        thread::sleep(Duration::from_micros(self.random.below(5_000)));
    }

    fn open(&self) -> File {
        let file = OpenOptions::new().read(true).write(true).open(&self.task.path);
        file.expect("the file of the segment")
    }

    /// Moves sleepers to a word of ours, and sleeps where they do.
    fn futex(&mut self, base: *mut libc::c_void) {
        static OWN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        // Generations are in the middle of a line.
        let at = (self.random.below(17) * LINE + 64) % self.len;
        let expected = self.read(at) as u32;
        let word = base.wrapping_byte_add(at as usize).cast::<u32>();
        let short = libc::timespec { tv_sec: 0, tv_nsec: 500_000 };
        let (operation, second) = match self.random.below(4) {
            0 => (libc::FUTEX_REQUEUE, i32::MAX as usize),
            1 => (libc::FUTEX_CMP_REQUEUE, i32::MAX as usize),
            2 => (libc::FUTEX_WAKE, 0),
            // Absorbs the wake-up that another is owed.
            _ => (libc::FUTEX_WAIT, (&raw const short).expose_provenance()),
        };
        let wakes = if operation == libc::FUTEX_WAIT { expected } else { 0 };
        let wakes = if operation == libc::FUTEX_WAKE { i32::MAX.cast_unsigned() } else { wakes };
        // SAFETY: I4: the mapping and the time outlive the call.
        unsafe {
            libc::syscall(libc::SYS_futex, word, operation, wakes, second, OWN.as_ptr(), expected)
        };
        self.count += 1;
    }
}

/// The role of the attacker.
pub fn attack() {
    let task = Task::read();
    let file = OpenOptions::new().read(true).write(true).open(&task.path);
    let file = file.expect("the file of the segment");
    let len = file.metadata().expect("it is open").len();
    let until = Instant::now() + task.time;
    let random = Random(task.seed ^ (1 << 50));
    let kind = task.attack.clone();
    let mut first = vec![0; len as usize];
    file.read_exact_at(&mut first, 0).expect("all of it");
    let mut attacker = Attacker { file, len, random, until, count: 0, task, first };
    let header = core::array::from_fn(|n| attacker.read(n as u64 * 8));
    let mut old = Vec::new();
    let fd = attacker.file.as_raw_fd();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let null = core::ptr::null_mut();
    // SAFETY: I4: a new mapping, kept to the end.
    let base = unsafe { libc::mmap(null, len as usize, access, libc::MAP_SHARED, fd, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    while Instant::now() < attacker.until {
        match kind.as_str() {
            "random" => attacker.scribble(),
            "flips" => attacker.flip(),
            "snapshots" => attacker.snapshot(&mut old),
            "headers" => attacker.header(&header),
            "jumps" => attacker.jump(),
            "futexes" => attacker.futex(base),
            "locks" => attacker.lock(),
            "truncate" => attacker.truncate(),
            "cut" => attacker.cut(),
            "punch" => attacker.punch(),
            "fill" => attacker.fill(),
            other => panic!("{other}: unknown"),
        }
        attacker.rest();
    }
    println!("attacks {}", attacker.count);
}
