//! The subscription centre: what a customer sees of their own matters and does about them.
//! Every change is made in the store first and then read back from it.

pub mod addresses;
pub mod calls;
pub mod choices;
pub mod data;
pub mod letters;
pub mod matters;
pub mod promised_calls;
pub mod rhythm;

use crate::domain::time::Instant;
use crate::domain::{Channel, Customer, CustomerId};
use crate::store::Result;
use crate::store::consent::Act;

use super::App;
use super::pages::Reader;

/// The customer whose pages are shown, and in which language and zone.
#[derive(Debug, Clone)]
pub struct Person {
    pub customer: Customer,
    pub reader: Reader,
}

impl Person {
    /// By which channels there is an address that may be used.
    pub fn reachable(&self) -> impl Iterator<Item = Channel> + '_ {
        let usable = |channel: &Channel| self.usable(*channel).next().is_some();
        Channel::ALL.into_iter().filter(usable)
    }

    /// The addresses on a channel that are verified and may be used.
    pub fn usable(
        &self,
        channel: Channel,
    ) -> impl Iterator<Item = &crate::domain::ContactPoint> + '_ {
        let stopped = self.customer.preferences.stopped.contains(&channel);
        let fits = move |point: &&crate::domain::ContactPoint| {
            point.channel == channel && point.verified && point.suppressed.is_none() && !stopped
        };
        self.customer.contact_points.iter().filter(fits)
    }
}

/// Reads a customer for their pages.
///
/// # Errors
/// `NotFound` when nobody is known by this id, also once erased.
pub async fn person(app: &App, id: &CustomerId, now: Instant) -> Result<Person> {
    let engine = &app.engine;
    let customer = engine.store.customer(id, now).await?;
    let locale = customer.profile.locale.clone();
    let locale = locale.unwrap_or_else(|| engine.behaviour.default_locale.clone());
    let zone = engine.live.load().rules.zone_of(&customer);
    Ok(Person { customer, reader: Reader { locale, zone } })
}

/// What the customer does on their pages, for the record of consent.
#[must_use]
pub fn act(app: &App, source: &str) -> Act {
    Act {
        who: "customer".into(),
        source: source.into(),
        text_version: app.pages.text_version.clone(),
    }
}

/// A topic's name in a language, or the nearest there is.
#[must_use]
pub fn topic_title(app: &App, topic: &str, locale: &str) -> String {
    let titles = app.settings.topics.get(topic).map(|topic| &topic.title);
    let language = locale.split('-').next().unwrap_or(locale);
    let found = titles.and_then(|titles| {
        [locale, language, app.settings.locales.default.as_str()]
            .iter()
            .find_map(|locale| titles.get(*locale))
    });
    found.cloned().unwrap_or_else(|| topic.to_owned())
}
