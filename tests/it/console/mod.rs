//! The console's pages of what goes on: what they show, what they mask, and what people do by
//! them.

mod acts;
mod drain;
mod figures;
mod pages;
mod restored;
mod view_as;

use serde_json::json;

use crate::support::TestApp;
use crate::support::smtp::Reply;
use crate::support::twilio::Answer;

/// Something of everything: told (T-1), planned (T-2), in doubt (T-3), failed for Bob (T-4), whose
/// mail server said his address in its refusal.
async fn full() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    app.customer(json!({
        "id": "C-2", "name": "Bob Boole", "time_zone": "Europe/London",
        "contact_points": [
            {"channel": "email", "address": "bob@example.com", "verified": true},
            {"channel": "sms", "address": "+447911120001", "verified": true}
        ]
    }))
    .await;
    app.event("take_in_charge_ticket").await;
    app.event_of(json!({"case": "T-2", "state": "wait", "facts": {"reach": "ada@example.com"}}))
        .await;
    app.drain().await;
    app.smtp.will([Reply::TakeAndVanish]);
    app.event_of(json!({"case": "T-3", "state": "take_in_charge_ticket"})).await;
    app.drain().await;
    app.smtp.will([Reply::AtRcpt("550 5.1.1 <bob@example.com>: no such user")]);
    app.twilio.will([Answer::Refuse(400, 21602)]);
    app.event_of(json!({"case": "T-4", "customer": "C-2", "state": "take_in_charge_ticket"})).await;
    app.drain().await;
    app
}

/// The id of the one notification of a case that stands at a status.
async fn id_of(app: &TestApp, case: &str, status: &str) -> String {
    let mut all = app.notifications().await;
    // The word after a silence is planned for every open case.
    all.retain(|n| n.case_id == case && n.status == status && n.notice != "still-working-on-it");
    assert_eq!(all.len(), 1, "{case} {status}: {all:?}");
    all.remove(0).id
}

/// How often an action stands in the audit log.
async fn noted(app: &TestApp, action: &str) -> usize {
    let filter = tidings::store::audit::AuditFilter { limit: 100, ..Default::default() };
    let rows = app.store().audit_log(&filter).await.expect("the store is there");
    rows.iter().filter(|row| row.action == action).count()
}

/// The body of a page that is there.
async fn page(app: &TestApp, path: &str) -> String {
    let (status, body) = app.get(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    read(&body)
}

/// As a browser reads it.
fn read(body: &str) -> String {
    body.replace("&#x2f;", "/").replace("&#x27;", "'")
}

/// The body of the answer to a form.
async fn post(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> String {
    let (status, body) = app.post_form(path, fields, None).await;
    assert_eq!(status, 200, "{path}: {body}");
    read(&body)
}
