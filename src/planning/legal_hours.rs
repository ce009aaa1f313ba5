//! The hours in which law or good practice of a region lets us text and call.
//!
//! Pure: channel, address, customer and the table of the settings come in, the hours that
//! hold go out. [`next_open`] then finds the first moment that quiet hours, window and these
//! all allow. `planning::eligibility` is the only caller.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{Channel, Customer, Hours, Window};

use super::rules::Rules;
use super::schedule::{Calendar, next_allowed};

/// `[legal_hours.<region>]`, the region an ISO 3166 code in small letters (`us`, `us-fl`) or
/// `default`. The shipped rows follow the table of quiet hours in STANDARDS 2.9.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHours {
    /// Local hours in which it is allowed; none named means all.
    #[serde(default)]
    pub email: Windows,
    #[serde(default)]
    pub sms: Windows,
    #[serde(default)]
    pub voice: Windows,
    /// Only for topics marked `solicitation`, not for word on the customer's own matter.
    #[serde(default)]
    pub solicitation_only: bool,
    /// Custom, not law: the customer's own quiet hours take its place.
    #[serde(default)]
    pub gives_way: bool,
    /// Whose holidays are no `working days`; the journey's own calendar when absent.
    pub calendar: Option<String>,
    /// The zones of the region: all of them must agree where nobody told the customer's.
    #[serde(default)]
    pub zones: Vec<String>,
}

/// Several windows; any of them will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows(pub Vec<Window>);

impl Serialize for Windows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Windows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let windows = Vec::<String>::deserialize(deserializer)?;
        let windows: Result<Vec<Window>, String> =
            windows.iter().map(|window| window.parse()).collect();
        windows.map(Self).map_err(serde::de::Error::custom)
    }
}

impl LegalHours {
    const fn on(&self, channel: Channel) -> &Windows {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
            Channel::Voice => &self.voice,
        }
    }
}

/// The countries of numbers looked at lately: to place one takes longer than all the rest of a
/// decision.
#[derive(Debug, Clone, Default)]
pub struct Countries {
    known: Arc<RwLock<HashMap<Address, Placed>>>,
}

/// The country a number was thought likely to belong to, and the one it does.
type Placed = (Option<String>, Option<String>);

/// The most numbers remembered.
const MAX_COUNTRIES: usize = 10_000;

impl Countries {
    /// As [`Address::country`] says.
    pub(super) fn of(&self, address: &Address, likely: Option<&str>) -> Option<String> {
        if let Some((asked, country)) = self.known.read().expect("no panic while held").get(address)
            && asked.as_deref() == likely
        {
            return country.clone();
        }
        let country = address.country(likely);
        let mut known = self.known.write().expect("no panic while held");
        if known.len() >= MAX_COUNTRIES {
            known.clear();
        }
        known.insert(address.clone(), (likely.map(str::to_owned), country.clone()));
        country
    }
}

/// What is to be sent to whom.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub channel: Channel,
    pub address: &'a Address,
    pub customer: &'a Customer,
    pub topic: &'a str,
    /// It passes quiet hours, because the customer allows it.
    pub urgent: bool,
}

/// The hours that hold for one message.
#[derive(Debug, Clone)]
pub struct InForce<'a> {
    /// The row of the table, for the reason: `us-fl`.
    pub region: &'a str,
    pub windows: &'a [Window],
    pub calendar: &'a Calendar,
    /// The clocks that must all agree.
    pub zones: Vec<TimeZone>,
}

/// The hours that hold, or `None` where nothing does.
///
/// The most exact row counts: state or province, then country, then `default`. What is urgent
/// and no solicitation passes.
#[must_use]
pub fn in_force<'a>(
    question: &Question<'_>,
    rules: &'a Rules,
    journey_calendar: &'a Calendar,
) -> Option<InForce<'a>> {
    let solicits = rules.topics.get(question.topic).is_some_and(|topic| topic.solicitation);
    if question.urgent && !solicits {
        return None;
    }
    let region = region_of(question, &rules.countries);
    let country = region.split('-').next().unwrap_or_default();
    let row = [region.as_str(), country, "default"]
        .into_iter()
        .find_map(|name| rules.legal_hours.get_key_value(name));
    let (region, row) = row?;
    let own = question.customer.preferences.quiet_hours.is_some();
    if (row.solicitation_only && !solicits) || (row.gives_way && own) {
        return None;
    }
    let windows = row.on(question.channel).0.as_slice();
    if windows.is_empty() {
        return None;
    }
    let named = row.calendar.as_ref().and_then(|name| rules.calendars.get(name));
    let zones = if question.customer.profile.time_zone.is_none() && !row.zones.is_empty() {
        row.zones.iter().filter_map(|name| rules.zones.get(name).ok()).collect()
    } else {
        vec![rules.zone_of(question.customer)]
    };
    Some(InForce { region, windows, calendar: named.unwrap_or(journey_calendar), zones })
}

/// Where the customer is, as far as anybody told: `attributes.region` (`US-FL`), the country
/// of the number, the region of the language (`en-GB`); in small letters, or empty.
fn region_of(question: &Question<'_>, countries: &Countries) -> String {
    let profile = &question.customer.profile;
    if let Some(region) = profile.attributes.get("region").and_then(|value| value.as_str()) {
        return region.to_lowercase();
    }
    let locale = profile.locale.as_deref().unwrap_or_default();
    let by_language = locale.split('-').skip(1).find(|part| part.len() == 2);
    let by_number = match question.channel {
        Channel::Email => None,
        Channel::Sms | Channel::Voice => countries.of(question.address, by_language),
    };
    let region = by_number.or_else(|| by_language.map(str::to_owned));
    region.unwrap_or_default().to_lowercase()
}

impl InForce<'_> {
    /// The earliest moment at or after `at` that lies in one of the windows on every clock.
    /// `None` when none comes within 400 days.
    #[must_use]
    pub fn next(&self, at: Instant) -> Option<Instant> {
        let mut candidate = at;
        let last = at + chrono::TimeDelta::days(MAX_SEARCH_DAYS);
        while candidate <= last {
            let mut later = candidate;
            for zone in &self.zones {
                let openings = self.windows.iter();
                let openings = openings.filter_map(|window| {
                    next_allowed(later, zone, None, Some(*window), self.calendar)
                });
                later = openings.min()?;
            }
            if later == candidate {
                return Some(candidate);
            }
            candidate = later;
        }
        None
    }
}

/// The longest search, in days.
const MAX_SEARCH_DAYS: i64 = 400;

/// The earliest moment at or after `at` that quiet hours, window and legal hours all allow.
/// `None` when none comes within 400 days.
#[must_use]
pub fn next_open(
    at: Instant,
    zone: &TimeZone,
    quiet: Option<Hours>,
    window: Option<Window>,
    calendar: &Calendar,
    legal: Option<&InForce<'_>>,
) -> Option<Instant> {
    let mut candidate = at;
    let last = at + chrono::TimeDelta::days(MAX_SEARCH_DAYS);
    while candidate <= last {
        let allowed = next_allowed(candidate, zone, quiet, window, calendar)?;
        let lawful = match legal {
            None => return Some(allowed),
            Some(legal) => legal.next(allowed)?,
        };
        if lawful == allowed {
            return Some(allowed);
        }
        candidate = lawful;
    }
    None
}

#[cfg(test)]
mod tests;
