//! Names that come again and again, each kept once.

use std::collections::HashMap;
use std::sync::Arc;

/// The number of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

impl Name {
    #[must_use]
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

/// Names and their numbers.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: HashMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The number of a name, a new one where it is new.
    ///
    /// # Panics
    /// When there are more than four thousand million names.
    pub fn name(&mut self, text: &str) -> Name {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let name = Name(u32::try_from(self.texts.len()).expect("fewer names than events"));
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.known.insert(text, name);
        name
    }

    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        &self.texts[name.place()]
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}
