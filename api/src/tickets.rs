//! Tickets: the picture of a ticket's code, and the gate where a ticket admits once.

use axum::Json;
use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde::Serialize;
use serde_json::{Value, json};
use shared::orders::Admission;
use shared::store::Store;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::openapi::problems;
use crate::problem::Problem;
use crate::reading::{reading, writing};
use crate::tokens::Caller;

/// Longer than any ticket's code.
const LONGEST: usize = 100;
/// Pixels of one module of the picture.
const SCALE: usize = 8;
/// White modules around it, as the standard asks.
const QUIET: usize = 4;

pub(crate) fn shop_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(picture))
}

pub(crate) fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(admit))
}

problems!(PictureProblems: Problem::NotFound, unknown());
problems!(AdmitProblems:
    unknown(),
    used_before(OffsetDateTime::UNIX_EPOCH),
    voided(OffsetDateTime::UNIX_EPOCH),
);

/// Somebody may come in.
#[derive(Debug, Serialize, ToSchema)]
struct AdmittedAnswer {
    /// Always true.
    admitted: bool,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    used_at: OffsetDateTime,
    /// The order it belongs to.
    order_code: String,
    /// The slot it admits to.
    slot_id: String,
    /// Which of its line's tickets it is, from 1.
    seq: i64,
}

/// Show a ticket's code as a QR picture
#[utoipa::path(get, path = "/api/tickets/{file}", tag = "orders",
    params(("file" = String, Path, description = "The ticket's code with `.png` or `.svg`")),
    responses((status = 200, description = "The picture",
               content((Vec<u8> = "image/png"), (String = "image/svg+xml"))), PictureProblems))]
async fn picture(State(store): State<Store>, Segment(file): Segment) -> Result<Response, Problem> {
    let (code, format) = file.rsplit_once('.').ok_or(Problem::NotFound)?;
    let draw: fn(&QrCode) -> Option<Response> = match format {
        "png" => png,
        "svg" => svg,
        _ => return Err(Problem::NotFound),
    };
    let is_valid = reading(|| store.counter_ticket_is_valid(code)).await?;
    if !is_valid {
        return Err(unknown());
    }
    let qr = QrCode::with_error_correction_level(code, EcLevel::M);
    qr.ok().as_ref().and_then(draw).ok_or(Problem::Internal)
}

fn svg(qr: &QrCode) -> Option<Response> {
    let picture = qr
        .render::<svg::Color<'_>>()
        .module_dimensions(8, 8)
        .quiet_zone(true)
        .build();
    Some(([(CONTENT_TYPE, "image/svg+xml")], picture).into_response())
}

fn png(qr: &QrCode) -> Option<Response> {
    let (side, pixels) = pixels(qr);
    let mut picture = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = png::Encoder::new(&mut picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(([(CONTENT_TYPE, "image/png")], picture).into_response())
}

/// The side of the square and its pixels, 0 for black.
fn pixels(qr: &QrCode) -> (usize, Vec<u8>) {
    let modules = qr.width();
    let colors = qr.to_colors();
    let side = (modules + 2 * QUIET) * SCALE;
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| (at / SCALE).checked_sub(QUIET).filter(|at| *at < modules);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => colors[y * modules + x] == qrcode::Color::Dark,
            _ => false,
        }
    };
    let rows = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let pixels = rows.map(|(x, y)| if is_dark(x, y) { 0 } else { 255 });
    (side, pixels.collect())
}

/// Admit somebody with a ticket, once
#[utoipa::path(post, path = "/admin/tickets/{code}/use", tag = "counter",
    params(("code" = String, Path, description = "What the ticket's picture says")),
    responses((status = 200, description = "Admitted", body = AdmittedAnswer), AdmitProblems))]
async fn admit(
    State(store): State<Store>,
    Extension(caller): Extension<Caller>,
    Segment(code): Segment,
) -> Result<Json<AdmittedAnswer>, Problem> {
    match writing(shared::orders::admit(&store, &code, &caller.name)).await?? {
        Admission::Admitted {
            at,
            order_code,
            slot_id,
            seq,
        } => Ok(Json(AdmittedAnswer {
            admitted: true,
            used_at: at,
            order_code,
            slot_id,
            seq,
        })),
        Admission::UsedBefore { at } => Err(used_before(at)),
        Admission::Voided { at } => Err(voided(at)),
        Admission::Unknown => Err(unknown()),
    }
}

fn unknown() -> Problem {
    let detail = "There is no valid ticket of this code.";
    Problem::particular(
        StatusCode::NOT_FOUND,
        "ticket_not_found",
        detail,
        Value::Null,
    )
}

fn used_before(at: OffsetDateTime) -> Problem {
    let fields = json!({ "used_at": at.format(&Rfc3339).ok() });
    let detail = "The ticket was used before.";
    Problem::particular(StatusCode::CONFLICT, "ticket_used", detail, fields)
}

fn voided(at: OffsetDateTime) -> Problem {
    let fields = json!({ "voided_at": at.format(&Rfc3339).ok() });
    let detail = "The ticket was voided.";
    Problem::particular(StatusCode::CONFLICT, "ticket_voided", detail, fields)
}

/// A part of the path that can be a ticket's code.
struct Segment(String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| unknown())?;
        match text.len() <= LONGEST && !text.chars().any(char::is_control) {
            true => Ok(Self(text)),
            false => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_a_white_frame_and_the_corner_of_a_code() {
        let qr = QrCode::with_error_correction_level("K7FQ3X", EcLevel::M).unwrap();
        let (side, pixels) = pixels(&qr);
        assert_eq!(pixels.len(), side * side);
        let at = |x: usize, y: usize| pixels[y * SCALE * side + x * SCALE];
        assert!((0..QUIET).all(|i| at(i, i) == 255));
        // The finder pattern: seven dark modules, then a light one.
        assert!((QUIET..QUIET + 7).all(|x| at(x, QUIET) == 0));
        assert_eq!(at(QUIET + 7, QUIET), 255);
    }
}
