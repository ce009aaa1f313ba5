//! What was learned from outcomes, within what the customer allows.

use std::sync::Arc;

use super::*;
use crate::planning::adaptive::{Adaptive, Counts, Evidence, History};

/// Customers ring up after mails and answer texts, best between four and six in the afternoon.
fn evidence() -> Evidence {
    let counts = |acknowledged, contacted| Counts {
        told: 100,
        delivered: 95,
        opened: 0,
        acknowledged,
        contacted,
    };
    let mut group = History::default();
    group.add(Channel::Email, 10, counts(5, 40));
    group.add(Channel::Sms, 10, counts(20, 5));
    group.add(Channel::Sms, 16, counts(80, 0));
    Evidence { own: History::default(), group: Arc::new(group) }
}

fn learning() -> Story {
    let mut story = Story::new();
    story.rules.adaptive = Adaptive { enabled: true, hold_out: 0.0, min_outcomes: 20 };
    story.heard.evidence = Some(evidence());
    story.event(&event(1, "received", "2026-11-23T12:00:00Z", json!({})));
    story
}

#[test]
fn a_channel_nobody_ranked_comes_first_where_it_does_best_and_at_its_hour() {
    let story = learning();
    let early = story.decide("received", "2026-11-23T12:00:00Z");
    let until = at("2026-11-23T16:00:00Z");
    assert_eq!(early.outcome, Outcome::Snooze { until, held: None });
    assert_eq!(early.reasons.last(), Some(&Reason::BestHour { until }));
    // Decided again at its hour, or when that was missed, it goes.
    for now in ["2026-11-23T16:00:00Z", "2026-11-23T18:30:00Z"] {
        let decision = story.decide("received", now);
        let Outcome::Send { channel, .. } = decision.outcome else { panic!("{decision:?}") };
        assert_eq!(channel, Channel::Sms, "{now}");
        let why = codes(&decision.reasons);
        assert!(why.contains(&"learned".to_owned()), "{why:?}");
    }
}

#[test]
fn what_the_customer_chose_what_is_urgent_and_who_is_left_alone_stay_as_they_were() {
    let mut story = learning();
    story.customer.preferences.channel_order = Some(vec![Channel::Email, Channel::Sms]);
    let chosen = story.decide("received", "2026-11-23T12:00:00Z");
    let mut held_out = learning();
    held_out.rules.adaptive.hold_out = 1.0;
    let left_alone = held_out.decide("received", "2026-11-23T12:00:00Z");
    let mut off = learning();
    off.rules.adaptive.enabled = false;
    let off = off.decide("received", "2026-11-23T12:00:00Z");
    for decision in [&chosen, &left_alone, &off] {
        let Outcome::Send { channel: Channel::Email, .. } = decision.outcome else {
            panic!("{decision:?}")
        };
        assert!(!codes(&decision.reasons).contains(&"learned".to_owned()), "{decision:?}");
    }

    let mut urgent = learning();
    let facts = json!({"return_by": "2026-11-26T10:00:00Z", "amount": 90});
    urgent.event(&event(2, "label_sent", "2026-11-23T12:05:00Z", facts));
    let decision = urgent.decide("window-closing", "2026-11-24T10:00:00Z");
    let why = codes(&decision.reasons);
    assert!(matches!(decision.outcome, Outcome::Send { .. }), "{decision:?}");
    assert!(!why.contains(&"learned".to_owned()), "{why:?}");
}

#[test]
fn nothing_waits_for_its_hour_beyond_what_it_is_worth() {
    let mut story = learning();
    let received = story.of("received")[0].id;
    story.get(received).expires_at = at("2026-11-23T15:00:00Z");
    let decision = story.decide("received", "2026-11-23T12:00:00Z");
    assert!(matches!(decision.outcome, Outcome::Send { .. }), "{decision:?}");
}
