//! Where settings come from besides the defaults: merged by key, secrets read from files of
//! their own, and every fault told with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::domain::Finding;

/// A source of settings besides the defaults.
pub(super) struct Source {
    pub file: String,
    pub text: Arc<str>,
}

pub(super) fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

pub(super) fn nested(path: &[String], value: Value) -> Table {
    let mut table = Table::new();
    let value = match path {
        [_] | [] => value,
        [_, rest @ ..] => Value::Table(nested(rest, value)),
    };
    if let Some(first) = path.first() {
        table.insert(first.clone(), value);
    }
    table
}

/// `true`, `8`, `["a"]` as TOML reads them; anything else is text.
pub(super) fn parse_value(text: &str) -> Value {
    let line = format!("value = {text}");
    toml::from_str::<Table>(&line)
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Keys that name a file with a secret, and the keys that hold what was read there.
pub(super) const SECRETS: [(&str, &str); 8] = [
    ("token_file", "token"),
    ("url_file", "url"),
    ("secret_file", "secret"),
    ("totp_secret_file", "totp"),
    ("client_secret_file", "client_secret"),
    ("key_file", "key"),
    ("callback_secret_file", "callback_secret"),
    ("private_key_file", "private_key"),
];

/// Keys whose value is not shown, with a fault of theirs or of a line beside them.
const HIDDEN: [&str; 7] =
    ["totp", "client_secret", "secret", "token", "key", "callback_secret", "private_key"];

/// `token_file = "…"` becomes `token`, read from that file, and so on with the other secrets.
pub(super) fn read_secrets(table: &mut Table, source: &Source) -> Result<(), Box<Finding>> {
    for name in ["store", "queue"] {
        if let Some(Value::Table(section)) = table.get_mut(name) {
            read_secrets_of(section, &[name], source)?;
        }
    }
    for folder in ["channels", "sources"] {
        if let Some(Value::Table(sections)) = table.get_mut(folder) {
            for (name, section) in sections {
                if let Value::Table(section) = section {
                    read_secrets_of(section, &[folder, name], source)?;
                    read_secrets_of_several(section, &[folder, name], source)?;
                    read_keys_of_dkim(section, &[folder, name], source)?;
                }
            }
        }
    }
    if let Some(Value::Array(hooks)) = table.get_mut("webhooks") {
        for (n, hook) in hooks.iter_mut().enumerate() {
            if let Value::Table(hook) = hook {
                read_signing_secrets(hook, n, source)?;
            }
        }
    }
    let Some(Value::Table(console)) = table.get_mut("console") else { return Ok(()) };
    if let Some(Value::Table(openid)) = console.get_mut("openid") {
        read_secrets_of(openid, &["console", "openid"], source)?;
    }
    if let Some(Value::Array(operators)) = console.get_mut("operators") {
        for (place, operator) in operators.iter_mut().enumerate() {
            if let Value::Table(operator) = operator {
                let path = ["console", "operators", &place.to_string()];
                read_secrets_of(operator, &path, source)?;
            }
        }
    }
    Ok(())
}

/// `secrets_file = "…"` becomes `secrets`: one a line.
fn read_signing_secrets(hook: &mut Table, n: usize, source: &Source) -> Result<(), Box<Finding>> {
    let key = "secrets_file";
    let Some(file) = hook.remove(key) else { return Ok(()) };
    let path = ["webhooks".to_owned(), n.to_string(), key.to_owned()];
    let read = match file.as_str() {
        None => Err("names a file".to_owned()),
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"))
        }
    };
    let text = read.map_err(|why| Box::new(source.at(&path, &why)))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets = lines.map(|line| Value::String(line.to_owned())).collect();
    hook.insert("secrets".into(), Value::Array(secrets));
    Ok(())
}

/// The keys that mail is signed with, one or two.
fn read_keys_of_dkim(
    provider: &mut Table,
    path: &[&str],
    source: &Source,
) -> Result<(), Box<Finding>> {
    let Some(Value::Table(dkim)) = provider.get_mut("dkim") else { return Ok(()) };
    read_secrets_of(dkim, &[path, &["dkim"]].concat(), source)?;
    let Some(Value::Table(second)) = dkim.get_mut("second") else { return Ok(()) };
    read_secrets_of(second, &[path, &["dkim", "second"]].concat(), source)
}

/// The secrets of each of a channel's several providers.
fn read_secrets_of_several(
    channel: &mut Table,
    path: &[&str],
    source: &Source,
) -> Result<(), Box<Finding>> {
    let Some(Value::Array(providers)) = channel.get_mut("providers") else { return Ok(()) };
    for (place, provider) in providers.iter_mut().enumerate() {
        if let Value::Table(provider) = provider {
            let place = place.to_string();
            let path: Vec<&str> = path.iter().copied().chain(["providers", &place]).collect();
            read_secrets_of(provider, &path, source)?;
            read_keys_of_dkim(provider, &path, source)?;
        }
    }
    Ok(())
}

fn read_secrets_of(
    section: &mut Table,
    path: &[&str],
    source: &Source,
) -> Result<(), Box<Finding>> {
    for (file_key, key) in SECRETS {
        let Some(file) = section.remove(file_key) else { continue };
        let path: Vec<String> =
            path.iter().chain([&file_key]).map(|part| (*part).to_owned()).collect();
        let Some(file) = file.as_str().map(str::to_owned) else {
            return Err(Box::new(source.at(&path, "names a file")));
        };
        let secret = std::fs::read_to_string(&file).map_err(|error| {
            Box::new(source.at(&path, &format!("{file} cannot be read: {error}")))
        })?;
        section.insert(key.into(), Value::String(secret.trim().to_owned()));
    }
    Ok(())
}

impl Source {
    /// Secrets in the text are stars from here on, one for each byte.
    pub fn new(file: &str, text: &str) -> Self {
        let mut places = Vec::new();
        if let Ok(root) = DeTable::parse(text) {
            hidden_in(root.get_ref(), &mut places);
        }
        let mut shown = text.to_owned();
        for place in places {
            // The quotation marks stay, so that it reads as TOML still.
            let inside = place.start + 1..place.end.saturating_sub(1).max(place.start + 1);
            if let Some(secret) = text.get(inside.clone()) {
                shown.replace_range(inside, &"*".repeat(secret.len()));
            }
        }
        Self { file: file.to_owned(), text: Arc::from(shown) }
    }

    pub fn finding(&self, why: &str) -> Finding {
        Finding::error(&self.file, &self.text, why)
    }

    /// A fault at a key of the file; about the whole file when the key is not in it.
    pub fn at(&self, path: &[String], why: &str) -> Finding {
        let why = format!("{}: {why}", path.join("."));
        match self.span(path) {
            Some(span) => self.finding(&why).at(span),
            None => self.finding(&why),
        }
    }

    /// Where a key stands. A number in the path is a place in an array.
    pub fn span(&self, path: &[String]) -> Option<Range<usize>> {
        place_in(DeTable::parse(&self.text).ok()?.get_ref(), path)
    }

    /// The same, or else where the nearest of what it stands in does.
    fn span_or_above(&self, path: &[String]) -> Option<Range<usize>> {
        (1..=path.len()).rev().find_map(|length| self.span(&path[..length]))
    }

    pub fn explain(
        &self,
        error: &serde_path_to_error::Error<toml::de::Error>,
        set_by: &BTreeMap<String, String>,
    ) -> Finding {
        let message = error.inner().message().to_owned();
        let path = error.path().to_string();
        let mut parts: Vec<String> = path
            .split(['.', '[', ']'])
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let quoted = message.split('`').nth(1).unwrap_or_default().to_owned();
        let unknown = message.starts_with("unknown field") || message.starts_with("missing field");
        if unknown && parts.last() != Some(&quoted) {
            parts.push(quoted);
        }
        let dotted = parts.join(".");
        if let Some(variable) = set_by.get(&dotted) {
            return self.finding(&format!("the environment variable {variable}: {message}"));
        }
        // What was read from a file is mended where the file is named.
        if let Some(last) = parts.last_mut()
            && let Some((file_key, _)) = SECRETS.iter().find(|(_, key)| key == last)
        {
            let read_there = std::mem::replace(last, (*file_key).to_owned());
            if self.span(&parts).is_none() {
                parts.pop();
                parts.push(read_there);
            }
        }
        let finding = match self.span(&parts) {
            Some(span) => self.finding(&message).at(span),
            // What is missing is missing somewhere.
            None => match self.span_or_above(&parts) {
                Some(span) => self.finding(&format!("{dotted}: {message}")).at(span),
                None => self.finding(&format!("{dotted}: {message}")),
            },
        };
        if message.starts_with("missing field") && dotted.starts_with("sender") {
            finding.help("the sender's name and mail_from have no default:\n[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"")
        } else {
            finding.help("`tidings check --defaults` prints every key with its default")
        }
    }
}

/// Where the texts under hidden keys stand.
fn hidden_in(table: &DeTable<'_>, places: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        match value.get_ref() {
            // What a door of a provider's asks for may be a password.
            DeValue::Table(headers) if key.get_ref() == "headers" => {
                headers.iter().for_each(|(_, value)| hidden_value(true, value, places));
            }
            _ => hidden_value(HIDDEN.contains(&&**key.get_ref()), value, places),
        }
    }
}

fn hidden_value(hidden: bool, value: &toml::Spanned<DeValue<'_>>, places: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(_) if hidden => places.push(value.span()),
        DeValue::Table(inner) => hidden_in(inner, places),
        DeValue::Array(entries) => {
            for entry in entries {
                hidden_value(hidden, entry, places);
            }
        }
        _ => {}
    }
}

fn place_in(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (first, mut rest) = path.split_first()?;
    let (key, mut value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let mut named = true;
    while let DeValue::Array(entries) = value.get_ref()
        && let Some(place) = rest.first().and_then(|part| part.parse::<usize>().ok())
    {
        value = entries.get(place)?;
        (rest, named) = (&rest[1..], false);
    }
    match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => place_in(inner, rest),
        DeValue::Table(_) if named => Some(key.span()),
        _ => Some(value.span()),
    }
}

/// A text as it may be shown: each password of an address is stars, one for each byte, so that
/// places in it stay where they are.
pub(super) fn without_passwords(text: &str) -> String {
    let hide = |line: &str| -> Option<String> {
        let login = line.find("://")? + 3;
        let at = login + line[login..].find('@')?;
        let password = login + line[login..at].find(':')? + 1;
        Some(format!("{}{}{}", &line[..password], "*".repeat(at - password), &line[at..]))
    };
    text.split_inclusive('\n').map(|line| hide(line).unwrap_or_else(|| line.into())).collect()
}

/// A text as it may be shown: each secret that webhooks are signed with is stars, one for each
/// byte.
pub(super) fn without_signing_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("whsec") {
        let (before, secret) = rest.split_at(at + 5);
        shown.push_str(before);
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
        let end = secret.find(|c| !base64(c)).unwrap_or(secret.len());
        shown.push_str(&"*".repeat(end));
        rest = &secret[end..];
    }
    shown.push_str(rest);
    shown
}
