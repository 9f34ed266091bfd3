//! The table of how far Sluice and Great Expectations agree, kept beside the crate.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use super::{
    Tallies, Tally,
    fixtures::{NOT_HERE, Target},
};

/// Compares the table with the kept one, or writes it.
pub(super) fn keep(tallies: &Tallies) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFORMANCE.md");
    let now = text(tallies);
    if std::env::var_os("SLUICE_WRITE_GENERATED").is_some() {
        std::fs::write(&path, &now).expect("the table to be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "CONFORMANCE.md is not what the cases say now; SLUICE_WRITE_GENERATED=1 writes it anew\n{now}"
    );
}

fn text(tallies: &Tallies) -> String {
    let mut out = include_str!("intro.md").to_owned();
    let names: BTreeSet<_> = tallies.keys().map(|(name, _)| name.as_str()).collect();
    let of = |name: &str, target| tallies.get(&(name.to_owned(), target));
    let shown = |tally: Option<&Tally>| match tally {
        Some(tally) if tally.cases() > 0 => format!("{} of {}", tally.agree, tally.cases()),
        _ => "–".to_owned(),
    };
    out.push_str("| Expectation | Frames | Postgres |\n|---|---|---|\n");
    for name in &names {
        let (frames, tables) = (of(name, Target::Frames), of(name, Target::Tables));
        if frames.is_some() || tables.is_some() {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| `{name}` | {} | {} |", shown(frames), shown(tables));
        }
    }
    let total = |target, part: fn(&Tally) -> usize| -> usize {
        tallies.iter().filter(|((_, of), _)| *of == target).map(|(_, tally)| part(tally)).sum()
    };
    let sum = |target| format!("{} of {}", total(target, |t| t.agree), total(target, Tally::cases));
    let _ = writeln!(out, "| **all {}** | **{}** | **{}** |", names.len(), sum(Target::Frames), sum(Target::Tables));
    let _ = writeln!(
        out,
        "\nNot counted, as no typed column can hold their data (numbers and text in one): {} on frames, {} on Postgres.\n",
        total(Target::Frames, |t| t.untyped),
        total(Target::Tables, |t| t.untyped),
    );
    out.push_str("## Where Sluice differs on purpose\n\n| On | Expectation | Case | Reason |\n|---|---|---|---|\n");
    for ((name, target), tally) in tallies {
        // Two files may have a case of the same title.
        let each: BTreeSet<_> = tally.excepted.iter().collect();
        for (title, reason) in each {
            let times = tally.excepted.iter().filter(|(other, _)| other == title).count();
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            let _ = writeln!(out, "| {target} | `{name}` | {title}{times} | {reason} |");
        }
    }
    let not_here: Vec<_> = NOT_HERE.iter().map(|name| format!("`{name}`")).collect();
    let _ =
        writeln!(out, "\n## Not here\n\nTests of hypotheses, whose cases are in the files: {}.", not_here.join(", "));
    out
}
