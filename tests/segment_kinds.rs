//! A segment of another type, size or kind than the opener's, made by annulus itself.

mod segments;
mod support;

use annulus::spsc::Ring;
use annulus::{Error, Field, Found, Kind, Message, Observer, Options, Payload, WaitMethod};
use segments::{Refusal, Spot, refusal};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A ring of `M` where it is opened as one of something else.
fn made<M: Payload + ?Sized>(options: &Options<Ring<M>>) -> Spot {
    let spot = Spot::shm();
    options.clone().capacity(8).create_new(&spot.address).unwrap();
    spot
}

fn mismatch(field: Field, found: u64, expected: u64) -> Refusal {
    Refusal::Mismatch(field, Found::Number(found), Found::Number(expected))
}

/// What is said when a ring of `M` is opened as one of `T`.
fn opened_as<M: Message, T: Message>() -> Refusal {
    let spot = made::<M>(&Ring::options().type_tag(1));
    let before = spot.traits();
    let said = refusal(Ring::<T>::options().type_tag(1).open(&spot.address));
    assert_eq!(spot.traits(), before);
    said
}

#[test]
fn messages_of_another_size_are_refused() {
    assert_eq!(opened_as::<u64, u32>(), mismatch(Field::MessageSize, 8, 4));
    assert_eq!(opened_as::<[u8; 3], [u8; 4]>(), mismatch(Field::MessageSize, 3, 4));
    assert_eq!(opened_as::<(), u8>(), mismatch(Field::MessageSize, 0, 1));
}

#[test]
fn messages_of_another_alignment_are_refused() {
    assert_eq!(opened_as::<u64, [u8; 8]>(), mismatch(Field::MessageAlign, 8, 1));
    assert_eq!(opened_as::<[u8; 4], f32>(), mismatch(Field::MessageAlign, 1, 4));
    assert_eq!(opened_as::<u128, [u64; 2]>(), mismatch(Field::MessageAlign, 16, 8));
}

#[test]
fn alignments_of_4_and_8_are_one_to_those_who_agree_on_the_type() {
    // 32-bit x86 aligns a `u64` to 4.
    for tag in [7, 8] {
        let spot = made::<u64>(&Ring::options().type_tag(7));
        let opened = Ring::<[u32; 2]>::options().type_tag(tag).open(&spot.address);
        match tag {
            7 => drop(opened.unwrap()),
            _ => assert_eq!(refusal(opened), mismatch(Field::MessageAlign, 8, 4)),
        }
    }
}

#[test]
fn messages_of_another_type_are_refused_by_their_tag() {
    let spot = made::<u64>(&Ring::options());
    let said = refusal(Ring::<i64>::open(&spot.address));
    assert!(matches!(said, Refusal::Mismatch(Field::TypeTag, Found::Bits(_), Found::Bits(_))));
    let spot = made::<u64>(&Ring::options().type_tag(7));
    let said = refusal(Ring::<u64>::options().type_tag(8).open(&spot.address));
    assert_eq!(said, Refusal::Mismatch(Field::TypeTag, Found::Bits(7), Found::Bits(8)));
    // A tag of one's own is what counts.
    Ring::<i64>::options().type_tag(7).open(&spot.address).unwrap();
}

#[test]
fn another_capacity_is_refused_where_one_is_asked_for() {
    let spot = made::<u64>(&Ring::options());
    let open = |capacity| Ring::<u64>::options().capacity(capacity).open(&spot.address);
    for capacity in [1, 4, 16, 1 << 32, 7, 0] {
        assert_eq!(refusal(open(capacity)), mismatch(Field::Capacity, 8, capacity));
    }
    assert_eq!(open(8).unwrap().capacity(), 8);
    assert_eq!(Ring::<u64>::open(&spot.address).unwrap().capacity(), 8);
}

#[test]
fn another_kind_of_ring_is_refused() {
    let fixed = made::<u64>(&Ring::options().type_tag(1));
    let said = refusal(Ring::<[u8]>::options().type_tag(1).open(&fixed.address));
    assert_eq!(said, mismatch(Field::Kind, 1, 2));
    assert_eq!(Observer::open(&fixed.address).unwrap().kind(), Kind::Spsc);

    let bytes = made::<[u8]>(&Ring::<[u8]>::options().type_tag(1).max_len(8));
    let said = refusal(Ring::<u64>::options().type_tag(1).open(&bytes.address));
    assert_eq!(said, mismatch(Field::Kind, 2, 1));
    assert_eq!(Observer::open(&bytes.address).unwrap().kind(), Kind::SpscBytes);
}

#[test]
fn byte_messages_of_another_maximum_are_refused_where_one_is_asked_for() {
    let spot = made::<[u8]>(&Ring::<[u8]>::options().max_len(100));
    let said = refusal(Ring::<[u8]>::options().max_len(101).open(&spot.address));
    assert_eq!(said, mismatch(Field::MessageSize, 100, 101));
    assert_eq!(Ring::<[u8]>::open(&spot.address).unwrap().message_size(), 100);
}

#[test]
fn an_opener_takes_the_wait_method_and_the_barrier_that_are_there() {
    for (method, fenced) in
        [(WaitMethod::Spin, false), (WaitMethod::Futex, false), (WaitMethod::Futex, true)]
    {
        let options = Ring::<u64>::options().wait_method(method).fenced(fenced);
        let spot = made::<u64>(&options);
        assert_eq!(Observer::open(&spot.address).unwrap().wait_method(), method);
        let ring = Ring::<u64>::open(&spot.address).unwrap();
        ring.sender().unwrap().send(1).unwrap();
        assert_eq!(ring.receiver().unwrap().recv(), Ok(1));
    }
}

#[test]
fn an_opener_who_names_a_wait_method_gets_no_other_and_semaphores_only_by_name() {
    use WaitMethod::{Futex, Semaphore, Spin};
    let text = |method| match method {
        Spin => "spin",
        Futex => "futex",
        _ => "semaphore",
    };
    for method in [Spin, Futex, Semaphore] {
        let options = Ring::<u64>::options().wait_method(method);
        let spot = Spot::shm();
        match options.clone().capacity(8).create_new(&spot.address) {
            Err(Error::Unsupported(why)) if method == Semaphore => support::skip!("{why}"),
            made => drop(made.unwrap()),
        }
        for asked in [Spin, Futex, Semaphore] {
            let opened = Ring::<u64>::options().wait_method(asked).open(&spot.address);
            let (found, expected) = (Found::Text(text(method)), Found::Text(text(asked)));
            match opened {
                Ok(_) => assert_eq!(asked, method),
                Err(error) => assert_eq!(
                    Refusal::from(error),
                    Refusal::Mismatch(Field::WaitMethod, found, expected)
                ),
            }
        }
        let opened = Ring::<u64>::open(&spot.address);
        if method == Semaphore {
            // They are for those who trust one another's C library.
            let (found, expected) =
                (Found::Text("semaphore"), Found::Text("anything but semaphores"));
            let mismatch = Refusal::Mismatch(Field::WaitMethod, found, expected);
            assert_eq!(refusal(opened), mismatch);
        } else {
            opened.unwrap();
        }
        annulus::unlink(&spot.address).unwrap();
    }
}

/// An option that no ring can have, and its value.
fn refused_option<R>(result: Result<R, Error>) -> (&'static str, u64, String) {
    match result {
        Err(Error::Option { option, value, reason }) => (option, value, reason),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn a_capacity_that_is_no_power_of_two_is_refused_and_the_next_one_named() {
    for (capacity, next) in [(0, 1), (3, 4), (1000, 1024), ((1u64 << 31) + 1, 1u64 << 32)] {
        let options = Ring::<u64>::options().capacity(capacity);
        let spot = Spot::shm();
        let reason = format!("a power of two is needed, the next one is {next}");
        let expected = ("capacity", capacity, reason);
        assert_eq!(refused_option(options.create_heap()), expected);
        assert_eq!(refused_option(options.create_memfd("refused")), expected);
        assert_eq!(refused_option(options.create_new(&spot.address)), expected);
        assert_eq!(refused_option(options.segment_len()), expected);
        assert!(spot.neighbours().is_empty());
    }
    for capacity in [(1 << 32) + 1, 1 << 33, u64::MAX] {
        let refused = refused_option(Ring::<u64>::options().capacity(capacity).create_heap());
        assert_eq!(refused, ("capacity", capacity, "at most 4294967296".to_owned()));
    }
}

#[derive(FromBytes, Immutable, IntoBytes)]
#[repr(C, align(256))]
struct Overaligned([u8; 256]);

#[test]
fn messages_that_the_layout_cannot_hold_are_refused() {
    let refused = refused_option(Ring::<Overaligned>::options().capacity(2).create_heap());
    assert_eq!(refused, ("message align", 256, "at most 128 bytes".to_owned()));
    let too_long = (1 << 30) + 1;
    let refused = refused_option(Ring::<[u8]>::options().max_len(too_long).create_heap());
    assert_eq!(refused, ("message size", too_long, "at most 1073741824 bytes".to_owned()));
    // Larger than any process can map.
    let options = Ring::<[u8; 1 << 20]>::options().capacity(1 << 32);
    let (option, value, _) = refused_option(options.segment_len());
    assert_eq!((option, value), ("capacity", 1 << 32));
}

#[test]
fn the_default_capacity_stays_under_a_mebibyte() {
    fn check<T: Message>() {
        let len = Ring::<T>::options().segment_len().unwrap();
        let ring = Ring::<T>::options().create_heap().unwrap();
        assert!(ring.capacity().is_power_of_two() && ring.capacity() >= 2);
        let slots = len - 768;
        assert!(slots <= 1 << 20 || ring.capacity() == 2, "{len}");
        assert!(slots > 1 << 18, "{len}");
    }
    check::<u8>();
    check::<u64>();
    check::<[u8; 57]>();
    check::<[u8; 4096]>();
    check::<[u8; 1 << 20]>();
    check::<[u8; 3 << 20]>();
}

#[test]
fn what_is_no_address_is_refused_by_every_verb() {
    for address in ["", "ticks", "shm:", "shm:a/b", "file:", "file:..", "memfd:x", "shm:a\0b"] {
        let refused = |result: Result<(), Error>| {
            assert!(
                matches!(&result, Err(Error::Address { address: said, .. }) if said == address)
            );
        };
        refused(Ring::<u64>::open(address).map(drop));
        refused(Ring::<u64>::options().create_new(address).map(drop));
        refused(Ring::<u64>::options().open_or_create(address).map(drop));
        refused(Observer::open(address).map(drop));
        refused(annulus::unlink(address));
    }
}
