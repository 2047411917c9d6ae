//! What is for sale: operators write and list it, the shop sees what can be had.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::catalog::{Entries, Fate, Mode, Report};
use shared::domain::catalog::{Fault, Slot, Variant, is_id, parse_moment};
use shared::store::Store;
use shared::store::catalog::{SlotView, VariantView};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::body::{Body, invalid_body};
use crate::openapi::problems;
use crate::paging::{self, Asked, Cursor, Items, Page};
use crate::problem::Problem;
use crate::reading::{reading, writing};

pub(crate) fn shop_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(for_sale))
}

pub(crate) fn viewer_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(slots))
        .routes(routes!(variants))
}

pub(crate) fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(put_slot))
        .routes(routes!(put_variant))
}

problems!(ListProblems: Problem::BadRequest, paging::NO_CURSOR);
problems!(PutProblems: NO_ID, invalid_body("price", "is missing"), below_taken(12));

/// What is wrong with an id that no entry can have.
const NO_ID: Problem =
    Problem::InvalidParameter("The id must be 1 to 64 letters, digits, '.', '_' and '-'.");

/// An event's capacity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SlotBody {
    /// Its name towards people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// When the event begins: from then on nothing is sold.
    #[schema(format = DateTime)]
    starts_at: String,
    /// How many may come.
    #[schema(minimum = 0, maximum = 10_000_000)]
    capacity: i64,
    /// Rupiah for one.
    #[schema(minimum = 0, maximum = 999_999_999_999_i64)]
    price: i64,
}

/// A product's stock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VariantBody {
    /// Its name towards people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// How many are there, those included that open orders hold.
    #[schema(minimum = 0, maximum = 10_000_000)]
    stock: i64,
    /// Rupiah for one.
    #[schema(minimum = 0, maximum = 999_999_999_999_i64)]
    price: i64,
}

/// What became of an entry.
#[derive(Debug, Serialize, ToSchema)]
struct PutAnswer {
    /// `created`, `changed` or `unchanged`.
    result: &'static str,
}

/// Something that can be ordered.
#[derive(Debug, Serialize, ToSchema)]
struct ForSale {
    /// `ticket` or `product`.
    kind: &'static str,
    /// The slot, of a ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_id: Option<String>,
    /// The variant, of a product.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    /// Its name.
    name: String,
    /// When the event begins, of a ticket.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    starts_at: Option<OffsetDateTime>,
    /// Rupiah for one.
    price: i64,
    /// How many can be had now.
    available: i64,
}

/// Create or change a slot
///
/// Its capacity cannot be less than what is reserved and sold.
#[utoipa::path(put, path = "/admin/catalog/slots/{id}", tag = "catalog",
    params(("id" = String, Path, description = "1 to 64 letters, digits, '.', '_' and '-'")),
    request_body = SlotBody,
    responses((status = 200, description = "Written", body = PutAnswer), PutProblems))]
async fn put_slot(
    State(store): State<Store>,
    EntryId(id): EntryId,
    Body(body): Body<SlotBody>,
) -> Result<Json<PutAnswer>, Problem> {
    let slot = Slot {
        id,
        name: body.name,
        starts_at: parse_moment("starts_at", &body.starts_at).map_err(|f| faulty(&f))?,
        capacity: body.capacity,
        price: body.price,
    };
    first_fault(&slot.faults())?;
    let slots = vec![slot];
    let entries = Entries {
        slots,
        ..Entries::default()
    };
    put_entry(&store, &entries).await
}

/// Create or change a variant
///
/// Its stock cannot be less than what is reserved; what was sold is out of the stock already.
#[utoipa::path(put, path = "/admin/catalog/variants/{sku}", tag = "catalog",
    params(("sku" = String, Path, description = "1 to 64 letters, digits, '.', '_' and '-'")),
    request_body = VariantBody,
    responses((status = 200, description = "Written", body = PutAnswer), PutProblems))]
async fn put_variant(
    State(store): State<Store>,
    EntryId(sku): EntryId,
    Body(body): Body<VariantBody>,
) -> Result<Json<PutAnswer>, Problem> {
    let variant = Variant {
        sku,
        name: body.name,
        stock: body.stock,
        price: body.price,
    };
    first_fault(&variant.faults())?;
    let variants = vec![variant];
    let entries = Entries {
        variants,
        ..Entries::default()
    };
    put_entry(&store, &entries).await
}

async fn put_entry(store: &Store, entries: &Entries) -> Result<Json<PutAnswer>, Problem> {
    let report: Report = writing(shared::catalog::put(store, entries, Mode::Write)).await??;
    let fate = report.slots.first().or(report.variants.first());
    let result = match fate {
        Some(Fate::Created) => "created",
        Some(Fate::Changed) => "changed",
        Some(Fate::Unchanged) | None => "unchanged",
        Some(Fate::BelowTaken { taken }) => return Err(below_taken(*taken)),
    };
    Ok(Json(PutAnswer { result }))
}

fn below_taken(taken: i64) -> Problem {
    let detail = format!("{taken} are reserved or sold; there cannot be fewer.");
    let fields = json!({ "taken": taken });
    Problem::particular(StatusCode::CONFLICT, "below_taken", detail, fields)
}

fn first_fault(faults: &[Fault]) -> Result<(), Problem> {
    faults.first().map_or(Ok(()), |fault| Err(faulty(fault)))
}

fn faulty(fault: &Fault) -> Problem {
    invalid_body(fault.field, fault.why)
}

/// List slots
#[utoipa::path(get, path = "/admin/catalog/slots", tag = "catalog", params(Asked),
    responses((status = 200, description = "A page of them, by id", body = Items<SlotView>), ListProblems))]
async fn slots(
    State(store): State<Store>,
    page: Page<Key>,
) -> Result<Json<Items<SlotView>>, Problem> {
    let slots = reading(|| store.catalog_slots(&page.after.0, false, page.to_read())).await?;
    Ok(Json(page.of(slots, |slot| Key(slot.id.clone()))))
}

/// List variants
#[utoipa::path(get, path = "/admin/catalog/variants", tag = "catalog", params(Asked),
    responses((status = 200, description = "A page of them, by SKU", body = Items<VariantView>), ListProblems))]
async fn variants(
    State(store): State<Store>,
    page: Page<Key>,
) -> Result<Json<Items<VariantView>>, Problem> {
    let variants = reading(|| store.catalog_variants(&page.after.0, page.to_read())).await?;
    Ok(Json(page.of(variants, |variant| Key(variant.sku.clone()))))
}

/// List what is for sale
///
/// Tickets of events that have not begun, by slot, then products, by SKU.
#[utoipa::path(get, path = "/api/catalog", tag = "orders", params(Asked),
    responses((status = 200, description = "A page of it: tickets, then products",
               body = Items<ForSale>), ListProblems))]
async fn for_sale(
    State(store): State<Store>,
    page: Page<Ware>,
) -> Result<Json<Items<ForSale>>, Problem> {
    let wanted = page.to_read();
    let mut found: Vec<ForSale> = Vec::new();
    if let Ware::Slot(after) = &page.after {
        let slots = reading(|| store.catalog_slots(after, true, wanted)).await?;
        found.extend(slots.into_iter().map(ForSale::from));
    }
    let left = wanted - i64::try_from(found.len()).unwrap_or(wanted);
    if left > 0 {
        let after = match &page.after {
            Ware::Variant(after) => after.as_str(),
            Ware::Slot(_) => "",
        };
        let variants = reading(|| store.catalog_variants(after, left)).await?;
        found.extend(variants.into_iter().map(ForSale::from));
    }
    Ok(Json(page.of(found, ForSale::place)))
}

impl ForSale {
    fn place(&self) -> Ware {
        match (&self.slot_id, &self.sku) {
            (Some(id), _) => Ware::Slot(id.clone()),
            (None, sku) => Ware::Variant(sku.clone().unwrap_or_default()),
        }
    }
}

impl From<SlotView> for ForSale {
    fn from(slot: SlotView) -> Self {
        Self {
            kind: "ticket",
            slot_id: Some(slot.id),
            sku: None,
            name: slot.name,
            starts_at: Some(slot.starts_at),
            price: slot.price,
            available: slot.capacity - slot.reserved - slot.sold,
        }
    }
}

impl From<VariantView> for ForSale {
    fn from(variant: VariantView) -> Self {
        Self {
            kind: "product",
            slot_id: None,
            sku: Some(variant.sku),
            name: variant.name,
            starts_at: None,
            price: variant.price,
            available: variant.stock - variant.reserved,
        }
    }
}

/// The id of an entry, from the path.
struct EntryId(String);

impl<S: Send + Sync> FromRequestParts<S> for EntryId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| NO_ID)?;
        match is_id(&id) {
            true => Ok(Self(id)),
            false => Err(NO_ID),
        }
    }
}

/// The place of an entry among its own kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key(String);

impl Cursor for Key {
    fn start() -> Self {
        Self(String::new())
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }

    fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.to_owned()))
    }
}

/// The place of something for sale: slots come before variants.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ware {
    Slot(String),
    Variant(String),
}

impl Cursor for Ware {
    fn start() -> Self {
        Self::Slot(String::new())
    }

    fn to_text(&self) -> String {
        match self {
            Self::Slot(id) => format!("t.{id}"),
            Self::Variant(sku) => format!("p.{sku}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, key) = text.split_once('.')?;
        let key = is_id(key).then(|| key.to_owned())?;
        match kind {
            "t" => Some(Self::Slot(key)),
            "p" => Some(Self::Variant(key)),
            _ => None,
        }
    }
}
