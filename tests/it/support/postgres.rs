//! A real PostgreSQL of the tests' own, on a free port, gone with the test process.
//!
//! Each server has a keeper: a shell that waits for the end of its standard input. However the
//! test process ends, `kill -9` included, the keeper reads that end, stops the server and
//! removes its folder.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Waits for the end of its input, stops the server and removes its folder.
const KEEP: &str = "cat >/dev/null; \"$1\" -D \"$2/data\" -m immediate stop; rm -rf \"$2\"";

/// Whether what was committed must outlive the machine, or only the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// As in production.
    Full,
    /// No `fsync`: for tests that pull no plug.
    Off,
}

/// A server that listens on 127.0.0.1 and trusts the user `tidings`, who owns everything.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    port: u16,
    databases: AtomicUsize,
    /// Held open for the keeper.
    _keeper: ChildStdin,
}

/// Where Debian, or whoever else, put the server's programs: the newest version wins.
fn programs() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let newest = versions
            .filter_map(|version| {
                let number: u32 = version.file_name().to_str()?.parse().ok()?;
                Some((number, version.path().join("bin")))
            })
            .filter(|(_, bin)| bin.join("initdb").exists())
            .max();
        let on_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
        };
        newest.map(|(_, bin)| bin).or_else(on_path).expect("PostgreSQL (Debian: postgresql)")
    })
}

fn as_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| id(&["-u"]) == Some(0))
}

fn id(args: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(args).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// A command in `folder`; PostgreSQL refuses root, who becomes the user `postgres` instead.
fn command(folder: &Path, program: &Path) -> Command {
    let mut command = if as_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C");
    command
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl PostgresServer {
    /// The one server that the tests of this process share; without `fsync`.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(Sync::Off))
    }

    /// Makes and starts a server of one's own.
    pub fn new(sync: Sync) -> Self {
        let folder = tempfile::Builder::new().prefix("tidings-postgres-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        if as_root() {
            let (user, group) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
            std::os::unix::fs::chown(&folder, user, group).expect("root may");
        }
        // A group of its own: an interrupt of the tests must not end the keeper first.
        let keeper = command(Path::new("/"), Path::new("sh"))
            .args(["-c", KEEP, "keeper"])
            .arg(programs().join("pg_ctl"))
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let keeper = keeper.expect("a keeper").stdin.take().expect("piped");
        done(command(&folder, &programs().join("initdb")).args([
            "--pgdata=data",
            "--auth=trust",
            "--username=tidings",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]));
        let port = super::redis::free_port();
        let sync = if sync == Sync::Full { "on" } else { "off" };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             max_connections = 100\nshared_buffers = 64MB\nfsync = {sync}\n\
             full_page_writes = {sync}\nlog_min_messages = warning\n",
            folder.display(),
        );
        let path = folder.join("data/postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("written");
        file.write_all(settings.as_bytes()).expect("written");
        let server = Self { folder, port, databases: AtomicUsize::new(0), _keeper: keeper };
        server.start();
        server
    }

    /// The address of a database of this name.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://tidings@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database and gives its address.
    pub fn fresh_database(&self) -> String {
        let name = format!("tidings_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        self.url(&name)
    }

    /// Runs one statement as the owner of everything; what it gives, unaligned.
    pub fn sql(&self, statement: &str) -> String {
        let url = self.url("postgres");
        done(Command::new(programs().join("psql")).args(["-XAtq", "-c", statement, &url]))
    }

    fn pg_ctl(&self, args: &[&str]) {
        let mut pg_ctl = command(&self.folder, &programs().join("pg_ctl"));
        // The server inherits what pg_ctl writes to: nobody would see the end of a pipe.
        let status = pg_ctl
            .args(["-D", "data", "-s", "-w", "-l", "log"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("pg_ctl runs").success(), "{args:?}: {}", self.log());
    }

    /// Starts it and waits until it takes connections.
    pub fn start(&self) {
        self.pg_ctl(&["start"]);
    }

    /// Stops it in good order, connections cut.
    pub fn stop(&self) {
        self.pg_ctl(&["-m", "fast", "stop"]);
    }

    /// Stops it as a crash would, and starts it again through its recovery.
    pub fn restart_immediate(&self) {
        self.pg_ctl(&["-m", "immediate", "restart"]);
    }

    /// Cuts every connection of everybody else; how many these were.
    pub fn terminate_backends(&self) -> usize {
        let cut = self.sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
        cut.trim().parse().expect("a number")
    }

    /// What the server wrote about itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

#[test]
fn a_fresh_database_is_empty_and_outlives_a_crash_of_its_server() {
    let server = PostgresServer::new(Sync::Full);
    let names = [server.fresh_database(), server.fresh_database()];
    assert_ne!(names[0], names[1]);
    server.restart_immediate();
    let found = server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'tidings_%'");
    assert_eq!(found.trim(), "2");
    assert_eq!(server.terminate_backends(), 0);
    server.stop();
    server.start();
    assert!(server.url("postgres").contains(&server.port().to_string()), "{}", server.log());
}

#[test]
fn tests_of_one_process_share_a_server_and_no_database() {
    let [one, other] = [PostgresServer::shared(), PostgresServer::shared()];
    assert_eq!(one.port(), other.port());
    assert_ne!(one.fresh_database(), other.fresh_database());
}
