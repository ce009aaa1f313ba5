//! What a form or a query says.

use crate::app::console::segment;
use crate::web::receipts::pairs;

/// The longest text a person writes into one field, in characters.
const MAX_TEXT: usize = 500;

/// Name and value pairs.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn read(bytes: &[u8]) -> Self {
        Self(pairs(bytes))
    }

    pub fn query(query: Option<String>) -> Self {
        Self::read(query.unwrap_or_default().as_bytes())
    }

    /// A field without the blanks around it; empty where it is not there.
    pub fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The same; `None` where it is empty.
    pub fn given(&self, name: &str) -> Option<String> {
        let value = self.field(name);
        (!value.is_empty()).then(|| value.chars().take(MAX_TEXT).collect())
    }
}

/// A query of those pairs whose value is not empty.
pub fn query_of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name}={}", segment(value))).collect::<Vec<_>>().join("&")
}
