use axum::body::Body;
use axum::http::Request;
use tidings::web::auth::new_key;
use tower::ServiceExt;

use crate::support::{TestApp, forged};

async fn ask(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let web = tidings::web::Web {
        app: std::sync::Arc::clone(&app.app),
        metrics: tidings::web::Metrics::install(),
    };
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from("[]")).expect("a request");
    tidings::web::router(web).oneshot(request).await.expect("answered").status().as_u16()
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let (ingest, ingest_hash) = new_key("desk");
    let (read, read_hash) = new_key("agent");
    let app = TestApp::with(&format!(
        "[auth]\napi_keys = [{{ name = \"desk\", hash = \"{ingest_hash}\", scopes = [\"ingest\"] }}, \
         {{ name = \"agent\", hash = \"{read_hash}\", scopes = [\"read\"] }}]\n"
    ))
    .await;
    app.ada().await;
    let (ingest, read) = (format!("Bearer {ingest}"), format!("Bearer {read}"));
    let wrong_tail = forged(&ingest);
    for (method, path, key, status) in [
        ("POST", "/v1/events", Some(ingest.as_str()), 202),
        ("POST", "/v1/events", Some(read.as_str()), 403),
        ("POST", "/v1/events", Some(wrong_tail.as_str()), 401),
        ("POST", "/v1/events", Some("Bearer tdk_desk_wrong"), 401),
        ("POST", "/v1/events", Some("Basic abc"), 401),
        ("POST", "/v1/events", None, 401),
        ("GET", "/v1/customers/C-1", Some(ingest.as_str()), 403),
        ("GET", "/v1/customers/C-1", Some(read.as_str()), 200),
        ("GET", "/v1/customers/C-1/export", Some(ingest.as_str()), 403),
        ("DELETE", "/v1/customers/C-1", Some(read.as_str()), 403),
        ("GET", "/v1/tasks", None, 401),
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
    ] {
        let headers: Vec<_> = key.map(|key| ("authorization", key)).into_iter().collect();
        assert_eq!(ask(&app, method, path, &headers).await, status, "{method} {path} {key:?}");
    }
    app.end().await;
}

#[tokio::test]
async fn without_any_key_only_this_machine_is_answered_and_not_behind_a_proxy() {
    let app = TestApp::start().await;
    assert_eq!(ask(&app, "POST", "/v1/events", &[]).await, 202);
    assert_eq!(ask(&app, "POST", "/v1/events", &[("forwarded", "for=192.0.2.1")]).await, 401);
    assert_eq!(ask(&app, "POST", "/v1/events", &[("x-forwarded-for", "192.0.2.1")]).await, 401);
    app.end().await;
    let app = TestApp::with(
        "[http]\nlisten = \"0.0.0.0:8080\"\npublic_url = \"https://tidings.example.com\"\n",
    )
    .await;
    assert_eq!(ask(&app, "POST", "/v1/events", &[]).await, 401);
    app.end().await;
}
