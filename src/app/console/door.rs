//! The door of the console: who may come in with what, and how long they stay.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::app::guesses::Tries;
use crate::app::{App, AppError};
use crate::config::Settings;
use crate::domain::{OneTimeSecret, Operator, PasswordHash};
use crate::store::StoreError;
use crate::store::audit::Noted;
use crate::store::operators::Session;

use super::openid::OpenIdDoor;
use super::veil::veil;

/// Passwords checked at once: each takes 19 MiB and some tens of milliseconds of a core.
const AT_ONCE: usize = 2;

/// Tries for one name at once, and how many a second after that: one in ten seconds.
const TRIES: u32 = 10;
const TRIES_PER_S: f64 = 0.1;

/// Who is let in, and how.
#[derive(Debug)]
pub struct Door {
    operators: Vec<Known>,
    openid: Option<OpenIdDoor>,
    /// Tries by name and network.
    names: Tries<String>,
    /// Wrong codes after a right password, by name.
    codes: Tries<String>,
    places: Semaphore,
    idle: TimeDelta,
    longest: TimeDelta,
}

/// An operator of the settings.
#[derive(Debug)]
struct Known {
    operator: Operator,
    hash: PasswordHash,
    secret: OneTimeSecret,
    /// The fingerprint of their entry.
    entry: String,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum NotLetIn {
    /// Too many tries for this name.
    #[error("too many tries")]
    SlowDown(Duration),
    /// The name, the password or the code is wrong; which of them is not said.
    #[error("the name, the password or the code is wrong")]
    Wrong,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody says who signs in.
#[derive(Debug)]
pub struct Credentials {
    pub name: String,
    pub password: String,
    pub code: String,
    /// The network they come from, for the audit log.
    pub from: String,
}

impl Door {
    /// # Errors
    /// `Settings` when the way to the OpenID provider cannot be built.
    pub fn new(settings: &Settings) -> Result<Self, AppError> {
        let console = &settings.console;
        let operators = console.operators.iter().map(|entry| {
            let operator = Operator { name: entry.name.clone(), role: entry.role };
            let parts =
                [&*entry.name, entry.role.as_str(), entry.hash.as_str(), &entry.totp.base32()];
            Known {
                operator,
                hash: entry.hash.clone(),
                secret: entry.totp.clone(),
                entry: fingerprint(&parts.join("\u{1f}")),
            }
        });
        let openid = console.openid.as_ref().map(|openid| OpenIdDoor::new(settings, openid));
        let minutes = |span: crate::domain::Span| {
            TimeDelta::minutes(i64::try_from(span.rough_minutes()).unwrap_or(i64::MAX / 60_000))
        };
        Ok(Self {
            operators: operators.collect(),
            openid: openid.transpose()?,
            names: Tries::new(TRIES_PER_S, TRIES),
            codes: Tries::new(TRIES_PER_S, TRIES),
            places: Semaphore::new(AT_ONCE),
            idle: minutes(console.idle),
            longest: minutes(console.longest),
        })
    }

    /// May people of this machine come in without signing in?
    #[must_use]
    pub fn is_open_here(&self) -> bool {
        self.operators.is_empty() && self.openid.is_none()
    }

    /// Does anybody sign in with a password?
    #[must_use]
    pub fn asks_for_password(&self) -> bool {
        !self.operators.is_empty()
    }

    #[must_use]
    pub fn openid(&self) -> Option<&OpenIdDoor> {
        self.openid.as_ref()
    }

    /// Is this the name of an operator of the settings?
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Known> {
        let name = name.to_lowercase();
        self.operators.iter().find(|known| known.operator.name.to_lowercase() == name)
    }

    /// Lets somebody in by password and one-time code; answers the token of their session.
    /// `before` is the token of the session their browser had.
    ///
    /// # Errors
    /// Why not. For a name nobody has the same is done as for another.
    pub async fn sign_in(
        &self,
        app: &App,
        given: Credentials,
        before: Option<&str>,
    ) -> Result<String, NotLetIn> {
        let now = app.engine.clock.now();
        // By name and network: nobody keeps another out by trying their name.
        let name: String = given.name.to_lowercase().chars().take(64).collect();
        let key = format!("{name}\u{1f}{}", given.from);
        if let Some(wait) = self.names.must_wait(key.clone(), now) {
            return Err(NotLetIn::SlowDown(wait));
        }
        self.names.count(key, now);
        let known = self.find(&given.name);
        // Somebody's hash is looked at, whoever it is.
        let Some(looked_at) = known.or_else(|| self.operators.first()) else {
            return Err(NotLetIn::Wrong);
        };
        let right = {
            let _place = self.places.acquire().await.expect("never closed");
            let (hash, password) = (looked_at.hash.clone(), given.password);
            let matching = tokio::task::spawn_blocking(move || hash.matches(&password));
            matching.await.unwrap_or(false)
        };
        // Who has the password may guess codes from anywhere, and not for long.
        let guesses_codes = right && self.codes.must_wait(name.clone(), now).is_some();
        let step = looked_at.secret.step_of(&given.code, now).filter(|_| !guesses_codes);
        let why = match (known, right, step) {
            (None, _, _) => "unknown name",
            (Some(_), false, _) => "wrong password",
            (Some(_), true, None) => {
                self.codes.count(name, now);
                "wrong code"
            }
            (Some(known), true, Some(step)) => {
                let store = &app.engine.store;
                if store.spend_step(&known.operator.name, step).await? {
                    let (operator, entry) = (&known.operator, &known.entry);
                    let token = self.begin(app, operator, entry, before, &given.from).await?;
                    return Ok(token);
                }
                "code used before"
            }
        };
        let name = known.map_or("", |known| known.operator.name.as_str());
        note_refusal(app, name, why, &given.from).await?;
        Err(NotLetIn::Wrong)
    }

    /// Begins a session under a new token, which is answered and kept nowhere.
    pub(super) async fn begin(
        &self,
        app: &App,
        operator: &Operator,
        entry: &str,
        before: Option<&str>,
        from: &str,
    ) -> Result<String, StoreError> {
        let (store, now) = (&app.engine.store, app.engine.clock.now());
        let token: [u8; 32] = rand::random();
        let token = data_encoding::BASE64URL_NOPAD.encode(&token);
        let session = Session {
            hash: fingerprint(&token),
            operator: operator.clone(),
            entry: entry.to_owned(),
            begun_at_ms: now.timestamp_millis(),
            seen_at_ms: now.timestamp_millis(),
        };
        store.forget_sessions(now - self.longest).await?;
        store.begin_session(session, before.map(fingerprint)).await?;
        super::audit::note(app, operator, "sign_in", "", json!({ "from": from })).await?;
        Ok(token)
    }

    /// Whose session this is, if it is one that goes on.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn who(&self, app: &App, token: &str) -> Result<Option<Operator>, StoreError> {
        let (store, now) = (&app.engine.store, app.engine.clock.now());
        let Some(session) = store.session(&fingerprint(token)).await? else { return Ok(None) };
        let now_ms = now.timestamp_millis();
        let over = now_ms - session.seen_at_ms >= self.idle.num_milliseconds()
            || now_ms - session.begun_at_ms >= self.longest.num_milliseconds();
        if over || !self.still_lets_in(&session) {
            store.end_session(&session.hash).await?;
            return Ok(None);
        }
        store.see_session(&session, now).await?;
        Ok(Some(session.operator))
    }

    /// Do the settings still say what they said when the session began?
    fn still_lets_in(&self, session: &Session) -> bool {
        let name = &session.operator.name;
        let by_password = self.find(name).is_some_and(|known| known.entry == session.entry);
        let by_openid = self.openid.as_ref().is_some_and(|door| door.entry() == session.entry);
        by_password || (by_openid && !self.knows(name))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn sign_out(&self, app: &App, token: &str) -> Result<(), StoreError> {
        if let Some(operator) = self.who(app, token).await? {
            super::audit::note(app, &operator, "sign_out", "", json!({})).await?;
        }
        app.engine.store.end_session(&fingerprint(token)).await
    }
}

/// Notes that somebody was not let in. Who they are nobody knows; whom they said to be is the
/// subject, where there is such an operator (what else is typed there may be a password).
pub(super) async fn note_refusal(
    app: &App,
    name: &str,
    why: &str,
    from: &str,
) -> Result<(), StoreError> {
    let noted = Noted {
        at_ms: app.engine.clock.now().timestamp_millis(),
        who: "nobody".into(),
        role: "",
        action: "sign_in_refused",
        subject: name.to_owned(),
        detail: json!({ "why": veil(why), "from": from }).to_string(),
    };
    app.engine.store.note_audit(noted).await
}

/// SHA-256 in hex: a random token needs no slow hash.
pub(super) fn fingerprint(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
