//! Everything a decision reads besides the case and the customer: the published journeys
//! and the settings that decide.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::{ChannelMap, Customer, Hours, Zones};

use super::adaptive::Adaptive;
use super::caps::Caps;
use super::journey::{Journey, Journeys};
use super::legal_hours::{Countries, LegalHours};
use super::schedule::Calendar;

/// `[topics.<name>]`: what a customer can switch off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Language → title, for the subscription centre.
    #[serde(default)]
    pub title: BTreeMap<String, String>,
    /// Which channels it uses where the customer has said nothing.
    pub default: ChannelMap<bool>,
    /// Why it cannot be switched off, where it cannot.
    pub mandatory: Option<String>,
    #[serde(default)]
    pub in_doubt: InDoubt,
    /// Does it offer something? Then the hours of solicitation hold for it.
    #[serde(default)]
    pub solicitation: bool,
}

/// What to do when nobody can tell whether a message went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDoubt {
    /// Better silent than twice: it ends unknown, and a person is told.
    #[default]
    AtMostOnce,
    /// Better twice than silent: one more attempt, marked as a possible second copy.
    AtLeastOnce,
}

/// What decisions read. Replaced as a whole when a version is published or settings change.
#[derive(Debug, Clone)]
pub struct Rules {
    pub journeys: Journeys,
    pub topics: BTreeMap<String, Topic>,
    /// Where the customer has said nothing.
    pub quiet_hours: ChannelMap<Option<Hours>>,
    /// Is there a provider for the channel?
    pub offered: ChannelMap<bool>,
    pub calendars: BTreeMap<String, Calendar>,
    pub default_calendar: String,
    /// Region → the hours its law or custom allows.
    pub legal_hours: BTreeMap<String, LegalHours>,
    pub countries: Countries,
    /// For customers whose zone nobody told us.
    pub default_zone: String,
    pub zones: Zones,
    /// The most messages a day, where the customer has said nothing.
    pub cap_per_day: Option<u32>,
    /// How much goes to whom, on channels that cost; `None` where nothing is capped.
    pub caps: ChannelMap<Option<Caps>>,
    pub adaptive: Adaptive,
    /// The hash of the settings above, stored with each decision.
    pub settings_version: String,
    /// For tests alone: what the decider forgets, to see that somebody notices.
    #[doc(hidden)]
    pub without: Option<Guard>,
}

/// A part of the decider that a test may switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum Guard {
    /// A message belongs to a state of its case.
    State,
    /// A newer message takes the place of an older one.
    Collapse,
    /// It lists what it takes the place of.
    Skipped,
    /// Quiet hours and windows.
    Hours,
    /// The customer's daily or weekly rhythm.
    Rhythm,
    /// The customer's cap.
    Cap,
}

impl Rules {
    #[must_use]
    pub(crate) fn keeps(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }
}

impl Rules {
    /// The customer's zone; an unknown name, left over from an older database, falls back.
    #[must_use]
    pub fn zone_of(&self, customer: &Customer) -> TimeZone {
        let name = customer.profile.time_zone.as_deref().unwrap_or(&self.default_zone);
        self.zones
            .get(name)
            .or_else(|_| self.zones.get(&self.default_zone))
            .unwrap_or(TimeZone::UTC)
    }

    /// The working days of a journey.
    #[must_use]
    pub fn calendar(&self, journey: &Journey) -> &Calendar {
        let name = journey.calendar.as_ref().unwrap_or(&self.default_calendar);
        self.calendars.get(name).expect("journeys are checked against the calendars at load")
    }

    /// The most messages a day for this customer.
    #[must_use]
    pub fn cap_of(&self, customer: &Customer) -> Option<u32> {
        let cap = customer.preferences.cap_per_day.or(self.cap_per_day);
        cap.filter(|_| self.keeps(Guard::Cap))
    }

    /// Topics that cannot be switched off.
    #[must_use]
    pub fn mandatory_topics(&self) -> Vec<String> {
        let mandatory = self.topics.iter().filter(|(_, topic)| topic.mandatory.is_some());
        mandatory.map(|(name, _)| name.clone()).collect()
    }

    #[must_use]
    pub fn is_mandatory(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|topic| topic.mandatory.is_some())
    }
}
