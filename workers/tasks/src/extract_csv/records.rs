//! CSV text into records, each with the line where it begins (RFC 4180, any one-byte delimiter).
//!
//! A record that cannot be read costs one line: reading goes on with the next. So a quote that is never closed
//! does not swallow the rest of the file.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
};

/// Longest record that is tried, in bytes: past it an open quote counts as never closed.
const LONGEST: usize = 1 << 20;

/// What stands at a place of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Its fields.
    Fields {
        /// Where it begins, from 1.
        line: u64,
        /// In order.
        fields: Vec<Field>,
        /// As it stands in the file, without its line end.
        text: Vec<u8>,
    },
    /// A line that cannot be read.
    Broken {
        /// Which one, from 1.
        line: u64,
        /// As it stands in the file, without its line end.
        text: Vec<u8>,
        /// Why.
        reason: &'static str,
    },
}

/// One field, unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) bytes: Vec<u8>,
    /// It stood in quotes, so an empty one is an empty text rather than none.
    pub(super) quoted: bool,
}

/// Reads records.
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    /// Lines that were read ahead, with their line ends.
    ahead: VecDeque<Vec<u8>>,
    line: u64,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        Self { input, delimiter, ahead: VecDeque::new(), line: 0 }
    }

    /// The next record; `None` at the end. Empty lines are none.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(first) = self.take_line()? else { return Ok(None) };
            self.line += 1;
            if without_end(&first).is_empty() {
                continue;
            }
            return self.record(first).map(Some);
        }
    }

    fn record(&mut self, first: Vec<u8>) -> io::Result<Record> {
        let line = self.line;
        let mut parser = Parser::new(self.delimiter);
        let mut lines = vec![first];
        let mut bytes = lines[0].len();
        let reason = loop {
            match parser.feed(lines.last().map(Vec::as_slice).unwrap_or_default()) {
                Step::Done(fields) => {
                    self.line += lines.len() as u64 - 1;
                    let whole = lines.concat();
                    return Ok(Record::Fields { line, fields, text: without_end(&whole).to_vec() });
                }
                Step::Broken(reason) => break reason,
                Step::Open if bytes > LONGEST => break "a quote is opened and not closed within 1 MiB",
                Step::Open => match self.take_line()? {
                    Some(more) => {
                        bytes += more.len();
                        lines.push(more);
                    }
                    None => break "a quote is opened and never closed",
                },
            }
        };
        let mut lines = lines.into_iter();
        let text = lines.next().map(|first| without_end(&first).to_vec()).unwrap_or_default();
        for (place, later) in lines.enumerate() {
            self.ahead.insert(place, later);
        }
        Ok(Record::Broken { line, text, reason })
    }

    fn take_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        // A file without line ends must not fill the memory: its first piece ends up as a broken record.
        let read = (&mut self.input).take(2 * LONGEST as u64).read_until(b'\n', &mut line)?;
        Ok((read > 0).then_some(line))
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

enum Step {
    Done(Vec<Field>),
    Open,
    Broken(&'static str),
}

/// One record, fed line by line.
struct Parser {
    delimiter: u8,
    fields: Vec<Field>,
    /// The quoted field that the last line left open.
    open: Option<Vec<u8>>,
}

impl Parser {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, fields: Vec::new(), open: None }
    }

    fn feed(&mut self, line: &[u8]) -> Step {
        let end = without_end(line).len();
        let mut at = 0;
        loop {
            let quoted = match self.open.take() {
                Some(field) => Some(field),
                None if line[..end].get(at) == Some(&b'"') => {
                    at += 1;
                    Some(Vec::new())
                }
                None => None,
            };
            let Some(mut field) = quoted else {
                let rest = &line[at..end];
                let length = rest.iter().position(|byte| *byte == self.delimiter).unwrap_or(rest.len());
                self.fields.push(Field { bytes: rest[..length].to_vec(), quoted: false });
                at += length;
                if at == end {
                    return Step::Done(std::mem::take(&mut self.fields));
                }
                at += 1;
                continue;
            };
            loop {
                let rest = &line[at..];
                let Some(length) = rest.iter().position(|byte| *byte == b'"') else {
                    field.extend_from_slice(rest);
                    self.open = Some(field);
                    return Step::Open;
                };
                field.extend_from_slice(&rest[..length]);
                at += length + 1;
                if line.get(at) != Some(&b'"') {
                    break;
                }
                field.push(b'"');
                at += 1;
            }
            self.fields.push(Field { bytes: field, quoted: true });
            match line[..end.max(at)].get(at) {
                None => return Step::Done(std::mem::take(&mut self.fields)),
                Some(byte) if *byte == self.delimiter => at += 1,
                Some(_) => return Step::Broken("text follows a closing quote"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let mut records = Records::new(text.as_bytes(), b',');
        let mut seen = Vec::new();
        while let Some(record) = records.next().expect("memory does not fail") {
            seen.push(match record {
                Record::Fields { line, fields, .. } => {
                    let fields: Vec<_> =
                        fields.iter().map(|f| String::from_utf8_lossy(&f.bytes).into_owned()).collect();
                    format!("{line}: {}", fields.join("|"))
                }
                Record::Broken { line, text, reason } => {
                    format!("{line}! {} ({reason})", String::from_utf8_lossy(&text))
                }
            });
        }
        seen
    }

    #[test]
    fn quotes_line_ends_and_empty_lines() {
        assert_eq!(
            read("a,b\r\n\"x, \"\"y\"\"\",2\r\n\r\n\"two\nlines\",3\n5\" pipe,4"),
            ["1: a|b", "2: x, \"y\"|2", "4: two\nlines|3", "6: 5\" pipe|4"]
        );
        assert_eq!(read("a,\n,\n\"\",\"\"\n"), ["1: a|", "2: |", "3: |"]);
    }

    #[test]
    fn a_broken_record_costs_one_line() {
        assert_eq!(
            read("1,\"open\n2,b\n3,\"c\"x\n4,d\n"),
            [
                "1! 1,\"open (text follows a closing quote)",
                "2: 2|b",
                "3! 3,\"c\"x (text follows a closing quote)",
                "4: 4|d"
            ]
        );
        assert_eq!(read("1,\"open\n2,b\n"), ["1! 1,\"open (a quote is opened and never closed)", "2: 2|b"]);
    }

    #[test]
    fn a_quote_that_spans_a_mebibyte_is_given_up() {
        let long = "x,y\n".repeat(LONGEST / 4 + 2);
        let seen = read(&format!("1,\"open\n{long}"));
        assert_eq!(seen[0], "1! 1,\"open (a quote is opened and not closed within 1 MiB)");
        assert_eq!(seen[1], "2: x|y");
        assert_eq!(seen.len(), LONGEST / 4 + 3);
    }
}
