//! CloudEvents 1.0 as they come in over HTTP: structured, batched and binary (CloudEvents JSON
//! format and HTTP protocol binding). The envelope gives id, source and time; its `data` is
//! our case event without them. `subject` stands in for `case`; `type` is the event's name
//! where data names neither `state` nor `event`.

use axum::http::{HeaderMap, header};
use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::domain::time::Instant;
use crate::domain::{CaseEvent, Fault};

/// One event of a request: the case event as JSON, and what was wrong with its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub event: Value,
    pub faults: Vec<Fault>,
    wrapped: bool,
}

/// The attributes of an envelope, and its data as they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub id: String,
    pub source: String,
    pub kind: String,
    pub subject: Option<String>,
    pub time: Option<String>,
    pub content_type: Option<String>,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    None,
    Json(Value),
    Base64(String),
}

/// How a request carries its events, by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Our own shape, one or many.
    Plain,
    Structured,
    Batched,
    Binary,
}

impl Mode {
    /// What the head says. The batch's media type begins like the single one's.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let media_type = media_type(headers).unwrap_or_default();
        if media_type.starts_with("application/cloudevents-batch") {
            Self::Batched
        } else if media_type.starts_with("application/cloudevents") {
            Self::Structured
        } else if headers.contains_key("ce-specversion") {
            Self::Binary
        } else {
            Self::Plain
        }
    }
}

/// The media type of a request, in lower case and without parameters.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim().to_lowercase())
}

impl Item {
    /// An event in our own shape.
    #[must_use]
    pub const fn plain(event: Value) -> Self {
        Self { event, faults: Vec::new(), wrapped: false }
    }

    /// A structured CloudEvent.
    #[must_use]
    pub fn structured(value: &Value) -> Self {
        match Envelope::read(value) {
            Ok(envelope) => Self::unwrapped(envelope),
            Err(faults) => Self { event: value.clone(), faults, wrapped: true },
        }
    }

    /// A CloudEvent whose attributes are headers and whose data is the body.
    #[must_use]
    pub fn binary(headers: &HeaderMap, body: &[u8]) -> Self {
        match Envelope::of_headers(headers, body) {
            Ok(envelope) => Self { wrapped: false, ..Self::unwrapped(envelope) },
            Err(faults) => Self { event: Value::Null, faults, wrapped: false },
        }
    }

    fn unwrapped(envelope: Envelope) -> Self {
        let mut faults = Vec::new();
        let mut event = envelope.object(&mut faults);
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                event.entry(name).or_insert_with(|| Value::from(value));
            }
        };
        set("case", envelope.subject);
        set("occurred_at", envelope.time);
        for (name, value) in [("id", envelope.id), ("source", envelope.source)] {
            if event.insert(name.to_owned(), Value::from(value)).is_some() {
                faults.push(Fault::new(format!("/data/{name}"), "stands in the envelope already"));
            }
        }
        if !event.contains_key("state") && !event.contains_key("event") {
            event.insert("event".into(), Value::from(envelope.kind));
        }
        Self { event: Value::Object(event), faults, wrapped: true }
    }

    /// The case event, read at `now`.
    ///
    /// # Errors
    /// Every fault, with its pointer into what was sent.
    pub fn read(&self, now: Instant) -> Result<CaseEvent, Vec<Fault>> {
        if !self.faults.is_empty() {
            return Err(self.faults.clone());
        }
        CaseEvent::from_json(&self.event, "", now).map_err(|faults| {
            let place = |fault: Fault| Fault::new(self.pointer(&fault.pointer), fault.detail);
            faults.into_iter().map(place).collect()
        })
    }

    /// Where a part of the case event stands in what was sent.
    #[must_use]
    pub fn pointer(&self, of_event: &str) -> String {
        if !self.wrapped {
            return of_event.to_owned();
        }
        match of_event {
            "" | "/id" | "/source" => of_event.to_owned(),
            "/occurred_at" => "/time".into(),
            other => format!("/data{other}"),
        }
    }
}

impl Envelope {
    /// Reads a structured event. A null attribute is an absent one.
    ///
    /// # Errors
    /// Every fault, with its pointer.
    pub fn read(value: &Value) -> Result<Self, Vec<Fault>> {
        let Some(fields) = value.as_object() else {
            return Err(vec![Fault::new("", "a CloudEvent is a JSON object")]);
        };
        let mut faults = Vec::new();
        let mut text = |name: &str, required: bool| match fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            None | Some(Value::Null) if !required => None,
            None | Some(Value::Null) => {
                faults.push(Fault::new(format!("/{name}"), "is required in a CloudEvent"));
                None
            }
            Some(_) => {
                faults.push(Fault::new(format!("/{name}"), "must be a text that is not empty"));
                None
            }
        };
        let (id, source, kind) = (text("id", true), text("source", true), text("type", true));
        let version = text("specversion", true);
        let (subject, time) = (text("subject", false), text("time", false));
        let content_type = text("datacontenttype", false);
        if version.is_some_and(|version| version != "1.0") {
            faults.push(Fault::new("/specversion", "must be \"1.0\""));
        }
        let present = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let data = match (present("data"), present("data_base64")) {
            (None, None) => Data::None,
            (Some(data), None) => Data::Json(data.clone()),
            (None, Some(Value::String(text))) => Data::Base64(text.clone()),
            (None, Some(_)) => {
                faults.push(Fault::new("/data_base64", "must be a text"));
                Data::None
            }
            (Some(_), Some(_)) => {
                faults.push(Fault::new("/data_base64", "stands beside `data`; send one of them"));
                Data::None
            }
        };
        match (id, source, kind) {
            (Some(id), Some(source), Some(kind)) if faults.is_empty() => {
                Ok(Self { id, source, kind, subject, time, content_type, data })
            }
            _ => Err(faults),
        }
    }

    /// Reads the headers of a binary event; its data is the body.
    ///
    /// # Errors
    /// Every fault; one of a header has an empty pointer and names the header.
    pub fn of_headers(headers: &HeaderMap, body: &[u8]) -> Result<Self, Vec<Fault>> {
        let mut fields = Map::new();
        let mut faults = Vec::new();
        for (name, value) in headers {
            let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
            match decoded(value.as_bytes()) {
                Some(text) => drop(fields.insert(attribute.to_owned(), Value::String(text))),
                None => faults.push(Fault::new("", format!("the header {name} is not UTF-8"))),
            }
        }
        if fields.remove("datacontenttype").is_some() {
            let why = "the header ce-datacontenttype is not allowed; Content-Type says it";
            faults.push(Fault::new("", why));
        }
        if let Some(media_type) = media_type(headers) {
            fields.insert("datacontenttype".into(), Value::String(media_type));
        }
        match Self::read(&Value::Object(fields)) {
            Ok(mut envelope) if faults.is_empty() => {
                envelope.data = Data::Base64(BASE64.encode(body));
                Ok(envelope)
            }
            Ok(_) => Err(faults),
            Err(more) => {
                let headers = more.into_iter().map(|fault| {
                    let name = fault.pointer.trim_start_matches('/');
                    Fault::new("", format!("the header ce-{name} {}", fault.detail))
                });
                faults.extend(headers);
                Err(faults)
            }
        }
    }

    /// The data as the fields of a case event.
    fn object(&self, faults: &mut Vec<Fault>) -> Map<String, Value> {
        let is_json = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or(kind).trim().to_lowercase();
            kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
        };
        let declared = self.content_type.as_deref();
        let (value, known) = match &self.data {
            Data::None => (None, true),
            Data::Json(value) => (Some(value.clone()), declared.is_none_or(is_json)),
            Data::Base64(text) => {
                let bytes = BASE64.decode(text.as_bytes()).ok();
                let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                (value, declared.is_some_and(is_json))
            }
        };
        if !known {
            let why = "only application/json can hold a case event";
            faults.push(Fault::new("/datacontenttype", why));
            return Map::new();
        }
        let Some(Value::Object(fields)) = value else {
            let why = "must be a JSON object with case_type, customer, and state or event";
            faults.push(Fault::new("/data", why));
            return Map::new();
        };
        fields
    }
}

/// A header's value: quoted strings undone, then one round of percent-decoding (HTTP protocol
/// binding 3.1.3.2). `None` when the result is not UTF-8.
fn decoded(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let unquoted = quoted.map_or_else(
        || text.to_owned(),
        |inner| {
            let mut out = String::with_capacity(inner.len());
            let mut escaped = false;
            for c in inner.chars() {
                if c == '\\' && !escaped {
                    escaped = true;
                } else {
                    out.push(c);
                    escaped = false;
                }
            }
            out
        },
    );
    let decoded = percent_encoding::percent_decode_str(&unquoted).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of the JSON event format 1.0, section 3.3 and 4.3.
    fn example(id: &str, more: &Value) -> Value {
        let mut event = json!({
            "specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext",
            "id": id, "time": "2018-04-05T17:31:00Z", "comexampleextension1": "value",
            "comexampleothervalue": 5, "subject": null, "unsetextension": null,
        });
        for (name, value) in more.as_object().expect("an object") {
            event[name] = value.clone();
        }
        event
    }

    #[test]
    fn the_specifications_examples_are_read() {
        let thrift = "application/vnd.apache.thrift.binary";
        for (more, content_type, data) in [
            (
                json!({"datacontenttype": thrift, "data_base64": "... base64 encoded string ..."}),
                Some(thrift),
                Data::Base64("... base64 encoded string ...".into()),
            ),
            (
                json!({"datacontenttype": "application/xml", "data": "<much wow=\"xml\"/>"}),
                Some("application/xml"),
                Data::Json(json!("<much wow=\"xml\"/>")),
            ),
            (
                json!({"datacontenttype": "application/json", "data": {"appinfoA": "abc", "appinfoB": 123, "appinfoC": true}}),
                Some("application/json"),
                Data::Json(json!({"appinfoA": "abc", "appinfoB": 123, "appinfoC": true})),
            ),
            (
                json!({"datacontenttype": "application/json", "data": 1.5}),
                Some("application/json"),
                Data::Json(json!(1.5)),
            ),
            (json!({"data": "I'm just a string"}), None, Data::Json(json!("I'm just a string"))),
            (
                json!({"data_base64": "eyAieHl6IjogMTIzIH0="}),
                None,
                Data::Base64("eyAieHl6IjogMTIzIH0=".into()),
            ),
        ] {
            let envelope = Envelope::read(&example("A234-1234-1234", &more)).expect("an example");
            assert_eq!(envelope.id, "A234-1234-1234");
            assert_eq!(envelope.source, "/mycontext");
            assert_eq!(envelope.kind, "com.example.someevent");
            assert_eq!(envelope.time.as_deref(), Some("2018-04-05T17:31:00Z"));
            assert_eq!((envelope.subject, envelope.content_type.as_deref()), (None, content_type));
            assert_eq!(envelope.data, data);
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let name = |name: &str| name.parse::<axum::http::HeaderName>().expect("a header");
        pairs.iter().map(|(n, value)| (name(n), value.parse().expect("a value"))).collect()
    }

    /// HTTP protocol binding, section 3.1.4.
    #[test]
    fn the_binary_example_is_read() {
        let head = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-type", "com.example.someevent"),
            ("ce-time", "2018-04-05T03:56:24Z"),
            ("ce-id", "1234-1234-1234"),
            ("ce-source", "/mycontext/subcontext"),
            ("ce-comexampleextension1", "value"),
            ("content-type", "application/json; charset=utf-8"),
        ]);
        assert_eq!(Mode::of(&head), Mode::Binary);
        let envelope = Envelope::of_headers(&head, b"{\"case\":\"R-1\"}").expect("the example");
        assert_eq!(
            (envelope.id.as_str(), envelope.source.as_str()),
            ("1234-1234-1234", "/mycontext/subcontext")
        );
        assert_eq!(envelope.object(&mut Vec::new())["case"], json!("R-1"));
    }

    #[test]
    fn header_values_are_unquoted_and_percent_decoded_once() {
        assert_eq!(decoded(b"Euro%20%E2%82%AC%20%F0%9F%98%80").as_deref(), Some("Euro € 😀"));
        assert_eq!(decoded(b"\"a \\\"b\\\" %2541\"").as_deref(), Some("a \"b\" %41"));
        assert_eq!(decoded(b"%ff"), None);
    }

    #[test]
    fn the_media_type_says_the_mode_whatever_its_case() {
        for (media_type, mode) in [
            ("application/cloudevents+json; charset=UTF-8", Mode::Structured),
            ("Application/CloudEvents-Batch+JSON", Mode::Batched),
            ("application/json", Mode::Plain),
        ] {
            assert_eq!(Mode::of(&headers(&[("content-type", media_type)])), mode, "{media_type}");
        }
    }

    #[test]
    fn the_envelope_gives_what_the_data_does_not_say() {
        let data = json!({"case_type": "return", "customer": "C-1"});
        let more = json!({"subject": "R-1", "data": data});
        let item = Item::structured(&example("e1", &more));
        assert_eq!(item.faults, []);
        assert_eq!(
            item.event,
            json!({
                "id": "e1", "source": "/mycontext", "case": "R-1", "case_type": "return",
                "customer": "C-1", "event": "com.example.someevent",
                "occurred_at": "2018-04-05T17:31:00Z",
            })
        );
        assert_eq!(item.pointer("/case_type"), "/data/case_type");
        assert_eq!(item.pointer("/occurred_at"), "/time");
    }

    #[test]
    fn faults_say_where_they_are() {
        let of = |value: Value| -> Vec<String> {
            Item::structured(&value).faults.iter().map(|fault| fault.pointer.clone()).collect()
        };
        assert_eq!(of(json!({"specversion": "0.3"})), ["/id", "/source", "/type", "/specversion"]);
        assert_eq!(of(example("e", &json!({"data": 1.5}))), ["/data"]);
        assert_eq!(
            of(example("e", &json!({"datacontenttype": "application/xml", "data": "<x/>"}))),
            ["/datacontenttype"]
        );
        assert_eq!(of(example("e", &json!({"data": {"id": "other"}}))), ["/data/id"]);
        assert_eq!(of(json!([])), [""]);
    }
}
