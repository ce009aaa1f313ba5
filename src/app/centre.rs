//! The customer's own page: what they were told, what they chose, and asking for a call.

use crate::domain::time::{Instant, from_ms, local};
use crate::domain::{CaseChoice, Channel, Customer, CustomerId, Preferences};
use crate::planning::routing::consent;
use crate::store::Result;
use crate::store::console::Filter;

use super::App;

/// Messages shown, newest first.
const MAX_SHOWN: usize = 10;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Centre {
    pub locale: String,
    pub told: Vec<ToldLine>,
    pub topics: Vec<TopicChoice>,
}

/// A message that reached the customer, or was handed over to do so.
#[derive(Debug, Clone)]
pub struct ToldLine {
    /// On the customer's clock.
    pub at: String,
    pub channel: Channel,
    pub case: String,
    pub topic: String,
}

/// A topic, and by which of the customer's channels it may come.
#[derive(Debug, Clone)]
pub struct TopicChoice {
    pub name: String,
    pub title: String,
    pub channels: Vec<(Channel, bool)>,
}

/// Reads the page of a customer.
///
/// # Errors
/// `NotFound` when nobody is known by this id.
pub async fn centre(app: &App, id: &CustomerId, now: Instant) -> Result<Centre> {
    let engine = &app.engine;
    let customer = engine.store.customer(id, now).await?;
    let live = engine.live.load_full();
    let default = engine.behaviour.default_locale.clone();
    let locale = customer.profile.locale.clone().unwrap_or(default);
    let zone = live.rules.zone_of(&customer);
    let filter = Filter { customer: Some(id.0.clone()), limit: 100, ..Filter::default() };
    let mut told = Vec::new();
    for view in engine.store.notifications(&filter).await? {
        let (Some(at_ms), Some(channel)) = (view.told_at_ms, &view.channel) else { continue };
        let Ok(channel) = channel.parse() else { continue };
        let at = local(from_ms(at_ms), &zone).strftime("%Y-%m-%d %H:%M").to_string();
        let topic = title(app, &view.topic, &locale);
        told.push((at_ms, ToldLine { at, channel, case: view.case_id, topic }));
    }
    told.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
    told.truncate(MAX_SHOWN);
    let topics = app.settings.topics.keys().filter(|topic| !live.rules.is_mandatory(topic));
    let topics: Vec<TopicChoice> = topics
        .map(|topic| TopicChoice {
            name: topic.clone(),
            title: title(app, topic, &locale),
            channels: reachable(&customer)
                .map(|channel| {
                    let may =
                        consent(topic, channel, &customer, CaseChoice::default(), &live.rules);
                    (channel, may.is_ok())
                })
                .collect(),
        })
        .collect();
    Ok(Centre { locale, told: told.into_iter().map(|(_, line)| line).collect(), topics })
}

/// The channels by which a customer has an address.
fn reachable(customer: &Customer) -> impl Iterator<Item = Channel> + '_ {
    let has = |channel: &Channel| customer.contact_points.iter().any(|p| p.channel == *channel);
    Channel::ALL.into_iter().filter(has)
}

/// A topic's name in a language, or the nearest there is.
fn title(app: &App, topic: &str, locale: &str) -> String {
    let titles = app.settings.topics.get(topic).map(|topic| &topic.title);
    let language = locale.split('-').next().unwrap_or(locale);
    let found = titles.and_then(|titles| {
        [locale, language, app.settings.locales.default.as_str()]
            .iter()
            .find_map(|locale| titles.get(*locale))
    });
    found.cloned().unwrap_or_else(|| topic.to_owned())
}

/// Sets by which channels each topic shown may come: those among `wanted`, as
/// `<topic>:<channel>`, and no other.
///
/// # Errors
/// `NotFound` when nobody is known by this id.
pub async fn choose(app: &App, id: &CustomerId, wanted: Vec<String>, now: Instant) -> Result<()> {
    let shown = centre(app, id, now).await?.topics;
    let change = move |chosen: &mut Preferences| {
        for topic in shown {
            let channels = chosen.topics.entry(topic.name.clone()).or_default();
            for (channel, _) in topic.channels {
                let on = wanted.contains(&format!("{}:{channel}", topic.name));
                channels.insert(channel, on);
            }
        }
    };
    app.engine.store.choose(id, "centre", now, change).await
}
