//! A channel with several providers: who takes what, and what happens when one of them fails.

mod choice;
mod drain;
mod failover;
mod recovery;
mod retries;
mod target;

use serde_json::json;
use tidings::domain::{Channel, NotificationId};

use crate::support::TestApp;
use crate::support::twilio::TwilioDouble;

/// Two providers for text messages, "main" (the app's own double) and "second".
pub async fn two(weights: (u32, u32), more: &str) -> (TestApp, TwilioDouble) {
    let second = TwilioDouble::start().await;
    let providers = format!(
        "[[channels.sms.providers]]\nname = \"main\"\nweight = {}\n\
         [[channels.sms.providers]]\nname = \"second\"\nweight = {}\nbase_url = \"{}\"\n\
         [retry.sms]\ndelays_s = [5, 5, 5, 5]\nspread_percent = 0\n\
         [limits.sms]\nper_number_per_hour = 0\nurgent_per_number_per_hour = 0\n{more}",
        weights.0,
        weights.1,
        second.url()
    );
    let app = TestApp::with(&providers).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    (app, second)
}

/// Something to say about case `T-{n}`.
pub async fn event(app: &TestApp, n: usize) {
    app.event_of(json!({"case": format!("T-{n}"), "state": "take_in_charge_ticket"})).await;
}

/// Who had it in hand, first to last, and how each attempt ended.
pub async fn history(app: &TestApp, case: &str) -> Vec<(String, String)> {
    let all = app.notifications().await;
    let said = |n: &&tidings::store::console::NotificationView| {
        n.case_id == case && n.notice == "taken-in-charge"
    };
    let one = all.iter().find(said).expect("planned");
    let id = NotificationId::parse(&one.id).expect("an id");
    let detail = app.store().notification(&id).await.expect("there");
    detail.attempts.into_iter().map(|a| (a.provider, a.state)).collect()
}
