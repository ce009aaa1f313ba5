//! What `[channels.email]` says of mail alone: the signature, where bounces go, and how quickly
//! each recipient domain is served.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Secret;
use crate::domain::dkim::kind_of;

use super::channels::Email;

/// `[channels.email.dkim]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    pub domain: String,
    pub selector: String,
    /// From `key_file`.
    #[serde(default, skip_serializing)]
    pub key: Option<Secret>,
    /// A second key of the domain, of the other kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondKey>,
}

/// `[channels.email.dkim.second]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondKey {
    pub selector: String,
    /// From `key_file`.
    #[serde(default, skip_serializing)]
    pub key: Option<Secret>,
}

/// `[channels.email.domains."example.com"]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecipientDomain {
    /// Messages a second; 0 for no limit.
    pub rate_per_s: f64,
    /// At once; 0 for what holds for the others.
    pub max_connections: usize,
}

/// The domains that are named, by their names.
pub type RecipientDomains = BTreeMap<String, RecipientDomain>;

/// The longest part before the `@` of `bounce_to`: a token of 46 characters follows, and 64 is
/// all there may be (RFC 5321 section 4.5.3.1.1).
const LONGEST_BOUNCE_NAME: usize = 17;

/// What is wrong with a key that signs: the keys below its table, and how to mend it.
fn key_fault(selector: &str, key: Option<&Secret>) -> Option<(&'static [&'static str], String)> {
    if !is_domain(selector) {
        let why = "is no name such as t1, under which the key is published at <selector>._domainkey.<domain>";
        return Some((&["selector"], why.into()));
    }
    let Some(key) = key else {
        return Some((&[], "needs key_file, a file with the private key".into()));
    };
    kind_of(key.expose()).err().map(|why| (&["key_file"][..], why))
}

/// What is wrong: the keys under `[channels.email]`, and how to mend it.
pub(super) fn fault(email: &Email) -> Option<(Vec<String>, String)> {
    let fault = |keys: &[&str], why: &str| {
        let keys = ["channels", "email"].iter().chain(keys).map(|key| (*key).to_owned());
        Some((keys.collect(), why.to_owned()))
    };
    if let Some(dkim) = &email.dkim {
        if !is_domain(&dkim.domain) {
            return fault(&["dkim", "domain"], "is no domain such as example.com");
        }
        if let Some((key, why)) = key_fault(&dkim.selector, dkim.key.as_ref()) {
            return fault(&[&["dkim"], key].concat(), &why);
        }
        if let Some(second) = &dkim.second {
            if let Some((key, why)) = key_fault(&second.selector, second.key.as_ref()) {
                return fault(&[&["dkim", "second"], key].concat(), &why);
            }
            if second.selector == dkim.selector {
                let why = "is the first key's; each is published under its own";
                return fault(&["dkim", "second", "selector"], why);
            }
        }
    }
    if let Some(bounce_to) = &email.bounce_to {
        let Ok(address) = bounce_to.parse::<lettre::Address>() else {
            return fault(&["bounce_to"], "is no address such as bounces@bounce.example.com");
        };
        if address.user().len() > LONGEST_BOUNCE_NAME {
            let why = "has more than 17 characters before the @; 46 more have to fit there";
            return fault(&["bounce_to"], why);
        }
        if address.user().contains('+') {
            return fault(
                &["bounce_to"],
                "has a + before the @, which parts the name from what a bounce brings back",
            );
        }
    }
    for (name, domain) in &email.domains {
        if !is_domain(name) || *name != name.to_lowercase() {
            let why = "is no recipient domain in lower case, such as example.com";
            return fault(&["domains", name], why);
        }
        if domain.rate_per_s != 0.0 && !(0.0001..=100_000.0).contains(&domain.rate_per_s) {
            let why = "is 0 for no limit, or lies between 0.0001 and 100000";
            return fault(&["domains", name, "rate_per_s"], why);
        }
    }
    None
}

/// Letters, digits and hyphens with dots between (RFC 1035 section 2.3.1).
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
