//! What agents alone read, never sent: the `staff` block of a message beside what the customer
//! saw, and notices whose audience is staff beside the case.

use crate::app::App;
use crate::domain::message::Message;
use crate::domain::{Case, Customer};
use crate::planning::condition;
use crate::planning::journey::{AllowedStates, Audience, Notice, Trigger};
use crate::render::message::{Links, Scene};
use crate::store::console::NotificationView;
use crate::worker::Live;

/// The words for agents beside one notification, about its case and customer as they are now,
/// in the language of the house. `None` where its message has none, or they cannot be written.
#[must_use]
pub fn words(
    app: &App,
    view: &NotificationView,
    case: &Case,
    customer: &Customer,
) -> Option<String> {
    let live = app.engine.live.load();
    let journey = live.rules.journeys.of(&view.case_type, &case.id)?;
    let message = &journey.notice(&view.notice)?.message;
    let case = Case { state: view.state.clone().or_else(|| case.state.clone()), ..case.clone() };
    written(app, &live, message, &case, customer)?.staff
}

/// What the notices for staff say about a case as it stands, by notice.
#[must_use]
pub fn notes(app: &App, case: &Case, customer: &Customer) -> Vec<(String, String)> {
    let live = app.engine.live.load();
    let Some(journey) = live.rules.journeys.of(&case.case_type, &case.id) else {
        return Vec::new();
    };
    let state = case.state.as_deref();
    let context = condition::context(case, customer, app.engine.clock.now());
    let stands = |notice: &&Notice| {
        let in_state = match (&notice.allowed_states, &notice.on) {
            (AllowedStates::Any, Trigger::State { state: entered, .. }) => {
                state == Some(entered.as_str())
            }
            _ => notice.fits_state(journey, state),
        };
        in_state && notice.when.as_ref().is_none_or(|when| when.holds(&context))
    };
    let for_staff = |n: &&Notice| n.enabled && n.audience == Audience::Staff;
    let notices = journey.notices.iter().filter(for_staff).filter(stands);
    notices
        .filter_map(|notice| {
            let message = written(app, &live, &notice.message, case, customer)?;
            let whole = [message.changed, message.action, message.next].join(" ");
            Some((notice.id.clone(), message.staff.unwrap_or(whole)))
        })
        .collect()
}

fn written(
    app: &App,
    live: &Live,
    message: &str,
    case: &Case,
    customer: &Customer,
) -> Option<Message> {
    let engine = &app.engine;
    // Agents follow no link of a customer's.
    let links = Links {
        centre: String::new(),
        callback: String::new(),
        verify: String::new(),
        answer: String::new(),
        unsubscribe: String::new(),
    };
    let scene = Scene {
        case,
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
    live.messages.render(message, &scene).ok()
}
