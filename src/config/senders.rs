//! `[channels.sms] senders`: what texts to a country come from.

use std::collections::BTreeMap;

/// Countries whose networks drop texts from a word of letters (CTIA Messaging Principles 4;
/// carriers of Canada and Puerto Rico do the same).
const NUMBERS_ONLY: [&str; 3] = ["US", "CA", "PR"];

/// The longest sender that is no number, in characters (3GPP TS 23.040, section 9.1.2.5).
const MAX_LETTERS: usize = 11;

/// Is this a word and not a number? Then nobody can reply to it.
#[must_use]
pub fn is_alphanumeric(sender: &str) -> bool {
    sender.chars().any(|c| c.is_ascii_alphabetic())
}

/// What is wrong with the senders: the path of the key, and why.
pub(super) fn fault(
    from: &str,
    senders: &BTreeMap<String, String>,
) -> Option<(Vec<String>, String)> {
    if !from.is_empty()
        && let Some(why) = sender_fault(from)
    {
        return Some((vec!["from".into()], why));
    }
    senders.iter().find_map(|(country, sender)| {
        let path = || vec!["senders".to_owned(), country.clone()];
        let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        if !is_country {
            return Some((path(), "is no country as in ISO 3166, such as GB".into()));
        }
        if NUMBERS_ONLY.contains(&country.as_str()) && is_alphanumeric(sender) {
            let why = format!(
                "networks in {country} drop texts that do not come from a number; name one in E.164"
            );
            return Some((path(), why));
        }
        sender_fault(sender).map(|why| (path(), why))
    })
}

/// A sender is a number, a short code, or at most 11 letters, digits and spaces with a letter.
fn sender_fault(sender: &str) -> Option<String> {
    let digits = sender.strip_prefix('+').unwrap_or(sender);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return (digits.len() > 15).then(|| "is longer than any number (15 digits)".into());
    }
    let plain = sender.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
    if !plain || !is_alphanumeric(sender) || sender.trim() != sender {
        return Some(
            "is neither a number nor a word of A–Z, a–z, 0–9 and spaces with at least one letter"
                .into(),
        );
    }
    (sender.len() > MAX_LETTERS).then(|| format!("is longer than {MAX_LETTERS} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(country: &str, sender: &str) -> Option<String> {
        let senders = BTreeMap::from([(country.to_owned(), sender.to_owned())]);
        fault("+442079460001", &senders).map(|(path, why)| format!("{}: {why}", path.join(".")))
    }

    #[test]
    fn a_sender_is_a_number_or_a_short_word_with_a_letter() {
        for good in ["EXAMPLE", "Example 24", "+12025550143", "60777"] {
            assert_eq!(with("GB", good), None, "{good}");
        }
        for (bad, word) in [
            ("EXAMPLE SHOP", "longer than 11"),
            ("Größe", "neither"),
            ("A-B", "neither"),
            ("", "neither"),
            (" A", "neither"),
            ("+1234567890123456", "15 digits"),
        ] {
            let said = with("GB", bad).unwrap_or_else(|| panic!("{bad} was taken"));
            assert!(said.contains(word), "{bad}: {said}");
        }
    }

    #[test]
    fn where_networks_drop_words_a_number_is_asked_for() {
        for country in NUMBERS_ONLY {
            let said = with(country, "EXAMPLE").expect("refused");
            assert!(said.contains("senders.") && said.contains("E.164"), "{said}");
            assert_eq!(with(country, "+12025550143"), None);
        }
        assert!(with("England", "EXAMPLE").expect("refused").contains("ISO 3166"));
    }

    #[test]
    fn what_everything_comes_from_is_looked_at_too() {
        let (path, why) = fault("Ex@mple", &BTreeMap::new()).expect("refused");
        assert_eq!(path, ["from"]);
        assert!(why.contains("neither"), "{why}");
    }
}
