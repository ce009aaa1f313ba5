use super::accounts::{ALL, Kind, start, texted};

#[tokio::test]
async fn each_provider_is_told_what_its_manual_asks_for() {
    for kind in ALL {
        let (app, _double, seen) = texted(kind).await;
        let detail = app.detail("taken-in-charge").await;
        let attempt = &detail.attempts[0];
        assert_eq!(attempt.provider, kind.name());
        assert_eq!(attempt.provider_ref.as_deref(), kind.reference(), "{kind:?}");
        assert!(kind.report_url(&seen).starts_with(&format!(
            "https://tidings.example.com/v1/receipts/{}?a=v1.",
            kind.name()
        )));
        let basic = |name: &str, word: &str| {
            format!("Basic {}", data_encoding::BASE64.encode(format!("{name}:{word}").as_bytes()))
        };
        match kind {
            Kind::Vonage => {
                assert_eq!(seen.path, "/v1/messages");
                assert_eq!(seen.header("authorization"), basic("acc1", "t0ken"));
                let body = seen.json();
                assert_eq!(body["to"], "447911123456", "digits, no plus");
                assert_eq!(body["from"], "442079460001");
                assert_eq!(
                    (&body["channel"], &body["message_type"]),
                    (&"sms".into(), &"text".into())
                );
                assert_eq!(body["sms"]["encoding_type"], "text");
                assert!(body["client_ref"].as_str().expect("a reference").len() <= 100);
            }
            Kind::Plivo => {
                assert_eq!(seen.path, "/v1/Account/acc1/Message/");
                assert_eq!(seen.header("authorization"), basic("acc1", "s3cret"));
                let body = seen.json();
                assert_eq!(
                    (&body["dst"], &body["method"]),
                    (&"447911123456".into(), &"POST".into())
                );
            }
            Kind::Sinch => {
                assert_eq!(seen.path, "/xms/v1/acc1/batches");
                assert_eq!(seen.header("authorization"), "Bearer t0ken");
                let body = seen.json();
                assert_eq!(body["to"][0], "+447911123456");
                assert_eq!(body["delivery_report"], "per_recipient");
                assert!(body["max_number_of_message_parts"].as_u64() >= Some(1));
            }
            Kind::Kannel => {
                assert_eq!(seen.path, "/cgi-bin/sendsms");
                assert_eq!(seen.header("x-kannel-username"), "acc1");
                assert_eq!(seen.header("x-kannel-to"), "+447911123456");
                assert_eq!(seen.header("x-kannel-dlr-mask"), "31");
                assert_eq!(seen.header("x-kannel-coding"), "0", "GSM-7 holds it");
                assert!(seen.header("content-type").ends_with("charset=UTF-8"));
            }
            Kind::Http => {
                assert_eq!(seen.path, "/send/acc1");
                assert_eq!(seen.header("authorization"), "Bearer t0ken");
                assert_eq!(seen.json()["to"], "+447911123456");
            }
        }
        app.end().await;
    }
}

#[tokio::test]
async fn a_refusal_goes_by_the_next_channel_and_a_server_error_is_a_doubt() {
    for kind in ALL {
        let (app, double) = start(kind).await;
        double.will(400, "{}");
        app.event("take_in_charge_ticket").await;
        app.drain().await;
        assert_eq!(app.smtp.taken().len(), 1, "{kind:?}: by mail");
        app.end().await;

        let (app, double) = start(kind).await;
        double.will(500, "");
        app.event("take_in_charge_ticket").await;
        app.drain().await;
        assert_eq!(app.of("taken-in-charge").await.status, "in_doubt", "{kind:?}");
        assert_eq!((app.smtp.taken().len(), double.seen().len()), (0, 1), "not twice");
        app.end().await;
    }
}

#[tokio::test]
async fn a_number_that_is_barred_at_the_provider_is_texted_no_more() {
    let (app, double) = start(Kind::Vonage).await;
    double.will(
        422,
        r#"{"type":"https://developer.vonage.com/api-errors/messages#1050","title":"Number barred"}"#,
    );
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert!(app.customer_now().await.contact_points[1].suppressed.is_some());
    app.end().await;
}

#[tokio::test]
async fn a_no_with_a_status_of_200_is_a_no() {
    let (app, double) = start(Kind::Http).await;
    double.will(200, r#"{"status":"invalid sender"}"#);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1, "by mail");
    let why = app.explained("taken-in-charge").await;
    assert!(why.contains("invalid sender"), "{why}");
    app.end().await;
}
