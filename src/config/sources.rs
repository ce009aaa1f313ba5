//! `[sources]`: which help desks may send their own webhooks, and the secret each shares with us.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::Secret;

/// The folder read when none is named.
pub const DEFAULT_SOURCES: &str = "config/sources";

/// `[sources]`.
#[derive(Debug, Clone)]
pub struct Sources {
    pub dir: PathBuf,
    /// The sections `[sources.<name>]`: only these are served.
    pub sections: BTreeMap<String, SourceSection>,
}

/// `[sources.<name>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// From `secret_file`; several, one a line, while one takes the place of another.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// Take what nobody signed, from this machine alone.
    #[serde(default)]
    pub insecure: bool,
}

impl SourceSection {
    /// Why this section cannot be used, where it cannot.
    pub(super) fn fault(&self, loopback: bool) -> Option<&'static str> {
        let secret = self.secret.as_ref().map(|secret| secret.expose().trim());
        match secret {
            Some("") => Some("the secret is empty"),
            None if !self.insecure => {
                Some("needs secret_file, the secret that the sender signs with")
            }
            _ if self.insecure && !loopback => Some(
                "insecure = true is for trying it on one machine: [http] listen must be loopback",
            ),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Key by key, so that a fault knows the section it is in.
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Sources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`dir` and sections with a source's name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sources, A::Error> {
                let mut dir = PathBuf::from(DEFAULT_SOURCES);
                let mut sections = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "dir" => dir = map.next_value()?,
                        _ => drop(sections.insert(key, map.next_value()?)),
                    }
                }
                Ok(Sources { dir, sections })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
