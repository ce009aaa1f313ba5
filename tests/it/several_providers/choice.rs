use tidings::channel::Way;
use tidings::channel::health::Call;
use tidings::domain::Channel;

use super::{event, history, two};
use crate::in_doubt::post_receipt;
use crate::support::twilio::{Answer, TOKEN};

#[tokio::test]
async fn messages_are_shared_by_weight_and_each_attempt_names_its_provider() {
    let (app, second) = two((70, 30), "").await;
    for n in 0..60 {
        event(&app, n).await;
    }
    app.drain().await;
    let (mine, others) = (app.twilio.taken().len(), second.taken().len());
    assert_eq!(mine + others, 60);
    assert!((30..=54).contains(&mine), "{mine} of 60 at a weight of 70 %");
    let mut named = [0, 0];
    for n in 0..60 {
        match history(&app, &format!("T-{n}")).await.as_slice() {
            [(name, state)] if state == "sent" => named[usize::from(name == "second")] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(named, [mine, others]);
    app.end().await;
}

#[tokio::test]
async fn what_one_refuses_for_now_goes_to_the_other_first() {
    let (app, second) = two((100, 0), "").await;
    app.twilio.will([Answer::Refuse(429, 20429)]);
    event(&app, 1).await;
    app.advance_to("2026-11-23T10:00:10Z").await;
    let told = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(history(&app, "T-1").await, [told("main", "deferred"), told("second", "sent")]);
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (0, 1));
    app.end().await;
}

#[tokio::test]
async fn what_one_has_not_answered_goes_to_no_other() {
    let twice = "[topics.status]\nin_doubt = \"at_least_once\"\n";
    for (more, sent) in [("", 1), (twice, 2)] {
        let (app, second) = two((100, 0), more).await;
        app.twilio.hide_lists();
        app.twilio.will([Answer::TakeAndVanish]);
        event(&app, 1).await;
        app.advance_to("2026-11-23T10:40:00Z").await;
        assert_eq!(second.taken().len(), 0, "another provider would be a second copy");
        assert_eq!(app.twilio.taken().len(), sent, "{more}");
        app.end().await;
    }
}

#[tokio::test]
async fn what_is_sent_twice_on_purpose_waits_for_the_provider_that_may_know_it() {
    let (app, second) = two((100, 0), "[topics.status]\nin_doubt = \"at_least_once\"\n").await;
    app.twilio.hide_lists();
    app.twilio.will([Answer::TakeAndVanish]);
    event(&app, 1).await;
    app.advance_to("2026-11-23T10:14:59Z").await;
    let main = Way::first(Channel::Sms);
    for _ in 0..20 {
        app.app.engine.health.record(main, Call::Fault, app.now());
    }
    app.advance_to("2026-11-23T10:15:05Z").await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (1, 0), "it waits");
    app.advance_to("2026-11-23T10:20:00Z").await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (2, 0));
    app.end().await;
}

#[tokio::test]
async fn while_one_fails_the_other_takes_everything_and_nothing_waits() {
    let (app, second) = two((100, 0), "").await;
    for _ in 0..20 {
        app.app.engine.health.record(Way::first(Channel::Sms), Call::Fault, app.now());
    }
    for n in 0..10 {
        event(&app, n).await;
    }
    app.drain().await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (0, 10));
    app.end().await;
}

#[tokio::test]
async fn a_receipt_finds_the_attempt_of_a_provider_with_a_name_of_its_own() {
    let (app, second) = two((0, 100), "").await;
    event(&app, 1).await;
    app.drain().await;
    let request = second.taken().remove(0);
    let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", "delivered")];
    assert_eq!(post_receipt(&app, request.field("StatusCallback"), &fields, TOKEN).await, 204);
    app.drain().await;
    let told = ("second".to_owned(), "delivered".to_owned());
    assert_eq!(history(&app, "T-1").await, [told]);
    app.end().await;
}
