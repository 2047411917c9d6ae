//! Which notification belongs to which path.

use shared::domain::notice::bi_snap::Product;

/// What a path takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Classic payment notifications.
    Classic,
    /// GoPay account linking.
    PayAccount,
    /// Subscriptions.
    Recurring,
    /// Payouts.
    Payouts,
    /// The BI-SNAP family.
    BiSnap(Product),
}

impl Route {
    /// The route of a path; `prefix` is that of the BI-SNAP notification URL.
    pub(crate) fn of(path: &str, prefix: &str) -> Option<Self> {
        match path {
            // The second is what shops commonly have already.
            "/webhooks/midtrans" | "/api/payments/webhook" => Some(Self::Classic),
            "/webhooks/midtrans/pay-account" => Some(Self::PayAccount),
            "/webhooks/midtrans/recurring" => Some(Self::Recurring),
            "/webhooks/midtrans/payouts" => Some(Self::Payouts),
            _ => Product::of_path(path.strip_prefix(prefix)?).map(Self::BiSnap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_routes_and_others_nowhere() {
        let of = |path: &str| Route::of(path, "/webhooks/bi-snap");
        assert_eq!(of("/webhooks/midtrans"), Some(Route::Classic));
        assert_eq!(of("/webhooks/midtrans/payouts"), Some(Route::Payouts));
        for product in Product::ALL {
            let path = format!("/webhooks/bi-snap{}", product.path());
            assert_eq!(of(&path), Some(Route::BiSnap(product)));
            assert_eq!(of(product.path()), None);
            assert_eq!(Route::of(product.path(), ""), Some(Route::BiSnap(product)));
        }
        for path in ["/", "/webhooks/midtrans/", "/webhooks/bi-snap", "/webhooks"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
