//! Being asked to stop, by Ctrl-C or SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The request to stop. It is heard from [`Stop::listen`] on, which therefore comes before
/// anything is begun that has to be finished; until then the process just ends.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// # Errors
    /// When the system lets no signal be listened for.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Completes once the process was asked, be it before this was awaited.
    pub async fn asked(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
