//! Signing in with OpenID Connect: the authorization code flow with PKCE (RFC 7636), state and
//! nonce. Nothing is kept between going and coming back: all three are derived from a value in
//! a cookie of the browser, by a key only we have.
//!
//! The provider is asked for its discovery document when the first person signs in, never at
//! start-up: a provider that is away stops nobody but those who sign in.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreGenderClaim,
    CoreProviderMetadata, CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use crate::app::{App, AppError};
use crate::config::{OpenId, Settings};
use crate::domain::time::Instant;
use crate::domain::{Operator, Role};
use crate::store::StoreError;

use super::door::{fingerprint, note_refusal};

/// Where the provider sends people back to, below the public address.
pub const BACK: &str = "/console/openid/back";

/// How long somebody may take at the provider, in seconds.
pub const MAX_AWAY_S: i64 = 10 * 60;

/// How far the provider's clock may be from ours, in seconds.
const DRIFT_S: i64 = 60;

/// How long the discovery document and the keys are believed.
const BELIEVED: TimeDelta = TimeDelta::minutes(5);

/// How long the provider may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;

/// The way to the provider.
#[derive(Debug)]
pub struct OpenIdDoor {
    settings: OpenId,
    back: RedirectUrl,
    http: reqwest::Client,
    entry: String,
    /// What the provider says of itself, and when it said so.
    known: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

/// Somebody is sent to the provider.
#[derive(Debug)]
pub struct Leaving {
    pub url: String,
    /// For a cookie of this browser: without it nobody comes back.
    pub keepsake: String,
}

/// Somebody was let in.
#[derive(Debug)]
pub struct Arrived {
    pub token: String,
    /// The page they asked for.
    pub next: String,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// The provider does not answer, or not as a provider does.
    #[error("{0}")]
    Away(String),
    /// What came back proves nothing.
    #[error("{0}")]
    Refused(String),
    /// Who came back has no role here.
    #[error("{name} has no role here")]
    NoRole { name: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came back with somebody: the parameters of the redirect (RFC 6749, section 4.1.2).
#[derive(Debug, Default)]
pub struct Answer {
    pub code: Option<String>,
    pub state: Option<String>,
    pub error: Option<String>,
}

/// Claims beside the standard ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims(BTreeMap<String, Value>);

impl AdditionalClaims for Claims {}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a request of ours has no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
}

impl OpenIdDoor {
    pub(super) fn new(settings: &Settings, openid: &OpenId) -> Result<Self, AppError> {
        let wrong = |why: String| AppError::Settings(format!("[console.openid] {why}"));
        let back = format!("{}{BACK}", settings.http.public_url.trim_end_matches('/'));
        let http = reqwest::Client::builder()
            // A redirect could lead inside our own network.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(|error| wrong(format!("no HTTP client: {error}")))?;
        let roles = serde_json::to_string(&openid.roles).unwrap_or_default();
        let parts = [
            "openid",
            &*openid.issuer,
            &openid.client_id,
            &openid.role_claim,
            &openid.name_claim,
            &roles,
        ];
        Ok(Self {
            settings: openid.clone(),
            back: RedirectUrl::new(back).map_err(|error| wrong(format!("public_url: {error}")))?,
            http,
            entry: fingerprint(&parts.join("\u{1f}")),
            known: Mutex::default(),
        })
    }

    /// The fingerprint of what lets people in.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// The provider, as people know it.
    #[must_use]
    pub fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.settings.issuer).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Sends somebody to the provider who wants to see the page `next`.
    ///
    /// # Errors
    /// `Away` when the provider does not answer.
    pub async fn leave(&self, app: &App, next: &str) -> Result<Leaving, OpenIdError> {
        let now = app.engine.clock.now();
        let seed: [u8; 16] = rand::random();
        let seed = data_encoding::BASE64URL_NOPAD.encode(&seed);
        let next = data_encoding::BASE64URL_NOPAD.encode(next.as_bytes());
        let keepsake = format!("{seed}.{}.{next}", now.timestamp() + MAX_AWAY_S);
        let derived = |purpose: &str| app.engine.keys.derived(purpose, &keepsake);
        let verifier = PkceCodeVerifier::new(derived(PKCE));
        let (state, nonce) = (derived(STATE), derived(NONCE));
        let client = self.client(now).await?;
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, _, _) = request.url();
        Ok(Leaving { url: url.to_string(), keepsake })
    }

    /// Lets somebody in who comes back from the provider with the keepsake of their browser.
    /// `before` is the token of the session the browser had.
    ///
    /// # Errors
    /// Why not; that is noted in the audit log.
    pub async fn arrive(
        &self,
        app: &App,
        keepsake: Option<&str>,
        answer: Answer,
        before: Option<&str>,
        from: &str,
    ) -> Result<Arrived, OpenIdError> {
        match self.prove(app, keepsake, answer).await {
            Ok((operator, next)) => {
                let door = &app.door;
                let token = door.begin(app, &operator, &self.entry, before, from).await?;
                Ok(Arrived { token, next })
            }
            Err(error) => {
                if !matches!(error, OpenIdError::Store(_)) {
                    note_refusal(app, "", &format!("OpenID: {error}"), from).await?;
                }
                Err(error)
            }
        }
    }

    async fn prove(
        &self,
        app: &App,
        keepsake: Option<&str>,
        answer: Answer,
    ) -> Result<(Operator, String), OpenIdError> {
        let now = app.engine.clock.now();
        let refused = |why: &str| OpenIdError::Refused(why.to_owned());
        let keepsake = keepsake.ok_or_else(|| refused("the browser kept nothing of leaving"))?;
        let next = next_of(keepsake, now).ok_or_else(|| refused("it took too long"))?;
        let derived = |purpose: &str| app.engine.keys.derived(purpose, keepsake);
        let state = answer.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(derived(STATE).as_bytes())) {
            return Err(refused("the state is not the one that was sent"));
        }
        if let Some(error) = answer.error {
            let error: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
            return Err(OpenIdError::Refused(format!("the provider says {error}")));
        }
        let code = answer.code.ok_or_else(|| refused("no code came back"))?;
        let client = self.client(now).await?;
        let ask = self.asking();
        let tokens: CoreTokenResponse = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| OpenIdError::Away(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(derived(PKCE)))
            .request_async(&ask)
            .await
            .map_err(|error| match error {
                openidconnect::RequestTokenError::ServerResponse(said) => {
                    OpenIdError::Refused(format!("the code was not accepted: {said}"))
                }
                other => OpenIdError::Away(chain(&other)),
            })?;
        let mut claims = verified(&client, &tokens, &Nonce::new(derived(NONCE)), now)?;
        // A provider may keep what is not asked for by name out of the token (Core, section 5.4).
        let wanted = [&self.settings.role_claim, &self.settings.name_claim];
        if wanted.iter().any(|name| claim(&claims, name).is_none())
            && let Some(more) = self.user_info(&client, &tokens, &claims).await?
        {
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        let operator = self.operator(&claims)?;
        if app.door.knows(&operator.name) {
            let why = format!("the name {:?} is an operator's of the settings", operator.name);
            return Err(OpenIdError::Refused(why));
        }
        Ok((operator, next))
    }

    /// What the provider says about somebody beside the token.
    async fn user_info(
        &self,
        client: &Client,
        tokens: &CoreTokenResponse,
        claims: &BTreeMap<String, Value>,
    ) -> Result<Option<BTreeMap<String, Value>>, OpenIdError> {
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let subject = openidconnect::SubjectIdentifier::new(subject.to_owned());
        let access = tokens.access_token().to_owned();
        let Ok(request) = client.user_info(access, Some(subject)) else { return Ok(None) };
        let ask = self.asking();
        let said: UserInfoClaims<Claims, CoreGenderClaim> =
            request.request_async(&ask).await.map_err(|error| OpenIdError::Away(chain(&error)))?;
        let said = serde_json::to_value(said).ok();
        Ok(said.and_then(|said| serde_json::from_value(said).ok()))
    }

    /// Who that is here, by their claims.
    fn operator(&self, claims: &BTreeMap<String, Value>) -> Result<Operator, OpenIdError> {
        let OpenId { role_claim, name_claim, roles, .. } = &self.settings;
        let name = claim(claims, name_claim).and_then(Value::as_str).unwrap_or_default();
        let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
        if name.is_empty() {
            let why = format!("the provider does not tell the claim {name_claim:?}");
            return Err(OpenIdError::Refused(why));
        }
        if name_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
            let why = "the provider has not verified the address that is to be the name";
            return Err(OpenIdError::Refused(why.into()));
        }
        let said: Vec<&str> = match claim(claims, role_claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let role: Option<Role> = said.into_iter().filter_map(|said| roles.get(said)).max().copied();
        match role {
            Some(role) => Ok(Operator { name, role }),
            None => Err(OpenIdError::NoRole { name }),
        }
    }

    async fn client(&self, now: Instant) -> Result<Client, OpenIdError> {
        let metadata = self.metadata(now).await?;
        let methods = metadata.token_endpoint_auth_methods_supported().cloned().unwrap_or_default();
        let OpenId { client_id, client_secret, .. } = &self.settings;
        let secret = client_secret.as_ref().map(|it| ClientSecret::new(it.expose().to_owned()));
        let client =
            CoreClient::from_provider_metadata(metadata, ClientId::new(client_id.clone()), secret)
                .set_redirect_uri(self.back.clone());
        // Basic is the rule (RFC 6749, section 2.3.1); some take only the form.
        let basic = methods.contains(&CoreClientAuthMethod::ClientSecretBasic);
        let form = methods.contains(&CoreClientAuthMethod::ClientSecretPost);
        let how = if form && !basic { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(client.set_auth_type(how))
    }

    async fn metadata(&self, now: Instant) -> Result<CoreProviderMetadata, OpenIdError> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &*known
            && now - *at < BELIEVED
        {
            return Ok(metadata.clone());
        }
        let away = |why: String| OpenIdError::Away(why);
        let issuer = IssuerUrl::new(self.settings.issuer.clone());
        let issuer = issuer.map_err(|error| away(error.to_string()))?;
        let ask = self.asking();
        let metadata = CoreProviderMetadata::discover_async(issuer, &ask).await;
        let metadata = metadata.map_err(|error| away(chain(&error)))?;
        *known = Some((now, metadata.clone()));
        Ok(metadata)
    }

    /// Our HTTP client in the shape the library asks for.
    fn asking(
        &self,
    ) -> impl Fn(HttpRequest) -> futures::future::BoxFuture<'static, Result<HttpResponse, NoAnswer>> + '_
    {
        |request| Box::pin(exchange(self.http.clone(), request))
    }
}

const STATE: &str = "openid state";
const NONCE: &str = "openid nonce";
const PKCE: &str = "openid pkce";

/// The page a keepsake remembers, while it is good.
fn next_of(keepsake: &str, now: Instant) -> Option<String> {
    let mut parts = keepsake.split('.').skip(1);
    let until_s: i64 = parts.next()?.parse().ok()?;
    let next = data_encoding::BASE64URL_NOPAD.decode(parts.next()?.as_bytes()).ok()?;
    let left_s = until_s - now.timestamp();
    (0..=MAX_AWAY_S).contains(&left_s).then(|| String::from_utf8(next).ok()).flatten()
}

/// The claims of an ID token whose signature, issuer, audience, times and nonce are right (Core,
/// section 3.1.3.7), and which belongs to the access token beside it.
fn verified(
    client: &Client,
    tokens: &CoreTokenResponse,
    nonce: &Nonce,
    now: Instant,
) -> Result<BTreeMap<String, Value>, OpenIdError> {
    let refused = |why: String| OpenIdError::Refused(why);
    let token = tokens.id_token().ok_or_else(|| refused("no ID token came back".into()))?;
    let verifier = client
        .id_token_verifier()
        // Ends are looked at by a clock that may be a little behind, beginnings by one ahead.
        .set_time_fn(move || now - TimeDelta::seconds(DRIFT_S))
        .set_issue_time_verifier_fn(move |issued| {
            let age_s = (now - issued).num_seconds();
            if (-DRIFT_S..=MAX_AWAY_S).contains(&age_s) {
                Ok(())
            } else {
                Err(format!("issued {age_s} s ago"))
            }
        });
    let claims = token.claims(&verifier, nonce).map_err(|error| refused(chain(&error)))?;
    if let Some(expected) = claims.access_token_hash() {
        let actual = token.signing_alg().ok().zip(token.signing_key(&verifier).ok());
        let actual = actual.and_then(|(alg, key)| {
            AccessTokenHash::from_token(tokens.access_token(), alg, key).ok()
        });
        if actual.as_ref() != Some(expected) {
            return Err(refused("the access token is not the one of the ID token".into()));
        }
    }
    // Read as it was sent: the provider's own claims are among them.
    let payload = token.to_string();
    let payload = payload.split('.').nth(1).unwrap_or_default().as_bytes();
    let payload = data_encoding::BASE64URL_NOPAD.decode(payload).ok();
    payload
        .and_then(|payload| serde_json::from_slice(&payload).ok())
        .ok_or_else(|| refused("the ID token holds no claims".into()))
}

/// A claim by its name, or by a path with dots.
fn claim<'a>(claims: &'a BTreeMap<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })
}

async fn exchange(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    while let Some(part) = answer.chunk().await? {
        if response.body().len() + part.len() > MAX_ANSWER {
            return Err(NoAnswer::TooLong);
        }
        response.body_mut().extend_from_slice(&part);
    }
    Ok(response)
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;
    use serde_json::json;

    #[test]
    fn a_claim_is_found_by_its_name_or_its_path() {
        let claims: BTreeMap<String, Value> = serde_json::from_value(json!({
            "roles": ["a"], "realm_access": {"roles": ["b"]}, "https://shop.example/roles": "c",
        }))
        .expect("an object");
        assert_eq!(claim(&claims, "roles"), Some(&json!(["a"])));
        assert_eq!(claim(&claims, "realm_access.roles"), Some(&json!(["b"])));
        assert_eq!(claim(&claims, "https://shop.example/roles"), Some(&json!("c")));
        assert_eq!(claim(&claims, "realm_access.groups"), None);
    }

    #[test]
    fn a_keepsake_is_good_for_ten_minutes() {
        let left = parse_instant("2026-11-23T10:00:00Z").expect("an instant");
        let until_s = left.timestamp() + MAX_AWAY_S;
        let keepsake =
            format!("seed.{until_s}.{}", data_encoding::BASE64URL_NOPAD.encode(b"/console"));
        for (after_s, good) in [(0, true), (600, true), (601, false), (-1, false)] {
            let now = left + TimeDelta::seconds(after_s);
            assert_eq!(next_of(&keepsake, now).is_some(), good, "{after_s}");
        }
        assert_eq!(next_of("seed", left), None);
    }
}
