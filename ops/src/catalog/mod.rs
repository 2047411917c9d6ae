//! `lunas catalog import`: what is for sale, from a file, all of it or nothing.

mod csv_file;
mod json_file;
mod record;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use shared::catalog::{Fate, Mode, Report, put};
use shared::config::DatabaseSettings;

use crate::outcome::{Outcome, wrong_use};
use crate::{connect, print};
use record::{Contents, Mistake};

/// The largest file that is read.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

/// What `--help` says of the files.
const FORMATS: &str = "\
JSON: {\"slots\":    [{\"id\", \"name\", \"starts_at\", \"capacity\", \"price\"}, ...],
       \"variants\": [{\"sku\", \"name\", \"stock\", \"price\"}, ...]}
      Either list may be left out.

CSV:  A first line with column names, in any order, of
        id,sku,name,starts_at,capacity,stock,price
      then one slot or variant per line. A line with an id is a slot and needs starts_at and
      capacity; a line with a sku is a variant and needs stock. Other cells stay empty.

Ids and SKUs are 1 to 64 letters, digits, '.', '_' and '-'. Prices are whole rupiah up to
999999999999, capacity and stock whole numbers up to 10000000; stock includes what open orders
hold. starts_at is RFC 3339 with its offset, as 2026-12-31T19:00:00+07:00.

An entry that exists is changed to what the file says; entries that the file does not name stay.
Every mistake is printed with its line (CSV) or position (JSON), and then nothing is imported.

Exit codes:
  0  done
  1  refused: mistakes in the file, or less than what is reserved or sold; nothing was changed
  2  wrong use: no such file, unknown format, unknown option";

/// Write what is for sale
#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    Import(Import),
}

/// Create and change slots and variants as a file describes them, all of it or nothing
#[derive(Debug, Args)]
#[command(after_help = FORMATS)]
pub(crate) struct Import {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its format, when its name does not end in .json or .csv
    #[arg(long, value_enum, help_heading = None)]
    format: Option<Format>,
    /// Print what would be done and change nothing
    #[arg(long, help_heading = None)]
    dry_run: bool,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object
    Json,
    /// Comma separated values with a header
    Csv,
}

pub(crate) async fn run(command: &Catalog, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Catalog::Import(command) => import(command, json).await,
    }
}

async fn import(command: &Import, json: bool) -> anyhow::Result<Outcome> {
    let format = format_of(command)?;
    let bytes = read(&command.file)?;
    let contents = match format {
        Format::Json => json_file::read(&bytes),
        Format::Csv => csv_file::read(&bytes),
    };
    let contents = match contents {
        Ok(contents) => contents,
        Err(mistakes) => return refused(&mistakes, json),
    };
    let mode = match command.dry_run {
        true => Mode::DryRun,
        false => Mode::Write,
    };
    let store = connect::store(&command.database)?;
    let report = put(&store, &contents.entries, mode)
        .await
        .context("nothing was imported")?;
    if report.is_refused() {
        return refused(&below_taken(&contents, &report), json);
    }
    done(&report, command.dry_run, json)
}

fn format_of(command: &Import) -> anyhow::Result<Format> {
    if let Some(format) = command.format {
        return Ok(format);
    }
    let ending = command.file.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("json") => Ok(Format::Json),
        Some("csv") => Ok(Format::Csv),
        _ => Err(wrong_use(
            "the name of the file ends in neither .json nor .csv: give --format",
        )),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let unreadable = |error: std::io::Error| wrong_use(format!("{name} cannot be read: {error}"));
    let mut bytes = Vec::new();
    let limit = FILE_LIMIT + 1;
    match path == Path::new("-") {
        true => std::io::stdin().take(limit).read_to_end(&mut bytes),
        false => File::open(path)
            .map_err(unreadable)?
            .take(limit)
            .read_to_end(&mut bytes),
    }
    .map_err(unreadable)?;
    match bytes.len() as u64 > FILE_LIMIT {
        true => Err(wrong_use(format!("{name} is larger than 64 MiB"))),
        false => Ok(bytes),
    }
}

/// The entries that would be less than what orders hold or own.
fn below_taken(contents: &Contents, report: &Report) -> Vec<Mistake> {
    let slots = contents.slot_places.iter().zip(&report.slots);
    let slots = slots.map(|(place, fate)| (place, "capacity", fate));
    let variants = contents.variant_places.iter().zip(&report.variants);
    let variants = variants.map(|(place, fate)| (place, "stock", fate));
    let below = slots.chain(variants).filter_map(|(place, field, fate)| {
        let Fate::BelowTaken { taken } = fate else {
            return None;
        };
        let why = format!("must not be below {taken}, which are reserved or sold");
        Some(Mistake::of(place, field, why))
    });
    below.collect()
}

fn refused(mistakes: &[Mistake], json: bool) -> anyhow::Result<Outcome> {
    if json {
        print::json(&json!({ "imported": false, "mistakes": mistakes }))?;
    }
    for mistake in mistakes {
        eprintln!("lunas: {}", print::shortened(&mistake.to_string(), 400));
    }
    eprintln!("lunas: {} mistakes; nothing was imported", mistakes.len());
    Ok(Outcome::Found)
}

fn done(report: &Report, dry_run: bool, json: bool) -> anyhow::Result<Outcome> {
    let [created, changed, unchanged] =
        [Fate::Created, Fate::Changed, Fate::Unchanged].map(|fate| report.count(fate));
    if json {
        print::json(&json!({
            "imported": !dry_run,
            "dry_run": dry_run,
            "created": created,
            "changed": changed,
            "unchanged": unchanged,
        }))?;
        return Ok(Outcome::Done);
    }
    let counts = format!("{created} created, {changed} changed, {unchanged} unchanged");
    match dry_run {
        true => print::line(&format!("Would be: {counts}; nothing was imported"))?,
        false => print::line(&counts)?,
    }
    Ok(Outcome::Done)
}
