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

/// Puts the table between its marks.
pub fn write(state: &State) -> Result<()> {
    let path = cargo::root().join("docs/verification.md");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path:?}"))?;
    let text = replaced(&text, &state.depth().to_string(), &table(state))
        .with_context(|| format!("{path:?} has no marks for {}", state.depth()))?;
    fs::write(&path, text).with_context(|| format!("can't write {path:?}"))
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
