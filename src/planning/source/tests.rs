//! The rules of a mapping, on small payloads.

use serde_json::json;

use super::*;
use crate::domain::time::parse_instant;

const HEAD: &str = "[signature]\nkind = \"bearer\"\n";

const DESK: &str = r#"
ignore_when = ["payload.kind == 'typing'"]
[signature]
kind = "bearer"
[states]
open = "take_in_charge_ticket"
done = "closed"
archived = false
[[map]]
when = "payload.kind == 'ticket'"
id = "payload.id"
case = "'T-' ~ payload.ticket"
case_type = "'ticket'"
customer = "payload.who.id"
state = "payload.state|lower"
occurred_at = "payload.at"
[map.facts]
subject = "payload.subject"
[map.profile]
name = "payload.who.name"
email = "payload.who.email|default(none)"
sms = "payload.who.phone|default(none)"
verified = "true"
[[map]]
when = "payload.kind == 'batch'"
each = "payload.rows"
id = "item.id"
case = "item.case"
case_type = "'ticket'"
customer_of = "'row/' ~ item.id"
state = "item.state"
"#;

fn source(text: &str) -> Source {
    let (source, findings) = read("desk", "desk.toml", text);
    source.unwrap_or_else(|| panic!("{findings:?}"))
}

fn map(payload: &Json) -> Mapped {
    let now = parse_instant("2026-11-23T10:00:00Z").expect("an instant");
    source(DESK).map(payload, &json!({}), "hash", &Zones::bundled(), now)
}

fn ticket() -> Json {
    json!({"kind": "ticket", "id": 17, "ticket": 4, "state": "OPEN", "at": 1_795_420_800,
           "subject": "Printer", "who": {"id": "C-1", "name": "Ada Byron", "email": "ada@example.com"}})
}

fn told(payload: &Json) -> Vec<Told> {
    match map(payload) {
        Mapped::Told(told) => told,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_payload_becomes_the_event_and_the_customer_its_keys_say() {
    let told = told(&ticket()).remove(0);
    assert_eq!(told.failing, []);
    assert_eq!(
        told.view(),
        json!({
            "event": {"id": "17", "source": "desk", "case": "T-4", "case_type": "ticket",
                      "customer": "C-1", "state": "take_in_charge_ticket",
                      "occurred_at": "2026-11-23T08:00:00Z", "facts": {"subject": "Printer"}},
            "profile": {"name": "Ada Byron", "contact_points": [
                {"channel": "email", "address": "ada@example.com", "verified": true}]},
        })
    );
}

#[test]
fn what_an_event_needs_holds_it_back_and_each_failing_key_is_named() {
    let mut payload = ticket();
    payload["state"] = json!("on fire");
    payload["at"] = json!("tomorrow");
    payload.as_object_mut().expect("an object").remove("ticket");
    let told = told(&payload).remove(0);
    assert_eq!(told.event, None);
    let keys: Vec<_> = told.failing.iter().map(|f| (&*f.key, &*f.pointer)).collect();
    assert_eq!(keys, [("case", "/ticket"), ("state", "/state"), ("occurred_at", "/at")]);
    let case = told.failing[0].finding(&source(DESK));
    assert_eq!(case.line(), Some(12), "{case}");
}

#[test]
fn a_fact_or_an_address_that_fails_is_named_and_the_event_is_kept() {
    let mut payload = ticket();
    payload.as_object_mut().expect("an object").remove("subject");
    payload["who"]["phone"] = json!("call me");
    let told = told(&payload).remove(0);
    assert!(told.event.is_some());
    let keys: Vec<_> = told.failing.iter().map(|f| (&*f.key, &*f.pointer)).collect();
    assert_eq!(keys, [("facts.subject", "/subject"), ("profile.sms", "/who/phone")]);
    assert_eq!(told.profile.expect("a profile").contact_points.len(), 1);
}

#[test]
fn what_is_of_no_interest_is_ignored_and_what_nothing_is_about_is_not() {
    assert!(matches!(map(&json!({"kind": "typing"})), Mapped::Ignored(_)));
    let mut payload = ticket();
    payload["state"] = json!("archived");
    assert_eq!(told(&payload)[0].ignored.as_deref(), Some("[states] archived = false"));
    for payload in [json!({"kind": "news"}), json!({}), json!(null), json!([1]), json!("x")] {
        let Mapped::Unknown(failing) = map(&payload) else { panic!("{payload}") };
        assert_eq!(failing.key, "when");
    }
}

#[test]
fn a_list_becomes_an_event_for_each_item_and_the_good_ones_are_kept() {
    let told = told(&json!({"kind": "batch", "rows": [
        {"id": 1, "case": "T-1", "state": "open"}, {"id": 2, "state": "open"}]}));
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].customer_of.as_deref(), Some("row/1"));
    assert!(told[0].event.is_some() && told[1].event.is_none());
    assert_eq!(told[1].failing[0].pointer, "/rows/1/case");
    let too_many: Vec<Json> = (0..=MAX_EVENTS).map(|n| json!({"id": n})).collect();
    for rows in [json!("no list"), json!(too_many), json!(null)] {
        let Mapped::Told(told) = map(&json!({"kind": "batch", "rows": rows})) else { panic!() };
        assert_eq!((told.len(), &*told[0].failing[0].key), (1, "each"));
    }
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_line() {
    for (text, line, word) in [
        ("[signature]\nkind = \"magic\"\n[[map]]\n", 2, "no kind"),
        ("[signature]\nkind = \"hmac-sha256\"\n[[map]]\n", 2, "needs `header`"),
        (
            "[signature]\nkind = \"hmac-sha256\"\nheader = \"X\"\nsigned = \"{timestamp}{body}\"\n[[map]]\n",
            4,
            "timestamp_header",
        ),
        (
            "[signature]\nkind = \"hmac-sha256\"\nheader = \"X\"\nsigned = \"{timestamp}\"\n[[map]]\n",
            4,
            "does not sign",
        ),
        ("[signature]\nkind = \"bearer\"\nsigned = \"{body}\"\n[[map]]\n", 3, "hmac"),
        (&format!("{HEAD}[[map]]\ncase = \"payload.id\"\n"), 3, "case_type"),
        (&format!("{HEAD}[[map]]\ncustomer = \"payload.id\"\n"), 3, "profile"),
        (&format!("{HEAD}[[map]]\ncustomer = \"payload.id +\"\nremember = \"payload.x\"\n"), 4, ""),
        (
            &format!("{HEAD}[[map]]\ncustomer = \"C-1\"\nremember = \"payload.x\"\n"),
            4,
            "is nothing here",
        ),
        (&format!("{HEAD}[[map]]\nwhen = \"true\"\nstate = \"'x'\"\n"), 5, "no `case`"),
        (&format!("{HEAD}[states]\na = 1\n[[map]]\n"), 4, "of no interest"),
        (&format!("{HEAD}[[map]]\nwho = \"payload.id\"\n"), 4, "who"),
        (HEAD, 1, "map"),
    ] {
        let (source, findings) = read("desk", "desk.toml", text);
        assert!(source.is_none(), "{text}");
        let finding = &findings[0];
        assert!(finding.message.contains(word), "{text}: {finding}");
        assert_eq!(finding.line().unwrap_or(1), line, "{text}: {finding}");
    }
}
