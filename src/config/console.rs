//! Who may use the console, and how they sign in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::domain::{Finding, OneTimeSecret, PasswordHash, Role, Secret, Span};

use super::source::Source;

/// The longest a session may last, in minutes: a week.
const MAX_SESSION_MINUTES: u64 = 7 * 24 * 60;

/// `[console]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// A session ends after so long without a page.
    pub idle: Span,
    /// A session ends so long after it began, whatever is done in it.
    pub longest: Span,
    pub operators: Vec<OperatorEntry>,
    pub openid: Option<OpenId>,
}

/// `[[console.operators]]`: somebody who signs in with a password and a one-time code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorEntry {
    pub name: String,
    pub role: Role,
    pub hash: PasswordHash,
    pub totp: OneTimeSecret,
}

/// `[console.openid]`: people sign in where they sign in for everything else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenId {
    pub issuer: String,
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// Which claim tells the role: a name, or a path such as `realm_access.roles`.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// Which claim names a person in the audit log.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// What the role's claim says, and which role that is here.
    pub roles: BTreeMap<String, Role>,
    /// Asked for besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
}

fn default_role_claim() -> String {
    "roles".into()
}

fn default_name_claim() -> String {
    "sub".into()
}

impl Console {
    /// May people of this machine use the console without signing in? Only while nobody else
    /// can sign in either.
    #[must_use]
    pub fn is_open_here(&self) -> bool {
        self.operators.is_empty() && self.openid.is_none()
    }

    /// What types cannot say.
    pub(super) fn check(&self, source: &Source) -> Result<(), Box<Finding>> {
        let fault = |path: &[&str], why: String| {
            let path = path.iter().map(|part| (*part).to_owned());
            let path: Vec<String> = ["console".to_owned()].into_iter().chain(path).collect();
            Err(Box::new(source.at(&path, &why)))
        };
        let (idle, longest) = (self.idle.rough_minutes(), self.longest.rough_minutes());
        for (key, span) in [("idle", self.idle), ("longest", self.longest)] {
            let exact = matches!(span, Span::Minutes(_) | Span::Hours(_));
            if !exact || !(5..=MAX_SESSION_MINUTES).contains(&span.rough_minutes()) {
                let why = "is minutes or hours, between 5 minutes and 168 hours";
                return fault(&[key], why.into());
            }
        }
        if idle > longest {
            return fault(&["idle"], "is longer than console.longest".into());
        }
        let mut names = BTreeSet::new();
        for (place, operator) in self.operators.iter().enumerate() {
            let place = place.to_string();
            if let Err(why) = operator_name(&operator.name) {
                return fault(&["operators", &place, "name"], why);
            }
            if !names.insert(operator.name.to_lowercase()) {
                let why = format!("{:?} is here twice", operator.name);
                return fault(&["operators", &place, "name"], why);
            }
        }
        let Some(openid) = &self.openid else { return Ok(()) };
        if let Err(why) = issuer(&openid.issuer) {
            return fault(&["openid", "issuer"], why);
        }
        for (key, text) in [
            ("client_id", &openid.client_id),
            ("role_claim", &openid.role_claim),
            ("name_claim", &openid.name_claim),
        ] {
            if text.is_empty() {
                return fault(&["openid", key], "is empty".into());
            }
        }
        if openid.roles.is_empty() {
            let why = "names no role, so nobody could sign in; write roles = { \"what the claim says\" = \"viewer\" }";
            return fault(&["openid", "roles"], why.into());
        }
        Ok(())
    }
}

/// Is this a name an operator of the settings may have?
///
/// # Errors
/// What it may be made of.
pub fn operator_name(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
    if name.is_empty() || name.chars().count() > 64 || !name.chars().all(fine) {
        return Err("is 1 to 64 letters, digits and . _ - @ +".into());
    }
    if ["local", "nobody"].contains(&name) {
        return Err(format!("{name:?} is what the audit log calls others"));
    }
    Ok(())
}

/// An issuer is reached by https; one on this machine, for trying it out, by http too.
fn issuer(text: &str) -> Result<(), String> {
    let wrong = "is the issuer's address as its discovery document gives it, such as https://login.example.com/realms/shop";
    let url = reqwest::Url::parse(text).map_err(|error| format!("{wrong} ({error})"))?;
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if here => Ok(()),
        _ => Err(format!("{wrong}; it must begin with https://")),
    }
}
