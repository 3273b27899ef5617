//! The figures as a table, and their place in docs/verification.md.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::campaigns::CAMPAIGNS;
use super::matrix::ROWS;
use super::state::State;
use crate::cargo;

/// The campaigns' outcomes and the hunts, in Markdown.
pub fn table(state: &State) -> String {
    let mut text = format!("{}.\n\n", state.when());
    text += "| campaign | guarantees | figures | found | s |\n|---|---|---|---|---|\n";
    let ran =
        CAMPAIGNS.iter().filter_map(|campaign| Some((campaign, state.outcome(campaign.name)?)));
    for (campaign, outcome) in ran.clone() {
        let found = match (outcome.found.len(), outcome.failures.len()) {
            (0, 0) if outcome.figures.is_empty() && outcome.passed == 0 => "not run".into(),
            (0, 0) => "0".into(),
            (found, failures) => format!("**{found}, and {failures} commands failed**"),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {found} | {} |",
            campaign.name,
            campaign.shows,
            outcome.line(),
            outcome.seconds
        );
    }
    let skipped: Vec<_> = ran.flat_map(|(_, outcome)| &outcome.skipped).collect();
    if !skipped.is_empty() {
        text += "\nLeft out on this machine:\n\n";
        for cell in skipped {
            let _ = writeln!(text, "- {cell}");
        }
    }
    text + &hunts(state)
}

fn hunts(state: &State) -> String {
    let mut text = String::new();
    for row in ROWS {
        let cells = row.meant.iter().filter_map(|campaign| {
            let hunt = state.hunt(row.bug, campaign)?;
            Some(if hunt.caught {
                format!("{campaign} ({:.1} s)", hunt.seconds)
            } else {
                format!("**missed by {campaign}**")
            })
        });
        let cells: Vec<_> = cells.collect();
        if !cells.is_empty() {
            let author = if row.blind { "blind" } else { "" };
            let _ = writeln!(text, "| `{}` | {author} | {} |", row.bug, cells.join(", "));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\n| seeded bug | author | caught by |\n|---|---|---|\n{text}")
}

/// Puts the tables between their marks: of all figures, and of each guarantee's.
pub fn write(state: &State) -> Result<()> {
    put("verification.md", &state.depth().to_string(), &table(state))?;
    put("guarantees.md", &format!("campaigns {}", state.depth()), &guarantees(state))
}

fn put(document: &str, name: &str, table: &str) -> Result<()> {
    let path = cargo::root().join("docs").join(document);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path:?}"))?;
    let text = replaced(&text, name, table)
        .with_context(|| format!("{path:?} has no marks for {name}"))?;
    fs::write(&path, text).with_context(|| format!("can't write {path:?}"))
}

/// The numbered lines of docs/guarantees.md that a campaign can show.
const LINES: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "11", "12"];

/// For each guarantee the campaigns that show it, each with its first figure.
fn guarantees(state: &State) -> String {
    let mut text = format!("{}.\n\n| line | campaigns |\n|---|---|\n", state.when());
    for line in LINES {
        let shows = |shows: &str| shows.split(", ").any(|shown| shown == line);
        let cells = CAMPAIGNS.iter().filter(|campaign| shows(campaign.shows)).map(|campaign| {
            let outcome = state.outcome(campaign.name);
            let figure = match outcome {
                None => "not run".into(),
                Some(outcome) if !outcome.passed() => "**failed**".into(),
                Some(outcome) => outcome.first().unwrap_or("skipped".into()),
            };
            format!("{}: {figure}", campaign.name)
        });
        let _ = writeln!(text, "| {line} | {} |", cells.collect::<Vec<_>>().join("; "));
    }
    text
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let text = "a\n<!-- quick: begin -->\nold\n<!-- quick: end -->\nb\n";
        let new = replaced(text, "quick", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- quick: begin -->\nnew\n<!-- quick: end -->\nb\n");
        assert!(replaced(text, "full", "").is_none());
    }
}
