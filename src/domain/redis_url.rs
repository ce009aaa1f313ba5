//! The address of a Redis server, or of the Sentinels that know which server leads.

use std::fmt;

use super::Secret;

/// Where Redis is. Printed without passwords.
#[derive(Debug, Clone)]
pub struct RedisUrl {
    /// The server, or the Sentinels to ask, as host and port. Never empty.
    pub hosts: Vec<(String, u16)>,
    /// The name under which Sentinel watches the servers; none for a plain server.
    pub service: Option<String>,
    /// Who we are to the server.
    pub login: Login,
    /// Who we are to the Sentinels, where they ask.
    pub sentinel_login: Login,
    pub database: u32,
    pub tls: bool,
}

/// A name and a password, where a server asks for them.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub user: Option<String>,
    pub password: Option<Secret>,
}

/// How an address is written.
const FORMS: &str = "it is written redis://host:6379/0, rediss://user:password@host:6379/0, \
     or redis+sentinel://host:26379,host:26379/service/0";

impl RedisUrl {
    /// Is this text meant to be such an address?
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("redis")
    }

    /// Reads `redis[s]://[user[:password]@]host[:port][/database]` or
    /// `redis[s]+sentinel://[user[:password]@]host[:port],…/service[/database]`. Sentinels
    /// with a password of their own are told it by `?sentinel_user=…&sentinel_password=…`.
    /// User and password are percent-encoded (RFC 3986, section 3.2.1).
    ///
    /// # Errors
    /// What is wrong and how an address is written; never the text itself, which may hold a
    /// password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(no_address)?;
        let (tls, sentinel) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => return Err(no_address()),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Login::parse(login)?, hosts),
            None => (Login::default(), authority),
        };
        let default_port = if sentinel { 26379 } else { 6379 };
        let hosts: Vec<(String, u16)> =
            hosts.split(',').map(|host| host_of(host, default_port)).collect::<Result<_, _>>()?;
        if !sentinel && hosts.len() > 1 {
            return Err(format!("names several servers; {FORMS}"));
        }
        let (service, database) = match (sentinel, path.split_once('/')) {
            (false, _) => (None, path),
            (true, Some((service, database))) => (Some(decoded(service)?), database),
            (true, None) => (Some(decoded(path)?), ""),
        };
        if service.as_deref() == Some("") {
            return Err(format!("does not name the service the Sentinels watch; {FORMS}"));
        }
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| format!("the database is a number; {FORMS}"))?,
        };
        let sentinel_login = sentinel_login(query, sentinel)?;
        Ok(Self { hosts, service, login, sentinel_login, database, tls })
    }
}

fn no_address() -> String {
    format!("is no address of Redis; {FORMS}")
}

impl Login {
    fn parse(text: &str) -> Result<Self, String> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (text, None),
        };
        Ok(Self {
            user: Some(decoded(user)?).filter(|user| !user.is_empty()),
            password: password.map(decoded).transpose()?.map(|text| Secret::from(text.as_str())),
        })
    }
}

fn sentinel_login(query: &str, sentinel: bool) -> Result<Login, String> {
    let mut login = Login::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sentinel_user" if sentinel => login.user = Some(decoded(value)?),
            "sentinel_password" if sentinel => {
                login.password = Some(Secret::from(decoded(value)?.as_str()));
            }
            _ => return Err(format!("has a part after ? that is not known; {FORMS}")),
        }
    }
    Ok(login)
}

fn decoded(text: &str) -> Result<String, String> {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8().map(String::from).map_err(|_| "is not UTF-8".into())
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn host_of(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(default_port), str::parse);
    match (host, port) {
        ("", _) => Err(format!("names no host; {FORMS}")),
        (_, Err(_)) => Err(format!("the port is a number up to 65535; {FORMS}")),
        (host, Ok(port)) => Ok((host.to_owned(), port)),
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let sentinel = if self.service.is_some() { "+sentinel" } else { "" };
        write!(f, "redis{tls}{sentinel}://")?;
        for (n, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        if let Some(service) = &self.service {
            write!(f, "/{service}")?;
        }
        write!(f, "/{}", self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_or_the_sentinels_of_a_service() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("redis://cache.example.com:6380/2", "redis://cache.example.com:6380/2"),
            ("rediss://desk:s3cret@[::1]:6390", "rediss://[::1]:6390/0"),
            ("redis+sentinel://a,b:26380/tidings", "redis+sentinel://a:26379,b:26380/tidings/0"),
            ("redis+sentinel://:s3cret@a/tidings/3", "redis+sentinel://a:26379/tidings/3"),
        ] {
            let url = RedisUrl::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(url.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn passwords_are_decoded_and_never_printed() {
        let text = "redis+sentinel://desk:s3%40ret@a/tidings?sentinel_password=w%C3%A4chter";
        let url = RedisUrl::parse(text).expect("valid");
        assert_eq!(url.login.user.as_deref(), Some("desk"));
        assert_eq!(url.login.password.as_ref().map(Secret::expose), Some("s3@ret"));
        assert_eq!(url.sentinel_login.password.as_ref().map(Secret::expose), Some("wächter"));
        let shown = format!("{url} {url:?}");
        assert!(!shown.contains("s3@ret") && !shown.contains("wächter"), "{shown}");
    }

    #[test]
    fn a_wrong_address_says_how_one_is_written_and_keeps_the_password_to_itself() {
        for text in [
            "redis",
            "rediz://:s3cret@127.0.0.1",
            "redis://",
            "redis://:s3cret@127.0.0.1:port",
            "redis://:s3cret@127.0.0.1/first",
            "redis://:s3cret@a,b",
            "redis+sentinel://:s3cret@a",
            "redis://:s3cret@a?timeout=5",
        ] {
            let why = RedisUrl::parse(text).expect_err(text);
            assert!(!why.contains("s3cret"), "{text}: {why}");
        }
    }
}
