//! Texts with places for values, written so that a value is only ever a value: quoted in JSON,
//! percent-encoded in a form or an address.

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::http_door::Body;

/// Steps one text may take.
const FUEL: u64 = 10_000;

/// What a value is written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    Body(Body),
    Address,
    Header,
}

/// What may be named in a text.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    pub to: &'a str,
    pub from: &'a str,
    pub text: &'a str,
    pub receipt_url: &'a str,
    pub reference: &'a str,
    pub account: &'a str,
    pub token: &'a str,
}

/// Fills a text in.
///
/// # Errors
/// A sentence: it does not compile, or names what there is not.
pub fn fill(text: &str, values: &Values<'_>, into: Into) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(move |out, state, value| write(out, state, value, into));
    let Values { to, from, text: said, receipt_url, reference, account, token } = *values;
    let named = context! { to, from, text => said, receipt_url, reference, account, token };
    environment.render_str(text, named).map_err(|error| {
        let detail = error.detail().unwrap_or_default();
        format!("{}: {detail}", error.kind())
    })
}

/// Does a text compile, and name only what there is?
///
/// # Errors
/// A sentence.
pub fn check(text: &str) -> Result<(), String> {
    let nothing = Values {
        to: "+447700900123",
        from: "",
        text: "",
        receipt_url: "",
        reference: "",
        account: "",
        token: "",
    };
    fill(text, &nothing, Into::Header).map(drop).map_err(|why| {
        format!("{why}; to, from, text, receipt_url, reference, account and token are there")
    })
}

fn write(out: &mut Output<'_>, _: &State<'_, '_>, value: &Value, into: Into) -> Result<(), Error> {
    let failed = |why: String| Error::new(ErrorKind::WriteFailure, why);
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let written = match into {
        Into::Body(Body::Json) => {
            serde_json::to_string(value).map_err(|e| failed(e.to_string()))?
        }
        Into::Body(Body::Form) | Into::Address => {
            utf8_percent_encode(&value.to_string(), NON_ALPHANUMERIC).to_string()
        }
        // A line break would begin a header of its own (RFC 9110, section 5.5).
        Into::Header => value.to_string().replace(char::is_control, " "),
    };
    out.write_str(&written).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Values<'_> {
        Values {
            to: "+447700900123",
            from: "EXAMPLE",
            text,
            receipt_url: "https://tidings.example.com/v1/receipts/http?a=v1.x",
            reference: "n-1",
            account: "desk",
            token: "s3cret",
        }
    }

    #[test]
    fn a_value_is_only_ever_a_value() {
        let nasty = "\"}, \"to\": \"+900\" \\ \n & to=1 ✓ {{ token }}";
        let body = r#"{"to": {{ to }}, "text": {{ text }}}"#;
        let json = fill(body, &values(nasty), Into::Body(Body::Json)).expect("filled");
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read, serde_json::json!({"to": "+447700900123", "text": nasty}));
        let form = fill("to={{ to }}&text={{ text }}", &values(nasty), Into::Body(Body::Form));
        let form = form.expect("filled");
        let read: Vec<(String, String)> = form
            .split('&')
            .map(|pair| pair.split_once('=').expect("a pair"))
            .map(|(name, value)| {
                let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
                (name.to_owned(), value.into_owned())
            })
            .collect();
        let wanted = [("to", "+447700900123"), ("text", nasty)];
        assert_eq!(read, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
        let header = fill("Bearer {{ text }}", &values("a\r\nX: b"), Into::Header);
        assert_eq!(header.as_deref(), Ok("Bearer a  X: b"));
    }

    #[test]
    fn what_there_is_not_is_said() {
        let why = check("{{ tex }}").expect_err("refused");
        assert!(why.contains("undefined") && why.contains("receipt_url"), "{why}");
        assert!(check("{% for").is_err());
        assert_eq!(check("{{ to }} {{ text|length }}"), Ok(()));
    }
}
