//! What other systems are told by webhook: the types of facts, which hook wants which, and the
//! signature (Standard Webhooks, specification 1.0, "Signature scheme").

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::notification::Status;

/// A customer answered a question, or wrote in words of their own.
pub const REPLIED: &str = "customer.replied";
/// A customer answered how we did: the topic of the question is `survey`.
pub const CSAT: &str = "csat.answered";
/// A customer, or somebody for them, changed what they want to be told and how.
pub const PREFERENCE: &str = "customer.preference_changed";
/// A customer asked to be called.
pub const CALLBACK: &str = "callback.requested";
/// A person must do what software could not.
pub const TASK: &str = "task.created";
/// The last day of a promise of another word has begun, and nothing is planned.
pub const AT_RISK: &str = "promise.at_risk";
/// Sent when an operator asks for it, to see whether a hook answers.
pub const TEST: &str = "tidings.test";

/// The beginning of the types that tell of a notification.
pub const NOTIFICATION: &str = "notification.";

/// What becomes of a notification that is told: everything but its being planned and on its way.
pub const TOLD: [Status; 12] = [
    Status::Sent,
    Status::Delivered,
    Status::Undelivered,
    Status::InDoubt,
    Status::Failed,
    Status::Unknown,
    Status::Cancelled,
    Status::Superseded,
    Status::Folded,
    Status::Suppressed,
    Status::Expired,
    Status::Quarantined,
];

/// The topic whose answers are ratings.
pub const SURVEY: &str = "survey";

/// Every type that can be told.
#[must_use]
pub fn types() -> Vec<String> {
    let notifications = TOLD.iter().map(|status| format!("{NOTIFICATION}{}", status.as_str()));
    let others = [REPLIED, CSAT, PREFERENCE, CALLBACK, TASK, AT_RISK].map(str::to_owned);
    notifications.chain(others).collect()
}

/// The types a hook wants: one by its name, all of a family as `task.*`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// # Errors
    /// What types there are, when none is meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pattern = Self(text.to_owned());
        let types = types();
        if types.iter().any(|kind| pattern.fits(kind)) {
            return Ok(pattern);
        }
        Err(format!(
            "{text:?} is no type of event; known are {}, a family such as notification.*, and *",
            types.join(", ")
        ))
    }

    #[must_use]
    pub fn fits(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(family) => family.ends_with('.') && kind.starts_with(family),
            None => self.0 == kind,
        }
    }
}

/// What one hook is told.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The name of the hook.
    pub hook: String,
    pub events: Vec<Pattern>,
}

/// What is told at all, and where people read more.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    /// Where this installation is reached, without a slash at the end.
    pub public_url: String,
    pub hooks: Vec<Wanted>,
}

impl Outbound {
    /// The hooks that want this type.
    pub fn hooks_for<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let wants = move |wanted: &&Wanted| wanted.events.iter().any(|pattern| pattern.fits(kind));
        self.hooks.iter().filter(wants).map(|wanted| wanted.hook.as_str())
    }

    /// Does any hook want this type?
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        self.hooks_for(kind).next().is_some()
    }

    /// Does any hook want to hear of notifications?
    #[must_use]
    pub fn wants_notifications(&self) -> bool {
        TOLD.iter().any(|status| self.wants(&format!("{NOTIFICATION}{}", status.as_str())))
    }
}

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A key that requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    /// Reads `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let coded = text.strip_prefix(PREFIX).ok_or("a secret begins with whsec_")?;
        let key = data_encoding::BASE64.decode(coded.as_bytes());
        let key = key.map_err(|_| "after whsec_ a secret is base64")?;
        if !(24..=64).contains(&key.len()) {
            return Err(format!("a secret is 24 to 64 bytes, this one is {}", key.len()));
        }
        Ok(Self(key))
    }

    /// A new secret as it is written down.
    #[must_use]
    pub fn written(bytes: [u8; 32]) -> String {
        format!("{PREFIX}{}", data_encoding::BASE64.encode(&bytes))
    }

    /// `v1,` and the HMAC-SHA256 of id, timestamp (seconds since 1970) and body.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length will do");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", data_encoding::BASE64.encode(&mac.finalize().into_bytes()))
    }
}

/// The signatures of every key, as the header `webhook-signature` carries them: while a secret is
/// changed for another, receivers that know either are content.
#[must_use]
pub fn signatures(keys: &[SigningKey], id: &str, timestamp_s: i64, body: &str) -> String {
    keys.iter().map(|key| key.sign(id, timestamp_s, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_standard() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("24 bytes");
        let signed =
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_$$$$"] {
            let why = SigningKey::parse(text).expect_err(text);
            assert!(text.is_empty() || !why.contains(text), "{why}");
        }
        assert!(SigningKey::parse(&SigningKey::written([7; 32])).is_ok());
    }

    #[test]
    fn a_pattern_is_a_type_a_family_or_everything() {
        let fits = |pattern: &str, kind| Pattern::parse(pattern).expect(pattern).fits(kind);
        assert!(fits("notification.sent", "notification.sent"));
        assert!(!fits("notification.sent", "notification.delivered"));
        assert!(fits("notification.*", "notification.in_doubt") && !fits("task.*", AT_RISK));
        assert!(fits("*", CSAT));
        for wrong in ["", "notification", "notification.seen", "noti*", "task.created.*", ".*"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
