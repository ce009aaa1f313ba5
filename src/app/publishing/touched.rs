//! What differs between two versions: which notices, and whose words.

use std::collections::BTreeSet;

use crate::planning::journey::{Journey, Journeys};
use crate::planning::rules::Rules;
use crate::store::journeys::VersionFiles;

/// Notices that differ between two versions, as `case type/notice`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Their rule differs, or that of their whole journey.
    pub rules: BTreeSet<String>,
    /// Their words differ.
    pub words: BTreeSet<String>,
    /// Those of both that are on a topic nobody can switch off, in one version or the other.
    pub mandatory: BTreeSet<String>,
}

/// Compares two versions.
#[must_use]
pub fn touched(
    (before, was): (&VersionFiles, &Rules),
    (after, is): (&VersionFiles, &Rules),
) -> Touched {
    let messages = changed_messages(before, after);
    let mut touched = Touched::default();
    for (journeys, other, rules) in
        [(&was.journeys, &is.journeys, was), (&is.journeys, &was.journeys, is)]
    {
        for journey in journeys.iter() {
            let same_frame = other.get(&journey.case_type).is_some_and(|o| same_frame(journey, o));
            for notice in &journey.notices {
                let name = format!("{}/{}", journey.case_type, notice.id);
                let same = same_frame && notice_of(other, journey, &notice.id) == Some(notice);
                let same_words = !messages.contains(&notice.message);
                if !same {
                    touched.rules.insert(name.clone());
                }
                if !same_words {
                    touched.words.insert(name.clone());
                }
                if !(same && same_words) && rules.is_mandatory(&notice.topic) {
                    touched.mandatory.insert(name);
                }
            }
        }
    }
    touched
}

fn notice_of<'j>(
    journeys: &'j Journeys,
    journey: &Journey,
    id: &str,
) -> Option<&'j crate::planning::journey::Notice> {
    journeys.get(&journey.case_type)?.notice(id)
}

/// Everything but the notices.
fn same_frame(a: &Journey, b: &Journey) -> bool {
    let frame = |journey: &Journey| Journey { notices: Vec::new(), ..journey.clone() };
    frame(a) == frame(b)
}

/// The messages of which any language differs; samples are not sent.
fn changed_messages(before: &VersionFiles, after: &VersionFiles) -> BTreeSet<String> {
    let names = before.files.keys().chain(after.files.keys());
    names
        .filter(|name| before.files.get(*name) != after.files.get(*name))
        .filter_map(|name| name.strip_prefix("messages/")?.strip_suffix(".j2"))
        .filter_map(|stem| stem.rsplit_once('.').map(|(message, _)| message.to_owned()))
        .collect()
}
