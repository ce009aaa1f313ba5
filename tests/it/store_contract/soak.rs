//! Everybody writes at once: four processes, every kind of write, the same few customers and
//! cases, chosen by a seed. Whatever they do to one another, no two may wait for each other,
//! and at the end the sums add up.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidings::domain::customer::AddressFault;
use tidings::domain::notification::Lane;
use tidings::domain::plan::{NewTask, TaskKind};
use tidings::domain::quota::{Cap, HOUR_MS, Most, Quota};
use tidings::domain::time::Instant;
use tidings::domain::{CaseChoice, CaseId, Channel, CustomerId, Notification, Reason, Status};
use tidings::store::attempts::AttemptState;
use tidings::store::notifications::EndOfClaim;
use tidings::store::opening::Opening;
use tidings::store::receipts::{Receipt, ReceiptOutcome};
use tidings::store::{Result, Store, StoreError};

use crate::support::postgres::PostgresServer;

use super::bed::{
    Bed, Engine, after_s, apply_receipts, ask_for_call, bare_opening, closing, created, customer,
    email, event, notice, opening, planned_case,
};

const CUSTOMERS: usize = 6;
const CASES: usize = 8;

/// What all messages count against.
fn range_of_all() -> Quota {
    let (cap, most) = (Cap::PerPrefixPerHour, Most::Messages(1_000));
    Quota { cap, name: "range:all".into(), length_ms: HOUR_MS, most }
}

/// One of the writers.
struct Writer {
    store: Store,
    name: String,
    chance: StdRng,
    /// How many events it has told.
    told: usize,
}

impl Writer {
    fn customer(&mut self) -> CustomerId {
        CustomerId(format!("C-{}", self.chance.random_range(0..CUSTOMERS)))
    }

    fn case(&mut self) -> CaseId {
        CaseId(format!("T-{}", self.chance.random_range(0..CASES)))
    }

    /// One of two addresses that the customers share.
    fn address(&mut self) -> tidings::domain::customer::Address {
        email(if self.chance.random() { "ada@example.com" } else { "eve@example.com" })
    }

    async fn write(&mut self, now: Instant) -> Result<()> {
        match self.chance.random_range(0..16) {
            0..=2 => self.tell(now).await,
            3..=4 => self.plan(now).await,
            5..=7 => self.dispatch(now).await,
            8 => self.import(now).await,
            9 => {
                let (id, cap) = (self.customer(), self.chance.random_range(1..9));
                found(
                    self.store.choose(&id, "centre", now, move |c| c.cap_per_day = Some(cap)).await,
                )
            }
            10 => {
                let (case, muted) = (self.case(), self.chance.random());
                let choice = CaseChoice { channel: None, muted };
                found(self.store.choose_for_case(&case, choice, "agent", now).await)
            }
            11 => {
                let address = self.address();
                self.store.suppress(Channel::Email, &address, "stop", "stop", now).await?;
                self.store.lift_suppression(Channel::Email, &address, "stop", now).await
            }
            12 => {
                let id = self.customer();
                found(self.store.erase(&id, "agent", now).await)
            }
            13 => {
                self.store.reap(now, now).await?;
                let taken = self.store.take_due(Lane::Bulk, now, 5).await?;
                let guessed: Vec<_> = taken.into_iter().map(|id| (id, 1)).collect();
                self.store.renew_leases(&guessed, now).await?;
                self.store.ring_lost(now).await
            }
            14 => self.receive(now).await,
            _ => self.operate(now).await,
        }
    }

    /// Events, also told before by somebody else, perhaps under another case.
    async fn tell(&mut self, now: Instant) -> Result<()> {
        let mut batch = Vec::new();
        for _ in 0..self.chance.random_range(1..12) {
            self.told += 1;
            let n = self.chance.random_range(self.told.saturating_sub(5)..self.told + 20);
            let (who, case) = (self.customer(), self.case());
            batch.push(event(&format!("e{n}"), case.as_str(), json!({"customer": who.as_str()})));
        }
        self.store.accept_events(batch, now).await.map(drop)
    }

    async fn plan(&mut self, now: Instant) -> Result<()> {
        let seqs = self.store.unplanned_events(now, 50).await?;
        let found = self.store.pending_cases(&seqs, true).await?;
        let customers = found.iter().map(|case| &case.events[0].event.customer);
        let known = self.store.customers(customers, now).await?;
        let (mut plans, mut claim, mut at_once) = (Vec::new(), HashSet::new(), Vec::new());
        for case in &found {
            let first = &case.events[0];
            if !known.contains_key(&first.event.customer) {
                let far = after_s(1_000_000);
                let task = NewTask {
                    key: format!("unknown_customer/{}", first.event.customer),
                    kind: TaskKind::UnknownCustomer,
                    detail: String::new(),
                };
                self.store.wait_for_customer(&case.id, first, far, Some(task), now).await?;
                continue;
            }
            let mut planned = planned_case(case, |case, seq| {
                let mut said_once = created(notice(case, "welcome", 0, now));
                said_once.notification.id = tidings::domain::NotificationId::derive(
                    case.customer.as_str(),
                    "welcome",
                    "once",
                    0,
                );
                said_once.once_per_customer = true;
                vec![created(notice(case, "received", seq, now)), said_once]
            });
            for (seq, plan, _) in &mut planned.plans {
                claim.extend(
                    plan.create.iter().map(|c| c.notification.id).filter(|_| *seq % 3 == 0),
                );
                plan.task = Some(NewTask {
                    key: format!("unknown_state/{}", *seq % 4),
                    kind: TaskKind::UnknownState,
                    detail: String::new(),
                });
                plan.settle.extend(case.notifications.iter().take(2).map(|n| {
                    tidings::domain::plan::Settled {
                        id: n.id,
                        status: Status::Superseded,
                        reasons: vec![Reason::RuleRemoved],
                    }
                }));
            }
            if let [(seq, plan, _)] = planned.plans.as_slice()
                && *seq % 3 == 0
            {
                let first = plan.create[0].notification.clone();
                let claimed = Notification { epoch: 1, ..first };
                planned.opening = Some(Opening {
                    case_revision: plan.case.revision,
                    customer_revision: known[&claimed.customer].revision,
                    quotas: vec![range_of_all()],
                    ..bare_opening(&claimed)
                });
                at_once.push(claimed);
            }
            plans.push(planned);
        }
        let recorded = self.store.record_plans(plans, claim, &self.name, now).await?;
        // Of some of them nobody ever hears again.
        let opened = recorded.opened.into_iter().filter(|_| self.chance.random());
        let closings = opened.map(|opened| {
            let notification = at_once.iter().find(|n| n.id == opened.id).expect("asked for");
            closing(notification, opened.no)
        });
        let closings = closings.collect();
        self.store.close_attempts(closings, now).await
    }

    async fn dispatch(&mut self, now: Instant) -> Result<()> {
        let mut due = self.store.take_due(Lane::Bulk, now, 20).await?;
        due.reverse();
        let claimed = self.store.claim(&due, &self.name, now).await?;
        let (mut openings, mut held) = (Vec::new(), Vec::new());
        for notification in claimed {
            match self.chance.random_range(0..6) {
                0 => self.store.release(&[(notification.id, notification.epoch)], now).await?,
                1 => {
                    let end = EndOfClaim {
                        status: Status::Expired,
                        next_at: now,
                        reasons: vec![Reason::Expired { at: now }],
                        versions: json!({}),
                        task: Some("it came too late"),
                        held: None,
                        followers: Vec::new(),
                        notification,
                    };
                    self.store.end_claims(vec![end], now).await?;
                }
                _ => {
                    openings.push(opening(&self.store, &notification, now).await);
                    held.push(notification);
                }
            }
        }
        let opened = self.store.open_attempts(openings, now).await?;
        let mut closings = Vec::new();
        for opened in opened {
            let notification = held.iter().find(|n| n.id == opened.id).expect("it was asked for");
            let mut ends = closing(notification, opened.no);
            if self.chance.random_range(0..3) == 0 {
                (ends.attempt, ends.status) = (AttemptState::Refused, Status::Failed);
                ends.suppress = Some((Channel::Email, self.address(), AddressFault::Unusable));
                ends.task = Some("no channel is left");
            }
            closings.push(ends);
        }
        self.store.close_attempts(closings, now).await
    }

    async fn import(&mut self, now: Instant) -> Result<()> {
        let mut records = Vec::new();
        for _ in 0..3 {
            let (who, address) = (self.customer(), self.address());
            let points = json!([{"channel": "email", "address": address.expose()}]);
            let name = format!("Ada {}", self.chance.random_range(0..9));
            let more = json!({"name": name, "contact_points": points});
            records.push(customer(who.as_str(), more));
        }
        self.store.import_customers(records, "crm", now).await.map(drop)
    }

    async fn receive(&mut self, now: Instant) -> Result<()> {
        let address = self.address();
        for told in self.store.told_at(Channel::Email, &address, 5).await? {
            let outcome = match self.chance.random_range(0..3) {
                0 => ReceiptOutcome::Taken,
                1 => ReceiptOutcome::Delivered,
                _ => ReceiptOutcome::Undelivered,
            };
            let receipt = Receipt {
                notification: told.id,
                no: told.attempts,
                provider: "smtp",
                provider_ref: "ref".into(),
                outcome,
                detail: String::new(),
                suppress: (outcome == ReceiptOutcome::Undelivered)
                    .then_some(AddressFault::Unusable),
                again_at: None,
            };
            self.store.keep_receipt(receipt, now).await?;
        }
        apply_receipts(&self.store, now).await.map(drop)
    }

    async fn operate(&mut self, now: Instant) -> Result<()> {
        for doubt in self.store.doubts_due(now, 5).await? {
            let (status, reasons) = (Status::Planned, vec![Reason::SentAgainInDoubt]);
            self.store
                .settle_doubt(&doubt.notification, status, reasons, None, Vec::new(), now)
                .await?;
        }
        let filter = tidings::store::console::Filter { limit: 400, ..Default::default() };
        let all = self.store.notifications(&filter).await?;
        if !all.is_empty() {
            let one = &all[self.chance.random_range(0..all.len())];
            let id = tidings::domain::NotificationId::parse(&one.id).expect("an id");
            found(self.store.cancel(&id, &self.name, now).await)?;
            found(self.store.retry(&id, &self.name, now).await)?;
        }
        if let Some(task) = self.store.open_tasks(0, 1).await?.first() {
            found(self.store.finish_task(task.seq, &self.name, now).await)?;
        }
        let id = self.customer();
        ask_for_call(&self.store, &id, now).await
    }
}

/// What nobody can do to somebody who is not there is no fault.
fn found(done: Result<()>) -> Result<()> {
    match done {
        Err(StoreError::NotFound { .. } | StoreError::Refused(_)) => Ok(()),
        done => done,
    }
}

/// Runs eight writers in four processes, each with so many writes.
async fn soak(bed: &Bed, seed: u64, writes: i64) {
    let [two, three, four] = bed.others().await;
    let stores = [bed.store.clone(), two, three, four];
    let writers = (0..8_usize).map(|n| {
        let mut writer = Writer {
            store: stores[n % 4].clone(),
            name: format!("writer {n}"),
            chance: StdRng::seed_from_u64(seed * 100 + n as u64),
            told: 0,
        };
        tokio::spawn(async move {
            for n in 0..writes {
                // Eight seconds pass from write to write: leases run out.
                let now = after_s(8 * n);
                let done = writer.write(now).await;
                done.unwrap_or_else(|error| {
                    let log = PostgresServer::shared().log();
                    panic!("seed {seed}, {}: {error}\n{log}", writer.name)
                });
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.expect("no fault");
    }
}

/// A short set; with `SOAK_SEEDS=100..200` that long one, on PostgreSQL.
fn rounds() -> Vec<(Engine, u64, i64)> {
    let short = [(Engine::Postgres, 1, 60), (Engine::Postgres, 2, 60), (Engine::Sqlite, 3, 30)];
    let Ok(seeds) = std::env::var("SOAK_SEEDS") else { return short.to_vec() };
    let (from, to) = seeds.split_once("..").expect("SOAK_SEEDS=100..200");
    let [from, to] = [from, to].map(|n| n.parse().expect("SOAK_SEEDS=100..200"));
    (from..to).map(|seed: u64| (Engine::Postgres, seed, 60)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_writers_do_to_one_another_none_gives_way_and_the_sums_add_up() {
    for (engine, seed, writes) in rounds() {
        println!("on {engine:?}, seed {seed}");
        let bed = Bed::new(engine).await;
        soak(&bed, seed, writes).await;
        let store = &bed.store;
        let summary = store.summary().await.expect("the store is there");
        assert!(summary.balance.adds_up(), "{:?}", summary.balance);
        assert!(summary.balance.accepted > 10, "{:?}", summary.balance);
        // Every version of a customer is one of a kind, and none was left out of the sum.
        for n in 0..CUSTOMERS {
            let id = CustomerId(format!("C-{n}"));
            let versions = store.customer_versions(&id).await.expect("the store is there");
            assert!(versions.windows(2).all(|pair| pair[0].revision < pair[1].revision));
        }
        // Whatever is still held comes back, and what is left can be planned to its end.
        let late = after_s(100_000);
        store.reap(late, late).await.expect("the store is there");
        loop {
            let seqs = store.unplanned_events(late, 500).await.expect("the store is there");
            if seqs.is_empty() {
                break;
            }
            let found = store.pending_cases(&seqs, false).await.expect("the store is there");
            let plans: Vec<_> =
                found.iter().map(|case| planned_case(case, |_, _| vec![])).collect();
            let planned = plans.len();
            let won = store.record_plans(plans, HashSet::new(), "me", late).await;
            assert_eq!(won.expect("the store is there").won.len(), planned, "ordinals have a gap");
        }
    }
}
