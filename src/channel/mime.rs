//! An e-mail as MIME: headers of RFC 5322, 3834, 2369 and 8058, text and HTML side by side.

use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};

use crate::domain::customer::AddressFault;
use crate::domain::message::{EmailText, Shaped};

use super::{Outgoing, SendError};

/// Who mail comes from.
#[derive(Debug, Clone)]
pub struct MailIdentity {
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
}

impl MailIdentity {
    /// The domain message ids are made under: that of the sender, so that they align.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Builds the mail: its envelope and its bytes, the same for the same notification.
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
            .header(ListId(format!("<{}.{}>", outgoing.topic, self.domain())));
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
        let message = builder
            .multipart(parts(text, outgoing))
            .map_err(|error| refused(&format!("the mail cannot be written: {error}"), None))?;
        Ok((message.envelope().clone(), message.formatted()))
    }
}

fn refused(reason: &str, address: Option<AddressFault>) -> SendError {
    SendError::Refused { reason: reason.to_owned(), address }
}

/// Quoted-printable throughout: no bare line feed or lone dot of a customer's text reaches
/// the SMTP dialogue (RUSTSEC-2026-0561).
fn parts(text: &EmailText, outgoing: &Outgoing) -> MultiPart {
    let part = |content_type: ContentType, body: &str| {
        let body =
            Body::new_with_encoding(body.to_owned(), ContentTransferEncoding::QuotedPrintable)
                .unwrap_or_else(Body::new);
        SinglePart::builder().header(content_type).body(body)
    };
    MultiPart::alternative()
        .boundary(format!("=_{}", outgoing.notification.0.simple()))
        .singlepart(part(ContentType::TEXT_PLAIN, &text.text))
        .singlepart(part(ContentType::TEXT_HTML, &text.html))
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
