//! Putting things on the terminal: findings, tables, progress.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::app::files::Report;
use crate::domain::Finding;
use crate::store::console::Summary;

/// A finding with its place underlined.
pub fn finding(finding: &Finding) -> String {
    let plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let theme = if plain {
        miette::GraphicalTheme::unicode_nocolor()
    } else {
        miette::GraphicalTheme::unicode()
    };
    let mut text = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100);
    match handler.render_report(&mut text, finding) {
        Ok(()) => text,
        Err(_) => format!("{}: {finding}", finding.file()),
    }
}

/// One JSON document and nothing else.
pub fn json(value: &impl Serialize) -> Result<(), anyhow::Error> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table for people.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table
}

/// The length of the longest bar of a plot, in characters.
const BAR: f64 = 30.0;

/// A bar as long as `value` beside the longest, `most`.
pub fn bar(value: f64, most: f64) -> String {
    if most <= 0.0 || value <= 0.0 {
        return String::new();
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 30")]
    "█".repeat(((value / most * BAR).round() as usize).max(1))
}

/// The most rows of a histogram; what is beyond them is one row.
const MAX_ROWS: usize = 20;

/// A small plot of a value → how often it came.
#[allow(clippy::cast_precision_loss, reason = "bars for people")]
pub fn histogram(header: [&str; 2], counts: &std::collections::BTreeMap<i64, i64>) -> Table {
    let mut rows: Vec<(String, i64)> =
        counts.iter().map(|(value, n)| (value.to_string(), *n)).collect();
    if rows.len() > MAX_ROWS {
        let rest: i64 = rows.split_off(MAX_ROWS - 1).iter().map(|(_, n)| n).sum();
        let first = counts.keys().nth(MAX_ROWS - 1).expect("there are more");
        rows.push((format!("{first} and more"), rest));
    }
    let most = rows.iter().map(|(_, n)| *n).max().unwrap_or(0) as f64;
    let rows = rows.into_iter().map(|(value, n)| vec![value, n.to_string(), bar(n as f64, most)]);
    table(&[header[0], header[1], ""], rows)
}

/// A bar while something long goes on, where somebody is looking.
pub fn progress(length: Option<u64>, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = if let Some(length) = length {
        let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}");
        ProgressBar::new(length).with_style(style.expect("a valid template"))
    } else {
        let style = ProgressStyle::with_template("{msg} {spinner} {pos} lines, {per_sec}");
        ProgressBar::new_spinner().with_style(style.expect("a valid template"))
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_message(what.to_owned())
}

/// What became of a file, for people.
pub fn report(report: &Report, what: &str) {
    println!(
        "{} {what} accepted, {} seen before, {} invalid, in {:.1} s",
        report.accepted, report.duplicate, report.invalid, report.duration_s
    );
    for error in &report.errors {
        println!("  line {}: {}", error.line, error.reason);
    }
    if report.invalid > report.errors.len() {
        println!("  … and {} more", report.invalid - report.errors.len());
    }
}

/// The sums, for people.
pub fn summary(summary: &Summary) {
    let balance = &summary.balance;
    println!(
        "{}",
        table(
            &["events accepted", "told", "silent, with its reason", "task for a person", "open"],
            [[balance.accepted, balance.told, balance.silent, balance.task, balance.open]
                .map(|n| n.to_string())
                .to_vec()],
        )
    );
    let most_first = |map: &std::collections::BTreeMap<String, i64>| {
        let mut rows: Vec<_> = map.iter().map(|(name, n)| (name.clone(), *n)).collect();
        rows.sort_by_key(|(_, n)| -n);
        rows.into_iter().map(|(name, n)| vec![name, n.to_string()]).collect::<Vec<_>>()
    };
    println!("{}", table(&["notifications", ""], most_first(&summary.by_status)));
    println!("{}", table(&["told by", ""], most_first(&summary.by_channel)));
    println!("{}", table(&["why silent", "events"], most_first(&summary.by_reason)));
    if !balance.adds_up() {
        println!("The balance does not add up.");
    }
}
