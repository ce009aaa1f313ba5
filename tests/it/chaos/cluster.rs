//! The real binary in its roles, each a process of its own: started, killed, frozen, restarted.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::doors::{Doors, PUBLIC_URL};
use super::{parcel, until};

/// Every key of the installation is known to the harness: it mints the links that customers
/// would find in their messages.
pub const KEY: [u8; 32] = [7; 32];

/// How long a process may take to answer after it was started.
const START: Duration = Duration::from_mins(1);

/// The worker that reaches store and queue by wires that can be cut.
const BY_WIRE: usize = 2;

/// What the processes share.
#[derive(Debug)]
pub struct Shared {
    pub store: String,
    pub queue: String,
    /// Store and queue of the one worker that can be cut off; without, one process does all.
    pub by_wire: Option<(String, String)>,
}

/// Addresses of the providers.
#[derive(Debug)]
pub struct Providers {
    pub smtp: String,
    pub phone: String,
}

/// A process by its part in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Api,
    Worker,
    Scheduler,
}

struct Process {
    name: String,
    roles: &'static str,
    port: u16,
    /// Settings that only this process has, as environment.
    own: Vec<(String, String)>,
    child: Option<Child>,
}

/// All processes of one installation; killed when dropped, or when the test process is gone.
pub struct Cluster {
    folder: TempDir,
    processes: Vec<Process>,
    keeper: ChildStdin,
    pub doors: Doors,
    deaths: usize,
}

/// Kills what it was told of when its input ends.
const KEEP: &str = r#"while read -r sign pid; do
    if [ "$sign" = + ]; then all="$all $pid "; else all=$(printf %s "$all" | sed "s/ $pid //"); fi
done; [ -z "$all" ] || kill -9 $all"#;

impl Cluster {
    /// An installation in a folder of its own; nothing runs yet. `more` goes to its settings.
    pub fn new(shared: &Shared, providers: &Providers, doors: (Doors, &[u16]), more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = data_encoding::HEXLOWER.encode(&KEY);
        write(folder.path(), "key.hex", &key);
        write(folder.path(), "token", crate::support::twilio::TOKEN);
        write(folder.path(), "tidings.toml", &settings(shared, providers, more));
        parcel::write(folder.path());
        let keeper = Command::new("sh")
            .args(["-c", KEEP])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let keeper = keeper.expect("a keeper").stdin.take().expect("piped");
        let (doors, ports) = doors;
        let process = |name: &str, roles, port| Process {
            name: name.to_owned(),
            roles,
            port,
            own: Vec::new(),
            child: None,
        };
        let mut processes = vec![process("serve", "api,worker,scheduler", ports[0])];
        if let Some((store, queue)) = &shared.by_wire {
            processes = vec![
                process("api-1", "api", ports[0]),
                process("api-2", "api", ports[1]),
                process("worker-1", "worker", 0),
                process("worker-2", "worker", 0),
                process("scheduler", "scheduler", 0),
            ];
            processes[BY_WIRE].own = vec![
                ("TIDINGS__STORE__URL".into(), store.clone()),
                ("TIDINGS__QUEUE__URL".into(), queue.clone()),
            ];
        }
        Self { folder, processes, keeper, doors, deaths: 0 }
    }

    /// The processes that play this part, by number.
    pub fn of(&self, part: Part) -> Vec<usize> {
        let role = match part {
            Part::Api => "api",
            Part::Worker => "worker",
            Part::Scheduler => "scheduler",
        };
        let plays = |n: &usize| self.processes[*n].roles.contains(role);
        (0..self.processes.len()).filter(plays).collect()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.args(["--config", "tidings.toml"]).current_dir(self.folder.path());
        command.env("NO_COLOR", "1").env_remove("RUST_LOG").env_remove("TIDINGS_FAILPOINT");
        command
    }

    /// Starts a process; with a failpoint it dies there by itself.
    pub fn start(&mut self, n: usize, failpoint: Option<&str>) {
        let log = self.folder.path().join(format!("{}.log", self.processes[n].name));
        let log = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut command = self.command();
        let process = &mut self.processes[n];
        assert!(process.child.is_none(), "{} runs", process.name);
        command.args(["serve", "--roles", process.roles]);
        command.env("TIDINGS__HTTP__LISTEN", format!("127.0.0.1:{}", process.port));
        command.envs(process.own.iter().map(|(key, value)| (key, value)));
        if let Some(failpoint) = failpoint {
            command.env("TIDINGS_FAILPOINT", failpoint);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.expect("the binary starts");
        writeln!(self.keeper, "+ {}", child.id()).expect("the keeper lives");
        process.child = Some(child);
    }

    /// Starts everything that does not run, and waits for the doors.
    pub async fn start_all(&mut self) {
        for n in 0..self.processes.len() {
            if self.processes[n].child.is_none() {
                self.start(n, None);
            }
        }
        self.ready().await;
        for n in self.of(Part::Api) {
            assert!(!self.is_gone(n), "{} ended: {}", self.processes[n].name, self.log(n));
        }
    }

    /// Waits until every door answers.
    pub async fn ready(&mut self) {
        for n in self.of(Part::Api) {
            self.answers(n).await;
        }
    }

    /// Waits until this API process answers, or is gone again.
    pub async fn answers(&mut self, n: usize) {
        let url = format!("http://127.0.0.1:{}/healthz", self.processes[n].port);
        let client = reqwest::Client::new();
        let up = until(START, async || {
            let answer = client.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status() == 200) || self.is_gone(n)
        });
        assert!(up.await, "{} does not answer: {}", self.processes[n].name, self.log(n));
    }

    fn signal(&self, n: usize, signal: &str) {
        if let Some(child) = &self.processes[n].child {
            let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
            assert!(sent.expect("kill runs").success(), "{signal}");
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.processes[n].child.take() {
            child.kill().expect("a child of ours");
            child.wait().expect("it is gone");
            self.deaths += 1;
            writeln!(self.keeper, "- {}", child.id()).expect("the keeper lives");
        }
    }

    /// How many processes ended before their time.
    pub fn deaths(&self) -> usize {
        self.deaths
    }

    /// SIGTERM, and waits for the end in good order.
    async fn stop(&mut self, n: usize) {
        self.signal(n, "-TERM");
        // One that stands still hears of it only when it goes on.
        self.signal(n, "-CONT");
        let Some(mut child) = self.processes[n].child.take() else { return };
        let mut status = None;
        let ended = until(START, async || {
            status = child.try_wait().expect("a child of ours");
            status.is_some()
        });
        let ended = ended.await;
        writeln!(self.keeper, "- {}", child.id()).expect("the keeper lives");
        if !ended {
            child.kill().expect("a child of ours");
            child.wait().expect("it is gone");
        }
        let fine = status.is_some_and(|status| status.success());
        assert!(fine, "{}: {status:?}: {}", self.processes[n].name, self.log(n));
    }

    pub async fn stop_all(&mut self) {
        for n in 0..self.processes.len() {
            self.stop(n).await;
        }
    }

    /// SIGSTOP: the process stands still and believes it never did.
    pub fn freeze(&self, n: usize) {
        self.signal(n, "-STOP");
    }

    pub fn thaw(&self, n: usize) {
        self.signal(n, "-CONT");
    }

    /// Is it stopped by a signal?
    pub fn stands_still(&self, n: usize) -> bool {
        let Some(child) = &self.processes[n].child else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
        stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    }

    /// Has it died by itself? Then it can be started again.
    pub fn is_gone(&mut self, n: usize) -> bool {
        let process = &mut self.processes[n];
        let Some(child) = &mut process.child else { return true };
        let gone = child.try_wait().expect("a child of ours").is_some();
        if gone {
            writeln!(self.keeper, "- {}", child.id()).expect("the keeper lives");
            process.child = None;
            self.deaths += 1;
        }
        gone
    }

    /// What it wrote about itself.
    pub fn log(&self, n: usize) -> String {
        let path = self.folder.path().join(format!("{}.log", self.processes[n].name));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let from = text.len().saturating_sub(4_000);
        text.get(from..).unwrap_or(&text).to_owned()
    }

    /// Runs a command of the binary to its end and reads its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command().args(args).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {said}{shown}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for n in 0..self.processes.len() {
            self.kill(n);
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let mut file = File::create(folder.join(name)).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

fn settings(shared: &Shared, providers: &Providers, more: &str) -> String {
    let (Shared { store, queue, .. }, Providers { smtp, phone }) = (shared, providers);
    format!(
        r#"
[store]
url = "{store}"
[queue]
url = "{queue}"
[http]
public_url = "{PUBLIC_URL}"
[auth]
key_file = "key.hex"
[sender]
name = "Example Shop"
mail_from = "Example Shop <service@example.com>"
[journeys]
dir = "journeys"
[templates]
dir = "templates"
[locales]
offered = ["en"]
[quiet_hours]
email = "none"
sms = "none"
voice = "none"
[legal_hours.default]
sms = []
voice = []
[legal_hours.gb]
sms = []
voice = []
[topics.parcel]
title = {{ en = "Your parcel" }}
default = {{ email = true, sms = true, voice = true }}
[topics.code]
title = {{ en = "Codes" }}
default = {{ email = true, sms = true, voice = true }}
in_doubt = "at_least_once"
[channels.email]
provider = "smtp"
url = "{smtp}"
[channels.sms]
provider = "twilio"
base_url = "{phone}"
account = "AC1"
token_file = "token"
from = "+447911120000"
[channels.voice]
provider = "twilio"
base_url = "{phone}"
account = "AC1"
token_file = "token"
from = "+447911120000"
[limits.sms]
per_number_per_hour = 0
urgent_per_number_per_hour = 0
per_prefix_per_hour = 0
[limits.voice]
per_number_per_hour = 0
urgent_per_number_per_hour = 0
per_prefix_per_hour = 0
[retry.email]
delays_s = [1, 1, 1, 2, 2, 3, 5, 5, 5, 5, 5, 5]
[retry.sms]
delays_s = [1, 1, 1, 2, 2, 3, 5, 5, 5, 5, 5, 5]
[retry.voice]
delays_s = [1, 1, 1, 2, 2, 3, 5, 5, 5, 5, 5, 5]
{more}
"#
    )
}
