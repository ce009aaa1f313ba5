//! E-mail: one message as HTML and as text. The HTML comes from MJML, compiled at load.

use std::collections::HashMap;

use mrml::prelude::render::RenderOptions;

use crate::domain::message::EmailText;

use super::locale::Setting;
use super::message::RenderError;
use super::presentation::{EMAIL_HTML, Frame, Presentation};

/// MJML → HTML. Jinja marks pass through untouched.
pub(super) fn compile(mjml: &str) -> Result<String, String> {
    let parsed =
        mrml::parse(mjml).map_err(|error| format!("templates/channels/email.mjml: {error}"))?;
    if let Some(warning) = parsed.warnings.first() {
        return Err(format!("templates/channels/email.mjml: {warning}"));
    }
    // No fonts of others: each would be a request that tells who read the mail.
    let options =
        RenderOptions { disable_comments: false, social_icon_origin: None, fonts: HashMap::new() };
    parsed
        .element
        .render(&options)
        .map_err(|error| format!("templates/channels/email.mjml: {error}"))
}

impl Presentation {
    /// Lays a message out as e-mail.
    ///
    /// # Errors
    /// When a layout uses what is not there.
    pub fn email(&self, frame: &Frame<'_>, setting: Setting) -> Result<EmailText, RenderError> {
        let subject = self.subject(frame);
        let context = self.context(frame, setting);
        let html = self.render(EMAIL_HTML, context.clone())?;
        let text = self.render("email.txt", context)?;
        Ok(EmailText { subject, html, text: tidy(&text) })
    }
}

/// At most one empty line between paragraphs, none at the ends.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines() {
        let line = line.trim_end();
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
