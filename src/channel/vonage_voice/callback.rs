//! What Vonage says of a call (Vonage, "Voice API webhook reference").

use serde::Deserialize;

use crate::channel::receipt::Word;
use crate::domain::call::{Heard, PickedUp, Stage};

/// What Vonage tells: an event of a call, or what was pressed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    pub uuid: String,
    pub status: String,
    pub sub_state: Option<String>,
    pub dtmf: Option<Dtmf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Dtmf {
    pub digits: Option<String>,
}

impl Told {
    /// What became of the call.
    #[must_use]
    pub fn word(&self) -> Word {
        match self.status.as_str() {
            "started" | "ringing" | "answered" | "human" | "machine" => Word::Taken,
            "completed" => Word::CallOver { by: None },
            "busy" => Word::NotReached { detail: "busy".into() },
            "unanswered" | "timeout" => Word::NotReached { detail: "nobody answered".into() },
            "failed" | "rejected" | "cancelled" => {
                Word::Undelivered { detail: self.status.clone(), address: None }
            }
            _ => Word::Nothing,
        }
    }

    /// Who picked up, once it is known; a machine counts when it listens, after its beep.
    #[must_use]
    pub fn picked_up(&self) -> Option<PickedUp> {
        match (self.status.as_str(), self.sub_state.as_deref()) {
            ("human", _) => Some(PickedUp::Person),
            ("machine", Some("beep_start" | "beep_timeout")) => Some(PickedUp::Machine),
            _ => None,
        }
    }

    /// What was heard where the call stands; `None` for an event that says nothing of it.
    #[must_use]
    pub fn heard(&self, stage: Stage) -> Option<Heard> {
        Some(match stage {
            Stage::Desk => Heard::Person,
            Stage::Transfer => match self.status.as_str() {
                "completed" => Heard::Talked,
                "unanswered" | "timeout" | "busy" | "failed" | "rejected" | "cancelled" => {
                    Heard::NobodyCame
                }
                _ => return None,
            },
            Stage::Answered if self.dtmf.is_none() => Heard::Somebody,
            _ => {
                let digits = self.dtmf.as_ref().and_then(|dtmf| dtmf.digits.as_deref());
                let key = digits.and_then(|digits| digits.chars().next());
                key.map_or(Heard::Silence, Heard::Key)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_event_is_read_by_what_it_means() {
        let told = |body: Value| serde_json::from_value::<Told>(body).expect("an event");
        let word = |status: &str| told(json!({ "status": status })).word();
        for taken in ["started", "ringing", "answered", "machine", "human"] {
            assert_eq!(word(taken), Word::Taken, "{taken}");
        }
        assert_eq!(word("completed"), Word::CallOver { by: None });
        for (status, detail) in
            [("busy", "busy"), ("unanswered", "nobody answered"), ("timeout", "nobody answered")]
        {
            assert_eq!(word(status), Word::NotReached { detail: detail.into() });
        }
        assert!(matches!(word("rejected"), Word::Undelivered { .. }));
        assert_eq!(word("transfer"), Word::Nothing);
        let machine = |state: &str| told(json!({"status": "machine", "sub_state": state}));
        assert_eq!(machine("beep_start").picked_up(), Some(PickedUp::Machine));
        assert_eq!(machine("other").picked_up(), None, "it still speaks itself");
    }
}
