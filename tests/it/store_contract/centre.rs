use chrono::TimeDelta;
use tidings::domain::customer::Address;
use tidings::domain::{CaseId, Channel, CustomerId, NotificationId, Status};
use tidings::store::StoreError;
use tidings::store::callbacks::{Unheld, Wish};
use tidings::store::consent::Act;
use tidings::store::steering::Steer;
use tidings::store::visits::{MAX_CODES_PER_HOUR, MAX_TRIES};

use super::bed::{after_s, claimed, closing, know, monday, on_both, opened, planned, status, told};

fn act() -> Act {
    Act { who: "customer".into(), source: "centre".into(), text_version: "ab12".into() }
}

fn new_address() -> Address {
    Address::parse(Channel::Email, "ada@work.example").expect("valid")
}

#[tokio::test]
async fn every_change_of_consent_is_written_down_with_who_made_it_how_and_under_which_words() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        assert!(store.last_consent(&"C-1".into()).await.expect("the store").is_none());
        let change = |chosen: &mut tidings::domain::Preferences| chosen.cap_per_day = Some(3);
        for _ in 0..2 {
            store.choose_as(&"C-1".into(), act(), monday(), change).await.expect("known");
        }
        let sms = Address::parse(Channel::Sms, "+447911123456").expect("valid");
        store.suppress(Channel::Sms, &sms, "STOP", "stop", after_s(1)).await.expect("kept");
        store.lift_suppression(Channel::Sms, &sms, "stop", after_s(2)).await.expect("lifted");
        let record = store.consents(&"C-1".into()).await.expect("the store is there");
        let lines: Vec<String> = record
            .iter()
            .map(|line| {
                let (source, words) = (&line.source, &line.text_version);
                format!("{} {source} {words} {}", line.who, line.what)
            })
            .collect();
        assert_eq!(
            lines,
            [
                r#"customer centre ab12 {"cap_per_day":{"after":3,"before":null}}"#,
                r#"customer stop  {"stopped":"sms"}"#,
                r#"customer stop  {"started":"sms"}"#,
            ]
        );
        let last = store.last_consent(&"C-1".into()).await.expect("the store").expect("a line");
        assert_eq!(last.seq, record[2].seq);
    })
    .await;
}

#[tokio::test]
async fn what_a_customer_does_is_noted_in_order_and_of_one_who_is_forgotten_nothing() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let note = async |kind, detail: &str| {
            store.note_action(&"C-1".into(), kind, detail, monday()).await.expect("noted");
        };
        note("page_seen", "overview").await;
        note("chose", "cap").await;
        note("failed", "zone").await;
        let actions = store.actions(&"C-1".into(), 2).await.expect("the store is there");
        let kinds: Vec<&str> = actions.iter().map(|action| action.kind.as_str()).collect();
        assert_eq!(kinds, ["chose", "failed"], "the newest, oldest first");
        store.erase(&"C-1".into(), "agent", after_s(1)).await.expect("known");
        note("letter", "to ada").await;
        let actions = store.actions(&"C-1".into(), 10).await.expect("the store is there");
        assert!(actions.len() == 3 && actions.iter().all(|action| action.detail.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn a_code_has_few_tries_counts_once_and_few_are_sent() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let id = "C-1".into();
        let address = new_address();
        let to = (Channel::Email, &address);
        assert!(store.try_code(&id, "add", monday()).await.expect("the store").is_none());
        assert!(store.begin_code(&id, "add", to, monday()).await.expect("the store"));
        for tries in 1..=MAX_TRIES {
            let code = store.try_code(&id, "add", after_s(1)).await.expect("the store");
            let code = code.expect("it may be tried");
            assert_eq!((code.tries, &code.address), (tries, &address));
            assert_eq!(code.sent_ms, monday().timestamp_millis());
        }
        assert!(store.try_code(&id, "add", after_s(1)).await.expect("the store").is_none());
        assert!(store.begin_code(&id, "add", to, after_s(2)).await.expect("the store"));
        let code = store.try_code(&id, "add", after_s(3)).await.expect("the store");
        let seq = code.expect("the newest counts").seq;
        assert!(store.spend_code(seq).await.expect("the store"));
        assert!(!store.spend_code(seq).await.expect("the store"), "once");
        assert!(store.try_code(&id, "add", after_s(4)).await.expect("the store").is_none());
        assert!(store.begin_code(&id, "prove", to, after_s(5)).await.expect("the store"));
        assert!(store.try_code(&id, "prove", after_s(606)).await.expect("the store").is_none());
        for _ in 3..MAX_CODES_PER_HOUR {
            assert!(store.begin_code(&id, "prove", to, after_s(6)).await.expect("the store"));
        }
        assert!(!store.begin_code(&id, "prove", to, after_s(7)).await.expect("the store"));
        assert!(store.begin_code(&id, "prove", to, after_s(3_610)).await.expect("the store"));
    })
    .await;
}

#[tokio::test]
async fn a_link_is_spent_once_and_forgotten_after_a_day() {
    on_both(async |bed| {
        let store = &bed.store;
        assert!(store.spend_link("aa", monday()).await.expect("the store"));
        assert!(!store.spend_link("aa", after_s(1)).await.expect("the store"));
        store.forget_spent(after_s(60)).await.expect("the store");
        assert!(!store.spend_link("aa", after_s(61)).await.expect("the store"));
        store.forget_spent(after_s(2 * 86_400)).await.expect("the store");
        assert!(store.spend_link("aa", after_s(2 * 86_400)).await.expect("the store"));
    })
    .await;
}

#[tokio::test]
async fn an_address_added_or_removed_is_a_new_version_and_survives_an_import() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let id = "C-1".into();
        let (old, new) =
            (Address::parse(Channel::Email, "ada@example.com").expect("valid"), new_address());
        let before = store.customer(&id, monday()).await.expect("known").revision;
        let email = Channel::Email;
        store.add_contact_point(&id, email, &new, &act(), monday()).await.expect("known");
        store.remove_contact_point(&id, email, &old, &act(), monday()).await.expect("known");
        let gone = store.remove_contact_point(&id, email, &old, &act(), monday()).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
        let customer = store.customer(&id, monday()).await.expect("known");
        assert_eq!(customer.revision, before + 2);
        know(store, &["C-1"]).await;
        let customer = store.customer(&id, monday()).await.expect("known");
        let mails = customer.contact_points.iter().filter(|point| point.channel == email);
        let mails: Vec<&str> = mails.map(|point| point.address.expose()).collect();
        assert_eq!(mails, ["ada@work.example"]);
        let owners = store.owners_of(email, &new).await.expect("the store");
        assert_eq!(owners, ["C-1".into()]);
        assert!(store.owners_of(email, &old).await.expect("the store").is_empty());
        let consents = store.consents(&id).await.expect("the store");
        let what: Vec<&str> = consents.iter().map(|line| line.what.as_str()).collect();
        assert_eq!(what, [r#"{"address_added":"email"}"#, r#"{"address_removed":"email"}"#]);
    })
    .await;
}

#[tokio::test]
async fn only_a_planned_message_of_ones_own_can_be_steered() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let id = "C-1".into();
        let due = after_s(3_600);
        let n = planned(store, "e1", "T-1", due).await;
        let next = async || store.planned_for(&id, 10).await.expect("the store")[0].next_at;
        let steer = async |customer: &str, id: &NotificationId, steer| {
            store.steer(&customer.into(), id, steer, monday()).await
        };
        assert_eq!(next().await, due);
        let other = steer("C-2", &n.id, Steer::Now).await;
        assert!(matches!(other, Err(StoreError::NotFound { .. })), "{other:?}");
        steer("C-1", &n.id, Steer::MoveTo(after_s(7_200))).await.expect("planned");
        assert_eq!(next().await, after_s(7_200));
        let late = steer("C-1", &n.id, Steer::MoveTo(n.expires_at)).await;
        assert!(matches!(late, Err(StoreError::Refused(_))), "{late:?}");
        steer("C-1", &n.id, Steer::Now).await.expect("planned");
        assert_eq!(next().await, monday());
        steer("C-1", &n.id, Steer::Mute).await.expect("planned");
        assert_eq!(status(store, &n.id).await, Status::Suppressed);
        let over = steer("C-1", &n.id, Steer::Now).await;
        assert!(matches!(over, Err(StoreError::NotFound { .. })), "{over:?}");
        assert!(store.planned_for(&id, 10).await.expect("the store").is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_history_holds_what_was_told_with_its_reasons_within_its_bounds() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let n = told(store, "e1", "T-1").await;
        let id = "C-1".into();
        let read = async |since, until| {
            store.history_of(&id, since, until, 10).await.expect("the store is there")
        };
        let day = TimeDelta::days(1);
        let past = read(monday() - day, monday() + day).await;
        assert_eq!(past.len(), 1);
        assert_eq!((past[0].notification.id, past[0].channel.as_deref()), (n.id, Some("email")));
        assert!(past[0].address.is_some() && !past[0].reasons.is_empty());
        assert!(read(monday(), monday() + day).await.is_empty());
        assert!(read(monday() - day, monday() - day).await.is_empty());
        let cases = store.cases_of(&id, 10).await.expect("the store");
        assert_eq!(cases.len(), 1);
        let mine = async |id: &str| {
            store.is_case_of(&CaseId("T-1".into()), &id.into()).await.expect("the store")
        };
        assert!(mine("C-1").await && !mine("C-2").await);
    })
    .await;
}

#[tokio::test]
async fn a_call_is_promised_moved_kept_late_or_taken_back_and_a_window_has_its_room() {
    on_both(async |bed| {
        let store = &bed.store;
        let ask = async |id: &str, from: Option<i64>, to: i64| {
            let wish = Wish {
                customer: id.into(),
                case: None,
                from: from.map(after_s),
                to: after_s(to),
                detail: format!("Call {id}."),
                room: 1,
            };
            store.ask_for_callback(wish, monday()).await
        };
        let open = async |id: &str| store.open_callback(&id.into()).await.expect("the store");
        let finish = async |at: i64| {
            let task = store.open_tasks(0, 1).await.expect("the store").remove(0);
            store.finish_task(task.seq, "an agent", after_s(at)).await.expect("open");
        };
        ask("C-1", None, 60).await.expect("promised");
        ask("C-1", Some(900), 1_800).await.expect("moved");
        assert_eq!(open("C-1").await.expect("one").from_ms, after_s(900).timestamp_millis());
        let full = ask("C-2", Some(900), 1_800).await;
        assert!(matches!(full, Err(StoreError::Refused(_))), "{full:?}");
        assert!(open("C-2").await.is_none());
        let taken = store.taken_windows(monday(), after_s(3_600)).await.expect("the store");
        assert_eq!(taken, [(after_s(900).timestamp_millis(), 1)]);
        store.cancel_callback(&"C-1".into(), monday()).await.expect("the store");
        assert!(open("C-1").await.is_none());
        assert!(store.open_tasks(0, 10).await.expect("the store").is_empty());
        for (at, id) in [(60, "C-1"), (61, "C-2")] {
            ask(id, None, 60).await.expect("promised");
            finish(at).await;
            assert!(open(id).await.is_none());
        }
        let kept = store.kept_callbacks().await.expect("the store");
        assert_eq!((kept.kept, kept.ended), (1, 2));
    })
    .await;
}

#[tokio::test]
async fn the_wait_is_what_was_said_last_for_four_hours() {
    on_both(async |bed| {
        let store = &bed.store;
        let wait = async |now| {
            let wait = store.wait_time(Channel::Voice, now).await.expect("the store");
            wait.map(|wait| (wait.shortest_s, wait.longest_s))
        };
        assert_eq!(wait(monday()).await, None);
        store.set_wait_time(Channel::Voice, 60, 120, monday()).await.expect("kept");
        store.set_wait_time(Channel::Voice, 90, 180, after_s(5)).await.expect("kept");
        store.set_wait_time(Channel::Sms, 1, 2, after_s(6)).await.expect("kept");
        assert_eq!(wait(after_s(7)).await, Some((90, 180)));
        assert_eq!(wait(after_s(4 * 3_600 + 5)).await, Some((90, 180)));
        assert_eq!(wait(after_s(4 * 3_600 + 6)).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_not_held_moves_once_and_is_late_or_missed_for_good() {
    on_both(async |bed| {
        let store = &bed.store;
        let id: CustomerId = "C-1".into();
        let wish = |from: Option<i64>, to: i64| Wish {
            customer: id.clone(),
            case: None,
            from: from.map(after_s),
            to: after_s(to),
            detail: "Call C-1.".into(),
            room: 1,
        };
        let open = async || store.open_callback(&id).await.expect("the store");
        let overdue = async |at| store.overdue_callbacks(after_s(at), 10).await.expect("the store");
        store.ask_for_callback(wish(None, 60), monday()).await.expect("promised");
        assert!(overdue(60).await.is_empty());
        assert_eq!(overdue(61).await, std::slice::from_ref(&id));
        let call = open().await.expect("promised");
        let next = Some(wish(Some(900), 1_800));
        let moved = async |next| {
            store.end_try((&id, call), Unheld::Overdue, next, "Late.", after_s(61)).await
        };
        assert!(moved(next.clone()).await.expect("the store"));
        assert!(!moved(next).await.expect("the store"), "it is over already");
        let call = open().await.expect("moved");
        assert_eq!((call.tries, call.from_ms), (1, after_s(900).timestamp_millis()));
        assert_eq!(store.open_tasks(0, 10).await.expect("the store")[0].detail, "Late.");
        let done = store.end_try((&id, call), Unheld::NotReached, None, "Write.", after_s(950));
        assert!(done.await.expect("the store"));
        assert!(open().await.is_none() && overdue(9_999).await.is_empty());
        assert_eq!(store.open_tasks(0, 10).await.expect("the store")[0].detail, "Write.");
        let kept = store.kept_callbacks().await.expect("the store");
        assert_eq!((kept.kept, kept.ended), (0, 1), "the first promise was broken");
    })
    .await;
}

#[tokio::test]
async fn a_call_moves_into_no_window_that_is_full() {
    on_both(async |bed| {
        let store = &bed.store;
        let wish = |id: &str, from: Option<i64>| Wish {
            customer: id.into(),
            case: None,
            from: from.map(after_s),
            to: after_s(1_800),
            detail: String::new(),
            room: 1,
        };
        store.ask_for_callback(wish("C-1", Some(900)), monday()).await.expect("promised");
        store.ask_for_callback(wish("C-2", None), monday()).await.expect("promised");
        let id: CustomerId = "C-2".into();
        let call = store.open_callback(&id).await.expect("the store").expect("one");
        let next = Some(wish("C-2", Some(900)));
        let full = store.end_try((&id, call), Unheld::Overdue, next, "", after_s(61)).await;
        assert!(matches!(full, Err(StoreError::Refused(_))), "{full:?}");
        let still = store.open_callback(&id).await.expect("the store");
        assert_eq!(still.map(|call| call.seq), Some(call.seq), "nothing was changed");
    })
    .await;
}

#[tokio::test]
async fn addresses_that_their_owners_stopped_are_listed_until_they_start_again() {
    on_both(async |bed| {
        let store = &bed.store;
        let listed = async |at| {
            let stopped = store.stopped(Channel::Sms, after_s(at)).await.expect("the store");
            let line =
                |s: tidings::store::suppressions::Stopped| format!("{} {}", s.address, s.source);
            stopped.into_iter().map(line).collect::<Vec<_>>()
        };
        let number = |text| Address::parse(Channel::Sms, text).expect("valid");
        let (one, two, bad) =
            (number("+447911123456"), number("+447911123457"), number("+447911123458"));
        for (address, source) in [(&one, "stop"), (&two, "carrier"), (&bad, "twilio")] {
            let done = store.suppress(Channel::Sms, address, "no", source, after_s(1));
            done.await.expect("kept");
        }
        assert!(listed(0).await.is_empty());
        assert_eq!(listed(1).await, ["+447911123456 stop", "+447911123457 carrier"]);
        store.lift_suppression(Channel::Sms, &two, "stop", after_s(2)).await.expect("lifted");
        store.lift_suppression(Channel::Sms, &bad, "stop", after_s(2)).await.expect("the store");
        assert_eq!(listed(3).await, ["+447911123456 stop"]);
    })
    .await;
}

#[tokio::test]
async fn whether_anything_is_on_the_wire_to_an_address_is_known() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let any = async |address: &str| {
            let address = Address::parse(Channel::Email, address).expect("valid");
            store.any_on_the_wire_to(Channel::Email, &address).await.expect("the store")
        };
        assert!(!any("ada@example.com").await);
        let no = opened(store, &held).await.no;
        assert!(any("Ada@Example.com").await && !any("bob@example.com").await);
        store.close_attempts(vec![closing(&held, no)], after_s(2)).await.expect("recorded");
        assert!(!any("ada@example.com").await);
    })
    .await;
}
