//! Every figure, as a table with a filter.
//!
//! Imports: aims, row, svg.

use std::fmt::Write;

use annulus_measure::stats::Spread;
use annulus_measure::table::figure;

use super::super::aims::{self, Aim};
use super::super::row::{Row, short};
use super::svg::escaped;

/// Shows the rows that have all words of the filter in them.
pub const SCRIPT: &str = "\
const filter = document.getElementById('filter');
filter.addEventListener('input', () => {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const row of document.querySelectorAll('#figures tr')) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});
";

const HEADING: [(&str, bool); 19] = [
    ("case", true),
    ("subject", true),
    ("segment", true),
    ("waits", true),
    ("cores stood", true),
    ("median ns", false),
    ("p10..p90", false),
    ("p99", false),
    ("p99.9", false),
    ("max", false),
    ("M msg/s", false),
    ("GB/s", false),
    ("limit ns", false),
    ("× limit", false),
    ("p10..p90", false),
    ("CPU ns/msg", false),
    ("cores", false),
    ("samples", false),
    ("thrown away", false),
];

/// What is aimed at, and what is missed.
pub fn aims(aims: &[Aim]) -> String {
    if aims.is_empty() {
        return String::new();
    }
    let met = aims.iter().filter(|aim| aim.met()).count();
    let mut out = format!(
        "<h2>Aims</h2>\n<p class=\"soft\">{met} of {} are met: time over the limit's or over what \
         is simpler, lower is better.</p>\n<div class=\"scroll narrow\"><table>\n<thead><tr>",
        aims.len()
    );
    let heading = ["case", "over", "cores stood", "×", "p10..p90", "aim", ""];
    let class = |column: usize| if column < 3 { " class=\"word\"" } else { "" };
    for (column, name) in heading.into_iter().enumerate() {
        let _ = write!(out, "<th{}>{name}</th>", class(column));
    }
    out += "</tr></thead>\n<tbody>\n";
    for aim in aims {
        out += if aim.met() { "<tr class=\"met\">" } else { "<tr class=\"missed\">" };
        for (column, cell) in aims::cells(aim).into_iter().enumerate() {
            let _ = write!(out, "<td{}>{}</td>", class(column), escaped(&cell));
        }
        out += "</tr>\n";
    }
    out + "</tbody>\n</table></div>\n"
}

/// The table.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "<h2>Every figure</h2>\n<input id=\"filter\" type=\"search\" placeholder=\"Filter: spsc \
         rtt\" aria-label=\"Filter\">\n<div class=\"scroll\"><table>\n<thead><tr>",
    );
    for (name, word) in HEADING {
        let class = if word { " class=\"word\"" } else { "" };
        let _ = write!(out, "<th{class}>{name}</th>");
    }
    out += "</tr></thead>\n<tbody id=\"figures\">\n";
    for row in rows {
        out += &line(row);
    }
    out + "</tbody>\n</table></div>\n"
}

fn line(row: &Row) -> String {
    let ours = if row.subject == "annulus" { " class=\"ours\"" } else { "" };
    let mut out = format!("<tr{ours}><td>{}</td>", escaped(&row.case));
    for word in [row.subject, row.segment.unwrap_or("-"), row.wait] {
        let _ = write!(out, "<td class=\"word\">{word}</td>");
    }
    let figures = match &row.outcome {
        Ok(figures) => figures,
        Err(reason) => {
            let span = HEADING.len() - 4;
            let reason = escaped(reason);
            return out
                + &format!("<td class=\"none\" colspan=\"{span}\">n/a: {reason}</td></tr>\n");
        }
    };
    let _ = write!(out, "<td class=\"word\">{}</td>", short(figures.placement));
    let range = |spread: Option<Spread>| match spread {
        Some(Spread { p10, p90, .. }) => format!("<small>{}..{}</small>", figure(p10), figure(p90)),
        None => "-".into(),
    };
    let middle = |spread: Option<Spread>| spread.map_or("-".into(), |spread| figure(spread.median));
    let [_, _, p99, p999, max] = figures.percentiles;
    let cells = [
        figure(figures.typical.median),
        range(Some(figures.typical)),
        figure(p99),
        figure(p999),
        figure(max),
        figure(figures.rate / 1e6),
        figure(row.bandwidth(figures)),
        middle(figures.raw),
        middle(figures.ratio),
        range(figures.ratio),
        figure(figures.spent),
        figure(figures.cores),
        figures.typical.n.to_string(),
        format!("{:.0} %", 100.0 * figures.discarded),
    ];
    for cell in cells {
        let _ = write!(out, "<td>{cell}</td>");
    }
    out + "</tr>\n"
}
