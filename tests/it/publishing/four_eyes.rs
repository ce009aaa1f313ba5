//! What touches a mandatory topic or many customers needs somebody else than who wrote it.

use tidings::app::publishing::{Proposal, Published, Refusal, Say, put_in_force};
use tidings::store::audit::AuditFilter;
use tidings::store::journeys::VersionFiles;

use crate::operators::{Answer, Desk, everybody};
use crate::support::TestApp;
use crate::support::binary::Installation;

use super::{FIVE_DAYS, label_sent, reminding_after};

const MANDATORY: &str = "[topics.reminder]\nmandatory = \"the deadline is the law's\"\n";

fn proposal(files: VersionFiles, authors: &[&str]) -> Proposal {
    Proposal {
        files,
        authors: authors.iter().map(ToString::to_string).collect(),
        reason: "sooner".into(),
        percent: 100,
        draft: None,
        effect: None,
    }
}

async fn publish(
    app: &TestApp,
    span: &str,
    by: Option<&str>,
    alone_ok: bool,
) -> Result<Published, Refusal> {
    let proposal = proposal(reminding_after(app, span), &["Ada", "Grace"]);
    put_in_force(&app.app, proposal, Say { by, alone_ok }).await
}

#[tokio::test]
async fn a_notice_on_a_mandatory_topic_needs_a_second_person_who_wrote_no_part_of_it() {
    let app = TestApp::with(MANDATORY).await;
    for by in [None, Some("Ada"), Some("grace"), Some(" ADA "), Some("")] {
        let refused = publish(&app, "2 days", by, false).await;
        let why = refused.expect_err("needs somebody else").to_string();
        assert!(why.contains("return/post-it, on a topic nobody can switch off"), "{why}");
    }
    assert_eq!(app.store().publications().await.expect("the store").len(), 1);
    publish(&app, "2 days", Some("Edsger"), false).await.expect("a second person");
    let last = app.store().publications().await.expect("the store").remove(0);
    assert_eq!((&*last.author, last.approved_by.as_deref()), ("Ada", Some("Edsger")));
    assert!(last.four_eyes.contains("return/post-it"), "{}", last.four_eyes);

    let alone = publish(&app, "3 days", Some("Ada"), true).await.expect("nobody else is there");
    assert!(alone.alone.contains("published by one person"), "{}", alone.alone);
    let last = app.store().publications().await.expect("the store").remove(0);
    assert_eq!((last.approved_by, last.four_eyes), (None, alone.alone));
}

#[tokio::test]
async fn what_changes_for_more_customers_than_the_limit_needs_a_second_person() {
    let limit = "[publishing]\nfour_eyes = { mandatory_topics = true, customers = 1 }\n";
    let app = TestApp::with(limit).await;
    app.ada().await;
    let mut other = crate::support::ada();
    other["id"] = "C-2".into();
    other["contact_points"][0]["address"] = "grace@example.com".into();
    label_sent(&app, "R-1").await;
    app.advance_to("2026-11-30T12:00:00Z").await;
    publish(&app, "4 days", None, false).await.expect("it touches one customer");

    app.customer(other).await;
    let event = serde_json::json!({"case": "R-2", "case_type": "return", "customer": "C-2",
        "state": "label_sent", "facts": {"item": "Boots", "return_by": "2026-12-30"}});
    app.event_of(event).await;
    app.advance_to("2026-12-08T12:00:00Z").await;
    let why = publish(&app, "2 days", None, false).await.expect_err("two").to_string();
    assert!(why.contains("it touches 2 customers a month, more than 1"), "{why}");
    publish(&app, "2 days", Some("Edsger"), false).await.expect("a second person");
    // What was in force before needs nobody else: a fault must not wait.
    publish(&app, "4 days", None, false).await.expect("known already");
}

/// An installation with the shipped journeys in files of its own, published.
fn installed(more: &str) -> Installation {
    let here = Installation::new(more);
    for name in ["appointment", "return", "ticket"] {
        let path = format!("{}/config/journeys/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("shipped");
        here.file(&format!("config/journeys/{name}.toml"), &text);
    }
    let first = here.run(&["journeys", "publish", "--author", "Ada"]);
    assert_eq!(first.status.code(), Some(0), "the first version");
    let shipped = include_str!("../../../config/journeys/return.toml");
    let sooner = shipped.replace(FIVE_DAYS, &FIVE_DAYS.replace("5 days", "2 days"));
    here.file("config/journeys/return.toml", &sooner);
    here
}

#[test]
fn the_command_line_refuses_says_how_and_records_who_said_yes() {
    let here = installed(MANDATORY);
    let said = |args: &[&str]| {
        let output = here.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let publish = ["journeys", "publish", "--author", "Ada", "--reason", "sooner"];
    let (code, text) = said(&publish);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("not published: a second person") && text.contains("--approved-by"),
        "{text}"
    );
    let with = |name: &'static str| [&publish[..], &["--approved-by", name]].concat();
    assert_eq!(said(&with("ada")).0, Some(1), "the author is no second person");
    assert_eq!(said(&with("Grace")).0, Some(0));
    let list = here.json(&["journeys", "list", "--json"]);
    let last = &list[0];
    assert_eq!(
        (&last["author"], &last["approved_by"], &last["reason"], &last["percent"]),
        (&"Ada".into(), &"Grace".into(), &"sooner".into(), &100.into())
    );
}

#[test]
fn with_operators_the_command_line_leaves_a_draft_for_them_and_believes_no_name() {
    let here = installed(&format!("{MANDATORY}{}", everybody()));
    let publish = ["journeys", "publish", "--author", "edda", "--reason", "sooner"];
    let said = |args: &[&str]| {
        let output = here.run(args);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let before = here.json(&["journeys", "list", "--json"]);
    let (code, text) = said(&[&publish[..], &["--approved-by", "pia"]].concat());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("here operators approve in the console"), "{text}");
    let (code, text) = said(&publish);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("It waits as draft 1") && text.contains("is not edda"), "{text}");
    assert_eq!(here.json(&["journeys", "list", "--json"]), before, "nothing is in force yet");
}

/// Begins a draft of the reminder after two days and works out its effect; its address.
async fn drafted(desk: &Desk<'_>, reason: &str, span: &str) -> String {
    let begun = desk.post("/console/drafts/new", &[("reason", reason)]).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let draft = begun.location.expect("the draft").split('?').next().expect("one").to_owned();
    let fields = [
        ("revision", "1"),
        ("notice", "post-it"),
        ("on.after", span),
        ("window", "09:00-18:00"),
        ("repeat.every", "4 days"),
        ("repeat.at_most", "2"),
        ("channels", "email, sms, voice"),
        ("enabled", "true"),
    ];
    assert_eq!(desk.post(&format!("{draft}/values/return"), &fields).await.status, 303);
    assert_eq!(act(desk, &draft, "simulate", "2").await.status, 303);
    draft
}

async fn act(desk: &Desk<'_>, draft: &str, what: &str, revision: &str) -> Answer {
    desk.post(draft, &[("do", what), ("revision", revision)]).await
}

#[tokio::test]
async fn a_viewer_looks_an_editor_drafts_and_a_publisher_publishes_what_another_wrote() {
    let app = TestApp::with(&format!("{MANDATORY}{}", everybody())).await;
    let [vera, edda, pia, ada] = [
        Desk::signed_in(&app, "vera").await,
        Desk::signed_in(&app, "edda").await,
        Desk::signed_in(&app, "pia").await,
        Desk::signed_in(&app, "ada").await,
    ];
    let published = async || app.store().publications().await.expect("the store").len();
    let draft = drafted(&edda, "sooner", "2 days").await;

    for page in ["/console/journeys", &draft, &format!("{draft}/values/return")] {
        assert_eq!(vera.get(page).await.status, 200, "{page}");
    }
    assert_eq!(vera.get("/console/drafts/new").await.status, 403);
    for what in ["simulate", "publish", "withdraw", "ask"] {
        assert_eq!(act(&vera, &draft, what, "2").await.status, 403, "{what}");
    }
    let page = edda.get(&draft).await.body;
    assert!(page.contains("You wrote a part of it, so somebody else publishes it"), "{page}");
    assert_eq!(act(&edda, &draft, "ask", "2").await.status, 303);
    assert_eq!(act(&edda, &draft, "publish", "2").await.status, 403, "an editor never");
    let back = [("version", "0"), ("reason", "x")];
    assert_eq!(edda.post("/console/journeys/rollback", &back).await.status, 403);
    assert_eq!(published().await, 1);

    // Whoever changes a line wrote a part of it.
    let touched = [("do", "reason"), ("revision", "2"), ("reason", "much sooner")];
    assert_eq!(pia.post(&draft, &touched).await.status, 303);
    assert_eq!(act(&pia, &draft, "simulate", "3").await.status, 303);
    let refused = act(&pia, &draft, "publish", "3").await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("on a topic nobody can switch off"), "{}", refused.body);
    assert_eq!(published().await, 1);
    assert_eq!(act(&ada, &draft, "publish", "3").await.status, 303);
    let last = app.store().publications().await.expect("the store").remove(0);
    assert_eq!((&*last.author, last.approved_by.as_deref()), ("edda", Some("ada")));

    // A publisher may not publish their own either.
    let own = drafted(&pia, "later", "3 days").await;
    assert_eq!(act(&pia, &own, "publish", "2").await.status, 409);
    assert_eq!(act(&ada, &own, "publish", "2").await.status, 303);
    assert_eq!(published().await, 3);
    let log = AuditFilter { action: Some("publish".into()), limit: 9, ..AuditFilter::default() };
    let log = app.store().audit_log(&log).await.expect("the store");
    let who: Vec<&str> = log.iter().map(|row| row.who.as_str()).collect();
    assert_eq!(who, ["ada", "ada"]);
}

#[tokio::test]
async fn what_touches_no_mandatory_topic_a_publisher_publishes_alone() {
    let app = TestApp::with(&everybody()).await;
    let pia = Desk::signed_in(&app, "pia").await;
    let draft = drafted(&pia, "sooner", "2 days").await;
    assert_eq!(act(&pia, &draft, "publish", "2").await.status, 303);
    let last = app.store().publications().await.expect("the store").remove(0);
    assert_eq!((&*last.author, last.approved_by, &*last.four_eyes), ("pia", None, ""));
}
