use super::event;
use crate::support::TestApp;
use crate::support::twilio::Answer;

/// One carrier's limit: the provider answers, and no breaker opens.
#[tokio::test]
async fn a_minute_sees_a_tenth_of_first_attempts_and_ten_retries_at_most_and_the_rest_say_why() {
    let more = "[retry.sms]\ndelays_s = [5, 5, 5, 5]\nspread_percent = 0\n\
                [limits]\nretries_percent = 10\nretries_floor = 3\n\
                [limits.sms]\nper_number_per_hour = 0\nurgent_per_number_per_hour = 0\n";
    let app = TestApp::with(more).await;
    app.ada().await;
    app.choose(|c| c.channel_order = Some(vec![tidings::domain::Channel::Sms])).await;
    app.twilio.will(vec![Answer::Refuse(400, 30022); 10]);
    for n in 0..40 {
        event(&app, n).await;
    }
    app.advance_to("2026-11-23T10:00:59Z").await;
    // 40 first attempts allow for 4 retries, and 3 are allowed in any case.
    let all = app.notifications().await;
    let firsts = all.iter().filter(|n| n.attempts > 0).count();
    let retries = all.iter().map(|n| n.attempts).sum::<i64>() - i64::try_from(firsts).expect("few");
    assert_eq!((firsts, retries), (40, 7), "no attempt is spent on those that wait");
    let waits = all
        .iter()
        .find(|n| n.attempts == 1 && n.status == "planned" && n.notice == "taken-in-charge");
    let id = tidings::domain::NotificationId::parse(&waits.expect("one waits").id).expect("an id");
    let told = tidings::app::explain::notification(&app.app, &id).await.expect("there").text;
    assert!(told.contains("Too many are tried again by text message right now"), "{told}");
    app.advance_to("2026-11-23T10:02:00Z").await;
    assert_eq!(app.twilio.taken().len(), 40, "all in the end, each once");
    app.end().await;
}
