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
