//! SMTP connections, kept open and handed round. lettre speaks the protocol; the pool is
//! ours because lettre's leaves Nagle's algorithm on and takes back half-used connections
//! after a failed command.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::channel::{HandOverWindow, SendError, Taken};

use super::reply::{self, CREDENTIALS, Class, Stage};

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may think about one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may think after the final dot (RFC 5321 section 4.5.3.2.6).
const FINAL_DOT_TIMEOUT: Duration = Duration::from_mins(10);

/// A connection idle for longer is closed rather than trusted.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where mail is handed over. From a URL: `smtp://host:25`, `smtps://user:pass@host:465`,
/// `smtp://host:587?tls=required`.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// STARTTLS where the server offers it.
    Opportunistic,
    /// STARTTLS or nothing.
    Required,
    /// TLS from the first byte.
    Implicit,
    /// Never: for a relay on this machine.
    Plain,
}

impl std::fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SmtpServer({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl SmtpServer {
    /// Reads a server's address. Without `tls=`, a loopback host is spoken to in the clear and
    /// any other must offer STARTTLS.
    ///
    /// # Errors
    /// A sentence that says what an address looks like.
    pub fn parse(url: &str, hello_name: Option<&str>) -> Result<Self, String> {
        let wrong = || {
            "is no mail server; write smtp://host:25, smtps://user:password@host:465 or smtp://host:587?tls=required".to_owned()
        };
        let url = reqwest::Url::parse(url).map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?.to_owned();
        let loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        let tls =
            url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let security = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => Security::Implicit,
            ("smtp", Some("opportunistic")) => Security::Opportunistic,
            ("smtp", Some("none")) => Security::Plain,
            ("smtp", None) if loopback => Security::Plain,
            ("smtp", None | Some("required")) => Security::Required,
            _ => return Err(wrong()),
        };
        let default_port = if security == Security::Implicit { 465 } else { 25 };
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let credentials = (!url.username().is_empty()).then(|| {
            Credentials::new(decode(url.username()), decode(url.password().unwrap_or_default()))
        });
        Ok(Self {
            host,
            port: url.port().unwrap_or(default_port),
            security,
            credentials,
            hello: hello_name
                .map_or_else(ClientId::default, |name| ClientId::Domain(name.to_owned())),
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, NoWay> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let text = |error: lettre::transport::smtp::Error| NoWay::Down(describe(&error));
        let down = |error: std::io::Error| NoWay::Down(error.to_string());
        let tls = || TlsParameters::new(host.to_owned()).map_err(text);
        let mut connection = if self.security == Security::Implicit {
            // lettre takes over a plain stream only; TLS from the first byte is its own.
            AsyncSmtpConnection::connect_tokio1(
                (host, self.port),
                Some(CONNECT_TIMEOUT),
                &self.hello,
                Some(tls()?),
                None,
            )
            .await
            .map_err(text)?
        } else {
            let stream = TcpStream::connect((host, self.port)).await.map_err(down)?;
            stream.set_nodelay(true).map_err(down)?;
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello)
                .await
                .map_err(text)?
        };
        let start_tls = match self.security {
            Security::Required => true,
            Security::Opportunistic => connection.can_starttls(),
            Security::Implicit | Security::Plain => false,
        };
        if start_tls {
            connection.starttls(tls()?, &self.hello).await.map_err(text)?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await.map_err(|error| {
                match class_of(&error) {
                    Some((Class::Credentials, words)) => NoWay::NotLetIn(words),
                    _ => text(error),
                }
            })?;
        }
        Ok(connection)
    }
}

/// Why there is no connection to be had.
enum NoWay {
    Down(String),
    /// Our name and password are not taken.
    NotLetIn(String),
}

/// Why a hand-over failed, and what the server's word meant, where it said one.
#[derive(Debug)]
pub struct Failed {
    pub error: SendError,
    pub said: Option<Class>,
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self { error, said: None }
    }
}

/// Open connections that nobody uses right now.
#[derive(Debug)]
pub struct SmtpPool {
    server: SmtpServer,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle({:?})", self.since)
    }
}

/// How far a hand-over came before it failed.
enum Halt {
    /// The connection was of no use before anything was said on it.
    Stale(String),
    Failed(Failed),
}

impl SmtpPool {
    #[must_use]
    pub const fn new(server: SmtpServer) -> Self {
        Self { server, idle: Mutex::new(Vec::new()) }
    }

    /// Hands one mail to one recipient over.
    ///
    /// # Errors
    /// See [`SendError`]; everything before the final dot is a definite no. A server whose
    /// certificate does not hold, or that offers no TLS where it must, is told nothing.
    pub async fn send(
        &self,
        envelope: &Envelope,
        mail: &[u8],
        window: HandOverWindow,
    ) -> Result<Taken, Failed> {
        while let Some(connection) = self.take_idle() {
            match self.send_on(connection, envelope, mail, window).await {
                // The server closed it while it was idle: nothing was said, take another.
                Err(Halt::Stale(_)) => {}
                Err(Halt::Failed(failed)) => return Err(failed),
                Ok(taken) => return Ok(taken),
            }
        }
        let connection = self.connect().await?;
        match self.send_on(connection, envelope, mail, window).await {
            Ok(taken) => Ok(taken),
            Err(Halt::Failed(failed)) => Err(failed),
            Err(Halt::Stale(reason)) => {
                Err(SendError::ProviderDown { reason, retry_after: None }.into())
            }
        }
    }

    /// Connects, greets and leaves.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub async fn probe(&self) -> Result<String, String> {
        let mut connection = self.connect().await.map_err(|failed| failed.error.to_string())?;
        let _ = connection.quit().await;
        Ok(format!("{}:{} answers", self.server.host, self.server.port))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failed> {
        let down = |reason| Failed::from(SendError::ProviderDown { reason, retry_after: None });
        match timeout(CONNECT_TIMEOUT, self.server.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(NoWay::Down(reason))) => Err(down(format!("no connection: {reason}"))),
            Ok(Err(NoWay::NotLetIn(reason))) => {
                let error = SendError::Stuck { reason, mend: CREDENTIALS };
                Err(Failed { error, said: Some(Class::Credentials) })
            }
            Err(_) => Err(down("no connection: it took longer than 5 s".into())),
        }
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().expect("no panic while held");
        idle.retain(|idle| idle.since.elapsed() < IDLE_TIMEOUT);
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let since = Instant::now();
        self.idle.lock().expect("no panic while held").push(Idle { connection, since });
    }

    async fn send_on(
        &self,
        mut connection: AsyncSmtpConnection,
        envelope: &Envelope,
        mail: &[u8],
        window: HandOverWindow,
    ) -> Result<Taken, Halt> {
        let to = envelope.to().first().map(|to| to.domain().to_owned()).unwrap_or_default();
        let mail_from = Mail::new(envelope.from().cloned(), vec![]);
        match before_data(connection.command(mail_from), Stage::Sender, &to).await {
            Ok(()) => {}
            Err(Refusal::Broken(reason)) => return Err(Halt::Stale(reason)),
            Err(Refusal::Replied(failed)) => return Err(self.give_up(connection, failed).await),
        }
        for recipient in envelope.to() {
            let rcpt = Rcpt::new(recipient.clone(), vec![]);
            let said = before_data(connection.command(rcpt), Stage::Recipient, &to).await;
            if let Err(refusal) = said {
                return Err(self.leave(connection, refusal).await);
            }
        }
        if window.is_past() {
            let reason = "the hand-over window was past before DATA".to_owned();
            let refusal = Refusal::Replied(SendError::NotStarted { reason }.into());
            return Err(self.leave(connection, refusal).await);
        }
        let said = before_data(connection.command(Data), Stage::Content, &to).await;
        if let Err(refusal) = said {
            return Err(self.leave(connection, refusal).await);
        }
        // From here on bytes are out: without an answer nobody knows.
        match timeout(FINAL_DOT_TIMEOUT, connection.message(mail)).await {
            Ok(Ok(response)) => {
                self.keep(connection);
                let detail = response.first_line().unwrap_or_default().to_owned();
                Ok(Taken { provider_ref: None, detail })
            }
            Ok(Err(error)) => match said_by(&error, Stage::Content, &to) {
                Some(failed) => Err(self.give_up(connection, failed).await),
                None => Err(unanswered(describe(&error))),
            },
            Err(_) => Err(unanswered("no answer to the final dot within 10 minutes".into())),
        }
    }

    async fn leave(&self, connection: AsyncSmtpConnection, refusal: Refusal) -> Halt {
        match refusal {
            Refusal::Replied(failed) => self.give_up(connection, failed).await,
            Refusal::Broken(reason) => {
                Halt::Failed(SendError::ProviderDown { reason, retry_after: None }.into())
            }
        }
    }

    /// After a reply that says no, the connection is as good as new once reset.
    async fn give_up(&self, mut connection: AsyncSmtpConnection, failed: Failed) -> Halt {
        if let Ok(Ok(_)) = timeout(COMMAND_TIMEOUT, connection.command(Rset)).await {
            self.keep(connection);
        }
        Halt::Failed(failed)
    }
}

fn unanswered(reason: String) -> Halt {
    Halt::Failed(SendError::Unanswered { reason }.into())
}

/// Why a command before DATA did not go through.
enum Refusal {
    Replied(Failed),
    Broken(String),
}

async fn before_data(
    command: impl Future<
        Output = Result<
            lettre::transport::smtp::response::Response,
            lettre::transport::smtp::Error,
        >,
    >,
    stage: Stage,
    to: &str,
) -> Result<(), Refusal> {
    match timeout(COMMAND_TIMEOUT, command).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(said_by(&error, stage, to)
            .map_or_else(|| Refusal::Broken(describe(&error)), Refusal::Replied)),
        Err(_) => Err(Refusal::Broken("no answer within 30 s".into())),
    }
}

/// What follows from a server's reply about mail to the domain `to`; `None` when it was no
/// reply.
fn said_by(error: &lettre::transport::smtp::Error, stage: Stage, to: &str) -> Option<Failed> {
    let (class, words) = class_of(error)?;
    Some(Failed { error: class.error(stage, words, to), said: Some(class) })
}

/// What a server's reply means; `None` when it was no reply.
fn class_of(error: &lettre::transport::smtp::Error) -> Option<(Class, String)> {
    let code: u16 = error.status()?.to_string().parse().ok()?;
    let text = describe(error);
    Some((reply::class(code, &text), text))
}

/// What an error says, its sources included, on one line.
fn describe(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_address_and_tls_is_the_rule_off_this_machine() {
        let security = |url: &str| SmtpServer::parse(url, None).expect(url).security;
        assert_eq!(security("smtp://127.0.0.1:2525"), Security::Plain);
        assert_eq!(security("smtp://mail.example.com:587"), Security::Required);
        assert_eq!(security("smtps://u:p@mail.example.com"), Security::Implicit);
        assert_eq!(security("smtp://mail.example.com?tls=opportunistic"), Security::Opportunistic);
        assert!(SmtpServer::parse("http://mail.example.com", None).is_err());
        let server = SmtpServer::parse("smtps://ada:p%40ss@mail.example.com", None).expect("valid");
        assert!(!format!("{server:?}").contains("p@ss"));
    }
}
