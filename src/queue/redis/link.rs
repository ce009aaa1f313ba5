//! One connection to Redis for the whole process, made anew whenever it broke. Behind
//! Sentinel every new connection first asks which server leads now.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, TlsMode, Value,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::domain::{RedisUrl, Secret};

/// How long a connection may take to be made, Sentinels and all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The wait between two failures to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection that outlives its servers. Clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: tokio::sync::Mutex<Server>,
    current: Mutex<Option<Live>>,
    /// How many connections were made so far.
    made: watch::Sender<u64>,
    database: i64,
}

struct Server {
    source: Source,
    response_timeout: Duration,
    /// No sooner is a connection tried.
    next_try: Instant,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("next_try", &self.next_try).finish_non_exhaustive()
    }
}

enum Source {
    Plain(Box<Client>),
    Sentinel(Box<SentinelClient>),
}

#[derive(Debug, Clone)]
struct Live {
    number: u64,
    address: String,
    connection: MultiplexedConnection,
}

impl Link {
    /// A link that connects when it is first used, and breaks when an answer takes longer
    /// than `response_timeout`.
    ///
    /// # Errors
    /// When no connection could ever be made to such an address.
    pub fn new(url: &RedisUrl, response_timeout: Duration) -> RedisResult<Self> {
        let server = Server { source: source(url)?, response_timeout, next_try: Instant::now() };
        let inner = Inner {
            server: tokio::sync::Mutex::new(server),
            current: Mutex::new(None),
            made: watch::Sender::new(0),
            database: i64::from(url.database),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A client of the server that leads now, for a connection of one's own.
    ///
    /// # Errors
    /// When no Sentinel knows of one.
    pub async fn client(&self) -> RedisResult<Client> {
        let mut server = self.inner.server.lock().await;
        within(CONNECT_TIMEOUT, server.source.client()).await
    }

    /// Completes when there is a connection, however long that takes.
    pub(super) async fn connected(&self) {
        while self.live().await.is_err() {
            sleep_until(Instant::now() + PAUSE).await;
        }
    }

    /// Asks the Sentinels who leads, and lets go of a connection that leads elsewhere: a
    /// planned change of the leader leaves the old one open and writable for ten seconds.
    /// Without Sentinels it does nothing.
    pub(super) async fn follow_the_leader(&self) -> RedisResult<()> {
        let Some(live) = self.current() else { return Ok(()) };
        let mut server = self.inner.server.lock().await;
        if matches!(server.source, Source::Plain(_)) {
            return Ok(());
        }
        let leader = within(CONNECT_TIMEOUT, server.source.client()).await?;
        if leader.get_connection_info().addr().to_string() != live.address {
            self.let_go(live.number);
        }
        Ok(())
    }

    /// Changes whenever the connection was made anew.
    #[must_use]
    pub fn renewals(&self) -> watch::Receiver<u64> {
        self.inner.made.subscribe()
    }

    fn current(&self) -> Option<Live> {
        self.inner.current.lock().expect("no panic while held").clone()
    }

    async fn live(&self) -> RedisResult<Live> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut server = self.inner.server.lock().await;
        // Somebody else may have connected while we waited for our turn.
        if let Some(live) = self.current() {
            return Ok(live);
        }
        sleep_until(server.next_try).await;
        match within(CONNECT_TIMEOUT, server.connection()).await {
            Ok((address, connection)) => {
                let number = *self.inner.made.borrow() + 1;
                let live = Live { number, address, connection };
                *self.inner.current.lock().expect("no panic while held") = Some(live.clone());
                self.inner.made.send_replace(number);
                Ok(live)
            }
            Err(error) => {
                server.next_try = Instant::now() + PAUSE;
                Err(error)
            }
        }
    }

    /// Lets go of a connection that is broken, or leads to a server that does not lead.
    fn judge(&self, number: u64, error: &RedisError) {
        let follows = matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        );
        if error.is_io_error() || error.is_unrecoverable_error() || follows {
            self.let_go(number);
        }
    }

    /// Unless somebody connected anew since.
    fn let_go(&self, number: u64) {
        let mut current = self.inner.current.lock().expect("no panic while held");
        if current.as_ref().is_some_and(|live| live.number == number) {
            *current = None;
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut live = self.live().await?;
            let answer = live.connection.req_packed_command(cmd).await;
            answer.inspect_err(|error| self.judge(live.number, error))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut live = self.live().await?;
            let answer = live.connection.req_packed_commands(pipeline, offset, count).await;
            answer.inspect_err(|error| self.judge(live.number, error))
        })
    }

    fn get_db(&self) -> i64 {
        self.inner.database
    }
}

impl Source {
    async fn client(&mut self) -> RedisResult<Client> {
        let client = match self {
            Self::Plain(client) => return Ok((**client).clone()),
            Self::Sentinel(sentinel) => sentinel.async_get_client().await?,
        };
        at_once(client.get_connection_info().clone())
    }
}

impl Server {
    async fn connection(&mut self) -> RedisResult<(String, MultiplexedConnection)> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.response_timeout));
        let client = self.source.client().await?;
        let address = client.get_connection_info().addr().to_string();
        Ok((address, client.get_multiplexed_async_connection_with_config(&config).await?))
    }
}

/// The work's answer, or an error when it takes longer.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}

/// A client whose words leave at once. The library's default holds a second one back until the
/// first is acknowledged, which may take 40 ms (RFC 896 meets RFC 1122, section 4.2.3.2).
fn at_once(info: ConnectionInfo) -> RedisResult<Client> {
    Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn source(url: &RedisUrl) -> RedisResult<Source> {
    let address = |(host, port): &(String, u16)| {
        if url.tls {
            ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        }
    };
    let password = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    let mut addresses = url.hosts.iter().map(address);
    let Some(service) = &url.service else {
        let mut login = RedisConnectionInfo::default().set_db(i64::from(url.database));
        if let Some(user) = &url.login.user {
            login = login.set_username(user);
        }
        if let Some(password) = password(&url.login.password) {
            login = login.set_password(password);
        }
        let address = addresses.next().expect("an address names a host");
        let info = address.into_connection_info()?.set_redis_settings(login);
        return Ok(Source::Plain(Box::new(at_once(info)?)));
    };
    let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
        .set_client_to_redis_db(i64::from(url.database));
    if url.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(user) = &url.login.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = password(&url.login.password) {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = &url.sentinel_login.user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = password(&url.sentinel_login.password) {
        builder = builder.set_client_to_sentinel_password(password);
    }
    Ok(Source::Sentinel(Box::new(builder.build()?)))
}
