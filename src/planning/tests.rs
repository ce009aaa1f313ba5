use serde_json::json;

use super::eligibility::{Matter, decide};
use super::testing::{at, customer, event, rules};
use super::*;
use crate::domain::{Channel, Decision, Rest, Withdrawn};

mod again;
mod learned;
mod rhythms;

const RETURN: &str = r#"
case_type = "return"
states = ["requested", "label_sent", "received", "inspected", "on_hold", "closed"]
final = ["closed"]
order = ["requested < received < inspected"]

[[notice]]
id = "received"
on = { state = "received" }
collapse = "progress"

[[notice]]
id = "inspected"
on = { state = "inspected" }
collapse = "progress"

[[notice]]
id = "on-hold"
on = { state = "on_hold" }
collapse = "progress"

[[notice]]
id = "send-it-back"
on = { state = "label_sent", after = "3 days" }
repeat = { every = "4 days", at_most = 3 }
topic = "reminder"

[[notice]]
id = "window-closing"
on = { fact = "return_by", before = "2 days" }
while = ["requested", "label_sent"]
when = "facts.amount|float > 20"
urgency = "urgent"
channels = ["sms", "email"]

[[notice]]
id = "how-did-we-do"
on = { state = "closed", after = "1 day" }
topic = "survey"
once_per = "case"
"#;

/// A case whose events are planned one after the other, as the store would.
struct Story {
    file: CaseFile,
    rules: Rules,
    customer: Customer,
    rests: ChannelMap<Option<Rest>>,
    withdrawn: ChannelMap<Option<Withdrawn>>,
    heard: Heard,
    choice: CaseChoice,
    seq: i64,
}

impl Story {
    fn new() -> Self {
        Self {
            file: CaseFile::default(),
            rules: rules(RETURN),
            customer: customer("C-1"),
            rests: ChannelMap::default(),
            withdrawn: ChannelMap::default(),
            heard: Heard::default(),
            choice: CaseChoice::default(),
            seq: 0,
        }
    }

    fn event(&mut self, event: &CaseEvent) -> Plan {
        self.event_at(event, event.occurred_at)
    }

    fn event_at(&mut self, event: &CaseEvent, now: Instant) -> Plan {
        self.seq += 1;
        let (customer, choice) = (&self.customer, self.choice);
        let plan = super::plan(event, self.seq, &self.file, customer, choice, &self.rules, now);
        self.file.case = Some(plan.case.clone());
        for settled in &plan.settle {
            self.get(settled.id).status = settled.status;
        }
        for moved in &plan.moved {
            let notification = self.get(moved.id);
            (notification.due_at, notification.next_at) = (moved.due_at, moved.next_at);
        }
        let created = plan.create.iter().map(|created| created.notification.clone());
        self.file.notifications.extend(created);
        plan
    }

    fn get(&mut self, id: NotificationId) -> &mut Notification {
        self.file.notifications.iter_mut().find(|n| n.id == id).expect("planned before")
    }

    fn of(&self, notice: &str) -> Vec<&Notification> {
        self.file.notifications.iter().filter(|n| n.notice == notice).collect()
    }

    fn decide(&self, notice: &str, now: &str) -> Decision {
        let notification = *self.of(notice).last().expect("planned");
        let journey = self.rules.journeys.get("return").expect("the journey");
        let matter = Matter {
            notification,
            journey,
            notice: journey.notice(notice),
            case: self.file.case.as_ref().expect("a case"),
            customer: &self.customer,
            choice: self.choice,
            rests: self.rests,
            withdrawn: self.withdrawn,
            heard: &self.heard,
        };
        decide(&matter, &self.rules, at(now))
    }
}

fn codes(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().map(Reason::code).collect()
}

#[test]
fn entering_a_state_says_its_notice_at_once_and_only_on_entering() {
    let mut story = Story::new();
    let plan = story.event(&event(1, "received", "2026-11-23T10:00:00Z", json!({})));
    assert_eq!(plan.create.len(), 1);
    assert_eq!(plan.create[0].notification.next_at, at("2026-11-23T10:00:00Z"));
    assert_eq!(
        codes(&plan.create[0].reasons),
        ["state_entered", "case_fits", "candidate", "candidate", "candidate", "hour_fits"]
    );
    let again = story.event(&event(2, "received", "2026-11-23T11:00:00Z", json!({"shelf": 7})));
    assert_eq!(again.create, []);
    assert_eq!(again.silent, Some(Reason::SameState { state: "received".into() }));
    assert_eq!(again.case.facts["shelf"], 7);
}

#[test]
fn a_plan_made_twice_is_the_same_plan() {
    let first = Story::new().event(&event(1, "received", "2026-11-23T10:00:00Z", json!({})));
    let second = Story::new().event(&event(1, "received", "2026-11-23T10:00:00Z", json!({})));
    assert_eq!(first, second);
}

#[test]
fn a_state_entered_at_night_is_told_by_text_when_the_quiet_hours_end() {
    let mut story = Story::new();
    story.customer.preferences.channel_order = Some(vec![Channel::Sms]);
    let plan = story.event(&event(1, "received", "2026-11-22T23:40:00Z", json!({})));
    let created = &plan.create[0];
    assert_eq!(created.notification.next_at, at("2026-11-23T09:00:00Z"));
    assert_eq!(codes(&created.reasons).last().map(String::as_str), Some("quiet_hours"));
}

#[test]
fn a_newer_state_takes_the_place_of_what_was_not_said_yet_and_lists_it() {
    let mut story = Story::new();
    story.customer.preferences.quiet_hours =
        crate::domain::QuietHours::from_json(&json!("21:00-08:00")).ok();
    story.event(&event(1, "received", "2026-11-22T22:00:00Z", json!({})));
    let plan = story.event(&event(2, "inspected", "2026-11-23T01:00:00Z", json!({})));
    assert_eq!(plan.settle[0].status, Status::Superseded);
    let skipped = &plan.create[0].notification.skipped;
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].notice, "received");
    assert_eq!(skipped[0].at, at("2026-11-22T22:00:00Z"));
    assert_eq!(story.of("received")[0].status, Status::Superseded);
}

#[test]
fn states_that_no_chain_compares_are_said_together() {
    let mut story = Story::new();
    story.customer.preferences.quiet_hours =
        crate::domain::QuietHours::from_json(&json!("21:00-08:00")).ok();
    story.event(&event(1, "received", "2026-11-22T22:00:00Z", json!({})));
    let plan = story.event(&event(2, "on_hold", "2026-11-23T01:00:00Z", json!({})));
    assert_eq!(plan.settle, []);
    assert_eq!(story.of("received")[0].status, Status::Planned);
}

#[test]
fn a_reminder_is_due_days_after_its_state_and_cancels_itself_when_the_case_moves() {
    let mut story = Story::new();
    story.event(&event(1, "label_sent", "2026-11-20T10:00:00Z", json!({})));
    assert_eq!(story.of("send-it-back")[0].due_at, at("2026-11-23T10:00:00Z"));
    assert!(matches!(
        story.decide("send-it-back", "2026-11-23T10:00:00Z").outcome,
        Outcome::Send { channel: Channel::Email, .. }
    ));
    // The same state again neither fires nor restarts the delay.
    story.event(&event(2, "label_sent", "2026-11-21T10:00:00Z", json!({"posted": true})));
    assert_eq!(story.of("send-it-back").len(), 1);
    story.event(&event(3, "received", "2026-11-22T10:00:00Z", json!({})));
    let decision = story.decide("send-it-back", "2026-11-23T10:00:00Z");
    assert_eq!(decision.outcome, Outcome::Settle { status: Status::Cancelled, task: None });
    assert_eq!(codes(&decision.reasons), ["left_state"]);
}

#[test]
fn a_notice_repeats_from_when_the_last_one_left_and_at_most_as_often_as_it_says() {
    let mut story = Story::new();
    story.event(&event(1, "label_sent", "2026-11-20T10:00:00Z", json!({})));
    let journey = story.rules.journeys.get("return").expect("the journey").clone();
    let notice = journey.notice("send-it-back").expect("the notice");
    let mut last = story.of("send-it-back")[0].clone();
    let mut due = Vec::new();
    let mut left_at = at("2026-11-23T10:05:00Z");
    let told = Ended::Told(Channel::Email);
    let next = |last: &Notification, left_at| {
        followers(last, told, notice, &journey, &story.customer, &story.rules, left_at).pop()
    };
    while let Some(next) = next(&last, left_at) {
        assert_ne!(next.notification.id, last.id);
        last = next.notification;
        due.push(last.due_at);
        left_at = last.due_at;
    }
    assert_eq!(due, [at("2026-11-27T10:05:00Z"), at("2026-12-01T10:05:00Z")]);
}

#[test]
fn a_fact_makes_moves_and_removes_its_reminder() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-12-01", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
    assert_eq!(story.of("window-closing")[0].due_at, at("2026-11-29T09:00:00Z"));
    let plan = story.event(&event(
        2,
        "requested",
        "2026-11-21T10:00:00Z",
        json!({"return_by": "2026-12-05"}),
    ));
    assert_eq!(plan.moved[0].due_at, at("2026-12-03T09:00:00Z"));
    assert_eq!(story.of("window-closing").len(), 1);
    let plan =
        story.event(&event(3, "requested", "2026-11-22T10:00:00Z", json!({"return_by": null})));
    assert_eq!(plan.settle[0].reasons, [Reason::FactRemoved { fact: "return_by".into() }]);
    // Known again: a new occurrence, with an id of its own.
    story.event(&event(4, "requested", "2026-11-23T10:00:00Z", json!({"return_by": "2026-12-01"})));
    let ids: Vec<_> = story.of("window-closing").iter().map(|n| n.id).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn once_told_a_moved_fact_is_told_again_only_when_it_is_due_ahead() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-11-24", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
    let id = story.of("window-closing")[0].id;
    story.get(id).status = Status::Sent;
    story.event(&event(2, "requested", "2026-11-23T10:00:00Z", json!({"return_by": "2026-11-25"})));
    assert_eq!(story.of("window-closing").len(), 1, "due 23 Nov 09:00, already past");
    story.event(&event(3, "requested", "2026-11-23T11:00:00Z", json!({"return_by": "2026-12-01"})));
    assert_eq!(story.of("window-closing")[1].due_at, at("2026-11-29T09:00:00Z"));
}

#[test]
fn what_may_have_been_told_counts_as_told_for_a_fact_and_for_what_is_said_once() {
    for status in [Status::Sent, Status::Delivered, Status::Folded, Status::Unknown] {
        let mut story = Story::new();
        let facts = json!({"return_by": "2026-11-24", "amount": "49.90"});
        story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
        let id = story.of("window-closing")[0].id;
        story.get(id).status = status;
        // Due on 22 Nov 09:00, the fact itself is still ahead.
        let plan = story.event(&event(2, "requested", "2026-11-22T12:00:00Z", json!({})));
        assert!(plan.create.iter().all(|n| n.notification.notice != "window-closing"), "{status}");
        let mut story = Story::new();
        story.event(&event(1, "closed", "2026-11-20T10:00:00Z", json!({})));
        let id = story.of("how-did-we-do")[0].id;
        story.get(id).status = status;
        story.event(&event(2, "received", "2026-11-22T10:00:00Z", json!({})));
        let plan = story.event(&event(3, "closed", "2026-11-23T10:00:00Z", json!({})));
        let said = Reason::AlreadySaid { notice: "how-did-we-do".into() };
        assert_eq!(plan.silent, Some(said), "{status}");
    }
}

#[test]
fn a_fact_whose_due_time_is_past_is_told_at_once_and_one_that_is_past_itself_is_not() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-11-24", "amount": "49.90"});
    let plan = story.event(&event(1, "requested", "2026-11-23T12:00:00Z", facts));
    assert_eq!(plan.create[0].notification.next_at, at("2026-11-23T12:00:00Z"));
    let mut late = Story::new();
    let facts = json!({"return_by": "2026-11-20", "amount": "49.90"});
    let plan = late.event(&event(1, "requested", "2026-11-23T12:00:00Z", facts));
    assert_eq!(plan.create, []);
    assert_eq!(plan.silent.map(|reason| reason.code()).as_deref(), Some("fact_past"));
}

#[test]
fn a_condition_is_looked_at_when_due_on_the_facts_of_that_moment() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-12-01", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
    story.event(&event(2, "requested", "2026-11-21T10:00:00Z", json!({"amount": "5.00"})));
    let decision = story.decide("window-closing", "2026-11-29T09:00:00Z");
    assert_eq!(codes(&decision.reasons), ["condition_false"]);
}

#[test]
fn an_end_cancels_all_but_what_it_triggers_and_leaving_it_reopens() {
    let mut story = Story::new();
    story.event(&event(1, "label_sent", "2026-11-20T10:00:00Z", json!({})));
    let plan = story.event(&event(2, "closed", "2026-11-21T10:00:00Z", json!({})));
    assert_eq!(codes(&plan.settle[0].reasons), ["case_final"]);
    assert_eq!(story.of("how-did-we-do")[0].status, Status::Planned);
    story.event(&event(3, "label_sent", "2026-11-21T12:00:00Z", json!({})));
    assert_eq!(story.of("send-it-back").len(), 2);
    let decision = story.decide("how-did-we-do", "2026-11-22T10:00:00Z");
    assert_eq!(codes(&decision.reasons), ["left_state"]);
}

#[test]
fn what_is_said_once_is_not_said_again_for_a_reopened_case() {
    let mut story = Story::new();
    story.event(&event(1, "closed", "2026-11-20T10:00:00Z", json!({})));
    let id = story.of("how-did-we-do")[0].id;
    story.get(id).status = Status::Sent;
    story.event(&event(2, "received", "2026-11-22T10:00:00Z", json!({})));
    let plan = story.event(&event(3, "closed", "2026-11-23T10:00:00Z", json!({})));
    assert_eq!(plan.silent, Some(Reason::AlreadySaid { notice: "how-did-we-do".into() }));
    // Cancelled unsaid, it may be said after all.
    let id = story.of("how-did-we-do")[0].id;
    story.get(id).status = Status::Cancelled;
    story.event(&event(4, "received", "2026-11-24T10:00:00Z", json!({})));
    let plan = story.event(&event(5, "closed", "2026-11-25T10:00:00Z", json!({})));
    assert_eq!(plan.create.len(), 1);
}

#[test]
fn a_case_that_changes_customer_ends_the_former_ones_plans() {
    let mut story = Story::new();
    story.event(&event(1, "label_sent", "2026-11-20T10:00:00Z", json!({})));
    let mut moved = event(2, "received", "2026-11-21T10:00:00Z", json!({}));
    moved.customer = "C-2".into();
    story.customer = customer("C-2");
    let plan = story.event(&moved);
    assert_eq!(plan.settle[0].reasons, [Reason::OtherCustomer]);
    assert_eq!(plan.create[0].notification.customer.as_str(), "C-2");
}

#[test]
fn a_case_type_or_state_no_journey_knows_is_silent_and_one_task() {
    let mut story = Story::new();
    let plan = story.event(&event(1, "lost_in_space", "2026-11-20T10:00:00Z", json!({})));
    assert_eq!(plan.silent, Some(Reason::UnknownState { state: "lost_in_space".into() }));
    let task = plan.task.expect("a task");
    assert_eq!(task.key, "unknown_state/return/lost_in_space");
    let mut other = event(2, "x", "2026-11-20T10:00:00Z", json!({}));
    other.case_type = "repair".into();
    let plan = story.event(&other);
    assert_eq!(plan.silent, Some(Reason::NoJourney { case_type: "repair".into() }));
}

#[test]
fn an_old_event_is_fine_and_expiry_decides() {
    let mut story = Story::new();
    let old = event(1, "received", "2026-11-01T10:00:00Z", json!({}));
    let plan = story.event_at(&old, at("2026-11-20T10:00:00Z"));
    assert_eq!(plan.create[0].notification.status, Status::Expired);
    assert_eq!(plan.create[0].task, None, "nobody could have sent it in time");
}

#[test]
fn what_was_due_and_allowed_and_still_not_sent_in_time_becomes_a_task() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let decision = story.decide("received", "2026-11-28T10:00:00Z");
    assert_eq!(
        decision.outcome,
        Outcome::Settle {
            status: Status::Expired,
            task: Some("due and allowed, but not sent in time")
        }
    );
}

#[test]
fn a_snooze_that_comes_too_late_tries_the_next_channel_and_then_expires() {
    let mut story = Story::new();
    story.customer.preferences.quiet_hours =
        crate::domain::QuietHours::from_json(&json!({"sms": "20:00-09:00", "email": "none"})).ok();
    let facts = json!({"return_by": "2026-11-21T08:00:00Z", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T21:00:00Z", facts));
    let decision = story.decide("window-closing", "2026-11-20T21:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { channel: Channel::Email, .. }));
    story.customer.preferences.channel_order = Some(vec![Channel::Sms]);
    let decision = story.decide("window-closing", "2026-11-20T21:00:00Z");
    assert_eq!(decision.outcome, Outcome::Settle { status: Status::Expired, task: None });
    assert_eq!(codes(&decision.reasons).last().map(String::as_str), Some("no_hour_in_time"));
}

#[test]
fn a_message_waits_for_a_provider_that_rests_at_a_place_of_its_own() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let until = at("2026-11-20T10:00:10Z");
    story.rests.email = Some(Rest::Failing { until });
    let now = "2026-11-20T10:00:00Z";
    let decision = story.decide("received", now);
    let Outcome::Snooze { until: next, .. } = decision.outcome else { panic!("{decision:?}") };
    assert!((until..until + chrono::TimeDelta::seconds(5)).contains(&next), "{next}");
    assert_eq!(codes(&decision.reasons).last().map(String::as_str), Some("provider_rests"));
    assert_eq!(story.decide("received", now), decision, "the same every time");
    story.rests.email = Some(Rest::Failing { until: at(now) });
    assert!(matches!(
        story.decide("received", now).outcome,
        Outcome::Send { channel: Channel::Email, .. }
    ));
    story.rests = ChannelMap { sms: Some(Rest::Failing { until }), ..ChannelMap::default() };
    assert!(matches!(story.decide("received", now).outcome, Outcome::Send { .. }));
}

#[test]
fn a_stopped_channel_may_go_on_at_any_moment_and_ends_nothing_before_its_time() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-11-21T10:00:00Z", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
    let until = at("2026-11-21T10:09:00Z");
    story.rests.sms = Some(Rest::Drained { until });
    story.rests.email = story.rests.sms;
    let decision = story.decide("window-closing", "2026-11-21T09:59:00Z");
    let soon = at("2026-11-21T09:59:15Z");
    assert_eq!(decision.outcome, Outcome::Snooze { until: soon, held: None });
    assert_eq!(codes(&decision.reasons).last().map(String::as_str), Some("drained"));
    let task = Some("due and allowed, but not sent in time");
    let outcome = story.decide("window-closing", "2026-11-21T09:59:50Z").outcome;
    assert_eq!(outcome, Outcome::Settle { status: Status::Expired, task });
}

#[test]
fn a_rest_that_ends_too_late_tries_the_next_channel_and_then_a_person() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-11-21T10:00:00Z", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
    story.rests.sms = Some(Rest::Failing { until: at("2026-11-21T10:00:01Z") });
    let now = "2026-11-21T09:59:00Z";
    let decision = story.decide("window-closing", now);
    assert!(matches!(decision.outcome, Outcome::Send { channel: Channel::Email, .. }));
    assert!(codes(&decision.reasons).contains(&"provider_rests".to_owned()));
    story.rests.email = story.rests.sms;
    let task = Some("due and allowed, but not sent in time");
    let outcome = story.decide("window-closing", now).outcome;
    assert_eq!(outcome, Outcome::Settle { status: Status::Expired, task });
}

#[test]
fn a_channel_that_delivers_too_little_is_left_out_unless_it_is_the_only_one() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-20T11:00:00Z", json!({})));
    story.customer.preferences.channel_order = Some(vec![Channel::Sms, Channel::Email]);
    let now = "2026-11-20T11:00:00Z";
    let until = at("2026-11-20T12:00:00Z");
    let withdrawn = Some(Withdrawn { until, percent: 62 });
    story.withdrawn.sms = withdrawn;
    let decision = story.decide("received", now);
    assert!(matches!(decision.outcome, Outcome::Send { channel: Channel::Email, .. }));
    assert!(codes(&decision.reasons).contains(&"withdrawn".to_owned()));
    story.withdrawn.email = withdrawn;
    let decision = story.decide("received", now);
    assert!(matches!(decision.outcome, Outcome::Send { channel: Channel::Sms, .. }));
    assert!(codes(&decision.reasons).contains(&"withdrawn_and_only".to_owned()));
    story.withdrawn =
        ChannelMap { sms: Some(Withdrawn { until: at(now), percent: 62 }), ..story.withdrawn };
    let decision = story.decide("received", now);
    assert!(
        matches!(decision.outcome, Outcome::Send { channel: Channel::Sms, .. }),
        "its time is over"
    );
}

#[test]
fn when_a_channel_failed_and_the_next_may_not_be_used_in_time_a_person_is_told() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-20T18:00:00Z", json!({})));
    story.customer.preferences.channel_order = Some(vec![Channel::Email, Channel::Sms]);
    let received = &mut story.file.notifications[0];
    received.failed_channels = vec![Channel::Email];
    received.expires_at = at("2026-11-21T06:00:00Z");
    // No texts from 20:00 to 09:00.
    let task = Some("a channel failed, and no other may be used in time");
    let outcome = story.decide("received", "2026-11-20T21:00:00Z").outcome;
    assert_eq!(outcome, Outcome::Settle { status: Status::Failed, task });
}

#[test]
fn an_urgent_notice_passes_quiet_hours_only_where_the_customer_allows_it() {
    let mut story = Story::new();
    let facts = json!({"return_by": "2026-11-23", "amount": "49.90"});
    story.event(&event(1, "requested", "2026-11-20T22:00:00Z", facts));
    let night = "2026-11-21T22:00:00Z";
    assert!(matches!(story.decide("window-closing", night).outcome, Outcome::Snooze { .. }));
    story.customer.preferences.urgent_any_hour = Some(true);
    assert!(matches!(
        story.decide("window-closing", night).outcome,
        Outcome::Send { channel: Channel::Sms, .. }
    ));
}

#[test]
fn a_pause_holds_everything_but_mandatory_topics() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    let until = at("2026-11-22T08:00:00Z");
    story.customer.preferences.paused_until = Some(until);
    let now = "2026-11-20T10:00:00Z";
    assert_eq!(story.decide("received", now).outcome, Outcome::Snooze { until, held: None });
    let mandatory = rules(&RETURN.replacen("collapse", "topic = \"safety\"\ncollapse", 1));
    story.rules = mandatory;
    assert!(matches!(story.decide("received", now).outcome, Outcome::Send { .. }));
}

#[test]
fn a_mandatory_notice_without_a_channel_is_a_task_and_an_optional_one_is_not() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-20T10:00:00Z", json!({})));
    story.customer.preferences.channel_order = Some(vec![]);
    let now = "2026-11-20T10:00:00Z";
    let task_of = |decision: Decision| match decision.outcome {
        Outcome::Settle { status: Status::Suppressed, task } => task,
        other => panic!("{other:?}"),
    };
    assert_eq!(task_of(story.decide("received", now)), None);
    story.rules = rules(&RETURN.replacen("collapse", "topic = \"safety\"\ncollapse", 1));
    assert!(task_of(story.decide("received", now)).is_some());
}
