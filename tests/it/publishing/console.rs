//! Somebody from ops moves a reminder with nothing but the console.

use tidings::domain::NotificationId;
use tidings::store::audit::AuditFilter;

use crate::support::TestApp;
use crate::support::visitor::Browser;

use super::label_sent;

/// The values of `post-it` as the form sends them, with another delay.
fn values(revision: &str, delay: &str) -> Vec<(&'static str, String)> {
    [
        ("revision", revision),
        ("notice", "post-it"),
        ("on.after", delay),
        ("window", "09:00-18:00"),
        ("repeat.every", "4 days"),
        ("repeat.at_most", "2"),
        ("channels", "email, sms, voice"),
        ("enabled", "true"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

async fn set_delay(browser: &Browser<'_>, draft: &str, revision: &str, delay: &str) -> u16 {
    let values = values(revision, delay);
    let fields: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    browser.post(&format!("{draft}/values/return"), &fields).await.status
}

/// Begins a draft; its address.
async fn begin(browser: &Browser<'_>, reason: &str) -> String {
    let begun = browser.post("/console/drafts/new", &[("reason", reason)]).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let location = begun.location.expect("the draft");
    location.split('?').next().expect("an address").to_owned()
}

async fn act(browser: &Browser<'_>, draft: &str, what: &str, revision: &str) -> (u16, String) {
    let answer = browser.post(draft, &[("do", what), ("revision", revision)]).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_reminder_is_moved_its_effect_seen_published_and_rolled_back() {
    let app = TestApp::start().await;
    app.ada().await;
    label_sent(&app, "R-1").await;
    app.advance_to("2026-11-29T12:00:00Z").await;
    label_sent(&app, "R-2").await;
    let due = async || {
        let all = app.notifications().await;
        let planned = all.iter().find(|n| n.case_id == "R-2" && n.notice == "post-it");
        (planned.expect("planned").due_at_ms, planned.expect("planned").id.clone())
    };
    let (before, id) = due().await;

    let ops = Browser::here(&app);
    let draft = begin(&ops, "Remind sooner").await;
    let form = ops.get(&format!("{draft}/values/return")).await.body;
    assert!(form.contains("value=\"5 days\""), "{form}");
    assert!(form.contains("<strong>Fri 4 Dec 2026 10:00</strong>"), "five days on: {form}");
    assert_eq!(set_delay(&ops, &draft, "1", "2 days").await, 303);
    let form = ops.get(&format!("{draft}/values/return")).await.body;
    assert!(form.contains("<strong>Tue 1 Dec 2026 10:00</strong>"), "two days on: {form}");

    let page = ops.get(&draft).await.body;
    assert!(page.contains("after = &quot;2 days&quot;"), "the difference is shown: {page}");
    let (status, body) = act(&ops, &draft, "publish", "2").await;
    assert_eq!(status, 422, "nobody publishes what they have not looked at");
    assert!(body.contains("work out its effect first"), "{body}");
    assert_eq!(act(&ops, &draft, "simulate", "2").await.0, 303);
    let page = ops.get(&draft).await.body;
    assert!(page.contains("<strong>1 customer</strong> would have got something else"), "{page}");
    assert!(page.contains("return&#x2f;post-it"), "{page}");
    let report = ops.get(&format!("{draft}/report")).await;
    assert!(report.body.contains("<svg"), "with plots");
    let policy = report.headers["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");

    assert_eq!(act(&ops, &draft, "publish", "2").await.0, 303);
    app.drain().await;
    let three_days = 3 * 86_400_000;
    assert_eq!(before - due().await.0, three_days);
    let id = NotificationId::parse(&id).expect("an id");
    let explained = app.store().notification(&id).await.expect("known").decisions;
    assert!(explained.iter().any(|d| d.reasons.contains("rules_changed")), "{explained:?}");

    let list = ops.get("/console/journeys").await.body;
    assert!(list.contains("Remind sooner"), "{list}");
    let first = app.store().publications().await.expect("the store").pop().expect("the first");
    let back = [("version", first.hash.as_str()), ("reason", "too many calls")];
    assert_eq!(ops.post("/console/journeys/rollback", &back).await.status, 303);
    app.drain().await;
    assert_eq!(due().await.0, before);

    let log = AuditFilter { limit: 20, ..AuditFilter::default() };
    let log = app.store().audit_log(&log).await.expect("the store");
    let done: Vec<&str> = log.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(done, ["draft_begin", "draft_value", "draft_simulate", "publish", "rollback"]);
}

#[tokio::test]
async fn a_draft_with_a_fault_shows_line_and_caret_and_cannot_be_published() {
    let app = TestApp::start().await;
    let ops = Browser::here(&app);
    let draft = begin(&ops, "Two days").await;
    assert_eq!(set_delay(&ops, &draft, "1", "two days").await, 303);
    let page = ops.get(&draft).await.body;
    assert!(page.contains("Fault</strong> in journeys&#x2f;return.toml, line"), "{page}");
    assert!(page.contains("after = &quot;two days&quot;"), "{page}");
    assert!(page.contains("^^^^^^^^^^"), "{page}");
    let (status, body) = act(&ops, &draft, "publish", "2").await;
    assert_eq!(status, 422);
    assert!(body.contains("^^^^^^^^^^") && body.contains("Nothing was done"), "{body}");
    assert_eq!(act(&ops, &draft, "simulate", "2").await.0, 422);
    assert_eq!(app.store().publications().await.expect("the store").len(), 1);
    assert_eq!(app.store().draft(1).await.expect("kept").revision, 2);
}

#[tokio::test]
async fn a_draft_on_a_version_no_longer_in_force_is_based_anew_first() {
    let app = TestApp::start().await;
    let ops = Browser::here(&app);
    let (one, other) = (begin(&ops, "Sooner").await, begin(&ops, "New words").await);
    assert_eq!(set_delay(&ops, &one, "1", "2 days").await, 303);
    let file = "messages/return/post-it.en.j2";
    let text = app.store().published().await.expect("the store").expect("published").1.files[file]
        .replace("We have not seen your parcel", "Your parcel is not here");
    let fields = [("revision", "1"), ("file", file), ("text", text.as_str())];
    assert_eq!(ops.post(&format!("{other}/text"), &fields).await.status, 303);
    for draft in [&one, &other] {
        assert_eq!(act(&ops, draft, "simulate", "2").await.0, 303);
    }
    assert_eq!(act(&ops, &one, "publish", "2").await.0, 303);
    let (status, body) = act(&ops, &other, "publish", "2").await;
    assert_eq!(status, 409);
    assert!(body.contains("another version is in force"), "{body}");

    assert_eq!(act(&ops, &other, "rebase", "2").await.0, 303);
    let (status, _) = act(&ops, &other, "rebase", "2").await;
    assert_eq!(status, 409, "what was looked at is not what stands there");
    assert_eq!(act(&ops, &other, "simulate", "3").await.0, 303);
    assert_eq!(act(&ops, &other, "publish", "3").await.0, 303);
    let (_, files) = app.store().published().await.expect("the store").expect("published");
    assert!(files.files["journeys/return.toml"].contains("after = \"2 days\""), "of the one");
    assert!(files.files[file].contains("Your parcel is not here"), "and of the other");
    assert_eq!(act(&ops, &other, "withdraw", "3").await.0, 409, "it is published");
}

#[tokio::test]
async fn a_text_is_previewed_on_every_channel_and_its_mail_is_shut_in() {
    let app = TestApp::start().await;
    let ops = Browser::here(&app);
    let draft = begin(&ops, "New words").await;
    let file = "messages/return/post-it.en.j2";
    let page = format!("{draft}/text?file={file}");
    let first = ops.get(&page).await;
    assert!(
        first.headers["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("frame-src 'self'")
    );
    assert!(first.body.contains("2 parts, GSM-7"), "{}", first.body);
    let text = app.store().published().await.expect("the store").expect("published").1.files[file]
        .replace("Reminder: please post {{ facts.item }} by {{ facts.return_by|date }}. Posted already? Then there is nothing to do. Need more time? Tell us.", "Please post {{ facts.item }} by {{ facts.return_by|date }}.");
    let fields = [("revision", "1"), ("file", file), ("text", text.as_str())];
    assert_eq!(ops.post(&format!("{draft}/text"), &fields).await.status, 303);
    let second = ops.get(&page).await.body;
    assert!(second.contains("1 part, GSM-7"), "{second}");
    assert!(second.contains("voice, sample 1"), "{second}");
    let mail = ops.get(&format!("{draft}/mail?file={file}&sample=1")).await;
    let policy = mail.headers["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("sandbox") && mail.body.contains("Blue trousers"), "{policy}");
    let away = format!("{draft}/mail?file=messages/../../etc/passwd.en.j2&sample=1");
    assert_eq!(ops.get(&away).await.status, 404);
}

#[tokio::test]
async fn a_journey_is_drawn_with_last_months_counts_and_where_nothing_is_said() {
    let app = TestApp::start().await;
    app.ada().await;
    label_sent(&app, "R-1").await;
    app.advance_to("2026-11-23T11:00:00Z").await;
    let ops = Browser::here(&app);
    let page = ops.get("/console/journeys/map/return").await.body;
    assert!(page.contains("<svg") && !page.contains("<style"), "{page}");
    assert!(page.contains("<strong>label</strong>: at once; by email, sms – told: 1"), "{page}");
    assert!(page.contains("Where a customer hears nothing"), "{page}");
    let unknown = ops.get("/console/journeys/map/parcel").await;
    assert_eq!(unknown.status, 404);
}
