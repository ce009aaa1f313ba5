//! Phone calls: the same message as sentences for a voice, and the words of every line that a
//! call may say.

use crate::domain::Channel;
use crate::domain::call::{Key, Line, MAX_ANSWERS, Slot};
use crate::domain::message::{Script, Talk};
use crate::domain::preference::Need;
use crate::domain::time::Instant;

use super::locale::Setting;
use super::message::RenderError;
use super::presentation::{Frame, Presentation, Words};

/// What the layout of a call is made of.
pub(super) const BLOCKS: [&str; 4] = ["greeting", "message", "machine", "summary"];

/// What a call says that no message knows: how things stand while it is spoken.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// How long people wait for a person now, where the switchboard says so.
    pub wait: Option<String>,
    /// The number to call.
    pub phone: Option<String>,
}

impl Presentation {
    /// Lays a message out as a spoken script.
    ///
    /// # Errors
    /// When a layout uses what is not there.
    pub fn voice(&self, frame: &Frame<'_>, setting: Setting) -> Result<Script, RenderError> {
        let [greeting, paragraphs, machine, summary] = self
            .render_blocks("voice.txt", BLOCKS, self.context(frame, setting))?
            .map(|text| sentences(&text));
        let answers = if frame.discreet { &[] } else { frame.message.answers.as_slice() };
        let answers = answers.iter().take(MAX_ANSWERS).map(|(_, label)| label.clone()).collect();
        let slow = frame.needs.contains(&Need::SlowSpeech);
        let locale = frame.message.locale.clone();
        let talk = Some(Talk { greeting, machine, summary, answers, menu: Vec::new() });
        let mut script = Script { paragraphs, locale, slow, talk };
        let words = self.words(&script.locale);
        let person = frame.scene.sender.phone.as_ref().map(|_| Key::Person);
        let answers = script.talk.as_ref().map_or(0, |talk| talk.answers.len());
        let keys = (0..answers).map(Key::Answer).chain(person).chain([Key::Again, Key::Stop]);
        let menu: Vec<String> = keys.map(|key| press(words, key, &script)).collect();
        script.talk.iter_mut().for_each(|talk| talk.menu.clone_from(&menu));
        Ok(script)
    }

    /// The sentences of one line of a call. `when` writes an instant down for the customer.
    #[must_use]
    pub fn spoken(
        &self,
        line: &Line,
        script: &Script,
        now: &Standing,
        when: &dyn Fn(Instant) -> String,
    ) -> Vec<String> {
        let words = self.words(&script.locale);
        let word = |key: &str| words.get(key).cloned().unwrap_or_default();
        let part = |part: fn(&Talk) -> &Vec<String>| {
            script.talk.as_ref().map(|talk| part(talk).clone()).unwrap_or_default()
        };
        let slot = |key: &str, slot: &Slot| {
            let when = slot.from().map_or_else(|| word("voice_soon"), when);
            vec![word(key).replace("{when}", &when)]
        };
        match line {
            Line::Hello => part(|talk| &talk.greeting).into_iter().take(1).collect(),
            Line::Greeting => part(|talk| &talk.greeting),
            Line::Machine => part(|talk| &talk.machine),
            Line::Summary => part(|talk| &talk.summary),
            Line::Message => script.paragraphs.clone(),
            Line::Unclear => vec![word("voice_unclear")],
            Line::Wait => {
                now.wait.iter().map(|wait| format!("{} {wait}.", word("voice_wait"))).collect()
            }
            Line::Connecting => vec![word("voice_connecting")],
            Line::Closed => vec![word("voice_closed")],
            Line::NobodyFree => vec![word("voice_nobody")],
            Line::Offer(offered) => slot("voice_offer", offered),
            Line::Booked(booked) => slot("voice_booked", booked),
            Line::SlotGone => vec![word("voice_slot_gone")],
            Line::Copied(Channel::Email) => vec![word("voice_copied_email")],
            Line::Copied(Channel::Sms | Channel::Voice) => vec![word("voice_copied_sms")],
            Line::Said(said) => vec![said.clone()],
            Line::Stopped { pending } => {
                let also = pending.then(|| word("pending"));
                [word("stopped_calls")].into_iter().chain(also).collect()
            }
            Line::Press(key) => vec![press(words, *key, script)],
            Line::Goodbye => {
                let number = now.phone.iter().map(|phone| format!("{} {phone}.", word("call_us")));
                number.chain([word("voice_goodbye")]).collect()
            }
        }
    }
}

/// What a key does, and which it is.
fn press(words: &Words, key: Key, script: &Script) -> String {
    let word = |key: &str| words.get(key).map_or("", String::as_str);
    let does = match key {
        Key::Person => word("voice_person_key"),
        Key::Hear => word("voice_hear_key"),
        Key::Again => word("voice_repeat_key"),
        Key::Copy(Channel::Email) => word("voice_email_key"),
        Key::Copy(Channel::Sms | Channel::Voice) => word("voice_sms_key"),
        Key::TakeOffer => word("voice_take_key"),
        Key::Stop => word("voice_stop_key"),
        Key::Answer(place) => {
            let answers = script.talk.as_ref().map(|talk| talk.answers.as_slice());
            let label = answers.and_then(|answers| answers.get(place)).map_or("", String::as_str);
            return format!("{label}: {} {}.", word("voice_press"), key.digit());
        }
    };
    format!("{does} {}.", key.digit())
}

/// The lines of a text that say something, each with single spaces.
fn sentences(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}
