//! The README's shop of curl, run as it stands there against a whole fleet.

use std::path::Path;
use std::time::Duration;

use lunas_tests::harness::tools::run_to_end;
use lunas_tests::harness::{OPERATOR_TOKEN, SHOP_TOKEN, Shop, run_folder, unique_word};
use tokio::process::Command;

/// What the block stands under.
const HEADING: &str = "## A shop in under 40 lines of curl\n";

/// Its lines are fewer than this.
const LINES: usize = 40;

#[tokio::test]
async fn the_shop_of_curl_sells_two_tickets_and_a_shirt() {
    let script = block_under(HEADING);
    let lines = script.lines().count();
    assert!(lines < LINES, "the block has {lines} lines");

    let mut shop = Shop::open_with(|fleet| fleet.workers(1).selling()).await;
    let api = shop.fleet.api(0);
    let (front, admin) = (api.addr("API_ADDR"), api.addr("ADMIN_ADDR"));
    let folder = run_folder().join(format!("readme-{}", unique_word()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", &script])
        .current_dir(&folder)
        .env("SHOP", format!("http://{front}"))
        .env("ADMIN", format!("http://{admin}"))
        .env("SIM", shop.sim.base_url())
        .env("TOKEN", SHOP_TOKEN)
        .env("OPERATOR_TOKEN", OPERATOR_TOKEN)
        .env("NO_PROXY", "127.0.0.1");
    let ran = run_to_end(&mut bash, Duration::from_secs(60)).await;
    let printed = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{printed}\n{complaint}");

    let pool = shop.stage().pool();
    let (code, pickup, handed_over): (String, String, bool) = sqlx::query_as(
        "SELECT order_code, pickup_code, picked_up_at IS NOT NULL FROM orders WHERE status = 'PAID'",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert!(handed_over, "the goods are still at the counter");
    let tickets: Vec<String> =
        sqlx::query_scalar("SELECT code FROM tickets WHERE used_at IS NOT NULL")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!(tickets.len(), 2, "not everybody came in:\n{printed}");
    for shown in [&code, &pickup].into_iter().chain(&tickets) {
        assert!(printed.contains(shown), "{shown} is not in:\n{printed}");
    }
    for ticket in &tickets {
        let picture = std::fs::read(folder.join(format!("{ticket}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    shop.close().await;
}

/// The first block of shell under a heading of the README.
fn block_under(heading: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("there is a README");
    let section = readme.split_once(heading);
    let (_, section) = section.unwrap_or_else(|| panic!("no heading {heading:?}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let block = section.split_once("```sh\n");
    let (_, block) = block.unwrap_or_else(|| panic!("no block of shell under {heading:?}"));
    let block = block.split_once("\n```");
    let (block, _) = block.unwrap_or_else(|| panic!("the block does not end"));
    block.to_owned()
}
