//! What messages cost, from attempts and parts, at the prices of the settings.
//!
//! Sums are whole millionths of the currency, so that they add up.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::Prices;
use crate::store::balance::Period;
pub use crate::store::reports::CostBy;
use crate::store::reports::Handed;
use crate::store::{Result, Store};

/// One case, channel or message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    pub key: String,
    pub mails: i64,
    pub texts: i64,
    pub sms_parts: i64,
    pub calls: i64,
    /// In millionths of the currency; what has no price is left out.
    pub cost_millionths: i64,
    /// Mails, parts and calls without a price.
    pub unpriced: i64,
}

/// The lines, dearest first, and their sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub currency: String,
    pub lines: Vec<Line>,
    pub total: Line,
    /// Keys of the settings that would price the rest.
    pub missing_prices: BTreeSet<String>,
}

/// Sums up what was handed to providers in a period.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn report(store: &Store, prices: &Prices, by: CostBy, period: Period) -> Result<Report> {
    let handed = store.handed_over(by, period).await?;
    Ok(sum(&handed, prices))
}

/// Adds up what was handed over, at these prices.
#[must_use]
pub fn sum(handed: &[Handed], prices: &Prices) -> Report {
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    let mut total = Line { key: "total".into(), ..Line::default() };
    let mut missing_prices = BTreeSet::new();
    for row in handed {
        let line = lines
            .entry(&row.key)
            .or_insert_with(|| Line { key: row.key.clone(), ..Line::default() });
        let (price, missing) = match row.channel.as_str() {
            "sms" => (prices.sms_part(&row.prefix), key("sms", prices.sms.is_empty(), row)),
            "voice" => (prices.call(&row.prefix), key("voice", prices.voice.is_empty(), row)),
            _ => (prices.mail(), "prices.email".to_owned()),
        };
        if price.is_none() {
            missing_prices.insert(missing);
        }
        for line in [line, &mut total] {
            let units = match row.channel.as_str() {
                "sms" => {
                    line.texts += row.attempts;
                    line.sms_parts += row.parts;
                    row.parts
                }
                "voice" => {
                    line.calls += row.attempts;
                    row.attempts
                }
                _ => {
                    line.mails += row.attempts;
                    row.attempts
                }
            };
            match price {
                Some(price) => line.cost_millionths += price * units,
                None => line.unpriced += units,
            }
        }
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    lines.sort_by(|a, b| {
        let dearest = b.cost_millionths.cmp(&a.cost_millionths);
        dearest.then(b.unpriced.cmp(&a.unpriced)).then_with(|| a.key.cmp(&b.key))
    });
    Report { currency: prices.currency.clone(), lines, total, missing_prices }
}

/// What a line costs, in words; a dash where nothing has a price.
#[must_use]
pub fn money(line: &Line, currency: &str) -> String {
    if line.cost_millionths == 0 && line.unpriced > 0 {
        return "–".into();
    }
    let cents = (line.cost_millionths + 5_000) / 10_000;
    let more = if line.unpriced > 0 { " and more" } else { "" };
    format!("{}.{:02} {currency}{more}", cents / 100, cents % 100)
}

/// The key that would price a row: all of a channel where it has no price at all.
fn key(channel: &str, has_none: bool, row: &Handed) -> String {
    if has_none {
        format!("prices.{channel}")
    } else {
        format!("prices.{channel}.{:?}", row.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(key: &str, channel: &str, prefix: &str, attempts: i64, parts: i64) -> Handed {
        Handed { key: key.into(), channel: channel.into(), prefix: prefix.into(), attempts, parts }
    }

    #[test]
    fn a_text_costs_by_part_and_country_and_what_has_no_price_is_named() {
        let prices: Prices = toml::from_str(
            "currency = \"GBP\"\nemail = 0.0004\nvoice = { \"+49\" = 0.1 }\n[sms]\ndefault = 0.08\n\"+44\" = 0.04\n\"+1\" = 0.0079\n",
        )
        .expect("prices");
        let rows = [
            handed("a", "email", "ada@e", 10, 10),
            handed("a", "sms", "+4479", 2, 3),
            handed("b", "sms", "+1212", 1, 2),
            handed("b", "sms", "+4930", 1, 1),
            handed("b", "voice", "+4420", 2, 2),
        ];
        let report = sum(&rows, &prices);
        let costs: Vec<_> =
            report.lines.iter().map(|l| (l.key.as_str(), l.cost_millionths, l.unpriced)).collect();
        assert_eq!(costs, [("a", 124_000, 0), ("b", 95_800, 2)]);
        let total = &report.total;
        assert_eq!((total.mails, total.texts, total.sms_parts, total.calls), (10, 4, 6, 2));
        assert_eq!(total.cost_millionths, 219_800);
        assert_eq!(report.missing_prices, BTreeSet::from(["prices.voice.\"+4420\"".to_owned()]));
        let none: Prices = toml::from_str("currency = \"EUR\"").expect("prices");
        let missing: Vec<_> = sum(&rows, &none).missing_prices.into_iter().collect();
        assert_eq!(missing, ["prices.email", "prices.sms", "prices.voice"]);
    }
}
