//! What is moved: a file, cut into slices and repeated until it is large enough.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes in a slice: large enough to time, short enough to sample.
pub const SLICE: usize = 2 << 20;

/// A smaller file is repeated until it makes this much.
const ENOUGH: u64 = 1 << 30;

/// A regular file, whose bytes may be read anywhere.
pub struct Source {
    name: String,
    len: u64,
    bytes: Bytes,
}

enum Bytes {
    /// A small file, whole, repeated to at least a slice.
    Held(Vec<u8>),
    /// A large one, read slice by slice.
    Read(File),
}

impl Source {
    /// Opens FILE, or this program's own executable. The error is for people.
    pub fn open(path: Option<&Path>) -> Result<Source, String> {
        let (path, name) = match path {
            Some(path) => (path, path.display().to_string()),
            None => (Path::new("/proc/self/exe"), "this program's executable".to_owned()),
        };
        let refused = |error: io::Error| format!("{name}: {error}");
        // Asked before opening, which waits for ever on a FIFO.
        let about = std::fs::metadata(path).map_err(refused)?;
        if !about.is_file() {
            return Err(format!("{name}: not a regular file"));
        }
        let file = File::open(path).map_err(refused)?;
        let mut len = about.len();
        let bytes = if len < ENOUGH / 8 {
            let mut held = std::fs::read(path).map_err(refused)?;
            len = held.len() as u64;
            repeat(&mut held);
            Bytes::Held(held)
        } else {
            Bytes::Read(file)
        };
        Ok(Source { name, len, bytes })
    }

    /// Whether there is nothing to move.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How often the file is moved.
    fn repeats(&self) -> u64 {
        ENOUGH.div_ceil(self.len.max(1))
    }

    /// Bytes to move in all.
    pub fn total(&self) -> u64 {
        self.len * self.repeats()
    }

    /// How many slices that makes; the last may be short.
    pub fn slices(&self) -> u64 {
        self.total().div_ceil(SLICE as u64)
    }

    /// Puts a slice's bytes into `slice`. A large file that was cut short meanwhile ends
    /// early, a slice read from it included.
    pub fn read(&self, index: u64, slice: &mut Vec<u8>) -> Result<(), String> {
        let start = index * SLICE as u64;
        let len = (self.total() - start).min(SLICE as u64) as usize;
        slice.resize(len, 0);
        let mut filled = 0;
        while filled < len {
            let at = (start + filled as u64) % self.len;
            let part = &mut slice[filled..];
            let count = match &self.bytes {
                Bytes::Held(held) => {
                    let from = &held[at as usize..];
                    let count = from.len().min(part.len());
                    part[..count].copy_from_slice(&from[..count]);
                    count
                }
                Bytes::Read(file) => {
                    let most = usize::try_from(self.len - at)
                        .map_or(part.len(), |left| left.min(part.len()));
                    file.read_at(&mut part[..most], at)
                        .map_err(|error| format!("{}: {error}", self.name))?
                }
            };
            if count == 0 {
                return Err(format!("{}: became shorter while it was read", self.name));
            }
            filled += count;
        }
        Ok(())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{} ({}", self.name, size(self.len))?;
        match self.repeats() {
            1 => f.write_str(")"),
            repeats => write!(f, ", {repeats} times: {})", size(self.total())),
        }
    }
}

/// Doubles the bytes until they make a slice, a whole number of times.
fn repeat(bytes: &mut Vec<u8>) {
    while !bytes.is_empty() && bytes.len() < SLICE {
        bytes.extend_from_within(..);
    }
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    format!("{:.2} {name}", bytes as f64 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: &[u8]) -> Source {
        let mut repeated = bytes.to_vec();
        repeat(&mut repeated);
        Source { name: "it".into(), len: bytes.len() as u64, bytes: Bytes::Held(repeated) }
    }

    #[test]
    fn a_small_file_is_repeated_whole() {
        let source = held(b"abcdefg");
        assert_eq!(source.total() % 7, 0);
        assert!(source.total() >= ENOUGH && source.total() - ENOUGH < 7);
        let mut slice = Vec::new();
        for index in [0, 1, source.slices() - 1] {
            source.read(index, &mut slice).unwrap();
            let start = index * SLICE as u64;
            assert_eq!(slice.len() as u64, (source.total() - start).min(SLICE as u64));
            let expected = (start..).map(|at| b"abcdefg"[(at % 7) as usize]);
            assert!(slice.iter().copied().zip(expected).all(|(found, expected)| found == expected));
        }
    }

    #[test]
    fn nothing_repeated_is_nothing() {
        let source = held(b"");
        assert!(source.is_empty());
        assert_eq!((source.total(), source.slices()), (0, 0));
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        for path in ["/", "/dev/null", "/no/such/file"] {
            assert!(Source::open(Some(Path::new(path))).is_err(), "{path}");
        }
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(
            [0, 999, 1_000, 4_200_000, 1_073_741_824].map(size),
            ["0 B", "999 B", "1.00 kB", "4.20 MB", "1.07 GB"]
        );
    }
}
