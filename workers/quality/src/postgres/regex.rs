//! Regular expressions in Postgres' syntax. A pattern means what the `regex` crate, which frames use, says it means;
//! it is parsed by that crate's own parser, and written anew from what the parser understood: Postgres reads some of
//! the same letters otherwise (`.`, `\b`, `\d`, `(?s)`), and its classes follow a locale.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

/// How often Postgres repeats an atom at most in one bound (`DUPMAX`); more is written as several bounds.
const BOUND: u32 = 255;

/// How often an atom is repeated at most. Postgres copies the atom for each, and gives up on its own beyond some size.
const REPEATED: u32 = 5_000;

/// Matches nowhere.
const NEVER: &str = "(?!)";

/// The pattern in Postgres' syntax of advanced regular expressions, to be matched with `~` under any collation.
///
/// # Errors
/// Where Postgres has no pattern that means the same; the text says which part.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let parsed = regex_syntax::parse(pattern).map_err(|error| format!("not a regular expression: {error}"))?;
    let mut out = String::with_capacity(pattern.len() * 2);
    write(&parsed, &mut out)?;
    Ok(out)
}

fn write(part: &Hir, out: &mut String) -> Result<(), String> {
    match part.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = str::from_utf8(&literal.0).map_err(|_| "Postgres matches text, not bytes".to_owned())?;
            text.chars().for_each(|character| write_character(character, out));
        }
        HirKind::Class(class) => out.push_str(&write_class(class)?),
        HirKind::Look(look) => out.push_str(&write_look(*look)),
        HirKind::Repetition(repetition) => write_repetition(repetition, out)?,
        HirKind::Capture(capture) => group(&capture.sub, out)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, out))?,
        HirKind::Alternation(parts) => {
            out.push_str("(?:");
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
            out.push(')');
        }
    }
    Ok(())
}

fn group(part: &Hir, out: &mut String) -> Result<(), String> {
    out.push_str("(?:");
    write(part, out)?;
    out.push(')');
    Ok(())
}

/// A character that stands for itself, also between brackets. Text in Postgres never holds a NUL.
fn write_character(character: char, out: &mut String) {
    match (character, u32::from(character)) {
        ('\0', _) => out.push_str(NEVER),
        (plain, _) if plain.is_ascii_alphanumeric() => out.push(plain),
        (_, code @ ..=0xffff) => out.push_str(&format!("\\u{code:04x}")),
        (_, code) => out.push_str(&format!("\\U{code:08x}")),
    }
}

fn write_class(class: &Class) -> Result<String, String> {
    let class = match class {
        Class::Unicode(class) => class.clone(),
        Class::Bytes(bytes) => bytes.to_unicode_class().ok_or("Postgres matches text, not bytes")?,
    };
    let ends = |class: &ClassUnicode| class.ranges().last().map(ClassUnicodeRange::end);
    Ok(if ends(&class) == Some(char::MAX) {
        let mut outside = class;
        outside.negate();
        match ranges(&outside) {
            // Here a dot is any character at all.
            outside if outside.is_empty() => ".".to_owned(),
            outside => format!("[^{outside}]"),
        }
    } else {
        match ranges(&class) {
            inside if inside.is_empty() => NEVER.to_owned(),
            inside => format!("[{inside}]"),
        }
    })
}

/// What stands between brackets. NUL is left out.
fn ranges(class: &ClassUnicode) -> String {
    let mut out = String::new();
    for range in class.ranges() {
        let (start, end) = (range.start().max('\u{1}'), range.end());
        if start <= end {
            write_character(start, &mut out);
        }
        if start < end {
            out.push('-');
            write_character(end, &mut out);
        }
    }
    out
}

/// A place, in look-arounds: Postgres' own `^`, `$` and `\y` depend on options and on the locale.
fn write_look(look: Look) -> String {
    static WORD: LazyLock<String> = LazyLock::new(|| {
        let word = regex_syntax::parse(r"\w").map_err(|error| error.to_string());
        let class = word.and_then(|word| match word.kind() {
            HirKind::Class(class) => write_class(class),
            _ => Err("not a class".to_owned()),
        });
        class.unwrap_or_else(|error| unreachable!(r"\w is a class: {error}"))
    });
    const ASCII_WORD: &str = "[0-9A-Z_a-z]";
    let word = || WORD.as_str();
    let boundary = |w: &str| format!("(?:(?<={w})(?!{w})|(?<!{w})(?={w}))");
    let no_boundary = |w: &str| format!("(?:(?<={w})(?={w})|(?<!{w})(?!{w}))");
    let start = |w: &str| format!("(?:(?<!{w})(?={w}))");
    let end = |w: &str| format!("(?:(?<={w})(?!{w}))");
    let half_start = |w: &str| format!("(?:(?<!{w}))");
    let half_end = |w: &str| format!("(?:(?!{w}))");
    match look {
        Look::Start => r"(?:\A)".to_owned(),
        Look::End => r"(?:\Z)".to_owned(),
        Look::StartLF => r"(?:(?<![^\u000a]))".to_owned(),
        Look::EndLF => r"(?:(?![^\u000a]))".to_owned(),
        Look::StartCRLF => r"(?:\A|(?<=\u000a)|(?<=\u000d)(?!\u000a))".to_owned(),
        Look::EndCRLF => r"(?:\Z|(?=\u000d)|(?<!\u000d)(?=\u000a))".to_owned(),
        Look::WordAscii => boundary(ASCII_WORD),
        Look::WordAsciiNegate => no_boundary(ASCII_WORD),
        Look::WordUnicode => boundary(word()),
        Look::WordUnicodeNegate => no_boundary(word()),
        Look::WordStartAscii => start(ASCII_WORD),
        Look::WordEndAscii => end(ASCII_WORD),
        Look::WordStartUnicode => start(word()),
        Look::WordEndUnicode => end(word()),
        Look::WordStartHalfAscii => half_start(ASCII_WORD),
        Look::WordEndHalfAscii => half_end(ASCII_WORD),
        Look::WordStartHalfUnicode => half_start(word()),
        Look::WordEndHalfUnicode => half_end(word()),
    }
}

/// Whether a pattern matches does not depend on greed, so all are greedy.
fn write_repetition(repetition: &Repetition, out: &mut String) -> Result<(), String> {
    let Repetition { mut min, mut max, ref sub, .. } = *repetition;
    if let Some(count) = [Some(min), max].into_iter().flatten().find(|count| *count > REPEATED) {
        return Err(format!("Postgres cannot match a part that is repeated {count} times (at most {REPEATED})"));
    }
    let mut atom = String::new();
    group(sub, &mut atom)?;
    let short = match (min, max) {
        (0, None) => Some("*"),
        (1, None) => Some("+"),
        (0, Some(1)) => Some("?"),
        _ => None,
    };
    if let Some(short) = short {
        out.push_str(&atom);
        out.push_str(short);
        return Ok(());
    }
    while min > BOUND {
        out.push_str(&format!("{atom}{{{BOUND}}}"));
        min -= BOUND;
        max = max.map(|max| max - BOUND);
    }
    let Some(mut max) = max else {
        out.push_str(&format!("{atom}{{{min},}}"));
        return Ok(());
    };
    while max > BOUND {
        out.push_str(&format!("{atom}{{{min},{BOUND}}}"));
        max -= BOUND;
        min = 0;
    }
    out.push_str(&format!("{atom}{{{min},{max}}}"));
    Ok(())
}
