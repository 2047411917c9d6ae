//! The shop's stories: catalog, orders and payments through the public API, paid in the simulator.
//!
//! Beside the stories of `play::story`, which tell what notifications do, these tell what a
//! customer gets: tickets, a pickup code, and what is left for others. Each has a slot and a
//! variant of its own, so that what is left of them tells about it alone.

mod story;

mod acts;

mod front;

mod visit;

mod tell;

use futures::future::join_all;

use super::STORY_BOUND;
use super::scene::Scene;
pub(super) use front::Front;
use story::STORIES;
pub(super) use tell::text;
pub use tell::{Bought, Visited};
use visit::Visit;

/// Plays every story; what they showed, and the sessions that the gateway knows of.
pub(super) async fn play(scene: &Scene) -> (Vec<Visited>, Vec<String>) {
    let Some(front) = &scene.front else {
        return Default::default();
    };
    let stories = STORIES.iter().enumerate().map(|(number, story)| {
        let visit = Visit::new(scene, front, story, scene.mark(number));
        one(visit)
    });
    let played = join_all(stories).await;
    let (visited, sessions): (Vec<_>, Vec<_>) = played.into_iter().unzip();
    (visited, sessions.concat())
}

async fn one(visit: Visit<'_>) -> (Visited, Vec<String>) {
    let story = visit.story();
    let told = async {
        visit.open().await?;
        (story.act)(&visit).await?;
        visit.look_at_shelf().await
    };
    let (broken_off, wrong) = match tokio::time::timeout(STORY_BOUND, told).await {
        Err(_) => {
            let why = format!("the story took longer than {STORY_BOUND:?}");
            (Some(why), None)
        }
        Ok(Err(error)) => (Some(format!("{error:#}")), None),
        Ok(Ok(left)) if left == story.left => (None, None),
        Ok(Ok(left)) => {
            let wrong = format!("must leave {:?}, leaves {left:?}", story.left);
            (None, Some(wrong))
        }
    };
    let mut notes = visit.notes();
    notes.bought.extend(broken_off.map(Bought::broken_off));
    // Whose story it is comes first, however late its end was.
    notes.bought.sort_by_key(|bought| !bought.whose.is_empty());
    let visited = Visited {
        story: story.title,
        slot: visit.slot(),
        sku: visit.sku(),
        bought: notes.bought,
        places: notes.places,
        pieces: notes.pieces,
        wrong,
    };
    (visited, notes.sessions)
}
