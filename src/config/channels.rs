//! `[channels]`: by which providers messages leave, and how quickly.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::domain::call::Speech;
use crate::domain::http_door::HttpDoor;
use crate::domain::{ChannelMap, Secret};
use crate::planning::withdrawal::Target;

use super::mail::{self, Dkim, RecipientDomains};
use super::source::{SECRETS, merge};
use super::{senders, without_password};

/// The weight of a provider that says nothing of it.
const WEIGHT: u32 = 100;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    pub email: Email,
    pub sms: Telephone,
    pub voice: Telephone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailProvider {
    Smtp,
    Outbox,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TelephoneProvider {
    Twilio,
    Vonage,
    Plivo,
    Sinch,
    Kannel,
    /// Any provider with an HTTP door, described in the settings.
    Http,
    Asterisk,
    Outbox,
    None,
}

impl TelephoneProvider {
    /// Is this the kind that attempts of calls are recorded under?
    #[must_use]
    pub fn speaks_as(self, kind: &str) -> bool {
        match self {
            Self::Twilio => kind == "twilio",
            Self::Vonage => kind == "vonage_voice",
            Self::Asterisk => kind == "asterisk",
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub provider: EmailProvider,
    #[serde(serialize_with = "without_password")]
    pub url: String,
    pub max_connections: usize,
    /// Messages a second, on average; 0 for no limit.
    pub rate_per_s: f64,
    /// Messages that may leave at once after a pause, where there is a limit.
    pub burst: u32,
    pub dir: PathBuf,
    pub hello_name: Option<String>,
    /// What attempts are recorded under; the kind of the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its share among several; 0 is for when the others are away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// What share of its messages it should deliver, 0 to 1; below it is left out for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_target: Option<f64>,
    /// Over how many of its last messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_window: Option<u32>,
    /// Several in the place of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Self>,
    /// Where bounces go; without it to the sender.
    pub bounce_to: Option<String>,
    pub dkim: Option<Dkim>,
    /// At once to one recipient domain; 0 for as many as there are.
    pub max_connections_per_domain: usize,
    #[serde(default)]
    pub domains: RecipientDomains,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telephone {
    pub provider: TelephoneProvider,
    pub base_url: String,
    pub account: String,
    #[serde(default, skip_serializing)]
    pub token: Option<Secret>,
    pub from: String,
    pub max_connections: usize,
    /// Messages a second, on average; 0 for no limit.
    pub rate_per_s: f64,
    /// Messages that may leave at once after a pause, where there is a limit.
    pub burst: u32,
    pub dir: PathBuf,
    #[serde(default)]
    pub replies: bool,
    /// What attempts are recorded under; the kind of the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its share among several; 0 is for when the others are away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// What share of its messages it should deliver, 0 to 1; below it is left out for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_target: Option<f64>,
    /// Over how many of its last messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_window: Option<u32>,
    /// Several in the place of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Self>,
    /// What a provider signs its callbacks with, where that is not `token`.
    #[serde(default, skip_serializing)]
    pub callback_secret: Option<Secret>,
    /// Vonage: the application whose private key signs requests, instead of account and token.
    #[serde(default)]
    pub application: Option<String>,
    #[serde(default, skip_serializing)]
    pub private_key: Option<Secret>,
    /// Country (ISO 3166) → what texts to it come from, where that is not `from`.
    #[serde(default)]
    pub senders: BTreeMap<String, String>,
    /// How the provider `http` is spoken to. Its headers may hold secrets.
    #[serde(default, skip_serializing)]
    pub http: Option<HttpDoor>,
    // voice
    /// The voices of the languages.
    #[serde(default)]
    pub speech: Speech,
    /// How an exchange reaches a number: `PJSIP/{number}@trunk`.
    #[serde(default)]
    pub endpoint: String,
    /// The part of an exchange's dialplan that calls go through once they are picked up.
    #[serde(default)]
    pub context: Option<String>,
    /// The command that makes a sound of a text, for an exchange.
    #[serde(default)]
    pub speak: String,
    /// Where the sounds lie.
    #[serde(default)]
    pub sounds: PathBuf,
}

/// What every provider's settings have, whatever its channel.
#[derive(Debug, Clone, Copy)]
struct Common<'a> {
    name: Option<&'a str>,
    weight: Option<u32>,
    rate_per_s: f64,
    burst: u32,
    is_none: bool,
    target: Option<f64>,
    window: Option<u32>,
}

/// Messages a delivery target is measured over, unless the settings say otherwise.
const DELIVERY_WINDOW: u32 = 200;

impl Channels {
    /// What each channel should deliver; `None` where nothing is asked of it.
    #[must_use]
    pub fn targets(&self) -> ChannelMap<Option<Target>> {
        let target = |share: Option<f64>, over: Option<u32>| {
            share.map(|share| Target { share, over: over.unwrap_or(DELIVERY_WINDOW) })
        };
        let Self { email, sms, voice } = self;
        ChannelMap {
            email: target(email.delivery_target, email.delivery_window),
            sms: target(sms.delivery_target, sms.delivery_window),
            voice: target(voice.delivery_target, voice.delivery_window),
        }
    }

    /// Each provider of a telephone, text and voice.
    pub fn telephones(&self) -> impl Iterator<Item = &Telephone> {
        self.sms.each().iter().chain(self.voice.each())
    }

    /// What is wrong with them: the key, and how to mend it.
    #[must_use]
    pub fn fault(&self) -> Option<(Vec<String>, String)> {
        let Self { email, sms, voice } = self;
        let emails: Vec<_> = email.each().iter().map(|email| (email.common(), None)).collect();
        several_fault("email", &emails, !email.providers.is_empty())
            .or_else(|| email.each().iter().find_map(mail::fault))
            .or_else(|| {
                let why = "mail servers do not say what arrived; leave it out".to_owned();
                let keys = ["channels", "email", "delivery_target"].map(str::to_owned).to_vec();
                email.delivery_target.map(|_| (keys, why))
            })
            .or_else(|| {
                let exchanges = voice.each().iter();
                let exchanges = exchanges.filter(|v| v.provider == TelephoneProvider::Asterisk);
                let why = "only one provider of calls may be \"asterisk\"".to_owned();
                let keys = ["channels", "voice", "providers"].map(str::to_owned).to_vec();
                (exchanges.count() > 1).then_some((keys, why))
            })
            .or_else(|| {
                several_fault("sms", &telephones("sms", sms.each()), !sms.providers.is_empty())
            })
            .or_else(|| {
                several_fault(
                    "voice",
                    &telephones("voice", voice.each()),
                    !voice.providers.is_empty(),
                )
            })
    }
}

/// The path to a key of a provider that is missing or wrong, and what it needs.
type OwnFault = Option<(Vec<String>, String)>;

fn telephones<'t>(channel: &str, all: &'t [Telephone]) -> Vec<(Common<'t>, OwnFault)> {
    all.iter().map(|one| (one.common(), one.fault(channel))).collect()
}

fn several_fault(
    channel: &str,
    all: &[(Common<'_>, OwnFault)],
    several: bool,
) -> Option<(Vec<String>, String)> {
    for (place, (common, own)) in all.iter().enumerate() {
        let mut before = all[..place].iter();
        let known = common.name.is_some_and(|name| before.any(|(b, _)| b.name == Some(name)));
        let twice = || {
            let why = "two providers of a channel have one name";
            (several && known).then_some(("name", why))
        };
        let of_key = |(key, why): (&str, &str)| (vec![key.to_owned()], why.to_owned());
        let found = own.clone().or_else(|| common.fault(several).or_else(twice).map(of_key));
        let Some((path, why)) = found else { continue };
        let mut keys = vec!["channels".to_owned(), channel.to_owned()];
        if several {
            keys.extend(["providers".to_owned(), place.to_string()]);
        }
        keys.extend(path);
        return Some((keys, why));
    }
    None
}

impl Common<'_> {
    fn fault(&self, several: bool) -> Option<(&'static str, &'static str)> {
        let is_name = |name: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=40).contains(&name.len()) && name.chars().all(fits)
        };
        if self.rate_per_s != 0.0 && !(0.0001..=100_000.0).contains(&self.rate_per_s) {
            let why = "is 0 for no limit, or lies between 0.0001 and 100000";
            return Some(("rate_per_s", why));
        }
        if self.target.is_some_and(|target| !(0.01..=1.0).contains(&target)) {
            return Some(("delivery_target", "lies between 0.01 and 1"));
        }
        if self.window.is_some_and(|window| !(50..=10_000).contains(&window)) {
            return Some(("delivery_window", "lies between 50 and 10000"));
        }
        if !(1..=100_000).contains(&self.burst) {
            return Some(("burst", "lies between 1 and 100000"));
        }
        match self.name {
            None if several => {
                return Some(("name", "each of several providers needs a name of its own"));
            }
            Some(name) if !is_name(name) => {
                return Some(("name", "is made of a to z, 0 to 9 and -, at most 40 of them"));
            }
            _ => {}
        }
        if self.weight.is_some_and(|weight| weight > 1_000) {
            return Some(("weight", "lies between 0 and 1000"));
        }
        if several && self.is_none {
            return Some((
                "provider",
                "\"none\" is no provider: take the entry out, or set weight = 0",
            ));
        }
        None
    }
}

impl Email {
    /// Itself, or the several that stand in its place.
    #[must_use]
    pub fn each(&self) -> &[Self] {
        if self.providers.is_empty() { std::slice::from_ref(self) } else { &self.providers }
    }

    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.unwrap_or(WEIGHT)
    }

    fn common(&self) -> Common<'_> {
        Common {
            name: self.name.as_deref(),
            weight: self.weight,
            rate_per_s: self.rate_per_s,
            burst: self.burst,
            is_none: self.provider == EmailProvider::None,
            target: self.delivery_target,
            window: self.delivery_window,
        }
    }
}

impl Telephone {
    /// Itself, or the several that stand in its place.
    #[must_use]
    pub fn each(&self) -> &[Self] {
        if self.providers.is_empty() { std::slice::from_ref(self) } else { &self.providers }
    }

    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.unwrap_or(WEIGHT)
    }

    fn common(&self) -> Common<'_> {
        Common {
            name: self.name.as_deref(),
            weight: self.weight,
            rate_per_s: self.rate_per_s,
            burst: self.burst,
            is_none: self.provider == TelephoneProvider::None,
            target: self.delivery_target,
            window: self.delivery_window,
        }
    }

    /// Where the provider is, where the settings name another place than its own.
    #[must_use]
    pub fn own_base_url(&self) -> Option<String> {
        let set = self.base_url.trim_end_matches('/');
        (!set.is_empty()).then(|| set.to_owned())
    }

    /// Which key is missing or wrong, and what it needs.
    fn fault(&self, channel: &str) -> OwnFault {
        use TelephoneProvider::{
            Asterisk, Http, Kannel, None as Nobody, Outbox, Plivo, Sinch, Twilio, Vonage,
        };
        let fault = |key: &str, why: &str| Some((vec![key.to_owned()], why.to_owned()));
        let is_empty = |secret: &Option<Secret>| {
            secret.as_ref().is_some_and(|secret| secret.expose().trim().is_empty())
        };
        if is_empty(&self.token) {
            return fault("token_file", "holds nothing");
        }
        if is_empty(&self.callback_secret) {
            return fault("callback_secret_file", "holds nothing: anybody could sign callbacks");
        }
        if channel == "voice" && matches!(self.provider, Plivo | Sinch | Kannel | Http) {
            return fault("provider", "sends text messages only; calls go by another provider");
        }
        if channel == "sms" && self.provider == Asterisk {
            return fault("provider", "makes calls only; texts go by another provider");
        }
        let no_account = self.account.is_empty() || self.token.is_none();
        let no_sender = self.from.is_empty();
        let no_application = self.application.as_ref().is_none_or(String::is_empty);
        let no_key = no_application || self.private_key.is_none();
        let needs = match self.provider {
            Twilio if no_account || no_sender => {
                "provider \"twilio\" needs account, token_file and from"
            }
            Vonage
                if channel == "voice"
                    && (no_sender || no_key || self.callback_secret.is_none()) =>
            {
                "provider \"vonage\" needs application, private_key_file, callback_secret_file and from"
            }
            Asterisk if no_account || no_sender || no_application => {
                "provider \"asterisk\" needs account, token_file, application, endpoint and from"
            }
            Vonage if no_sender || (no_account && no_key) => {
                "provider \"vonage\" needs from, and account with token_file (API key and secret) or application with private_key_file"
            }
            Plivo if no_account || no_sender => {
                "provider \"plivo\" needs account (auth id), token_file (auth token) and from"
            }
            Sinch if no_account || no_sender => {
                "provider \"sinch\" needs account (service plan), token_file (API token) and from"
            }
            Kannel if no_account || no_sender => {
                "provider \"kannel\" needs account and token_file (username and password of its group sendsms-user) and from"
            }
            Http if self.http.is_none() => {
                "provider \"http\" needs a section http with url and body: [channels.sms.http]"
            }
            Twilio | Vonage | Plivo | Sinch | Kannel | Http | Asterisk | Outbox | Nobody => "",
        };
        if !needs.is_empty() {
            return fault("provider", needs);
        }
        if self.provider == Asterisk {
            return self.exchange_fault().and_then(|(key, why)| fault(key, why));
        }
        if let Some(key) = self.private_key.as_ref().filter(|_| self.provider == Vonage)
            && jsonwebtoken::EncodingKey::from_rsa_pem(key.expose().as_bytes()).is_err()
        {
            return fault("private_key_file", "holds no RSA private key in PEM");
        }
        if let Some(http) = self.http.as_ref().filter(|_| self.provider == Http)
            && let Some((path, why)) = http.fault(self.callback_secret.is_some())
        {
            let path = ["http"].into_iter().chain(path).map(str::to_owned).collect();
            return Some((path, why));
        }
        if channel == "sms"
            && let Some((path, why)) = senders::fault(&self.from, &self.senders)
        {
            return Some((path, why));
        }
        None
    }

    /// What is wrong with the way to an exchange.
    fn exchange_fault(&self) -> Option<(&'static str, &'static str)> {
        if !self.base_url.starts_with("http://") {
            return Some((
                "base_url",
                "of provider \"asterisk\" is such as http://127.0.0.1:8088/ari: its events are read without TLS, on the same machine or in a private network",
            ));
        }
        if !self.endpoint.contains("{number}") {
            return Some((
                "endpoint",
                "names how a number is reached, such as PJSIP/{number}@trunk",
            ));
        }
        let why = "is the command that makes a sound of a text; the default uses espeak-ng";
        self.speak.is_empty().then_some(("speak", why))
    }
}

/// Gives each of a channel's several `providers` the keys of the channel that it does not set.
/// A secret of its own takes the place of the channel's, in whichever of the two ways it is given.
pub(super) fn inherit(settings: &mut Table) {
    let Some(Value::Table(channels)) = settings.get_mut("channels") else { return };
    for (_, channel) in channels.iter_mut() {
        let Value::Table(channel) = channel else { continue };
        let mut common = channel.clone();
        let Some(Value::Array(_)) = common.remove("providers") else { continue };
        for key in ["name", "weight", "delivery_target", "delivery_window"] {
            common.remove(key);
        }
        let Some(Value::Array(entries)) = channel.get_mut("providers") else { continue };
        for entry in entries {
            let Value::Table(own) = entry else { continue };
            let mut whole = common.clone();
            for (file_key, key) in SECRETS {
                if own.contains_key(file_key) || own.contains_key(key) {
                    whole.remove(file_key);
                    whole.remove(key);
                }
            }
            merge(&mut whole, std::mem::take(own));
            *own = whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    const SENDER: &str =
        "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n";

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read("tidings.toml", &format!("{text}{SENDER}"), [])
            .map_err(|finding| finding.to_string())
    }

    #[test]
    fn several_providers_have_what_the_channel_has_and_they_do_not_set() {
        let settings = read(
            "[channels.sms]\nprovider = \"twilio\"\naccount = \"AC1\"\ntoken = \"one\"\n\
             from = \"+447700900001\"\nburst = 3\n\
             [[channels.sms.providers]]\nname = \"a\"\nweight = 70\n\
             [[channels.sms.providers]]\nname = \"b\"\naccount = \"AC2\"\ntoken = \"two\"\n",
        )
        .expect("valid");
        let [a, b] = settings.channels.sms.each() else { panic!("two") };
        assert_eq!((a.account.as_str(), a.weight(), a.burst), ("AC1", 70, 3));
        assert_eq!((b.account.as_str(), b.weight(), b.burst), ("AC2", 100, 3));
        let secret = |t: &super::Telephone| t.token.as_ref().map(|s| s.expose().to_owned());
        assert_eq!((secret(a), secret(b)), (Some("one".into()), Some("two".into())));
        assert_eq!(settings.channels.email.each().len(), 1, "one provider is the channel itself");
    }

    #[test]
    fn a_mistake_in_one_of_several_is_named_with_its_place() {
        let entry = |more: &str| format!("[[channels.sms.providers]]\nname = \"a\"\n{more}\n");
        for (text, word) in [
            ("[[channels.sms.providers]]\nweight = 1\n".to_owned(), "a name of its own"),
            (entry("") + &entry(""), "have one name"),
            (entry("weight = -1"), "u32"),
            (entry("weight = 1001"), "between 0 and 1000"),
            (entry("provider = \"none\""), "no provider"),
            (entry("provider = \"twilio\""), "needs account"),
            ("[channels.sms]\ndelivery_target = 90\n".to_owned(), "between 0.01 and 1"),
            (entry("rate_per_s = -1"), "providers.0.rate_per_s"),
            ("[[channels.sms.providers]]\nname = \"A b\"\n".to_owned(), "a to z"),
        ] {
            let finding = read(&text).expect_err(&text);
            assert!(finding.contains(word), "{text}: {finding}");
        }
    }
}
