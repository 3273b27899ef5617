//! Addresses: `shm:NAME` and `file:PATH`.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where POSIX shared memory lives on Linux: what `shm_open` opens.
const SHM_DIRECTORY: &str = "/dev/shm";

/// Where a named segment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    path: PathBuf,
}

impl Address {
    /// Reads an address. A leading slash in `shm:/name` is allowed, as for `shm_open`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Address { address: text.to_owned(), reason };
        let path = if let Some(name) = text.strip_prefix("shm:") {
            let name = name.strip_prefix('/').unwrap_or(name);
            if name.is_empty() || name == "." || name == ".." {
                return Err(refuse("the name is empty"));
            }
            if name.contains('/') || name.contains('\0') {
                return Err(refuse("a shared memory name has no slash and no zero byte"));
            }
            if name.len() > 255 {
                return Err(refuse("the name is longer than 255 bytes"));
            }
            Path::new(SHM_DIRECTORY).join(name)
        } else if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() || path.contains('\0') || Path::new(path).file_name().is_none() {
                return Err(refuse("the path names no file"));
            }
            PathBuf::from(path)
        } else {
            return Err(refuse("it begins with neither `shm:` nor `file:`"));
        };
        Ok(Self { text: text.to_owned(), path })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it stands in.
    pub(crate) fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// As it was given, for errors.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shm_names_lie_in_dev_shm() {
        for text in ["shm:ticks", "shm:/ticks"] {
            assert_eq!(Address::parse(text).unwrap().path(), Path::new("/dev/shm/ticks"));
        }
    }

    #[test]
    fn file_addresses_are_paths() {
        let address = Address::parse("file:ticks").unwrap();
        assert_eq!((address.path(), address.directory()), (Path::new("ticks"), Path::new(".")));
        assert_eq!(Address::parse("file:/tmp/a b").unwrap().directory(), Path::new("/tmp"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("shm:{}", "x".repeat(256));
        for text in [
            "", "ticks", "shm:", "shm:/", "shm:.", "shm:..", "shm:a/b", "shm:a\0", "file:",
            "file:/", "file:..", &long,
        ] {
            assert!(matches!(Address::parse(text), Err(Error::Address { .. })), "{text:?}");
        }
    }
}
