//! The conventions of this repository that a machine can check, on the text of its files.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::collections::BTreeSet;
use std::process::Command;

use lunas_tests::harness::root;

/// The services; they depend on `shared` and never on each other.
const SERVICES: [&str; 5] = ["ingest", "worker", "scheduler", "api", "ops"];
/// Longest file, its unit tests not counted.
const LONGEST: usize = 400;

#[test]
fn the_top_level_is_the_one_that_the_design_names() {
    let known = [
        "api",
        "deploy",
        "ingest",
        "migrations",
        "ops",
        "scheduler",
        "shared",
        "tests",
        "worker",
    ];
    let folders: BTreeSet<String> = tracked()
        .iter()
        .filter_map(|path| path.split_once('/').map(|(top, _)| top.to_owned()))
        .filter(|top| !top.starts_with('.'))
        .collect();
    let known: BTreeSet<String> = known.map(str::to_owned).into();
    assert_eq!(folders, known);
}

#[test]
fn services_depend_on_shared_and_never_on_each_other() {
    for service in SERVICES {
        let manifest = read(&format!("{service}/Cargo.toml"));
        for other in SERVICES.iter().filter(|other| **other != service) {
            for spelling in [format!("lunas-{other}"), format!("../{other}")] {
                assert!(
                    !manifest.contains(&spelling),
                    "{service} depends on {other}"
                );
            }
        }
        assert!(manifest.contains("shared"), "{service} stands alone");
    }
}

#[test]
fn ingest_links_no_database_driver() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "lunas-ingest",
            "-e",
            "normal",
        ])
        .args(["--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("lapin"), "cargo tree says nothing");
    for driver in ["sqlx", "tokio-postgres", "postgres"] {
        let linked = tree.lines().any(|line| line.starts_with(driver));
        assert!(!linked, "ingest links {driver}");
    }
}

#[test]
fn the_domain_is_pure() {
    let banned = [
        "sqlx",
        "lapin::",
        "axum",
        "tokio",
        "reqwest",
        "std::env",
        "std::fs",
        "std::net",
        "now_utc",
        "SystemTime",
        "Instant::now",
        "rand::",
        "metrics::",
        "tracing::",
    ];
    let rule = "the domain does no I/O and knows no clock";
    let files = code_below("shared/src/domain/");
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| places(file, &banned, rule))
        .collect();
    assert_none(&found);
}

#[test]
fn each_mechanism_has_one_home() {
    let homes: [(&str, &[&str], &[&str]); 4] = [
        (
            "SQL is in the store",
            &[
                "sqlx::query",
                "query_as!",
                "query_scalar!",
                "query!(",
                "QueryBuilder",
            ],
            &["shared/src/store/"],
        ),
        (
            "transactions begin and end in the store",
            &["pool.begin()", "pool().begin()", "PgConnection"],
            &["shared/src/store/"],
        ),
        (
            "publishing and the topology are in the broker module",
            &[
                "basic_publish",
                "queue_declare(",
                "exchange_declare(",
                "basic_consume",
            ],
            &["shared/src/broker/"],
        ),
        (
            "process settings are read by the config module",
            &["std::env::var", "env::vars"],
            &["shared/src/config/", "shared/src/fault.rs"],
        ),
    ];
    let mut found = Vec::new();
    for file in product_code() {
        for (rule, words, allowed) in &homes {
            if !allowed.iter().any(|home| file.path.starts_with(home)) {
                found.extend(places(&file, words, rule));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn every_route_of_the_api_is_in_its_description() {
    // What `routes!` serves is described; other ways to add a route say nothing.
    let words = [".route(", ".route_service(", ".nest(", ".nest_service("];
    let rule = "routes of the api are added with `routes!`";
    let files = code_below("api/src/");
    let found: Vec<String> = files
        .iter()
        .filter(|file| file.path != "api/src/openapi.rs")
        .flat_map(|file| places(file, &words, rule))
        .collect();
    assert_none(&found);
}

#[test]
fn every_file_of_code_says_what_it_is_and_stays_readable() {
    let mut found = Vec::new();
    for file in all_code() {
        if !file.text.starts_with("//! ") {
            found.push(format!("{} has no //! header", file.path));
        }
        let lines = file.code.lines().count();
        if lines > LONGEST {
            found.push(format!("{} has {lines} lines of code", file.path));
        }
    }
    assert_none(&found);
}

#[test]
fn product_code_does_not_unwrap() {
    let words = [".unwrap()", ".unwrap_err()"];
    let files = product_code();
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| places(file, &words, "no unwrap outside tests"))
        .collect();
    assert_none(&found);
}

#[test]
fn every_migration_explains_itself_and_is_numbered_without_gaps() {
    let mut numbers = Vec::new();
    for path in tracked()
        .iter()
        .filter(|path| path.starts_with("migrations/"))
    {
        let Some(name) = path
            .strip_prefix("migrations/")
            .filter(|name| name.ends_with(".sql"))
        else {
            continue;
        };
        numbers.push(name.split('_').next().unwrap().parse::<usize>().unwrap());
        let text = read(path);
        assert!(text.starts_with("-- "), "{path} has no comment at its head");
        let head: String = text
            .lines()
            .take_while(|line| line.starts_with("--"))
            .collect();
        let safe = head.to_lowercase().contains("previous release");
        assert!(
            safe,
            "{path} does not say why it is safe beside the previous release"
        );
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    assert!(!numbers.is_empty());
}

#[test]
fn nothing_names_a_machine_or_leaves_work_for_later() {
    // Put together here, so that this file does not accuse itself.
    let banned = ["/ro ot/", "/wo rk/", "/tmp/ wt", "TO DO", "FIX ME", "XX X:"]
        .map(|word| word.replace(' ', ""));
    for path in tracked() {
        let lock = path == "Cargo.lock" || path.ends_with("package-lock.json");
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
            continue;
        };
        if lock {
            continue;
        }
        for word in &banned {
            let line = text.lines().position(|line| line.contains(word.as_str()));
            assert!(line.is_none(), "{path}:{}: {word}", line.unwrap_or(0) + 1);
        }
    }
}

#[test]
fn every_setting_is_in_the_readme() {
    let readme = root().join("README.md");
    let Ok(readme) = std::fs::read_to_string(readme) else {
        // Nothing to compare with before there is one.
        return;
    };
    let missing: Vec<String> = settings()
        .into_iter()
        .filter(|name| !readme.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

#[test]
fn settings_are_found_in_the_code() {
    let found = settings();
    for known in [
        "DATABASE_URL",
        "AMQP_URL",
        "MIDTRANS_SERVER_KEY",
        "INGEST_ADDR",
    ] {
        assert!(found.contains(known), "{known} is not among {found:?}");
    }
}

/// A file of Rust code, its comments and its unit tests left out of `code`.
struct Code {
    path: String,
    text: String,
    code: String,
}

/// Every place where one of the words stands in the code.
fn places(file: &Code, words: &[&str], rule: &str) -> Vec<String> {
    let lines = file.code.lines().enumerate();
    let found = lines.flat_map(|(number, line)| {
        let here = words.iter().filter(move |word| line.contains(**word));
        here.map(move |word| format!("{}:{}: {word}: {rule}", file.path, number + 1))
    });
    found.collect()
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Names of environment variables that clap reads, in any crate of the product.
fn settings() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in product_code() {
        for (at, _) in file.code.match_indices("env = \"") {
            let rest = &file.code[at + "env = \"".len()..];
            names.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    names
}

/// Code that ships: everything but the tests package, integration tests and unit tests.
fn product_code() -> Vec<Code> {
    let all = all_code();
    let left_out = test_modules(&all);
    let ships = |file: &Code| {
        let is_in = |module: &String| {
            let rest = file.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        !file.path.starts_with("tests/")
            && !file.path.contains("/tests/")
            && !left_out.iter().any(is_in)
    };
    all.into_iter().filter(ships).collect()
}

/// Where the modules are that a `#[cfg(test)]` leaves out of the product, without their ending.
fn test_modules(files: &[Code]) -> Vec<String> {
    let mut modules = Vec::new();
    for file in files {
        let stem = file.path.trim_end_matches(".rs");
        let folder = ["/mod", "/lib", "/main"]
            .iter()
            .find_map(|name| stem.strip_suffix(name));
        for (at, mark) in file.text.match_indices("#[cfg(test)]\n") {
            let declared = file.text[at + mark.len()..]
                .lines()
                .next()
                .unwrap_or_default();
            let name = declared
                .split("mod ")
                .nth(1)
                .and_then(|rest| rest.strip_suffix(';'));
            modules.extend(name.map(|name| format!("{}/{name}", folder.unwrap_or(stem))));
        }
    }
    modules
}

fn code_below(folder: &str) -> Vec<Code> {
    let found: Vec<Code> = product_code()
        .into_iter()
        .filter(|file| file.path.starts_with(folder))
        .collect();
    assert!(!found.is_empty(), "{folder} is empty");
    found
}

fn all_code() -> Vec<Code> {
    let paths = tracked().into_iter().filter(|path| path.ends_with(".rs"));
    paths
        .map(|path| {
            let text = read(&path);
            let code = without_tests_and_comments(&text);
            Code { path, text, code }
        })
        .collect()
}

/// Keeps the number of lines, so that a finding can name its line.
fn without_tests_and_comments(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = product.lines().map(|line| {
        let trimmed = line.trim_start();
        if trimmed.starts_with("//") { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file that git knows or would take.
fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<String> = listed
        .lines()
        .filter(|path| root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    assert!(files.len() > 20, "git lists only {} files", files.len());
    files
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}
