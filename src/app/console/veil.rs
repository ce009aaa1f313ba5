//! Addresses in texts of others, such as a mail server's reply, are masked wherever they stand.

use serde_json::Value;

use crate::domain::customer::Address;

/// May this character stand in an address (RFC 5321 section 4.1.2, without quotes)?
fn may_stand(c: char) -> bool {
    c.is_alphanumeric() || "@.+-_%~!#$&*=?^|`/'".contains(c)
}

/// The text with every e-mail address and number in it masked.
#[must_use]
pub fn veil(text: &str) -> String {
    let mut veiled = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !may_stand(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let bare = word.trim_end_matches('.');
        if is_address(bare) {
            veiled.push_str(&Address::stored(bare.to_owned()).to_string());
            veiled.push_str(&word[bare.len()..]);
        } else {
            veiled.push_str(word);
        }
        let next = after.chars().next().map_or(0, char::len_utf8);
        veiled.push_str(&after[..next]);
        rest = &after[next..];
    }
    veiled
}

/// Masks every address in the texts of a value.
pub fn veil_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = veil(text),
        Value::Array(values) => values.iter_mut().for_each(veil_all),
        Value::Object(members) => members.values_mut().for_each(veil_all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_address(word: &str) -> bool {
    let is_number = word
        .strip_prefix('+')
        .is_some_and(|digits| digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit()));
    let is_mail = word.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !local.ends_with("***") && domain.contains('.')
    });
    is_number || is_mail
}

#[cfg(test)]
mod tests {
    use super::veil;

    #[test]
    fn addresses_are_masked_wherever_they_stand() {
        for (text, veiled) in [
            ("550 <ada@example.com>: no such user", "550 <a***@e***.com>: no such user"),
            ("{\"address\":\"ada@example.com\"}", "{\"address\":\"a***@e***.com\"}"),
            ("Call (+447911123456).", "Call (+44*******456)."),
            ("mail to ada@example.com.", "mail to a***@e***.com."),
            ("a***@e***.com stays, T-1 and +1 too", "a***@e***.com stays, T-1 and +1 too"),
            ("250 2.0.0 Ok: queued as 4F@q", "250 2.0.0 Ok: queued as 4F@q"),
            ("", ""),
        ] {
            assert_eq!(veil(text), veiled);
        }
    }
}
