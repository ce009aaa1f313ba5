//! The whole way: events accepted in batches of a hundred, as the door takes them, until the
//! last outcome is recorded. SQLite with `synchronous=FULL`, or PostgreSQL as it is set.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::app::App;
use crate::app::roles::Roles;
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::customer::CustomerRecord;
use crate::domain::{CaseEvent, Zones};
use crate::store::Store;
use crate::store::intake::{Accepted, Incoming};
use crate::store::notifications::Outlook;

use super::reference::{tempdir, throughput};
use super::{Engines, Sinks, Throughput, measure};

/// Events of one request.
const BATCH: usize = 100;

/// Requests in hand at once, as a case system with some connections has.
const REQUESTS: usize = 8;

pub async fn run(
    sinks: &Sinks,
    engines: &Engines,
    messages: usize,
) -> Result<Throughput, anyhow::Error> {
    let folder = tempdir()?;
    let file = format!("sqlite:{}/bench.db", folder.display());
    let place = Store::scratch(engines.store.as_deref().unwrap_or(&file)).await?;
    let queue = engines.queue.as_deref().unwrap_or("embedded");
    let text = sinks.settings_on(&folder, 0, &place, queue)?;
    let settings = Settings::read("the benchmark's settings", &text, [])
        .map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let store = Store::open(&place).await?;
    let app = App::build(settings, Clock::System, store).await?.with_workers(engines.workers);
    let app = Arc::new(app);
    import(&app).await?;
    let workers = app.start(Roles::ALL);
    let bodies: Vec<Value> =
        (0..messages).map(|n| measure::event("run", n, "take_in_charge_ticket")).collect();

    let (began, cpu) = (Instant::now(), measure::cpu_us());
    let places = Arc::new(tokio::sync::Semaphore::new(REQUESTS));
    let mut requests = Vec::new();
    for batch in bodies.chunks(BATCH) {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (app, batch) = (Arc::clone(&app), batch.to_vec());
        requests.push(tokio::spawn(async move {
            let done = accept(&app, &batch).await;
            drop(place);
            done
        }));
    }
    for request in requests {
        request.await??;
    }
    let engine = &app.engine;
    while engine.store.outlook(engine.clock.now()).await? == Outlook::Busy {
        engine.activity.idle().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let throughput = throughput(messages, began, cpu);
    let balance = engine.store.summary().await?.balance;
    anyhow::ensure!(balance.told == i64::try_from(messages)?, "not all were told: {balance:?}");
    workers.stop().await;
    drop(app);
    Store::drop_scratch(&place).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(throughput)
}

/// Tells of the benchmark's customers.
pub async fn import(app: &App) -> Result<(), anyhow::Error> {
    let zones = Zones::bundled();
    let now = app.engine.clock.now();
    let records: Result<Vec<CustomerRecord>, _> = (0..measure::CUSTOMERS)
        .map(|n| CustomerRecord::from_json(&measure::customer(n), None, &zones))
        .collect();
    let records = records.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    for records in records.chunks(500) {
        app.engine.store.import_customers(records.to_vec(), "bench", now).await?;
    }
    Ok(())
}

/// What the door does with a request, without HTTP.
pub async fn accept(app: &App, bodies: &[Value]) -> Result<(), anyhow::Error> {
    let engine = &app.engine;
    let now = engine.clock.now();
    let mut incoming = Vec::with_capacity(bodies.len());
    for body in bodies {
        let event =
            CaseEvent::from_json(body, "", now).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        incoming.push(Incoming::new(event, body));
    }
    let accepted = engine.store.accept_events(incoming, now).await?;
    let seqs = accepted.into_iter().filter_map(|accepted| match accepted {
        Accepted::New { seq } => Some(seq),
        _ => None,
    });
    engine.ring_plan(&seqs.collect::<Vec<_>>());
    Ok(())
}
