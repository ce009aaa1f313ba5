//! Every route of the console names its least role, and those below it are refused.

use std::collections::BTreeMap;

use crate::support::TestApp;

use super::{Desk, everybody, noted};

/// Who may see or do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    /// Also who is not signed in.
    Anybody,
    Viewer,
    Editor,
    Publisher,
    Admin,
}

use Least::{Admin, Anybody, Editor, Publisher, Viewer};

/// Method, route, an address it answers, and its least role. A new route has its line here.
const ROUTES: &[(&str, &str, &str, Least)] = &[
    ("get", "/console", "/console", Viewer),
    ("get", "/console/audit", "/console/audit", Viewer),
    ("get", "/console/cases/{id}", "/console/cases/T-1", Viewer),
    ("get", "/console/customers/{id}", "/console/customers/C-1", Viewer),
    ("get", "/console/customers/{id}/as", "/console/customers/C-1/as", Viewer),
    ("get", "/console/customers/{id}/as/{room}", "/console/customers/C-1/as/choices", Viewer),
    ("get", "/console/drafts/new", "/console/drafts/new", Editor),
    ("get", "/console/drafts/{id}", "/console/drafts/1", Viewer),
    ("get", "/console/drafts/{id}/mail", "/console/drafts/1/mail", Viewer),
    ("get", "/console/drafts/{id}/report", "/console/drafts/1/report", Viewer),
    (
        "get",
        "/console/drafts/{id}/text",
        "/console/drafts/1/text?name=messages/ticket/resolved.en.j2",
        Viewer,
    ),
    ("get", "/console/drafts/{id}/texts", "/console/drafts/1/texts", Viewer),
    ("get", "/console/drafts/{id}/values/{case_type}", "/console/drafts/1/values/ticket", Viewer),
    ("get", "/console/journeys", "/console/journeys", Viewer),
    ("get", "/console/journeys/map/{case_type}", "/console/journeys/map/ticket", Viewer),
    (
        "get",
        "/console/journeys/versions/{hash}",
        "/console/journeys/versions/0000000000000000",
        Viewer,
    ),
    ("get", "/console/notifications", "/console/notifications", Viewer),
    ("get", "/console/notifications/many", "/console/notifications/many", Viewer),
    (
        "get",
        "/console/notifications/{id}",
        "/console/notifications/00000000-0000-5000-8000-000000000000",
        Viewer,
    ),
    ("get", "/console/openid", "/console/openid", Anybody),
    ("get", "/console/openid/back", "/console/openid/back", Anybody),
    ("get", "/console/planned", "/console/planned", Viewer),
    ("get", "/console/providers", "/console/providers", Viewer),
    ("get", "/console/reports", "/console/reports", Viewer),
    ("get", "/console/restored", "/console/restored", Viewer),
    ("get", "/console/search", "/console/search", Viewer),
    ("get", "/console/sign-in", "/console/sign-in", Anybody),
    ("get", "/console/style.css", "/console/style.css", Anybody),
    ("get", "/console/suppressions", "/console/suppressions", Viewer),
    ("get", "/console/tasks", "/console/tasks", Viewer),
    ("get", "/console/webhooks", "/console/webhooks", Viewer),
    ("post", "/console/customers/{id}", "/console/customers/C-1", Admin),
    ("post", "/console/drafts/new", "/console/drafts/new", Editor),
    ("post", "/console/drafts/{id}", "/console/drafts/1", Editor),
    ("post", "/console/drafts/{id}/text", "/console/drafts/1/text", Editor),
    ("post", "/console/drafts/{id}/values/{case_type}", "/console/drafts/1/values/ticket", Editor),
    ("post", "/console/journeys/rollback", "/console/journeys/rollback", Publisher),
    ("post", "/console/journeys/share", "/console/journeys/share", Publisher),
    ("post", "/console/notifications/many", "/console/notifications/many", Editor),
    (
        "post",
        "/console/notifications/{id}",
        "/console/notifications/00000000-0000-5000-8000-000000000000",
        Editor,
    ),
    ("post", "/console/providers", "/console/providers", Admin),
    ("post", "/console/reports", "/console/reports", Editor),
    ("post", "/console/restored", "/console/restored", Admin),
    ("post", "/console/search", "/console/search", Viewer),
    ("post", "/console/sign-in", "/console/sign-in", Anybody),
    ("post", "/console/sign-out", "/console/sign-out", Anybody),
    ("post", "/console/suppressions", "/console/suppressions", Admin),
    ("post", "/console/tasks", "/console/tasks", Editor),
    (
        "post",
        "/console/webhooks/deliveries/{id}/replay",
        "/console/webhooks/deliveries/1/replay",
        Editor,
    ),
    ("post", "/console/webhooks/{name}/enable", "/console/webhooks/crm/enable", Editor),
    ("post", "/console/webhooks/{name}/replay", "/console/webhooks/crm/replay", Editor),
];

/// The routes there are, as the router prints itself.
fn routes() -> Vec<(String, String)> {
    let printed = format!("{:?}", tidings::web::console::routes());
    let part = |from: &str, to: &str| {
        let start = printed.find(from).expect(from) + from.len();
        let end = printed[start..].find(to).expect(to) + start;
        printed[start..end].to_owned()
    };
    let start = printed.find("paths: {").expect("paths");
    let paths: BTreeMap<&str, &str> = printed[start..]
        .split("RouteId(")
        .skip(1)
        // `0): "/console"`: what comes after the paths looks otherwise.
        .map_while(|entry| entry.split_once("): \""))
        .map(|(id, rest)| (id, rest.split('"').next().expect("a path")))
        .filter(|(id, _)| id.bytes().all(|digit| digit.is_ascii_digit()))
        .collect();
    let mut found = Vec::new();
    for entry in part("routes: {", "node: ").split("RouteId(").skip(1) {
        let path = paths[entry.split(')').next().expect("an id")];
        for method in ["get", "head", "delete", "patch", "post", "put"] {
            let handled = entry.split(&format!(" {method}: ")).nth(1).expect("each method");
            if !handled.starts_with("None") {
                found.push((method.to_owned(), path.to_owned()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_route_has_its_line_in_the_table() {
    let listed: Vec<_> =
        ROUTES.iter().map(|(method, route, ..)| ((*method).into(), (*route).into())).collect();
    assert_eq!(routes(), listed);
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_and_the_others_are_told_what_it_takes() {
    let app = TestApp::with(&everybody()).await;
    let people = [
        (Anybody, "anybody", Desk::new(&app)),
        (Viewer, "viewer", Desk::signed_in(&app, "vera").await),
        (Editor, "editor", Desk::signed_in(&app, "edda").await),
        (Publisher, "publisher", Desk::signed_in(&app, "pia").await),
        (Admin, "admin", Desk::signed_in(&app, "ada").await),
    ];
    for (method, route, path, least) in ROUTES {
        if *route == "/console/sign-out" {
            continue; // The last thing anybody does.
        }
        for (who, name, desk) in &people {
            let answer = match *method {
                "get" => desk.get(path).await,
                _ => desk.post(path, &[]).await,
            };
            let to_the_form = answer.status == 303
                && answer.location.as_deref().is_some_and(|to| to.starts_with("/console/sign-in"));
            let told = answer.status == 403 && answer.body.contains("This takes the role");
            let case = format!("{method} {path} as {name}: {}", answer.status);
            match (who >= least, who) {
                (true, _) => assert!(!told && answer.status < 500, "{case}"),
                (false, Anybody) => assert!(to_the_form, "{case}"),
                (false, _) => assert!(told, "{case}"),
            }
            if *least > Anybody && who >= least {
                assert!(!to_the_form, "{case}");
            }
        }
    }
    app.end().await;
}

#[tokio::test]
async fn who_has_a_smaller_role_is_told_which_one_it_takes_and_a_try_to_act_is_noted() {
    use axum::http::{Method, Request};
    use axum::{Router, body::Body, routing::get};
    use tidings::web::console::{self, At};
    use tower::ServiceExt;

    let app = TestApp::with(&everybody()).await;
    let desk = Desk::signed_in(&app, "edda").await;
    let web = tidings::web::Web {
        app: std::sync::Arc::clone(&app.app),
        metrics: tidings::web::Metrics::install(),
    };
    let routes = Router::new()
        .route(
            "/publish",
            get(async |At(who): console::Publisher| who.name)
                .post(async |_: console::Publisher| "done"),
        )
        .route("/drain", get(async |At(who): console::Admin| who.name))
        .with_state(web);
    let ask = async |method: Method, path: &str, token: &str| {
        let cookie = format!("__Host-tidings-console={token}");
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = request.body(Body::empty()).expect("a request");
        let answer = routes.clone().oneshot(request).await.expect("answered");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let edda = desk.token().expect("a token");
    let (status, page) = ask(Method::GET, "/publish", &edda).await;
    assert_eq!(status, 403);
    assert!(
        page.contains("<strong>publisher</strong>") && page.contains("<strong>editor</strong>")
    );
    assert_eq!(noted(&app).await.len(), 1, "looking is not noted");
    assert_eq!(ask(Method::POST, "/publish", &edda).await.0, 403);
    let entry = noted(&app).await.remove(0);
    assert_eq!((&*entry.who, &*entry.action), ("edda", "refused"));
    assert!(entry.detail.contains("/publish") && entry.detail.contains("publisher"));
    let pia = Desk::signed_in(&app, "pia").await.token().expect("a token");
    assert_eq!(ask(Method::GET, "/publish", &pia).await, (200, "pia".into()));
    assert_eq!(ask(Method::GET, "/drain", &pia).await.0, 403);
    let ada = Desk::signed_in(&app, "ada").await.token().expect("a token");
    assert_eq!(ask(Method::GET, "/publish", &ada).await.0, 200);
    assert_eq!(ask(Method::GET, "/drain", &ada).await, (200, "ada".into()));
    app.end().await;
}
