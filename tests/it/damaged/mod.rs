//! What comes from outside, damaged: reports of providers, texts that came in, callbacks of calls,
//! help desks' webhooks and `CloudEvents` are read without harm, and move nothing but under a
//! signature that holds.
//! (Mail that came in is damaged where it is read.)

mod calls;
mod doors;
mod envelopes;
mod readers;
mod signatures;
mod sources;

use serde_json::{Value, json};

/// How many of each kind are read.
const MANY: u32 = 20_000;

/// What breaks readers: bytes that are no text, text that is not what it seems, escapes, marks.
const ODD: [&[u8]; 30] = [
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    "e\u{301}".as_bytes(),
    "😀".as_bytes(),
    "\u{10ffff}".as_bytes(),
    "٣".as_bytes(),
    b"%00",
    b"%C0%80",
    b"%",
    b"%zz",
    b"\\u0000",
    b"\\ud800",
    b"\"",
    b"\\",
    b"&",
    b"=",
    b"+",
    b";",
    b"\r\n",
    b",",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"''",
];

const HUGE: [&str; 9] = [
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999999999999999999999",
    "1e308",
    "1e999",
    "-0",
    "0.1e-400",
    "65536",
];

/// How deep a document is made, and how long a text.
const DEEP: usize = 1_000;
const LONG: usize = 1_500;

/// The longest that is made, in bytes.
const MAX: usize = 6_000;

/// Damage that looks like chance and is the same on every run (xorshift64*).
struct Damage(u64);

impl Damage {
    fn new(of: &str) -> Self {
        let seed = of.bytes().fold(0x7469_6469_6e67_7321, |seed: u64, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(seed | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap_or(0) % end.max(1)
    }

    fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// One of the samples, damaged in one to five ways.
    fn of(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one(samples).clone();
        if let Ok(value) = serde_json::from_slice::<Value>(&bytes)
            && value.is_object()
            && self.below(3) > 0
        {
            // Most that is no JSON any more is read no further.
            bytes = self.values(value).to_string().into_bytes();
            if self.below(4) > 0 {
                return bytes;
            }
        }
        for _ in 0..=self.below(4) {
            self.wound(&mut bytes, samples);
        }
        bytes
    }

    /// The same document with other values here and there.
    fn values(&mut self, mut value: Value) -> Value {
        for _ in 0..=self.below(3) {
            let mut places = Vec::new();
            pointers(&value, String::new(), &mut places);
            let place = self.one(&places).clone();
            let odd = self.value();
            if let Some(found) = value.pointer_mut(&place) {
                *found = odd;
            }
        }
        value
    }

    fn value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(i64::MIN),
            3 => json!(u64::MAX),
            4 => json!(1e300),
            5 => json!(""),
            6 if self.below(4) == 0 => json!(self.long()),
            7 => (0..100).fold(json!(1), |inner, _| json!([inner])),
            8 => json!({"": {"a": [null, {}]}}),
            9 => json!(*self.one(&HUGE)),
            10 => json!([1, "a", null]),
            _ => {
                let odd = self.one::<&[u8]>(&ODD);
                json!(String::from_utf8_lossy(odd))
            }
        }
    }

    /// A long text. Every other has no two letters alike for long, so that nothing is won by
    /// packing it.
    fn long(&mut self) -> String {
        if self.below(2) == 0 {
            return "x".repeat(LONG);
        }
        let first = u32::try_from(self.below(20_000)).unwrap_or(0);
        (first..first + 1_300)
            .filter_map(|n| char::from_u32(0x4E00 + n.wrapping_mul(2_654_435_761) % 20_000))
            .collect()
    }

    fn wound(&mut self, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.push(b'x');
        }
        let at = self.below(bytes.len());
        let mut piece = |bytes: &[u8]| {
            let from = self.below(bytes.len());
            let end = (from + 1 + self.below(40)).min(bytes.len());
            from..end
        };
        let range = piece(bytes);
        match self.below(9) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(range)),
            3 => {
                let twice = bytes[range].to_vec();
                drop(bytes.splice(at..at, twice));
            }
            4 => {
                let other = self.below(bytes.len());
                bytes.swap(at, other);
            }
            5 => {
                let other = self.one(samples).clone();
                let end = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[end..]);
            }
            6 => drop(bytes.splice(at..at, self.one(&ODD).to_vec())),
            7 => {
                let first = bytes.iter().position(u8::is_ascii_digit).unwrap_or(at);
                let digits = bytes[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                drop(bytes.splice(first..first + digits, self.one(&HUGE).bytes()));
            }
            _ => {
                let much = match self.below(8) {
                    0 => self.one(&["[", "{\"a\":", "&a=", "%41"]).repeat(DEEP),
                    1 => self.long(),
                    _ => self.one(&["[[[[", "{\"a\":{", "&a=&a=", "%41%"]).to_string(),
                };
                drop(bytes.splice(at..at, much.into_bytes()));
            }
        }
        bytes.truncate(MAX);
    }
}

/// Every place in a document.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| pointers(inner, format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, inner)| {
                pointers(inner, format!("{at}/{n}"), found);
            });
        }
        _ => {}
    }
    found.push(at);
}

fn bytes(values: &[Value]) -> Vec<Vec<u8>> {
    values.iter().map(|value| value.to_string().into_bytes()).collect()
}
