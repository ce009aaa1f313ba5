//! `[prices]`: what providers charge, for `tidings report cost`. They decide nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Prices in the currency's main unit; absent means unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub currency: String,
    /// One mail.
    pub email: Option<f64>,
    /// One part of a text, by the beginning of the number, or `default`.
    #[serde(default)]
    pub sms: BTreeMap<String, f64>,
    /// One call, likewise.
    #[serde(default)]
    pub voice: BTreeMap<String, f64>,
}

/// The longest beginning of a number that a price is for: a plus sign and four digits.
const MAX_PREFIX: usize = 5;

impl Prices {
    /// A mail, in millionths.
    #[must_use]
    pub fn mail(&self) -> Option<i64> {
        self.email.map(millionths)
    }

    /// A part of a text to a number that begins like this, in millionths.
    #[must_use]
    pub fn sms_part(&self, number: &str) -> Option<i64> {
        by_prefix(&self.sms, number)
    }

    /// A call to a number that begins like this, in millionths.
    #[must_use]
    pub fn call(&self, number: &str) -> Option<i64> {
        by_prefix(&self.voice, number)
    }

    /// The key of a price that cannot be one, and why.
    pub(super) fn fault(&self) -> Option<(Vec<&str>, String)> {
        let email = self.email.iter().map(|price| (vec!["email"], "default", *price));
        let sms = self.sms.iter().map(|(key, price)| (vec!["sms", key], key.as_str(), *price));
        let voice =
            self.voice.iter().map(|(key, price)| (vec!["voice", key], key.as_str(), *price));
        email.chain(sms).chain(voice).find_map(|(path, key, price)| {
            let digits = key.strip_prefix('+').unwrap_or_default();
            let is_prefix = key.len() <= MAX_PREFIX
                && !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit());
            if key != "default" && !is_prefix {
                let why = "is neither \"default\" nor the beginning of a number such as \"+44\"";
                return Some((path, why.to_owned()));
            }
            let fits = (0.0..=1_000.0).contains(&price);
            (!fits).then(|| (path, "lies between 0 and 1000".to_owned()))
        })
    }
}

/// The price with the longest matching prefix.
fn by_prefix(prices: &BTreeMap<String, f64>, number: &str) -> Option<i64> {
    (2..=MAX_PREFIX)
        .rev()
        .filter_map(|length| number.get(..length))
        .chain(["default"])
        .find_map(|key| prices.get(key))
        .map(|price| millionths(*price))
}

#[allow(clippy::cast_possible_truncation, reason = "checked to lie between 0 and 10000000")]
pub(super) fn millionths(price: f64) -> i64 {
    (price * 1_000_000.0).round() as i64
}
