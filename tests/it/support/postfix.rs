//! A real Postfix on loopback, all of it in a temporary folder: takes mail for example.com, where
//! it knows nobody but those who have a mailbox, and pipes what is sent to bounce.example.com into
//! a FIFO.
//!
//! Postfix starts as root and gives that up by itself; tests that are run as somebody else start
//! it by sudo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::redis::free_port;

pub struct Postfix {
    folder: TempDir,
    pub port: u16,
}

/// A command as root.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Who reads them here: whoever runs the tests, but never root, as whom Postfix delivers nothing.
fn mailboxes_belong_to() -> (u32, u32) {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() { (65_534, 65_534) } else { (user.as_raw(), group.as_raw()) }
}

fn done(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {said}");
    said
}

impl Postfix {
    pub fn start() -> Self {
        Self::with_mailboxes(&[])
    }

    /// One at which these addresses have a mailbox.
    pub fn with_mailboxes(addresses: &[&str]) -> Self {
        assert!(
            Path::new("/usr/sbin/postfix").exists(),
            "Postfix is not there; tests/run installs it (Debian package postfix)"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().display().to_string();
        let port = free_port();
        let path = |name: &str| folder.path().join(name);
        for name in ["etc", "queue", "data", "mail"] {
            std::fs::create_dir(path(name)).expect("a folder");
        }
        // Its processes run as other people.
        done(Command::new("chmod").args(["-R", "755", &at]));
        done(as_root("chown").args(["postfix:postfix", &format!("{at}/data")]));
        done(as_root("chown").args(["root:root", &format!("{at}/queue"), &format!("{at}/etc")]));
        let (user, group) = mailboxes_belong_to();
        done(as_root("chown").args([format!("{user}:{group}"), format!("{at}/mail")]));
        let each = |entry: &dyn Fn(&str) -> String| -> String {
            addresses.iter().map(|address| entry(address)).collect()
        };
        let delivered_here = each(&|address| format!(" {address}=virtual:"));
        let mailboxes = each(&|address| format!(" {address}={address}/"));
        done(Command::new("mkfifo").args(["-m", "666", &format!("{at}/came-back")]));
        let script = format!("#!/bin/sh\n{{ echo \"$1\"; cat; }} >{at}/came-back\n");
        std::fs::write(path("pipe"), script).expect("a file");
        done(Command::new("chmod").args(["755", &format!("{at}/pipe")]));
        done(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"])
                .args(["/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
                .args([&format!("{at}/key.pem"), "-out", &format!("{at}/cert.pem")]),
        );
        let main = format!(
            "compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
maillog_file = {at}/data/log
maillog_file_prefixes = {at}
myhostname = mx.example.com
mydestination = example.com
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_recipient_maps =
alias_maps =
alias_database =
recipient_delimiter = +
transport_maps = inline:{{ bounce.example.com=pipe:{delivered_here} }}
virtual_mailbox_base = {at}/mail
virtual_mailbox_maps = inline:{{ nobody@example.com=nobody/{mailboxes} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{group}
smtpd_tls_security_level = may
smtpd_tls_cert_file = {at}/cert.pem
smtpd_tls_key_file = {at}/key.pem
"
        );
        let services = [
            "pickup unix n - n 60 1 pickup",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "tlsmgr unix - - n 1000? 1 tlsmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce",
            "trace unix - - n - 0 bounce",
            "verify unix - - n - 1 verify",
            "flush unix n - n 1000? 0 flush",
            "proxymap unix - - n - - proxymap",
            "smtp unix - - n - - smtp",
            "showq unix n - n - - showq",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "local unix - n n - - local",
            "virtual unix - n n - - virtual",
            "anvil unix - - n - 1 anvil",
            "scache unix - - n - 1 scache",
            "postlog unix-dgram n - n - 1 postlogd",
        ];
        let master = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\n{}\npipe unix - n n - 1 pipe\n  flags=DR user=nobody argv={at}/pipe ${{original_recipient}}\n",
            services.join("\n")
        );
        let put = |name: &str, text: &str| {
            let file = path("draft");
            std::fs::write(&file, text).expect("a file");
            let target = format!("{at}/etc/{name}");
            done(as_root("install").args(["-m", "644", &file.display().to_string(), &target]));
        };
        put("main.cf", &main);
        put("master.cf", &master);
        done(as_root("chmod").args(["600", &format!("{at}/key.pem")]));
        done(as_root("chown").args(["root", &format!("{at}/key.pem")]));
        done(
            as_root("/usr/sbin/postfix")
                .args(["-c", &format!("{at}/etc"), "start"])
                .stdin(Stdio::null()),
        );
        Self { folder, port }
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The mails in a mailbox, in no order.
    pub fn mails(&self, address: &str) -> Vec<Vec<u8>> {
        let Ok(mails) = std::fs::read_dir(self.path("mail").join(address).join("new")) else {
            return Vec::new();
        };
        let read = |mail: std::io::Result<std::fs::DirEntry>| {
            std::fs::read(mail.expect("a mail").path()).expect("read")
        };
        mails.map(read).collect()
    }

    /// What it wrote down of all that it did.
    pub fn log(&self) -> String {
        let log = as_root("cat").arg(self.path("data/log")).output().expect("a log").stdout;
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits for the next mail to bounce.example.com: the address it was sent to, and its bytes.
    pub async fn came_back(&self) -> (String, Vec<u8>) {
        let fifo = self.path("came-back");
        let reading = tokio::task::spawn_blocking(move || std::fs::read(fifo));
        let soon = std::time::Duration::from_mins(1);
        let Ok(read) = tokio::time::timeout(soon, reading).await else {
            // The reader is let go, or the runtime would wait for it.
            let _ = std::fs::OpenOptions::new().write(true).open(self.path("came-back"));
            panic!("nothing came back: {}", self.log());
        };
        let bytes = read.expect("read").expect("a mail");
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("an address");
        let to = String::from_utf8_lossy(&bytes[..end]).into_owned();
        (to, bytes[end + 1..].to_vec())
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // By the process id it keeps; its children go with it.
        let etc = self.path("etc").display().to_string();
        let _ = as_root("/usr/sbin/postfix")
            .args(["-c", &etc, "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // What belongs to others would be left behind.
        let at = self.folder.path().display().to_string();
        let _ = as_root("rm").args(["-rf", &at]).status();
    }
}
