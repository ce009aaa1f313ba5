//! The hand-over window: a message leaves within it, or is decided again. Monotonic time,
//! checked in the moment before the first byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Until when a message that was opened may start to leave.
#[derive(Debug, Clone, Copy)]
pub struct HandOverWindow {
    opened: Instant,
    length: Duration,
}

impl HandOverWindow {
    /// A window that opens now.
    #[must_use]
    pub fn open(length: Duration) -> Self {
        Self { opened: Instant::now(), length }
    }

    #[must_use]
    pub fn is_past(&self) -> bool {
        self.opened.elapsed() > self.length
    }

    /// How long it is still open.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.length.saturating_sub(self.opened.elapsed())
    }
}

/// A request body that refuses to start when its window is past.
pub(super) struct WindowedBody {
    bytes: Option<Bytes>,
    window: HandOverWindow,
}

/// The window was past before the first byte.
#[derive(Debug, thiserror::Error)]
#[error("the hand-over window is past")]
pub(super) struct TooLate;

impl WindowedBody {
    pub fn new(bytes: impl Into<Bytes>, window: HandOverWindow) -> Self {
        Self { bytes: Some(bytes.into()), window }
    }
}

impl Body for WindowedBody {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        if self.bytes.is_some() && self.window.is_past() {
            self.bytes = None;
            return Poll::Ready(Some(Err(TooLate)));
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
