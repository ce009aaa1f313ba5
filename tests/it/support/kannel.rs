//! A real Kannel on loopback: bearerbox, smsbox and the fake SMSC of Debian's kannel-extras.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::TestApp;

/// How long a word of Kannel's is waited for. Longer than it ever takes.
const PATIENCE: Duration = Duration::from_secs(30);

const FAKESMSC: &str = "/usr/lib/kannel/test/fakesmsc";

/// Ports that the system gives to nobody by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A program and what it says.
struct Said {
    child: Child,
    lines: Receiver<String>,
}

impl Said {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        Self { child, lines }
    }

    /// Waits for a line with this in it.
    fn wait_for(&self, word: &str) -> String {
        let mut heard = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => heard.push(line),
                Err(error) => panic!("{word:?} was not said ({error}): {heard:#?}"),
            }
        }
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct KannelServer {
    // In the order in which they are stopped.
    fake: Said,
    _smsbox: Said,
    _bearerbox: Said,
    sendsms: u16,
    smsc: u16,
    _folder: TempDir,
}

/// A text as the SMSC got it.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub from: String,
    pub to: String,
    /// `text`, `ucs-2`, or `udh` for a part of several.
    pub kind: String,
    pub text: String,
}

/// A free port that the system gives to nobody by itself.
pub fn free_port() -> u16 {
    // Tests run side by side: each looks from a place of its own.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    let own = u16::try_from(std::process::id() % 1_000).expect("small") * 11;
    for _ in 0..width {
        let port = PORTS.start + own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % width;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// A network that lets this text in, and takes what is sent.
fn network(smsc: u16, comes_in: &str) -> Said {
    let mut fake = Command::new(FAKESMSC);
    fake.args(["-H", "127.0.0.1", "-r", &smsc.to_string(), "-m", "1", comes_in]);
    let fake = Said::start(&mut fake);
    fake.wait_for("sent message 1");
    fake
}

/// The app behind a port of its own, and what it answered: `204 /v1/…`, a line for each request.
pub struct Served(UnboundedReceiver<String>);

impl Served {
    pub async fn start(app: &TestApp, port: u16) -> Self {
        let (sender, receiver) = unbounded_channel();
        let tell = move |request: axum::extract::Request, next: axum::middleware::Next| {
            let sender = sender.clone();
            async move {
                let path = request.uri().to_string();
                let answer = next.run(request).await;
                let _ = sender.send(format!("{} {path}", answer.status().as_u16()));
                answer
            }
        };
        let router = app.router().layer(axum::middleware::from_fn(tell));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self(receiver)
    }

    /// The next answer to a request with this in its path.
    pub async fn next(&mut self, path: &str) -> String {
        let found = async {
            loop {
                let line = self.0.recv().await.expect("served");
                if line.contains(path) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("nobody asks {path}"))
    }
}

impl KannelServer {
    /// Starts one that tells `inbound` of texts that come in, and whose SMSC lets this one in:
    /// `<from> <to> text <words>`.
    pub fn start(inbound: &str, comes_in: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [admin, smsbox, smsc, sendsms] = std::array::from_fn(|_| free_port());
        let file = folder.path().join("kannel.conf");
        let settings = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = 127.0.0.1\nadmin-password = x\n\
             smsbox-port = {smsbox}\ndlr-storage = internal\nbox-allow-ip = 127.0.0.1\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = FAKE\nport = {smsc}\nconnect-allow-ip = 127.0.0.1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {sendsms}\n\
             sendsms-interface = 127.0.0.1\n\n\
             group = sendsms-user\nusername = tidings\npassword = t0ken\nconcatenation = true\n\
             max-messages = 10\n\n\
             group = sms-service\nkeyword = default\ncatch-all = true\nomit-empty = true\n\
             max-messages = 2\nconcatenation = true\n\
             get-url = \"{inbound}&from=%p&to=%P&text=%a&id=%I\"\n"
        );
        std::fs::write(&file, settings).expect("written");
        let program = |name: &str| {
            let mut command = Command::new(name);
            command.args(["-v", "0"]).arg(&file).current_dir(folder.path());
            command
        };
        let bearerbox = Said::start(&mut program("/usr/sbin/bearerbox"));
        bearerbox.wait_for("Start-up done");
        let smsbox = Said::start(&mut program("/usr/sbin/smsbox"));
        smsbox.wait_for("Connected to bearerbox");
        let fake = network(smsc, comes_in);
        Self { fake, _smsbox: smsbox, _bearerbox: bearerbox, sendsms, smsc, _folder: folder }
    }

    /// The network begins anew and lets another text in.
    pub fn lets_in(&mut self, comes_in: &str) {
        // There is room for one at the port.
        let _ = self.fake.child.kill();
        let _ = self.fake.child.wait();
        self.fake = network(self.smsc, comes_in);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.sendsms)
    }

    /// The next text that the SMSC gets for a number with a plus sign.
    pub fn next(&self) -> Got {
        // 100 is who says hello where nobody listens.
        let mut all = std::iter::repeat_with(|| self.any());
        all.find(|got| got.to.starts_with('+')).expect("there is no end")
    }

    fn any(&self) -> Got {
        let line = self.fake.wait_for("Got message");
        let inside = line.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
        let mut words = inside.unwrap_or_else(|| panic!("{line}")).0.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("{line}")).to_owned();
        let (from, to, kind, rest) = (word(), word(), word(), word());
        let text = match kind.as_str() {
            "ucs-2" => {
                let bytes: Vec<u8> =
                    percent_encoding::percent_decode_str(&rest.replace('+', " ")).collect();
                let units: Vec<u16> =
                    bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
                String::from_utf16(&units).expect("UTF-16")
            }
            _ => rest,
        };
        Got { from, to, kind, text }
    }
}
