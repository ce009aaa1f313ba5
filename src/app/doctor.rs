//! What is wrong with an installation, and how to mend it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::channel::Gateway;
use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::{Channel, ChannelMap, RedisUrl};
use crate::planning::rules::Rules;
use crate::queue::{RedisQueue, Timing};
use crate::store::Store;

use super::{content, gateways};

/// One thing looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub what: &'static str,
    pub state: State,
    pub found: String,
    /// Empty when nothing is to be mended.
    pub mend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Good,
    Note,
    Bad,
}

impl State {
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        }
    }
}

fn good(what: &'static str, found: impl Into<String>) -> Check {
    Check { what, state: State::Good, found: found.into(), mend: String::new() }
}

fn note(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Check {
    Check { what, state: State::Note, found: found.into(), mend: mend.into() }
}

fn bad(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Check {
    Check { what, state: State::Bad, found: found.into(), mend: mend.into() }
}

/// Looks at everything.
pub async fn examine(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    store(settings, &mut checks).await;
    checks.push(queue(settings).await);
    contents(settings, &mut checks);
    zone_data(settings, &mut checks);
    clock(&mut checks);
    match gateways(settings) {
        Ok(gateways) => {
            for channel in Channel::ALL {
                if gateways.get(channel).is_empty() {
                    checks.push(provider(channel, None).await);
                }
                for gateway in gateways.get(channel) {
                    checks.push(provider(channel, Some(gateway)).await);
                }
            }
        }
        Err(error) => checks.push(bad("providers", error.to_string(), "correct [channels]")),
    }
    checks.push(keys(settings));
    checks.push(operators(settings));
    checks
}

async fn queue(settings: &Settings) -> Check {
    let Ok(url) = RedisUrl::parse(&settings.queue.url) else {
        return good("queue", "embedded, in this process");
    };
    match RedisQueue::connect(&url, "doctor", Timing::default()).await {
        Ok(_) => good("queue", url.to_string()),
        Err(error) => bad("queue", error.to_string(), super::queue::how_to_mend(&error)),
    }
}

async fn store(settings: &Settings, checks: &mut Vec<Check>) {
    let store = match Store::open(&settings.store.url).await {
        Ok(store) => store,
        Err(error) => {
            checks.push(bad(
                "store",
                error.to_string(),
                "correct [store] url, or the rights of its folder",
            ));
            return;
        }
    };
    match (store.schema_version().await, store.ping().await) {
        (Ok(version), Ok(())) => {
            checks.push(good("store", format!("{}, schema {version}", store.place())));
        }
        (Err(error), _) | (_, Err(error)) => {
            checks.push(bad("store", error.to_string(), "is the disk full or read-only?"));
        }
    }
    if let Ok(Some((hash, files))) = store.published().await {
        let same = content::version_files(settings).is_ok_and(|disk| disk == files);
        checks.push(if same {
            good("published version", format!("{hash}, the files of the settings"))
        } else {
            note(
                "published version",
                format!("{hash}, which differs from the files of the settings"),
                "`tidings journeys diff` shows how, `tidings journeys publish` publishes the files",
            )
        });
    }
    if let Ok(standing) = store.standing().await {
        let found = format!(
            "{} tasks open, {} in doubt, {} cases unplanned",
            standing.tasks_open, standing.in_doubt, standing.unplanned
        );
        checks.push(if standing.tasks_open + standing.in_doubt > 0 {
            note("work for people", found, "GET /v1/tasks lists the tasks")
        } else {
            good("work for people", found)
        });
    }
}

fn contents(settings: &Settings, checks: &mut Vec<Check>) {
    const WHAT: &str = "journeys and messages";
    let compiled = content::version_files(settings).and_then(|files| {
        let layouts = content::layouts(settings)?;
        let all = ChannelMap { email: true, sms: true, voice: true };
        content::compile(&content::hash(&files), &files, &layouts, settings, all, &newest_zones())
    });
    let check = match compiled {
        Err(error) => bad(WHAT, error.to_string(), "correct the file"),
        Ok(compiled) => {
            let rules = &compiled.live.rules;
            let errors = compiled.findings.iter().filter(|finding| finding.is_error()).count();
            let found = format!(
                "{} journeys, {} readings of messages, {errors} errors",
                rules.journeys.iter().count(),
                compiled.readings.len()
            );
            calendars(rules, checks);
            if errors > 0 {
                bad(WHAT, found, "`tidings check` shows each with its place")
            } else {
                good(WHAT, found)
            }
        }
    };
    checks.push(check);
}

/// Public holidays are known for some years ahead only; afterwards every day of the week counts
/// as a working day.
fn calendars(rules: &Rules, checks: &mut Vec<Check>) {
    let next_year: Option<i16> =
        (Clock::System.now() + chrono::TimeDelta::days(365)).format("%Y").to_string().parse().ok();
    let named = rules.journeys.iter().filter_map(|journey| journey.calendar.as_ref());
    let used: BTreeSet<&String> = named.chain([&rules.default_calendar]).collect();
    for name in used {
        let Some(year) = rules.calendars.get(name).and_then(|calendar| calendar.known_until) else {
            continue;
        };
        let found = format!("{name:?} knows its holidays until {year}");
        checks.push(if next_year.is_some_and(|next| next > year) {
            note("calendar", found, "a newer Tidings knows more; or add them to a file of your own")
        } else {
            good("calendar", found)
        });
    }
}

/// The newest release of the zone database may be a year old, no more: rules change several
/// times a year.
fn zone_data(settings: &Settings, checks: &mut Vec<Check>) {
    let zones = newest_zones();
    let year: Option<i32> = zones.version.get(..4).and_then(|year| year.parse().ok());
    let this_year: Option<i32> = Clock::System.now().format("%Y").to_string().parse().ok();
    let old = year.zip(this_year).is_none_or(|(year, now)| now - year > 1);
    checks.push(if old {
        bad(
            "time zones",
            zones.version.clone(),
            "install the system's tzdata package, or a newer Tidings",
        )
    } else {
        good("time zones", zones.version.clone())
    });
    if let Err(why) = zones.get(&settings.locales.time_zone) {
        checks.push(bad("default time zone", why, "correct [locales] time_zone"));
    }
}

/// A clock before this binary was written is wrong.
fn clock(checks: &mut Vec<Check>) {
    let now = Clock::System.now();
    let written = crate::domain::time::parse_instant("2026-11-01T00:00:00Z").expect("an instant");
    checks.push(if now < written {
        bad("clock", now.to_rfc3339(), "set the system's clock; messages would be late or early")
    } else {
        good("clock", now.to_rfc3339())
    });
}

async fn provider(channel: Channel, gateway: Option<&Gateway>) -> Check {
    let what = match channel {
        Channel::Email => "e-mail",
        Channel::Sms => "text messages",
        Channel::Voice => "phone calls",
    };
    let Some(gateway) = gateway else {
        return note(what, "not offered", format!("set [channels.{channel}] provider to offer it"));
    };
    let name = &gateway.name;
    match gateway.provider.probe().await {
        Ok(found) if name.kind() == "outbox" => {
            note(what, found, format!("set [channels.{channel}] provider to send for real"))
        }
        Ok(found) => good(what, format!("{name}: {found}")),
        Err(why) => bad(
            what,
            format!("{name}: {why}"),
            format!("correct [channels.{channel}], or wait for the provider"),
        ),
    }
}

fn operators(settings: &Settings) -> Check {
    let console = &settings.console;
    let openid = console.openid.as_ref().map(|openid| format!("OpenID at {}", openid.issuer));
    let named = console.operators.len();
    match (named, openid) {
        (0, None) => note(
            "operators",
            "none: the console is open to this machine only",
            "`tidings operator new` prints one",
        ),
        (0, Some(openid)) => good("operators", openid),
        (_, None) => good("operators", format!("{named}")),
        (_, Some(openid)) => good("operators", format!("{named}, and {openid}")),
    }
}

fn keys(settings: &Settings) -> Check {
    match settings.auth.api_keys.len() {
        0 => note(
            "API keys",
            "none: only requests from this machine are answered",
            "`tidings key new` prints one",
        ),
        n => good("API keys", format!("{n}")),
    }
}
