//! The header: written once, then parsed field by field into private memory.

use crate::atomic::{Barrier, Bug, Span, format, relaxed, seeded};
use crate::error::{Corrupt, Error, Field, Found};
use crate::layout::{self, Kind, SlotShape, WaitMethod, header};
#[cfg(not(loom))]
use crate::sys::Semaphore;

/// The facts of a segment, private and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub(crate) kind: Kind,
    pub(crate) message_size: u64,
    pub(crate) message_align: u64,
    pub(crate) capacity: u64,
    pub(crate) type_tag: u64,
    pub(crate) seats: u64,
    pub(crate) wait_method: WaitMethod,
    pub(crate) barrier: Barrier,
    /// Length of the segment in bytes.
    pub(crate) len: u64,
    pub(crate) creation_id: u64,
}

/// What an opener asks of a header. `None` takes what is there.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    pub(crate) kind: Kind,
    /// Another kind that would do too.
    pub(crate) sibling: Option<Kind>,
    /// Of a new one, the default is two.
    pub(crate) seats: Option<u64>,
    pub(crate) message_size: Option<u64>,
    pub(crate) message_align: u64,
    pub(crate) capacity: Option<u64>,
    pub(crate) type_tag: u64,
    /// `None`: any but semaphores, which ask for more trust than the segment itself.
    pub(crate) wait_method: Option<WaitMethod>,
}

/// How participants of a new segment wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) method: WaitMethod,
    pub(crate) barrier: Barrier,
}

impl Format {
    /// A format for a new segment; refuses what the layout can't express.
    pub(crate) fn new(
        expect: &Expect,
        message_size: u64,
        capacity: u64,
        waiting: Waiting,
        creation_id: u64,
    ) -> Result<Self, Error> {
        check_capacity(expect.kind, capacity)?;
        if message_size > layout::MESSAGE_MAX {
            return Err(Error::Option {
                option: "message size",
                value: message_size,
                reason: format!("at most {} bytes", layout::MESSAGE_MAX),
            });
        }
        if expect.message_align > layout::ALIGN_MAX {
            return Err(Error::Option {
                option: "message align",
                value: expect.message_align,
                reason: format!("at most {} bytes", layout::ALIGN_MAX),
            });
        }
        let seats = expect.seats.unwrap_or(2);
        if !expect.kind.can_seat(seats) {
            return Err(Error::Option {
                option: "seats",
                value: seats,
                reason: format!("from 2 to {}, of both sorts together", expect.kind.seats_max()),
            });
        }
        let mut format = Self {
            kind: expect.kind,
            seats,
            message_size,
            message_align: expect.message_align,
            capacity,
            type_tag: expect.type_tag,
            wait_method: waiting.method,
            barrier: waiting.barrier,
            len: 0,
            creation_id,
        };
        format.len = layout::segment_len(expect.kind, seats, capacity, format.shape()).ok_or_else(|| Error::Option {
            option: "capacity",
            value: capacity,
            reason: format!("with messages of {message_size} bytes the segment is larger than a process can map"),
        })?;
        Ok(format)
    }

    /// The shape of its slots.
    pub(crate) fn shape(&self) -> SlotShape {
        let (size, align) = (self.message_size as usize, self.message_align as usize);
        match self.kind {
            Kind::Stream => SlotShape::BYTE,
            Kind::Frames => SlotShape::buffer(size),
            kind => SlotShape::new(kind.prefix() as usize, size, align),
        }
    }

    /// Name of the semaphore of the ring's event number `event`.
    #[cfg(not(loom))]
    fn semaphore_name(&self, event: usize) -> String {
        format!("/annulus-{:016x}-{event}", self.creation_id)
    }

    /// Names of all of them; none unless the ring waits on such.
    #[cfg(not(loom))]
    fn semaphore_names(&self) -> impl Iterator<Item = String> {
        let waits = self.wait_method == WaitMethod::Semaphore;
        let count = if waits { 2 } else { 0 };
        (0..count).map(|event| self.semaphore_name(event))
    }

    /// Makes them. On an error there are none.
    #[cfg(not(loom))]
    pub(super) fn create_semaphores(
        &self,
        mode: u32,
        group: Option<u32>,
    ) -> Result<Vec<Semaphore>, Error> {
        let create = |name: String| Semaphore::create_new(&name, mode, group);
        self.semaphore_names().map(create).collect::<Result<_, _>>().map_err(|source| {
            if !seeded(Bug::SemaphoresLeft) {
                // The first error is the one to report; the names are random and ours.
                let _ = self.unlink_semaphores();
            }
            Error::Os { call: "creating a semaphore", source }
        })
    }

    /// Opens them.
    #[cfg(not(loom))]
    pub(super) fn open_semaphores(&self) -> Result<Vec<Semaphore>, Error> {
        self.semaphore_names()
            .map(|name| Semaphore::open(&name))
            .collect::<Result<_, _>>()
            .map_err(|source| Error::Os { call: "opening a semaphore", source })
    }

    /// Removes their names.
    #[cfg(not(loom))]
    pub(super) fn unlink_semaphores(&self) -> Result<(), Error> {
        for name in self.semaphore_names() {
            Semaphore::unlink(&name)
                .map_err(|source| Error::Os { call: "removing a semaphore's name", source })?;
        }
        Ok(())
    }

    /// Writes the header, the magic last. Everything else must be written already.
    pub(crate) fn publish(&self, span: &Span) {
        if seeded(Bug::MagicFirst) {
            span.word(header::MAGIC).store(layout::MAGIC, format::RELEASE);
        }
        for (at, value) in self.words() {
            span.word(at).store(value, relaxed::SOLE_WRITER);
        }
        span.word(header::CHECKSUM).store(self.checksum(), relaxed::SOLE_WRITER);
        // FORMAT: the header, the control words and the first stamps are complete.
        // Pairs with `parse`.
        span.word(header::MAGIC).store(layout::MAGIC, format::RELEASE);
    }

    /// Reads each field once, and refuses by name what is not a segment of this
    /// version, whole, and `len` bytes long.
    pub(crate) fn parse(span: &Span, len: u64) -> Result<Self, Error> {
        let format = Self::parse_within(span, len)?;
        if format.len == len || seeded(Bug::LengthUnchecked) {
            Ok(format)
        } else {
            Err(format.other_length(len))
        }
    }

    /// The same for a segment at the beginning of `len` bytes.
    pub(crate) fn parse_within(span: &Span, len: u64) -> Result<Self, Error> {
        if len < layout::LINE as u64 {
            return Err(mismatch(
                Field::Length,
                Found::Number(len),
                Found::Text("a whole segment"),
            ));
        }
        // FORMAT: pairs with `publish`.
        let magic = span.word(header::MAGIC).load_fenced(format::ACQUIRE);
        if magic != layout::MAGIC {
            return Err(mismatch(Field::Magic, Found::Bits(magic), Found::Bits(layout::MAGIC)));
        }
        // Ordered by the magic; and a liar's words are bounded here whatever they are.
        let read = |at| span.word(at).load(relaxed::VALIDATED);
        let version = read(header::VERSION);
        if version != layout::VERSION {
            return Err(mismatch(
                Field::Version,
                Found::Number(version),
                Found::Number(layout::VERSION),
            ));
        }
        let kind_word = read(header::KIND);
        let Some(kind) = Kind::from_word(kind_word) else {
            return Err(mismatch(
                Field::Kind,
                Found::Number(kind_word),
                Found::Text("a known kind"),
            ));
        };
        let seats = read(header::SEATS);
        if !kind.can_seat(seats) {
            let most = kind.seats_max();
            let expected = if most == 2 { Found::Number(2) } else { Found::AtMost(most) };
            return Err(mismatch(Field::Seats, Found::Number(seats), expected));
        }
        let word = read(header::WAIT_METHOD);
        let Some(wait_method) = WaitMethod::from_word(word) else {
            return Err(mismatch(
                Field::WaitMethod,
                Found::Number(word),
                Found::Text("a known method"),
            ));
        };
        let barrier = match read(header::BARRIER_FORM) {
            layout::ASYMMETRIC => Barrier::Asymmetric,
            layout::FENCED => Barrier::Fenced,
            word => {
                return Err(mismatch(
                    Field::BarrierForm,
                    Found::Number(word),
                    Found::Text("a known form"),
                ));
            }
        };
        let format = Self {
            kind,
            seats,
            message_size: bounded("message size", read(header::MESSAGE_SIZE), layout::MESSAGE_MAX)?,
            message_align: bounded(
                "message align",
                read(header::MESSAGE_ALIGN),
                layout::ALIGN_MAX,
            )?,
            capacity: bounded("capacity", read(header::CAPACITY), layout::CAPACITY_MAX)?,
            type_tag: read(header::TYPE_TAG),
            wait_method,
            barrier,
            len: read(header::LENGTH),
            creation_id: read(header::CREATION_ID),
        };
        let checksum = read(header::CHECKSUM);
        if checksum != format.checksum() {
            return Err(mismatch(
                Field::Checksum,
                Found::Bits(checksum),
                Found::Bits(format.checksum()),
            ));
        }
        if seeded(Bug::ChecksumTrusted) {
            return Ok(format);
        }
        // A matching checksum does not make a value possible: it is no signature.
        if !format.capacity.is_power_of_two() || format.capacity < kind.capacity_min() {
            return Err(Corrupt { word: "capacity", value: format.capacity }.into());
        }
        if !format.message_align.is_power_of_two() {
            return Err(Corrupt { word: "message align", value: format.message_align }.into());
        }
        let needed = layout::segment_len(kind, seats, format.capacity, format.shape());
        if needed != Some(format.len) {
            return Err(Corrupt { word: "length", value: format.len }.into());
        }
        if format.len > len && !seeded(Bug::LengthUnchecked) {
            return Err(format.other_length(len));
        }
        if seeded(Bug::CapacityTwice) {
            return Ok(Self { capacity: read(header::CAPACITY), ..format });
        }
        Ok(format)
    }

    fn other_length(&self, found: u64) -> Error {
        mismatch(Field::Length, Found::Number(found), Found::Number(self.len))
    }

    /// Refuses a segment that is well-formed but not the expected one.
    pub(crate) fn check(&self, expect: &Expect) -> Result<(), Error> {
        if self.kind != expect.kind && Some(self.kind) != expect.sibling {
            return Err(mismatch(
                Field::Kind,
                Found::Number(self.kind as u64),
                Found::Number(expect.kind as u64),
            ));
        }
        let numbers = [
            (
                Field::MessageSize,
                self.message_size,
                expect.message_size.unwrap_or(self.message_size),
            ),
            (Field::MessageAlign, self.message_align, self.alignment_beside(expect)),
            (Field::Capacity, self.capacity, expect.capacity.unwrap_or(self.capacity)),
            (Field::Seats, self.seats, expect.seats.unwrap_or(self.seats)),
        ];
        for (field, found, expected) in numbers {
            if found != expected {
                return Err(mismatch(field, Found::Number(found), Found::Number(expected)));
            }
        }
        let welcome = match expect.wait_method {
            Some(method) => self.wait_method == method,
            None => self.wait_method != WaitMethod::Semaphore,
        };
        if !welcome {
            let expected = expect.wait_method.map_or("anything but semaphores", WaitMethod::name);
            let (found, expected) = (self.wait_method.name(), Found::Text(expected));
            return Err(mismatch(Field::WaitMethod, Found::Text(found), expected));
        }
        if self.type_tag != expect.type_tag {
            return Err(mismatch(
                Field::TypeTag,
                Found::Bits(self.type_tag),
                Found::Bits(expect.type_tag),
            ));
        }
        Ok(())
    }

    /// The alignment to find where `expect` is expected: 4 and 8 may be the same type's, since
    /// 32-bit x86 aligns 8-byte numbers to 4. The slots are the same for both, and every
    /// message lies at a multiple of 8.
    fn alignment_beside(&self, expect: &Expect) -> u64 {
        let one_type = self.type_tag == expect.type_tag;
        match (self.message_align, expect.message_align) {
            (found @ (4 | 8), 4 | 8) if one_type => found,
            (_, expected) => expected,
        }
    }

    /// Every word between magic and checksum.
    fn words(&self) -> [(usize, u64); 11] {
        let barrier = match self.barrier {
            Barrier::Asymmetric => layout::ASYMMETRIC,
            Barrier::Fenced => layout::FENCED,
        };
        [
            (header::VERSION, layout::VERSION),
            (header::KIND, self.kind as u64),
            (header::MESSAGE_SIZE, self.message_size),
            (header::MESSAGE_ALIGN, self.message_align),
            (header::CAPACITY, self.capacity),
            (header::TYPE_TAG, self.type_tag),
            (header::SEATS, self.seats),
            (header::WAIT_METHOD, self.wait_method as u64),
            (header::BARRIER_FORM, barrier),
            (header::LENGTH, self.len),
            (header::CREATION_ID, self.creation_id),
        ]
    }

    fn checksum(&self) -> u64 {
        self.words()
            .iter()
            .fold(layout::FNV_OFFSET, |hash, (_, word)| layout::fnv1a(hash, &word.to_le_bytes()))
    }
}

/// Refuses a capacity that is no power of two, and names the next one.
pub(crate) fn check_capacity(kind: Kind, capacity: u64) -> Result<(), Error> {
    let least = kind.capacity_min();
    if capacity.is_power_of_two() && (least..=layout::CAPACITY_MAX).contains(&capacity) {
        return Ok(());
    }
    let reason = match capacity.max(least).checked_next_power_of_two() {
        Some(next) if next <= layout::CAPACITY_MAX => {
            format!("a power of two is needed, the next one is {next}")
        }
        _ => format!("at most {}", layout::CAPACITY_MAX),
    };
    Err(Error::Option { option: "capacity", value: capacity, reason })
}

/// A header word with an upper bound.
fn bounded(word: &'static str, value: u64, max: u64) -> Result<u64, Error> {
    if value > max { Err(Corrupt { word, value }.into()) } else { Ok(value) }
}

/// The error for a fact that differs.
pub(crate) fn mismatch(field: Field, found: Found, expected: Found) -> Error {
    Error::Mismatch { field, found, expected }
}
