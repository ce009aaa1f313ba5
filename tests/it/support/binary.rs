//! The real binary, as its users run it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

/// A folder with a settings file, in which the binary runs.
pub struct Installation {
    folder: TempDir,
    pub port: u16,
}

impl Installation {
    /// Settings with captured messages; `more` comes at the end.
    pub fn new(more: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = super::redis::free_port();
        let text = format!(
            r#"
[store]
url = "sqlite:tidings.db"
[http]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[sender]
name = "Example Shop"
mail_from = "Example Shop <service@example.com>"
{more}
"#
        );
        std::fs::write(folder.path().join("tidings.toml"), text).expect("a file");
        Self { folder, port }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command
            .args(["--config", "tidings.toml"])
            .args(args)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs a command to its end with this on its standard input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, input).expect("it reads");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(args);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {shown}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Starts `serve` and waits until it says that it serves.
    pub fn serve(&self, args: &[&str]) -> Served {
        let mut all = vec!["serve"];
        all.extend(args);
        let mut child = self
            .command(&all)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut log = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {log}")).expect("text");
            log.push_str(&line);
            log.push('\n');
            if line.contains("serving") {
                break;
            }
        }
        let log = Arc::new(Mutex::new(log));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = kept.lock().expect("lock");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Served { child, url: format!("http://127.0.0.1:{}", self.port), log }
    }
}

/// A running server; killed when dropped.
pub struct Served {
    child: Child,
    pub url: String,
    log: Arc<Mutex<String>>,
}

impl Served {
    pub fn log(&self) -> String {
        self.log.lock().expect("lock").clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is gone");
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
