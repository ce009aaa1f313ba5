use proptest::prelude::*;

use super::*;

const TOKEN: &str = "0123456789abcdefghjkmnpqrstvwxyz0123456789abc";

/// As Postfix writes it (bounce(8)), the original's headers included.
fn bounce(status: &str, said: &str, action: &str) -> String {
    format!(
        "Return-Path: <>\r\nDelivered-To: bounces+{TOKEN}@bounce.example.com\r\nFrom: MAILER-DAEMON@mx.example.com (Mail Delivery System)\r\nTo: bounces+{TOKEN}@bounce.example.com\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"8C2A.1/mx.example.com\"\r\n\r\nThis is a MIME-encapsulated message.\r\n\r\n--8C2A.1/mx.example.com\r\nContent-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nI'm sorry.\r\n\r\n--8C2A.1/mx.example.com\r\nContent-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\nX-Postfix-Queue-ID: 8C2A\r\nArrival-Date: Mon, 23 Nov 2026 10:00:00 +0000 (UTC)\r\n\r\nFinal-Recipient: rfc822; ada@example.com\r\nOriginal-Recipient: rfc822;ada@example.com\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: {said}\r\n\r\n--8C2A.1/mx.example.com\r\nContent-Description: Undelivered Message Headers\r\nContent-Type: text/rfc822-headers\r\n\r\nReturn-Path: <bounces+{TOKEN}@bounce.example.com>\r\nFrom: Example Shop <service@example.com>\r\nMessage-ID: <n.abc@example.com>\r\nList-Unsubscribe: <https://tidings.example.com/u/v1.abc.def>\r\nSubject: Your return\r\n\r\n--8C2A.1/mx.example.com--\r\n"
    )
}

fn complaint(kind: &str) -> String {
    format!(
        "From: <abuse@mailbox.example>\r\nTo: <fbl@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n--b1\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <bounces+{TOKEN}@bounce.example.com>\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\nFrom: Example Shop <service@example.com>\r\nMessage-ID: <n.abc@example.com>\r\nList-Unsubscribe: <https://tidings.example.com/u/v1.abc.def>\r\nSubject: Your return\r\n\r\nHello.\r\n--b1--\r\n"
    )
}

fn reply() -> String {
    "From: Ada Byron <ada@example.com>\r\nTo: service@example.com\r\nMessage-ID: <r1@example.com>\r\nIn-Reply-To: <n.abc@example.com>\r\nReferences: <c.x@example.com> <n.abc@example.com>\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nPlease send it to my neighbour, Gr=C3=BC=C3=9Fe!\r\n\r\nOn Mon, 23 Nov 2026, Example Shop <service@example.com> wrote:\r\n> Your parcel is on its way.\r\n--b2\r\nContent-Type: text/html\r\n\r\n<p>Please</p>\r\n--b2--\r\n".to_owned()
}

fn fate(mail: &str) -> Fate {
    match read(mail.as_bytes(), None) {
        Inbound::Report { mut recipients, .. } if recipients.len() == 1 => recipients.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bounce_names_the_mail_in_every_way_there_is_and_says_what_was_wrong() {
    let mail = bounce("5.1.1", "smtp; 550 5.1.1 <ada@example.com>: no such user", "failed");
    let Inbound::Report { traces, recipients } = read(mail.as_bytes(), None) else {
        panic!("no report")
    };
    assert_eq!(traces.tokens, [TOKEN]);
    assert_eq!(traces.message_ids, ["n.abc@example.com"]);
    assert_eq!(recipients.len(), 1);
    let fate = &recipients[0];
    assert_eq!(fate.recipient.as_deref(), Some("ada@example.com"));
    assert_eq!((fate.action, fate.class), (Action::Failed, Class::BadAddress));
    assert_eq!(fate.detail, "5.1.1 550 5.1.1 <ada@example.com>: no such user");
}

#[test]
fn a_failure_is_read_by_its_status_and_the_last_servers_words() {
    for (status, said, class) in [
        ("5.1.1", "X-Postfix; unknown user: \"ada\"", Class::BadAddress),
        ("5.0.0", "smtp; 550 not here", Class::Doubtful),
        ("5.0.0", "smtp; 550 5.2.2 full", Class::Full),
        ("5.2.2", "smtp; 552 5.2.2 full", Class::Full),
        (
            "4.4.1",
            "X-Postfix; connect to mx.example.com[192.0.2.1]:25: timed out",
            Class::Transient,
        ),
        ("4.4.7", "smtp; 451 later", Class::Transient),
        ("5.7.1", "smtp; 554 5.7.1 spam", Class::Reputation),
        ("5.3.4", "smtp; 552 5.3.4 too big", Class::Content),
        ("", "", Class::Doubtful),
    ] {
        assert_eq!(fate(&bounce(status, said, "failed")).class, class, "{status} {said}");
    }
}

#[test]
fn delayed_is_no_failure_and_relayed_is_not_delivered() {
    for (word, action) in [
        ("delayed", Action::Delayed),
        ("delivered", Action::Delivered),
        ("relayed", Action::Passed),
        ("expanded", Action::Passed),
        ("FAILED", Action::Failed),
    ] {
        assert_eq!(fate(&bounce("2.0.0", "smtp; 250 ok", word)).action, action, "{word}");
    }
}

#[test]
fn the_envelope_names_the_attempt_where_no_header_does() {
    let mail = bounce("5.1.1", "smtp; 550 no", "failed").replace(&format!("+{TOKEN}"), "");
    let told = read(mail.as_bytes(), Some(&format!("bounces+{TOKEN}@bounce.example.com")));
    let Inbound::Report { traces, .. } = told else { panic!("no report") };
    assert_eq!(traces.tokens, [TOKEN]);
}

#[test]
fn an_envelope_id_of_ours_is_a_token_too() {
    let mail = bounce("5.1.1", "smtp; 550 no", "failed")
        .replace(&format!("+{TOKEN}"), "")
        .replace("Reporting-MTA:", &format!("Original-Envelope-Id: {TOKEN}\r\nReporting-MTA:"));
    let Inbound::Report { traces, .. } = read(mail.as_bytes(), None) else { panic!("no report") };
    assert_eq!(traces.tokens, [TOKEN]);
}

#[test]
fn abuse_is_a_complaint_and_not_spam_is_none() {
    let Inbound::Complaint { traces } = read(complaint("abuse").as_bytes(), None) else {
        panic!("no complaint")
    };
    assert_eq!(traces.tokens, [TOKEN]);
    assert_eq!(traces.unsubscribe, ["v1.abc.def"]);
    assert_eq!(traces.message_ids, ["n.abc@example.com"]);
    for kind in ["not-spam", "virus", "other", ""] {
        let read = read(complaint(kind).as_bytes(), None);
        assert!(matches!(read, Inbound::Nothing { .. }), "{kind}: {read:?}");
    }
}

#[test]
fn a_reply_is_its_own_words_and_what_it_answers() {
    let Inbound::Reply { traces, from, id, text } = read(reply().as_bytes(), None) else {
        panic!("no reply")
    };
    assert_eq!(from, "ada@example.com");
    assert_eq!(id, "<r1@example.com>");
    assert_eq!(traces.message_ids[0], "n.abc@example.com", "what it answers comes first");
    assert_eq!(text, "Please send it to my neighbour, Grüße!");
}

#[test]
fn html_alone_is_read_without_its_tags() {
    let mail = "From: a@example.com\r\nIn-Reply-To: <n.abc@example.com>\r\nContent-Type: text/html\r\n\r\n<style>p{color:red}</style><p>Yes,&nbsp;<b>please</b> &amp; thanks</p><script>x()</script>\r\n";
    let Inbound::Reply { text, .. } = read(mail.as_bytes(), None) else { panic!("no reply") };
    assert_eq!(text, "Yes, please & thanks");
}

#[test]
fn what_a_program_wrote_is_never_a_reply() {
    for header in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        "Return-Path: <>",
        "X-Autoreply: yes",
        "List-Id: <x.example.com>",
    ] {
        let mail = format!("{header}\r\n{}", reply());
        let read = read(mail.as_bytes(), None);
        assert!(matches!(read, Inbound::Nothing { .. }), "{header}: {read:?}");
    }
    let said_no = format!("Auto-Submitted: no\r\n{}", reply());
    assert!(matches!(read(said_no.as_bytes(), None), Inbound::Reply { .. }));
    let daemon = reply().replace("Ada Byron <ada@example.com>", "MAILER-DAEMON@example.com");
    assert!(matches!(read(daemon.as_bytes(), None), Inbound::Nothing { .. }));
}

#[test]
fn parts_in_parts_in_parts_come_to_an_end() {
    let mut mail = String::from("Content-Type: multipart/report; boundary=b0\r\n\r\n");
    for n in 0..5_000 {
        let next = n + 1;
        let part = ["--b", &n.to_string(), "\r\nContent-Type: multipart/mixed; boundary=b"];
        mail.extend(part);
        mail.extend([next.to_string().as_str(), "\r\n\r\n"]);
    }
    assert!(matches!(read(mail.as_bytes(), None), Inbound::Nothing { .. }));
    let wide = "Content-Type: multipart/report; boundary=b\r\n\r\n".to_owned()
        + &"--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n"
            .repeat(5_000);
    assert!(matches!(read(wide.as_bytes(), None), Inbound::Report { .. }));
    let long = bounce("5.1.1", &"x".repeat(MAX_READ), "failed");
    let _ = read(long.as_bytes(), None);
}

/// Numbers that look random and are the same on every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap_or(0) % end.max(1)
    }
}

#[test]
fn twenty_thousand_damaged_mails_are_read_without_harm() {
    let samples =
        [bounce("5.1.1", "smtp; 550 5.1.1 no such user", "failed"), complaint("abuse"), reply()];
    let mut numbers = Numbers(0x7469_6469_6e67_7321);
    let mut kinds = [0_u32; 4];
    for round in 0..20_000 {
        let mut bytes = samples[round % samples.len()].clone().into_bytes();
        for _ in 0..=numbers.below(6) {
            let at = numbers.below(bytes.len());
            match numbers.below(6) {
                0 => bytes[at] = u8::try_from(numbers.below(256)).unwrap_or(0),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.drain(at..(at + numbers.below(40)).min(bytes.len()))),
                3 => bytes.insert(at, b"\r\n\0;\"=<>+@:"[numbers.below(11)]),
                4 => {
                    let from = numbers.below(bytes.len());
                    let piece = bytes[from..(from + numbers.below(80)).min(bytes.len())].to_vec();
                    drop(bytes.splice(at..at, piece));
                }
                _ => bytes.swap(at, 0),
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        let kind = match read(&bytes, None) {
            Inbound::Report { traces, recipients } => {
                assert!(recipients.len() <= MAX_MANY && traces.tokens.len() <= MAX_MANY);
                assert!(recipients.iter().all(|fate| fate.detail.chars().count() <= 500));
                0
            }
            Inbound::Complaint { .. } => 1,
            Inbound::Reply { text, .. } => {
                assert!(text.chars().all(|c| !c.is_control() || c == '\n'));
                2
            }
            Inbound::Nothing { .. } => 3,
        };
        kinds[kind] += 1;
    }
    assert!(kinds.iter().all(|count| *count > 500), "each way is walked: {kinds:?}");
}

proptest! {
    #[test]
    fn any_bytes_at_all_are_read_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        before in 0..3_usize,
    ) {
        let heads = [
            "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n",
            "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n",
            "In-Reply-To: <n.abc@example.com>\r\nContent-Type: text/html; charset=",
        ];
        let mail = [heads[before].as_bytes(), &bytes].concat();
        let _ = read(&mail, None);
        let _ = read(&bytes, None);
    }
}
