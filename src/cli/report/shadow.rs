use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::app::files;
use crate::app::reports::shadow::{self, Counts, Line};

use super::super::{BadInput, Context, ExitCode, Outcome, print};

/// What shadow mode would have sent beside what another system sent
#[derive(Debug, Args)]
pub struct Shadow {
    /// What the other system sent: CSV with the columns at, customer, channel and, where it has
    /// them, case and message; .gz is unpacked
    #[arg(long, value_name = "FILE")]
    sent: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Shadow {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let file = files::open(&self.sent)
            .map_err(|error| BadInput(format!("{}: {error}", self.sent.display())))?;
        let (sent, lines) = shadow::read(file);
        for error in &lines.errors {
            eprintln!("{} line {}: {}", self.sent.display(), error.line, error.reason);
        }
        if sent.is_empty() {
            let why = format!("{} has no line to compare with", self.sent.display());
            return Err(BadInput(why).into());
        }
        let store = context.store(&settings).await?;
        let report = shadow::compare(&store, &sent).await?;
        if self.json {
            print::json(&json!({"lines": lines, "comparison": report}))?;
        } else {
            show(&report);
        }
        Ok(if lines.invalid > 0 { ExitCode::BadInput } else { ExitCode::Done })
    }
}

fn show(report: &shadow::Shadow) {
    let day = |at: &crate::domain::time::Instant| at.format("%Y-%m-%d %H:%M").to_string();
    println!("from {} to {} (UTC)", day(&report.from), day(&report.to));
    let row = |name: &str, c: &Counts| {
        let counts = [c.both, c.other_channel, c.only_we, c.only_they].map(|n| n.to_string());
        [vec![name.to_owned()], counts.to_vec()].concat()
    };
    let mut rows = vec![row("all", &report.total)];
    rows.extend(report.by_channel.iter().map(|(name, counts)| row(name, counts)));
    rows.extend(report.by_case_type.iter().map(|(name, counts)| row(name, counts)));
    let header = ["messages", "both", "both, another way", "only we", "only they"];
    println!("{}", print::table(&header, rows));
    let apart = &report.apart_min;
    println!(
        "apart by {} minutes in the middle, {} of 95 in a hundred, {} at most; ours later {} times, earlier {}",
        apart.p50, apart.p95, apart.max, report.later, report.earlier
    );
    let some = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".into());
    let minute = |text: &Option<String>| {
        text.as_ref().map_or_else(|| "–".into(), |at| at.get(..16).unwrap_or(at).replace('T', " "))
    };
    for (title, lines) in [
        ("farthest apart", &report.farthest),
        ("only we", &report.only_we),
        ("only they", &report.only_they),
    ] {
        if lines.is_empty() {
            continue;
        }
        let row = |l: &Line| {
            vec![
                l.customer.clone(),
                some(&l.case),
                some(&l.message),
                l.channel.to_string(),
                minute(&l.ours),
                minute(&l.theirs),
                l.later_min.map_or_else(|| "–".into(), |n| n.to_string()),
            ]
        };
        let header = [title, "case", "message", "channel", "ours", "theirs", "minutes later"];
        println!("{}", print::table(&header, lines.iter().map(row)));
    }
}
