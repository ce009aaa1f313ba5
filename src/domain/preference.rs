//! What a customer chose, and which layer a choice came from.
//!
//! `planning::routing` decides what these choices allow; here they are only read and merged.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::channel::Channel;
use super::fault::{Fault, Fields, one_line};
use super::hours::QuietHours;
use super::time::Instant;

/// One layer of choices. Absent means: nothing chosen here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preferences {
    /// Named = allowed, best first; left out = refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_order: Option<Vec<Channel>>,
    /// Topic → channel → wanted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, BTreeMap<Channel, bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// May an urgent notice pass the quiet hours?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent_any_hour: Option<bool>,
    /// Topic → when its messages ride together.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_per_day: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Instant>,
    /// No case details in subject, text or voicemail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discreet: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<Need>>,
    /// The language the customer chose; an import changes it no more (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The zone the customer chose (IANA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Channels switched off as a whole. STOP by text and key 9 on a call stop the number
    /// instead, whoever has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<Channel>,
}

/// What a person needs of a message, beyond its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    LargePrint,
    SlowSpeech,
    NoCalls,
    PlainWords,
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "large_print" => Ok(Self::LargePrint),
            "slow_speech" => Ok(Self::SlowSpeech),
            "no_calls" => Ok(Self::NoCalls),
            "plain_words" => Ok(Self::PlainWords),
            _ => Err(format!(
                "{text:?} is no need; use large_print, slow_speech, no_calls or plain_words"
            )),
        }
    }
}

/// When the messages of a topic ride together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    AtOnce,
    /// Minutes after local midnight.
    Daily {
        at_min: u16,
    },
    /// Monday is 0.
    Weekly {
        day: u8,
        at_min: u16,
    },
}

const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no rhythm; use `at once`, `daily 18:00` or `weekly MON 09:00`");
        let minute = |text: &str| -> Option<u16> {
            let (hour, minute) = text.split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["at", "once"] => Ok(Self::AtOnce),
            ["daily", at] => Ok(Self::Daily { at_min: minute(at).ok_or_else(wrong)? }),
            ["weekly", day, at] => {
                let day = DAYS.iter().position(|name| *name == day).ok_or_else(wrong)?;
                let day = u8::try_from(day).expect("seven days");
                Ok(Self::Weekly { day, at_min: minute(at).ok_or_else(wrong)? })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AtOnce => f.write_str("at once"),
            Self::Daily { at_min } => write!(f, "daily {:02}:{:02}", at_min / 60, at_min % 60),
            Self::Weekly { day, at_min } => {
                write!(f, "weekly {} {:02}:{:02}", DAYS[usize::from(day)], at_min / 60, at_min % 60)
            }
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Preferences {
    /// Reads the preferences of a request or an import line.
    pub fn from_json(value: &Value, pointer: &str, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut fields = Fields::of(value, pointer, faults)?;
        let channel_order = list_of(&mut fields, "channel_order");
        if let Some(order) = &channel_order {
            let twice = order.iter().enumerate().any(|(i, channel)| order[..i].contains(channel));
            if twice {
                fields.fault("channel_order", "names a channel twice");
            }
        }
        let topics = read_topics(&mut fields);
        let quiet_hours = fields.value("quiet_hours").and_then(|value| {
            QuietHours::from_json(value).map_err(|why| fields.fault("quiet_hours", why)).ok()
        });
        let urgent_any_hour = fields.boolean("urgent_any_hour");
        let digest = read_digest(&mut fields);
        let cap_per_day = fields.integer("cap_per_day").and_then(|cap| {
            if let Ok(cap @ 1..=1000) = u32::try_from(cap) {
                Some(cap)
            } else {
                fields.fault("cap_per_day", "is a whole number from 1 to 1000");
                None
            }
        });
        let paused_until = fields.instant("paused_until");
        let discreet = fields.boolean("discreet");
        let needs = list_of(&mut fields, "needs");
        fields.refuse_unknown();
        Some(Self {
            channel_order,
            topics,
            quiet_hours,
            urgent_any_hour,
            digest,
            cap_per_day,
            paused_until,
            discreet,
            needs,
            locale: None,
            time_zone: None,
            stopped: Vec::new(),
        })
    }

    /// What holds: `chosen` by the customer, filled from what a case system `imported`.
    ///
    /// An import never widens consent: it cannot switch a topic on over a channel that the
    /// customer's own channel order leaves out.
    #[must_use]
    pub fn effective(chosen: &Self, imported: &Self) -> Self {
        let mut topics = chosen.topics.clone();
        for (topic, channels) in &imported.topics {
            for (channel, wanted) in channels {
                let refused = chosen
                    .channel_order
                    .as_ref()
                    .is_some_and(|order| *wanted && !order.contains(channel));
                if !refused {
                    topics.entry(topic.clone()).or_default().entry(*channel).or_insert(*wanted);
                }
            }
        }
        let mut digest = imported.digest.clone();
        digest.extend(chosen.digest.clone());
        Self {
            channel_order: chosen.channel_order.clone().or_else(|| imported.channel_order.clone()),
            topics,
            quiet_hours: chosen.quiet_hours.clone().or_else(|| imported.quiet_hours.clone()),
            urgent_any_hour: chosen.urgent_any_hour.or(imported.urgent_any_hour),
            digest,
            cap_per_day: chosen.cap_per_day.or(imported.cap_per_day),
            paused_until: chosen.paused_until.or(imported.paused_until),
            discreet: chosen.discreet.or(imported.discreet),
            needs: chosen.needs.clone().or_else(|| imported.needs.clone()),
            locale: chosen.locale.clone(),
            time_zone: chosen.time_zone.clone(),
            stopped: chosen.stopped.clone(),
        }
    }
}

fn list_of<T: FromStr<Err = String>>(
    fields: &mut Fields<'_>,
    name: &'static str,
) -> Option<Vec<T>> {
    let items = fields.list(name)?;
    let mut read = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item.as_str().ok_or_else(|| "expected text".to_owned()).and_then(str::parse) {
            Ok(value) => read.push(value),
            Err(why) => {
                let pointer = format!("{}/{index}", fields.pointer(name));
                fields.faults().push(Fault::new(pointer, why));
            }
        }
    }
    Some(read)
}

fn read_topics(fields: &mut Fields<'_>) -> BTreeMap<String, BTreeMap<Channel, bool>> {
    let mut topics = BTreeMap::new();
    let pointer = fields.pointer("topics");
    let Some(map) = fields.object("topics") else { return topics };
    for (topic, channels) in map {
        let here = format!("{pointer}/{topic}");
        if let Err(why) = one_line(topic, 100) {
            fields.faults().push(Fault::new(&pointer, format!("a topic {why}")));
        }
        let Some(channels) = channels.as_object() else {
            fields.faults().push(Fault::new(here, "expected an object such as {\"sms\": false}"));
            continue;
        };
        for (channel, wanted) in channels {
            match (channel.parse::<Channel>(), wanted.as_bool()) {
                (Ok(channel), Some(wanted)) => {
                    topics
                        .entry(topic.clone())
                        .or_insert_with(BTreeMap::new)
                        .insert(channel, wanted);
                }
                (Err(why), _) => fields.faults().push(Fault::new(&here, why)),
                (_, None) => {
                    let pointer = format!("{here}/{channel}");
                    fields.faults().push(Fault::new(pointer, "expected true or false"));
                }
            }
        }
    }
    topics
}

fn read_digest(fields: &mut Fields<'_>) -> BTreeMap<String, Digest> {
    let mut digest = BTreeMap::new();
    let pointer = fields.pointer("digest");
    for (topic, rhythm) in fields.object("digest").into_iter().flatten() {
        if let Err(why) = one_line(topic, 100) {
            fields.faults().push(Fault::new(&pointer, format!("a topic {why}")));
        }
        match rhythm.as_str().ok_or_else(|| "expected text".to_owned()).and_then(str::parse) {
            Ok(rhythm) => drop(digest.insert(topic.clone(), rhythm)),
            Err(why) => fields.faults().push(Fault::new(format!("{pointer}/{topic}"), why)),
        }
    }
    digest
}

/// What a customer chose for one case only; it ends with the case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseChoice {
    #[serde(default)]
    pub channel: Option<Channel>,
    #[serde(default)]
    pub muted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<Preferences, Vec<Fault>> {
        let mut faults = Vec::new();
        match Preferences::from_json(value, "", &mut faults) {
            Some(preferences) if faults.is_empty() => Ok(preferences),
            _ => Err(faults),
        }
    }

    #[test]
    fn preferences_read_as_the_interface_writes_them() {
        let value = json!({
            "channel_order": ["sms", "email"], "topics": {"survey": {"email": false}},
            "quiet_hours": "21:00-08:00", "digest": {"status": "daily 18:00"}, "cap_per_day": 4
        });
        let preferences = read(&value).expect("valid");
        assert_eq!(serde_json::to_value(&preferences).expect("serialises"), value);
    }

    #[test]
    fn every_wrong_choice_is_named() {
        let value = json!({
            "channel_order": ["sms", "pigeon"], "topics": {"survey": {"fax": false}},
            "quiet_hours": "21-08", "digest": {"status": "hourly"}, "cap_per_day": 0, "colour": "red"
        });
        let faults = read(&value).expect_err("six faults");
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/channel_order/1",
                "/topics/survey",
                "/quiet_hours",
                "/digest/status",
                "/cap_per_day",
                "/colour"
            ]
        );
    }

    #[test]
    fn an_import_fills_what_is_not_chosen_and_never_widens_consent() {
        let chosen =
            read(&json!({"channel_order": ["email"], "topics": {"survey": {"email": false}}}));
        let imported = read(&json!({
            "channel_order": ["sms", "email"], "cap_per_day": 3,
            "topics": {"survey": {"email": true}, "status": {"sms": true, "email": true}}
        }));
        let effective = Preferences::effective(&chosen.expect("valid"), &imported.expect("valid"));
        assert_eq!(
            serde_json::to_value(effective).expect("serialises"),
            json!({
                "channel_order": ["email"], "cap_per_day": 3,
                "topics": {"survey": {"email": false}, "status": {"email": true}}
            })
        );
    }
}
