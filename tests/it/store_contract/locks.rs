//! Who waits for whom on PostgreSQL: one side is held up by a transaction written by hand, so
//! that every order is tried and none is left to chance.

use std::sync::Arc;

use sqlx::{Connection, PgConnection};
use tidings::domain::customer::AddressFault;
use tidings::domain::{CaseChoice, CaseId, Channel, CustomerId, Status};
use tidings::store::attempts::AttemptState;
use tidings::worker::seams::Seams;
use tokio::task::JoinHandle;

use crate::support::TestApp;

use super::at_once::{self, due_at_once};
use super::bed::{
    Bed, Engine, accepted, after_s, claimed, closing, created, customer, email, event, eventually,
    know, monday, notice, opened, opening, pending, planned_case, record, status,
};
use super::races::OptOut;

/// A transaction written by hand.
struct ByHand(PgConnection);

impl ByHand {
    /// Begins it with this statement.
    async fn begin(bed: &Bed, statement: &'static str) -> Self {
        let mut connection = PgConnection::connect(&bed.url).await.expect("a connection");
        sqlx::query("BEGIN").execute(&mut connection).await.expect("begun");
        sqlx::query(statement).execute(&mut connection).await.expect(statement);
        Self(connection)
    }

    /// Waits until so many others of this database wait for a lock.
    async fn until_waiting(&mut self, count: i64) {
        let connection = &mut self.0;
        eventually("others wait", async || waiting(connection).await == count).await;
    }

    async fn end(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.expect("ended");
    }
}

/// How many connections to this database wait for a lock.
async fn waiting(connection: &mut PgConnection) -> i64 {
    // What a transaction has seen of the others it sees until its end, unless told otherwise.
    let again = "SELECT pg_stat_clear_snapshot()";
    sqlx::query(again).execute(&mut *connection).await.expect("looked again");
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .fetch_one(connection)
    .await
    .expect("counted")
}

/// A choice of C-1 that has locked its customer, and waits for its version to be written.
async fn half_chosen(bed: &Bed) -> (ByHand, JoinHandle<()>) {
    let mut by_hand = ByHand::begin(
        bed,
        "INSERT INTO customer_version (customer_id, revision, at_ms, source, body)
         VALUES ('C-1', 2, 0, 'by hand', '{}')",
    )
    .await;
    let other = bed.another().await;
    let chooses = tokio::spawn(async move {
        let id: CustomerId = "C-1".into();
        let done = other.choose(&id, "centre", monday(), |chosen| chosen.discreet = Some(true));
        done.await.expect("known");
    });
    by_hand.until_waiting(1).await;
    (by_hand, chooses)
}

#[tokio::test]
async fn an_opt_out_waits_for_the_attempt_that_is_being_opened() {
    for opt_out in OptOut::ALL {
        println!("{opt_out:?}");
        let bed = Bed::new(Engine::Postgres).await;
        know(&bed.store, &["C-1"]).await;
        let held = claimed(&bed.store, "e1", "T-1").await;
        let read = opening(&bed.store, &held, monday()).await;
        // Opening locks the customer and the case, and waits for the notification.
        let mut by_hand = ByHand::begin(&bed, "SELECT id FROM notification FOR UPDATE").await;
        let store = bed.store.clone();
        let opens = tokio::spawn(async move { store.open_attempts(vec![read], monday()).await });
        by_hand.until_waiting(1).await;
        let other = bed.another().await;
        let opts_out = tokio::spawn(async move {
            let address = email("ada@example.com");
            opt_out.run(&other, &"C-1".into(), &"T-1".into(), &address, 1).await;
        });
        by_hand.until_waiting(2).await;
        assert!(!opts_out.is_finished(), "{opt_out:?} was answered while an attempt was opening");
        by_hand.end().await;
        let opened = opens.await.expect("no panic").expect("the store is there");
        assert_eq!(opened.len(), 1, "{opt_out:?}");
        opts_out.await.expect("no panic");
    }
}

#[tokio::test]
async fn an_attempt_waits_for_the_opt_out_that_came_before_it_and_does_not_open() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1"]).await;
    let held = claimed(&bed.store, "e1", "T-1").await;
    let read = opening(&bed.store, &held, monday()).await;
    let (mut by_hand, chooses) = half_chosen(&bed).await;
    let store = bed.store.clone();
    let opens = tokio::spawn(async move { store.open_attempts(vec![read], monday()).await });
    by_hand.until_waiting(2).await;
    by_hand.end().await;
    chooses.await.expect("no panic");
    assert_eq!(opens.await.expect("no panic").expect("the store is there"), []);
}

#[tokio::test]
async fn an_attempt_waits_for_the_event_that_came_before_it_and_does_not_open() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1"]).await;
    let held = claimed(&bed.store, "e1", "T-1").await;
    let read = opening(&bed.store, &held, monday()).await;
    // An event moves its case, and waits for its row to be written.
    let mut by_hand = ByHand::begin(
        &bed,
        "INSERT INTO event (source, id, case_id, case_type, customer_id, ordinal, occurred_at_ms,
                            accepted_at_ms, body, body_hash)
         VALUES ('desk', 'e2', 'T-9', 'ticket', 'C-1', 1, 0, 0, '{}', '')",
    )
    .await;
    let other = bed.another().await;
    let accepts =
        tokio::spawn(async move { accepted(&other, super::bed::plain("e2", "T-1")).await });
    by_hand.until_waiting(1).await;
    let store = bed.store.clone();
    let opens = tokio::spawn(async move { store.open_attempts(vec![read], monday()).await });
    by_hand.until_waiting(2).await;
    by_hand.end().await;
    accepts.await.expect("no panic");
    assert_eq!(opens.await.expect("no panic").expect("the store is there"), []);
}

#[tokio::test]
async fn a_choice_for_a_case_counts_for_whoever_the_case_passes_to() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1", "C-2"]).await;
    claimed(&bed.store, "e1", "T-1").await;
    let passed_on = event("e2", "T-1", serde_json::json!({"customer": "C-2"}));
    let seq = accepted(&bed.store, passed_on).await;
    let plan = planned_case(&pending(&bed.store, seq).await, |case, seq| {
        vec![created(notice(case, "received", seq, monday()))]
    });
    let theirs = plan.plans[0].1.create[0].notification.clone();
    // The choice knows whom it is for, and waits to be written.
    let mut by_hand = ByHand::begin(
        &bed,
        "INSERT INTO case_choice (case_id, at_ms, muted, source)
         VALUES ('T-1', 1795428001000, false, 'by hand')",
    )
    .await;
    assert_eq!(after_s(1).timestamp_millis(), 1_795_428_001_000);
    let other = bed.another().await;
    let mutes = tokio::spawn(async move {
        let (id, choice): (CaseId, _) = ("T-1".into(), CaseChoice { channel: None, muted: true });
        other.choose_for_case(&id, choice, "centre", after_s(1)).await
    });
    by_hand.until_waiting(1).await;
    let store = bed.store.clone();
    let passes_on = tokio::spawn(async move { record(&store, plan).await });
    let connection = &mut by_hand.0;
    eventually("the case passes on or waits", async || {
        passes_on.is_finished() || waiting(connection).await == 2
    })
    .await;
    let held = bed.store.claim(&[theirs.id], "me", monday()).await.expect("the store is there");
    let mut read = Vec::new();
    for held in &held {
        read.push(opening(&bed.store, held, monday()).await);
    }
    by_hand.end().await;
    mutes.await.expect("no panic").expect("known");
    assert!(passes_on.await.expect("no panic"));
    let opened = bed.store.open_attempts(read, monday()).await.expect("it is there");
    assert_eq!(opened, [], "decided before the case was muted");
}

#[tokio::test]
async fn an_address_that_is_suppressed_as_it_arrives_is_decided_anew() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1"]).await;
    let held = claimed(&bed.store, "e1", "T-1").await;
    let no = opened(&bed.store, &held).await.no;
    // The closing suppresses the address, and waits for its task to be written.
    let mut by_hand = ByHand::begin(
        &bed,
        "INSERT INTO task (key, kind, detail, opened_at_ms)
         SELECT 'not_told/' || id, '', '', 0 FROM notification",
    )
    .await;
    let other = bed.another().await;
    let suppresses = tokio::spawn(async move {
        let mut refused = closing(&held, no);
        (refused.attempt, refused.status) = (AttemptState::Refused, Status::Failed);
        refused.task = Some("no channel is left");
        refused.detail = "no".into();
        refused.suppress = Some((Channel::Email, email("ada@example.com"), AddressFault::Unusable));
        other.close_attempts(vec![refused], monday()).await
    });
    by_hand.until_waiting(1).await;
    let store = bed.store.clone();
    let arrives = tokio::spawn(async move {
        let record = customer("C-2", serde_json::json!({}));
        store.import_customers(vec![record], "crm", monday()).await
    });
    let connection = &mut by_hand.0;
    eventually("the customer arrives or waits", async || {
        arrives.is_finished() || waiting(connection).await == 2
    })
    .await;
    let read = bed.store.customer(&"C-2".into(), monday()).await.ok();
    by_hand.end().await;
    suppresses.await.expect("no panic").expect("the store is there");
    arrives.await.expect("no panic").expect("the store is there");
    let now = bed.store.customer(&"C-2".into(), monday()).await.expect("known");
    assert_eq!(now.contact_points[0].suppressed.as_deref(), Some("no"));
    // Who was read without the suppression must not look the same as with it.
    if let Some(read) = read {
        assert_ne!(read.revision, now.revision);
    }
}

#[tokio::test]
async fn a_plan_that_opens_waits_for_the_opt_out_that_came_before_it_and_only_claims() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1"]).await;
    let (planned, n) = due_at_once(&bed.store, "e1", "T-1").await;
    let (mut by_hand, chooses) = half_chosen(&bed).await;
    let (store, due) = (bed.store.clone(), n.clone());
    let plans = tokio::spawn(async move { at_once::record(&store, vec![planned], &[&due]).await });
    by_hand.until_waiting(2).await;
    by_hand.end().await;
    chooses.await.expect("no panic");
    let recorded = plans.await.expect("no panic");
    assert_eq!((recorded.claimed.len(), recorded.opened.len()), (1, 0));
}

#[tokio::test]
async fn an_opt_out_waits_for_the_plan_that_opens_an_attempt() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1"]).await;
    let (planned, n) = due_at_once(&bed.store, "e1", "T-1").await;
    let mut by_hand = ByHand::begin(&bed, "SELECT id FROM cases FOR UPDATE").await;
    let (store, due) = (bed.store.clone(), n.clone());
    let plans = tokio::spawn(async move { at_once::record(&store, vec![planned], &[&due]).await });
    by_hand.until_waiting(1).await;
    let other = bed.another().await;
    let chooses = tokio::spawn(async move {
        let id: CustomerId = "C-1".into();
        let done = other.choose(&id, "centre", monday(), |chosen| chosen.discreet = Some(true));
        done.await.expect("known");
        other.any_on_the_wire(&id).await.expect("the store is there")
    });
    by_hand.until_waiting(2).await;
    by_hand.end().await;
    assert_eq!(plans.await.expect("no panic").opened.len(), 1);
    assert!(chooses.await.expect("no panic"), "who opts out sees what is on the wire");
}

#[tokio::test]
async fn what_is_taken_back_waits_for_the_plan_whose_answer_was_lost() {
    let bed = Bed::new(Engine::Postgres).await;
    know(&bed.store, &["C-1"]).await;
    let (planned, n) = due_at_once(&bed.store, "e1", "T-1").await;
    // The plan has written everything but the attempt, which waits for this one.
    let same = format!(
        "INSERT INTO attempt (notification_id, no, channel, provider, address, opened_at_ms,
                              because, versions, body_hash, parts, state)
         VALUES ('{}', 1, 'email', 'smtp', '', 0, '[]', '{{}}', '', 1, 'open')",
        n.id
    );
    let mut by_hand = ByHand::begin(&bed, same.leak()).await;
    let (store, due) = (bed.store.clone(), n.clone());
    let plans = tokio::spawn(async move { at_once::record(&store, vec![planned], &[&due]).await });
    by_hand.until_waiting(1).await;
    let (other, claims, cases) = (bed.another().await, [(n.id, n.epoch)], [n.case.clone()]);
    let takes_back =
        tokio::spawn(async move { other.take_back_plans(&claims, &cases, "me", after_s(1)).await });
    by_hand.until_waiting(2).await;
    by_hand.end().await;
    assert_eq!(plans.await.expect("no panic").opened.len(), 1);
    takes_back.await.expect("no panic").expect("the store is there");
    assert_eq!(status(&bed.store, &n.id).await, Status::Planned, "nobody sends it");
}

/// The customer is read while the case has been: planned and told at once, and taken up when due.
#[tokio::test]
async fn a_case_muted_between_two_readings_is_not_told_of() {
    for (state, due_days) in [("take_in_charge_ticket", 0), ("wait", 3)] {
        println!("{state}");
        let bed = Bed::new(Engine::Postgres).await;
        let mut app = TestApp::start().await;
        let mut settings = (*app.app.settings).clone();
        settings.store.url.clone_from(&bed.url);
        app.restart_with(settings, None, Seams::default()).await;
        app.ada().await;
        if due_days > 0 {
            app.event(state).await;
            app.drain().await;
        }
        let told_before = app.smtp.taken().len();
        let mut by_hand =
            ByHand::begin(&bed, "LOCK TABLE contact_point IN ACCESS EXCLUSIVE MODE").await;
        app.app.engine.clock.advance_to(after_s(due_days * 86_400));
        if due_days == 0 {
            app.event(state).await;
        }
        let engine = Arc::clone(&app.app.engine);
        let works = tokio::spawn(async move { engine.run_until_idle().await });
        by_hand.until_waiting(1).await;
        let muted = CaseChoice { channel: None, muted: true };
        let case: CaseId = "T-1".into();
        let chosen = app.store().choose_for_case(&case, muted, "centre", app.now());
        chosen.await.expect("known");
        by_hand.end().await;
        works.await.expect("no panic").expect("the store is there");
        app.drain().await;
        assert_eq!(app.smtp.taken().len(), told_before, "{state}");
        app.end().await;
    }
}
