//! Programs of npm that judge what ours does: under `target/tools`, where `tests/run` puts them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where npm's packages are.
fn tools(package: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    assert!(
        root.join("node_modules").join(package).exists(),
        "npm's {package} is not there; tests/run installs it, as does\n  npm install --prefix target/tools {package}"
    );
    root
}

/// What a script of `tests/texts` answers to these lines.
pub fn asked(package: &str, script: &str, lines: &[String]) -> Vec<String> {
    let root = tools(package);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts").join(script);
    let mut node = Command::new("node")
        .arg(script)
        .env("NODE_PATH", root.join("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is installed");
    let mut input = node.stdin.take().expect("piped");
    let text = lines.join("\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = node.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads");
    assert!(output.status.success(), "{:?}", output.status);
    let said = String::from_utf8(output.stdout).expect("text");
    said.lines().map(str::to_owned).collect()
}

/// A mock of an API by its OpenAPI document (npm @stoplight/prism-cli); stopped when dropped.
pub struct Prism {
    child: Child,
    port: u16,
}

impl Prism {
    pub fn start(document: &str) -> Self {
        let root = tools("@stoplight/prism-cli");
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let port = super::kannel::free_port();
        let mut child = Command::new("node")
            .arg(root.join("node_modules/@stoplight/prism-cli/dist/index.js"))
            .args(["mock", "--host", "127.0.0.1", "--port", &port.to_string(), "--errors"])
            .arg(document)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is installed");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let heard: Vec<String> = said
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.contains("Prism is listening"))
            .collect();
        assert!(child.try_wait().expect("its state").is_none(), "Prism ended: {heard:#?}");
        std::thread::spawn(move || said.for_each(drop));
        Self { child, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
