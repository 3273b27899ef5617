//! The small configurations hold, and every seeded mistake is found.

use annulus_explore::access::Setup;
use annulus_explore::bugs::Bug;
use annulus_explore::configs::{SMALL, seeded};
use annulus_explore::search::{Verdict, explore};
use annulus_explore::world::Config;

const LIMIT: usize = 2_000_000;

#[test]
fn the_protocol_holds_in_all_small_configurations() {
    for config in SMALL {
        let report = explore(config, LIMIT);
        assert_eq!(report.verdict, Verdict::Holds, "{}", config.name);
        assert!(report.states > 300, "{}: only {} states", config.name, report.states);
    }
}

#[test]
fn every_seeded_mistake_is_found_with_its_kind_of_trace() {
    let seeded = seeded();
    assert_eq!(seeded.len(), Bug::ALL.len());
    for config in seeded {
        let bug = config.setup.bug.expect("seeded");
        let report = explore(&config, LIMIT);
        let shortest = match (&report.verdict, is_about_progress(bug)) {
            (Verdict::Stuck(trace), true) | (Verdict::Unsafe(_, trace), false) => trace.len(),
            (verdict, _) => panic!("{bug:?}: {verdict}"),
        };
        assert!(shortest > 3, "{bug:?} after {shortest} steps");
        let sound = Config { setup: Setup { bug: None, ..config.setup }, ..config };
        assert_eq!(explore(&sound, LIMIT).verdict, Verdict::Holds, "without {bug:?}");
    }
}

/// Those that break no promise at once, but leave a state that nobody gets out of.
fn is_about_progress(bug: Bug) -> bool {
    use Bug::{ClaimAfterCas, ClearFirst, EarlyClear, LeaverForgets, RecoveringBlocks};
    use Bug::{StaleLoser, TakerForgets};
    [
        ClaimAfterCas,
        EarlyClear,
        StaleLoser,
        TakerForgets,
        ClearFirst,
        RecoveringBlocks,
        LeaverForgets,
    ]
    .contains(&bug)
}

#[test]
fn a_ring_that_fills_memory_is_refused_not_called_sound() {
    assert_eq!(explore(&SMALL[3], 100).verdict, Verdict::TooMany);
}
