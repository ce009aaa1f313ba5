//! An e-mail as MIME: headers of RFC 5322, 3834, 2369 and 8058, text and HTML side by side, an
//! entry for the calendar where there is one.

use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Attachment, Body, Mailbox, Message, MultiPart, SinglePart};

use crate::domain::customer::AddressFault;
use crate::domain::message::{CalendarEntry, EmailText, Shaped};

use crate::channel::{Outgoing, SendError};

use super::Signer;

/// Who mail comes from.
#[derive(Debug, Clone)]
pub struct MailIdentity {
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    /// Where bounces go; each mail's envelope names the mail itself before the `@`.
    pub bounce_to: Option<lettre::Address>,
    pub signer: Option<Signer>,
}

impl MailIdentity {
    /// The domain message ids are made under: that of the sender, so that they align.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Builds the mail: its envelope and its bytes, the same for the same notification but for
    /// the envelope's sender and the signature, which belong to the attempt.
    ///
    /// # Errors
    /// `Refused` when the address or a header cannot be written.
    pub fn build(&self, outgoing: &Outgoing) -> Result<(Envelope, Vec<u8>), SendError> {
        let Shaped::Email(text) = &outgoing.shaped else {
            return Err(refused("this is no e-mail", None));
        };
        let address = outgoing.to.expose().parse().map_err(|_| {
            refused("the address cannot be written into a mail", Some(AddressFault::Unusable))
        })?;
        let to = Mailbox::new(Some(outgoing.to_name.clone()), address);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&text.subject)
            .date(std::time::SystemTime::from(outgoing.at))
            .message_id(Some(format!("<{}>", outgoing.message_id)))
            .in_reply_to(format!("<{}>", outgoing.thread_id))
            .references(format!("<{}>", outgoing.thread_id))
            .header(AutoSubmitted)
            .header(ListId(format!("<{}.{}>", outgoing.topic, self.domain())))
            .header(FeedbackId(self.feedback_id(outgoing)));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        if let Some(unsubscribe) = &outgoing.unsubscribe {
            builder = builder.header(ListUnsubscribe(format!("<{unsubscribe}>")));
            // Promised only where it can be kept (RFC 8058 section 3.1: an https address).
            if unsubscribe.starts_with("https://") {
                builder = builder.header(OneClick);
            }
        }
        let unwritable = |error: &dyn std::fmt::Display| {
            refused(&format!("the mail cannot be written: {error}"), None)
        };
        let message =
            builder.multipart(parts(text, outgoing)).map_err(|error| unwritable(&error))?;
        let recipients = message.envelope().to().to_vec();
        let sender = self.envelope_sender(outgoing).map_err(|error| unwritable(&error))?;
        let envelope =
            Envelope::new(Some(sender), recipients).map_err(|error| unwritable(&error))?;
        let mail = match &self.signer {
            Some(signer) => signer.signed(message),
            None => message.formatted(),
        };
        Ok((envelope, mail))
    }

    /// Who a bounce goes back to: a variable envelope return path that names notification and
    /// attempt, or else the sender.
    fn envelope_sender(
        &self,
        outgoing: &Outgoing,
    ) -> Result<lettre::Address, lettre::address::AddressError> {
        match &self.bounce_to {
            Some(address) if !outgoing.mail.bounce_token.is_empty() => {
                let local = format!("{}+{}", address.user(), outgoing.mail.bounce_token);
                lettre::Address::new(local, address.domain())
            }
            Some(address) => Ok(address.clone()),
            None => Ok(self.from.email.clone()),
        }
    }

    /// `notice:topic:case_type:sender` (Gmail, "Feedback loop"): what complaints are counted
    /// by. It must not tell one recipient from another, and the sender stands last, the same in
    /// all mail and 5 to 15 characters long.
    fn feedback_id(&self, outgoing: &Outgoing) -> String {
        let field = |text: &str| {
            let plain = text.chars().map(|c| if is_plain(c) { c } else { '-' });
            let plain: String = plain.take(60).collect();
            if plain.is_empty() { "-".to_owned() } else { plain }
        };
        let mail = &outgoing.mail;
        let mut sender: String = field(self.domain()).chars().take(15).collect();
        while sender.len() < 5 {
            sender.push('-');
        }
        let [notice, topic, case_type] =
            [&mail.notice, &outgoing.topic, &mail.case_type].map(|text| field(text));
        format!("{notice}:{topic}:{case_type}:{sender}")
    }
}

/// What may stand in a field of `Feedback-ID`: above all no colon.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')
}

fn refused(reason: &str, address: Option<AddressFault>) -> SendError {
    SendError::Refused { reason: reason.to_owned(), address }
}

/// Quoted-printable throughout: no bare line feed or lone dot of a customer's text reaches
/// the SMTP dialogue (RUSTSEC-2026-0561).
fn parts(text: &EmailText, outgoing: &Outgoing) -> MultiPart {
    let part = |content_type: ContentType, body: &str| {
        SinglePart::builder().header(content_type).body(quoted_printable(body))
    };
    let boundary = |mark: &str| format!("=_{mark}{}", outgoing.notification.0.simple());
    let alternative = MultiPart::alternative()
        .boundary(boundary(""))
        .singlepart(part(ContentType::TEXT_PLAIN, &text.text))
        .singlepart(part(ContentType::TEXT_HTML, &text.html));
    let Some(entry) = &outgoing.mail.calendar else { return alternative };
    // Last among the alternatives for programs that know it, and as a file for the others
    // (RFC 6047 section 2.4); the same method stands in both.
    let content_type = calendar_type(entry);
    let file = Attachment::new("appointment.ics".into());
    MultiPart::mixed()
        .boundary(boundary("m"))
        .multipart(alternative.singlepart(part(content_type.clone(), &entry.ics)))
        .singlepart(file.body(quoted_printable(&entry.ics), content_type))
}

fn quoted_printable(body: &str) -> Body {
    Body::new_with_encoding(body.to_owned(), ContentTransferEncoding::QuotedPrintable)
        .unwrap_or_else(Body::new)
}

fn calendar_type(entry: &CalendarEntry) -> ContentType {
    let text = format!("text/calendar; method={}; charset=utf-8", entry.method);
    ContentType::parse(&text).unwrap_or(ContentType::TEXT_PLAIN)
}

macro_rules! raw_header {
    ($(#[$doc:meta])* $name:ident, $header:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        struct $name(String);

        impl Header for $name {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($header)
            }

            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self(text.to_owned()))
            }

            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), self.0.clone())
            }
        }
    };
}

raw_header! {
    /// RFC 2369; the address is opaque and hard to forge.
    ListUnsubscribe, "List-Unsubscribe"
}
raw_header! {
    /// RFC 2919: lets a reader's program sort by topic.
    ListId, "List-Id"
}

raw_header! {
    /// What mailbox providers count complaints by.
    FeedbackId, "Feedback-ID"
}

/// RFC 8058.
#[derive(Clone)]
struct OneClick;

impl Header for OneClick {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".into())
    }
}

/// RFC 3834: nobody's auto-responder should answer.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::MailParts;
    use crate::channel::testing::mail_to;

    fn identity() -> MailIdentity {
        MailIdentity {
            from: "Example Shop <service@example.com>".parse().expect("a mailbox"),
            reply_to: None,
            bounce_to: Some("bounces@bounce.example.com".parse().expect("an address")),
            signer: None,
        }
    }

    #[test]
    fn a_bounce_goes_to_an_address_that_names_the_mail() {
        let mut mail = mail_to("ada@example.com");
        mail.mail.bounce_token = "abc123".into();
        let (envelope, _) = identity().build(&mail).expect("built");
        let sender = envelope.from().expect("a sender").to_string();
        assert_eq!(sender, "bounces+abc123@bounce.example.com");
        let plain = MailIdentity { bounce_to: None, ..identity() };
        let (envelope, _) = plain.build(&mail).expect("built");
        assert_eq!(envelope.from().expect("a sender").to_string(), "service@example.com");
    }

    #[test]
    fn the_feedback_id_says_what_kind_of_mail_it_is_and_nothing_of_its_recipient() {
        let id = |to: &str| {
            let mut mail = mail_to(to);
            mail.mail = MailParts {
                notice: "day-before".into(),
                case_type: "a:b c".into(),
                ..MailParts::default()
            };
            identity().feedback_id(&mail)
        };
        assert_eq!(id("ada@example.com"), "day-before:status:a-b-c:example.com");
        assert_eq!(id("ada@example.com"), id("bob@example.net"));
        let short = MailIdentity { from: "a@b.c".parse().expect("a mailbox"), ..identity() };
        assert!(short.feedback_id(&mail_to("ada@example.com")).ends_with(":b.c--"));
    }

    #[test]
    fn a_body_full_of_dots_and_bare_line_ends_reaches_the_wire_encoded() {
        let mut mail = mail_to("ada@example.com");
        let hostile = "hi\n.\nMAIL FROM:<a@b>\r.\rRCPT TO:<c@d>\r\n.\r\nQUIT\n";
        mail.shaped = Shaped::Email(EmailText {
            subject: "Hello\r\nBcc: x@example.net".into(),
            text: hostile.into(),
            html: hostile.into(),
        });
        let (_, bytes) = identity().build(&mail).expect("built");
        let text = String::from_utf8(bytes).expect("ASCII");
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            assert!(rest[at..].starts_with(b"\r\n"), "a bare line end");
            rest = &rest[at + 2..];
        }
        assert!(!text.contains("\r\nBcc:"), "no header of somebody else's");
    }
}
