//! The judge judged: ledgers wrong in one way each, made by hand, and what must be found.

use serde_json::Value;
use tidings::domain::{Channel, NotificationId};

use super::checker::{Account, Count, Evidence, check};
use super::ledger::{Entry, HandOver, Word};
use super::load::{Person, Refusal, Sent};

const SENT_MS: i64 = 1_000_000;
const ACCEPTED_MS: i64 = SENT_MS + 10;
const WIRE_MS: i64 = SENT_MS + 100;
const WINDOW_MS: i64 = 1_000;
const LAG_MS: i64 = 20;

/// Somebody with two channels who wavers about texts.
const CUSTOMER: usize = 6;

fn id(notice: &str) -> String {
    NotificationId::derive("P1", notice, notice, 0).to_string()
}

fn event(version: usize) -> Sent {
    Sent {
        body: Value::Null,
        case: "P1".into(),
        customer: CUSTOMER,
        version,
        reminder: Some((SENT_MS + 5_000, SENT_MS + 9_000)),
        accepted_ms: Some(ACCEPTED_MS),
    }
}

fn hand_over(notice: &str, no: i64) -> HandOver {
    HandOver {
        at_ms: WIRE_MS,
        channel: Channel::Sms,
        address: Person::new(CUSTOMER).address(Channel::Sms),
        name: id(notice),
        no: Some(no),
        tells: Some(format!("P1/{notice}")),
        fault: "accept",
        taken: true,
    }
}

fn account(notice: &str, status: &str, attempts: i64) -> Account {
    Account {
        id: id(notice),
        case: "P1".into(),
        notice: notice.into(),
        status: status.into(),
        opened: (0..attempts).map(|n| SENT_MS + 50 + n).collect(),
        doubts: Vec::new(),
    }
}

/// One event, told once.
fn as_it_should_be() -> Evidence {
    Evidence {
        people: (0..8).map(Person::new).collect(),
        sent: vec![event(1)],
        refusals: Vec::new(),
        entries: vec![Entry::HandOver(hand_over("s1", 1))],
        accounts: vec![account("s1", "sent", 1)],
        forgotten: Vec::new(),
        blows: 0,
        deaths: 0,
        window_ms: WINDOW_MS,
        lag_ms: LAG_MS,
    }
}

/// A change of one thing, and what the verdict must count for it, and nothing else.
type Wrong = (&'static str, Option<Count>, fn(&mut Evidence));

fn wire(evidence: &mut Evidence, change: impl FnOnce(&mut HandOver)) {
    let Some(Entry::HandOver(hand_over)) = evidence.entries.first_mut() else {
        panic!("a hand-over")
    };
    change(hand_over);
}

fn remind_at(evidence: &mut Evidence, at_ms: i64) {
    let mut reminder = hand_over("soon", 1);
    reminder.at_ms = at_ms;
    evidence.entries.push(Entry::HandOver(reminder));
    evidence.accounts.push(account("soon", "sent", 1));
}

fn second_copy(evidence: &mut Evidence, notice: &str, doubts: Vec<i64>) {
    let second = HandOver { at_ms: WIRE_MS + 500, ..hand_over(notice, 2) };
    evidence.entries = vec![Entry::HandOver(hand_over(notice, 1)), Entry::HandOver(second)];
    let version = if notice == "s4" { 4 } else { 1 };
    evidence.sent = vec![event(version)];
    evidence.accounts = vec![Account { doubts, ..account(notice, "sent", 2) }];
}

fn refusal(from_ms: i64, until_ms: Option<i64>) -> Refusal {
    Refusal { customer: CUSTOMER, channel: Channel::Sms, from_ms, until_ms }
}

#[rustfmt::skip]
const WRONG: &[Wrong] = &[
    ("nothing is wrong", None, |_| {}),
    ("accepted and forgotten", Some(Count::Lost), |e| e.forgotten.push("P1-1".into())),
    ("accepted and never planned", Some(Count::Lost), |e| {
        e.accounts.clear();
        e.entries.clear();
    }),
    ("a hand-over without a record", Some(Count::Lost), |e| wire(e, |h| {
        h.name = id("elsewhere");
        h.taken = false;
    })),
    ("told, says the store; no provider took it", Some(Count::Lost), |e| wire(e, |h| h.taken = false)),
    ("told, and recorded as cancelled although nothing newer came", Some(Count::Lost), |e| {
        e.accounts = vec![account("s1", "cancelled", 0)];
        e.entries.clear();
    }),
    ("failed without a refusal", Some(Count::Lost), |e| {
        e.accounts = vec![account("s1", "failed", 0)];
        e.entries.clear();
    }),
    ("failed after a refusal", None, |e| {
        e.accounts = vec![account("s1", "failed", 1)];
        wire(e, |h| { h.fault = "4xx_perm"; h.taken = false; });
    }),
    ("held for ever", Some(Count::Lost), |e| {
        e.accounts = vec![account("s1", "claimed", 0)];
        e.entries.clear();
    }),
    ("unknown without a doubt", Some(Count::Lost), |e| e.accounts[0].status = "unknown".into()),
    ("set aside though hardly anything struck", Some(Count::Lost), |e| {
        e.accounts = vec![account("s2", "quarantined", 0), account("s1", "sent", 1)];
    }),
    ("suppressed though nobody refused", Some(Count::Lost), |e| {
        e.sent[0].customer = 1;
        e.accounts = vec![account("s1", "suppressed", 0)];
        e.entries.clear();
    }),
    ("a channel nobody allowed", Some(Count::WrongChannel), |e| wire(e, |h| h.channel = Channel::Voice)),
    ("an address nobody has", Some(Count::WrongChannel), |e| wire(e, |h| h.address = "+442079460999".into())),
    ("after the refusal was confirmed", Some(Count::WrongChannel), |e| {
        e.refusals.push(refusal(WIRE_MS - LAG_MS - 1, None));
    }),
    ("between refusal and consent", Some(Count::WrongChannel), |e| {
        e.refusals.push(refusal(WIRE_MS - 50, Some(WIRE_MS + 1)));
    }),
    ("before the refusal was confirmed", None, |e| e.refusals.push(refusal(WIRE_MS, None))),
    ("after the customer allowed it again", None, |e| {
        e.refusals.push(refusal(WIRE_MS - 500, Some(WIRE_MS)));
    }),
    ("a refusal of another topic", None, |e| {
        second_copy(e, "s4", Vec::new());
        e.entries.truncate(1);
        e.refusals.push(refusal(WIRE_MS - 500, None));
    }),
    ("in the quiet hours", Some(Count::Early), |e| {
        e.sent[0].customer = 5;
        wire(e, |h| h.address = Person::new(5).address(Channel::Sms));
    }),
    ("a reminder before its hour", Some(Count::Early), |e| remind_at(e, SENT_MS + 4_999)),
    ("a reminder in its time", None, |e| remind_at(e, SENT_MS + 5_000)),
    ("a reminder just opened in time", None, |e| remind_at(e, SENT_MS + 9_000 + WINDOW_MS)),
    ("a reminder after its end", Some(Count::Late), |e| {
        remind_at(e, SENT_MS + 9_000 + WINDOW_MS + LAG_MS + 1);
    }),
    ("an old state after a newer one was accepted", Some(Count::Stale), |e| {
        e.sent.push(event(2));
        e.accounts.push(account("s2", "sent", 1));
        e.entries.push(Entry::HandOver(hand_over("s2", 1)));
        wire(e, |h| h.at_ms = ACCEPTED_MS + WINDOW_MS + LAG_MS + 1);
    }),
    ("an old state opened before the newer one", None, |e| {
        e.sent.push(event(2));
        e.accounts.push(account("s2", "sent", 1));
        e.entries.push(Entry::HandOver(hand_over("s2", 1)));
    }),
    ("two copies", Some(Count::Duplicate), |e| second_copy(e, "s1", Vec::new())),
    ("two copies though in doubt: the topic would rather not", Some(Count::Duplicate), |e| {
        second_copy(e, "s1", vec![WIRE_MS + 300]);
    }),
    ("two copies of a topic that prefers that, the doubt written down first", Some(Count::DuplicateInDoubt), |e| {
        second_copy(e, "s4", vec![WIRE_MS + 300]);
    }),
    ("two copies, the doubt written down afterwards", Some(Count::Duplicate), |e| {
        second_copy(e, "s4", vec![WIRE_MS + 700]);
    }),
    ("a second copy after the first was void", None, |e| {
        second_copy(e, "s1", Vec::new());
        let word = Word { at_ms: WIRE_MS + 100, name: id("s1"), no: 1, says: "undelivered" };
        e.entries.push(Entry::Word(word));
    }),
    ("one attempt left twice", Some(Count::Duplicate), |e| {
        e.accounts[0].opened.push(SENT_MS + 60);
        e.entries.push(Entry::HandOver(HandOver { taken: false, ..hand_over("s1", 1) }));
    }),
    ("more hand-overs than attempts", Some(Count::Duplicate), |e| {
        e.entries.push(Entry::HandOver(HandOver { taken: false, ..hand_over("s1", 2) }));
    }),
    ("one notice under two names", Some(Count::Duplicate), |e| {
        let mut other = hand_over("s1", 1);
        other.name = id("again");
        e.entries.push(Entry::HandOver(other));
        e.accounts.push(Account { id: id("again"), ..account("s1", "sent", 1) });
    }),
    ("a new one after none of the first was delivered", None, |e| {
        e.accounts[0].status = "failed".into();
        wire(e, |hand_over| hand_over.fault = "undelivered");
        let word = Word { at_ms: WIRE_MS + 100, name: id("s1"), no: 1, says: "undelivered" };
        e.entries.push(Entry::Word(word));
        let mut other = hand_over("s1", 1);
        (other.name, other.at_ms) = (id("again"), WIRE_MS + 2_000);
        e.entries.push(Entry::HandOver(other));
        e.accounts.push(Account { id: id("again"), ..account("s1", "sent", 1) });
    }),
];

#[test]
fn each_wrong_ledger_is_found_and_a_right_one_passes() {
    for (what, expected, change) in WRONG {
        let mut evidence = as_it_should_be();
        change(&mut evidence);
        let verdict = check(&evidence);
        let counts_only = [Count::InDoubt, Count::Unknown];
        let found: Vec<Count> = Count::ALL
            .into_iter()
            .filter(|count| !counts_only.contains(count) && verdict.of(*count) > 0)
            .collect();
        assert_eq!(
            found,
            expected.iter().copied().collect::<Vec<_>>(),
            "{what}: {:#?}",
            verdict.findings
        );
        let fails = expected.is_some_and(|count| count != Count::DuplicateInDoubt);
        assert_eq!(verdict.holds(), !fails, "{what}");
    }
}

#[test]
fn every_count_that_fails_a_run_is_among_the_wrong_ledgers() {
    for count in Count::ALL.into_iter().filter(|count| count.fails()) {
        assert!(WRONG.iter().any(|(_, expected, _)| *expected == Some(count)), "{}", count.name());
    }
}
