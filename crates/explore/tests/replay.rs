//! Records of the model's own runs are paths of it; others are not.

use annulus_explore::access::{Setup, Word};
use annulus_explore::bugs::Bug;
use annulus_explore::configs::PLAIN;
use annulus_explore::replay::{Event, Kind, replay};
use annulus_explore::walk::walk;
use annulus_explore::words::Slot;
use annulus_explore::world::Config;

/// Everybody comes to an empty ring.
fn config(bug: Option<Bug>) -> Config {
    let setup = Setup { batch: 2, aborts: true, leavers: true, numbered: true, bug, ..PLAIN };
    Config {
        name: "walk",
        setup,
        senders: (&[], &[3, 3, 3]),
        receivers: (0, 3),
        dead: (0, 0),
        crashes: 3,
        stops: 0,
    }
}

#[test]
fn runs_of_the_model_are_paths_of_it() {
    let config = config(None);
    let (mut kills, mut recl) = (0, 0);
    for seed in 1..2000_u64 {
        let record = walk(&config, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 400);
        if let Err(divergence) = replay(&config.setup, &record) {
            panic!("seed {seed}: {divergence}");
        }
        kills += record.iter().filter(|event| event.kind == Kind::Killed).count();
        recl += record.iter().filter(|event| delivers_again(event)).count();
    }
    assert!(kills > 1000 && recl > 10, "{kills} kills, {recl} estates");
}

fn delivers_again(event: &Event) -> bool {
    event.kind == Kind::Won
        && matches!(event.word, Some(Word::Slot(_)))
        && matches!(Slot::of(event.value), Slot::Recl(..))
}

#[test]
fn runs_with_a_mistake_diverge() {
    for bug in [
        Bug::ClaimAfterCas,
        Bug::IgnoreLive,
        Bug::EarlyClear,
        Bug::StaleLoser,
        Bug::NoCounter,
        Bug::TakerForgets,
        Bug::ClearFirst,
        Bug::FreeFirst,
        Bug::LeaverForgets,
    ] {
        let config = config(Some(bug));
        let diverges = |seed: u64| {
            replay(&config.setup, &walk(&config, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 400))
        };
        let found = (1..20_000).any(|seed| diverges(seed).is_err());
        assert!(found, "{bug:?} looks like the model");
    }
}

#[test]
fn a_changed_value_diverges_where_it_was_changed() {
    let config = config(None);
    let mut record = walk(&config, 7, 200);
    assert_eq!(replay(&config.setup, &record), Ok(()));
    let at = record.iter().rposition(|event| event.kind == Kind::Store).expect("some store");
    record[at].value ^= 1 << 20;
    assert_eq!(replay(&config.setup, &record).expect_err("changed").at, at);
}
