//! A provider as attempts are recorded under it.

use std::fmt;
use std::sync::Arc;

/// The name the settings give a provider, and its kind. One that has no name has that of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Provider {
    name: Arc<str>,
    kind: &'static str,
}

impl Provider {
    #[must_use]
    pub fn new(name: Option<&str>, kind: &'static str) -> Self {
        Self { name: Arc::from(name.unwrap_or(kind)), kind }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its callbacks are addressed to: `twilio`, `smtp`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// For a metric.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }
}

impl From<&'static str> for Provider {
    fn from(kind: &'static str) -> Self {
        Self::new(None, kind)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
