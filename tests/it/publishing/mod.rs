//! A version comes into force: by whom, after what was seen, for which cases first.

mod console;
mod content;
mod doors;
mod four_eyes;
mod share;

use serde_json::json;
use tidings::app::content as files_of;
use tidings::store::journeys::VersionFiles;

use crate::support::TestApp;

/// The rule of the reminder that the stories here move.
const FIVE_DAYS: &str = "on = { state = \"label_sent\", after = \"5 days\" }";

/// The shipped files with that reminder after `span`.
fn reminding_after(app: &TestApp, span: &str) -> VersionFiles {
    let mut files = files_of::version_files(&app.app.settings).expect("the shipped files");
    let journey = files.files.get_mut("journeys/return.toml").expect("shipped");
    assert_eq!(journey.matches(FIVE_DAYS).count(), 1);
    *journey = journey.replace(FIVE_DAYS, &FIVE_DAYS.replace("5 days", span));
    files
}

/// A return whose label was sent now.
async fn label_sent(app: &TestApp, case: &str) {
    let facts = json!({"item": "Blue trousers", "return_by": "2026-12-30"});
    let event = json!({"case": case, "case_type": "return", "state": "label_sent", "facts": facts});
    app.event_of(event).await;
    app.drain().await;
}
