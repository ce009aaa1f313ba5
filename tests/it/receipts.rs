use tidings::domain::Channel;

use crate::in_doubt::post_receipt;
use crate::support::TestApp;
use crate::support::twilio::TOKEN;

async fn texted() -> (TestApp, String, String) {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms, Channel::Email])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    let request = app.twilio.taken().remove(0);
    let callback = request.field("StatusCallback").to_owned();
    (app, callback, request.sid)
}

#[tokio::test]
async fn receipts_move_forward_only_however_often_and_in_whatever_order_they_come() {
    let (app, callback, sid) = texted().await;
    let say = async |status: &str| {
        post_receipt(&app, &callback, &[("MessageSid", &sid), ("MessageStatus", status)], TOKEN)
            .await
    };
    for status in ["delivered", "sent", "delivered", "failed", "queued", "delivered", "undelivered"]
    {
        assert_eq!(say(status).await, 204, "{status}");
        app.drain().await;
        assert_eq!(app.of("taken-in-charge").await.status, "delivered", "after {status}");
    }
    assert_eq!(app.smtp.taken().len(), 0, "nothing was sent again");
    app.end().await;
}

#[tokio::test]
async fn an_undelivered_text_goes_by_the_next_allowed_channel_once() {
    let (app, callback, sid) = texted().await;
    let fields =
        [("MessageSid", sid.as_str()), ("MessageStatus", "undelivered"), ("ErrorCode", "30005")];
    for _ in 0..5 {
        post_receipt(&app, &callback, &fields, TOKEN).await;
        app.drain().await;
    }
    assert_eq!(app.smtp.taken().len(), 1);
    let n = app.of("taken-in-charge").await;
    assert_eq!((n.status.as_str(), n.channel.as_deref()), ("sent", Some("email")));
    assert!(
        app.customer_now().await.contact_points[1].suppressed.is_some(),
        "30005: no such number"
    );
    app.end().await;
}

#[tokio::test]
async fn a_forged_receipt_changes_nothing() {
    let (app, callback, sid) = texted().await;
    let fields = [("MessageSid", sid.as_str()), ("MessageStatus", "undelivered")];
    assert_eq!(post_receipt(&app, &callback, &fields, "guess").await, 401);
    // Signed, but for an attempt of somebody else's making.
    let forged = callback.replace("?a=v1.", "?a=v1.x");
    assert_eq!(post_receipt(&app, &forged, &fields, TOKEN).await, 404);
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    app.end().await;
}

/// Posts the same form to a real server many times at once; counts the answers by status.
async fn posted(
    url: &str,
    forms: Vec<(String, String, String)>,
) -> std::collections::BTreeMap<u16, usize> {
    use futures::StreamExt;
    let client = reqwest::Client::new();
    futures::stream::iter(forms)
        .map(|(path, body, signature)| {
            let request = client
                .post(format!("{url}{path}"))
                .header("content-type", "application/x-www-form-urlencoded")
                .header("x-twilio-signature", signature)
                .body(body);
            async move { request.send().await.expect("answered").status().as_u16() }
        })
        .buffer_unordered(32)
        .fold(std::collections::BTreeMap::new(), async |mut counts, status| {
            *counts.entry(status).or_default() += 1;
            counts
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_forged_and_replayed_receipts_move_nothing() {
    let (app, callback, sid) = texted().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = app.router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let fields =
        |status: &'static str| [("MessageSid", sid.clone()), ("MessageStatus", status.into())];
    let form = |status: &'static str, callback: &str, forged: bool| {
        let fields = fields(status);
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let signature = if forged {
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()
        } else {
            crate::support::twilio::sign(callback, &pairs)
        };
        let mut body = reqwest::Url::parse("form:x").expect("a URL");
        body.query_pairs_mut().extend_pairs(&pairs);
        let path = callback.strip_prefix("https://tidings.example.com").expect("our address");
        (path.to_owned(), body.query().unwrap_or_default().to_owned(), signature)
    };
    assert_eq!(posted(&url, vec![form("delivered", &callback, false)]).await[&204], 1);
    app.drain().await;
    let before = app.detail("taken-in-charge").await;
    assert_eq!(before.notification.status, "delivered");
    let elsewhere = callback.replace("?a=v1.", "?a=v1.x");
    let mut forms = Vec::new();
    for n in 0..2_500 {
        let word = if n % 2 == 0 { "undelivered" } else { "delivered" };
        forms.push(form(word, &callback, true));
        forms.push(form("delivered", &callback, false));
        forms.push(form("sent", &callback, false));
        forms.push(form(word, &elsewhere, false));
    }
    let counts = posted(&url, forms).await;
    let expected = [(204, 5_000), (401, 2_500), (404, 2_500)];
    assert_eq!(counts, std::collections::BTreeMap::from(expected));
    app.advance_to("2026-11-23T11:00:00Z").await;
    let after = app.detail("taken-in-charge").await;
    assert_eq!(after.notification.status, "delivered");
    assert_eq!(format!("{:?}", after.attempts), format!("{:?}", before.attempts));
    assert_eq!(after.receipts.len(), before.receipts.len() + 1, "one word per status is kept");
    assert_eq!((app.twilio.taken().len(), app.smtp.taken().len()), (1, 0), "nothing was sent");
    server.abort();
    app.end().await;
}

#[tokio::test]
async fn why_a_text_did_not_arrive_is_said_in_words() {
    let (app, callback, sid) = texted().await;
    let fields =
        [("MessageSid", sid.as_str()), ("MessageStatus", "undelivered"), ("ErrorCode", "30007")];
    post_receipt(&app, &callback, &fields, TOKEN).await;
    app.drain().await;
    let explained = app.explained("taken-in-charge").await;
    assert!(explained.contains("code 30007: blocked by the network"), "{explained}");
    assert!(app.customer_now().await.contact_points[1].suppressed.is_none(), "the number is well");
    app.end().await;
}
