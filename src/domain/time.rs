//! Instants, zones, and the step between the two.
//!
//! An instant is `chrono::DateTime<Utc>` cut to milliseconds, because the store, the API
//! and the queue speak chrono. A customer's local time is always `jiff`: its zone database
//! is current and it names gaps and folds.

use chrono::{DateTime, SubsecRound, Utc};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

/// A moment, in UTC, cut to milliseconds.
pub type Instant = DateTime<Utc>;

/// The instant `ms` milliseconds after 1970-01-01T00:00:00Z.
///
/// # Panics
/// When `ms` lies outside chrono's range: the store only holds instants that were inside.
#[must_use]
pub const fn from_ms(ms: i64) -> Instant {
    DateTime::from_timestamp_millis(ms).expect("a stored instant lies in chrono's range")
}

/// Cuts an instant to milliseconds.
#[must_use]
pub fn cut(at: Instant) -> Instant {
    at.trunc_subsecs(3)
}

/// Parses RFC 3339 and cuts to milliseconds.
///
/// # Errors
/// A sentence that says what an instant looks like.
pub fn parse_instant(text: &str) -> Result<Instant, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| cut(at.with_timezone(&Utc)))
        .map_err(|_| format!("{text:?} is no instant; write it like 2026-11-22T09:30:00Z"))
}

/// The same moment on the customer's clock.
///
/// # Panics
/// When the instant lies outside jiff's range (years -9999 to 9999): intake refuses those.
#[must_use]
pub fn local(at: Instant, zone: &TimeZone) -> Zoned {
    Timestamp::from_millisecond(at.timestamp_millis())
        .expect("intake keeps instants inside the years 1 to 9999")
        .to_zoned(zone.clone())
}

/// The moment a local time stands for.
#[must_use]
pub fn instant(zoned: &Zoned) -> Instant {
    from_ms(zoned.timestamp().as_millisecond())
}

/// The zone database this process reads, chosen once at start.
#[derive(Debug, Clone)]
pub struct Zones {
    database: TimeZoneDatabase,
    /// The IANA release and where it came from, such as `2026e (bundled)`.
    pub version: String,
}

impl Zones {
    #[must_use]
    pub fn new(database: TimeZoneDatabase, version: String) -> Self {
        Self { database, version }
    }

    /// The database compiled into the binary.
    #[must_use]
    pub fn bundled() -> Self {
        Self::new(TimeZoneDatabase::bundled(), "bundled".to_owned())
    }

    /// Looks up an IANA name such as `Europe/London`.
    ///
    /// # Errors
    /// A sentence naming the zone that does not exist.
    pub fn get(&self, name: &str) -> Result<TimeZone, String> {
        self.database
            .get(name)
            .map_err(|_| format!("{name:?} is no IANA time zone, such as Europe/London"))
    }

    /// Every zone name, for tests that go over all of them.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.database.available().map(|name| name.to_string())
    }
}
