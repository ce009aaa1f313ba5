//! An account with a provider, as the settings name it, and what its texts come from.

use std::collections::BTreeMap;

use crate::domain::Secret;
use crate::domain::customer::Address;
use crate::domain::http_door::HttpDoor;

/// An account with a provider of texts. What a provider does not need is not set.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where the provider is; `None` for the place it has by itself.
    pub base_url: Option<String>,
    pub name: String,
    pub token: Option<Secret>,
    pub application: Option<String>,
    pub private_key: Option<Secret>,
    pub senders: Senders,
    pub connections: usize,
    pub door: Option<HttpDoor>,
}

impl Account {
    /// # Errors
    /// When there is none.
    pub fn token(&self) -> Result<Secret, String> {
        self.token.clone().ok_or_else(|| "token_file is not named".to_owned())
    }
}

/// The senders of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Senders {
    /// Where nothing else is named.
    pub from: String,
    /// Country (ISO 3166) → sender.
    pub by_country: BTreeMap<String, String>,
}

impl Senders {
    /// What a text to this number comes from.
    #[must_use]
    pub fn of(&self, to: &Address) -> &str {
        if self.by_country.is_empty() {
            return &self.from;
        }
        let country = to.country(None);
        let exact = country.and_then(|country| self.by_country.get(&country));
        let near = || self.by_country.iter().find(|(country, _)| to.is_of(country));
        exact.or_else(|| near().map(|(_, sender)| sender)).unwrap_or(&self.from)
    }

    /// Can whoever gets a text at this number reply to it? Not to a word of letters.
    #[must_use]
    pub fn can_reply(&self, to: &Address) -> bool {
        !self.of(to).chars().any(|c| c.is_ascii_alphabetic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Channel;

    #[test]
    fn a_text_comes_from_the_sender_of_its_country() {
        let senders = Senders {
            from: "+442079460001".into(),
            by_country: [("GB", "EXAMPLE"), ("US", "+12025550143")]
                .map(|(country, sender)| (country.to_owned(), sender.to_owned()))
                .into(),
        };
        let to = |number| Address::parse(Channel::Sms, number).expect("a number");
        let (gb, us, ca, de) =
            (to("+447911123456"), to("+12025550123"), to("+14165550123"), to("+4915112345678"));
        assert_eq!(senders.of(&gb), "EXAMPLE", "by its digits it might be of Guernsey");
        assert_eq!(senders.of(&us), "+12025550143");
        assert_eq!(senders.of(&ca), "+442079460001", "one calling code, two countries");
        assert_eq!(senders.of(&de), "+442079460001");
        assert!(!senders.can_reply(&gb) && senders.can_reply(&us) && senders.can_reply(&de));
    }
}
