//! Settings: the commented defaults in the binary, then the file, then the environment, then
//! secrets from files of their own. Errors point at the line, or name the variable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::domain::customer::Address;
use crate::domain::hours::QuietHours;
use crate::domain::{Channel, ChannelMap, Finding, RedisUrl, Span, Window, Zones};
use crate::planning::adaptive::Adaptive;
use crate::planning::caps::Caps;
use crate::planning::four_eyes::FourEyes;
use crate::planning::legal_hours::LegalHours;
use crate::planning::retry::RetryPolicy;
use crate::planning::rules::Topic;

mod calendars;
mod channels;
mod console;
mod limits;
mod mail;
mod prices;
mod senders;
mod source;
mod sources;
mod webhooks;

pub use calendars::Calendars;
pub use channels::{Channels, Email, EmailProvider, Telephone, TelephoneProvider};
pub use console::{Console, OpenId, OperatorEntry, operator_name};
pub use limits::{Limits, TelephoneLimits};
pub use mail::{Dkim, RecipientDomain};
pub use prices::Prices;
pub use senders::is_alphanumeric;
use source::{
    Source, merge, nested, parse_value, read_secrets, without_passwords, without_signing_secrets,
};
pub use sources::{DEFAULT_SOURCES, SourceSection, Sources};
pub use webhooks::Webhook;

/// The defaults, and their documentation.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything that can be set.
///
/// What decides nothing (where the store is, how much is logged) is left out of the
/// fingerprint: the same decisions on another engine have the same versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(skip_serializing)]
    pub store: Store,
    #[serde(skip_serializing)]
    pub queue: Queue,
    pub http: Http,
    pub auth: Auth,
    #[serde(skip_serializing)]
    pub console: Console,
    pub sender: Sender,
    pub journeys: Folder,
    pub templates: Folder,
    #[serde(skip_serializing)]
    pub sources: Sources,
    pub channels: Channels,
    pub topics: BTreeMap<String, Topic>,
    pub quiet_hours: QuietHours,
    pub locales: Locales,
    pub calendars: Calendars,
    pub legal_hours: BTreeMap<String, LegalHours>,
    #[serde(skip_serializing)]
    pub callback: Callback,
    #[serde(skip_serializing)]
    pub contact_centre: ContactCentre,
    pub intake: Intake,
    pub dispatch: Dispatch,
    pub retry: ChannelMap<RetryPolicy>,
    pub limits: Limits,
    pub adaptive: Adaptive,
    #[serde(skip_serializing)]
    pub publishing: Publishing,
    #[serde(skip_serializing)]
    pub prices: Prices,
    #[serde(default, skip_serializing)]
    pub webhooks: Vec<Webhook>,
    #[serde(skip_serializing)]
    pub log: Log,
}

/// Who may put a version in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishing {
    pub four_eyes: FourEyes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub url: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    #[serde(serialize_with = "without_password")]
    pub url: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: std::net::SocketAddr,
    pub public_url: String,
    /// Proxies in front that add to `X-Forwarded-For`.
    pub proxies: u8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub api_keys: Vec<ApiKey>,
    pub key_file: Option<PathBuf>,
}

/// An API key as it is kept: the hash of its secret, never the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub name: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
    pub scopes: Vec<Scope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Read customers, cases and notifications.
    Read,
    /// Change customers, and act on notifications.
    Manage,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    pub name: String,
    pub mail_from: String,
    pub reply_to: Option<String>,
    pub phone: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locales {
    pub default: String,
    pub offered: Vec<String>,
    pub time_zone: String,
}

/// Calls that customers ask for on their page.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// When people call back, on the clock of `[locales] time_zone`.
    pub hours: Window,
    /// Calls that a window of 15 minutes holds.
    pub per_window: u32,
    /// Tidings itself rings the contact centre and connects it with the customer.
    pub dial: bool,
}

/// The people customers are connected to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactCentre {
    /// The number that rings there; `[sender] phone` when absent.
    pub phone: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    pub wait_for_customer: Span,
    /// The Redis stream events are read from; empty for none.
    pub stream: String,
    /// The group its readers form.
    pub stream_group: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    #[serde(default)]
    pub mode: DispatchMode,
    pub lease_s: u32,
    pub hand_over_window_s: f64,
    pub settle_doubt_after_s: u32,
}

/// Does anything leave?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DispatchMode {
    #[default]
    Live,
    /// Decides and records, and hands nothing over: another system speaks.
    Shadow,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Pretty,
    Json,
}

fn without_password<S: serde::Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            format!("{}***{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    };
    serializer.serialize_str(&shown)
}

/// The file read when none is named.
pub const DEFAULT_FILE: &str = "config/tidings.toml";

impl Settings {
    /// Reads the settings: `file`, or `config/tidings.toml` where there is one, and the
    /// environment given as pairs.
    ///
    /// # Errors
    /// The finding: which line of which file, or which variable, and how to mend it.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Box<Finding>> {
        let name = file.map_or_else(|| DEFAULT_FILE.to_owned(), |file| file.display().to_string());
        let text = match std::fs::read_to_string(&name) {
            Ok(text) => text,
            Err(_) if file.is_none() => String::new(),
            Err(error) => {
                return Err(Box::new(
                    Finding::error(&name, &Arc::from(""), format!("cannot be read: {error}"))
                        .help("--config names the settings file"),
                ));
            }
        };
        Self::read(&name, &text, environment)
    }

    /// Reads the settings from the text of a file.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn read(
        file: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Box<Finding>> {
        let source = Source::new(file, &without_signing_secrets(text));
        let mut merged: Table = toml::from_str(DEFAULTS).expect("the defaults are TOML");
        let from_file: Table = toml::from_str(text).map_err(|error| {
            let finding = source.finding(error.message());
            Box::new(match error.span() {
                Some(span) => finding.at(span),
                None => finding,
            })
        })?;
        merge(&mut merged, from_file);
        let mut set_by: BTreeMap<String, String> = BTreeMap::new();
        for (variable, value) in environment {
            let Some(path) = variable.strip_prefix("TIDINGS__") else { continue };
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            let value = parse_value(&value);
            merge(&mut merged, nested(&path, value));
            set_by.insert(path.join("."), variable);
        }
        channels::inherit(&mut merged);
        read_secrets(&mut merged, &source)?;
        let mut settings: Self = serde_path_to_error::deserialize(Value::Table(merged))
            .map_err(|error| Box::new(source.explain(&error, &set_by)))?;
        settings.calendars.read(&source)?;
        settings.check(&source)?;
        Ok(settings)
    }

    /// A finding about one key of these settings, for what only its use shows: where it was
    /// set, in the file (`None`: the usual one) or by a variable of the environment.
    #[must_use]
    pub fn finding_at(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        path: &[&str],
        why: &str,
    ) -> Finding {
        let name = file.map_or_else(|| DEFAULT_FILE.to_owned(), |file| file.display().to_string());
        let text = without_passwords(&std::fs::read_to_string(&name).unwrap_or_default());
        let source = Source::new(&name, &text);
        let variable = format!("TIDINGS__{}", path.join("__").to_uppercase());
        if environment.into_iter().any(|(set, _)| set == variable) {
            return source.finding(&format!("the environment variable {variable}: {why}"));
        }
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let from_file: Vec<String> = match path.split_last() {
            Some((last, folders)) => {
                folders.iter().cloned().chain([format!("{last}_file")]).collect()
            }
            None => Vec::new(),
        };
        let set_at = if source.span(&path).is_some() { &path } else { &from_file };
        match source.span(set_at) {
            Some(span) => source.finding(why).at(span),
            None => source.finding(why),
        }
    }

    /// What types cannot say.
    fn check(&self, source: &Source) -> Result<(), Box<Finding>> {
        let fault = |path: &[&str], why: String| {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            Err(Box::new(source.at(&path, &why)))
        };
        if let Err(error) = self.sender.mail_from.parse::<lettre::message::Mailbox>() {
            let why = format!("is no mailbox such as Example Shop <service@example.com>: {error}");
            return fault(&["sender", "mail_from"], why);
        }
        if let Err(why) = crate::domain::fault::one_line(&self.sender.name, 100) {
            return fault(&["sender", "name"], why);
        }
        if let Some(phone) = &self.sender.phone
            && let Err(why) =
                crate::domain::customer::Address::parse(crate::domain::Channel::Voice, phone)
        {
            return fault(&["sender", "phone"], why);
        }
        if let Some(phone) = &self.contact_centre.phone
            && let Err(why) =
                crate::domain::customer::Address::parse(crate::domain::Channel::Voice, phone)
        {
            return fault(&["contact_centre", "phone"], why);
        }
        if let Some(reply_to) = &self.sender.reply_to
            && let Err(error) = reply_to.parse::<lettre::message::Mailbox>()
        {
            return fault(&["sender", "reply_to"], format!("is no mailbox: {error}"));
        }
        if self.queue.url != "embedded"
            && let Err(why) = RedisUrl::parse(&self.queue.url)
        {
            let why = format!("is not \"embedded\" and {why}");
            // The line is shown, unless it may hold a password.
            return if self.queue.url.contains('@') {
                Err(Box::new(source.finding(&format!("queue.url: {why}"))))
            } else {
                fault(&["queue", "url"], why)
            };
        }
        if !self.http.public_url.starts_with("http://")
            && !self.http.public_url.starts_with("https://")
        {
            return fault(&["http", "public_url"], "must start with https:// or http://".into());
        }
        self.console.check(source)?;
        let connects = self.channels.voice.each().iter().all(|voice| {
            matches!(voice.provider, TelephoneProvider::Twilio | TelephoneProvider::Vonage)
        });
        if self.callback.dial && !connects {
            let why =
                "needs a provider of [channels.voice] that connects two numbers: twilio or vonage";
            return fault(&["callback", "dial"], why.into());
        }
        if self.callback.dial && self.contact_centre.phone.is_none() && self.sender.phone.is_none()
        {
            let why = "needs the number that is rung: [contact_centre] phone";
            return fault(&["callback", "dial"], why.into());
        }
        if let Some((keys, why)) = self.channels.fault() {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            return fault(&keys, why);
        }
        let loopback = self.http.listen.ip().is_loopback();
        for (name, section) in &self.sources.sections {
            if let Some(why) = section.fault(loopback) {
                return fault(&["sources", name], why.into());
            }
        }
        if !(0.1..=60.0).contains(&self.dispatch.hand_over_window_s) {
            return fault(&["dispatch", "hand_over_window_s"], "lies between 0.1 and 60".into());
        }
        if !(2..=3_600).contains(&self.dispatch.lease_s) {
            return fault(&["dispatch", "lease_s"], "lies between 2 and 3600".into());
        }
        if f64::from(self.dispatch.lease_s) <= self.dispatch.hand_over_window_s {
            let why = "must be longer than hand_over_window_s".into();
            return fault(&["dispatch", "lease_s"], why);
        }
        if !(0.0..=1.0).contains(&self.adaptive.hold_out) {
            return fault(&["adaptive", "hold_out"], "lies between 0 and 1".into());
        }
        if let Some((path, why)) = self.limits.fault() {
            return fault(&path, why);
        }
        if let Some((key, why)) = self.prices.fault() {
            return fault(&[&["prices"], key.as_slice()].concat(), why);
        }
        if let Some((n, key, why)) = webhooks::fault(&self.webhooks) {
            let n = n.to_string();
            let file = format!("{key}_file");
            let in_file = source.span(&["webhooks".into(), n.clone(), file.clone()]).is_some();
            return fault(&["webhooks", &n, if in_file { &file } else { key }], why);
        }
        let zones = Zones::bundled();
        for (region, row) in &self.legal_hours {
            if let Some(name) = &row.calendar
                && !self.calendars.days.contains_key(name)
            {
                return fault(&["legal_hours", region, "calendar"], self.calendars.unknown(name));
            }
            if let Some(why) = row.zones.iter().find_map(|name| zones.get(name).err()) {
                return fault(&["legal_hours", region, "zones"], why);
            }
        }
        Ok(())
    }

    /// The caps of texts and calls. Home is the country of our own numbers; what lets nothing
    /// out needs none.
    #[must_use]
    pub fn caps(&self) -> ChannelMap<Option<Caps>> {
        let country = |text: &str| Address::parse(Channel::Voice, text).ok()?.country(None);
        let phone = self.sender.phone.as_deref().and_then(country);
        let home = |telephone: &Telephone| {
            let all = telephone.each().iter();
            let mut leaving = all.filter(|one| one.provider != TelephoneProvider::Outbox);
            let first = leaving.next()?;
            let own = || std::iter::once(first).chain(leaving).find_map(|one| country(&one.from));
            phone.clone().or_else(own)
        };
        let (limits, channels) = (&self.limits, &self.channels);
        let sms = home(&channels.sms);
        let voice = home(&channels.voice);
        ChannelMap {
            email: None,
            sms: Some(limits.sms.caps(sms.as_ref(), &self.prices.sms, limits.max_segments)),
            voice: Some(limits.voice.caps(voice.as_ref(), &self.prices.voice, 1)),
        }
    }

    /// The fingerprint of these settings, without secrets, and what it stands for.
    #[must_use]
    pub fn fingerprint(&self) -> (String, String) {
        use sha2::Digest;
        let body = serde_json::to_string(self).expect("settings are plain data");
        let hash = sha2::Sha256::digest(body.as_bytes());
        (data_encoding::HEXLOWER.encode(&hash[..8]), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n";

    fn read(text: &str) -> Result<Settings, Box<Finding>> {
        Settings::read("tidings.toml", text, [])
    }

    #[test]
    fn only_the_sender_is_required() {
        let settings = read(MINIMAL).expect("the defaults do the rest");
        assert_eq!(settings.store.url, "sqlite:var/tidings.db");
        assert_eq!(settings.channels.email.provider, EmailProvider::Outbox);
        let finding = read("[sender]\nname = \"Example Shop\"\n").expect_err("no mail_from");
        assert!(finding.message.contains("mail_from"), "{finding}");
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, word) in [
            ("[http]\nlisten = \"everywhere\"\n", 2, "socket"),
            ("[store]\nurl = \"sqlite:x.db\"\npath = \"y\"\n", 3, "path"),
            ("[channels.email]\nprovider = \"pigeon\"\n", 2, "pigeon"),
            ("[stroe]\nurl = \"x\"\n", 1, "stroe"),
            ("[quiet_hours]\nsms = \"late\"\n", 1, "21:00-08:00"),
            ("[channels.sms]\nrate_per_s = -1\n", 2, "no limit"),
            ("[channels.sms]\nrate_per_s = 1\nburst = 0\n", 3, "between 1"),
            ("[legal_hours.gb]\nsms = [\"early\"]\n", 2, "21:00-08:00"),
            ("[legal_hours.gb]\ncalendar = \"mars\"\n", 2, "no calendar"),
            ("[prices.sms]\n\"44\" = 0.1\n", 2, "beginning of a number"),
            ("[adaptive]\nhold_out = 10\n", 2, "between 0"),
            ("[prices]\nemail = -1.0\n", 2, "between 0"),
            ("[sources.zendesk]\n", 1, "secret_file"),
            ("[sources.zendesk]\ntoken = \"x\"\n", 2, "token"),
            ("[http\n", 1, ""),
        ] {
            let finding = read(&format!("{text}{MINIMAL}")).expect_err(text);
            assert_eq!(finding.line(), Some(line), "{text}: {finding}");
            assert!(finding.message.contains(word), "{text}: {finding}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_is_named_when_wrong() {
        let with = |variable: &str, value: &str| {
            Settings::read("f", MINIMAL, [(variable.to_owned(), value.to_owned())])
        };
        let settings = with("TIDINGS__HTTP__LISTEN", "127.0.0.1:9999").expect("valid");
        assert_eq!(settings.http.listen.port(), 9999);
        let settings = with("TIDINGS__CHANNELS__EMAIL__MAX_CONNECTIONS", "3").expect("valid");
        assert_eq!(settings.channels.email.max_connections, 3);
        let finding = with("TIDINGS__HTTP__LISTEN", "nowhere").expect_err("no address");
        assert!(finding.message.contains("TIDINGS__HTTP__LISTEN"), "{finding}");
    }

    #[test]
    fn secrets_come_from_files_and_never_print() {
        let folder = std::env::temp_dir().join(format!("tidings-secret-{}", std::process::id()));
        std::fs::write(&folder, "s3cret\n").expect("a temporary file");
        let text = format!(
            "{MINIMAL}[channels.sms]\nprovider = \"twilio\"\naccount = \"AC1\"\nfrom = \"+442079460001\"\ntoken_file = {:?}\n",
            folder.display().to_string()
        );
        let settings = read(&text).expect("valid");
        std::fs::remove_file(&folder).expect("removed");
        assert_eq!(
            settings.channels.sms.token.as_ref().map(crate::domain::Secret::expose),
            Some("s3cret")
        );
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(!settings.fingerprint().1.contains("s3cret"));
    }

    #[test]
    fn the_mail_servers_address_with_its_password_comes_from_a_file_too() {
        let file = std::env::temp_dir().join(format!("tidings-url-{}", std::process::id()));
        std::fs::write(&file, "smtps://desk:s3cret@mail.example.com\n").expect("a temporary file");
        let text =
            format!("{MINIMAL}[channels.email]\nurl_file = {:?}\n", file.display().to_string());
        let settings = read(&text).expect("valid");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(settings.channels.email.url, "smtps://desk:s3cret@mail.example.com");
        assert!(!settings.fingerprint().1.contains("s3cret"));
    }

    #[test]
    fn a_wrong_address_of_the_queue_is_named_without_its_password() {
        let with = |url: &str| read(&format!("[queue]\nurl = \"{url}\"\n{MINIMAL}"));
        assert!(with("redis+sentinel://a,b:26380/tidings").is_ok());
        let finding = with("rabbit://127.0.0.1").expect_err("no such queue");
        assert_eq!(finding.line(), Some(2), "{finding}");
        assert!(finding.message.contains("queue.url"), "{finding}");
        let finding = with("redis://desk:s3cret@127.0.0.1:port").expect_err("no port");
        let shown = format!("{finding} {finding:?}");
        assert!(finding.message.contains("port") && finding.line().is_none(), "{shown}");
    }

    #[test]
    fn a_finding_about_an_address_shows_its_place_and_not_its_password() {
        let file = std::env::temp_dir().join(format!("tidings-at-{}", std::process::id()));
        let text = "[store]\nurl = \"postgres://tidings:s3cret@db.example.com/x\" # two: 2\n";
        std::fs::write(&file, text).expect("a temporary file");
        let finding = Settings::finding_at(Some(&file), [], &["store", "url"], "is not there");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(finding.line(), Some(2));
        let shown = without_passwords(text);
        assert_eq!(shown.len(), text.len());
        assert!(shown.contains("tidings:******@db.example.com/x\" # two: 2\n"), "{shown}");
    }

    #[test]
    fn a_password_in_an_address_is_not_kept_with_the_settings() {
        let text = format!(
            "{MINIMAL}[channels.email]\nurl = \"smtps://user:pass@mail.example.com\"\n[queue]\nurl = \"redis://user:pass@cache.example.com\"\n"
        );
        let settings = read(&text).expect("valid");
        assert!(!settings.fingerprint().1.contains("pass@"));
    }
}
