//! A version holds for a share of the cases first: always the same ones, each wholly.

use std::collections::BTreeMap;

use serde_json::json;
use tidings::app::content as files_of;
use tidings::app::publishing::{Proposal, Say, put_in_force, roll_back};
use tidings::domain::{Notification, share::Share};
use tidings::store::journeys::VersionFiles;

use crate::support::TestApp;
use crate::support::smtp::Mail;

const CASES: usize = 1_000;
const DAY_MS: i64 = 86_400_000;

/// The shipped files and a journey that says one thing, after `span`.
fn files(app: &TestApp, span: &str, words: &str) -> VersionFiles {
    let mut files = files_of::version_files(&app.app.settings).expect("the shipped files");
    let journey = format!(
        "case_type = \"job\"\nstates = [\"open\", \"done\"]\nfinal = [\"done\"]\n\n[[notice]]\nid = \"nudge\"\non = {{ state = \"open\", after = \"{span}\" }}\n"
    );
    let text = format!(
        "{{% block subject %}}Still open{{% endblock %}}\n{{% block changed %}}{words}{{% endblock %}}\n{{% block action %}}Nothing to do.{{% endblock %}}\n{{% block next %}}We write again.{{% endblock %}}\n"
    );
    files.files.insert("journeys/job.toml".into(), journey);
    files.files.insert("messages/job/nudge.en.j2".into(), text);
    files
}

async fn put(app: &TestApp, files: &VersionFiles, percent: u8) -> String {
    let proposal = Proposal {
        files: files.clone(),
        authors: vec!["Ada".into()],
        reason: "a try".into(),
        percent,
        draft: None,
        effect: None,
    };
    let say = Say { by: Some("Grace"), alone_ok: false };
    let published = put_in_force(&app.app, proposal, say).await.expect("published");
    app.drain().await;
    published.hash
}

/// What is planned about jobs, by case.
async fn planned(app: &TestApp) -> BTreeMap<String, Notification> {
    let mut all = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = app.store().planned_after(&after, 500).await.expect("the store");
        let Some(last) = page.last() else { return all };
        after = last.id.to_string();
        all.extend(page.into_iter().map(|n| (n.case.0.clone(), n)));
    }
}

#[tokio::test]
async fn a_thousand_cases_split_stay_and_come_back_together() {
    let app = TestApp::start().await;
    app.ada().await;
    let old = put(&app, &files(&app, "5 days", "It is still open."), 100).await;
    for n in 0..CASES {
        let case = format!("J-{n}");
        app.event_of(json!({"case": case, "case_type": "job", "state": "open"})).await;
    }
    app.drain().await;
    let before = planned(&app).await;
    assert_eq!(before.len(), CASES);
    assert!(before.values().all(|n| n.version == old));

    let sooner = files(&app, "2 days", "It is open, and we know.");
    let new = put(&app, &sooner, 30).await;
    let share = Share { percent: 30, seed: new.clone() };
    let is_moved = |now: &BTreeMap<String, Notification>, case: &String| {
        (before[case].due_at - now[case].due_at).num_milliseconds() == 3 * DAY_MS
    };
    let now = planned(&app).await;
    let moved: Vec<&String> = before.keys().filter(|case| is_moved(&now, case)).collect();
    assert!((250..=350).contains(&moved.len()), "{} of {CASES}", moved.len());
    for (case, n) in &now {
        assert_eq!(moved.contains(&case), share.takes(&n.case), "{case}");
        if !moved.contains(&case) {
            assert_eq!(n.due_at, before[case].due_at, "{case}");
        }
    }

    // The decision that moved one names the version it was made by.
    let one = &now[moved[0]];
    let detail = app.store().notification(&one.id).await.expect("known");
    let decision = detail.decisions.last().expect("it moved");
    assert!(decision.reasons.contains("rules_changed"), "{decision:?}");
    assert!(decision.versions.contains(&new), "{decision:?}");

    // A new case belongs to its version from the first event on.
    for n in 0..20 {
        let case = format!("N-{n}");
        app.event_of(json!({"case": case, "case_type": "job", "state": "open"})).await;
    }
    app.drain().await;
    let now = planned(&app).await;
    let fresh: Vec<&Notification> = now.values().filter(|n| n.case.0.starts_with("N-")).collect();
    assert!(fresh.iter().any(|n| n.version == new) && fresh.iter().any(|n| n.version == old));
    for n in fresh {
        let (days, version) = if share.takes(&n.case) { (2, &new) } else { (5, &old) };
        assert_eq!((n.due_at - n.planned_at).num_days(), days, "{}", n.case);
        assert_eq!(&n.version, version, "{}", n.case);
    }

    // Another process that starts now decides by both.
    let stored = app.store().in_force().await.expect("the store").expect("published");
    assert_eq!((&stored.hash, stored.trial.as_ref()), (&old, Some(&(new.clone(), 30))));

    put(&app, &sooner, 100).await;
    let now = planned(&app).await;
    assert!(before.keys().all(|case| is_moved(&now, case)), "raised to all, the rest moves");

    roll_back(&app.app, &old, "Ada", "too soon").await.expect("known");
    app.drain().await;
    let now = planned(&app).await;
    assert!(before.iter().all(|(case, n)| now[case].due_at == n.due_at), "and all come back");
}

#[tokio::test]
async fn each_case_is_told_in_the_words_of_its_version_and_keeps_it_after_a_restart() {
    let mut app = TestApp::start().await;
    app.ada().await;
    put(&app, &files(&app, "1 hour", "The old words."), 100).await;
    let new = put(&app, &files(&app, "1 hour", "The new words."), 50).await;
    app.restart(None, tidings::worker::seams::Seams::default()).await;
    let share = Share { percent: 50, seed: new };
    for n in 0..12 {
        let case = format!("J-{n}");
        app.event_of(json!({"case": case, "case_type": "job", "state": "open"})).await;
    }
    app.advance_to("2026-11-23T12:00:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 12);
    for n in 0..12 {
        let case = format!("J-{n}");
        let own = mails.iter().map(Mail::text).find(|text| {
            text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == case)
        });
        let own = own.unwrap_or_else(|| panic!("no mail about {case}"));
        let expected = if share.takes(&case.as_str().into()) { "new" } else { "old" };
        assert!(own.contains(&format!("The {expected} words.")), "{case}: {own}");
    }
}
