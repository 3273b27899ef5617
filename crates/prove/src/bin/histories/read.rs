//! From what was noted to what the checker asks: a lane for each process.

use annulus_prove::wgl::Timed;

use crate::cast;
use crate::log::{Record, Said, Verb, stage};
use crate::queue::{Op, What};

/// The lane of a process at a queue. `death`: when it was seen that it had been killed.
/// `tombs`: positions are taken before they are committed or released, as in an mpmc ring, and
/// one that is given up is a tomb.
pub fn queue(records: &[Record], death: Option<u64>, tombs: bool) -> Vec<Timed<Op>> {
    let mut lane = Vec::new();
    for record in records {
        let Record { verb, asked, start, end, until, said, values, .. } = *record;
        if matches!(verb, Verb::Leave | Verb::Join) {
            // Who is there changes nothing for a queue.
            continue;
        }
        let mut op = |what, end, until, optional| {
            lane.push(Timed { start, end, optional, what: Op { what, until } });
        };
        if record.stage != stage::DONE {
            // In flight when it died: what it holds it holds until somebody settles it.
            let Some(death) = death else { unreachable!("it lives, and is done") };
            let taken = record.stage > stage::CALLED;
            let (end, ending) = (if taken { end } else { death }, record.stage == stage::ENDING);
            let mut dead = |what| op(what, end, u64::MAX, !taken);
            match verb {
                Verb::Send => {
                    values[..asked as usize].iter().for_each(|value| dead(What::DeadSend(*value)));
                }
                Verb::Reserve if ending => dead(What::DeadSend(values[0])),
                Verb::Reserve | Verb::Abort => dead(What::Abort),
                Verb::Recv => {
                    let what = What::Dead { value: None, received: true, again: true };
                    (0..asked).for_each(|_| dead(what));
                }
                Verb::Leave | Verb::Join => {}
                Verb::Guard => {
                    let value = taken.then_some(values[0]);
                    dead(What::Dead { value, received: ending, again: true });
                }
            }
            break;
        }
        // Where positions are taken before they are committed, or released, they count from
        // then on; elsewhere from the commit, or the release.
        let end = if tombs { end } else { until };
        let mut alive = |what| op(what, end, until, false);
        match (verb, said) {
            (Verb::Recv | Verb::Guard, Said::Nothing) => alive(What::Nothing),
            (_, Said::Nothing) => {}
            (_, Said::Full) => alive(What::Full),
            (_, Said::Empty) => alive(What::Empty),
            (_, Said::Stalled) => alive(What::Stalled),
            (Verb::Abort, _) if tombs => alive(What::Abort),
            (Verb::Abort, _) => {}
            (_, Said::Again) => alive(What::Again(values[0])),
            (Verb::Send | Verb::Reserve, Said::Some(sent)) => {
                values[..sent as usize].iter().for_each(|value| alive(What::Send(*value)));
            }
            (_, Said::Some(got)) => {
                values[..got as usize].iter().for_each(|value| alive(What::Recv(*value)));
                if asked > 1 {
                    // Tombs may end a run.
                    alive(What::Nothing);
                }
            }
            (_, Said::Lagged(_)) => unreachable!("a queue is not overrun"),
        }
    }
    lane
}

/// The lane of a process at a broadcast. Values are positions, since there is one sender.
pub fn cast(records: &[Record]) -> Vec<Timed<cast::What>> {
    let mut lane = Vec::new();
    for record in records {
        let Record { verb, start, end, said, values, .. } = *record;
        let mut op = |what| lane.push(Timed { start, end, optional: false, what });
        match (verb, said) {
            (Verb::Leave, _) => op(cast::What::Leave),
            (Verb::Join, _) => op(cast::What::Join(values[0])),
            (Verb::Send, Said::Some(sent)) => (0..sent).for_each(|_| op(cast::What::Send)),
            (_, Said::Some(got)) => {
                values[..got as usize].iter().for_each(|value| op(cast::What::Recv(*value)));
            }
            (_, Said::Full) => op(cast::What::Full),
            (_, Said::Empty) => op(cast::What::Empty),
            (_, Said::Lagged(missed)) => op(cast::What::Lagged(missed)),
            (_, Said::Again | Said::Stalled) => unreachable!("a broadcast has neither"),
            (_, Said::Nothing) => {}
        }
    }
    lane
}

/// Leaves out what a sender was told of room while somebody came or went: a newcomer holds it
/// back a lap lower than where it begins, for a moment.
pub fn settled(lanes: &mut [Vec<Timed<cast::What>>]) {
    let all = lanes.iter().flatten();
    let moves: Vec<_> = all
        .filter(|op| matches!(op.what, cast::What::Leave | cast::What::Join(_)))
        .map(|op| (op.start, op.end))
        .collect();
    let meets = |op: &Timed<cast::What>| moves.iter().any(|it| it.0 <= op.end && op.start <= it.1);
    for lane in lanes {
        lane.retain(|op| op.what != cast::What::Full || !meets(op));
    }
}
