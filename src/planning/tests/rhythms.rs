//! Words that follow the passing of time, and messages that wait for company.

use super::*;
use crate::domain::preference::Digest;
use crate::domain::{Held, Sign, Urgency};

const TICKET: &str = r#"
case_type = "return"
states = ["requested", "received", "closed"]
final = ["closed"]
promise = { update_every = "5 working days" }

[[notice]]
id = "received"
on = { state = "received" }
collapse = "progress"
escalate = { after = "6 hours", unless = "opened" }
channels = ["email", "sms"]

[[notice]]
id = "still-working"
on = { silence = "5 working days" }

[[notice]]
id = "weekly"
on = { cron = "0 9 * * MON", zone = "customer" }
when = "facts.weekly is defined"

[[notice]]
id = "how-was-it"
on = { state = "closed" }
topic = "survey"
once_per = "case"
again_after = "180 days"
"#;

fn story() -> Story {
    Story { rules: rules(TICKET), ..Story::new() }
}

fn follow(story: &Story, notice: &str, how: Ended, at_: &str) -> Vec<Notification> {
    let journey = story.rules.journeys.get("return").expect("the journey");
    let rule = journey.notice(notice).expect("the rule");
    let ended = *story.of(notice).last().expect("planned");
    let created = followers(ended, how, rule, journey, &story.customer, &story.rules, at(at_));
    created.into_iter().map(|created| created.notification).collect()
}

#[test]
fn an_open_case_has_one_planned_word_for_each_silence_and_calendar_rule() {
    let mut story = story();
    let plan = story.event(&event(1, "requested", "2026-11-20T10:00:00Z", json!({})));
    assert_eq!(plan.silent.as_ref().map(Reason::code).as_deref(), Some("no_notice"));
    story.event(&event(2, "received", "2026-11-23T10:00:00Z", json!({})));
    let silence = story.of("still-working");
    assert_eq!(silence.len(), 1, "telling does not touch it");
    assert_eq!(silence[0].due_at, at("2026-11-27T10:00:00Z"));
    assert_eq!(silence[0].event_seq, None);
    assert_eq!(story.of("weekly")[0].due_at, at("2026-11-23T09:00:00Z"));
    assert_eq!(story.of("weekly")[0].trigger_key, "2026-11-23T09:00");
    story.file.notifications.retain(|n| n.notice != "received");
    let plan = story.event(&event(3, "closed", "2026-11-24T10:00:00Z", json!({})));
    let cancelled = plan.settle.iter().filter(|s| s.status == Status::Cancelled).count();
    assert_eq!(cancelled, 2, "the watch ends with the case");
}

#[test]
fn a_silence_counts_from_the_last_word_and_a_promise_from_the_first_event() {
    let mut story = story();
    let plan = story.event(&event(1, "requested", "2026-11-20T10:00:00Z", json!({})));
    let Some(PromiseChange::Make(promise)) = plan.promise else { panic!("{:?}", plan.promise) };
    assert_eq!(promise.due_at, at("2026-11-28T00:00:00Z"));
    story.heard.last_word = Some(at("2026-11-25T15:00:00Z"));
    let decision = story.decide("still-working", "2026-11-27T10:00:00Z");
    let until = at("2026-12-02T15:00:00Z");
    assert_eq!(decision.outcome, Outcome::Snooze { until, held: None });
    assert_eq!(codes(&decision.reasons), ["case_fits", "spoken_since"]);
    let decision = story.decide("still-working", "2026-12-02T15:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { .. }));
    // Something is said again and again: it is worth as long after the last of it.
    story.heard.last_word = Some(at("2026-12-21T15:00:00Z"));
    let decision = story.decide("still-working", "2026-12-28T15:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { .. }), "{decision:?}");
    let decision = story.decide("still-working", "2027-01-20T15:00:00Z");
    assert!(
        matches!(&decision.outcome, Outcome::Settle { status: Status::Expired, .. }),
        "{decision:?}"
    );
    story.heard.last_word = Some(at("2026-11-25T15:00:00Z"));
    let plan = story.event(&event(2, "closed", "2026-12-03T10:00:00Z", json!({})));
    assert_eq!(plan.promise, Some(PromiseChange::End));
}

#[test]
fn a_silence_comes_again_when_said_and_at_most_twelve_times_in_a_row_when_not() {
    let mut story = story();
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", json!({})));
    let told = Ended::Told(Channel::Email);
    let [next] = &follow(&story, "still-working", told, "2026-11-27T10:00:00Z")[..] else {
        panic!("one follows");
    };
    assert_eq!(next.due_at, at("2026-12-04T10:00:00Z"));
    let mut planned = 0;
    loop {
        let next = follow(&story, "still-working", Ended::Unsaid, "2026-11-27T10:00:00Z");
        let Some(next) = next.into_iter().next() else { break };
        assert!(!story.of("still-working").iter().any(|known| known.id == next.id));
        story.file.notifications.push(next);
        planned += 1;
    }
    assert_eq!(planned, 11, "the first and eleven more");
}

#[test]
fn the_next_channel_is_for_who_does_not_react_to_a_case_that_stands_still() {
    let mut story = story();
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let told = Ended::Told(Channel::Email);
    let next = follow(&story, "received", told, "2026-11-20T10:00:05Z");
    let [next] = &next[..] else { panic!("{next:?}") };
    assert_eq!(next.due_at, at("2026-11-20T16:00:05Z"));
    story.file.notifications.push(next.clone());
    let now = "2026-11-20T16:00:05Z";
    let channel = |decision: Decision| match decision.outcome {
        Outcome::Send { channel, .. } => channel,
        other => panic!("{other:?}"),
    };
    assert_eq!(channel(story.decide("received", now)), Channel::Sms);
    story.heard.sign = Some(Sign::Delivered);
    assert_eq!(channel(story.decide("received", now)), Channel::Sms, "delivered is not opened");
    story.heard.sign = Some(Sign::Acknowledged);
    assert_eq!(codes(&story.decide("received", now).reasons), ["sign_of_life"]);
    story.heard.sign = None;
    let told = Ended::Told(Channel::Sms);
    assert_eq!(follow(&story, "received", told, now), [], "no channel is left");
    assert_eq!(follow(&story, "received", Ended::Unsaid, now), []);
    story.event(&event(2, "requested", "2026-11-20T15:00:00Z", json!({})));
    assert_eq!(codes(&story.decide("received", now).reasons), ["left_state"]);
}

#[test]
fn a_digest_waits_for_its_slot_and_urgent_mandatory_and_asking_messages_do_not() {
    let mut story = story();
    let daily: Digest = "daily 18:00".parse().expect("a rhythm");
    for topic in ["status", "safety"] {
        story.customer.preferences.digest.insert(topic.into(), daily);
    }
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let slot = at("2026-11-20T18:00:00Z");
    let planned = story.of("received")[0];
    assert_eq!((planned.next_at, planned.held), (slot, Some(Held::Digest)));
    let held = Outcome::Snooze { until: slot, held: Some(Held::Digest) };
    assert_eq!(story.decide("received", "2026-11-20T17:59:59Z").outcome, held);
    let goes = |story: &Story, now: &str| match story.decide("received", now).outcome {
        Outcome::Send { digest, .. } => digest,
        other => panic!("{other:?}"),
    };
    let named = Some("2026-11-20T18:00".to_owned());
    assert_eq!(goes(&story, "2026-11-20T18:00:00Z"), named);
    story.heard.slots = vec!["email 2026-11-20T18:00".into()];
    let next = Outcome::Snooze { until: at("2026-11-21T18:00:00Z"), held: Some(Held::Digest) };
    assert_eq!(story.decide("received", "2026-11-20T18:05:00Z").outcome, next, "one per slot");
    story.rules = rules(&TICKET.replacen("collapse", "urgency = \"urgent\"\ncollapse", 1));
    assert_eq!(goes(&story, "2026-11-20T10:00:00Z"), None);
    story.rules = rules(&TICKET.replacen("collapse", "topic = \"safety\"\ncollapse", 1));
    assert_eq!(goes(&story, "2026-11-20T10:00:00Z"), None);
    story.rules = rules(&TICKET.replacen("collapse", "answers = [\"yes\"]\ncollapse", 1));
    assert_eq!(goes(&story, "2026-11-20T10:00:00Z"), None);
}

#[test]
fn a_digest_member_does_not_expire_before_its_slot_and_goes_at_once_when_that_is_too_late() {
    let mut story = story();
    let weekly: Digest = "weekly MON 09:00".parse().expect("a rhythm");
    story.customer.preferences.digest.insert("status".into(), weekly);
    story.rules = rules(&TICKET.replacen("collapse", "expires_after = \"1 day\"\ncollapse", 1));
    story.event(&event(1, "received", "2026-11-24T10:00:00Z", json!({})));
    assert_eq!(story.of("received")[0].next_at, at("2026-11-30T09:00:00Z"));
    let decision = story.decide("received", "2026-11-30T09:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { .. }), "{decision:?}");
    let until = "until = \"2026-11-28T00:00:00Z\"\ncollapse";
    story.rules = rules(&TICKET.replacen("collapse", until, 1));
    let decision = story.decide("received", "2026-11-24T10:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { digest: None, .. }), "{decision:?}");
    assert!(codes(&decision.reasons).contains(&"digest_too_late".to_owned()));
}

#[test]
fn the_word_that_keeps_a_promise_does_not_wait_for_a_digest_beyond_it() {
    let mut story = story();
    let weekly: Digest = "weekly WED 09:00".parse().expect("a rhythm");
    story.customer.preferences.digest.insert("status".into(), weekly);
    // Promised for Friday the 27th, its end; the next slot is on Wednesday the 2nd.
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", json!({})));
    let decision = story.decide("still-working", "2026-11-27T10:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { digest: None, .. }), "{decision:?}");
    let friday: Digest = "weekly FRI 18:00".parse().expect("a rhythm");
    story.customer.preferences.digest.insert("status".into(), friday);
    let until = at("2026-11-27T18:00:00Z");
    let held = Outcome::Snooze { until, held: Some(Held::Digest) };
    assert_eq!(story.decide("still-working", "2026-11-27T10:00:00Z").outcome, held);
}

#[test]
fn what_is_over_the_cap_waits_for_the_next_message_and_never_expires_by_waiting() {
    let mut story = story();
    story.customer.preferences.cap_per_day = Some(2);
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let now = "2026-11-20T10:00:00Z";
    story.heard.today = 1;
    assert!(matches!(story.decide("received", now).outcome, Outcome::Send { .. }));
    story.heard.today = 2;
    let held = Outcome::Snooze { until: at("2026-11-21T08:00:00Z"), held: Some(Held::Cap) };
    assert_eq!(story.decide("received", now).outcome, held);
    story.heard.rides = true;
    assert!(matches!(story.decide("received", now).outcome, Outcome::Send { .. }));
    story.heard.rides = false;
    story.file.notifications[0].held = Some(Held::Cap);
    let late = story.decide("received", "2026-12-20T10:00:00Z");
    assert_eq!(
        late.outcome,
        Outcome::Snooze { until: at("2026-12-21T08:00:00Z"), held: Some(Held::Cap) }
    );
    story.file.notifications[0].urgency = Urgency::Urgent;
    story.rules = rules(&TICKET.replacen("collapse", "urgency = \"urgent\"\ncollapse", 1));
    assert!(matches!(story.decide("received", now).outcome, Outcome::Send { .. }));
}

#[test]
fn a_case_that_comes_back_forgets_the_choice_and_asks_again_only_after_its_time() {
    let mut story = story();
    story.choice = CaseChoice { channel: Some(Channel::Sms), muted: false };
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let plan = story.event(&event(2, "closed", "2026-11-21T10:00:00Z", json!({})));
    assert!(!plan.choice_ends, "the last word still goes the chosen way");
    story.get(story.of("how-was-it")[0].id).status = Status::Sent;
    let plan = story.event(&event(3, "received", "2026-11-25T10:00:00Z", json!({})));
    assert!(plan.choice_ends);
    story.event(&event(4, "closed", "2026-11-26T10:00:00Z", json!({})));
    assert_eq!(story.of("how-was-it").len(), 1, "asked five days ago");
    story.event(&event(5, "received", "2027-05-27T10:00:00Z", json!({})));
    story.event(&event(6, "closed", "2027-05-28T10:00:00Z", json!({})));
    assert_eq!(story.of("how-was-it").len(), 2, "half a year later");
}

#[test]
fn the_hour_the_customer_chose_for_all_news_takes_the_place_of_the_rules_window() {
    let mut story = story();
    let early: Digest = "daily 07:00".parse().expect("a rhythm");
    story.customer.preferences.digest.insert("status".into(), early);
    let window = "window = \"09:00-18:00 working days\"\ncollapse";
    story.rules = rules(&TICKET.replacen("collapse", window, 1));
    // Due on a Friday; the slot is on Saturday at seven. It waited for a free hour, then for the
    // next slot, and so on, where other news came every day.
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let decision = story.decide("received", "2026-11-21T07:00:00Z");
    let Outcome::Send { digest, .. } = decision.outcome else { panic!("{decision:?}") };
    assert_eq!(digest.as_deref(), Some("2026-11-21T07:00"));
    story.customer.preferences.digest.clear();
    let decision = story.decide("received", "2026-11-21T07:00:00Z");
    assert_eq!(codes(&decision.reasons).last().map(String::as_str), Some("outside_window"));
}

#[test]
fn what_the_law_kept_out_of_the_digest_of_its_slot_goes_alone_and_waits_for_no_other() {
    let mut story = story();
    let early: Digest = "daily 07:00".parse().expect("a rhythm");
    story.customer.preferences.digest.insert("status".into(), early);
    let table = "[default]\nemail = [\"08:00-21:00\"]\nsms = [\"08:00-21:00\"]\n";
    story.rules.legal_hours = toml::from_str(table).expect("hours");
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let until = at("2026-11-21T08:00:00Z");
    let decision = story.decide("received", "2026-11-21T07:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Snooze { until: then, .. } if then == until));
    // Nobody else was in the digest: it carries it. Somebody was: it goes by itself.
    for (slots, wanted) in
        [(vec![], Some("2026-11-21T07:00")), (vec!["email 2026-11-21T07:00".to_owned()], None)]
    {
        story.heard.slots = slots;
        let decision = story.decide("received", "2026-11-21T08:00:00Z");
        let Outcome::Send { digest, .. } = decision.outcome else { panic!("{decision:?}") };
        assert_eq!(digest.as_deref(), wanted);
    }
}
