//! `[[webhooks]]`: who is told by webhook, of what, and how the requests are signed.

use serde::Deserialize;

use crate::domain::Secret;
use crate::domain::webhook::{Outbound, Pattern, SigningKey, Wanted};

use super::Settings;

/// One hook of another system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub name: String,
    pub url: String,
    /// Types, families such as `task.*`, or `*`.
    pub events: Vec<String>,
    /// One secret, or two while one takes the place of the other.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    #[serde(default = "timeout_s")]
    pub timeout_s: u32,
    #[serde(default = "max_attempts")]
    pub max_attempts: u32,
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// Ports besides 443 and 8443 that may be spoken to.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// May it be on this machine or in a private network?
    #[serde(default)]
    pub allow_private: bool,
}

/// What Standard Webhooks recommends: 15 to 30 seconds.
const fn timeout_s() -> u32 {
    15
}

/// Its schedule to the end, over three days.
const fn max_attempts() -> u32 {
    10
}

const fn concurrency() -> u32 {
    4
}

/// Where receivers of webhooks listen; any other port may be a service that is none.
const PORTS: [u16; 2] = [443, 8443];

/// The longest name of a hook, in characters.
const MAX_NAME: usize = 50;

impl Webhook {
    /// The keys its requests are signed with.
    ///
    /// # Panics
    /// Never: they were checked when the settings were read.
    #[must_use]
    pub fn keys(&self) -> Vec<SigningKey> {
        let key = |secret: &Secret| SigningKey::parse(secret.expose()).expect("checked");
        self.secrets.iter().map(key).collect()
    }

    /// The key of this section that cannot be used, and why.
    fn fault(&self) -> Option<(&'static str, String)> {
        let letters = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.chars().all(letters) {
            let why = "is 1 to 50 letters, digits, - and _";
            return Some(("name", why.to_owned()));
        }
        if let Err(why) = self.target() {
            return Some(("url", why));
        }
        if self.events.is_empty() {
            return Some(("events", "names no event; [\"*\"] is all of them".to_owned()));
        }
        if let Some(why) = self.events.iter().find_map(|text| Pattern::parse(text).err()) {
            return Some(("events", why));
        }
        if !(1..=2).contains(&self.secrets.len()) {
            let why = "is one secret, or two while one takes the place of the other; `tidings webhooks secret` prints one";
            return Some(("secrets", why.to_owned()));
        }
        if let Some(why) =
            self.secrets.iter().find_map(|secret| SigningKey::parse(secret.expose()).err())
        {
            return Some(("secrets", format!("{why}; `tidings webhooks secret` prints one")));
        }
        for (key, value, most) in [
            ("timeout_s", self.timeout_s, 60),
            ("max_attempts", self.max_attempts, 30),
            ("concurrency", self.concurrency, 64),
        ] {
            if !(1..=most).contains(&value) {
                return Some((key, format!("lies between 1 and {most}")));
            }
        }
        None
    }

    fn target(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.url).map_err(|why| format!("is no address: {why}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            "http" => {
                let why = "must start with https://; http:// is for a receiver in a private network, with allow_private = true";
                return Err(why.to_owned());
            }
            _ => return Err("must start with https://".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a name or password; the signature says who we are".to_owned());
        }
        if url.fragment().is_some() {
            return Err("holds a #, which is never sent".to_owned());
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !self.allow_private && !PORTS.contains(&port) && !self.ports.contains(&port) {
            return Err(format!(
                "names port {port}; webhooks go to 443 and 8443, and to what ports = [{port}] adds"
            ));
        }
        Ok(())
    }
}

impl Settings {
    /// What is told at all.
    ///
    /// # Panics
    /// Never: the patterns were checked when the settings were read.
    #[must_use]
    pub fn outbound(&self) -> Outbound {
        let wanted = |hook: &Webhook| {
            let events = hook.events.iter().map(|text| Pattern::parse(text).expect("checked"));
            Wanted { hook: hook.name.clone(), events: events.collect() }
        };
        Outbound {
            public_url: self.http.public_url.trim_end_matches('/').to_owned(),
            hooks: self.webhooks.iter().map(wanted).collect(),
        }
    }
}

/// The first fault of the hooks: its place in the list, its key, and why.
pub(super) fn fault(hooks: &[Webhook]) -> Option<(usize, &'static str, String)> {
    let mut names = std::collections::BTreeSet::new();
    hooks.iter().enumerate().find_map(|(n, hook)| {
        let again = !names.insert(&hook.name);
        let twice = again.then(|| ("name", "is the name of another hook too".to_owned()));
        hook.fault().or(twice).map(|(key, why)| (n, key, why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Finding;

    const SENDER: &str =
        "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(hooks: &str) -> Result<Settings, Box<Finding>> {
        Settings::read("tidings.toml", &format!("{SENDER}{hooks}"), [])
    }

    fn hook(more: &str) -> String {
        format!(
            "[[webhooks]]\nname = \"desk\"\nurl = \"https://desk.example.com/hook\"\nevents = [\"task.*\"]\nsecrets = [\"{SECRET}\"]\n{more}"
        )
    }

    fn hook_at(url: &str, more: &str) -> String {
        hook(more).replace("https://desk.example.com/hook", url)
    }

    #[test]
    fn what_is_left_out_is_as_the_standard_recommends() {
        let settings = read(&hook("")).expect("valid");
        let [hook] = &settings.webhooks[..] else { panic!("one hook") };
        assert_eq!((hook.timeout_s, hook.max_attempts, hook.concurrency), (15, 10, 4));
        assert!(!hook.allow_private);
        let at_port = |more: &str| hook_at("https://desk.example.com:9443/", more);
        assert!(read(&at_port("")).is_err() && read(&at_port("ports = [9443]\n")).is_ok());
        assert!(settings.outbound().wants("task.created"));
        assert!(!settings.outbound().wants("csat.answered"));
        assert!(!settings.fingerprint().1.contains(SECRET));
    }

    #[test]
    fn a_fault_is_named_with_its_line_and_shows_no_secret() {
        let swapped = |from: &str, to: &str| hook("").replace(from, to);
        for (text, line, word) in [
            (swapped("https://", "http://"), 6, "https://"),
            (swapped("https://desk", "https://me:pass@desk"), 6, "password"),
            (swapped("https://desk.example.com/hook", "desk"), 6, "no address"),
            (swapped("example.com", "example.com:6379"), 6, "ports = [6379]"),
            (swapped("task.*", "task.closed"), 7, "notification.sent"),
            (swapped("[\"task.*\"]", "[]"), 7, "no event"),
            (swapped("whsec_", "whsec-"), 8, "whsec_"),
            (swapped(SECRET, "whsec_c2hvcnQ="), 8, "24 to 64"),
            (swapped("\"desk\"", "\"my desk\""), 5, "letters"),
            (hook("timeout_s = 0\n"), 9, "between 1 and 60"),
            (hook("max_attempts = 99\n"), 9, "between 1 and 30"),
            (hook("attempts = 3\n"), 9, "attempts"),
            (hook("concurrency = \"many\"\n"), 9, "many"),
            (format!("{}{}", hook(""), hook("")), 10, "another hook"),
        ] {
            let finding = read(&text).expect_err(&text);
            assert_eq!(finding.line(), Some(line), "{text}: {finding}");
            assert!(finding.message.contains(word), "{text}: {finding}");
            let shown = format!("{finding:?}");
            assert!(!shown.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{shown}");
        }
    }

    #[test]
    fn secrets_come_from_a_file_one_a_line() {
        let file = std::env::temp_dir().join(format!("tidings-whsec-{}", std::process::id()));
        let other = SigningKey::written([7; 32]);
        std::fs::write(&file, format!("{other}\n{SECRET}\n")).expect("a temporary file");
        let from_file = format!("secrets_file = {:?}", file.display().to_string());
        let text = hook("").replace(&format!("secrets = [\"{SECRET}\"]"), &from_file);
        let settings = read(&text).expect("valid");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(settings.webhooks[0].keys().len(), 2);
        let finding = read(&text).expect_err("the file is gone");
        assert_eq!(finding.line(), Some(8), "{finding}");
    }
}
