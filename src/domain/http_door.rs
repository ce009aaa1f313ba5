//! A provider's HTTP door as the settings describe it: what is sent to it, how a yes reads, and
//! how its callbacks are read. Any provider whose door is plain enough needs no code of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::signature::{Encoding, Scheme, Signed, parts};

/// `[channels.sms.http]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpDoor {
    pub url: String,
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub encoding: Body,
    #[serde(default)]
    pub success: Success,
    /// Where a yes names the message.
    pub id_pointer: Option<String>,
    pub receipts: Option<Receipts>,
    pub inbound: Option<Inbound>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Get,
}

/// How values are written into a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// As JSON, in quotation marks.
    #[default]
    Json,
    /// Percent-encoded.
    Form,
}

/// How a yes reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// One status or a range: `202`, `200-299`.
    #[serde(default = "any_success")]
    pub status: String,
    /// A place in the answer (RFC 6901) that must hold `equals`: for providers that say no with
    /// a status of 200.
    pub pointer: Option<String>,
    pub equals: Option<String>,
}

fn any_success() -> String {
    "200-299".into()
}

impl Default for Success {
    fn default() -> Self {
        Self { status: any_success(), pointer: None, equals: None }
    }
}

/// How the report of an attempt is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// A pointer into a JSON body, or the name of a field of a form or of the query.
    pub status: String,
    /// Where the provider's error code or words stand.
    pub detail: Option<String>,
    /// The provider's word → ours.
    pub values: BTreeMap<String, Told>,
    #[serde(flatten)]
    pub check: Check,
}

/// What a provider's word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Queued,
    Sent,
    Delivered,
    Failed,
}

/// Who may tell us?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub verify: Verify,
    /// The header with the signature or the secret.
    #[serde(default)]
    pub header: String,
    /// How a signature is written: `hex` or `base64`.
    #[serde(default)]
    pub signature: Written,
    /// What stands before a signature in its header, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// The header holds the secret.
    Header,
    /// The header holds an HMAC-SHA256 of the body.
    Hmac,
    /// Nothing but our own signed tag in the address. For reports alone.
    Token,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    #[default]
    Hex,
    Base64,
}

/// How a text that came in is read; it is verified as `receipts` are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    pub from: String,
    #[serde(default)]
    pub to: String,
    pub text: String,
    pub id: String,
}

type Fault = (Vec<&'static str>, String);

impl Check {
    /// What is checked; `None` where our own tag is enough.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        let header = self.header.to_lowercase();
        match self.verify {
            Verify::Token => None,
            Verify::Header => Some(Scheme::Header(header)),
            Verify::Hmac => Some(Scheme::HmacSha256(Signed {
                header,
                encoding: match self.signature {
                    Written::Hex => Encoding::Hex,
                    Written::Base64 => Encoding::Base64,
                },
                prefix: self.prefix.clone(),
                parts: parts("{body}").unwrap_or_default(),
                timestamp_header: None,
                nonce_header: None,
                tolerance_s: 0,
            })),
        }
    }
}

impl Success {
    /// The statuses of a yes, both ends counted.
    fn range(&self) -> Option<(u16, u16)> {
        let (from, to) = self.status.split_once('-').unwrap_or((&self.status, &self.status));
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (100..=599).contains(&from).then_some((from, to)).filter(|_| from <= to && to <= 599)
    }

    /// Is this answer a yes?
    #[must_use]
    pub fn holds(&self, status: u16, answer: &Value) -> bool {
        let in_range = self.range().is_some_and(|(from, to)| (from..=to).contains(&status));
        let Some(pointer) = &self.pointer else { return in_range };
        let found = answer.pointer(pointer).map(plain);
        in_range && found.is_some() && found == self.equals
    }
}

/// A value as text: a string without its quotation marks.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl HttpDoor {
    /// What cannot be as it is: the path of the key within the section, and why.
    #[must_use]
    pub fn fault(&self, has_secret: bool) -> Option<Fault> {
        let fault = |path: &[&'static str], why: &str| Some((path.to_vec(), why.to_owned()));
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            return fault(&["url"], "must start with https:// or http://");
        }
        if self.method == Method::Get && !self.body.is_empty() {
            return fault(&["body"], "a GET has none; put the values into url");
        }
        let written = [("url", &self.url), ("body", &self.body)];
        for (key, template) in written {
            if let Err(why) = super::template::check(template) {
                return Some((vec![key], why));
            }
        }
        if let Some(why) =
            self.headers.values().find_map(|header| super::template::check(header).err())
        {
            return Some((vec!["headers"], why));
        }
        if self.success.range().is_none() {
            return fault(&["success", "status"], "is no status or range such as \"200-299\"");
        }
        if self.success.pointer.is_some() != self.success.equals.is_some() {
            return fault(&["success"], "pointer and equals go together");
        }
        let pointers = [&self.id_pointer, &self.success.pointer];
        if pointers.into_iter().flatten().any(|pointer| !pointer.starts_with('/')) {
            return fault(&["id_pointer"], "a pointer begins with / (RFC 6901)");
        }
        let Some(receipts) = &self.receipts else {
            let why = "needs [channels.sms.http.receipts], which says how callbacks are verified";
            return self.inbound.as_ref().and_then(|_| fault(&["inbound"], why));
        };
        let check = &receipts.check;
        if check.verify != Verify::Token && (check.header.is_empty() || !has_secret) {
            let why = "\"header\" and \"hmac\" need header and callback_secret_file";
            return fault(&["receipts", "verify"], why);
        }
        if check.verify == Verify::Token && self.inbound.is_some() {
            let why = "anybody could write a STOP in somebody's name: verify receipts by \"header\" or \"hmac\"";
            return fault(&["inbound"], why);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn door(more: &Value) -> HttpDoor {
        let mut value = json!({"url": "https://sms.example.com/send", "body": "{}"});
        for (key, given) in more.as_object().expect("an object") {
            value[key] = given.clone();
        }
        serde_json::from_value(value).expect("a door")
    }

    #[test]
    fn a_yes_is_a_status_and_where_asked_for_a_word() {
        let success = |status: &str, pointer: Option<&str>, equals: Option<&str>| Success {
            status: status.into(),
            pointer: pointer.map(str::to_owned),
            equals: equals.map(str::to_owned),
        };
        let answer = json!({"messages": [{"status": 0}], "id": "x"});
        assert!(success("200-299", None, None).holds(204, &answer));
        assert!(!success("200-299", None, None).holds(302, &answer));
        assert!(success("202", None, None).holds(202, &answer));
        let zero = success("200", Some("/messages/0/status"), Some("0"));
        assert!(zero.holds(200, &answer));
        assert!(!zero.holds(200, &json!({"messages": [{"status": 4}]})), "no with a status of 200");
        assert!(!zero.holds(200, &Value::Null));
    }

    #[test]
    fn what_cannot_be_is_named_with_its_key() {
        let receipts = |verify: &str| json!({"status": "s", "values": {}, "verify": verify});
        let inbound = json!({"from": "f", "text": "t", "id": "i"});
        for (more, key) in [
            (json!({"url": "sms.example.com"}), "url"),
            (json!({"body": "{{ tex }}"}), "body"),
            (json!({"body": "{{ text "}), "body"),
            (json!({"headers": {"X": "{{ nobody }}"}}), "headers"),
            (json!({"method": "GET"}), "body"),
            (json!({"success": {"status": "2xx"}}), "success.status"),
            (json!({"success": {"pointer": "/a"}}), "success"),
            (json!({"id_pointer": "id"}), "id_pointer"),
            (json!({"receipts": receipts("hmac")}), "receipts.verify"),
            (json!({"receipts": receipts("token"), "inbound": inbound}), "inbound"),
            (json!({"inbound": inbound}), "inbound"),
        ] {
            let (path, why) = door(&more).fault(true).unwrap_or_else(|| panic!("{more} passed"));
            assert_eq!(path.join("."), key, "{more}: {why}");
        }
        assert_eq!(door(&json!({"body": "{\"m\": {{ text }}}"})).fault(true), None);
    }
}
