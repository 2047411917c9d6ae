//! The API's description, OpenAPI 3.1, made from the handlers' annotations and served at
//! `/openapi.json` of each listener.
//!
//! It is served without a token: it says what can be asked, never anything that was. A handler names
//! the problems of its own with [`problems!`]; those that any request may meet are added here. For
//! each status a document lists the codes that can come, and nothing else may.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::openapi::content::Content;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::problem::{Document, PROBLEM_JSON_NAME, Problem};
use crate::tokens::Role;

/// The name of the security scheme.
const BEARER: &str = "bearer";

const ABOUT: &str = "Amounts are whole rupiah, times RFC 3339. Errors are problem documents \
    (RFC 9457) whose `code` and `type` do not change. Every path but this document's needs a bearer \
    token of the role that its description names.";

/// Names the problems that a handler answers with, as a type for its `responses(…)`:
///
/// `problems!(OrderProblems: Problem::OrderNotFound);`
///
/// Those of [`everywhere`] need no naming.
macro_rules! problems {
    ($name:ident: $($problem:expr),+ $(,)?) => {
        /// The problems that a handler answers with.
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::openapi::responses(&[$($problem),+])
            }
        }
    };
}
pub(crate) use problems;

/// The problems that any request to a guarded route may be answered with.
const fn everywhere() -> [Problem; 7] {
    [
        Problem::Unauthorized,
        Problem::Forbidden,
        Problem::RequestTimeout,
        Problem::BodyTooLarge,
        Problem::TooManyRequests(1),
        Problem::DatabaseUnavailable,
        Problem::Internal,
    ]
}

/// What the whole listener says of itself.
pub(crate) fn base(title: &str) -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0");
    let info = InfoBuilder::new()
        .title(title)
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(license.identifier(Some("Apache-2.0")).build()))
        .description(Some(ABOUT));
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, scheme)
        .schema_from::<Document>();
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components.build()))
        .build()
}

/// Adds to each operation what the guard asks for, and the problems that any of them may end in.
pub(crate) fn guarded(routes: &mut OpenApiRouter<App>, role: Role) {
    for (path, item) in &mut routes.get_openapi_mut().paths.paths {
        for operation in operations(item) {
            let requirement = SecurityRequirement::new(BEARER, Vec::<String>::new());
            operation.security = Some(vec![requirement]);
            let said = operation.description.take().unwrap_or_default();
            let role = format!("Role: `{}`.", role.as_str());
            operation.description = Some(format!("{said}\n\n{role}").trim().to_owned());
            // What is no segment of a path leads elsewhere.
            let elsewhere = path.contains('{').then_some(Problem::NotFound);
            for problem in everywhere().iter().chain(&elsewhere) {
                add(&mut operation.responses.responses, problem);
            }
        }
    }
}

/// The routes together with their description at `/openapi.json`.
pub(crate) fn served(routes: OpenApiRouter<App>) -> axum::Router<App> {
    let (router, api) = routes.split_for_parts();
    let api = Arc::new(api);
    let document = get(move || {
        let api = Arc::clone(&api);
        async move { Json(Arc::unwrap_or_clone(api)) }
    });
    router.route("/openapi.json", document)
}

/// The answers that stand for these problems, by status.
pub(crate) fn responses(problems: &[Problem]) -> BTreeMap<String, RefOr<Response>> {
    let mut responses = BTreeMap::new();
    for problem in problems {
        add(&mut responses, problem);
    }
    responses
}

/// Adds a problem to the answers of its status. The examples tell which codes there are.
fn add(responses: &mut BTreeMap<String, RefOr<Response>>, problem: &Problem) {
    let status = problem.status();
    let existing = responses.get(status.as_str());
    let mut examples = existing.map(examples_of).unwrap_or_default();
    let document = problem.document();
    examples.insert(problem.code().to_owned(), json!(document));
    let response = response(status, &examples);
    responses.insert(status.as_str().to_owned(), RefOr::T(response));
}

fn examples_of(response: &RefOr<Response>) -> BTreeMap<String, Value> {
    let RefOr::T(response) = response else {
        return BTreeMap::new();
    };
    let Some(RefOr::T(content)) = response.content.get(PROBLEM_JSON_NAME) else {
        return BTreeMap::new();
    };
    let values = content.examples.iter().filter_map(|(code, example)| {
        let RefOr::T(example) = example else {
            return None;
        };
        Some((code.clone(), example.value.clone()?))
    });
    values.collect()
}

fn response(status: StatusCode, examples: &BTreeMap<String, Value>) -> Response {
    let codes: Vec<&str> = examples.keys().map(String::as_str).collect();
    let mut response = ResponseBuilder::new()
        .description(codes.join(", "))
        .content(PROBLEM_JSON_NAME, content(&codes, examples));
    for &(name, about) in headers(status) {
        let header = HeaderBuilder::new().description(Some(about)).build();
        response = response.header(name, header);
    }
    response.build()
}

fn content(codes: &[&str], examples: &BTreeMap<String, Value>) -> Content {
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes.to_vec()));
    let one_of_them = ObjectBuilder::new().property("code", code);
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(one_of_them);
    let examples = examples.iter().map(|(code, document)| {
        let example = ExampleBuilder::new().value(Some(document.clone())).build();
        (code.clone(), example)
    });
    ContentBuilder::new()
        .schema(Some(Schema::AllOf(schema.build())))
        .examples_from_iter(examples)
        .build()
}

const fn headers(status: StatusCode) -> &'static [(&'static str, &'static str)] {
    match status {
        StatusCode::UNAUTHORIZED => &[("WWW-Authenticate", "`Bearer`")],
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            &[("Retry-After", "Seconds; the same as `retryAfter`")]
        }
        _ => &[],
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}
