//! The hand-over: written down before the provider hears of it, closed with what it said.

use chrono::TimeDelta;
use serde_json::json;
use tidings::domain::customer::AddressFault;
use tidings::domain::{Channel, Reason, Status};
use tidings::store::attempts::AttemptState;
use tidings::store::opening::Opened;

use super::bed::{
    accepted, after_s, claimed, closing, created, email, know, monday, notice, on_both, opened,
    opening, plain, status,
};

#[tokio::test]
async fn an_attempt_is_written_down_as_it_opens_and_opens_once() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = claimed(store, "e1", "T-1").await;
        let opening = opening(store, &claimed, monday()).await;
        let open = async || {
            store.open_attempts(vec![opening.clone()], after_s(1)).await.expect("it is there")
        };
        assert_eq!(open().await, [Opened { id: claimed.id, no: 1, on_channel: 1 }]);
        assert_eq!(open().await, []);
        let detail = store.notification(&claimed.id).await.expect("it is there");
        assert_eq!(detail.notification.status, "sending");
        let [attempt] = &detail.attempts[..] else { panic!("{:?}", detail.attempts) };
        assert_eq!((attempt.no, &*attempt.channel, &*attempt.provider), (1, "email", "smtp"));
        assert_eq!((&*attempt.address, &*attempt.state), ("ada@example.com", "open"));
        assert_eq!(attempt.opened_at_ms, after_s(1).timestamp_millis());
        assert_eq!((&*attempt.body_hash, attempt.parts), ("ab", 1));
        assert_eq!(store.open_attempts(Vec::new(), monday()).await.expect("it is there"), []);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_opens_only_on_the_customer_the_case_and_the_claim_that_were_read() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = claimed(store, "e1", "T-1").await;
        let read = opening(store, &claimed, monday()).await;
        let opens = async |opening, at_s| {
            let opened = store.open_attempts(vec![opening], after_s(at_s)).await;
            !opened.expect("the store is there").is_empty()
        };
        let mut stale = read.clone();
        stale.epoch += 1;
        assert!(!opens(stale, 0).await, "another claim");
        let mut stale = read.clone();
        stale.customer_revision -= 1;
        assert!(!opens(stale, 0).await, "another customer");
        let mut stale = read.clone();
        stale.case_revision += 1;
        assert!(!opens(stale, 0).await, "another case");
        assert!(!opens(read.clone(), 30).await, "the lease has run out");

        store
            .choose(&"C-1".into(), "centre", monday(), |c| c.discreet = Some(true))
            .await
            .expect("known");
        assert!(!opens(read.clone(), 0).await, "the customer chose since");
        let read = opening(store, &claimed, monday()).await;
        accepted(store, plain("e2", "T-1")).await;
        assert!(!opens(read, 0).await, "the case has moved on, though nothing is planned of it");
        assert!(store.notification(&claimed.id).await.expect("it is there").attempts.is_empty());
    })
    .await;
}

#[tokio::test]
async fn of_a_batch_those_open_whose_reading_still_holds() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let mut openings = Vec::new();
        for n in 0..6 {
            let claimed = claimed(store, &format!("e{n}"), &format!("T-{n}")).await;
            let mut opening = opening(store, &claimed, monday()).await;
            opening.epoch += i64::from(n % 2 == 0);
            openings.push(opening);
        }
        let wanted: Vec<_> =
            [1, 3, 5].map(|n| Opened { id: openings[n].id, no: 1, on_channel: 1 }).to_vec();
        let opened = store.open_attempts(openings, monday()).await.expect("the store is there");
        assert_eq!(opened, wanted);
    })
    .await;
}

#[tokio::test]
async fn what_was_handed_over_is_told() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let told = super::bed::told(store, "e1", "T-1").await;
        assert_eq!((told.status, told.attempts), (Status::Sent, 1));
        let detail = store.notification(&told.id).await.expect("it is there");
        assert_eq!(detail.notification.told_at_ms, Some(monday().timestamp_millis()));
        let attempt = &detail.attempts[0];
        assert_eq!((&*attempt.state, attempt.provider_ref.as_deref()), ("sent", Some("ref-1")));
        assert_eq!(attempt.detail.as_deref(), Some("250 OK"));
        assert_eq!(attempt.closed_at_ms, Some(monday().timestamp_millis()));
        assert!(detail.decisions.is_empty(), "a hand-over explains itself");
        let summary = store.summary().await.expect("the store is there");
        assert_eq!((summary.balance.told, summary.by_channel["email"]), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn attempts_are_counted_over_all_and_per_channel() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let mut held = claimed(store, "e1", "T-1").await;
        let mut numbers = Vec::new();
        for channel in [Channel::Sms, Channel::Sms, Channel::Email] {
            let mut opening = opening(store, &held, monday()).await;
            opening.channel = channel;
            let opened = store.open_attempts(vec![opening], monday()).await.expect("it is there");
            numbers.push((opened[0].no, opened[0].on_channel));
            let mut again = closing(&held, opened[0].no);
            (again.attempt, again.status) = (AttemptState::Deferred, Status::Planned);
            store.close_attempts(vec![again], monday()).await.expect("it is there");
            held = store.claim(&[held.id], "me", monday()).await.expect("it is there").remove(0);
        }
        assert_eq!(numbers, [(1, 1), (2, 2), (3, 1)]);
        assert_eq!(held.claims, 1, "claims that led to an attempt are not counted against it");
    })
    .await;
}

#[tokio::test]
async fn a_refusal_leaves_its_reasons_a_task_and_an_address_that_is_not_used_again() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1", "C-2"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let no = opened(store, &held).await.no;
        let mut refused = closing(&held, no);
        (refused.attempt, refused.status) = (AttemptState::Refused, Status::Failed);
        refused.failed_channels = vec![Channel::Email];
        refused.reasons = vec![Reason::Refused {
            channel: Channel::Email,
            detail: "550 \"no\" such\\user".into(),
        }];
        refused.task = Some("every channel failed");
        refused.detail = "550 no such user".into();
        let address = email("ada@example.com");
        refused.suppress = Some((Channel::Email, address, AddressFault::Unusable));
        store.close_attempts(vec![refused], after_s(2)).await.expect("the store is there");

        let now = store.one_notification(&held.id).await.expect("it is there");
        assert_eq!((now.status, now.failed_channels), (Status::Failed, vec![Channel::Email]));
        let detail = store.notification(&held.id).await.expect("it is there");
        assert_eq!(detail.notification.reason.as_deref(), Some("refused"));
        assert_eq!(detail.decisions[0].what, "refused");
        assert!(detail.decisions[0].reasons.contains(r#"550 \"no\" such\\user"#));
        let tasks = store.open_tasks(0, 10).await.expect("the store is there");
        assert_eq!(tasks[0].notification_id.as_deref(), Some(&*held.id.to_string()));
        for id in ["C-1", "C-2"] {
            let customer = store.customer(&id.into(), after_s(3)).await.expect("known");
            assert_eq!(customer.contact_points[0].suppressed.as_deref(), Some("550 no such user"));
            assert_eq!(customer.revision, 2);
        }
    })
    .await;
}

#[tokio::test]
async fn the_next_of_a_repeat_is_planned_with_the_closing() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let no = opened(store, &held).await.no;
        let case = store.cases([&"T-1".into()]).await.expect("it is there").remove(&"T-1".into());
        let mut next = notice(&case.expect("known").case, "received-again", 77, after_s(900));
        next.event_seq = None;
        let mut closing = closing(&held, no);
        closing.followers = vec![created(next.clone())];
        store.close_attempts(vec![closing.clone()], monday()).await.expect("it is there");
        assert_eq!(store.one_notification(&next.id).await.expect("it is there"), next);
        // The same closing once more changes nothing.
        store.close_attempts(vec![closing], monday()).await.expect("it is there");
        assert_eq!(status(store, &held.id).await, Status::Sent);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_was_reaped_meanwhile_stays_in_doubt() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let no = opened(store, &held).await.no;
        let late = after_s(31);
        let reaped = store.reap(late, late + TimeDelta::minutes(5)).await.expect("it is there");
        assert_eq!(reaped, (0, 1));
        store.close_attempts(vec![closing(&held, no)], late).await.expect("the store is there");
        let detail = store.notification(&held.id).await.expect("it is there");
        assert_eq!(
            (&*detail.notification.status, &*detail.attempts[0].state),
            ("in_doubt", "in_doubt")
        );
        assert_eq!(detail.notification.told_at_ms, None);
    })
    .await;
}

#[tokio::test]
async fn closing_ends_each_with_the_word_of_its_own() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let ends = [
            (AttemptState::Sent, Status::Sent, "sent"),
            (AttemptState::NotSent, Status::Planned, "not_sent"),
            (AttemptState::Deferred, Status::Planned, "deferred"),
            (AttemptState::Refused, Status::Failed, "refused"),
            (AttemptState::InDoubt, Status::InDoubt, "in_doubt"),
        ];
        let mut closings = Vec::new();
        for (n, (attempt, status, _)) in ends.iter().enumerate() {
            let held = claimed(store, &format!("e{n}"), &format!("T-{n}")).await;
            let no = opened(store, &held).await.no;
            closings.push(tidings::store::attempts::Closing {
                attempt: *attempt,
                status: *status,
                next_at: after_s(60),
                versions: json!({"n": n}),
                ..closing(&held, no)
            });
        }
        store.close_attempts(closings.clone(), after_s(1)).await.expect("the store is there");
        for ((_, status, word), closing) in ends.iter().zip(&closings) {
            let detail = store.notification(&closing.notification.id).await.expect("it is there");
            assert_eq!(detail.notification.status, status.as_str());
            assert_eq!(detail.attempts[0].state, *word);
            let decisions: Vec<_> = detail.decisions.iter().map(|d| d.what.as_str()).collect();
            let told = *status == Status::Sent;
            assert_eq!(decisions, if told { vec![] } else { vec![*word] });
        }
    })
    .await;
}

#[tokio::test]
async fn a_claim_whose_opening_was_not_answered_is_planned_again_opened_or_not() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let unopened = claimed(store, "e1", "T-1").await;
        let lost = claimed(store, "e2", "T-2").await;
        opened(store, &lost).await;
        let claims = [(unopened.id, unopened.epoch), (lost.id, lost.epoch)];
        let stale = claims.map(|(id, epoch)| (id, epoch - 1));
        store.take_back(&stale, after_s(2)).await.expect("the store is there");
        assert_eq!(status(store, &lost.id).await, Status::Sending, "another claim is left alone");
        store.take_back(&claims, after_s(2)).await.expect("the store is there");
        for id in [unopened.id, lost.id] {
            assert_eq!(status(store, &id).await, Status::Planned);
        }
        let detail = store.notification(&lost.id).await.expect("it is there");
        assert_eq!(detail.attempts[0].state, "not_sent");
        store.take_back(&claims, after_s(3)).await.expect("the same again changes nothing");
        assert_eq!(store.one_notification(&lost.id).await.expect("it").epoch, lost.epoch + 1);
    })
    .await;
}
