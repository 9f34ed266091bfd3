//! Into CSV files, one a table, with a header. A file appears under its name when it is whole.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use simshop::{Past, Settings, Shop, Value};

/// Writes the past made from `settings` into `dir`, replacing files of an earlier run. Gives the number of rows
/// of each table.
pub fn write(dir: &Path, settings: &Settings) -> io::Result<BTreeMap<&'static str, u64>> {
    fs::create_dir_all(dir)?;
    let mut files: BTreeMap<&'static str, (BufWriter<File>, u64)> = BTreeMap::new();
    for chunk in Past::new(Shop::new(settings.clone())) {
        for table in chunk.tables() {
            if !files.contains_key(table.table) {
                let mut file = BufWriter::new(File::create(dir.join(format!("{}.csv.part", table.table)))?);
                writeln!(file, "{}", table.columns.join(","))?;
                files.insert(table.table, (file, 0));
            }
            let Some((file, count)) = files.get_mut(table.table) else { continue };
            for row in &table.rows {
                write_row(file, row)?;
            }
            *count += table.rows.len() as u64;
        }
    }
    let mut counts = BTreeMap::new();
    for (table, (file, count)) in files {
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(dir.join(format!("{table}.csv.part")), dir.join(format!("{table}.csv")))?;
        counts.insert(table, count);
    }
    Ok(counts)
}

/// One line by RFC 4180, with a plain line feed.
fn write_row(out: &mut impl Write, row: &[Value<'_>]) -> io::Result<()> {
    for (place, cell) in row.iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        match cell {
            // An empty text and no value are not the same.
            Value::Text(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) || text.trim() != text => {
                write!(out, "\"{}\"", text.replace('"', "\"\""))?;
            }
            other => write!(out, "{other}")?,
        }
    }
    out.write_all(b"\n")
}
