//! Caps of texts and calls: which countries they go to, and what each counts against.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::customer::Address;
use crate::domain::quota::{Cap, DAY_MS, HOUR_MS, Most, Quota, Used, range_of, veiled};
use crate::domain::time::Instant;
use crate::domain::{Channel, Urgency};

use super::legal_hours::Countries;

/// The caps of one channel. 0 is no cap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caps {
    /// `None` for all.
    pub countries: Option<BTreeSet<String>>,
    pub per_number: u32,
    pub urgent_per_number: u32,
    pub per_prefix: u32,
    pub per_country: u32,
    pub cost_per_day: Option<i64>,
    /// Beginning of a number, or `default` → the price of a part or a call, in millionths.
    pub prices: BTreeMap<String, i64>,
    /// The most parts a message has.
    pub max_parts: u32,
}

/// What was used, by channel, name and since when.
pub type Uses = HashMap<(Channel, String, i64), Used>;

/// Why nothing goes to a number, whatever the hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The country it belongs to, where it belongs to one.
    Country(Option<String>),
    NoPrice,
}

impl Caps {
    /// The price of a part or a call there.
    #[must_use]
    pub fn price(&self, number: &Address) -> Option<i64> {
        let number = number.expose();
        let beginnings = (2..=number.len().min(5)).rev().filter_map(|length| number.get(..length));
        beginnings.chain(["default"]).find_map(|key| self.prices.get(key)).copied()
    }

    /// May anything go there at all? Where a day's cost is capped, a number without a price is
    /// closed: what it costs nobody knows.
    ///
    /// # Errors
    /// Why not.
    pub fn open(&self, number: &Address, countries: &Countries) -> Result<(), Closed> {
        if let Some(allowed) = &self.countries
            && !is_in(number, allowed, countries)
        {
            return Err(Closed::Country(countries.of(number, None)));
        }
        if self.cost_per_day.is_some() && self.price(number).is_none() {
            return Err(Closed::NoPrice);
        }
        Ok(())
    }

    /// What a message to a number counts against.
    #[must_use]
    pub fn quotas(&self, number: &Address, urgency: Urgency, countries: &Countries) -> Vec<Quota> {
        let mut quotas = Vec::new();
        let mut hourly = |cap, most, name: &dyn Fn() -> String| {
            if most > 0 {
                let most = Most::Messages(most);
                quotas.push(Quota { cap, name: name(), length_ms: HOUR_MS, most });
            }
        };
        if urgency == Urgency::Urgent {
            let name = || veiled("urgent", number.expose());
            hourly(Cap::UrgentPerNumberPerHour, self.urgent_per_number, &name);
        } else {
            let name = || veiled("number", number.expose());
            hourly(Cap::PerNumberPerHour, self.per_number, &name);
        }
        hourly(Cap::PerPrefixPerHour, self.per_prefix, &|| veiled("range", range_of(number)));
        hourly(Cap::PerCountryPerHour, self.per_country, &|| {
            format!("country:{}", countries.of(number, None).unwrap_or_else(|| "none".into()))
        });
        if let Some(most) = self.cost_per_day {
            quotas.push(Quota {
                cap: Cap::CostPerDay,
                name: "cost".into(),
                length_ms: DAY_MS,
                most: Most::Millionths(most),
            });
        }
        quotas
    }

    /// The first of these that is used up at `now`. The words are not written yet: they are
    /// taken to be as long as they may be.
    #[must_use]
    pub fn used_up<'q>(
        &self,
        channel: Channel,
        number: &Address,
        quotas: &'q [Quota],
        uses: &Uses,
        now: Instant,
    ) -> Option<&'q Quota> {
        let cost = self.price(number).unwrap_or(0) * i64::from(self.max_parts.max(1));
        quotas.iter().find(|quota| {
            let key = (channel, quota.name.clone(), quota.from_ms(now));
            !quota.holds(uses.get(&key).copied().unwrap_or_default(), cost)
        })
    }
}

/// Does a number belong to one of these countries, or to a dependency of one?
fn is_in(number: &Address, allowed: &BTreeSet<String>, countries: &Countries) -> bool {
    let Some(country) = countries.of(number, None) else { return false };
    allowed.contains(&country) || allowed.iter().any(|name| number.is_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    fn number(text: &str) -> Address {
        Address::parse(Channel::Sms, text).expect(text)
    }

    fn home(names: &[&str]) -> Caps {
        let countries = names.iter().map(|name| (*name).to_owned()).collect();
        Caps { countries: Some(countries), ..Caps::default() }
    }

    #[test]
    fn texts_go_to_allowed_countries_alone() {
        let countries = Countries::default();
        let open = |caps: &Caps, to: &str| caps.open(&number(to), &countries);
        let gb = home(&["GB"]);
        assert_eq!(open(&gb, "+442079460000"), Ok(()));
        assert_eq!(open(&gb, "+447911123456"), Ok(()), "placed in Guernsey by its digits");
        assert_eq!(open(&gb, "+12025550123"), Err(Closed::Country(Some("US".into()))));
        let us = home(&["US"]);
        assert_eq!(open(&us, "+12025550123"), Ok(()));
        assert_eq!(
            open(&us, "+18765550123"),
            Err(Closed::Country(Some("JM".into()))),
            "the same calling code, and a favourite of pumpers"
        );
        assert_eq!(open(&Caps::default(), "+18765550123"), Ok(()), "no list, all countries");
    }

    #[test]
    fn where_a_days_cost_is_capped_nothing_goes_where_no_price_is_known() {
        let countries = Countries::default();
        let prices = BTreeMap::from([("+44".to_owned(), 40_000)]);
        let caps = Caps { cost_per_day: Some(100_000), prices, max_parts: 2, ..Caps::default() };
        assert_eq!(caps.open(&number("+442079460000"), &countries), Ok(()));
        assert_eq!(caps.open(&number("+12025550123"), &countries), Err(Closed::NoPrice));
        let now = parse_instant("2026-11-23T10:00:00Z").expect("an instant");
        let to = number("+442079460000");
        let quotas = caps.quotas(&to, Urgency::Normal, &countries);
        let spent = |millionths| {
            let key = (Channel::Sms, "cost".to_owned(), quotas[0].from_ms(now));
            Uses::from([(key, Used { messages: 1, millionths })])
        };
        let full = |millionths| {
            let uses = spent(millionths);
            caps.used_up(Channel::Sms, &to, &quotas, &uses, now).map(|quota| quota.cap)
        };
        assert_eq!(full(20_000), None);
        assert_eq!(full(20_001), Some(Cap::CostPerDay), "two parts would be over it");
    }

    #[test]
    fn what_is_urgent_counts_by_itself_and_a_range_counts_together() {
        let countries = Countries::default();
        let caps = Caps { per_number: 5, urgent_per_number: 2, per_prefix: 100, ..Caps::default() };
        let names = |to: &str, urgency| -> Vec<String> {
            let quotas = caps.quotas(&number(to), urgency, &countries);
            quotas.into_iter().map(|quota| quota.name).collect()
        };
        let one = names("+447911123456", Urgency::Normal);
        let urgent = names("+447911123456", Urgency::Urgent);
        let other = names("+447911129999", Urgency::Normal);
        assert_ne!(one[0], urgent[0]);
        assert_ne!(one[0], other[0]);
        assert_eq!((&one[1], &one[1]), (&urgent[1], &other[1]));
    }
}
