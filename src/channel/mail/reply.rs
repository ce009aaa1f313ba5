//! What a mail server's reply means, as data: reply codes of RFC 5321 section 4.2 and enhanced
//! status codes of RFC 3463 with the IANA registry behind it.
//!
//! Read both for the replies of a dialogue and for those a bounce quotes.

use crate::channel::SendError;
use crate::domain::customer::AddressFault;

/// What a reply that says no is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// This mail, for now: tried again later.
    Transient,
    /// The server as a whole, for now.
    Down,
    /// We come too fast, or are not known yet: greylisting, rate limits.
    Slow,
    /// Nobody is reached at this address.
    BadAddress,
    /// Perhaps nobody is reached: a bare 550 is also said for other reasons.
    Doubtful,
    /// The mailbox is full, and may be emptied.
    Full,
    /// This content will not be taken: too big for the server or the mailbox.
    Content,
    /// What we say is wrong: our fault.
    Protocol,
    /// Who we say we are is not believed.
    Credentials,
    /// We are not wanted there: policy, authentication of our domain.
    Reputation,
    /// No, for no reason we know.
    Refused,
}

/// At what point of the dialogue a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// To `MAIL FROM`: about the sender, whatever the code says of a mailbox.
    Sender,
    /// To `RCPT TO`.
    Recipient,
    /// To `DATA`, or the final dot.
    Content,
}

/// One line of the table: the first that fits a reply counts.
struct Row {
    /// `0` fits every code.
    code: u16,
    /// `*` stands for any detail; empty fits replies with and without an enhanced code.
    enhanced: &'static str,
    class: Class,
}

const fn row(code: u16, enhanced: &'static str, class: Class) -> Row {
    Row { code, enhanced, class }
}

/// The table, most exact first. Two lines bend the registry to what large providers say: 550
/// with 5.5.0 or 5.4.1 is how Microsoft answers for mailboxes it does not know.
const TABLE: &[Row] = &[
    row(0, "4.7.*", Class::Slow),
    row(0, "4.2.2", Class::Full),
    row(421, "", Class::Down),
    row(0, "4.3.*", Class::Down),
    row(0, "4.*.*", Class::Transient),
    row(0, "5.1.1", Class::BadAddress),
    row(0, "5.1.2", Class::BadAddress),
    row(0, "5.1.3", Class::BadAddress),
    row(0, "5.1.6", Class::BadAddress),
    row(0, "5.1.10", Class::BadAddress),
    row(0, "5.2.1", Class::BadAddress),
    row(0, "5.1.7", Class::Protocol),
    row(0, "5.1.8", Class::Protocol),
    row(0, "5.2.2", Class::Full),
    row(0, "5.2.3", Class::Content),
    row(0, "5.3.4", Class::Content),
    row(550, "5.5.0", Class::Doubtful),
    row(550, "5.4.1", Class::Doubtful),
    row(0, "5.3.*", Class::Transient),
    row(0, "5.4.*", Class::Transient),
    row(0, "5.5.*", Class::Protocol),
    row(0, "5.7.8", Class::Credentials),
    row(530, "", Class::Credentials),
    row(535, "", Class::Credentials),
    row(0, "5.7.*", Class::Reputation),
    row(551, "", Class::BadAddress),
    row(553, "", Class::BadAddress),
    row(556, "", Class::BadAddress),
    row(552, "", Class::Full),
    row(554, "", Class::Reputation),
    row(550, "5.0.0", Class::Doubtful),
    row(0, "5.*.*", Class::Refused),
    row(550, "", Class::Doubtful),
    row(500, "", Class::Protocol),
    row(501, "", Class::Protocol),
    row(502, "", Class::Protocol),
    row(503, "", Class::Protocol),
    row(504, "", Class::Protocol),
];

impl Row {
    fn fits(&self, code: u16, enhanced: Option<&str>) -> bool {
        (self.code == 0 || self.code == code)
            && (self.enhanced.is_empty()
                || enhanced.is_some_and(|enhanced| {
                    let mut given = enhanced.split('.');
                    self.enhanced
                        .split('.')
                        .all(|part| given.next().is_some_and(|given| part == "*" || part == given))
                }))
    }
}

/// What a reply means: its code, and the enhanced code at the start of its text.
#[must_use]
pub fn class(code: u16, text: &str) -> Class {
    class_of(code, enhanced_code(code, text).as_deref())
}

/// What a code and an enhanced code mean. Without a line of its own a 4xx is transient and
/// anything else a plain refusal.
#[must_use]
pub fn class_of(code: u16, enhanced: Option<&str>) -> Class {
    let otherwise = if code / 100 == 4 { Class::Transient } else { Class::Refused };
    TABLE.iter().find(|row| row.fits(code, enhanced)).map_or(otherwise, |row| row.class)
}

/// The enhanced status code (RFC 3463 section 2) at the start of a reply's text, when its class
/// is that of the reply.
#[must_use]
pub fn enhanced_code(code: u16, text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_ascii_digit()).map(|at| &text[at..])?;
    start.split_whitespace().take(3).find_map(|word| {
        let word = word.trim_end_matches([':', ',', ';']);
        is_enhanced(word, code / 100).then(|| word.to_owned())
    })
}

fn is_enhanced(word: &str, class: u16) -> bool {
    let numbers: Option<Vec<u16>> = word.split('.').map(|part| part.parse().ok()).collect();
    matches!(numbers.as_deref(), Some([first, _, _]) if *first == class)
}

impl Class {
    /// What it says of the recipient's address, where it says anything.
    #[must_use]
    pub const fn fault(self) -> Option<AddressFault> {
        match self {
            Self::BadAddress => Some(AddressFault::Unusable),
            Self::Doubtful => Some(AddressFault::Doubtful),
            Self::Full => Some(AddressFault::Full),
            _ => None,
        }
    }

    /// What the dispatcher is told of a reply with these words at this stage, from a server
    /// that speaks for `domain`.
    #[must_use]
    pub fn error(self, stage: Stage, reason: String, domain: &str) -> SendError {
        match self {
            Self::Transient | Self::Slow => SendError::Deferred { reason, retry_after: None },
            Self::Down => SendError::ProviderDown { reason, retry_after: None },
            Self::Full if stage != Stage::Sender => SendError::MailboxFull { reason },
            Self::BadAddress | Self::Doubtful if stage != Stage::Sender => {
                SendError::Refused { reason, address: self.fault() }
            }
            Self::Content => SendError::Unfit { reason },
            Self::Protocol => SendError::Stuck { reason, mend: PROTOCOL },
            Self::Credentials => SendError::Stuck { reason, mend: CREDENTIALS },
            Self::Reputation => SendError::Unwelcome { reason, domain: domain.to_owned() },
            Self::Refused | Self::BadAddress | Self::Doubtful | Self::Full => {
                SendError::Refused { reason, address: None }
            }
        }
    }
}

/// What a person has to do about [`Class::Protocol`] and [`Class::Credentials`].
const PROTOCOL: &str = "The mail server does not understand what it is told; report this reply \
                        to whoever maintains Tidings, or look at [channels.email] hello_name and \
                        [sender] mail_from";
pub(super) const CREDENTIALS: &str =
    "The mail server does not take our name and password; mend [channels.email] url or url_file";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_is_read_as_the_table_says() {
        for (code, text, wanted) in [
            (421, "4.3.2 shutting down", Class::Down),
            (421, "closing", Class::Down),
            (421, "4.7.0 [TSS04] too many messages", Class::Slow),
            (450, "mailbox busy", Class::Transient),
            (451, "4.7.1 greylisted", Class::Slow),
            (451, "4.3.0 mail system full", Class::Down),
            (451, "local error", Class::Transient),
            (452, "4.2.2 over quota", Class::Full),
            (452, "4.4.5 no room", Class::Transient),
            (454, "4.7.0 TLS not available", Class::Slow),
            (455, "parameters", Class::Transient),
            (550, "5.1.1 no such user", Class::BadAddress),
            (550, "5.1.2 no such domain", Class::BadAddress),
            (550, "5.1.3 bad syntax", Class::BadAddress),
            (550, "5.1.6 moved", Class::BadAddress),
            (556, "5.1.10 null MX", Class::BadAddress),
            (556, "does not take mail", Class::BadAddress),
            (550, "5.2.1 disabled", Class::BadAddress),
            (551, "not here", Class::BadAddress),
            (553, "mailbox name not allowed", Class::BadAddress),
            (553, "5.1.8 sender's domain", Class::Protocol),
            (550, "not here", Class::Doubtful),
            (550, "5.0.0 no", Class::Doubtful),
            (550, "5.5.0 mailbox unavailable", Class::Doubtful),
            (550, "5.4.1 recipient address rejected: access denied", Class::Doubtful),
            (550, "4.1.1 the class is another", Class::Doubtful),
            (552, "5.2.2 mailbox full", Class::Full),
            (552, "storage", Class::Full),
            (552, "5.3.4 message too big", Class::Content),
            (552, "5.2.3 too long for the mailbox", Class::Content),
            (554, "5.4.4 no route", Class::Transient),
            (554, "5.3.0 system", Class::Transient),
            (500, "what?", Class::Protocol),
            (501, "syntax", Class::Protocol),
            (502, "not implemented", Class::Protocol),
            (503, "5.5.1 sequence", Class::Protocol),
            (504, "parameter", Class::Protocol),
            (554, "5.5.2 bad parameter", Class::Protocol),
            (530, "authentication required", Class::Credentials),
            (530, "5.7.0 authentication required", Class::Credentials),
            (535, "5.7.8 bad credentials", Class::Credentials),
            (535, "no", Class::Credentials),
            (550, "5.7.1 not wanted", Class::Reputation),
            (550, "5.7.26 unauthenticated", Class::Reputation),
            (550, "5.7.515 access denied", Class::Reputation),
            (554, "5.7.1 policy", Class::Reputation),
            (554, "policy", Class::Reputation),
            (550, "5.6.0 content", Class::Refused),
            (599, "odd", Class::Refused),
        ] {
            assert_eq!(class(code, text), wanted, "{code} {text}");
        }
    }

    #[test]
    fn the_library_puts_words_of_its_own_before_the_servers() {
        let text = "permanent error (550): 5.1.1 no such user";
        assert_eq!(enhanced_code(550, text).as_deref(), Some("5.1.1"));
        assert_eq!(enhanced_code(550, "5.1.1: no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced_code(550, "host 5.1 of 2.0.0"), None);
        assert_eq!(enhanced_code(550, ""), None);
    }

    #[test]
    fn what_is_said_of_the_sender_is_never_held_against_the_recipient() {
        let error = |class: Class, stage| class.error(stage, "no".into(), "example.com");
        for class in [Class::BadAddress, Class::Doubtful, Class::Full] {
            let refused = SendError::Refused { reason: "no".into(), address: None };
            assert_eq!(error(class, Stage::Sender), refused);
        }
        let bad = SendError::Refused { reason: "no".into(), address: Some(AddressFault::Unusable) };
        assert_eq!(error(Class::BadAddress, Stage::Recipient), bad);
        assert_eq!(error(Class::BadAddress, Stage::Content), bad);
    }

    #[test]
    fn nothing_but_a_bad_address_says_anything_against_the_recipient() {
        for class in [Class::Slow, Class::Content, Class::Protocol, Class::Credentials] {
            assert_eq!(class.fault(), None);
        }
        assert_eq!(Class::Reputation.fault(), None, "policy is about us");
        assert_eq!(Class::Doubtful.fault(), Some(AddressFault::Doubtful));
        assert_eq!(Class::Full.fault(), Some(AddressFault::Full));
    }
}
