use axum::body::Body;
use axum::http::Request;
use tidings::domain::Channel;
use tower::ServiceExt;

use crate::support::{TestApp, forged};

async fn call(app: &TestApp, request: Request<Body>) -> (u16, String) {
    let web = tidings::web::Web {
        app: std::sync::Arc::clone(&app.app),
        metrics: tidings::web::Metrics::install(),
    };
    let response = tidings::web::router(web).oneshot(request).await.expect("answered");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn path(url: &str) -> String {
    url.trim_matches(['<', '>'])
        .strip_prefix("https://tidings.example.com")
        .expect("ours")
        .to_owned()
}

#[tokio::test]
async fn one_click_stops_the_topic_on_the_channel_and_a_scanner_changes_nothing() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().remove(0);
    let link = path(&mail.header("List-Unsubscribe").expect("a link"));
    assert_eq!(mail.header("List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    for _ in 0..20 {
        let get = Request::get(&link).body(Body::empty()).expect("a request");
        assert_eq!(call(&app, get).await.0, 200);
        let head = Request::head(&link).body(Body::empty()).expect("a request");
        assert_eq!(call(&app, head).await.0, 200);
    }
    assert!(app.customer_now().await.chosen.topics.is_empty(), "a GET changes nothing");
    let post = |link: &str, content_type: &str, body: &'static str| {
        Request::post(link)
            .header("content-type", content_type)
            .body(Body::from(body))
            .expect("a request")
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(call(&app, post(&link, form, "something=else")).await.0, 400);
    assert_eq!(call(&app, post(&link, form, "List-Unsubscribe=One-Click")).await.0, 200);
    assert!(!app.customer_now().await.chosen.topics["status"][&Channel::Email]);
    let multipart = "multipart/form-data; boundary=x";
    let body = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    assert_eq!(call(&app, post(&link, multipart, body)).await.0, 200, "twice is like once");
    let forged = forged(&link);
    assert_eq!(call(&app, post(&forged, form, "List-Unsubscribe=One-Click")).await.0, 404);
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.status, "suppressed");
    app.end().await;
}
