use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tidings::app::App;
use tidings::channel::Way;
use tidings::clock::Clock;
use tidings::domain::customer::CustomerRecord;
use tidings::domain::{CaseEvent, Zones};
use tidings::store::Store;
use tidings::store::intake::{Accepted, Incoming};

use crate::support::smtp::SmtpSink;
use crate::support::twilio::TwilioDouble;
use crate::support::{TestApp, ada, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_with_a_limit_keeps_to_it_and_tells_everybody_in_the_end() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (smtp, twilio) = (SmtpSink::start().await, TwilioDouble::start().await);
    let (per_s, burst, count) = (40, 10, 120usize);
    let mut settings = settings(folder.path(), &smtp, &twilio, "");
    settings.channels.email.rate_per_s = f64::from(per_s);
    settings.channels.email.burst = burst;
    let store = Store::open(&settings.store.url).await.expect("a store");
    let app = App::build(settings, Clock::System, store).await.expect("an app");
    let app = Arc::new(app);
    let engine = Arc::clone(&app.engine);
    let mut customer = ada();
    customer["contact_points"].as_array_mut().expect("points").truncate(1);
    let record = CustomerRecord::from_json(&customer, None, &Zones::bundled()).expect("valid");
    engine.store.import_customers(vec![record], "test", engine.clock.now()).await.expect("stored");
    let now = engine.clock.now();
    let incoming = (0..count).map(|n| {
        let value = json!({"id": format!("e{n}"), "source": "desk", "case": format!("T-{n}"),
                           "case_type": "ticket", "customer": "C-1", "state": "take_in_charge_ticket"});
        Incoming::new(CaseEvent::from_json(&value, "", now).expect("valid"), &value)
    });
    let workers = app.start(tidings::app::roles::Roles::ALL);
    let began = Instant::now();
    let accepted = engine.store.accept_events(incoming.collect(), now).await.expect("stored");
    let seqs: Vec<i64> = accepted
        .iter()
        .filter_map(|one| if let Accepted::New { seq } = one { Some(*seq) } else { None })
        .collect();
    engine.ring_plan(&seqs);
    let mut worst = 0.0_f64;
    loop {
        // Read before the clock is: never more than were taken by then.
        let taken = smtp.taken().len();
        let allowed = f64::from(per_s) * began.elapsed().as_secs_f64() + f64::from(burst);
        let taken_then = f64::from(u32::try_from(taken).expect("few"));
        worst = worst.max(taken_then - allowed);
        if taken == count {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{taken} of {count}");
        tokio::task::yield_now().await;
    }
    assert!(worst <= 0.0, "{worst} more than the rate and a burst");
    let took = began.elapsed();
    let least = Duration::from_secs_f64(f64::from(120 - burst) / f64::from(per_s));
    assert!(took >= least && took < least * 4, "{took:?}, expected about {least:?}");
    workers.stop().await;
    let mut ids: Vec<_> = smtp.taken().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "each once");
}

#[tokio::test]
async fn a_virtual_clock_knows_no_limits() {
    let app = TestApp::with("[retry.email]\ndelays_s = [60]\nspread_percent = 0\n").await;
    app.ada().await;
    let mut settings = (*app.app.settings).clone();
    settings.channels.email.rate_per_s = 0.001;
    settings.channels.email.burst = 1;
    let store = Store::open(&settings.store.url).await.expect("a store");
    let clock = app.app.engine.clock.clone();
    let played = App::build(settings, clock, store).await.expect("an app");
    let health = &played.engine.health;
    let admitted = health.admit(Way::first(tidings::domain::Channel::Email), 500, app.now()).await;
    assert_eq!(admitted, tidings::channel::health::Admission::All);
    app.end().await;
}
