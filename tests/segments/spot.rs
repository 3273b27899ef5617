//! Where a segment may stand, in memory and on disk, and what stands there.

use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use annulus::Error;
use annulus::spsc::Ring;
use tempfile::TempDir;

use crate::support::{TestName, random_name};

/// A place for one segment; gone on drop.
pub struct Spot {
    /// As annulus calls it.
    pub address: String,
    /// As everybody else does.
    pub path: PathBuf,
    _name: Option<TestName>,
    _folder: Option<TempDir>,
}

/// In shared memory, and on disk.
pub const SPOTS: [fn() -> Spot; 2] = [Spot::shm, Spot::file];

/// All that can be seen of a file without reading it, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Traits {
    /// Their hash: they are many.
    bytes: Option<u64>,
    inode: u64,
    len: u64,
    blocks: u64,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    links: u64,
}

impl Spot {
    /// `shm:`.
    pub fn shm() -> Self {
        let name = random_name();
        let path = Path::new("/dev/shm").join(&*name);
        Self { address: name.shm(), path, _name: Some(name), _folder: None }
    }

    /// `file:`, alone in its folder.
    pub fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        let address = format!("file:{}", path.display());
        Self { address, path, _name: None, _folder: Some(folder) }
    }

    /// Somebody else's, by its address: nothing is gone on drop.
    pub fn lent(address: &str) -> Self {
        let path = match address.split_once(':').expect("an address") {
            ("shm", name) => Path::new("/dev/shm").join(name),
            (_, path) => path.into(),
        };
        Self { address: address.to_owned(), path, _name: None, _folder: None }
    }

    /// A ring of `u64`, 8 slots, is there.
    pub fn with_ring(self) -> Self {
        Ring::<u64>::options().capacity(8).create_new(&self.address).unwrap();
        self
    }

    /// These bytes are there, in a file that only its owner may use.
    pub fn with_bytes(self, bytes: &[u8]) -> Self {
        fs::write(&self.path, bytes).unwrap();
        self.chmod(0o600);
        self
    }

    /// The same, in a file that has no memory where a page of them would be zeros.
    pub fn with_holes(self, bytes: &[u8]) -> Self {
        let file = fs::File::create_new(&self.path).unwrap();
        self.chmod(0o600);
        file.set_len(bytes.len() as u64).unwrap();
        for (page, at) in bytes.chunks(4096).zip((0..).step_by(4096)) {
            if page.iter().any(|byte| *byte != 0) {
                file.write_all_at(page, at).unwrap();
            }
        }
        // Some file systems count a file's memory later otherwise.
        file.sync_all().unwrap();
        self
    }

    /// Sets the permission bits.
    pub fn chmod(&self, mode: u32) {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What is there.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Opens it as a ring of `u64`.
    pub fn open(&self) -> Result<Ring<u64>, Error> {
        Ring::open(&self.address)
    }

    /// How many bytes of memory or disk it has.
    pub fn memory(&self) -> u64 {
        fs::metadata(&self.path).unwrap().blocks() * 512
    }

    /// What can be seen of what is there. Links are not followed.
    pub fn traits(&self) -> Traits {
        let seen = fs::symlink_metadata(&self.path).unwrap();
        let small = seen.is_file() && seen.len() < 1 << 24;
        Traits {
            bytes: small
                .then(|| BuildHasherDefault::<DefaultHasher>::default().hash_one(self.bytes())),
            inode: seen.ino(),
            len: seen.len(),
            blocks: seen.blocks(),
            mode: seen.mode(),
            owner: (seen.uid(), seen.gid()),
            modified: (seen.mtime(), seen.mtime_nsec()),
            links: seen.nlink(),
        }
    }

    /// Everything that stands where it stands: its name and whatever was left beside it.
    pub fn neighbours(&self) -> Vec<String> {
        let own = self.path.file_name().unwrap().to_str().unwrap();
        let entries = fs::read_dir(self.path.parent().unwrap()).unwrap();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // Others make rings in /dev/shm too.
        let mut names: Vec<_> =
            names.filter(|name| self._folder.is_some() || name.contains(own)).collect();
        names.sort();
        names
    }
}
