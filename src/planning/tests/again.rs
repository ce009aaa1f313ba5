//! What was told once stays told once: reminders whose fact stands still, what follows them, and
//! steps that come back after a newer one.

use super::*;
use crate::domain::Step;

const REMINDED: &str = r#"
case_type = "return"
states = ["requested", "label_sent", "closed"]
final = ["closed"]

[[notice]]
id = "window-closing"
on = { fact = "return_by", before = "2 days" }
escalate = { after = "6 hours", unless = "acknowledged" }
repeat = { every = "1 day", at_most = 3 }
channels = ["sms", "email"]
"#;

const BY_24: &str = "2026-11-24";

/// A reminder due on 22 November at 09:00, told then with its next channel and its repeat to come.
fn reminded() -> Story {
    let mut story = Story { rules: rules(REMINDED), ..Story::new() };
    let facts = json!({ "return_by": BY_24 });
    story.event(&event(1, "requested", "2026-11-20T10:00:00Z", facts));
    story
}

fn told(story: &mut Story) {
    let id = story.of("window-closing")[0].id;
    story.get(id).status = Status::Sent;
    let journey = story.rules.journeys.get("return").expect("the journey");
    let notice = journey.notice("window-closing").expect("the notice");
    let ended = story.of("window-closing")[0].clone();
    let how = Ended::Told(Channel::Sms);
    let at_ = at("2026-11-22T09:00:00Z");
    let created = followers(&ended, how, notice, journey, &story.customer, &story.rules, at_);
    assert_eq!(created.len(), 2);
    story.file.notifications.extend(created.into_iter().map(|created| created.notification));
}

fn states(story: &Story) -> Vec<(Status, Instant)> {
    story.of("window-closing").iter().map(|n| (n.status, n.due_at)).collect()
}

#[test]
fn a_reminder_told_before_its_hour_is_not_told_again_at_it() {
    let mut story = reminded();
    let id = story.of("window-closing")[0].id;
    // The customer asked for it now, on the 20th.
    story.get(id).status = Status::Sent;
    story.event(&event(2, "requested", "2026-11-21T10:00:00Z", json!({"amount": "49.90"})));
    assert_eq!(story.of("window-closing").len(), 1);
    story.event(&event(3, "requested", "2026-11-21T11:00:00Z", json!({"return_by": "2026-12-01"})));
    assert_eq!(story.of("window-closing")[1].due_at, at("2026-11-29T09:00:00Z"), "another day");
}

#[test]
fn any_event_leaves_the_next_channel_and_the_repeat_of_a_reminder_where_they_are() {
    let mut story = reminded();
    told(&mut story);
    let before = states(&story);
    let plan =
        story.event(&event(2, "requested", "2026-11-22T09:10:00Z", json!({"amount": "49.90"})));
    assert_eq!((plan.moved, plan.create), (Vec::new(), Vec::new()));
    assert_eq!(states(&story), before);
}

#[test]
fn a_fact_that_moves_ends_what_follows_and_is_reminded_of_anew() {
    let mut story = reminded();
    told(&mut story);
    let facts = json!({"return_by": "2026-12-10"});
    let plan = story.event(&event(2, "requested", "2026-11-22T10:00:00Z", facts));
    assert_eq!(plan.create[0].notification.due_at, at("2026-12-08T09:00:00Z"));
    let ended: Vec<_> = plan.settle.iter().map(|s| (s.status, codes(&s.reasons))).collect();
    let cancelled = (Status::Cancelled, vec!["fact_changed".to_owned()]);
    assert_eq!(ended, [cancelled.clone(), cancelled]);
    let facts = json!({"return_by": null});
    let plan = story.event(&event(3, "requested", "2026-11-22T11:00:00Z", facts));
    assert_eq!(plan.settle.len(), 1, "and the new one goes with its fact");
}

#[test]
fn a_fact_that_moves_while_its_reminder_is_in_doubt_is_reminded_of_anew() {
    for status in [Status::Sending, Status::InDoubt] {
        let mut story = reminded();
        let id = story.of("window-closing")[0].id;
        story.get(id).status = status;
        let facts = json!({"return_by": "2026-12-01"});
        let plan = story.event(&event(2, "requested", "2026-11-22T09:05:00Z", facts));
        assert_eq!(plan.create[0].notification.due_at, at("2026-11-29T09:00:00Z"), "{status}");
        let facts = json!({"amount": "49.90"});
        let plan = story.event(&event(3, "requested", "2026-11-22T09:06:00Z", facts));
        assert_eq!(plan.create, [], "{status}");
    }
}

#[test]
fn what_is_said_once_at_the_end_is_said_after_a_case_was_opened_again_and_closed_again() {
    let mut story = Story::new();
    story.event(&event(1, "closed", "2026-11-23T10:00:00Z", json!({})));
    story.event(&event(2, "received", "2026-11-23T11:00:00Z", json!({})));
    let plan = story.event(&event(3, "closed", "2026-11-23T14:00:00Z", json!({})));
    assert_eq!(plan.silent.as_ref().map(Reason::code).as_deref(), Some("already_said"));
    let survey = story.of("how-did-we-do");
    assert_eq!((survey.len(), survey[0].status), (1, Status::Planned));
    assert_eq!(survey[0].due_at, at("2026-11-24T10:00:00Z"));
}

#[test]
fn what_was_planned_for_the_former_customer_does_not_keep_the_new_one_from_it() {
    let mut story = Story::new();
    story.event(&event(1, "closed", "2026-11-23T10:00:00Z", json!({})));
    story.event(&event(2, "received", "2026-11-23T11:00:00Z", json!({})));
    let mut again = event(3, "closed", "2026-11-23T14:00:00Z", json!({}));
    again.customer = "C-2".into();
    story.customer = customer("C-2");
    story.event(&again);
    let surveys: Vec<_> =
        story.of("how-did-we-do").iter().map(|n| (n.customer.0.clone(), n.status)).collect();
    assert_eq!(
        surveys,
        [("C-1".to_owned(), Status::Cancelled), ("C-2".to_owned(), Status::Planned)]
    );
}

#[test]
fn a_step_that_comes_back_is_not_said_after_a_newer_one_unless_both_are_said() {
    let mut story = Story::new();
    story.event(&event(1, "received", "2026-11-23T10:00:00Z", json!({})));
    let newer = |state: &str| Step { notice: state.into(), state: Some(state.into()) };
    let ended = |story: &Story| story.decide("received", "2026-11-23T10:02:30Z");
    assert!(matches!(ended(&story).outcome, Outcome::Send { .. }));
    story.heard.newer = vec![newer("inspected")];
    let decision = ended(&story);
    assert_eq!(decision.outcome, Outcome::Settle { status: Status::Superseded, task: None });
    assert_eq!(decision.reasons.last(), Some(&Reason::Superseded { by: "inspected".into() }));
    // No chain of `order` leads from one to the other: both are said.
    story.heard.newer = vec![newer("on_hold")];
    assert!(matches!(ended(&story).outcome, Outcome::Send { .. }));
}
