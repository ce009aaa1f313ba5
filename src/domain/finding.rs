//! What a check found in a file: what, where, and how to mend it.

use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// One fault or warning about a file, with the place it is about.
#[derive(Debug, Clone)]
pub struct Finding {
    file: NamedSource<Arc<str>>,
    /// Bytes of the file; `None` when the whole file is meant.
    span: Option<Range<usize>>,
    pub message: String,
    help: Option<String>,
    pub severity: Severity,
}

impl Finding {
    #[must_use]
    pub fn error(file: &str, text: &Arc<str>, message: impl Into<String>) -> Self {
        Self {
            file: NamedSource::new(file, Arc::clone(text)),
            span: None,
            message: message.into(),
            help: None,
            severity: Severity::Error,
        }
    }

    #[must_use]
    pub fn warning(file: &str, text: &Arc<str>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, text, message) }
    }

    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    #[must_use]
    pub fn file(&self) -> &str {
        self.file.name()
    }

    /// How to mend it.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line the finding is about, counted from 1, its text, and the characters of it that
    /// are meant, counted from 0.
    #[must_use]
    pub fn excerpt(&self) -> Option<(usize, &str, Range<usize>)> {
        let span = self.span.as_ref()?;
        let text: &str = self.file.inner();
        let start = span.start.min(text.len());
        let from = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(from..)?.lines().next().unwrap_or_default();
        let end = span.end.clamp(start, from + line.len().max(start - from));
        let columns = |upto: usize| text.get(from..upto).map_or(0, |part| part.chars().count());
        Some((self.line()?, line, columns(start)..columns(end)))
    }

    /// The line the finding is about, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        let text = self.file.inner();
        Some(1 + text.get(..start.min(text.len()))?.matches('\n').count())
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Finding {}

impl Diagnostic for Finding {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.file)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
    }
}
