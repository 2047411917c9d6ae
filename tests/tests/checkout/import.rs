//! `lunas catalog import`: all of a file or nothing of it; and `lunas order show`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use lunas_tests::harness::{Stage, Storefront, program, run_folder, tickets, unique_word};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::{count, slot, storefront, text, variant};

const ENTRIES: &str =
    "SELECT (SELECT count(*) FROM capacity_slots) + (SELECT count(*) FROM product_variants)";

/// How a run of `lunas` ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

async fn lunas(stage: &Stage, arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(program("lunas"))
        .args(arguments)
        .env("DATABASE_URL", stage.database().url())
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let run = async {
        // A command that does not read its input closes it.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    };
    let output = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file that is gone with the run.
fn file(ending: &str, contents: &str) -> PathBuf {
    let path = run_folder().join(format!("catalog_{}.{ending}", unique_word()));
    std::fs::write(&path, contents).unwrap();
    path
}

const CSV: &str = "id,sku,name,starts_at,capacity,stock,price\r\n\
    concert-1,,\"Konser, malam 1\",2099-07-18T19:00:00+07:00,500,,150000\r\n\
    concert-2,,Konser malam 2,2099-07-19T19:00:00+07:00,500,,150000\r\n\
    ,shirt-m,Kaus M,,,40,90000\r\n";

#[tokio::test]
async fn a_file_is_imported_and_again_changes_nothing() {
    let stage = Stage::new().await;
    let path = file("csv", CSV);
    let path = path.to_str().unwrap();
    let import = ["catalog", "import", path, "--json"];

    let dry = lunas(
        &stage,
        &["catalog", "import", path, "--json", "--dry-run"],
        "",
    )
    .await;
    let counts = |imported: bool, dry_run: bool, n: [u8; 3]| {
        json!({"imported": imported, "dry_run": dry_run, "created": n[0], "changed": n[1],
               "unchanged": n[2]})
    };
    assert_eq!(dry.json(0), counts(false, true, [3, 0, 0]));
    assert_eq!(count(stage.pool(), ENTRIES).await, 0);

    assert_eq!(
        lunas(&stage, &import, "").await.json(0),
        counts(true, false, [3, 0, 0])
    );
    assert_eq!(slot(stage.pool(), "concert-1").await, (500, 0, 0));
    assert_eq!(variant(stage.pool(), "shirt-m").await, (40, 0, 0));
    assert_eq!(
        lunas(&stage, &import, "").await.json(0),
        counts(true, false, [0, 0, 3])
    );

    // The same in JSON, one entry of it changed and one new, from standard input.
    let other = json!({
        "slots": [
            {"id": "concert-1", "name": "Konser, malam 1", "starts_at": "2099-07-18T12:00:00Z",
             "capacity": 500, "price": 150_000},
            {"id": "concert-2", "name": "Konser malam 2", "starts_at": "2099-07-19T12:00:00Z",
             "capacity": 400, "price": 150_000}],
        "variants": [{"sku": "shirt-l", "name": "Kaus L", "stock": 3, "price": 95_000}]
    });
    let from_input = ["catalog", "import", "-", "--format", "json"];
    let ended = lunas(&stage, &from_input, &other.to_string()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out.trim(), "1 created, 1 changed, 1 unchanged");
    assert_eq!(slot(stage.pool(), "concert-2").await, (400, 0, 0));
}

#[tokio::test]
async fn a_file_with_mistakes_names_them_all_and_imports_nothing() {
    let stage = Stage::new().await;
    let wrong = format!("{CSV}bad id,,X,soon,-1,,5\r\n,shirt-m,Kaus,,,1,1\r\n");
    let path = file("csv", &wrong);
    let ended = lunas(&stage, &["catalog", "import", path.to_str().unwrap()], "").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for wanted in [
        "line 5: id must be",
        "line 5: starts_at must be",
        "line 5: capacity must be",
        "line 6: sku is the same as in line 4",
        "4 mistakes; nothing was imported",
    ] {
        assert!(ended.err.contains(wanted), "{wanted}: {ended:?}");
    }
    let wrong = json!({"variants": [{"sku": "v", "name": "V", "stock": 1, "price": 1},
                                    {"sku": "w", "name": "W", "stock": "1", "price": 1}]});
    let path = file("json", &wrong.to_string());
    let arguments = ["catalog", "import", path.to_str().unwrap(), "--json"];
    let told = lunas(&stage, &arguments, "").await.json(1);
    assert_eq!(told["imported"], false);
    assert_eq!(
        told["mistakes"],
        json!([{"place": "variants[1]", "field": "stock",
                "why": "must be a whole number in bounds"}])
    );
    assert_eq!(count(stage.pool(), ENTRIES).await, 0);
}

#[tokio::test]
async fn an_entry_below_what_is_taken_stops_the_whole_file() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("concert-2", 500, 100).await;
    front
        .place("u", "k", json!([tickets("concert-2", 7)]))
        .await
        .expect(201);
    let fewer = CSV.replace(
        "2099-07-19T19:00:00+07:00,500",
        "2099-07-19T19:00:00+07:00,6",
    );
    let path = file("csv", &fewer);
    for extra in [&["--json"][..], &["--json", "--dry-run"]] {
        let mut arguments = vec!["catalog", "import", path.to_str().unwrap()];
        arguments.extend(extra);
        let told = lunas(&stage, &arguments, "").await.json(1);
        assert_eq!(told["mistakes"][0]["place"], "line 3");
        assert!(text(&told["mistakes"][0]["why"]).contains('7'), "{told}");
    }
    assert_eq!(count(stage.pool(), ENTRIES).await, 1);
    assert_eq!(slot(stage.pool(), "concert-2").await, (500, 7, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn wrong_use_of_the_import_ends_with_two() {
    let stage = Stage::new().await;
    let odd = file("txt", CSV);
    let odd = odd.to_str().unwrap();
    for arguments in [
        &["catalog", "import"][..],
        &["catalog", "import", "nowhere.csv"],
        &["catalog", "import", odd],
        &["catalog", "import", odd, "--format", "xml"],
        &["order", "show"],
    ] {
        let ended = lunas(&stage, arguments, "").await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
    let ended = lunas(&stage, &["catalog", "import", odd, "--format", "csv"], "").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let help = lunas(&stage, &["catalog", "import", "--help"], "").await;
    assert!(
        help.out
            .contains("id,sku,name,starts_at,capacity,stock,price"),
        "{help:?}"
    );
}

#[tokio::test]
async fn two_imports_and_a_buyer_at_once_agree() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("concert-1", 500, 150_000).await;
    let path = file("csv", CSV);
    let arguments = ["catalog", "import", path.to_str().unwrap()];
    let buyers = futures::future::join_all((0..20).map(|n| buy(&front, n)));
    let (first, second, ()) = tokio::join!(
        lunas(&stage, &arguments, ""),
        lunas(&stage, &arguments, ""),
        async { drop(buyers.await) },
    );
    assert_eq!(
        (first.code, second.code),
        (Some(0), Some(0)),
        "{first:?} {second:?}"
    );
    assert_eq!(slot(stage.pool(), "concert-1").await, (500, 20, 0));
    fleet.finish().await;
}

async fn buy(front: &Storefront, n: usize) {
    let said = front
        .place(&format!("u{n}"), "k", json!([tickets("concert-1", 1)]))
        .await;
    said.expect(201);
}

#[tokio::test]
async fn an_order_is_shown_with_what_it_consists_of() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 150_000).await;
    let answer = front
        .place("user-42", "k", json!([tickets("s", 2)]))
        .await
        .expect(201);
    let code = text(&answer["order"]["order_code"]);
    let told = lunas(&stage, &["order", "show", &code, "--json"], "")
        .await
        .json(0);
    assert_eq!(told["order"], answer["order"]);
    assert!(told["timeline"].is_array());
    let shown = lunas(&stage, &["order", "show", &code], "").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for wanted in [
        &*code,
        "PENDING",
        "user-42",
        "Rp 300.000",
        "2 x s (Slot s) at Rp 150.000",
    ] {
        assert!(shown.out.contains(wanted), "{wanted}: {shown:?}");
    }
    let none = lunas(&stage, &["order", "show", "LNS-NOBODY"], "").await;
    assert_eq!(none.code, Some(1), "{none:?}");
    fleet.finish().await;
}
