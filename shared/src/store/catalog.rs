//! What is for sale: locking and writing it for operators, listing it for them and for the shop.

use serde::Serialize;
use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError, Txn};
use crate::domain::catalog::{Slot, Variant};

/// A slot with its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlotView {
    /// Its name towards programs.
    pub id: String,
    /// Its name towards people.
    pub name: String,
    /// When the event begins.
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// How many may come.
    pub capacity: i64,
    /// How many of them open orders hold.
    pub reserved: i64,
    /// How many of them paid orders own.
    pub sold: i64,
    /// Rupiah for one.
    pub price: i64,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A variant with its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VariantView {
    /// Its name towards programs.
    pub sku: String,
    /// Its name towards people.
    pub name: String,
    /// How many are there, those included that open orders hold.
    pub stock: i64,
    /// How many of them open orders hold.
    pub reserved: i64,
    /// How many were taken from the stock for paid orders.
    pub sold: i64,
    /// Rupiah for one.
    pub price: i64,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Store {
    /// Locks those of the slots that exist, by id.
    pub async fn catalog_lock_slots_in_txn(
        &self,
        txn: &mut Txn,
        ids: &[&str],
    ) -> Result<Vec<SlotView>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as!(
            SlotView,
            r#"
            SELECT id, name, starts_at, capacity, reserved, sold, price, updated_at
            FROM capacity_slots WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE
            "#,
            ids as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking slots"))
    }

    /// Locks those of the variants that exist, by SKU.
    pub async fn catalog_lock_variants_in_txn(
        &self,
        txn: &mut Txn,
        skus: &[&str],
    ) -> Result<Vec<VariantView>, StoreError> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as!(
            VariantView,
            r#"
            SELECT sku, name, stock, reserved, sold, price, updated_at
            FROM product_variants WHERE sku = ANY($1::text[]) ORDER BY sku FOR NO KEY UPDATE
            "#,
            skus as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking variants"))
    }

    /// Writes slots as operators describe them; their counters stay.
    pub async fn catalog_put_slots_in_txn(
        &self,
        txn: &mut Txn,
        slots: &[&Slot],
    ) -> Result<(), StoreError> {
        if slots.is_empty() {
            return Ok(());
        }
        columns!(slots,
            ids: |s| s.id.as_str(),
            names: |s| s.name.as_str(),
            starts: |s| s.starts_at,
            capacities: |s| s.capacity,
            prices: |s| s.price,
        );
        sqlx::query!(
            r#"
            INSERT INTO capacity_slots (id, name, starts_at, capacity, price)
            SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[],
                                 $5::bigint[]) AS s (id, name, starts_at, capacity, price)
            ORDER BY s.id
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, starts_at = excluded.starts_at,
                capacity = excluded.capacity, price = excluded.price, updated_at = now()
            "#,
            ids as _,
            names as _,
            &starts,
            &capacities,
            &prices,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing slots"))?;
        Ok(())
    }

    /// Writes variants as operators describe them; their counters stay.
    pub async fn catalog_put_variants_in_txn(
        &self,
        txn: &mut Txn,
        variants: &[&Variant],
    ) -> Result<(), StoreError> {
        if variants.is_empty() {
            return Ok(());
        }
        columns!(variants,
            skus: |v| v.sku.as_str(),
            names: |v| v.name.as_str(),
            stocks: |v| v.stock,
            prices: |v| v.price,
        );
        sqlx::query!(
            r#"
            INSERT INTO product_variants (sku, name, stock, price)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
                AS v (sku, name, stock, price)
            ORDER BY v.sku
            ON CONFLICT (sku) DO UPDATE
            SET name = excluded.name, stock = excluded.stock, price = excluded.price,
                updated_at = now()
            "#,
            skus as _,
            names as _,
            &stocks,
            &prices,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing variants"))?;
        Ok(())
    }

    /// Slots by id, after the given one; with `open_only` those whose event has not begun.
    pub async fn catalog_slots(
        &self,
        after: &str,
        open_only: bool,
        limit: i64,
    ) -> Result<Vec<SlotView>, StoreError> {
        sqlx::query_as!(
            SlotView,
            r#"
            SELECT id, name, starts_at, capacity, reserved, sold, price, updated_at
            FROM capacity_slots
            WHERE id > $1 AND (NOT $2::bool OR starts_at > now()) ORDER BY id LIMIT $3
            "#,
            after,
            open_only,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading slots"))
    }

    /// Variants by SKU, after the given one.
    pub async fn catalog_variants(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<VariantView>, StoreError> {
        sqlx::query_as!(
            VariantView,
            r#"
            SELECT sku, name, stock, reserved, sold, price, updated_at
            FROM product_variants WHERE sku > $1 ORDER BY sku LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading variants"))
    }
}
