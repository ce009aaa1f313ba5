//! The audit log as a page: the newest first, by filter, a page at a time.

use serde_json::json;
use tidings::app::console::audit::note;
use tidings::domain::{Operator, Role};

use crate::support::TestApp;

use super::{Desk, noted};

#[tokio::test]
async fn entries_are_shown_newest_first_by_filter_a_page_at_a_time() {
    let app = TestApp::with("").await;
    let edda = Operator { name: "edda".into(), role: Role::Editor };
    for n in 0..60 {
        let (action, subject) = (if n % 2 == 0 { "cancel" } else { "take_over" }, format!("n-{n}"));
        note(&app.app, &edda, action, &subject, json!({ "reason": format!("no. {n}") }))
            .await
            .expect("the store is there");
    }
    let desk = Desk::new(&app);
    let rows = |page: &str| page.matches("<tr><td>").count();
    let first = desk.get("/console/audit").await.body;
    assert_eq!(rows(&first), 50);
    assert!(first.contains("n-59") && first.contains("reason: no. 59"), "{first}");
    assert!(!first.contains(">n-9<") && !first.contains("The newest entries</a>"));
    let older = first.split("href=\"").find(|part| part.contains("before=")).expect("a link");
    let older = older.split('"').next().expect("an address").replace("&amp;", "&");
    let older = older.replace("&#x2f;", "/").replace("&#x3d;", "=");
    let second = desk.get(&older).await.body;
    assert_eq!(rows(&second), 10);
    assert!(second.contains(">n-9<") && second.contains("The newest entries</a>"), "{second}");
    assert!(!second.contains("before="), "there is nothing older");
    for (query, count) in [
        ("action=take_over", 30),
        ("action=take+over", 30),
        ("subject=n-7", 1),
        ("who=edda&action=cancel&subject=n-8", 1),
        ("who=edda&action=cancel&subject=n-7", 0),
        ("who=nobody", 0),
    ] {
        let page = desk.get(&format!("/console/audit?{query}")).await.body;
        assert_eq!(rows(&page), count, "{query}");
        assert_eq!(page.contains("Nothing is noted that fits"), count == 0, "{query}");
    }
    let filtered = desk.get("/console/audit?action=cancel&who=edda").await.body;
    assert!(filtered.contains("value=\"cancel\"") && filtered.contains("value=\"edda\""));
    app.end().await;
}

#[tokio::test]
async fn what_is_noted_is_shown_and_never_run_and_addresses_are_masked() {
    let app = TestApp::with("").await;
    let odd = Operator { name: "<b>odd</b>".into(), role: Role::Viewer };
    let detail = json!({ "to": "grace@example.com", "words": "<script>alert(1)</script>" });
    note(&app.app, &odd, "unmask", "+447911123456", detail).await.expect("the store is there");
    let page = Desk::new(&app).get("/console/audit?who=%3Cscript%3E").await.body;
    assert!(!page.contains("<script"), "{page}");
    let page = Desk::new(&app).get("/console/audit").await.body;
    assert!(!page.contains("<script") && !page.contains("<b>odd"), "{page}");
    assert!(page.contains("g***@e***.com") && page.contains("+44"), "{page}");
    let kept = format!("{:?}", noted(&app).await);
    for clear in ["grace@", "7911123456"] {
        assert!(!page.contains(clear) && !kept.contains(clear), "{clear}");
    }
    app.end().await;
}
