//! A call says who calls, then what, and does what is pressed; the same by every provider.

use serde_json::{Value, json};
use tidings::domain::Channel;

use crate::support::telephone::{BOTH, By, Next, Telephone, Turn};
use crate::support::{TestApp, ada, forged};

/// The settings by which calls go out.
fn settings(by: By) -> &'static str {
    match by {
        By::Twilio => "[contact_centre]\nphone = \"+442079460099\"",
        By::Vonage => "{vonage}\n[contact_centre]\nphone = \"+442079460099\"",
    }
}

/// Ada with this name, whom we call because her trousers are out of stock.
async fn called_as(by: By, name: &str, locale: &str, now: &str) -> TestApp {
    let app = TestApp::at_with(now, settings(by)).await;
    let mut customer = ada();
    customer["name"] = name.into();
    customer["locale"] = locale.into();
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice, Channel::Sms])).await;
    app.event_of(out_of_stock("Blue trousers")).await;
    app.drain().await;
    app
}

async fn called(by: By) -> TestApp {
    called_as(by, "Ada Byron", "en-GB", "2026-11-23T10:00:00Z").await
}

fn out_of_stock(item: &str) -> Value {
    let facts = json!({"item": item, "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock", "facts": facts})
}

async fn status(app: &TestApp) -> (String, Option<String>) {
    app.drain().await;
    let n = app.of("out-of-stock").await;
    (n.status, n.channel)
}

/// What was sent in writing.
fn texts(app: &TestApp) -> Vec<String> {
    let taken = app.twilio.taken().into_iter().filter(|request| request.resource == "Messages");
    taken.map(|request| request.field("Body").to_owned()).collect()
}

fn of_the_case(turn: &Turn) -> bool {
    ["trousers", "stock", "49", "replacement", "money"].iter().any(|word| turn.said.contains(word))
}

#[tokio::test]
async fn who_calls_is_said_first_and_nothing_of_the_case_before_2_is_pressed() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        assert!(first.said.starts_with("Hello, this is Example Shop with a message"), "{first:?}");
        assert!(first.said.contains("Your reference is R, 1, 0, 0, 1."), "{first:?}");
        assert!(first.said.contains("This call is for Ada Byron."), "{first:?}");
        for offered in ["To hear the message, press 2.", "press 1.", "calls from us, press 9."] {
            assert!(first.said.contains(offered), "{offered}: {first:?}");
        }
        assert!(!of_the_case(&first), "{first:?}");
        let again = phone.press(&first, '4').await;
        assert!(again.said.starts_with("We did not understand that."), "{again:?}");
        assert!(!of_the_case(&again), "an answer to what was not asked yet: {again:?}");
        let told = phone.press(&first, '2').await;
        assert!(told.said.contains("Blue trousers"), "{told:?}");
        assert!(told.said.contains("My money back: press 5."), "{told:?}");
        assert_eq!(first.voices[0], ("en-GB".to_owned(), None));
        phone.reports("completed", Some("human")).await;
        assert_eq!(status(&app).await, ("delivered".into(), Some("voice".into())));
        app.end().await;
    }
}

#[tokio::test]
async fn the_message_is_repeated_twice_and_no_more() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let mut turn = phone.press(&first, '2').await;
        for _ in 0..2 {
            assert!(turn.said.contains("To hear it again, press 2."), "{turn:?}");
            turn = phone.press(&turn, '2').await;
            assert!(turn.said.contains("Blue trousers"), "{turn:?}");
        }
        assert!(!turn.said.contains("press 2."), "{turn:?}");
        assert!(!phone.press(&turn, '2').await.said.contains("Blue trousers"));
        app.end().await;
    }
}

#[tokio::test]
async fn silence_hears_it_once_more_then_the_number_to_call_and_counts_as_not_told() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let again = phone.keep_silent(&first).await;
        assert_eq!(again.said, first.said);
        let over = phone.keep_silent(&again).await;
        assert!(over.said.contains("Call us on plus 4, 4, 2, 0, 7, 9, 4, 6"), "{over:?}");
        assert!(over.said.contains("goodbye"), "{over:?}");
        assert_eq!(over.then, Next::End);
        phone.reports("completed", Some("human")).await;
        assert_eq!(status(&app).await, ("sent".into(), Some("sms".into())), "the next channel");
        assert!(app.explained("out-of-stock").await.contains("they hung up before the message"));
        app.end().await;
    }
}

#[tokio::test]
async fn who_hangs_up_mid_way_is_told_by_the_next_channel_and_who_heard_it_is_not() {
    for by in BOTH {
        for (heard, told_by) in [(false, "sms"), (true, "voice")] {
            let app = called(by).await;
            let phone = Telephone::rings(&app, by);
            let first = phone.picked_up("human").await;
            if heard {
                phone.press(&first, '2').await;
            }
            phone.reports("completed", Some("human")).await;
            assert_eq!(status(&app).await.1.as_deref(), Some(told_by), "{by:?}");
            app.end().await;
        }
    }
}

#[tokio::test]
async fn a_machine_hears_who_called_and_how_to_stop_and_the_record_says_so() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let left = phone.picked_up("machine").await;
        assert_eq!(left.then, Next::End);
        assert!(left.said.starts_with("Hello, this is Example Shop."), "{left:?}");
        assert!(left.said.contains("Call us on plus 4, 4, 2, 0"), "{left:?}");
        assert!(left.said.contains("no more calls from us, call the same number"), "{left:?}");
        for private in ["Ada", "Byron", "R, 1", "reference", "press"] {
            assert!(!left.said.contains(private), "{private}: {left:?}");
        }
        assert!(!of_the_case(&left));
        phone.reports("completed", Some("machine_end_beep")).await;
        assert_eq!(status(&app).await, ("sent".into(), Some("sms".into())), "they were not told");
        let detail = app.detail("out-of-stock").await;
        assert_eq!(detail.attempts[0].detail.as_deref(), Some("voicemail_left"));
        assert!(detail.receipts.iter().any(|receipt| receipt.detail == "voicemail_left"));
        let explained = app.explained("out-of-stock").await;
        assert!(explained.contains("A machine answered and was told who called"), "{explained}");
        app.end().await;
    }
}

#[tokio::test]
async fn a_fax_machine_is_told_nothing() {
    let app = called(By::Twilio).await;
    let phone = Telephone::rings(&app, By::Twilio);
    let turn = phone.picked_up("fax").await;
    assert_eq!((turn.said.as_str(), turn.then), ("", Next::End));
    phone.reports("completed", Some("fax")).await;
    assert_eq!(status(&app).await.1.as_deref(), Some("sms"));
    assert!(app.explained("out-of-stock").await.contains("answered by a fax machine"));
    app.end().await;
}

#[tokio::test]
async fn key_1_connects_with_somebody_who_hears_first_what_it_is_about() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let connecting = phone.press(&first, '1').await;
        assert!(connecting.said.contains("We connect you now."), "{connecting:?}");
        let Next::Connect { to, .. } = &connecting.then else { panic!("{connecting:?}") };
        assert_eq!(to, "+442079460099");
        let summary = phone.desk_hears(&connecting).await;
        assert!(summary.said.contains("Call with Ada Byron about case R, 1, 0, 0, 1."));
        let ended = phone.desk_call_ended(&connecting, "completed").await;
        assert_eq!((ended.said.as_str(), ended.then), ("", Next::End));
        phone.reports("completed", Some("human")).await;
        assert_eq!(status(&app).await.0, "delivered");
        app.end().await;
    }
}

#[tokio::test]
async fn who_finds_nobody_is_offered_a_call_back_and_gets_it() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let connecting = phone.press(&first, '1').await;
        let offered = phone.desk_call_ended(&connecting, "no-answer").await;
        assert!(offered.said.starts_with("Nobody is free to talk to you now."), "{offered:?}");
        assert!(offered.said.contains("23 November 2026 at 10:15"), "{offered:?}");
        let booked = phone.press(&offered, '1').await;
        assert!(booked.said.contains("We call you back 23 November 2026 at 10:15."), "{booked:?}");
        assert_eq!(booked.then, Next::End);
        phone.press(&offered, '1').await;
        assert_eq!(
            app.tasks().await,
            [
                "Call the customer C-1 between Mon 23 Nov 10:15 GMT and Mon 23 Nov 10:30 GMT: they asked for it during our call about case R-1001."
            ],
            "one, however often the provider asks"
        );
        app.end().await;
    }
}

#[tokio::test]
async fn outside_the_hours_key_1_offers_a_call_back_instead() {
    for by in BOTH {
        // A Monday after hours, on whose evening calls are still allowed.
        let app = called_as(by, "Ada Byron", "de", "2026-11-23T17:30:00Z").await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let offered = phone.press(&first, '1').await;
        assert!(offered.said.starts_with("Um diese Zeit ist niemand hier"), "{offered:?}");
        assert!(offered.said.contains("24. November 2026 um 09:00"), "{offered:?}");
        let silent = phone.keep_silent(&offered).await;
        let over = phone.keep_silent(&silent).await;
        assert_eq!(over.then, Next::End);
        assert!(app.tasks().await.is_empty(), "silence asks for nothing");
        assert_eq!(first.voices[0].0, "de-DE");
        app.end().await;
    }
}

#[tokio::test]
async fn key_3_sends_it_in_writing_once() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let told = phone.press(&first, '2').await;
        assert!(told.said.contains("To get it as a text message, press 3."), "{told:?}");
        for _ in 0..3 {
            let sent = phone.press(&told, '3').await;
            assert!(sent.said.starts_with("We send it to you as a text message."), "{sent:?}");
            assert_eq!(sent.then, Next::End);
        }
        app.drain().await;
        let texts = texts(&app);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("Blue trousers"), "{texts:?}");
        app.end().await;
    }
}

#[tokio::test]
async fn key_3_keeps_to_what_the_customer_allows() {
    for by in BOTH {
        let app = called(by).await;
        app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice])).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let told = phone.press(&first, '2').await;
        assert!(!told.said.contains("press 3."), "{told:?}");
        phone.press(&told, '3').await;
        app.drain().await;
        assert!(texts(&app).is_empty() && app.smtp.taken().is_empty());
        app.end().await;
    }
}

#[tokio::test]
async fn key_9_is_kept_first_then_confirmed_and_nothing_follows() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let stopped = phone.press(&first, '9').await;
        assert_eq!(stopped.then, Next::End);
        assert!(stopped.said.starts_with("We no longer call this number."), "{stopped:?}");
        assert!(!stopped.said.contains("press"), "no menu: {stopped:?}");
        assert!(app.customer_now().await.contact_points[2].suppressed.is_some());
        app.end().await;
    }
}

#[tokio::test]
async fn a_key_answers_the_question_and_the_answer_is_an_event_of_the_case() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        let told = phone.press(&first, '2').await;
        let noted = phone.press(&told, '5').await;
        assert!(noted.said.contains("We noted your answer: My money back"), "{noted:?}");
        app.drain().await;
        let cases = app.store().cases([&"R-1001".into()]).await.expect("the store");
        assert_eq!(cases[&"R-1001".into()].case.facts["answer"], json!("refund"));
        app.end().await;
    }
}

#[tokio::test]
async fn nobody_there_is_called_again_after_half_an_hour_twice() {
    for by in BOTH {
        let app = called(by).await;
        let calls = || match by {
            By::Twilio => {
                app.twilio.taken().iter().filter(|request| request.resource == "Calls").count()
            }
            By::Vonage => app.vonage.taken().len(),
        };
        for (n, how, until) in
            [(1, "no-answer", "2026-11-23T10:40:00Z"), (2, "busy", "2026-11-23T11:20:00Z")]
        {
            Telephone::rings(&app, by).reports(how, None).await;
            assert_eq!(status(&app).await.0, "planned", "{how}");
            assert_eq!(calls(), n);
            app.advance_to(until).await;
            assert_eq!(calls(), n + 1, "{by:?}: again after 30 to 36 minutes");
        }
        Telephone::rings(&app, by).reports("no-answer", None).await;
        assert_eq!(status(&app).await, ("sent".into(), Some("sms".into())), "three calls, no more");
        assert_eq!(calls(), 3);
        app.end().await;
    }
}

#[tokio::test]
async fn reports_in_disorder_and_doubled_change_nothing_they_should_not() {
    for by in BOTH {
        let app = called(by).await;
        let phone = Telephone::rings(&app, by);
        let first = phone.picked_up("human").await;
        phone.press(&first, '2').await;
        for report in ["completed", "initiated", "completed", "busy", "no-answer", "completed"] {
            phone.reports(report, Some("human")).await;
            assert_eq!(status(&app).await.0, "delivered", "after {report}");
        }
        assert!(texts(&app).is_empty());
        app.end().await;
    }
}

#[tokio::test]
async fn what_a_customer_is_called_is_only_ever_spoken() {
    for by in BOTH {
        let name = "</Say><Dial>+900</Dial><Say>\"},{\"action\":\"connect";
        let app = called_as(by, name, "en-GB", "2026-11-23T10:00:00Z").await;
        let phone = Telephone::rings(&app, by);
        // The telephone reads strictly: a verb of somebody else's would be dialled, or fail.
        let first = phone.picked_up("human").await;
        assert!(matches!(first.then, Next::Listen { .. }), "{first:?}");
        assert!(first.said.contains("Dial") && first.said.contains("900"), "{first:?}");
        assert!(matches!(phone.press(&first, '2').await.then, Next::Listen { .. }));
        app.end().await;
    }
}

#[tokio::test]
async fn forged_requests_hear_nothing_and_do_nothing() {
    let app = called(By::Twilio).await;
    let phone = Telephone::rings(&app, By::Twilio);
    let first = phone.picked_up("human").await;
    let Next::Listen { url } = &first.then else { panic!("{first:?}") };
    let path = url.strip_prefix("https://tidings.example.com").expect("ours");
    let unsigned = app.post_form(path, &[("Digits", "9")], None).await;
    assert_eq!(unsigned.0, 401);
    let forged = forged(url);
    assert_eq!(phone.posts(&forged, &[("Digits", "9")], &json!({})).await.0, 404, "not our token");
    assert!(app.customer_now().await.contact_points[2].suppressed.is_none());
    // The address of a call ends.
    app.advance_to("2026-11-24T10:00:01Z").await;
    assert_eq!(phone.posts(url, &[("Digits", "2")], &json!({})).await.0, 404);
    app.end().await;
}

#[tokio::test]
async fn vonage_is_believed_only_with_its_signature() {
    use crate::support::vonage::signed;
    let app = called(By::Vonage).await;
    let call = app.vonage.taken().remove(0);
    let url = call.body["event_url"][0].as_str().expect("an address");
    let path = url.strip_prefix("https://tidings.example.com").expect("ours").to_owned();
    let body = json!({"uuid": call.uuid, "status": "busy"}).to_string();
    let post = async |token: Option<String>| {
        let mut request = axum::http::Request::post(path.as_str());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        app.http(request.body(body.clone().into()).expect("a request")).await.0
    };
    assert_eq!(post(None).await, 401);
    assert_eq!(post(Some(signed(&app, "another secret", &body))).await, 401);
    let other_body = signed(&app, crate::support::vonage::SIGNATURE_SECRET, "{}");
    assert_eq!(post(Some(other_body)).await, 401);
    assert_eq!(status(&app).await.0, "sent");
    app.end().await;
}

#[tokio::test]
async fn a_call_vonage_did_not_answer_for_is_in_doubt_and_settled_by_its_event() {
    let app = TestApp::with(settings(By::Vonage)).await;
    let mut customer = ada();
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice])).await;
    app.vonage.will([0]);
    app.event_of(out_of_stock("Blue trousers")).await;
    assert_eq!(status(&app).await.0, "in_doubt");
    let phone = Telephone::rings(&app, By::Vonage);
    phone.reports("initiated", None).await;
    assert_eq!(status(&app).await.0, "sent");
    assert_eq!(app.vonage.taken().len(), 1, "called once");
    app.end().await;
}

#[tokio::test]
async fn an_erased_customer_hears_nothing_more() {
    let app = called(By::Twilio).await;
    let phone = Telephone::rings(&app, By::Twilio);
    let first = phone.picked_up("human").await;
    app.store().erase(&"C-1".into(), "test", app.now()).await.expect("erased");
    let Next::Listen { url } = &first.then else { panic!("{first:?}") };
    assert_eq!(phone.posts(url, &[("Digits", "2")], &json!({})).await.0, 404);
    app.end().await;
}

#[tokio::test]
async fn what_is_too_hard_to_hear_from_a_machine_is_a_task_where_only_calls_are_wanted() {
    // Of the shipped notices, the reminder to those who have been with us for long.
    let app = TestApp::with(settings(By::Twilio)).await;
    let mut customer = ada();
    customer["attributes"] = json!({"tier": "gold"});
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice])).await;
    let facts = json!({"item": "Blue trousers", "return_by": "2026-12-20", "amount": "49.90",
        "currency": "EUR", "label_url": "https://example.com/label"});
    app.event_of(json!({"case": "R-1001", "case_type": "return", "state": "label_sent",
        "facts": facts}))
        .await;
    app.advance_to("2026-12-03T12:00:00Z").await;
    let reminder = app.of("post-it-gold").await;
    assert_eq!(reminder.attempts, 0, "no automated call: {reminder:?}");
    let explained = app.explained("post-it-gold").await;
    assert!(explained.contains("never an automated call"), "{explained}");
    assert!(app.tasks().await[0].contains("no machine may say this"), "{explained}");
    app.end().await;
}

#[test]
fn the_example_settings_are_what_the_program_reads() {
    use crate::support::binary::Installation;
    let here = Installation::new("");
    here.file("twilio", "12345");
    here.file("vonage.pem", crate::support::vonage::PRIVATE_KEY);
    here.file("vonage-signature", "secret");
    here.file("asterisk", "password");
    for name in ["twilio-voice", "vonage-voice", "asterisk"] {
        let path = format!("{}/config/examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect(&path);
        let text = text.replace("/run/credentials/tidings/", "");
        here.file("tidings.toml", &text);
        let output = here.run(&["check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{name}: {said}");
        let unnamed = text.replace("_file = ", "_path = ");
        here.file("tidings.toml", &unnamed);
        let output = here.run(&["check"]);
        assert_eq!(output.status.code(), Some(2), "{name}: an unknown key is refused");
    }
}
