//! `bench`: what it writes, what it lists, and what it refuses. Figures are not judged here.

mod support;

use std::fs;

use serde_json::Value;
use support::run;
use tempfile::tempdir;

/// What stands in each row, figures or not.
const WORDS: [&str; 9] =
    ["case", "subject", "mechanism", "verb", "wait", "mode", "size", "senders", "receivers"];

/// What is a number in each row that has figures.
const NUMBERS: [&str; 20] = [
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "max_ns",
    "median_ns",
    "median_p10_ns",
    "median_p90_ns",
    "msgs_per_s",
    "gb_per_s",
    "raw_ns",
    "ratio",
    "ratio_p10",
    "ratio_p90",
    "cpu_ns_per_msg",
    "cpu_cores",
    "samples",
    "samples_taken",
    "discarded",
    "unused",
];

#[test]
fn a_filtered_run_writes_its_figures_and_a_page_with_plots() {
    let directory = tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (json, report) = (at("all.json"), at("report"));
    let filter = "s?sc/rtt/8";
    let call = ["bench", "--quick", "--only", filter, "--json", &json, "--report", &report];
    let (ended, output) = run(&call);
    // On a busy machine it may say that a pair stood still, and go on.
    ended.expect_code(0);
    assert!(output.contains("rtt, 8 B") && output.contains("spsc"), "{output}");

    let Value::Array(all) = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap() else {
        panic!("no array")
    };
    let (about, rows) = all.split_last().unwrap();
    assert!(about["machine"]["processor"].is_string(), "{about}");
    assert!(about["kernel"].as_str().unwrap().starts_with("Linux"), "{about}");
    assert_eq!(about["versions"]["annulus"], env!("CARGO_PKG_VERSION"));
    assert!(rows.len() >= 2);
    for row in rows {
        assert_eq!((&row["case"], &row["subject"]), (&"spsc/rtt/8".into(), &"annulus".into()));
        for word in WORDS {
            assert!(!row[word].is_null(), "{word} in {row}");
        }
        if row["reason"].is_null() {
            for number in NUMBERS {
                assert!(row[number].is_number(), "{number} in {row}");
            }
            assert!(row["placement"].is_string() && row["p50_ns"].as_f64() > Some(0.0), "{row}");
        } else {
            assert!(row["p50_ns"].is_null() && row["ratio"].is_null(), "{row}");
        }
    }
    let segments: Vec<_> = rows.iter().map(|row| row["segment"].as_str().unwrap()).collect();
    assert!(segments.contains(&"named") && segments.contains(&"memfd"), "{segments:?}");

    let page = fs::read_to_string(directory.path().join("report/index.html")).unwrap();
    assert!(page.contains("<svg ") && page.contains("spsc/rtt/8"));
    for elsewhere in ["http://", "https://", "src=", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}: the page stands alone");
    }
}

#[test]
fn several_senders_and_receivers_have_figures_too() {
    let directory = tempdir().unwrap();
    let json = directory.path().join("all.json");
    let call = ["bench", "--quick", "--only", "*/2s1r", "--json", json.to_str().unwrap()];
    let (ended, _) = run(&call);
    // On a busy machine it may say that a pair stood still, and go on.
    ended.expect_code(0);
    let Value::Array(all) = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap() else {
        panic!("no array")
    };
    let named = |name: &str| all.iter().filter(|row| row["case"] == name).count();
    for name in ["mpmc/oneway/8/2s1r", "mpmc/batch32/8/2s1r", "pipe/oneway/8/2s1r"] {
        assert!(named(name) >= 1, "{name}");
    }
    assert!(all[..all.len() - 1].iter().all(|row| row["senders"] == 2 && row["receivers"] == 1));
}

#[test]
fn the_list_names_rings_and_baselines_and_measures_nothing() {
    let (ended, quick) = run(&["bench", "--quick", "--list"]);
    ended.expect_quiet(0);
    let (ended, all) = run(&["bench", "--list"]);
    ended.expect_quiet(0);
    for ring in ["spsc", "stream", "mpmc", "broadcast"] {
        let case = format!("{ring}/oneway/8");
        assert!(quick.contains(&case) && all.contains(&case), "{case}");
    }
    for case in ["spsc/rtt/8", "pipe/rtt/8", "unix-stream/rtt/8", "mpmc/oneway/8/4s4r"] {
        assert!(quick.lines().any(|line| line.split(' ').next() == Some(case)), "{case}");
    }
    assert!(all.lines().count() > quick.lines().count());
    assert!(all.contains("spsc/oneway/1048576") && !quick.contains("spsc/oneway/1048576"));
}

#[test]
fn a_filter_that_means_nothing_is_refused() {
    let (ended, output) = run(&["bench", "--only", "no such case"]);
    ended.expect_complaint(2);
    assert!(ended.complaint.contains("--list") && output.is_empty(), "{ended:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_anything_is_measured() {
    for option in ["--json", "--report"] {
        let (ended, output) = run(&["bench", "--quick", option, "/proc/nowhere/at all"]);
        ended.expect_complaint(2);
        assert!(output.is_empty());
    }
}
