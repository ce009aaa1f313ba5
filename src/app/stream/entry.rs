//! An entry of the stream: its id and its fields, as they were written.

use redis::Value;

/// The longest event, in bytes: that of a line of a file.
const MAX_EVENT: usize = super::super::files::MAX_LINE;

/// An entry that was delivered and not yet acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    /// Names and values in their order. Empty when the entry was deleted meanwhile.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The JSON of its one field `event`.
    ///
    /// # Errors
    /// Why it holds no event.
    pub fn event(&self) -> Result<&str, String> {
        let [(name, value)] = self.fields.as_slice() else {
            return Err(format!("expected one field, event, and found {}", self.names()));
        };
        if name != b"event" {
            return Err(format!("expected one field, event, and found {}", self.names()));
        }
        if value.len() > MAX_EVENT {
            return Err(format!("is longer than {} kB", MAX_EVENT / 1024));
        }
        std::str::from_utf8(value).map_err(|_| "is not UTF-8".into())
    }

    fn names(&self) -> String {
        let names = self.fields.iter().take(10);
        let names: Vec<_> = names.map(|(name, _)| String::from_utf8_lossy(name)).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// The entries of a list of `[id, [name, value, …]]`.
    #[must_use]
    pub fn list(value: Value) -> Vec<Self> {
        items(value).into_iter().filter_map(Self::read).collect()
    }

    fn read(value: Value) -> Option<Self> {
        let mut parts = items(value).into_iter();
        let id = String::from_utf8(bytes(parts.next()?)?).ok()?;
        let mut parts = items(parts.next()?).into_iter();
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            fields.push((bytes(name)?, bytes(value)?));
        }
        Some(Self { id, fields })
    }
}

/// The items of a list; none of anything else.
pub fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &[u8])]) -> Entry {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
        Entry { id: "1-0".into(), fields: fields.collect() }
    }

    #[test]
    fn an_entry_holds_one_field_named_event() {
        assert_eq!(entry(&[("event", b"{}")]).event(), Ok("{}"));
        for (fields, why) in [
            (&[][..], "found none"),
            (&[("body", b"{}".as_slice())], "found body"),
            (&[("event", b"{}".as_slice()), ("event", b"{}")], "found event, event"),
            (&[("event", b"\xff".as_slice())], "is not UTF-8"),
        ] {
            let found = entry(fields).event().expect_err(why);
            assert!(found.contains(why), "{found}");
        }
        let long = vec![b' '; MAX_EVENT + 1];
        assert!(entry(&[("event", &long)]).event().is_err());
    }

    #[test]
    fn a_reply_is_read_field_by_field_and_what_was_deleted_has_none() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = Value::Array(vec![text("event"), text("{}")]);
        let reply = Value::Array(vec![
            Value::Array(vec![text("1-0"), fields]),
            Value::Array(vec![text("2-0"), Value::Nil]),
            Value::Nil,
        ]);
        let deleted = Entry { id: "2-0".into(), fields: Vec::new() };
        assert_eq!(Entry::list(reply), [entry(&[("event", b"{}")]), deleted]);
    }
}
