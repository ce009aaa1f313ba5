//! `[limits]`: how much may be said, to whom, and what it may cost.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::planning::caps::Caps;

use super::prices::millionths;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub sms_parts: u32,
    /// The parts no text message is sent with more than, whatever stands in its facts.
    pub max_segments: u32,
    /// The most messages a customer gets in a day, where they have said nothing.
    pub cap_per_day: Option<u32>,
    /// How long an address rests that a provider found unusable; 0: until somebody lifts it.
    pub unusable_for_days: u32,
    /// Retries a minute and provider: so many per hundred first attempts, and so many anyway.
    pub retries_percent: u32,
    pub retries_floor: u32,
    pub sms: TelephoneLimits,
    pub voice: TelephoneLimits,
}

/// Caps against whoever makes us send: to premium and far-off numbers for money (pumping), or
/// to one person again and again (bombing). 0 is no cap.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelephoneLimits {
    /// Countries (ISO 3166) anything goes to. Left out: the one at home; empty: all.
    pub countries: Option<Vec<String>>,
    pub per_number_per_hour: u32,
    /// What is urgent counts by itself.
    pub urgent_per_number_per_hour: u32,
    /// Numbers that differ in their last four digits only.
    pub per_prefix_per_hour: u32,
    pub per_country_per_hour: u32,
    /// In the currency of `[prices]`, from midnight to midnight UTC.
    pub cost_per_day: Option<f64>,
}

impl TelephoneLimits {
    /// As decisions read them. `home` is the country we are at, where that is known.
    pub(super) fn caps(
        &self,
        home: Option<&String>,
        prices: &BTreeMap<String, f64>,
        max_parts: u32,
    ) -> Caps {
        let listed = self.countries.as_ref();
        let countries = match listed {
            Some(listed) if listed.is_empty() => None,
            Some(listed) => Some(listed.iter().cloned().collect()),
            None => home.map(|home| BTreeSet::from([home.clone()])),
        };
        let in_millionths = |(key, price): (&String, &f64)| (key.clone(), millionths(*price));
        Caps {
            countries,
            per_number: self.per_number_per_hour,
            urgent_per_number: self.urgent_per_number_per_hour,
            per_prefix: self.per_prefix_per_hour,
            per_country: self.per_country_per_hour,
            cost_per_day: self.cost_per_day.map(millionths),
            prices: prices.iter().map(in_millionths).collect(),
            max_parts,
        }
    }
}

impl Limits {
    /// The key that cannot be as it is, and why.
    pub(super) fn fault(&self) -> Option<(Vec<&str>, String)> {
        if self.max_segments < self.sms_parts {
            let why = "is less than sms_parts, which messages may take".to_owned();
            return Some((vec!["limits", "max_segments"], why));
        }
        [("sms", &self.sms), ("voice", &self.voice)].into_iter().find_map(|(channel, limits)| {
            let countries = limits.countries.iter().flatten();
            let is_country =
                |name: &str| name.len() == 2 && name.bytes().all(|b| b.is_ascii_uppercase());
            if let Some(name) = countries.into_iter().find(|name| !is_country(name)) {
                let why = format!("{name:?} is no country as in ISO 3166, such as \"GB\"");
                return Some((vec!["limits", channel, "countries"], why));
            }
            let cost = limits.cost_per_day?;
            let fits = (0.0..=10_000_000.0).contains(&cost);
            let path = vec!["limits", channel, "cost_per_day"];
            (!fits).then(|| (path, "lies between 0 and 10000000".to_owned()))
        })
    }
}
