//! Reading untrusted JSON: one [`Fault`] per mistake, each with a JSON pointer, so that a
//! caller learns everything that is wrong at once. Doors, imports and sources share this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::time::{self, Instant};

/// One mistake in what somebody gave us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into the request, `""` for the whole.
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.detail)
        } else {
            write!(f, "{}: {}", self.pointer, self.detail)
        }
    }
}

/// Faults joined into one line, for a file's report.
#[must_use]
pub fn joined(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The first character in `text` that must not appear in a name, a subject or an address:
/// controls (C0, C1, NUL, NEL), line and paragraph separators, and the marks that reorder
/// text for a reader (UAX #9 explicit formatting).
#[must_use]
pub fn forbidden_char(text: &str) -> Option<char> {
    text.chars().find(|c| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    })
}

/// Checks one line of text: not empty, no control characters, at most `max_chars`.
///
/// # Errors
/// A sentence for the caller.
pub fn one_line(text: &str, max_chars: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if let Some(c) = forbidden_char(text) {
        return Err(format!("holds the control character U+{:04X}; send plain text", c as u32));
    }
    let chars = text.chars().count();
    if chars > max_chars {
        return Err(format!("has {chars} characters; at most {max_chars} are allowed"));
    }
    Ok(())
}

/// Takes the fields of one JSON object, noting what is missing, of the wrong type or unknown.
#[derive(Debug)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    pointer: String,
    taken: Vec<&'static str>,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// `None`, and a fault, when `value` is no object.
    pub fn of(value: &'a Value, pointer: &str, faults: &'a mut Vec<Fault>) -> Option<Self> {
        match value {
            Value::Object(map) => {
                Some(Self { map, pointer: pointer.to_owned(), taken: Vec::new(), faults })
            }
            other => {
                faults
                    .push(Fault::new(pointer, format!("expected an object, got {}", kind(other))));
                None
            }
        }
    }

    /// The pointer of a field of this object.
    #[must_use]
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    pub fn fault(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = self.pointer(name);
        self.faults.push(Fault::new(pointer, detail));
    }

    pub fn faults(&mut self) -> &mut Vec<Fault> {
        self.faults
    }

    /// The raw value; JSON null counts as absent.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.taken.push(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(name)?;
        let read = read(value);
        if read.is_none() {
            self.fault(name, format!("expected {expected}, got {}", kind(value)));
        }
        read
    }

    /// One line of text of at most `max_chars` characters.
    pub fn text(&mut self, name: &'static str, max_chars: usize) -> Option<String> {
        let text = self.typed(name, "text", Value::as_str)?;
        match one_line(text, max_chars) {
            Ok(()) => Some(text.to_owned()),
            Err(detail) => {
                self.fault(name, detail);
                None
            }
        }
    }

    /// Like [`Fields::text`], and a fault when absent.
    pub fn required_text(&mut self, name: &'static str, max_chars: usize) -> Option<String> {
        self.require(name);
        self.text(name, max_chars)
    }

    pub fn require(&mut self, name: &'static str) {
        if self.map.get(name).is_none_or(Value::is_null) {
            self.fault(name, "is required");
        }
    }

    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub fn integer(&mut self, name: &'static str) -> Option<i64> {
        self.typed(name, "a whole number", Value::as_i64)
    }

    pub fn list(&mut self, name: &'static str) -> Option<&'a Vec<Value>> {
        self.typed(name, "a list", Value::as_array)
    }

    pub fn object(&mut self, name: &'static str) -> Option<&'a Map<String, Value>> {
        self.typed(name, "an object", Value::as_object)
    }

    pub fn instant(&mut self, name: &'static str) -> Option<Instant> {
        let text = self.typed(name, "an instant such as 2026-11-22T09:30:00Z", Value::as_str)?;
        self.parsed(name, text, time::parse_instant)
    }

    /// Text that `parse` turns into a value, its error becoming the fault.
    pub fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.typed(name, "text", Value::as_str)?;
        self.parsed(name, text, parse)
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(text).map_err(|detail| self.fault(name, detail)).ok()
    }

    /// Notes every field nobody asked for.
    pub fn refuse_unknown(mut self) {
        let known: Vec<&str> = self.taken.clone();
        let unknown: Vec<String> =
            self.map.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        for name in unknown {
            let detail = format!("is not known here; known are {}", known.join(", "));
            self.fault(&name, detail);
        }
    }
}

/// The deepest nesting of facts and attributes we keep.
const MAX_DEPTH: usize = 16;

/// Copies an object of facts or attributes, refusing nesting deeper than 16.
pub fn free_form(
    map: &Map<String, Value>,
    pointer: &str,
    faults: &mut Vec<Fault>,
) -> BTreeMap<String, Value> {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    for (key, value) in map {
        if depth(value) > MAX_DEPTH {
            faults.push(Fault::new(format!("{pointer}/{key}"), "is nested deeper than 16 levels"));
        }
        if let Err(detail) = one_line(key, 100) {
            faults.push(Fault::new(pointer, format!("a key {detail}")));
        }
    }
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_named_and_ordinary_text_passes() {
        for (text, forbidden) in [
            ("Ada Byron", None),
            ("Zoë – 日本 😀", None),
            ("A\r\nBcc: x@y.z", Some('\r')),
            ("a\0b", Some('\0')),
            ("a\u{85}b", Some('\u{85}')),
            ("a\u{2028}b", Some('\u{2028}')),
            ("a\u{202E}b", Some('\u{202E}')),
        ] {
            assert_eq!(forbidden_char(text), forbidden, "{text:?}");
        }
    }

    #[test]
    fn every_fault_of_an_object_is_found_at_once() {
        let value = serde_json::json!({"id": 7, "nme": "x", "at": "yesterday"});
        let mut faults = Vec::new();
        let mut fields = Fields::of(&value, "/0", &mut faults).expect("an object");
        fields.required_text("id", 10);
        fields.required_text("name", 10);
        fields.instant("at");
        fields.refuse_unknown();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/0/id", "/0/name", "/0/at", "/0/nme"]);
    }
}
