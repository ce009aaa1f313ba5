//! Phone calls: the same message as sentences for a voice.

use crate::domain::message::Script;
use crate::domain::preference::Need;

use super::locale::Setting;
use super::message::RenderError;
use super::presentation::{Frame, Presentation};

impl Presentation {
    /// Lays a message out as a spoken script.
    ///
    /// # Errors
    /// When a layout uses what is not there.
    pub fn voice(&self, frame: &Frame<'_>, setting: Setting) -> Result<Script, RenderError> {
        let text = self.render("voice.txt", self.context(frame, setting))?;
        let paragraphs = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect();
        let slow = frame.needs.contains(&Need::SlowSpeech);
        Ok(Script { paragraphs, locale: frame.message.locale.clone(), slow })
    }
}
