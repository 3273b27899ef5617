//! States as a few words, participants sorted. Imports: world, machine, words.

use crate::access::Setup;
use crate::machine::{Local, Pc};
use crate::words::{self, Slot};
use crate::world::{MOST, Packed, World};

/// Fields put into, or taken from, a word, lowest first.
struct Bits(u64, u32);

impl Bits {
    fn put(&mut self, value: u64, bits: u32) {
        assert!(value < 1 << bits, "{value} needs more than {bits} bits");
        self.0 |= value << self.1;
        self.1 += bits;
    }

    fn get(&mut self, bits: u32) -> u64 {
        let value = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        value
    }

    fn flag(&mut self) -> bool {
        self.get(1) == 1
    }
}

fn put_slot(word: u64) -> u64 {
    let (kind, p, seat) = match Slot::of(word) {
        Slot::Free(p) => (0, p, 0),
        Slot::Full(p) => (1, p, 0),
        Slot::Tomb(p) => (2, p, 0),
        Slot::Recl(p, seat) => (3, p, seat),
    };
    assert!(p < 16 && seat < 8);
    p << 5 | u64::from(seat) << 2 | kind
}

fn get_slot(packed: u64) -> u64 {
    let p = packed >> 5;
    match packed & 3 {
        0 => Slot::Free(p),
        1 => Slot::Full(p),
        2 => Slot::Tomb(p),
        _ => Slot::Recl(p, (packed >> 2 & 7) as u8),
    }
    .word()
}

fn put_claim(claim: u64) -> u64 {
    let (start, count) = words::claimed(claim);
    assert!(start < 16 && count < 4);
    start << 2 | count
}

fn get_claim(packed: u64) -> u64 {
    words::claim(packed >> 2, packed & 3)
}

fn put_local(local: &Local) -> u64 {
    let mut to = Bits(0, 0);
    let late = local.late.map_or(0, |(slot, word)| 1 | u64::from(slot) << 1 | put_slot(word) << 3);
    to.put(late, 12);
    to.put(put_slot(local.word), 9);
    to.put(local.s.into(), 3);
    to.put(local.j, 2);
    to.put(put_claim(local.claim), 6);
    let flags = [local.noted, local.won, local.locked, local.taking, local.keep, local.stopped];
    flags.into_iter().for_each(|flag| to.put(flag.into(), 1));
    to.put(local.d.into(), 3);
    to.put(local.i, 2);
    to.put(local.n, 2);
    to.put(local.base, 4);
    to.put(local.budget.into(), 2);
    to.put(local.pc as u64, 5);
    to.put(local.seat.into(), 3);
    to.put(local.sends.into(), 1);
    to.0
}

fn get_local(packed: u64) -> Local {
    let mut from = Bits(packed, 0);
    let late = from.get(12);
    let word = get_slot(from.get(9));
    let s = from.get(3) as u8;
    let j = from.get(2);
    let claim = get_claim(from.get(6));
    let [noted, won, locked, taking, keep, stopped] = std::array::from_fn(|_| from.flag());
    let (d, i, n, base) = (from.get(3) as u8, from.get(2), from.get(2), from.get(4));
    let (budget, pc) = (from.get(2) as u8, PCS[from.get(5) as usize]);
    let (seat, sends) = (from.get(3) as u8, from.flag());
    let late = (late & 1 == 1).then(|| ((late >> 1 & 3) as u8, get_slot(late >> 3)));
    Local {
        noted,
        won,
        locked,
        taking,
        keep,
        stopped,
        late,
        word,
        s,
        j,
        claim,
        d,
        i,
        n,
        base,
        budget,
        pc,
        seat,
        ..Local::out(sends, 0)
    }
}

/// The steps in the order of their numbers.
const PCS: [Pc; 31] = [
    Pc::Out,
    Pc::Idle,
    Pc::Slow,
    Pc::Load,
    Pc::Look,
    Pc::Tail,
    Pc::Relook,
    Pc::Note,
    Pc::Cas,
    Pc::Put,
    Pc::Clear,
    Pc::Drop,
    Pc::LeaveState,
    Pc::LeaveUnlock,
    Pc::TakeState,
    Pc::TakeLive,
    Pc::RState,
    Pc::RMark,
    Pc::RClaim,
    Pc::RCounter,
    Pc::RWord,
    Pc::RScan,
    Pc::RScanState,
    Pc::RScanLock,
    Pc::RCas,
    Pc::RDeliver,
    Pc::RClear,
    Pc::RFree,
    Pc::RKept,
    Pc::RUnlock,
    Pc::Gone,
];

impl World {
    /// As few words; the same for states that differ in who is who only.
    pub fn pack(&self, setup: &Setup) -> Packed {
        let mut locals = self.locals.map(|local| put_local(&local));
        locals.sort_unstable();
        let (mut first, mut second) = (Bits(0, 0), Bits(0, 0));
        first.put(self.tail, 4);
        first.put(self.head, 4);
        for slot in self.slots {
            first.put(put_slot(slot), 9);
        }
        second.put(self.seen.into(), 12);
        second.put(self.crashes.into(), 2);
        second.put(self.stops.into(), 1);
        for s in setup.seats() {
            first.put(self.states[usize::from(s)], 2);
            second.put(put_claim(self.claims[usize::from(s)]), 6);
        }
        let mut packed = [0; 2 + MOST];
        (packed[0], packed[1]) = (first.0, second.0);
        packed[2..].copy_from_slice(&locals);
        packed
    }

    /// The state of these words.
    pub fn unpack(setup: &Setup, packed: &Packed) -> Self {
        let (mut first, mut second) = (Bits(packed[0], 0), Bits(packed[1], 0));
        let (tail, head) = (first.get(4), first.get(4));
        let slots = std::array::from_fn(|_| get_slot(first.get(9)));
        let seen = second.get(12) as u16;
        let (crashes, stops) = (second.get(2) as u8, second.get(1) as u8);
        let (mut claims, mut states) = ([0; 6], [0; 6]);
        for s in setup.seats() {
            states[usize::from(s)] = first.get(2);
            claims[usize::from(s)] = get_claim(second.get(6));
        }
        let locals = std::array::from_fn(|i| get_local(packed[2 + i]));
        Self { tail, head, slots, claims, states, seen, crashes, stops, locals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_the_order_of_their_numbers() {
        PCS.iter().enumerate().for_each(|(i, pc)| assert_eq!(*pc as usize, i));
    }
}
