//! The stories of the shop: what is on the shelf, what happens, what must be left.

use futures::future::LocalBoxFuture;

use super::acts;
use super::front::Left;
use super::visit::Visit;

/// One story. Its wares are its own, so that what is left of them is its own doing.
pub(super) struct Story {
    /// What happens, in few words.
    pub(super) title: &'static str,
    /// Places and pieces on sale.
    pub(super) stock: Left,
    /// Places and pieces that can be had at the end.
    pub(super) left: Left,
    /// Makes it happen.
    pub(super) act: for<'a> fn(&'a Visit<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>>,
}

/// Shorthand for the table below: the acts are async functions, the table holds pointers.
macro_rules! story {
    ($title:literal, $stock:expr => $left:expr, $act:ident) => {
        Story {
            title: $title,
            stock: $stock,
            left: $left,
            act: |visit| Box::pin(acts::$act(visit)),
        }
    };
}

/// Every story.
pub(super) const STORIES: &[Story] = &[
    story!("paid by GoPay", (4, 4) => (2, 3), paid),
    story!("paid on the Snap page", (4, 4) => (2, 3), paid_on_a_page),
    story!("paid by QRIS, came", (4, 4) => (2, 3), came_and_used),
    story!("clicked ten times", (4, 4) => (2, 3), clicked_ten_times),
    story!("method changed", (4, 4) => (2, 3), method_changed),
    story!("never paid", (4, 4) => (4, 4), expired),
    story!("paid too late, some left", (4, 4) => (2, 3), paid_too_late),
    story!("paid too late, none left", (2, 4) => (0, 3), paid_when_it_was_gone),
    story!("refunded", (4, 4) => (4, 4), refunded),
    story!("ordered twice at once", (4, 4) => (2, 3), ordered_twice),
    story!("last seat, two customers", (1, 4) => (0, 4), last_seat),
];
