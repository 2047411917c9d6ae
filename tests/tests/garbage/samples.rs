//! What is sent, as whole requests, and what may come back.

use lunas_tests::harness::{Method, Payment, Signed};

/// One thing that is not a notification.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) request: Vec<u8>,
    pub(crate) answers: &'static [u16],
    /// The connection may end without an answer: the sender is still writing what nobody reads.
    pub(crate) may_be_cut: bool,
}

/// Everything.
pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = malformed();
    samples.extend(unsigned_or_large());
    samples.extend(requests());
    samples
}

/// A good notification, as text; samples are made of it.
fn good() -> (Signed, String) {
    let good = Payment::new(Method::BcaVa, "LNS-G", 150_000).settlement();
    let text = String::from_utf8(good.body()).unwrap();
    (good, text)
}

/// The good one with more fields at its beginning.
fn with(text: &str, extra: &str) -> String {
    text.replacen('{', &format!("{{{extra},"), 1)
}

fn body(name: &'static str, body: &[u8], answers: &'static [u16]) -> Sample {
    Sample {
        name,
        request: post("/webhooks/midtrans", body),
        answers,
        may_be_cut: false,
    }
}

/// Signed by somebody else, or too much.
fn unsigned_or_large() -> Vec<Sample> {
    let (good, text) = good();
    let forged = good.clone().signed_with("SB-Mid-server-of-somebody-else");
    let large = |name, size: usize| {
        let padded = with(&text, &format!("\"pad\":\"{}\"", "x".repeat(size)));
        Sample {
            may_be_cut: true,
            ..body(name, padded.as_bytes(), &[413])
        }
    };
    vec![
        body("forged", &forged.body(), &[401]),
        body(
            "not hexadecimal",
            &good.clone().with_signature("é".repeat(64).as_str()).body(),
            &[401],
        ),
        body(
            "changed",
            text.replace("150000.00", "950000.00").as_bytes(),
            &[401],
        ),
        large("a little too large", 64 * 1024),
        large("far too large", 4 * 1024 * 1024),
    ]
}

/// Not a notification at all, or one that two parsers could read in two ways.
fn malformed() -> Vec<Sample> {
    let (good, text) = good();
    let with = |extra: &str| with(&text, extra);
    let deep = format!("\"deep\":{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_objects = format!("\"deep\":{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let mut not_utf8 = with("\"x\":\"..\"").into_bytes();
    let dots = not_utf8.windows(2).position(|pair| pair == b"..").unwrap();
    not_utf8.splice(dots..dots + 2, *b"\xff\xfe");
    vec![
        body("empty", b"", &[400]),
        body("a form", b"order_id=LNS-G&status_code=200", &[400]),
        body("truncated", &text.as_bytes()[..text.len() / 2], &[400]),
        body(
            "followed by more",
            format!("{text}{text}").as_bytes(),
            &[400],
        ),
        body("not UTF-8", &not_utf8, &[400]),
        body("nested arrays", with(&deep).as_bytes(), &[400]),
        body("nested objects", with(&deep_objects).as_bytes(), &[400]),
        body(
            "an order id twice",
            with("\"order_id\":\"LNS-H\"").as_bytes(),
            &[400],
        ),
        body(
            "a signature twice",
            with("\"signature_key\":\"00\"").as_bytes(),
            &[400],
        ),
        body(
            "no order id",
            &good.clone().without("order_id").body(),
            &[400],
        ),
        body(
            "a number",
            &good.clone().field("gross_amount", 150_000).body(),
            &[400],
        ),
    ]
}

fn requests() -> Vec<Sample> {
    let request = |name, request: String, answers| Sample {
        name,
        request: request.into_bytes(),
        answers,
        may_be_cut: false,
    };
    let many: String = (0..5_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(1024 * 1024));
    let flooded =
        |headers: &str| format!("POST /webhooks/midtrans HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    vec![
        request(
            "a look at it",
            "GET /webhooks/midtrans HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            &[405],
        ),
        request(
            "elsewhere",
            "POST /admin HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".into(),
            &[404],
        ),
        Sample {
            may_be_cut: true,
            ..request("many headers", flooded(&many), &[400, 431])
        },
        Sample {
            may_be_cut: true,
            ..request("a long header", flooded(&long), &[400, 431])
        },
        Sample {
            may_be_cut: true,
            ..request("no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n".into(), &[400])
        },
        Sample {
            may_be_cut: true,
            ..request(
                "two lengths",
                "POST /webhooks/midtrans HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\
                 transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                    .into(),
                &[400],
            )
        },
    ]
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
