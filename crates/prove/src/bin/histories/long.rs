//! Long histories of a FIFO, by what no order could mend.
//!
//! ```text
//!   received twice; never sent
//!   inverted:  ├ send a ┤  ├ send b ┤  …  ├ recv b ┤  ├ recv a ┤, or a never received
//!   empty:     ├ send a ┤  ├ says: empty ┤  ├ recv a ┤, or several in turn all the while
//! ```

use std::collections::HashMap;

use crate::log::{Record, Said, Verb};

/// A value's way.
#[derive(Clone, Copy, Debug)]
struct Way {
    value: u64,
    send: (u64, u64),
    /// Never: in no time.
    recv: (u64, u64),
}

/// What is wrong, if anything. All that was sent and not received is taken for lost.
pub fn check(senders: &[Vec<Record>], receivers: &[Vec<Record>]) -> Option<String> {
    let mut ways = HashMap::new();
    for record in senders.iter().flatten() {
        let (Said::Some(sent), Verb::Send | Verb::Reserve) = (record.said, record.verb) else {
            continue;
        };
        for value in &record.values[..sent as usize] {
            let recv = (u64::MAX, u64::MAX);
            let way = Way { value: *value, send: (record.start, record.until), recv };
            if ways.insert(*value, way).is_some() {
                return Some(format!("{value:x} was sent twice: the campaign is wrong"));
            }
        }
    }
    let mut empties = Vec::new();
    for record in receivers.iter().flatten() {
        match record.said {
            Said::Empty => empties.push((record.start, record.end)),
            Said::Some(got) => {
                for value in &record.values[..got as usize] {
                    let Some(way) = ways.get_mut(value) else {
                        return Some(format!("{value:x} was never sent"));
                    };
                    if way.recv.0 != u64::MAX {
                        return Some(format!("{value:x} was received twice"));
                    }
                    way.recv = (record.start, record.end);
                }
            }
            _ => {}
        }
    }
    let mut ways: Vec<_> = ways.into_values().collect();
    if let Some(lost) = ways.iter().find(|way| way.recv.0 == u64::MAX) {
        return Some(format!("{:x} was lost", lost.value));
    }
    inverted(&mut ways).or_else(|| not_empty(&ways, &empties))
}

/// Two of which the first was sent before the second, and received after it.
fn inverted(ways: &mut [Way]) -> Option<String> {
    let mut by_end = ways.to_vec();
    by_end.sort_by_key(|way| way.send.1);
    ways.sort_by_key(|way| way.send.0);
    let mut before = by_end.iter().peekable();
    let mut latest: Option<&Way> = None;
    for second in ways.iter() {
        while let Some(first) = before.next_if(|way| way.send.1 < second.send.0) {
            if latest.is_none_or(|latest| first.recv.0 > latest.recv.0) {
                latest = Some(first);
            }
        }
        if let Some(first) = latest.filter(|first| first.recv.0 > second.recv.1) {
            return Some(format!("inverted: {first:x?} and {second:x?}"));
        }
    }
    None
}

/// A receiver that was told "empty" while something was there all along.
fn not_empty(ways: &[Way], empties: &[(u64, u64)]) -> Option<String> {
    // There from the end of its send to the start of its receive.
    let there = ways.iter().map(|way| (way.send.1, way.recv.0));
    let mut there: Vec<_> = there.filter(|(from, to)| from < to).collect();
    there.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in there {
        match joined.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    for (start, end) in empties {
        let at = joined.partition_point(|(from, _)| from < start);
        if let Some((from, to)) = at.checked_sub(1).map(|at| joined[at])
            && end < &to
        {
            return Some(format!("empty from {start} to {end}; not so from {from} to {to}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::stage;

    fn record(verb: Verb, said: Said, start: u64, end: u64, value: u64) -> Record {
        let values = [value; 4];
        Record { verb, asked: 1, stage: stage::DONE, start, end, until: end, said, values }
    }

    fn send(start: u64, end: u64, value: u64) -> Record {
        record(Verb::Send, Said::Some(1), start, end, value)
    }

    fn recv(start: u64, end: u64, value: u64) -> Record {
        record(Verb::Recv, Said::Some(1), start, end, value)
    }

    fn empty(start: u64, end: u64) -> Record {
        record(Verb::Recv, Said::Empty, start, end, 0)
    }

    fn said(sends: Vec<Record>, receives: Vec<Record>) -> String {
        check(&[sends], &[receives]).unwrap_or_default()
    }

    #[test]
    fn what_fits_is_let_pass() {
        let sends = vec![send(1, 4, 1), send(5, 8, 2), send(6, 9, 3)];
        let receives = vec![empty(1, 2), recv(2, 6, 1), recv(10, 11, 3), recv(10, 12, 2)];
        assert_eq!(said(sends, receives), "");
    }

    #[test]
    fn each_bad_pattern_is_found() {
        let two = || vec![send(1, 2, 1), send(3, 4, 2)];
        assert!(said(two(), vec![recv(5, 6, 1), recv(7, 8, 1)]).contains("twice"));
        assert!(said(two(), vec![recv(5, 6, 1), recv(7, 8, 3)]).contains("never sent"));
        assert!(said(two(), vec![recv(5, 6, 2)]).contains("lost"));
        assert!(said(two(), vec![recv(5, 6, 2), recv(7, 8, 1)]).contains("inverted"));
        let all_along = vec![empty(5, 6), recv(7, 8, 1), recv(9, 10, 2)];
        assert!(said(two(), all_along).contains("empty"));
        // One goes, but the other is there already.
        let in_turn = vec![recv(5, 12, 1), empty(3, 14), recv(15, 16, 2)];
        assert!(said(vec![send(1, 2, 1), send(3, 4, 2)], in_turn).contains("empty"));
    }
}
