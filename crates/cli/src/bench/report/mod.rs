//! The report: one page with the plots, every figure, and how they were taken.
//!
//! ```text
//!   rows ──> plots: what is drawn ──> charts ──> svg
//!        ──> figures: the table
//! ```
//!
//! Nothing in it needs the network or another file.
//!
//! Imports: aims, row.

mod charts;
mod figures;
mod latency;
mod plots;
mod svg;

use std::fmt::Write;

use serde_json::Value;

use super::aims::Aim;
use super::row::{Figures, Row};
use svg::{brief, escaped, time, times};

/// The whole page.
pub fn page(rows: &[Row], aims: &[Aim], about: &Value) -> String {
    let style = include_str!("page.css");
    let mut body = head(about);
    body += &warning(rows, about);
    body += &tiles(rows);
    body += &plots::all(rows);
    body += &figures::aims(aims);
    body += &figures::table(rows);
    body += &method(about);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>annulus bench</title>\n<style>\n{style}</style>\n<main>\n{body}</main>\n\
         <script>\n{}</script>\n</html>\n",
        figures::SCRIPT
    )
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("")
}

fn head(about: &Value) -> String {
    let (machine, run, versions) = (&about["machine"], &about["run"], &about["versions"]);
    let guest = if machine["guest"] == true { ", a virtual machine" } else { "" };
    let caches: Vec<&str> =
        machine["caches"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!(
        "<h1>annulus bench</h1>\n<p class=\"about\">{} ({} cores{guest}; {}), {}, {}. annulus {}. \
         {} s on cores {}; load {} before, {} after.</p>\n",
        escaped(text(machine, "processor")),
        machine["cores"],
        escaped(&caches.join(", ")),
        escaped(text(about, "kernel")),
        escaped(text(versions, "system")),
        escaped(text(versions, "annulus")),
        run["seconds"],
        escaped(&run["cores"].to_string().replace(['[', ']'], "").replace(',', " and ")),
        run["load_before"],
        run["load_after"],
    )
}

/// Says so, where other programs had too large a part in it.
fn warning(rows: &[Row], about: &Value) -> String {
    let (load, cores) = (about["run"]["load_before"].as_f64(), about["machine"]["cores"].as_f64());
    let free = || rows.iter().filter(|row| row.mode == "free").filter_map(Row::figures);
    let spoilt = free().filter(|figures| figures.interrupted > 0.5).count();
    let crowded = load.unwrap_or(0.0) > cores.unwrap_or(1.0);
    if !crowded && 4 * spoilt < free().count() {
        return String::new();
    }
    format!(
        "<p class=\"warning\">Other programs were busy meanwhile: they had a core in most samples \
         of {spoilt} of {} figures. Trust ratios before times, and neither far.</p>\n",
        free().count()
    )
}

/// The figures of a case by its name: of a named segment, waiting as by default.
pub fn found<'a>(rows: &'a [Row], case: &str) -> Option<&'a Figures> {
    let row = rows.iter().find(|row| {
        row.case == case
            && row.segment.is_none_or(|segment| segment != "file")
            && !matches!(row.wait, "semaphore")
            && row.figures().is_some()
    });
    row.and_then(Row::figures)
}

/// A few figures in large type.
fn tiles(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut tile = |value: String, says: String| {
        let _ = writeln!(out, "<div class=\"tile\"><b>{value}</b><span>{says}</span></div>");
    };
    let median = |figures: &Figures| figures.typical.median;
    let limit = |figures: &Figures| figures.ratio.map_or(f64::NAN, |ratio| ratio.median);
    if let Some(ring) = found(rows, "spsc/rtt/8") {
        let line = format!("8 B there and back, polling: {} × the bare line", times(limit(ring)));
        tile(time(median(ring)), line);
        let beside = |case: &str| found(rows, case).map(|one| brief(median(one) / median(ring)));
        let (pipe, socket) = (beside("pipe/rtt/8"), beside("unix-stream/rtt/8"));
        if let (Some(pipe), Some(socket)) = (pipe, socket) {
            let says = "as long through a pipe and a Unix socket, polled too";
            tile(format!("{pipe}× · {socket}×"), says.into());
        }
    }
    if let Some(ring) = found(rows, "spsc/handoff/8") {
        let says = "8 B there and back, waiting by futex after a short poll";
        tile(time(median(ring)), says.into());
    }
    if let Some(ring) = found(rows, "spsc/oneway/8") {
        let says = format!("8 B one way a second; one in {}", time(median(ring)));
        tile(format!("{} M", brief(ring.rate / 1e6)), says);
    }
    if let Some(ring) = found(rows, "spsc/oneway/65536") {
        let says = format!("64 KiB messages: {} × the time of a bare copy", times(limit(ring)));
        tile(format!("{} GB/s", brief(ring.rate * 65536.0 / 1e9)), says);
    }
    if let Some(ring) = found(rows, "mpmc/oneway/8/2s2r") {
        let says = "8 B a second, two senders and two receivers";
        tile(format!("{} M", brief(ring.rate / 1e6)), says.into());
    }
    if out.is_empty() { out } else { format!("<div class=\"tiles\">\n{out}</div>\n") }
}

fn method(about: &Value) -> String {
    let quick = about["run"]["quick"] == true;
    let length = if quick {
        "<li>This was a quick run: fewer sizes, and fewer samples of each.</li>"
    } else {
        ""
    };
    format!(
        "<h2>How it was measured</h2>\n<ul>\n\
         <li>Separate processes, each pinned to a core. Every message is written by its sender \
         and checked by its receiver: all words up to 56 B, above that one word of each line of \
         64 B; of many senders, order and sums.</li>\n\
         <li>Cases that stand beside one another take turns, sample by sample. A sample takes \
         about 0.4 ms, and lies between two probes of the bare line between the two cores. If \
         they disagree, the cores have moved, and it is thrown away. Samples in which another \
         program had a core are not used, if there are others.</li>\n\
         <li>Ratios are taken sample by sample, to a limit measured in the same sample: for round \
         trips up to 64 B two bare lines there and back; for longer ones, and one way, bytes \
         copied through a bare ring; with several processes, one addition for each send \
         and each receive to one shared word.</li>\n\
         <li>p50 of fast round trips is that of groups of 20, so that the clock does not show; \
         the other percentiles are of single ones, with the clock in them. One way, \
         percentiles are of samples.</li>\n\
         <li>Polled means that both sides try again and again, mechanisms of the kernel too. \
         Blocking ends sleep in the kernel. annulus's by default poll for some 20 µs first.</li>\n\
         <li>\"Cores\" is processor time of both sides over the time that passed: 2 is two cores \
         kept busy, waiting included.</li>\n\
         <li>An absolute time is of this machine, this hour and this placement. Compare ratios, \
         and times within one plot.</li>\n{length}</ul>\n"
    )
}

#[cfg(test)]
mod tests {
    use annulus_measure::placement::Placement;
    use annulus_measure::stats::Spread;
    use serde_json::json;

    use super::super::cases::Group;
    use super::super::row::STEPS;
    use super::super::{aims, plan, row};
    use super::*;

    /// Figures that only have to be drawn.
    fn made_up(typical: f64, placement: Placement) -> Figures {
        let around = |median: f64| Spread { p10: median * 0.9, median, p90: median * 1.2, n: 20 };
        Figures {
            placement,
            typical: around(typical),
            percentiles: [1.0, 1.1, 1.5, 4.0, 90.0].map(|times| times * typical),
            singles: 100_000,
            curve: STEPS.map(|step| typical * (1.0 + step / 100.0)).into(),
            raw: Some(around(90.0)),
            raw_p99: Some(150.0),
            ratio: Some(around(typical / 90.0)),
            plain: Some(around(1.05)),
            rate: 1e9 / typical,
            spent: typical,
            cores: 2.0,
            missed: None,
            taken: 30,
            discarded: 0.1,
            unused: 0.3,
            interrupted: 0.0,
        }
    }

    fn every_row(mut figures: impl FnMut(usize) -> Result<Figures, String>) -> Vec<Row> {
        let mut rows = Vec::new();
        for group in plan::all(true) {
            match group {
                Group::Pair(cases) => {
                    for case in cases {
                        rows.push(Row::new(&case, figures(rows.len())));
                    }
                }
                Group::Crowd(cases) => {
                    for case in cases {
                        rows.push(Row::crowded(&case, figures(rows.len())));
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn a_page_of_a_whole_run_has_every_plot_and_every_row() {
        let placement = |at: usize| match at % 7 {
            0 => Placement::Far,
            _ => Placement::SameComplex,
        };
        let rows = every_row(|at| Ok(made_up(80.0 + 13.0 * at as f64, placement(at))));
        let page = page(&rows, &aims::of(&rows), &json!({ "run": { "quick": true } }));
        for title in [
            "There and back, 8 bytes, polling",
            "There and back, 8 bytes, blocking ends",
            "How many are slower, polling",
            "Bytes a second, one way",
            "Many senders, many receivers",
            "One sender, all receivers get all",
            "Capacity and time, 64 B a message",
        ] {
            assert!(page.contains(&format!("<h3>{title}</h3>")), "{title}");
        }
        assert!(page.matches("<svg ").count() >= 10);
        assert!(page.contains("id=\"figures\"") && page.contains("<td>spsc/rtt/8</td>"));
        for wrong in ["NaN", ">inf", "{}"] {
            assert!(!page.contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_page_without_figures_says_why() {
        let rows = every_row(|_| Err("no <room>".into()));
        let page = page(&rows, &aims::of(&rows), &json!({}));
        assert!(page.contains("n/a: no &lt;room&gt;") && !page.contains("<svg "));
    }

    #[test]
    fn every_aim_names_a_case_that_there_is() {
        let rows = every_row(|at| Ok(made_up(100.0 + at as f64, Placement::SameComplex)));
        let found = aims::of(&rows);
        for quick in ["spsc/rtt/8", "spsc/batch32/8", "mpmc/oneway/8/2s2r", "broadcast/rtt/8"] {
            assert!(found.iter().any(|aim| aim.case == quick), "{quick}");
        }
        assert!(found.iter().all(|aim| row::short(aim.placement) == "same-complex"));
    }
}
