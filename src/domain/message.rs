//! A message: what is said once, before any channel shapes it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The typed content of a notice in one language. Every text is plain; the presentation
/// layer escapes it for its channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub subject: String,
    /// What changed.
    pub changed: String,
    /// What the customer must do, or that there is nothing to do.
    pub action: String,
    /// What comes next.
    pub next: String,
    /// By when.
    pub deadline: Option<String>,
    /// Facts worth having at hand, one per line.
    pub facts: Option<String>,
    /// The label of the button that leads to the customer's page.
    pub button: Option<String>,
    /// A text of its own for text messages, where the shared words do not fit.
    pub sms: Option<String>,
    /// A script of its own for calls.
    pub voice: Option<String>,
    /// The answers a customer may give, in the order of the notice: (name, label).
    pub answers: Vec<(String, String)>,
    /// For agents only; never sent.
    pub staff: Option<String>,
    /// The language the message was found in.
    pub locale: String,
}

/// A message of the same `collapse` group that this one replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub notice: String,
    pub state: Option<String>,
    pub at: super::time::Instant,
}

/// A message in the shape of its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shaped {
    Email(EmailText),
    Sms(SmsText),
    Voice(Script),
}

/// An e-mail, ready to be put into MIME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailText {
    pub subject: String,
    pub html: String,
    pub text: String,
}

/// A text message, ready to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsText {
    pub text: String,
    pub counted: Counted,
}

/// How a text goes over the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub encoding: Encoding,
    pub parts: u32,
    /// The first character that forced UCS-2.
    pub forced_by: Option<char>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// 160 septets in one message, 153 in each of several.
    Gsm7,
    /// 70 UTF-16 code units in one message, 67 in each of several.
    Ucs2,
}

/// An appointment as a calendar takes it (RFC 5545), ready to be attached to a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEntry {
    /// `PUBLISH` or `CANCEL`; the same stands inside.
    pub method: &'static str,
    pub ics: String,
}

impl Message {
    /// Keeps the answers that a rule asks for, in its order.
    pub fn keep_answers(&mut self, asked: &[String]) {
        let place = |name: &str| asked.iter().position(|asked| asked == name);
        self.answers.retain(|(name, _)| place(name).is_some());
        self.answers.sort_by_key(|(name, _)| place(name));
    }

    /// How an answer is worded.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<&str> {
        self.answers.iter().find(|(known, _)| known == name).map(|(_, label)| label.as_str())
    }
}

/// A call: paragraphs in the order they are spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    pub paragraphs: Vec<String>,
    /// BCP 47, for the voice.
    pub locale: String,
    /// Spoken slowly, for who asked for it.
    pub slow: bool,
    /// What is said around the paragraphs; `None` where nothing can be pressed.
    #[serde(default)]
    pub talk: Option<Talk>,
}

/// What a call says besides its message. [`super::call`] decides what when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// Who calls, for whom and about which reference: nothing of the case.
    pub greeting: Vec<String>,
    /// For a machine: who called, the number to call, how to stop.
    pub machine: Vec<String>,
    /// For the contact centre, before the two are connected.
    pub summary: Vec<String>,
    /// What may be answered, as it is worded.
    pub answers: Vec<String>,
    /// What may be pressed where everything is at hand, for people to read.
    #[serde(default)]
    pub menu: Vec<String>,
}

impl Script {
    /// All that a person who presses the keys of the message may hear, for people to read.
    #[must_use]
    pub fn words(&self) -> String {
        let greeting = self.talk.iter().flat_map(|talk| &talk.greeting);
        let menu = self.talk.iter().flat_map(|talk| &talk.menu);
        let lines = greeting.chain(&self.paragraphs).chain(menu);
        let lines: Vec<&str> = lines.map(String::as_str).collect();
        lines.join("\n")
    }

    /// Everything it can say, for its fingerprint.
    fn all(&self) -> String {
        let talk = self.talk.iter();
        let around = talk.flat_map(|t| [&t.greeting, &t.machine, &t.summary, &t.answers]);
        let lines = around.flatten().chain(&self.paragraphs);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// The fingerprint of a text message, as [`Shaped::hash`] has it.
#[must_use]
pub fn text_hash(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..16])
}

impl Shaped {
    /// The fingerprint of what goes on the wire, kept with the attempt.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        match self {
            Self::Email(email) => {
                for part in [&email.subject, &email.html, &email.text] {
                    hasher.update(part.as_bytes());
                    hasher.update([0]);
                }
            }
            Self::Sms(sms) => hasher.update(sms.text.as_bytes()),
            Self::Voice(script) => hasher.update(script.all().as_bytes()),
        }
        data_encoding::HEXLOWER.encode(&hasher.finalize()[..16])
    }

    /// How many parts a carrier charges for.
    #[must_use]
    pub const fn parts(&self) -> u32 {
        match self {
            Self::Sms(sms) => sms.counted.parts,
            Self::Email(_) | Self::Voice(_) => 1,
        }
    }

    /// The words, for people to read.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Email(email) => format!("Subject: {}\n\n{}", email.subject, email.text),
            Self::Sms(sms) => sms.text.clone(),
            Self::Voice(script) => script.words(),
        }
    }
}
