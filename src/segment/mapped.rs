//! Segments that are files: named shared memory, files, memfds.

use std::io;
use std::os::fd::OwnedFd;

use super::format::mismatch;
use super::{Access, Address, Format, Initialise, Segment, attach, guard};
use crate::atomic::{Bug, Span, seeded};
use crate::error::{Error, Field, Found};
use crate::layout::{self, WaitMethod};
use crate::sys::{self, Facts, FileSystem, Mapping, OpenRefusal};

impl Segment {
    /// A new named one: complete when its name appears.
    pub(crate) fn create_named(
        address: &Address,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        let publishing = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::AlreadyExists { address: address.text().to_owned() }
            }
            _ => Error::Os { call: "giving the segment its name", source },
        };
        // Asked first so that a taken name costs nothing; decided by `link` alone.
        if std::fs::symlink_metadata(address.path()).is_ok() {
            return Err(publishing(io::ErrorKind::AlreadyExists.into()));
        }
        match sys::anonymous_file(address.directory()) {
            Ok(Some(file)) => {
                refuse_remote(&file)?;
                let attached = attach::join_new(&file, address)?;
                let early = seeded(Bug::NamedTooEarly);
                if early {
                    sys::link(&file, address.path()).map_err(publishing)?;
                }
                let segment = Self::fill(file, format, access, initialise)?;
                let attached = (!seeded(Bug::MakerNotAttached)).then_some(attached);
                let segment = Self { _attached: attached, ..segment };
                if early {
                    return Ok(segment);
                }
                let file = segment.file.as_ref().expect("just filled");
                segment.named(format, || sys::link(file, address.path()).map_err(publishing))?;
                Ok(segment)
            }
            Ok(None) if seeded(Bug::NoNamelessFallback) => {
                Err(Error::Unsupported("a file system without nameless files"))
            }
            Ok(None) => Self::create_renamed(address, format, access, initialise, publishing),
            Err(source) => Err(Error::Os { call: "creating the segment", source }),
        }
    }

    /// Where files can't be nameless: under a temporary name first, which a kill leaves.
    fn create_renamed(
        address: &Address,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
        publishing: impl Fn(io::Error) -> Error,
    ) -> Result<Self, Error> {
        let temporary = address.directory().join(format!(".annulus-{:016x}", sys::creation_id()));
        let file = sys::named_file(&temporary)
            .map_err(|source| Error::Os { call: "creating the segment", source })?;
        let make = || {
            refuse_remote(&file)?;
            let attached = attach::join_new(&file, address)?;
            let segment = Self::fill(file, format, access, initialise)?;
            let segment = Self { _attached: Some(attached), ..segment };
            let name = || match seeded(Bug::RenameReplaces) {
                true => std::fs::rename(&temporary, address.path()).map_err(publishing),
                false => sys::rename_new(&temporary, address.path()).map_err(publishing),
            };
            segment.named(format, name)?;
            Ok(segment)
        };
        let outcome = make();
        if outcome.is_err() && !seeded(Bug::TemporaryLeft) {
            // The first error is the one to report; the name is random and ours.
            let _ = sys::remove(&temporary);
        }
        outcome
    }

    /// A new memfd, sealed at its size.
    pub(crate) fn create_memfd(
        name: &str,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        let file =
            sys::memfd(name).map_err(|source| Error::Os { call: "creating the memfd", source })?;
        let segment = Self::fill(file, format, access, initialise)?;
        sys::seal(segment.file.as_ref().expect("just filled"))
            .map_err(|source| Error::Os { call: "sealing the memfd", source })?;
        Ok(segment)
    }

    /// Gives a new file its mode, memory and contents.
    fn fill(
        file: OwnedFd,
        format: &Format,
        access: Access,
        initialise: Initialise<'_>,
    ) -> Result<Self, Error> {
        if let Some(group) = access.group {
            sys::set_group(&file, group)
                .map_err(|source| Error::Os { call: "setting the segment's group", source })?;
        }
        if !seeded(Bug::ModeLeftAsMade) {
            sys::chmod(&file, access.mode)
                .map_err(|source| Error::Os { call: "setting the segment's mode", source })?;
        }
        sys::allocate(&file, format.len)
            .map_err(|source| Error::Os { call: "reserving the segment's memory", source })?;
        let mapping = map(&file, format.len, true)?;
        bring_in(&mapping, access)?;
        let mut segment = Self::guarded(mapping, file, access)?;
        if format.wait_method == WaitMethod::Semaphore {
            segment.semaphores = format.create_semaphores(access.mode, access.group)?;
        }
        initialise(&segment.span);
        format.publish(&segment.span);
        Ok(segment)
    }

    /// A mapping as a segment: from here on the two are let go in the right order.
    fn guarded(mapping: Mapping, file: OwnedFd, access: Access) -> Result<Self, Error> {
        let guard = guard(&mapping, access)?;
        Ok(Self { _guard: guard, ..Self::with_span(Span::mapped(mapping), Some(file), 0) })
    }

    /// Gives a new segment its name; if that fails, its semaphores lose theirs.
    fn named(
        &self,
        format: &Format,
        name: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let outcome = name();
        if outcome.is_err() && !seeded(Bug::SemaphoresLeft) {
            // The first error is the one to report.
            let _ = format.unlink_semaphores();
        }
        outcome
    }

    /// Opens what stands under a name. `write`: as a participant, not an observer.
    pub(crate) fn open_named(
        address: &Address,
        access: Access,
        write: bool,
    ) -> Result<(Self, Format), Error> {
        if !write {
            return Self::open_file(open_regular(address, false)?, access, false);
        }
        let (file, len, attached) = attach::join(address, access)?;
        let (segment, format) = Self::map_file(file, len, access, true)?;
        Ok((Self { _attached: Some(attached), ..segment }, format))
    }

    /// Opens a passed memfd, which must be sealed at its size.
    pub(crate) fn open_fd(file: OwnedFd, access: Access) -> Result<(Self, Format), Error> {
        let expected = Found::Bits(sys::SEALS as u64);
        let seals = sys::seals(&file)
            .map_err(|_| mismatch(Field::Seals, Found::Text("none: no memfd"), expected))?;
        if seals & sys::SEALS != sys::SEALS && !seeded(Bug::SealsNotRequired) {
            return Err(mismatch(Field::Seals, Found::Bits(seals as u64), expected));
        }
        Self::open_file(file, access, true)
    }

    /// Looks at the segment behind any descriptor.
    pub(crate) fn observe_fd(file: OwnedFd, access: Access) -> Result<(Self, Format), Error> {
        Self::open_file(file, access, false)
    }

    /// Opens the semaphores of a segment that waits on such.
    pub(crate) fn open_semaphores(&mut self, format: &Format) -> Result<(), Error> {
        self.semaphores = format.open_semaphores()?;
        Ok(())
    }

    /// Brings in the pages of a segment that was opened and found to be the right one:
    /// of one that is refused, not even the time of its last change is touched.
    pub(crate) fn bring_in(&self, access: Access) -> Result<(), Error> {
        let (Some(mapping), Some(file)) = (self.span.mapping(), &self.file) else {
            return Ok(());
        };
        // Only memory that its creator has paid for: a sparse file is not filled here.
        let facts = sys::facts(file)
            .map_err(|source| Error::Os { call: "examining the segment", source })?;
        let paid = facts.allocated >= facts.len || seeded(Bug::FillsSparseFiles);
        let prefault = access.prefault && paid;
        bring_in(mapping, Access { prefault, ..access })
    }

    fn open_file(file: OwnedFd, access: Access, write: bool) -> Result<(Self, Format), Error> {
        let len = examine(&file, access)?;
        Self::map_file(file, len, access, write)
    }

    /// Maps a file that was examined, and parses what it holds.
    fn map_file(
        file: OwnedFd,
        len: u64,
        access: Access,
        write: bool,
    ) -> Result<(Self, Format), Error> {
        let mapping = map(&file, len, write)?;
        if seeded(Bug::GuardAfterParse) {
            let late = Access { sigbus_guard: false, ..access };
            let segment = Self::guarded(mapping, file, late)?;
            let format = Format::parse(&segment.span, len)?;
            let guard = segment.span.mapping().map(|mapping| guard(mapping, access));
            return Ok((Self { _guard: guard.transpose()?.flatten(), ..segment }, format));
        }
        let segment = Self::guarded(mapping, file, access)?;
        let parsed = Format::parse(&segment.span, len);
        if parsed.is_err() && seeded(Bug::RefusedStaysMapped) {
            core::mem::forget(segment);
            return Err(parsed.expect_err("just seen"));
        }
        let format = parsed?;
        Ok((segment, format))
    }
}

/// Refuses a file that can be no segment, or not this one; gives its length.
pub(super) fn examine(file: &OwnedFd, access: Access) -> Result<u64, Error> {
    let facts = regular(file)?;
    let owner = access.owner.unwrap_or_else(sys::effective_user);
    if facts.owner != owner && !seeded(Bug::NoOwnerCheck) {
        let (found, owner) = (u64::from(facts.owner), u64::from(owner));
        return Err(mismatch(Field::Owner, Found::Number(found), Found::Number(owner)));
    }
    if facts.mode & !access.mode != 0 && !seeded(Bug::NoModeCheck) {
        return Err(mismatch(Field::Mode, Found::Octal(facts.mode), Found::Octal(access.mode)));
    }
    refuse_remote(file)?;
    let len = facts.len;
    if len < layout::LINE as u64 {
        return Err(mismatch(Field::Length, Found::Number(len), Found::Text("a whole segment")));
    }
    if len > layout::SEGMENT_MAX {
        let most = Found::AtMost(layout::SEGMENT_MAX);
        return Err(mismatch(Field::Length, Found::Number(len), most));
    }
    Ok(len)
}

/// Refuses what is no file; gives the facts of one.
pub(super) fn regular(file: &OwnedFd) -> Result<Facts, Error> {
    let facts =
        sys::facts(file).map_err(|source| Error::Os { call: "examining the segment", source })?;
    if !facts.regular {
        return Err(mismatch(
            Field::FileType,
            Found::Text("not a regular file"),
            Found::Text("a regular file"),
        ));
    }
    Ok(facts)
}

/// Maps a file.
fn map(file: &OwnedFd, len: u64, write: bool) -> Result<Mapping, Error> {
    let len = usize::try_from(len)
        .map_err(|_| Error::Unsupported("a segment larger than the address space"))?;
    Mapping::new(file, len, write)
        .map_err(|source| Error::Os { call: "mapping the segment", source })
}

/// Brings the pages of a mapping in, as the options ask.
fn bring_in(mapping: &Mapping, access: Access) -> Result<(), Error> {
    if access.huge_pages {
        mapping.ask_for_huge_pages();
    }
    if access.prefault {
        mapping
            .populate()
            .map_err(|source| Error::Os { call: "bringing the segment's pages in", source })?;
    }
    if access.lock_memory {
        mapping
            .lock()
            .map_err(|source| Error::Os { call: "locking the segment in memory", source })?;
    }
    Ok(())
}

/// Guards a mapping, if the options ask for it.
fn guard(mapping: &Mapping, access: Access) -> Result<Option<guard::Guarded>, Error> {
    let len = match seeded(Bug::GuardsWholePages) {
        true => (mapping.len() / sys::page_size()).max(1) * sys::page_size(),
        false => mapping.len(),
    };
    let range = || guard::Guarded::new(mapping.base().addr().get(), len);
    access
        .sigbus_guard
        .then(range)
        .transpose()
        .map_err(|source| Error::Os { call: "guarding the segment against SIGBUS", source })
}

/// Refuses a file for which another machine or program answers.
pub(super) fn refuse_remote(file: &OwnedFd) -> Result<(), Error> {
    match sys::file_system(file)
        .map_err(|source| Error::Os { call: "examining the file system", source })?
    {
        FileSystem::Local => Ok(()),
        FileSystem::Remote(name) => {
            Err(mismatch(Field::FileSystem, Found::Text(name), Found::Text("a local file system")))
        }
    }
}

/// Opens the file under an address.
pub(super) fn open_regular(address: &Address, write: bool) -> Result<OwnedFd, Error> {
    let not_a_file =
        |found| mismatch(Field::FileType, Found::Text(found), Found::Text("a regular file"));
    sys::open_existing(address.path(), write).map_err(|refusal| match refusal {
        OpenRefusal::NotFound => Error::NotFound { address: address.text().to_owned() },
        OpenRefusal::Link => not_a_file("a symbolic link"),
        OpenRefusal::NotAFile => not_a_file("a directory, socket or device"),
        OpenRefusal::Os(source) => Error::Os { call: "opening the segment", source },
    })
}
