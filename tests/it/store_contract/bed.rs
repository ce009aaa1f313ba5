//! What the contract stands on: each database, empty, and values written by hand.

use std::collections::HashSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::domain::customer::{Address, CustomerRecord};
use tidings::domain::plan::{Created, Plan};
use tidings::domain::time::Instant;
use tidings::domain::{
    Case, CaseEvent, Channel, Notification, NotificationId, Reason, Status, Urgency, Zones,
};
use tidings::store::attempts::{AttemptState, Closing};
use tidings::store::callbacks::Wish;
use tidings::store::intake::{Accepted, Incoming};
use tidings::store::opening::{Opened, Opening};
use tidings::store::pending::PendingCase;
use tidings::store::plans::PlannedCase;
use tidings::store::{Result, Store};

use crate::support::damage;
use crate::support::postgres::PostgresServer;
use crate::support::{ada, at};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// One database, empty at first.
#[derive(Debug)]
pub struct Bed {
    pub engine: Engine,
    pub url: String,
    pub store: Store,
    /// Removed with the bed.
    _folder: TempDir,
}

impl Bed {
    pub async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}/store.db", folder.path().display()),
            Engine::Postgres => PostgresServer::shared().fresh_database(),
        };
        let store = Store::open(&url).await.expect("a store");
        Self { engine, url, store, _folder: folder }
    }

    /// The same database as another process sees it.
    pub async fn another(&self) -> Store {
        Store::open(&self.url).await.expect("a store")
    }

    /// Changes what is stored behind the store's back, as damage would.
    pub async fn damage(&self, statement: &'static str) {
        damage(&self.url, statement).await;
    }

    pub async fn others<const N: usize>(&self) -> [Store; N] {
        let mut stores = Vec::with_capacity(N);
        for _ in 0..N {
            stores.push(self.another().await);
        }
        stores.try_into().expect("as many as were opened")
    }
}

/// Keeps a promise on SQLite and on PostgreSQL, whatever the environment says.
pub async fn on_both(promise: impl AsyncFn(Bed)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        // Shown when the promise is broken.
        println!("on {engine:?}");
        promise(Bed::new(engine).await).await;
    }
}

/// Asks again until the answer is yes.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(5));
        while !is_so().await {
            beat.tick().await;
        }
    };
    let asked = tokio::time::timeout(std::time::Duration::from_secs(20), asking).await;
    assert!(asked.is_ok(), "it never came true: {what}");
}

/// Monday morning, the beginning of every test.
pub fn monday() -> Instant {
    at("2026-11-23T10:00:00Z")
}

/// So many seconds after [`monday`].
pub fn after_s(seconds: i64) -> Instant {
    monday() + TimeDelta::seconds(seconds)
}

/// An event of a ticket of C-1; `more` says what is different.
pub fn event(id: &str, case: &str, more: Value) -> Incoming {
    let mut value = json!({
        "id": id, "source": "desk", "case": case, "case_type": "ticket", "customer": "C-1",
        "state": "open", "occurred_at": "2026-11-23T09:59:00Z",
    });
    let Value::Object(more) = more else { panic!("an object") };
    for (name, field) in more {
        value[name] = field;
    }
    let event = CaseEvent::from_json(&value, "", monday());
    Incoming::new(event.unwrap_or_else(|faults| panic!("{faults:?}")), &value)
}

pub fn plain(id: &str, case: &str) -> Incoming {
    event(id, case, json!({}))
}

/// Ada under another id, with other words where `more` says so.
pub fn customer(id: &str, more: Value) -> CustomerRecord {
    let mut value = ada();
    value["id"] = id.into();
    let Value::Object(more) = more else { panic!("an object") };
    for (name, field) in more {
        value[name] = field;
    }
    let record = CustomerRecord::from_json(&value, None, &Zones::bundled());
    record.unwrap_or_else(|faults| panic!("{faults:?}"))
}

pub fn email(address: &str) -> Address {
    Address::parse(Channel::Email, address).expect("an address")
}

/// Tells the store of these customers.
pub async fn know(store: &Store, ids: &[&str]) {
    let records = ids.iter().map(|id| customer(id, json!({}))).collect();
    store.import_customers(records, "test", monday()).await.expect("the store is there");
}

/// Accepts one new event and gives its number.
pub async fn accepted(store: &Store, incoming: Incoming) -> i64 {
    let answers = store.accept_events(vec![incoming], monday()).await.expect("the store is there");
    let [Accepted::New { seq }] = answers[..] else { panic!("{answers:?}") };
    seq
}

/// A notice of a case about its event `seq`, due at `due`, for five days.
pub fn notice(case: &Case, notice: &str, seq: i64, due: Instant) -> Notification {
    let trigger_key = format!("desk/{seq}");
    Notification {
        id: NotificationId::derive(case.id.as_str(), notice, &trigger_key, 0),
        case: case.id.clone(),
        case_type: case.case_type.clone(),
        customer: case.customer.clone(),
        notice: notice.into(),
        topic: "status".into(),
        urgency: Urgency::Normal,
        trigger_key,
        occurrence: 0,
        event_seq: Some(seq),
        state: case.state.clone(),
        happened_at: case.since,
        collapse: None,
        held: None,
        escalates: None,
        status: Status::Planned,
        planned_at: monday(),
        due_at: due,
        next_at: due,
        expires_at: due + TimeDelta::days(5),
        failed_channels: Vec::new(),
        skipped: Vec::new(),
        version: "v1".into(),
        code: format!("code-{seq}"),
        epoch: 0,
        claims: 0,
        attempts: 0,
    }
}

pub fn created(notification: Notification) -> Created {
    Created {
        notification,
        reasons: vec![Reason::HourFits],
        task: None,
        keyed: false,
        once_per_customer: false,
    }
}

pub fn plan_of(case: Case, create: Vec<Created>) -> Plan {
    Plan {
        case,
        create,
        settle: Vec::new(),
        moved: Vec::new(),
        skipped: Vec::new(),
        silent: None,
        task: None,
        promise: None,
        choice_ends: false,
    }
}

/// One pending case.
pub async fn pending(store: &Store, seq: i64) -> PendingCase {
    let mut found = store.pending_cases(&[seq], false).await.expect("the store is there");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// What a case's pending events become when each leads to what `create` says.
pub fn planned_case(
    pending: &PendingCase,
    create: impl Fn(&Case, i64) -> Vec<Created>,
) -> PlannedCase {
    let mut before = pending.case.clone();
    let mut plans = Vec::new();
    for event in &pending.events {
        let (case, _) = Case::after(before.as_ref(), &event.event);
        before = Some(case.clone());
        let create = create(&case, event.seq);
        plans.push((event.seq, plan_of(case, create), json!({"journeys": "v1"})));
    }
    PlannedCase { id: pending.id.clone(), expected: pending.planned, plans, opening: None }
}

/// Records it; was it won?
pub async fn record(store: &Store, planned: PlannedCase) -> bool {
    let id = planned.id.clone();
    let won = store.record_plans(vec![planned], HashSet::new(), "nobody", monday()).await;
    won.expect("the store is there").won.contains(&id)
}

/// Accepts one event of the case and plans one notice for it, due at `due`.
pub async fn planned(store: &Store, id: &str, case: &str, due: Instant) -> Notification {
    let seq = accepted(store, plain(id, case)).await;
    let pending = pending(store, seq).await;
    let planned =
        planned_case(&pending, |case, seq| vec![created(notice(case, "received", seq, due))]);
    let notification = planned.plans[0].1.create[0].notification.clone();
    assert!(record(store, planned).await);
    notification
}

/// Accepts, plans and claims one notice for C-1, due on Monday.
pub async fn claimed(store: &Store, id: &str, case: &str) -> Notification {
    let planned = planned(store, id, case, monday()).await;
    let mut claimed = store.claim(&[planned.id], "me", monday()).await.expect("the store is there");
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

/// Asks to open an attempt by mail, as decided on the case and customer as they stand.
pub async fn opening(store: &Store, claimed: &Notification, now: Instant) -> Opening {
    let cases = store.cases([&claimed.case]).await.expect("the store is there");
    let customers = store.customers([&claimed.customer], now).await.expect("the store is there");
    Opening {
        case_revision: cases[&claimed.case].case.revision,
        customer_revision: customers.get(&claimed.customer).map_or(0, |c| c.revision),
        ..bare_opening(claimed)
    }
}

/// The same, of a case and a customer nobody has read.
pub fn bare_opening(claimed: &Notification) -> Opening {
    Opening {
        id: claimed.id,
        epoch: claimed.epoch,
        case: claimed.case.clone(),
        customer: claimed.customer.clone(),
        channel: Channel::Email,
        provider: "smtp".into(),
        address: email("ada@example.com"),
        case_revision: 0,
        customer_revision: 0,
        because: vec![Reason::HourFits],
        versions: json!({"journeys": "v1"}),
        body_hash: "ab".into(),
        parts: 1,
        slot: None,
        cap: None,
        quotas: Vec::new(),
        cost_millionths: 0,
        riders: Vec::new(),
        script: None,
    }
}

/// Opens one attempt for a claimed notification.
pub async fn opened(store: &Store, claimed: &Notification) -> Opened {
    let opening = opening(store, claimed, monday()).await;
    let opened = store.open_attempts(vec![opening], monday()).await.expect("the store is there");
    assert_eq!(opened.len(), 1);
    opened[0]
}

/// How an attempt ended: sent, unless the caller changes it.
pub fn closing(notification: &Notification, no: i64) -> Closing {
    Closing {
        notification: notification.clone(),
        no,
        attempt: AttemptState::Sent,
        status: Status::Sent,
        next_at: monday(),
        failed_channels: Vec::new(),
        provider_ref: Some(format!("ref-{no}")),
        detail: "250 OK".into(),
        fault: false,
        reasons: vec![Reason::HandedOver { channel: Channel::Email }],
        versions: json!({"journeys": "v1"}),
        task: None,
        alert: None,
        suppress: None,
        carries: false,
        followers: Vec::new(),
        given_back: None,
    }
}

/// Accepts, plans, claims, opens and hands over one notice for C-1.
pub async fn told(store: &Store, id: &str, case: &str) -> Notification {
    let claimed = claimed(store, id, case).await;
    let opened = opened(store, &claimed).await;
    store
        .close_attempts(vec![closing(&claimed, opened.no)], monday())
        .await
        .expect("the store is there");
    store.one_notification(&claimed.id).await.expect("it is there")
}

pub async fn status(store: &Store, id: &NotificationId) -> Status {
    store.one_notification(id).await.expect("it is there").status
}

/// The number of the newest migration: the newest schema.
pub fn migrations() -> i64 {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/migrations");
    let names = std::fs::read_dir(folder).expect("the migrations");
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        name[..4].parse::<i64>().expect("a number of four digits")
    };
    names.map(number).max().expect("some")
}

/// How many migrations there are; a number may be left out.
pub fn migrations_there_are() -> i64 {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/migrations");
    i64::try_from(std::fs::read_dir(folder).expect("the migrations").count()).expect("few")
}

/// A customer asks to be called as soon as possible, within a day.
pub async fn ask_for_call(
    store: &Store,
    id: &tidings::domain::CustomerId,
    now: Instant,
) -> Result<()> {
    let wish = Wish {
        customer: id.clone(),
        case: None,
        from: None,
        to: now + chrono::TimeDelta::days(1),
        detail: format!("Call the customer {id}."),
        room: 0,
    };
    store.ask_for_callback(wish, now).await
}

/// Applies the receipts that can be. Must anything be looked at again?
pub async fn apply_receipts(store: &Store, now: Instant) -> Result<bool> {
    let waiting = store.waiting_receipts().await?;
    store.apply_receipts(&waiting, now).await
}
