//! Every page answers on an empty and on a full store, says what it is for, masks addresses, and
//! changes nothing.

use super::{full, id_of, noted, page, post};
use crate::support::TestApp;

/// Pages that are there whatever the store holds, and what each says.
const PAGES: [(&str, &str); 14] = [
    ("/console", "Due now"),
    ("/console?refresh=10", "Asked again every 10 seconds"),
    ("/console/planned", "Planned messages by day and hour"),
    ("/console/planned?message=ticket/still-waiting-for-you", "Only <strong>ticket"),
    ("/console/search", "Customer, case, message"),
    ("/console/search?q=nobody", "Nothing. Ids are compared"),
    ("/console/notifications", "Code of the reason"),
    ("/console/notifications?status=planned&from=2026-11-23&to=2027-01-01", "due first"),
    ("/console/notifications?status=failed&channel=sms", "ended last"),
    ("/console/notifications/many?do=cancel&status=planned", "Nothing is done yet"),
    ("/console/tasks", "Work for people"),
    ("/console/reports", "Draw up now"),
    ("/console/suppressions", "must not be used"),
    ("/console/providers", "Stop new hand-overs"),
];

#[tokio::test]
async fn each_page_answers_on_an_empty_store() {
    let app = TestApp::start().await;
    for (path, says) in PAGES {
        let body = page(&app, path).await;
        assert!(body.contains(says), "{path}: {body}");
    }
    for path in [
        "/console/customers/C-9",
        "/console/cases/T-9",
        "/console/notifications/nothing",
        "/console/notifications/00000000-0000-5000-8000-000000000000",
        "/console/customers/C-9/as",
    ] {
        let (status, body) = app.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("There is nothing here") && body.contains("<nav"), "{path}: {body}");
    }
    app.end().await;
}

/// What every table holds, but for the audit log.
async fn everything(app: &TestApp) -> Vec<tidings::store::moving::Contents> {
    let store = app.store();
    let mut all = Vec::new();
    for table in store.tables().await.expect("the store is there") {
        if table.name != "audit_log" {
            all.push(store.contents(&table, |_| {}).await.expect("the store is there"));
        }
    }
    all
}

#[tokio::test]
async fn each_page_shows_what_there_is_and_no_look_changes_anything_or_says_an_address() {
    let app = full().await;
    let (told, planned) = (id_of(&app, "T-1", "sent").await, id_of(&app, "T-2", "planned").await);
    let (doubt, failed) =
        (id_of(&app, "T-3", "in_doubt").await, id_of(&app, "T-4", "failed").await);
    let one = |id: &str| format!("/console/notifications/{id}");
    let code = app.of_id(&told).await.code;
    let mut pages: Vec<(String, Vec<&str>)> =
        PAGES.iter().map(|(path, _)| ((*path).to_owned(), Vec::new())).collect();
    pages.extend([
        ("/console".to_owned(), vec!["failed: 1", "e-mail", "smtp", "twilio"]),
        ("/console/planned".into(), vec!["ticket/still-waiting-for-you", "by e-mail: "]),
        ("/console/search?q=C-1".into(), vec!["/console/customers/C-1"]),
        ("/console/search?q=T-2".into(), vec!["/console/cases/T-2"]),
        (format!("/console/search?q={told}"), vec!["ticket/taken-in-charge"]),
        (format!("/console/search?q={code}"), vec!["by its code", &told]),
        (
            "/console/search?q=BOB%40Example.com".into(),
            vec!["/console/customers/C-2", "B***@e***.com"],
        ),
        ("/console/search?q=%2B447911123456".into(), vec!["/console/customers/C-1"]),
        (
            "/console/customers/C-1".into(),
            vec!["Ada Byron", "a***@e***.com", "T-2", "Show addresses"],
        ),
        ("/console/customers/C-2".into(), vec!["must not be used"]),
        ("/console/cases/T-2".into(), vec!["still-waiting-for-you", "Another word by", "reach"]),
        ("/console/notifications".into(), vec!["T-1", "T-2", "T-3", "T-4"]),
        ("/console/notifications?case=T-3".into(), vec!["in doubt"]),
        ("/console/notifications?customer=C-2&status=failed".into(), vec!["T-4", "Retry all"]),
        (
            "/console/notifications?message=ticket/still-waiting-for-you&status=planned".into(),
            vec!["T-2"],
        ),
        ("/console/notifications?status=in_doubt".into(), vec!["T-3", "None of these went out"]),
        (
            one(&told),
            vec![
                "What happened, and why",
                "attempt 1 by e-mail through smtp: sent",
                "a***@e***.com",
            ],
        ),
        (one(&planned), vec!["Cancel it", "3 working days"]),
        (one(&doubt), vec!["It was sent", "It was not sent"]),
        (one(&failed), vec!["Try once more", "b***@e***.com"]),
        ("/console/tasks".into(), vec!["Tell the customer of case T-4", "Done"]),
        ("/console/suppressions".into(), vec!["b***@e***.com", "Lift"]),
        ("/console/providers".into(), vec!["well"]),
        ("/console/customers/C-1/as".into(), vec!["You see what C-1 sees"]),
        ("/console/customers/C-1/as/history".into(), vec!["nothing can be changed"]),
    ]);
    let before = everything(&app).await;
    let mut wrong = Vec::new();
    for (path, says) in &pages {
        let body = page(&app, path).await;
        let missing = says.iter().filter(|said| !body.contains(**said));
        wrong.extend(missing.map(|said| format!("{path} does not say {said:?}")));
        for address in ["ada@example.com", "bob@example.com", "+447911123456", "+447911120001"] {
            if body.to_lowercase().contains(address) {
                wrong.push(format!("{path} says {address}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(everything(&app).await, before, "nothing changed");
    app.end().await;
}

#[tokio::test]
async fn addresses_are_shown_once_to_who_says_why_and_that_is_noted() {
    let app = full().await;
    let without = post(&app, "/console/customers/C-1", &[("why", " ")]).await;
    assert!(without.contains("Say why") && !without.contains("ada@example.com"), "{without}");
    assert_eq!(noted(&app, "unmask").await, 0);
    let shown = post(&app, "/console/customers/C-1", &[("why", "they ask which")]).await;
    assert!(shown.contains("ada@example.com") && shown.contains("+447911123456"), "{shown}");
    assert_eq!(noted(&app, "unmask").await, 1);
    assert!(!page(&app, "/console/customers/C-1").await.contains("ada@example.com"));
    app.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_said_with_how_to_write_it() {
    let app = TestApp::start().await;
    for (query, why) in [
        ("status=gone", "There is no status"),
        ("from=soon", "write it as 2026-11-23"),
        ("channel=fax", "use email, sms or voice"),
    ] {
        let (status, body) = app.get(&format!("/console/notifications?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(body.contains(why), "{query}: {body}");
    }
    app.end().await;
}

#[tokio::test]
async fn the_reports_are_drawn_up_when_asked_and_say_when() {
    let app = full().await;
    let body = post(&app, "/console/reports", &[]).await;
    for said in ["drawn up", "ticket/taken-in-charge", "Promises of another word", "T-1"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    app.end().await;
}

#[tokio::test]
async fn what_a_case_system_writes_is_shown_in_the_console_and_never_run() {
    let app = TestApp::start().await;
    app.ada().await;
    let script = "<script>alert(1)</script>";
    let image = "\"><img src=x onerror=alert(2)>";
    app.event_of(serde_json::json!({
        "case": "T-<b>7", "state": "take_in_charge_ticket", "facts": {"reach": script, "item": image},
    }))
    .await;
    app.drain().await;
    let told = app.of("taken-in-charge").await;
    for path in [
        "/console".to_owned(),
        "/console/notifications".into(),
        "/console/planned".into(),
        "/console/customers/C-1".into(),
        "/console/cases/T-%3Cb%3E7".into(),
        "/console/customers/C-1/as".into(),
        format!("/console/notifications/{}", told.id),
        format!("/console/search?q={}", "%3Cscript%3Ealert(1)%3C/script%3E"),
        "/console/audit?subject=%3Cscript%3E".into(),
    ] {
        let (status, body) = app.get(&path).await;
        assert_eq!(status, 200, "{path}");
        for run in ["<script", "<img", "<b>7"] {
            assert!(!body.contains(run), "{path}: {run}");
        }
    }
    let case = page(&app, "/console/cases/T-%3Cb%3E7").await;
    assert!(case.contains("&lt;script&gt;alert(1)"), "shown as it was written: {case}");
    app.end().await;
}
