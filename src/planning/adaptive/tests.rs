use proptest::prelude::*;

use super::super::testing::at;
use super::*;
use crate::domain::Zones;

const ON: Adaptive = Adaptive { enabled: true, hold_out: 0.0, min_outcomes: 20 };

const DAYTIME: [bool; 24] = {
    let mut hours = [false; 24];
    let mut hour = 9;
    while hour < 18 {
        hours[hour] = true;
        hour += 1;
    }
    hours
};

fn counts(told: u32, delivered: u32, acknowledged: u32, contacted: u32) -> Counts {
    Counts { told, delivered, opened: 0, acknowledged, contacted }
}

fn history(rows: &[(Channel, i8, Counts)]) -> History {
    let mut history = History::default();
    for (channel, hour, counts) in rows {
        history.add(*channel, *hour, *counts);
    }
    history
}

fn ask(
    settings: &Adaptive,
    allowed: &[(Channel, Voice)],
    own: &History,
    group: &History,
) -> Suggestion {
    let customer = CustomerId("C-1".into());
    settings.suggest(&Question { customer: &customer, allowed, hours: &|_| DAYTIME, own, group })
}

const UNRANKED: [(Channel, Voice); 2] =
    [(Channel::Email, Voice::TopicDefault), (Channel::Sms, Voice::TopicDefault)];

#[test]
fn the_channel_that_is_answered_comes_before_the_one_after_which_customers_ring_up() {
    let none = History::default();
    let group = history(&[
        (Channel::Email, 10, counts(100, 90, 5, 30)),
        (Channel::Sms, 10, counts(100, 95, 60, 5)),
    ]);
    let suggestion = ask(&ON, &UNRANKED, &none, &group);
    assert_eq!(suggestion.order, [Channel::Sms, Channel::Email]);
    assert_eq!(
        suggestion.because[0].to_string(),
        "By e-mail: -25 of 1000, from 100 of similar customers' outcomes."
    );
    // Their own outcomes weigh more than those of others.
    let own = history(&[
        (Channel::Email, 10, counts(20, 20, 15, 0)),
        (Channel::Sms, 10, counts(20, 20, 0, 10)),
    ]);
    assert_eq!(ask(&ON, &UNRANKED, &own, &group).order, [Channel::Email, Channel::Sms]);
}

#[test]
fn a_little_better_is_no_reason_and_too_few_outcomes_are_none() {
    let none = History::default();
    let group = history(&[
        (Channel::Email, 10, counts(1_000, 900, 0, 0)),
        (Channel::Sms, 10, counts(1_000, 920, 0, 0)),
    ]);
    assert_eq!(ask(&ON, &UNRANKED, &none, &group).order, [Channel::Email, Channel::Sms]);
    let few = history(&[(Channel::Sms, 10, counts(19, 19, 19, 0))]);
    let suggestion = ask(&ON, &UNRANKED, &few, &few);
    assert_eq!((suggestion.order, suggestion.hour), (vec![Channel::Email, Channel::Sms], None));
    let wanted = Why::TooFew { channel: Channel::Sms, outcomes: 19, needed: 20 };
    assert!(suggestion.because.contains(&wanted), "{:?}", suggestion.because);
}

#[test]
fn a_place_the_customer_chose_is_kept() {
    let group = history(&[
        (Channel::Email, 10, counts(100, 90, 0, 50)),
        (Channel::Sms, 10, counts(100, 95, 90, 0)),
    ]);
    let ranked = UNRANKED.map(|(channel, _)| (channel, Voice::ChannelOrder));
    let suggestion = ask(&ON, &ranked, &History::default(), &group);
    assert_eq!(suggestion.order, [Channel::Email, Channel::Sms]);
    assert_eq!(suggestion.because[0], Why::Ranked { channel: Channel::Email });
}

#[test]
fn the_hour_that_works_best_is_suggested_where_it_is_allowed() {
    let none = History::default();
    let rows = |best: i8| {
        history(&[
            (Channel::Email, 9, counts(100, 90, 10, 20)),
            (Channel::Email, best, counts(100, 95, 60, 0)),
        ])
    };
    assert_eq!(ask(&ON, &UNRANKED, &none, &rows(16)).hour, Some(16));
    // 8 is too early, but 9 belongs to the same two hours.
    assert_eq!(ask(&ON, &UNRANKED, &none, &rows(8)).hour, None, "as good as the day");
    assert_eq!(ask(&ON, &UNRANKED, &none, &rows(22)).hour, None, "not allowed");
}

#[test]
fn switched_off_or_held_out_nothing_changes() {
    let group = history(&[(Channel::Sms, 10, counts(100, 95, 90, 0))]);
    for (settings, why) in [
        (Adaptive { enabled: false, ..ON }, Why::SwitchedOff),
        (Adaptive { hold_out: 1.0, ..ON }, Why::HeldOut),
    ] {
        let suggestion = ask(&settings, &UNRANKED, &group, &group);
        assert_eq!(suggestion.order, [Channel::Email, Channel::Sms]);
        assert_eq!((suggestion.hour, suggestion.because), (None, vec![why]));
    }
}

#[test]
fn the_share_of_customers_left_alone_is_the_one_asked_for() {
    for (hold_out, least, most) in
        [(0.0, 0, 0), (0.1, 940, 1_060), (0.5, 4_900, 5_100), (1.0, 10_000, 10_000)]
    {
        let settings = Adaptive { hold_out, ..ON };
        let held =
            (0..10_000).filter(|n| settings.holds_out(&CustomerId(format!("C-{n}")))).count();
        assert!((least..=most).contains(&held), "{hold_out}: {held}");
    }
}

#[test]
fn the_hour_comes_within_a_day_also_when_the_clocks_change() {
    let berlin = Zones::bundled().get("Europe/Berlin").expect("known");
    for (due, hour, then) in [
        ("2026-03-28T09:30:00+01:00", 9, "2026-03-28T09:30:00+01:00"),
        ("2026-03-28T09:30:00+01:00", 16, "2026-03-28T16:00:00+01:00"),
        ("2026-03-28T17:00:00+01:00", 16, "2026-03-29T16:00:00+02:00"),
        ("2026-03-28T17:00:00+01:00", 2, "2026-03-29T03:00:00+02:00"),
    ] {
        assert_eq!(at_hour(at(due), hour, &berlin), at(then), "{due} {hour}");
    }
}

fn any_counts() -> impl Strategy<Value = Counts> {
    (0_u32..200, 0_u32..200, 0_u32..200, 0_u32..200, 0_u32..200).prop_map(|(told, d, o, a, c)| {
        let part = |n: u32| n.min(told);
        Counts {
            told,
            delivered: part(d),
            opened: part(o),
            acknowledged: part(a),
            contacted: part(c),
        }
    })
}

fn any_history() -> impl Strategy<Value = History> {
    let channel = prop::sample::select(Channel::ALL.to_vec());
    prop::collection::vec((channel, 0_i8..24, any_counts()), 0..30).prop_map(|rows| history(&rows))
}

proptest! {
    #[test]
    fn never_outside_what_is_allowed_never_moving_what_is_ranked_and_always_the_same(
        channels in prop::sample::subsequence(Channel::ALL.to_vec(), 0..=3).prop_shuffle(),
        ranked in prop::array::uniform3(any::<bool>()),
        hours in prop::array::uniform24(any::<bool>()),
        own in any_history(),
        group in any_history(),
        hold_out in 0.0_f64..=1.0,
        min_outcomes in 0_u32..60,
        customer in "[a-z0-9]{1,8}",
    ) {
        let voice = |n: usize| if ranked[n] { Voice::TopicChoice } else { Voice::TopicDefault };
        let allowed: Vec<_> =
            channels.iter().enumerate().map(|(n, channel)| (*channel, voice(n))).collect();
        let settings = Adaptive { enabled: true, hold_out, min_outcomes };
        let customer = CustomerId(customer);
        let question =
            Question { customer: &customer, allowed: &allowed, hours: &|_| hours, own: &own, group: &group };
        let suggestion = settings.suggest(&question);
        let mut sorted = (suggestion.order.clone(), channels.clone());
        sorted.0.sort();
        sorted.1.sort();
        prop_assert_eq!(&sorted.0, &sorted.1, "a permutation of what is allowed");
        for (place, (channel, by)) in allowed.iter().enumerate() {
            if *by == Voice::TopicChoice {
                prop_assert_eq!(suggestion.order[place], *channel);
            }
        }
        if let Some(hour) = suggestion.hour {
            prop_assert!(hours[usize::try_from(hour).expect("0 to 23")]);
        }
        prop_assert!(!suggestion.because.is_empty() || allowed.is_empty());
        prop_assert_eq!(settings.suggest(&question), suggestion);
    }
}
