//! `annulus-explore [--small | --full] [CONFIG]`: explores the configurations whose name
//! contains CONFIG, then seeds the mistakes, and prints a table of each.

use std::process::ExitCode;
use std::time::Instant;

use annulus_explore::configs::{FULL, SMALL, USUAL, seeded};
use annulus_explore::search::{Report, Verdict, explore};
use annulus_explore::world::Config;

/// States that fit into memory: about 130 bytes each.
const LIMIT: usize = 100_000_000;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let full = arguments.iter().any(|a| a == "--full");
    let trace = arguments.iter().any(|a| a == "--trace");
    let wanted: Vec<_> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let chosen =
        |config: &&Config| wanted.is_empty() || wanted.iter().any(|w| config.name.contains(*w));
    let mut fine = true;
    heading("configuration");
    let more = if full { FULL } else { &[] };
    let usual = if arguments.iter().any(|a| a == "--small") { &[] } else { USUAL };
    let (mut configurations, mut states, mut largest) = (0, 0, 0);
    for config in SMALL.iter().chain(usual).chain(more).filter(chosen) {
        let report = row(config);
        fine &= report.verdict == Verdict::Holds;
        configurations += 1;
        states += report.states;
        largest = largest.max(report.states);
        print(&report, true);
    }
    println!();
    heading("seeded mistake");
    let (mut mistakes, mut caught) = (0, 0);
    for config in seeded().iter().filter(chosen) {
        let report = row(config);
        mistakes += 1;
        caught += usize::from(matches!(report.verdict, Verdict::Unsafe(..) | Verdict::Stuck(_)));
        print(&report, trace);
    }
    fine &= caught == mistakes;
    println!();
    println!("figure: configurations = {configurations}");
    println!("figure: states = {states}");
    println!("figure: states of the largest = {largest}");
    println!("figure: seeded mistakes caught = {caught} of {mistakes}");
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn heading(what: &str) {
    println!("{what:48} {:>10} {:>11} {:>5} {:>7}  verdict", "states", "transitions", "depth", "s");
}

fn row(config: &Config) -> Report {
    let start = Instant::now();
    let report = explore(config, LIMIT);
    let seconds = start.elapsed().as_secs_f64();
    let (name, states, moves, depth) =
        (config.name, report.states, report.transitions, report.depth);
    print!("{name:48} {states:>10} {moves:>11} {depth:>5} {seconds:>7.1}  {}", report.verdict);
    for (letter, n) in &report.excused {
        print!(" {letter}:{n}");
    }
    println!();
    report
}

fn print(report: &Report, trace: bool) {
    if let (true, Verdict::Unsafe(_, lines) | Verdict::Stuck(lines)) = (trace, &report.verdict) {
        lines.iter().enumerate().for_each(|(i, line)| println!("    {:>3}. {line}", i + 1));
    }
}
