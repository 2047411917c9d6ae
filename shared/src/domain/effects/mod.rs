//! What an order's status demands, compared with what is there (design 4.3).
//!
//! The plan is the difference, so planning again after it was carried out gives an empty one: a
//! retry, a repeated notification and the reconciler all end in the same rows. Whether what was
//! released can be had again is the projection's business ([`super::projection::Hold`]); carrying a
//! plan out is `apply`'s.

use super::projection::OrderStatus;

/// A line of an order, and what was handed out for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub item_id: i64,
    /// What it is a line of.
    pub goods: Goods,
    /// How many.
    pub quantity: i64,
    /// The numbers of the tickets that are valid, sorted; from 1 to the quantity.
    pub tickets: Vec<i64>,
}

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goods {
    /// Admission; the slot.
    Ticket(String),
    /// A product; its SKU.
    Product(String),
}

/// What an order has of one kind of goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holding {
    /// Reserved for it.
    Reserved,
    /// Sold to it.
    Owned,
    /// Given back.
    Free,
}

/// What there is of an order.
#[derive(Debug, Clone)]
pub struct Holdings<'a> {
    /// Its lines.
    pub lines: &'a [Line],
    /// What its tickets hold of the slots.
    pub capacity: Holding,
    /// What its products hold of the stock.
    pub stock: Holding,
    /// It has a pickup code.
    pub has_pickup_code: bool,
    /// Its goods were handed over: nothing can take them back.
    pub picked_up: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tickets to issue: line and number.
    pub issue: Vec<(i64, i64)>,
    /// Lines whose valid tickets become void.
    pub void: Vec<i64>,
    /// What happens to the capacity of all ticket lines.
    pub capacity: Option<Move>,
    /// What happens to the stock of all product lines.
    pub stock: Option<Move>,
    /// What happens to the pickup code.
    pub pickup: Option<PickupChange>,
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of what an order holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Move {
    /// What it has.
    pub from: Holding,
    /// What it is to have.
    pub to: Holding,
}

impl Move {
    /// How much the counter of what is reserved changes for each piece.
    pub const fn reserved(self) -> i64 {
        self.to.counts_as_reserved() - self.from.counts_as_reserved()
    }

    /// How much the counter of what is sold changes for each piece.
    pub const fn sold(self) -> i64 {
        self.to.counts_as_sold() - self.from.counts_as_sold()
    }
}

impl Holding {
    const fn counts_as_reserved(self) -> i64 {
        matches!(self, Self::Reserved) as i64
    }

    const fn counts_as_sold(self) -> i64 {
        matches!(self, Self::Owned) as i64
    }
}

/// What happens to a pickup code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PickupChange {
    /// One is made.
    Make,
    /// It is taken back.
    Revoke,
}

/// What a status asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Everything is reserved, nothing handed out.
    Wait,
    /// Everything is handed out.
    Fulfil,
    /// Everything is given back.
    Release,
    /// Nothing new; what is there stays.
    Stand,
}

impl Demand {
    const fn of(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Self::Wait,
            OrderStatus::Paid | OrderStatus::PartiallyRefunded => Self::Fulfil,
            OrderStatus::Review => Self::Stand,
            OrderStatus::Expired
            | OrderStatus::Failed
            | OrderStatus::Cancelled
            | OrderStatus::Refunded
            | OrderStatus::Chargeback => Self::Release,
        }
    }
}

/// The difference between what `status` demands and what is there. `reserve_again`: what was given
/// back can be had again, and the projection counted on it.
pub fn plan(status: OrderStatus, holdings: &Holdings<'_>, reserve_again: bool) -> Plan {
    let demand = Demand::of(status);
    let mut plan = Plan::default();
    let (mut has_tickets, mut has_products) = (false, false);
    for line in holdings.lines {
        match line.goods {
            Goods::Ticket(_) => {
                has_tickets = true;
                admissions(demand, line, &mut plan);
            }
            Goods::Product(_) => has_products = true,
        }
    }
    if has_tickets {
        plan.capacity = change(holdings.capacity, demand, reserve_again);
    }
    // What the customer has carried away is neither free nor reserved, whatever became of the money.
    if has_products && !holdings.picked_up {
        plan.stock = change(holdings.stock, demand, reserve_again);
        plan.pickup = match (demand, holdings.has_pickup_code) {
            (Demand::Fulfil, false) => Some(PickupChange::Make),
            (Demand::Wait | Demand::Release, true) => Some(PickupChange::Revoke),
            (Demand::Fulfil, true)
            | (Demand::Wait | Demand::Release, false)
            | (Demand::Stand, _) => None,
        };
    }
    plan
}

fn admissions(demand: Demand, line: &Line, plan: &mut Plan) {
    match demand {
        Demand::Fulfil => {
            let missing =
                (1..=line.quantity).filter(|seq| line.tickets.binary_search(seq).is_err());
            plan.issue.extend(missing.map(|seq| (line.item_id, seq)));
        }
        Demand::Wait | Demand::Release if !line.tickets.is_empty() => plan.void.push(line.item_id),
        Demand::Wait | Demand::Release | Demand::Stand => {}
    }
}

fn change(from: Holding, demand: Demand, reserve_again: bool) -> Option<Move> {
    let to = match demand {
        Demand::Wait => Holding::Reserved,
        Demand::Fulfil => Holding::Owned,
        Demand::Release => Holding::Free,
        Demand::Stand if from == Holding::Free && reserve_again => Holding::Reserved,
        Demand::Stand => from,
    };
    (to != from).then_some(Move { from, to })
}

#[cfg(test)]
mod tests;
