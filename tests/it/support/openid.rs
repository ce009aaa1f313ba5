//! A real OpenID provider (npm oidc-provider) on loopback, and a browser that signs in there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Where the console lies for its browsers.
pub const BACK: &str = "https://tidings.example.com/console/openid/back";

pub struct Provider {
    child: Child,
    pub issuer: String,
}

impl Provider {
    /// Starts one with these accounts: their claims by name. `in_token`: they stand in the ID
    /// token too.
    pub fn start(accounts: &Value, in_token: bool) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tools = root.join("target/tools/node_modules");
        assert!(
            tools.join("oidc-provider").exists(),
            "the OpenID provider of the tests is not there; tests/run installs it, as does\n  npm install --prefix target/tools oidc-provider@9"
        );
        // Modules are looked for beside the script.
        let folder = root.join("target/tools/openid");
        std::fs::create_dir_all(&folder).expect("a folder");
        let script = folder.join(format!("provider-{}.mjs", std::process::id()));
        std::fs::copy(root.join("tests/openid/provider.mjs"), &script).expect("copied");
        let mut command = Command::new("node");
        command
            .arg(&script)
            .env("BACK", BACK)
            .env("ACCOUNTS", accounts.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if in_token {
            command.env("IN_TOKEN", "1");
        }
        let mut child = command.spawn().expect("node is installed");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let issuer = said.next().and_then(Result::ok).expect("the provider starts");
        std::thread::spawn(move || said.for_each(drop));
        Self { child, issuer }
    }

    /// Follows the way through the provider as `account` (nobody: refuses), and answers the
    /// path and query it sends the browser back to.
    pub async fn sign_in(&self, url: &str, account: Option<&str>) -> String {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        let mut url = url.to_owned();
        for _ in 0..6 {
            if let Some(path) = url.strip_prefix("https://tidings.example.com") {
                return path.to_owned();
            }
            if url.contains("/interaction/")
                && let Some(account) = account
            {
                url = format!("{url}?as={account}");
            }
            let sent: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let answer = http.get(&url).header("cookie", sent.join("; ")).send().await;
            let answer = answer.expect("the provider answers");
            for set in answer.headers().get_all("set-cookie") {
                let set = set.to_str().expect("text").split(';').next().unwrap_or_default();
                if let Some((name, value)) = set.split_once('=') {
                    cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            let status = answer.status();
            let location = answer.headers().get("location").cloned();
            let Some(location) = location else {
                panic!("{url}: {status}: {}", answer.text().await.unwrap_or_default());
            };
            let location = location.to_str().expect("text");
            url = answer.url().join(location).expect("an address").to_string();
        }
        panic!("the provider goes in circles at {url}");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
