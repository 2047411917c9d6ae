//! A player: takes orders through everything that can happen to them, by the front door.
//!
//! The simulator charges, pays and notifies; ingest, queue, worker and PostgreSQL do the rest.
//! [`play`] runs every story of `story` for several orders at once, and those of `checkout`, waits for each order's
//! end, lets everything settle, reads it all again and answers a [`Report`]. It judges by what the
//! shop's API, the database and the broker say, never by what the fleet claims of itself.

mod story;

mod acts;

mod checkout;

mod order;

mod scene;

mod shop;

mod account;

mod books;

mod report;

mod table;

use std::time::Duration;

use futures::future::{join, join_all};

use crate::harness::{audit, try_wait_for};
use account::Account;
use books::Books;
pub use checkout::{Bought, Visited};
use order::Order;
pub use report::{Line, Report};
use scene::Scene;
use story::{STORIES, Story};

/// How long an order may take to its end, usually. Generous: it only costs time when something is
/// wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long the steps of a story may take together; longer than one wait in it, which has more to
/// say about what is missing.
const STORY_BOUND: Duration = Duration::from_secs(90);

/// Where the fleet is and how much to play.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of an ingest.
    pub ingest: String,
    /// Base URL of the simulator that notifies it.
    pub sim: String,
    /// The simulator's server key.
    pub server_key: String,
    /// Base URL of the shop API and a token of role `shop`; without it orders are read from the
    /// database.
    pub api: Option<(String, String)>,
    /// Base URL of the operators' API and a token of role `operator`; without both APIs the
    /// shop's stories are not played.
    pub admin: Option<(String, String)>,
    /// The fleet's database.
    pub database_url: String,
    /// The fleet's broker.
    pub amqp_url: String,
    /// Orders per story.
    pub orders: u32,
    /// How long each wait may last: [`PATIENCE`], unless it is known that something is wrong.
    pub patience: Duration,
}

/// Plays every story and reports how each order ended.
///
/// # Errors
/// When the fleet cannot be reached at all; what goes wrong with a story is in the report.
pub async fn play(settings: &Settings) -> anyhow::Result<Report> {
    let scene = Scene::open(settings).await?;
    let played = STORIES.iter().enumerate().flat_map(|(number, story)| {
        let scene = &scene;
        (1..=settings.orders).map(move |nth| one(scene, story, scene.code(number, nth)))
    });
    let (played, (shop, sessions)) = join(join_all(played), checkout::play(&scene)).await;
    let books = settle(&scene, &played, sessions).await?;
    let mut lines = Vec::with_capacity(played.len());
    for (order, trouble) in &played {
        lines.push(line(&scene, order, trouble.as_deref()).await?);
    }
    let broken = audit::violations(&scene.pool).await;
    Ok(Report {
        lines,
        shop,
        books,
        broken,
    })
}

/// Plays one story for one order and waits for its end; what went wrong, if anything did.
async fn one<'a>(
    scene: &'a Scene,
    story: &'static Story,
    code: String,
) -> (Order<'a>, Option<String>) {
    let order = Order::new(scene, story, code);
    let acted = tokio::time::timeout(STORY_BOUND, (story.act)(&order)).await;
    let trouble = match acted {
        Err(_) => Some(format!("the story took longer than {STORY_BOUND:?}")),
        Ok(Err(error)) => Some(format!("{error:#}")),
        Ok(Ok(())) => order.wait_for_its_end().await.err(),
    };
    (order, trouble)
}

/// Waits until nothing is under way any more and the ledger closes, and reads the books then. A
/// ledger that does not close is in the report, not an error.
async fn settle(
    scene: &Scene,
    played: &[(Order<'_>, Option<String>)],
    of_the_shop: Vec<String>,
) -> anyhow::Result<Books> {
    scene.sim.get("/sim/idle?wait_ms=60000").await?;
    let sessions: Vec<String> = played
        .iter()
        .flat_map(|(order, _)| order.sessions())
        .chain(of_the_shop)
        .collect();
    let direct: Vec<u16> = played
        .iter()
        .flat_map(|(order, _)| order.answers())
        .collect();
    let mut last = Books::read(scene, &sessions, &direct).await?;
    // What was seen last tells more than the wait's own words.
    let _ = try_wait_for(scene.patience, async || {
        last = Books::read(scene, &sessions, &direct)
            .await
            .map_err(|error| format!("{error:#}"))?;
        last.balance().map_err(|difference| difference.to_string())
    })
    .await;
    Ok(last)
}

async fn line(scene: &Scene, order: &Order<'_>, trouble: Option<&str>) -> anyhow::Result<Line> {
    let end = order.look().await?;
    let account = Account::read(scene, order).await?;
    let wrong = match trouble {
        Some(trouble) => Some(trouble.to_owned()),
        None => order.story().judge(&end, &account).err(),
    };
    Ok(Line {
        code: order.shown_code(),
        story: order.story().title,
        account,
        end,
        lag: books::lag(&scene.pool, order).await?,
        wrong,
    })
}
