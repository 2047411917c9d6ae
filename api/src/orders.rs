//! Placing orders: `POST /api/orders`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::domain::cart::{Cart, CartFault, Line, TotalFault, Ware};
use shared::orders::{PlaceError, Shortage, Terms, place};
use shared::store::read::OrderView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::body::{Body, invalid_body};
use crate::openapi::problems;
use crate::problem::Problem;
use crate::reading::{reading, writing};

/// May carry the idempotency key instead of the body.
const KEY_HEADER: &str = "idempotency-key";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create))
}

problems!(CreateProblems:
    sample(CartFault::UserId),
    sample(CartFault::NoLines),
    sample(CartFault::TooManyLines),
    sample(CartFault::Quantity { line: 0 }),
    keys_differ(),
    sample(PlaceError::Unknown(Ware::Ticket("concert-1".to_owned()))),
    sample(PlaceError::Unknown(Ware::Product("shirt-m".to_owned()))),
    sample(PlaceError::Total(TotalFault::TooLarge)),
    sample(PlaceError::Total(TotalFault::Zero)),
    sample(PlaceError::Begun(Ware::Ticket("concert-1".to_owned()))),
    sample(PlaceError::Short(Shortage {
        ware: Ware::Ticket("concert-1".to_owned()),
        available: 1,
        requested: 2,
    })),
    sample(PlaceError::KeyReused),
);

/// A problem for the description.
fn sample(fault: impl Into<Problem>) -> Problem {
    fault.into()
}

/// An order to place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    /// The customer.
    #[schema(min_length = 1, max_length = 200)]
    user_id: String,
    /// What is wanted; lines that name the same ware count as one.
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<NewItem>,
    /// Under which the request may be repeated within 24 hours. May also be the header
    /// `Idempotency-Key`, or spelled `idempotencyKey`; all that are given must be the same.
    #[schema(min_length = 1, max_length = 200)]
    idempotency_key: Option<String>,
    /// The same as `idempotency_key`.
    #[serde(rename = "idempotencyKey")]
    #[schema(min_length = 1, max_length = 200)]
    camel_key: Option<String>,
}

/// A line of it: a ticket with `slot_id`, or a product with `sku`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewItem {
    kind: ItemKind,
    /// The slot, of a ticket.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    slot_id: Option<String>,
    /// The variant, of a product.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    sku: Option<String>,
    /// How many.
    #[schema(minimum = 1, maximum = 10_000_000)]
    quantity: i64,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ItemKind {
    Ticket,
    Product,
}

/// The order that a request stands for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderAnswer {
    /// The order.
    order: OrderView,
    /// Whether an earlier request with the same key made it.
    duplicate: bool,
}

/// Place an order
///
/// Everything in it is reserved until `expires_at`, or nothing. The same key of the same customer
/// gives the first order again for 24 hours.
#[utoipa::path(
    post, path = "/api/orders", tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "Instead of `idempotency_key`")),
    request_body(content = NewOrder, example = json!({
        "user_id": "user-42", "idempotency_key": "cart-7-1",
        "items": [{"kind": "ticket", "slot_id": "concert-1", "quantity": 2},
                  {"kind": "product", "sku": "shirt-m", "quantity": 1}]})),
    responses((status = 201, description = "The order was placed", body = OrderAnswer),
              (status = 200, description = "The same key placed it before", body = OrderAnswer),
              CreateProblems),
)]
async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Body(order): Body<NewOrder>,
) -> Result<Response, Problem> {
    let cart = cart(order, &headers)?;
    let terms = Terms {
        prefix: &app.rules.order_code_prefix,
        ttl: app.rules.order_ttl,
        policy: app.rules.confirm_policy,
        gates: app.gates.clone(),
    };
    let placed = writing(place(&app.store, &terms, &cart)).await?;
    let placed = placed.map_err(Problem::from)?;
    let order = reading(|| app.store.read_order(&placed.order_code)).await?;
    let order = order.ok_or(Problem::Internal)?;
    let status = match placed.duplicate {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let duplicate = placed.duplicate;
    Ok((status, Json(OrderAnswer { order, duplicate })).into_response())
}

fn cart(order: NewOrder, headers: &HeaderMap) -> Result<Cart, Problem> {
    let key = key_of(&order, headers)?;
    let lines = order.items.into_iter().enumerate();
    let lines: Result<Vec<Line>, Problem> = lines.map(|(at, item)| line(at, item)).collect();
    Cart::new(&order.user_id, &key, lines?).map_err(Problem::from)
}

/// The key, in whichever way it is given.
fn key_of(order: &NewOrder, headers: &HeaderMap) -> Result<String, Problem> {
    let in_body = [&order.idempotency_key, &order.camel_key];
    let mut keys: Vec<&str> = in_body.into_iter().flatten().map(String::as_str).collect();
    for value in headers.get_all(KEY_HEADER) {
        let text = std::str::from_utf8(value.as_bytes());
        keys.push(text.map_err(|_| Problem::from(CartFault::Key))?);
    }
    let missing = "is missing: in the body, or as the header Idempotency-Key";
    let first = *keys
        .first()
        .ok_or_else(|| invalid_body("idempotency_key", missing))?;
    match keys.iter().all(|key| *key == first) {
        true => Ok(first.to_owned()),
        false => Err(keys_differ()),
    }
}

fn keys_differ() -> Problem {
    let detail = "The idempotency keys of body and header are not the same.";
    let status = StatusCode::BAD_REQUEST;
    Problem::particular(status, "idempotency_keys_differ", detail, Value::Null)
}

fn line(at: usize, item: NewItem) -> Result<Line, Problem> {
    let wrong = |name: &str, why: &str| invalid_body(&format!("items[{at}].{name}"), why);
    let ware = match (item.kind, item.slot_id, item.sku) {
        (ItemKind::Ticket, Some(id), None) => Ware::Ticket(id),
        (ItemKind::Product, None, Some(sku)) => Ware::Product(sku),
        (ItemKind::Ticket, None, _) => return Err(wrong("slot_id", "is missing")),
        (ItemKind::Product, _, None) => return Err(wrong("sku", "is missing")),
        (ItemKind::Ticket, Some(_), Some(_)) => {
            return Err(wrong("sku", "does not belong to a ticket"));
        }
        (ItemKind::Product, Some(_), Some(_)) => {
            return Err(wrong("slot_id", "does not belong to a product"));
        }
    };
    let quantity = item.quantity;
    Ok(Line { ware, quantity })
}

impl From<CartFault> for Problem {
    fn from(fault: CartFault) -> Self {
        let (code, field) = match &fault {
            CartFault::UserId => ("invalid_body", "user_id".to_owned()),
            CartFault::Key => ("invalid_body", "idempotency_key".to_owned()),
            CartFault::NoLines => ("no_items", "items".to_owned()),
            CartFault::TooManyLines => ("too_many_items", "items".to_owned()),
            CartFault::WareKey { line } => ("invalid_body", format!("items[{line}]")),
            CartFault::Quantity { line } => ("invalid_quantity", format!("items[{line}].quantity")),
        };
        let detail = capital(&fault.to_string());
        Self::particular(
            StatusCode::BAD_REQUEST,
            code,
            detail,
            json!({ "field": field }),
        )
    }
}

impl From<PlaceError> for Problem {
    fn from(failed: PlaceError) -> Self {
        let particular = |status, code, fields| {
            Self::particular(status, code, capital(&failed.to_string()), fields)
        };
        match &failed {
            PlaceError::KeyReused => particular(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                Value::Null,
            ),
            PlaceError::Unknown(ware) => {
                let code = match ware {
                    Ware::Ticket(_) => "unknown_slot",
                    Ware::Product(_) => "unknown_sku",
                };
                particular(
                    StatusCode::BAD_REQUEST,
                    code,
                    json!({ "item": item_of(ware) }),
                )
            }
            PlaceError::Begun(ware) => particular(
                StatusCode::CONFLICT,
                "event_begun",
                json!({ "item": item_of(ware) }),
            ),
            PlaceError::Short(shortage) => short(shortage),
            PlaceError::Total(fault) => {
                let code = match fault {
                    TotalFault::TooLarge => "amount_too_large",
                    TotalFault::Zero => "nothing_to_pay",
                };
                particular(StatusCode::BAD_REQUEST, code, Value::Null)
            }
            PlaceError::Busy => {
                tracing::warn!("An order was overtaken too often");
                Self::DatabaseUnavailable
            }
            PlaceError::Store(error) => Self::from(error),
            PlaceError::Apply(error) => Self::from(error),
        }
    }
}

/// What everybody hears who wants more than there is.
pub(crate) fn short(shortage: &Shortage) -> Problem {
    let fields = json!({
        "stockIssue": true,
        "availableStock": shortage.available,
        "requestedQuantity": shortage.requested,
        "item": item_of(&shortage.ware),
    });
    let detail = "Not enough is left.";
    Problem::particular(StatusCode::CONFLICT, "insufficient_stock", detail, fields)
}

/// A ware in the words of a request.
fn item_of(ware: &Ware) -> Value {
    match ware {
        Ware::Ticket(id) => json!({ "kind": "ticket", "slot_id": id }),
        Ware::Product(sku) => json!({ "kind": "product", "sku": sku }),
    }
}

/// A sentence.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
