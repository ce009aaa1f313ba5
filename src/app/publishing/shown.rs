//! Findings and differences as a page shows them: line by line, the place underlined.

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::domain::Finding;
use crate::store::journeys::VersionFiles;

use super::differing;

/// Lines around a change that stay in sight.
const CONTEXT: usize = 2;

/// A finding with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub file: String,
    /// Counted from 1, where one place is meant.
    pub line: Option<usize>,
    pub message: String,
    pub is_error: bool,
    pub help: Option<String>,
    /// The line, and beneath it carets under what is meant.
    pub excerpt: Option<String>,
}

/// Findings for a page, the faults first.
#[must_use]
pub fn findings(findings: &[Finding]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = findings.iter().map(show).collect();
    shown.sort_by_key(|finding| !finding.is_error);
    shown
}

fn show(finding: &Finding) -> Shown {
    let excerpt = finding.excerpt().map(|(line, text, columns)| {
        let margin = format!("{line} | ");
        let before: usize = margin.chars().count() + columns.start;
        let carets = columns.len().max(1);
        format!("{margin}{text}\n{}{}", " ".repeat(before), "^".repeat(carets))
    });
    Shown {
        file: finding.file().to_owned(),
        line: finding.line(),
        message: finding.message.clone(),
        is_error: finding.is_error(),
        help: finding.help_text().map(str::to_owned),
        excerpt,
    }
}

/// How one file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDiff {
    pub name: String,
    /// `new`, `removed` or `changed`.
    pub what: &'static str,
    pub lines: Vec<DiffLine>,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffLine {
    /// `+`, `-`, a space for one that stays, or `…` where lines are left out.
    pub sign: char,
    pub text: String,
}

/// How `after` differs from `before`, file by file.
#[must_use]
pub fn diff(before: &VersionFiles, after: &VersionFiles) -> Vec<FileDiff> {
    let file = |name: &str| {
        let (was, is) = (before.files.get(name), after.files.get(name));
        let what = match (was, is) {
            (None, _) => "new",
            (_, None) => "removed",
            _ => "changed",
        };
        let empty = String::new();
        FileDiff {
            name: name.to_owned(),
            what,
            lines: lines(was.unwrap_or(&empty), is.unwrap_or(&empty)),
        }
    };
    differing(before, after).into_iter().map(file).collect()
}

fn lines(was: &str, is: &str) -> Vec<DiffLine> {
    let diff = TextDiff::from_lines(was, is);
    let mut lines = Vec::new();
    for (n, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if n > 0 {
            lines.push(DiffLine { sign: '…', text: String::new() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
            lines.push(DiffLine { sign, text });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_finding_shows_its_line_and_carets_beneath_its_place() {
        let text: Arc<str> = "a = 1\né = \"five dys\"\n".into();
        let start = text.find("\"five").expect("there");
        let finding = Finding::error("journeys/x.toml", &text, "no length of time")
            .at(start..start + 10)
            .help("5 days");
        let shown = &findings(&[finding])[0];
        assert_eq!(shown.line, Some(2));
        assert_eq!(shown.excerpt.as_deref(), Some("2 | é = \"five dys\"\n        ^^^^^^^^^^"));
        assert_eq!(shown.help.as_deref(), Some("5 days"));
    }

    #[test]
    fn a_difference_shows_what_goes_what_comes_and_a_little_around_it() {
        let files = |text: &str| VersionFiles {
            files: [("journeys/x.toml".to_owned(), text.to_owned())].into(),
        };
        let (was, is) = (files("1\n2\n3\n4\n5\n"), files("1\n2\n3\nvier\n5\n"));
        let shown = &diff(&was, &is)[0];
        let lines: Vec<String> =
            shown.lines.iter().map(|line| format!("{}{}", line.sign, line.text)).collect();
        assert_eq!(lines, [" 2", " 3", "-4", "+vier", " 5"]);
        assert_eq!(shown.what, "changed");
        assert_eq!(diff(&was, &was), []);
    }
}
