//! `sluice quality profile`: what a file or a table looks like.

use std::process::ExitCode;

use quality::{
    Scalar,
    profile::{ColumnProfile, Counted, Profile, TextProfile, thousands},
};

use super::{find_file, find_table, refused, unreadable};
use crate::{context::Context, output};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A Parquet or CSV file, a folder of Parquet files, or `schema.table`
    #[arg(long, value_name = "PATH|TABLE")]
    data: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let profile = profile_data(&args.data, ctx).await?;
    if args.json {
        output::json(&profile)?;
    } else {
        print(&profile);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn profile_data(data: &str, ctx: &Context) -> anyhow::Result<Profile> {
    let Some(path) = find_file(data, &ctx.dir) else {
        let table = find_table(data)?;
        let pool = ctx.postgres().await?;
        let mut connection = pool.acquire().await?;
        return quality::profile_table(&mut connection, &table).await.map_err(refused);
    };
    let profiled =
        tokio::task::spawn_blocking(move || quality::profile_file(&path).map_err(|error| unreadable(&path, &error)));
    Ok(profiled.await??)
}

fn print(profile: &Profile) {
    let counted = format!("{} rows, {} columns", thousands(profile.rows), profile.columns.len());
    output::line(output::paint(&counted, output::Style::Bold));
    let section = |headings: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            output::line("");
            output::table(headings, &rows);
        }
    };
    let columns = profile.columns.iter();
    section(
        &["column", "type", "nulls", "distinct", "min", "max", "most common"],
        columns.clone().map(overview).collect(),
    );
    section(
        &["column", "mean", "stdev", "5 %", "25 %", "50 %", "75 %", "95 %"],
        columns.clone().filter_map(numbers).collect(),
    );
    let texts = columns.filter_map(|column| Some(text(&column.name, column.text.as_ref()?))).collect();
    section(&["column", "length", "mean", "blank", "padded", "patterns"], texts);
    let pairs = profile.null_correlations.iter();
    let pairs =
        pairs.map(|pair| vec![pair.a.clone(), pair.b.clone(), thousands(pair.both), format!("{:.2}", pair.phi)]);
    section(&["null in", "and in", "both", "phi"], pairs.collect());
    if profile.columns.iter().any(|column| column.distinct.approximate) {
        output::line("");
        let limit = thousands(quality::profile::EXACT_VALUES as u64);
        output::line(format!(
            "~ is an estimate: a column with more than {limit} distinct values is not counted exactly"
        ));
    }
}

fn overview(column: &ColumnProfile) -> Vec<String> {
    let nulls = match column.nulls {
        0 => String::new(),
        nulls => format!("{} ({:.2} %)", thousands(nulls), 100.0 * nulls as f64 / column.rows as f64),
    };
    let Counted { count, approximate } = column.distinct;
    let common = column.top.iter().filter(|top| top.count > 1).take(3);
    let common: Vec<_> = common.map(|top| format!("{} ×{}", short(&top.value), thousands(top.count))).collect();
    let bound = |value: &Option<Scalar>| value.as_ref().map(short).unwrap_or_default();
    vec![
        column.name.clone(),
        column.type_name.clone(),
        nulls,
        format!("{}{}", if approximate { "~" } else { "" }, thousands(count)),
        bound(&column.min),
        bound(&column.max),
        common.join(", "),
    ]
}

fn numbers(column: &ColumnProfile) -> Option<Vec<String>> {
    let quantiles = column.quantiles?;
    let sign = if quantiles.approximate { "~" } else { "" };
    let at = |value: f64| format!("{sign}{}", figure(value));
    Some(vec![
        column.name.clone(),
        column.mean.map(figure).unwrap_or_default(),
        column.stdev.map(figure).unwrap_or_default(),
        at(quantiles.p05),
        at(quantiles.p25),
        at(quantiles.p50),
        at(quantiles.p75),
        at(quantiles.p95),
    ])
}

fn text(name: &str, text: &TextProfile) -> Vec<String> {
    let some = |count: u64| if count == 0 { String::new() } else { thousands(count) };
    let patterns = text.patterns.iter().take(3);
    let mut patterns: Vec<_> =
        patterns.map(|pattern| format!("{} ×{}", cut(&pattern.pattern), thousands(pattern.count))).collect();
    let told: u64 = text.patterns.iter().take(3).map(|pattern| pattern.count).sum();
    let all: u64 = text.patterns.iter().map(|pattern| pattern.count).sum::<u64>() + text.other_patterns;
    if all > told {
        patterns.push(format!("others ×{}", thousands(all - told)));
    }
    let length = format!("{}–{}", text.min_length, text.max_length);
    let mean = format!("{:.1}", text.mean_length);
    vec![name.to_owned(), length, mean, some(text.blank), some(text.padded), patterns.join(", ")]
}

/// A value on one line, cut where it is long.
fn short(value: &Scalar) -> String {
    match value {
        Scalar::Float(value) => figure(*value),
        Scalar::Text(text) => format!("'{}'", cut(text)),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    const WIDTH: usize = 24;
    let mut shown: String = text.chars().map(|c| if c.is_control() { '␤' } else { c }).take(WIDTH).collect();
    if text.chars().nth(WIDTH).is_some() {
        shown.push('…');
    }
    shown
}

/// A number with no more digits than a person reads.
fn figure(value: f64) -> String {
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    if whole || value.abs() >= 1e6 {
        return format!("{value:.0}");
    }
    let text = if value.abs() >= 100.0 { format!("{value:.2}") } else { format!("{value:.4}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
