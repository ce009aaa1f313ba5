//! Reading every message as its readers will: each language, each channel, each sample.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::message::{Encoding, Shaped};
use crate::domain::{Channel, Finding, Zones};

use super::message::{Messages, Scene, Sender};
use super::presentation::Presentation;
use super::sample::{self, Sample};
use super::{Company, Manner, shape};

/// Where a message is used: on which channels, and about which state.
#[derive(Debug, Clone)]
pub struct Use {
    pub channels: BTreeSet<Channel>,
    pub state: String,
    pub answers: Vec<String>,
}

/// What the lint reads besides the messages.
#[derive(Debug)]
pub struct Surroundings<'a> {
    pub sender: &'a Sender,
    pub public_url: &'a str,
    /// Languages every message should have.
    pub offered: &'a [String],
    pub default_locale: &'a str,
    pub max_parts: u32,
    pub replies: bool,
    pub zones: &'a Zones,
}

/// One reading of a message: for listings and previews.
#[derive(Debug, Clone)]
pub struct Reading {
    pub message: String,
    pub locale: String,
    pub channel: Channel,
    pub sample: usize,
    pub shaped: Shaped,
}

/// Checks all messages. `texts` are the files by name below `messages/`; `uses` says where
/// each message is used (one that is used nowhere is a warning).
#[must_use]
pub fn lint(
    messages: &Messages,
    presentation: &Presentation,
    texts: &BTreeMap<String, String>,
    uses: &BTreeMap<String, Use>,
    surroundings: &Surroundings<'_>,
) -> (Vec<Reading>, Vec<Finding>) {
    let mut readings = Vec::new();
    let mut findings = Vec::new();
    for (name, locales) in messages.iter() {
        let Some(used) = uses.get(name) else {
            let path = format!("{name}.{}.j2", locales[0]);
            findings.push(
                finding(&path, texts, "no journey uses this message", true)
                    .help("name it in a notice, or remove the file"),
            );
            continue;
        };
        for wanted in surroundings.offered {
            let found = super::locale::fallback_chain(wanted, surroundings.default_locale);
            let own = &found[..found.len() - usize::from(wanted != surroundings.default_locale)];
            if !own.iter().any(|locale| locales.contains(&locale.as_str())) {
                let path = format!("{name}.{}.j2", surroundings.default_locale);
                let why = format!(
                    "is not written in {wanted:?}; {} is sent instead",
                    surroundings.default_locale
                );
                findings.push(finding(&path, texts, &why, true));
            }
        }
        for locale in locales {
            let reader = Reader { messages, presentation, texts, surroundings, name, locale, used };
            reader.read(&mut readings, &mut findings);
        }
    }
    (readings, findings)
}

fn finding(path: &str, texts: &BTreeMap<String, String>, why: &str, warning: bool) -> Finding {
    let text: Arc<str> = Arc::from(texts.get(path).map_or("", String::as_str));
    let file = format!("messages/{path}");
    if warning { Finding::warning(&file, &text, why) } else { Finding::error(&file, &text, why) }
}

struct Reader<'a> {
    messages: &'a Messages,
    presentation: &'a Presentation,
    texts: &'a BTreeMap<String, String>,
    surroundings: &'a Surroundings<'a>,
    name: &'a str,
    locale: &'a str,
    used: &'a Use,
}

impl Reader<'_> {
    fn path(&self) -> String {
        format!("{}.{}.j2", self.name, self.locale)
    }

    fn fault(&self, why: &str) -> Finding {
        finding(&self.path(), self.texts, why, false)
    }

    fn read(&self, readings: &mut Vec<Reading>, findings: &mut Vec<Finding>) {
        self.check_variables(findings);
        self.check_parity(findings);
        self.check_answers(findings);
        let samples = self.messages.samples(self.name);
        let invented = [sample::empty()];
        let samples = if samples.is_empty() { &invented[..] } else { samples };
        for (index, values) in samples.iter().enumerate() {
            if let Err(finding) = self.read_sample(index, values, readings, findings) {
                findings.push(*finding);
                return;
            }
        }
    }

    fn read_sample(
        &self,
        index: usize,
        values: &serde_json::Value,
        readings: &mut Vec<Reading>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Box<Finding>> {
        let case_type = self.name.split('/').next().unwrap_or(self.name);
        let sample = Sample::new(values, case_type, &self.used.state);
        let zone_name = sample.customer.profile.time_zone.clone().unwrap_or_default();
        let zone =
            self.surroundings.zones.get(&zone_name).map_err(|why| Box::new(self.fault(&why)))?;
        let links = sample::links(self.surroundings.public_url);
        let scene = Scene {
            case: &sample.case,
            customer: &sample.customer,
            sender: self.surroundings.sender,
            links: &links,
            skipped: &[],
            next_word: Some(sample.now),
            wait_min: None,
            now: sample.now,
            zone,
            locale: self.locale.to_owned(),
        };
        let path = self.path();
        let text: Arc<str> = Arc::from(self.texts.get(&path).map_or("", String::as_str));
        let mut message = self.messages.try_render(self.name, self.locale, &text, &scene)?;
        message.keep_answers(&self.used.answers);
        for (block, said) in [
            ("subject", &message.subject),
            ("changed", &message.changed),
            ("action", &message.action),
            ("next", &message.next),
        ] {
            if said.is_empty() {
                let why = format!("block `{block}` says nothing for sample {}", index + 1);
                findings.push(self.fault(&why));
            }
        }
        if message.subject.chars().count() > 120 {
            findings.push(self.fault("the subject has more than 120 characters"));
        }
        for channel in &self.used.channels {
            let manner = Manner {
                channel: *channel,
                code: sample::CODE,
                replies: self.surroundings.replies,
                discreet: false,
                answers: &self.used.answers,
                company: Company::default(),
            };
            let shaped = shape(self.messages, self.presentation, &message, &scene, manner)
                .map_err(|error| Box::new(self.fault(&error.to_string())))?;
            self.check_parts(&shaped, index, findings);
            readings.push(Reading {
                message: self.name.to_owned(),
                locale: self.locale.to_owned(),
                channel: *channel,
                sample: index,
                shaped,
            });
        }
        Ok(())
    }

    fn check_parts(&self, shaped: &Shaped, index: usize, findings: &mut Vec<Finding>) {
        let Shaped::Sms(sms) = shaped else { return };
        let budget = self.surroundings.max_parts;
        if sms.counted.parts <= budget {
            return;
        }
        let forced = match (sms.counted.encoding, sms.counted.forced_by) {
            (Encoding::Ucs2, Some(c)) => {
                format!("; {c:?} makes every part hold 67 characters instead of 153")
            }
            _ => String::new(),
        };
        let why = format!(
            "the text message takes {} parts for sample {}, {budget} are allowed{forced}",
            sms.counted.parts,
            index + 1
        );
        findings.push(self.fault(&why).help(format!(
            "shorten the shared words, or write a block `sms`; as it stands:\n{}",
            sms.text
        )));
    }

    /// A typing mistake in a branch that no sample takes would otherwise be found by a customer.
    fn check_variables(&self, findings: &mut Vec<Finding>) {
        const KNOWN: [(&str, &[&str]); 8] = [
            ("case", &["id", "case_type", "state", "previous_state", "opened_at", "since"]),
            ("facts", &[]),
            (
                "customer",
                &["id", "name", "first_name", "locale", "time_zone", "attributes", "needs"],
            ),
            ("sender", &["name", "phone", "reply_to"]),
            ("links", &["centre", "callback", "verify", "answer", "unsubscribe"]),
            ("skipped", &[]),
            ("now", &[]),
            ("next_word", &[]),
        ];
        let path = self.path();
        let text = self.texts.get(&path).map_or("", String::as_str);
        for variable in self.messages.variables(self.name, self.locale) {
            let mut steps = variable.split('.');
            let root = steps.next().unwrap_or_default();
            let known = KNOWN.iter().find(|(name, _)| *name == root);
            let fine = match (known, steps.next()) {
                (None, _) => false,
                (Some((_, attributes)), Some(step)) => {
                    attributes.is_empty() || attributes.contains(&step)
                }
                (Some(_), None) => true,
            };
            if fine {
                continue;
            }
            let help = if let Some((name, attributes)) = known {
                format!("{name} has {}", attributes.join(", "))
            } else {
                let roots: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
                format!("a message sees {}", roots.join(", "))
            };
            let mut fault =
                self.fault(&format!("{variable:?} is nothing a message sees")).help(help);
            if let Some(start) = text.find(&variable) {
                fault = fault.at(start..start + variable.len());
            }
            findings.push(fault);
        }
    }

    /// The same facts on every channel: a text of its own for one channel must not leave out
    /// what the shared words tell.
    fn check_parity(&self, findings: &mut Vec<Finding>) {
        let path = self.path();
        let text = self.texts.get(&path).map_or("", String::as_str);
        let used_in = |blocks: &[&str]| -> BTreeSet<String> {
            blocks.iter().flat_map(|block| facts_of_block(text, block)).collect()
        };
        let shared = used_in(&["changed", "action", "deadline"]);
        let anywhere = used_in(&["changed", "action", "deadline", "facts", "next"]);
        for block in ["sms", "voice"] {
            if !self.messages.blocks(self.name, self.locale).is_some_and(|b| b.contains(block)) {
                continue;
            }
            let own = used_in(&[block]);
            let missing: Vec<&str> = shared.difference(&own).map(String::as_str).collect();
            let extra: Vec<&str> = own.difference(&anywhere).map(String::as_str).collect();
            for (facts, what) in [(missing, "leaves out"), (extra, "alone tells")] {
                if !facts.is_empty() {
                    let why = format!("block `{block}` {what} {}", facts.join(", "));
                    findings.push(self.fault(&why).help("every channel tells the same facts"));
                }
            }
        }
    }

    fn check_answers(&self, findings: &mut Vec<Finding>) {
        let blocks = self.messages.blocks(self.name, self.locale);
        for answer in &self.used.answers {
            let block = format!("answer_{answer}");
            if !blocks.is_some_and(|blocks| blocks.contains(&block)) {
                let why =
                    format!("lacks the block `{block}`: the label of an answer of its notice");
                findings.push(self.fault(&why));
            }
        }
    }
}

/// The facts (`facts.x`) that one block of a file names.
fn facts_of_block(text: &str, block: &str) -> BTreeSet<String> {
    let Some(start) = text.find(&format!("block {block} ")) else { return BTreeSet::new() };
    let body = &text[start..];
    let body = &body[..body.find("endblock").unwrap_or(body.len())];
    body.match_indices("facts.")
        .map(|(at, _)| {
            let rest = &body[at..];
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
                .unwrap_or(rest.len());
            rest[..end].trim_end_matches('.').to_owned()
        })
        .collect()
}
