//! Where a store is.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;

use super::{Result, StoreError, sqlite};

/// The place a store's address names.
#[derive(Debug, Clone)]
pub enum Place {
    File(PathBuf),
    Server(Box<PgConnectOptions>),
}

impl Place {
    /// Reads an address: `sqlite:<file>` or `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// `Refused`, naming the setting and how it is written.
    pub fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite::file_of(path).map(Self::File);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options: PgConnectOptions = url.parse().map_err(|error| {
                // The address itself may hold a password.
                StoreError::Refused(format!(
                    "[store] url cannot be read ({error}); write it like postgres://tidings@db.example.com:5432/tidings"
                ))
            })?;
            return Ok(Self::Server(Box::new(options)));
        }
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        Err(StoreError::Refused(format!(
            "[store] url is no store (it begins with {scheme:?}); write it like sqlite:var/tidings.db or postgres://tidings@db.example.com/tidings"
        )))
    }

    /// May several processes dispatch from it at once?
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Server(options) => write!(
                f,
                "postgres://{}@{}:{}/{}",
                options.get_username(),
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }
}
