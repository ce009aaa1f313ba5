//! What a message says to agents alone: its `staff` block, shown beside what the customer saw
//! and never sent.

use crate::app::App;
use crate::domain::{Case, Customer, NotificationId};
use crate::render::message::{Links, Scene};
use crate::store::Result;
use crate::store::console::NotificationView;

/// The words for agents beside one notification, about its case and customer as they are now,
/// in the language of the house. `None` where its message has none, or they cannot be written.
#[must_use]
pub fn words(
    app: &App,
    view: &NotificationView,
    case: &Case,
    customer: &Customer,
) -> Option<String> {
    let engine = &app.engine;
    let live = engine.live.load();
    let journey = live.rules.journeys.of(&view.case_type, &case.id)?;
    let message = &journey.notice(&view.notice)?.message;
    let case = Case { state: view.state.clone().or_else(|| case.state.clone()), ..case.clone() };
    // Agents follow no link of a customer's.
    let links = Links {
        centre: String::new(),
        callback: String::new(),
        verify: String::new(),
        answer: String::new(),
        unsubscribe: String::new(),
    };
    let scene = Scene {
        case: &case,
        customer,
        sender: &engine.behaviour.sender,
        links: &links,
        skipped: &[],
        now: engine.clock.now(),
        next_word: None,
        wait_min: None,
        zone: live.rules.zone_of(customer),
        locale: engine.behaviour.default_locale.clone(),
    };
    live.messages.render(message, &scene).ok()?.staff
}

/// The same for a notification by its id.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn words_of(app: &App, id: &NotificationId) -> Result<Option<String>> {
    let store = &app.engine.store;
    let detail = store.notification(id).await?;
    let view = detail.notification;
    let case = crate::domain::CaseId(view.case_id.clone());
    let Some(standing) = store.cases([&case]).await?.remove(&case) else { return Ok(None) };
    let customer = crate::domain::CustomerId(view.customer_id.clone());
    let customer = store.customer(&customer, app.engine.clock.now()).await?;
    Ok(words(app, &view, &standing.case, &customer))
}
