//! What an operator sees as a customer: their pages, every form switched off, no visit, no
//! cookie, and noted.

use axum::body::Body;
use axum::http::{Request, header};
use tower::ServiceExt;

use super::{full, noted, page};

const ROOMS: [&str; 7] = ["", "/overview", "/choices", "/history", "/addresses", "/call", "/data"];

#[tokio::test]
async fn every_room_is_shown_with_its_forms_off_and_is_no_visit_of_theirs() {
    let app = full().await;
    let ada = "C-1".into();
    let before = app.store().actions(&ada, 100).await.expect("there").len();
    for room in ROOMS {
        let path = format!("/console/customers/C-1/as{room}");
        let request = Request::get(&path).body(Body::empty()).expect("a request");
        let answer = app.router().oneshot(request).await.expect("answered");
        assert!(!answer.headers().contains_key(header::SET_COOKIE), "{path} gives a cookie");
        let body = page(&app, &path).await;
        let (head, rest) = body.split_once("<fieldset class=\"seen\" disabled>").expect(&path);
        assert!(head.contains("You see what C-1 sees; nothing can be changed."), "{head}");
        let (_, foot) = rest.rsplit_once("</fieldset>").expect(&path);
        for outside in [head, foot] {
            assert!(
                !outside.contains("<form") && !outside.contains("<button"),
                "{path}: {outside}"
            );
        }
        let links = body.replace("/centre/style.css", "");
        assert!(!links.contains("href=\"/centre"), "no way into the customer's own pages: {body}");
    }
    assert_eq!(app.store().actions(&ada, 100).await.expect("there").len(), before, "no visit");
    assert_eq!(noted(&app, "view_as").await, 2 * ROOMS.len());
    app.end().await;
}

#[tokio::test]
async fn nothing_can_be_sent_from_there() {
    let app = full().await;
    for room in ROOMS {
        let path = format!("/console/customers/C-1/as{room}");
        let (status, _) = app.post_form(&path, &[("do", "stop_all")], None).await;
        assert_eq!(status, 405, "{path}");
    }
    assert!(app.customer_now().await.chosen == tidings::domain::Preferences::default());
    let (status, _) = app.get("/console/customers/C-1/as/elsewhere").await;
    assert_eq!(status, 404);
    app.end().await;
}
