//! A JSON body, taken strictly: what is missing, of another type or unknown is refused, by name.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::json;

use crate::problem::Problem;

/// Longest part of a request that is said back: the name of a field.
const LONGEST: usize = 120;

/// The body as `T`, whatever its content type says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|refused| Problem::of_status(refused.status()))?;
        read(&bytes).map(Self)
    }
}

/// A field that cannot be taken: which, and why.
pub(crate) fn invalid_body(field: &str, why: &str) -> Problem {
    let fields = json!({ "field": field });
    let detail = format!("{field} {why}.");
    Problem::particular(StatusCode::BAD_REQUEST, "invalid_body", detail, fields)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        explained(&path, error.inner())
    })?;
    reader
        .end()
        .map_err(|error| explained(".", &error))
        .map(|()| value)
}

fn explained(path: &str, error: &serde_json::Error) -> Problem {
    if error.classify() != Category::Data {
        let (line, column) = (error.line(), error.column());
        let detail = format!("The body is not JSON: line {line}, column {column}.");
        let status = StatusCode::BAD_REQUEST;
        return Problem::particular(status, "invalid_body", detail, json!(null));
    }
    let why = reason(&error.to_string());
    if path == "." {
        let status = StatusCode::BAD_REQUEST;
        let detail = format!("The body {why}.");
        return Problem::particular(status, "invalid_body", detail, json!(null));
    }
    let plain = path.chars().filter(|c| !c.is_control()).take(LONGEST);
    invalid_body(&plain.collect::<String>(), &why)
}

/// What the reader said, without the value that it met: only names that are ours are kept.
fn reason(message: &str) -> String {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(said, _)| said);
    let ours = ["missing field", "duplicate field"];
    if ours.iter().any(|start| message.starts_with(start)) {
        return format!("has a {message}");
    }
    if message.starts_with("unknown field") {
        return "is not a field that is known here".to_owned();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("must be {}", plain_type(expected)),
        None => "is not as it should be".to_owned(),
    }
}

/// The reader's name of a type, for people.
fn plain_type(expected: &str) -> &str {
    match expected {
        "i64" | "u64" | "u32" => "a whole number",
        "a string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Outer {
        name: String,
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        kind: Kind,
        quantity: i64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Ticket,
        Product,
    }

    fn refusal(body: &str) -> (String, Value) {
        let problem = read::<Outer>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), "invalid_body");
        let Problem::Particular(problem) = problem else {
            panic!("{problem:?}");
        };
        let field = problem.fields.get("field").cloned().unwrap_or_default();
        (problem.detail.into_owned(), field)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_is_wrong_is_named_and_never_repeated() {
        let item = |rest: &str| format!(r#"{{"name":"n","items":[{{{rest}}}]}}"#);
        let cases = [
            (
                item(r#""kind":"ticket","quantity":"canary""#),
                "items[0].quantity",
                "must be a whole number",
            ),
            (
                item(r#""kind":"ticket","quantity":1.5"#),
                "items[0].quantity",
                "must be a whole number",
            ),
            (item(r#""kind":"ticket","quantity":1e400"#), "", "not JSON"),
            (
                item(r#""kind":"canary","quantity":1"#),
                "items[0].kind",
                "`ticket` or `product`",
            ),
            (
                item(r#""kind":"ticket""#),
                "items[0]",
                "missing field `quantity`",
            ),
            (
                item(r#""kind":"ticket","quantity":1,"price":1"#),
                "items[0].price",
                "not a field",
            ),
            (
                item(r#""kind":"ticket","quantity":1,"quantity":1"#),
                "items[0]",
                "duplicate field",
            ),
            (
                r#"{"name":7,"items":[]}"#.to_owned(),
                "name",
                "must be a text",
            ),
            (
                r#"{"name":"n","items":{}}"#.to_owned(),
                "items",
                "must be a list",
            ),
            (
                r#"{"name":"n","items":[3]}"#.to_owned(),
                "items[0]",
                "must be an object",
            ),
            ("[]".to_owned(), "", "The body"),
            ("".to_owned(), "", "not JSON"),
            ("{".to_owned(), "", "not JSON"),
            (r#"{"name":"n","items":[]} x"#.to_owned(), "", "not JSON"),
        ];
        for (body, field, why) in cases {
            let (detail, named) = refusal(&body);
            assert!(detail.contains(why), "{body}: {detail}");
            assert_eq!(
                named.as_str().unwrap_or_default(),
                field,
                "{body}: {detail}"
            );
            assert!(!detail.contains("canary"), "{detail}");
        }
        let endless = format!(r#"{{"{}":1}}"#, "x".repeat(10_000));
        assert!(refusal(&endless).0.len() < 200);
    }
}
