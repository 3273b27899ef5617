//! Which cases there are.
//!
//! Imports: about, cases.

use annulus::WaitMethod;
use annulus_measure::Kind;
use annulus_measure::crowd::Task;

use super::about::About;
use super::cases::{Case, Crowded, Group, Mode, Verb};

/// All that there is to measure, or what fits into a minute.
pub fn all(quick: bool) -> Vec<Group> {
    let mut groups = Vec::new();
    let any = |_: Kind| true;
    let (both, one, batches): (&[usize], &[usize], &[usize]) = if quick {
        (&[8], &[64, 4096, 65536], &[8])
    } else {
        (
            &[8, 56, 256, 4096, 65536],
            &[56, 64, 256, 1024, 4096, 65536, 1 << 20],
            &[8, 56, 64, 256, 1024],
        )
    };
    groups.extend(pairs(Verb::Rtt, both, Mode::Free, any));
    groups.extend(pairs(Verb::Handoff, &[8], Mode::Free, if quick { plain } else { any }));
    groups.extend(pairs(Verb::OneWay, &[8], Mode::Free, any));
    groups.extend(pairs(Verb::OneWay, one, Mode::Free, if quick { whole } else { any }));
    groups.extend(pairs(Verb::Batch, batches, Mode::Free, batched));
    groups.extend(pairs(Verb::Reserve, if quick { &[64] } else { batches }, Mode::Free, in_slots));
    // These take longest: before what a busy machine may leave no time for.
    groups.extend(crowds());
    if !quick {
        groups.extend(pairs(Verb::Asleep, &[8, 4096, 65536], Mode::Free, any));
        groups.extend(pairs(Verb::OneWay, &[8, 4096], Mode::Busy, plain));
        groups.extend(pairs(Verb::Rtt, &[8], Mode::OneCore, plain));
        groups.extend(pairs(Verb::OneWay, &[8, 4096], Mode::OneCore, plain));
    }
    let few: fn(Kind) -> bool = if quick { named } else { plain };
    groups.extend(pairs(Verb::Rtt, &[8], Mode::Busy, few));
    groups.extend(pairs(Verb::Handoff, &[8], Mode::Busy, few));
    groups.extend(pairs(Verb::Handoff, &[8], Mode::OneCore, few));
    groups.extend(capacities(quick));
    groups
}

/// A group for each of some sizes, of all transports that are wanted and able.
fn pairs(verb: Verb, sizes: &[usize], mode: Mode, kinds: fn(Kind) -> bool) -> Vec<Group> {
    let group = |&size: &usize| {
        let able = |kind: &Kind| kinds(*kind) && can(*kind, verb);
        let mut cases = Vec::new();
        for kind in Kind::ALL.into_iter().filter(able) {
            let case = Case { kind, verb, size, method: None, capacity: None, mode };
            cases.push(case);
            if size == 8 && mode == Mode::Free {
                let method = |method| Case { method: Some(method), ..case };
                cases.extend(other_methods(kind, verb).iter().copied().map(method));
            }
        }
        Group::Pair(cases)
    };
    sizes.iter().map(group).collect()
}

/// Whether a transport can do that at all. What it can't for want of something on this
/// machine, or at this size, it says itself.
fn can(kind: Kind, verb: Verb) -> bool {
    // A broadcast is one thing in a case: one way it must lose nothing.
    let policy = About::of(kind).policy;
    let fits = kind.keeps_every_message() != verb.both_ways() || policy.is_none();
    fits && match verb {
        Verb::Rtt | Verb::OneWay => true,
        Verb::Handoff | Verb::Asleep => annulus(kind) || kind.can_block(),
        Verb::Batch | Verb::Reserve => kind != Kind::Raw,
    }
}

/// Other ways to wait than the one by default, of rings that take turns with it.
fn other_methods(kind: Kind, verb: Verb) -> &'static [WaitMethod] {
    let about = About::of(kind);
    match about.mechanism {
        _ if !about.is_ours() || !plain(kind) => &[],
        "spsc" if verb == Verb::OneWay => &[WaitMethod::Spin],
        _ if !verb.both_ways() => &[],
        "spsc" | "stream" if verb == Verb::Handoff => &[WaitMethod::Semaphore],
        "spsc" | "stream" => &[WaitMethod::Spin, WaitMethod::Semaphore],
        _ if verb == Verb::Handoff => &[],
        _ => &[WaitMethod::Spin],
    }
}

fn annulus(kind: Kind) -> bool {
    About::of(kind).is_ours()
}

/// Rings whose messages can be written and read where they lie.
fn in_slots(kind: Kind) -> bool {
    annulus(kind) && About::of(kind).mechanism != "stream"
}

/// Those that have a way of their own to send several messages at once.
fn batched(kind: Kind) -> bool {
    annulus(kind) || ["pipe", "unix-stream", "tcp", "fifo"].contains(&kind.name())
}

/// One of each mechanism.
fn plain(kind: Kind) -> bool {
    let about = About::of(kind);
    about.subject != "raw" && about.segment.is_none_or(|segment| segment == "named")
}

/// The same, and the limit.
fn whole(kind: Kind) -> bool {
    plain(kind) || kind == Kind::Raw
}

/// The few that most people would choose among.
fn named(kind: Kind) -> bool {
    plain(kind) && (annulus(kind) || ["pipe", "unix-stream", "futex"].contains(&kind.name()))
}

/// Rings of different lengths.
fn capacities(quick: bool) -> Vec<Group> {
    let slots: &[usize] =
        if quick { &[16, 256, 4096, 65536] } else { &[4, 16, 64, 256, 1024, 4096, 16384, 65536] };
    let sizes: &[usize] = if quick { &[64] } else { &[8, 64, 4096] };
    let group = |&size: &usize| {
        let ours = |kind: &Kind| annulus(*kind) && plain(*kind) && can(*kind, Verb::OneWay);
        let rings = Kind::ALL.into_iter().filter(ours);
        let slots = slots.iter().filter(move |slots| **slots * size <= 32 << 20);
        let case = |kind| {
            slots.clone().map(move |&capacity| Case {
                kind,
                verb: Verb::OneWay,
                size,
                method: None,
                capacity: Some(capacity),
                mode: Mode::Free,
            })
        };
        Group::Pair(rings.flat_map(case).collect())
    };
    sizes.iter().map(group).collect()
}

/// From one sender and one receiver to four of each.
fn crowds() -> Vec<Group> {
    let group = |(senders, receivers): (usize, usize)| {
        let able = |task: &Task| task.able(senders, receivers);
        let crowded = |task| Crowded { task, senders, receivers };
        Group::Crowd(Task::ALL.into_iter().filter(able).map(crowded).collect())
    };
    [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (4, 1), (4, 4)].map(group).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_all_mechanisms_there_and_back_and_one_way() {
        let groups = all(true);
        let named = |name: String| {
            groups.iter().any(|group| match group {
                Group::Pair(cases) => cases.iter().any(|case| case.to_string() == name),
                Group::Crowd(_) => false,
            })
        };
        for kind in Kind::ALL {
            let mechanism = About::of(kind).mechanism;
            for what in ["rtt/8", "oneway/8", "oneway/4096", "oneway/65536"] {
                assert!(named(format!("{mechanism}/{what}")), "{mechanism}/{what}");
            }
            if kind.can_block() {
                assert!(named(format!("{mechanism}/handoff/8")), "{mechanism}");
            }
        }
    }

    #[test]
    fn no_case_comes_twice() {
        for quick in [true, false] {
            let mut seen = std::collections::HashSet::new();
            for group in all(quick) {
                let Group::Pair(cases) = group else { continue };
                for case in cases {
                    let row = (case.to_string(), case.about().segment, case.wait());
                    assert!(seen.insert(row.clone()), "{row:?}");
                }
            }
        }
    }
}
