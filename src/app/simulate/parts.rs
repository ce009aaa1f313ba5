//! How many parts a text has: written where it must be, remembered where the same text was
//! written before.
//!
//! What a text says follows from its message, the language and the values that message and
//! layout read; [`Reads`] finds these in the compiled templates. Two texts that agree in all of
//! them are the same text, so that a figure never depends on what was remembered.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use crate::domain::Channel;
use crate::domain::token::Keyring;
use crate::planning::Telling;
use crate::planning::promise::promise;
use crate::simulate::Sending;
use crate::worker::writing::{Pen, Riding, rider_words, write_message};
use crate::worker::{Behaviour, Live};

/// Stands for every code: all have ten characters of one alphabet.
const CODE: &str = "0000000000";

/// The most texts remembered at a time.
const MAX_REMEMBERED: usize = 50_000;

/// What the words of a message and its layout read besides the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "a list of what is or is not read")]
struct Reads {
    /// `id`, `state`, …
    case: BTreeSet<String>,
    /// By name; all of them where a template asks for no particular one.
    facts: BTreeSet<String>,
    all_facts: bool,
    customer: bool,
    /// Links that differ from message to message.
    links: bool,
    now: bool,
    next_word: bool,
}

impl Reads {
    /// `None` where a name is not known here.
    fn of(names: impl Iterator<Item = String>) -> Option<Self> {
        let mut reads = Self::default();
        for name in names {
            let (root, rest) = name.split_once('.').unwrap_or((&name, ""));
            let first = rest.split('.').next().unwrap_or_default();
            match (root, first) {
                ("case", "") => return None,
                ("case", _) => drop(reads.case.insert(first.to_owned())),
                ("case_id", _) => drop(reads.case.insert("id".into())),
                ("facts", "") => reads.all_facts = true,
                ("facts", _) => drop(reads.facts.insert(first.to_owned())),
                ("customer" | "name" | "large_print", _) => reads.customer = true,
                ("links", rest) if rest != "verify" => reads.links = true,
                ("now", _) => reads.now = true,
                ("next_word", _) => reads.next_word = true,
                // Of the settings, the same for all, or made of what is among these.
                (
                    "links" | "code" | "sender" | "words" | "message" | "subject" | "heading"
                    | "items" | "digest" | "left_out" | "first" | "replies" | "discreet" | "wait"
                    | "earlier" | "skipped" | "locale",
                    _,
                ) => {}
                _ => return None,
            }
        }
        Some(reads)
    }
}

/// Writes texts of one version.
#[derive(Debug)]
pub struct Scribe {
    pub live: Live,
    behaviour: Behaviour,
    keys: Keyring,
    /// By message; those whose texts cannot be remembered are left out.
    reads: BTreeMap<String, Reads>,
    /// The same for two versions that write the same values alike.
    texts: String,
}

/// The parts of texts written before.
#[derive(Debug, Default)]
pub struct Remembered {
    parts: RefCell<HashMap<String, u32>>,
}

impl Remembered {
    /// Forgets, once it has become much.
    pub fn bound(&self) {
        let mut parts = self.parts.borrow_mut();
        if parts.len() > MAX_REMEMBERED {
            parts.clear();
        }
    }
}

impl Scribe {
    /// `texts` names everything the words of a text depend on besides what it tells; `None`
    /// where nothing is to be remembered.
    #[must_use]
    pub fn new(live: Live, behaviour: Behaviour, texts: Option<String>) -> Self {
        let layout = live.presentation.sms_variables();
        let messages = live.messages.iter().filter(|_| texts.is_some());
        let reads = messages.filter_map(|(name, locales)| {
            let message = locales.iter().flat_map(|locale| live.messages.variables(name, locale));
            Some((name.to_owned(), Reads::of(message.chain(layout.iter().cloned()))?))
        });
        let reads = reads.collect();
        // Codes and links have the same length under any key, and nobody reads these.
        let texts = texts.unwrap_or_default();
        Self { reads, live, behaviour, keys: Keyring::new([0; 32]), texts }
    }

    /// The parts of a message: one, unless it is a text.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn parts(
        &self,
        sending: &Sending<'_>,
        remembered: Option<&Remembered>,
    ) -> Result<u32, String> {
        if sending.channel != Channel::Sms {
            return Ok(1);
        }
        let Some(remembered) = remembered else { return self.written(sending) };
        let Some(key) = self.key(sending) else { return self.written(sending) };
        if let Some(parts) = remembered.parts.borrow().get(&key) {
            return Ok(*parts);
        }
        let parts = self.written(sending)?;
        remembered.parts.borrow_mut().insert(key, parts);
        Ok(parts)
    }

    fn written(&self, sending: &Sending<'_>) -> Result<u32, String> {
        let pen = Pen { behaviour: &self.behaviour, keys: &self.keys };
        let words: Result<Vec<_>, String> = sending
            .riders
            .iter()
            .map(|rider| rider_words(pen, &self.live, rider, sending.now))
            .collect();
        let riding = Riding {
            words: words?,
            digest: sending.digest,
            first: sending.first,
            wait: None,
            one_way: false,
        };
        let mut notification = sending.telling.notification.clone();
        CODE.clone_into(&mut notification.code);
        let telling = Telling { notification: &notification, ..sending.telling };
        let written =
            write_message(pen, &self.live, telling, &riding, sending.channel, sending.now)?;
        Ok(written.shaped.parts())
    }

    /// Everything the text depends on; `None` where that is too much to say.
    fn key(&self, sending: &Sending<'_>) -> Option<String> {
        let Telling { notification, notice, journey, case, customer } = sending.telling;
        if !sending.riders.is_empty() || sending.digest || !notification.skipped.is_empty() {
            return None;
        }
        let reads = self.reads.get(&notice.message)?;
        let profile = &customer.profile;
        // Lengths and debug forms, so that no two lists of values look alike.
        let mut key = format!(
            "{}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
            self.texts,
            notice.message,
            profile.locale,
            profile.time_zone,
            customer.preferences.discreet,
            sending.first,
            notice.needs,
            notice.answers,
        );
        let mut add = |name: &str, value: &dyn std::fmt::Debug| {
            write!(key, "\u{1f}{name}={value:?}").expect("a string takes everything");
        };
        for name in &reads.case {
            match name.as_str() {
                "id" => add("id", &case.id),
                "case_type" => add("case_type", &case.case_type),
                "state" => add("state", &case.state),
                "previous_state" => add("previous_state", &case.previous_state),
                "opened_at" => add("opened_at", &case.opened_at),
                "since" => add("since", &case.since),
                _ => return None,
            }
        }
        if reads.all_facts {
            add("facts", &case.facts);
        }
        for name in &reads.facts {
            add(name, &case.facts.get(name));
        }
        if reads.customer {
            add("customer", &(&customer.id, customer.revision));
        }
        if reads.links {
            add("links", &(&customer.id, notification.id, &notification.topic, sending.now));
        }
        if reads.now {
            add("now", &sending.now);
        }
        if reads.next_word {
            let zone = self.live.rules.zone_of(customer);
            let calendar = self.live.rules.calendar(journey);
            let word = journey.promise.map(|every| promise(sending.now, every, &zone, calendar));
            add("next_word", &word.map(|word| word.alarm_at));
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(names: &[&str]) -> Option<Reads> {
        Reads::of(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn what_a_template_reads_is_known_by_name_and_what_is_not_known_is_never_remembered() {
        let read = reads(&["facts.item", "case.since", "sender.name", "links.verify"]);
        let read = read.expect("all known");
        assert_eq!(read.facts, BTreeSet::from(["item".to_owned()]));
        assert_eq!(read.case, BTreeSet::from(["since".to_owned()]));
        assert!(!read.links && !read.customer && !read.all_facts);
        assert!(reads(&["facts"]).expect("known").all_facts);
        assert!(reads(&["links.centre"]).expect("known").links);
        assert!(reads(&["customer.attributes.tier"]).expect("known").customer);
        assert_eq!(reads(&["case"]), None);
        assert_eq!(reads(&["weather"]), None);
    }
}
