//! Stream files: `dags/streams/*.yaml`.
//!
//! Reading one finds every fault at once; what it yields ([`Stream`]) holds no names to be looked up, only slots.

mod compile;
pub(crate) mod expr;
mod fields;
mod file;
mod message;
mod scalar;
#[cfg(test)]
mod shipped;
mod span;

use workflow::{
    diagnostic::{Diagnostic, did_you_mean},
    yaml::Document,
};

pub(crate) use compile::{
    Aggregate, Argument, Fold, Folding, Group, Input, Leaf, Measure, Mode, PANE, Read, Rule, Sequence, Shape,
};
pub use compile::{Reference, Stream};
pub(crate) use fields::{Fields, Layout};
pub(crate) use file::StreamFile;
pub use span::Span;

impl Stream {
    /// Reads a stream's file. `channels` are the names that `notify` may use.
    pub fn parse(file: &str, text: &str, channels: &[&str]) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(file, text).map_err(|fault| vec![fault])?;
        let read: StreamFile = document.read()?;
        let mut problems = Vec::new();
        for (name, rule) in &read.rules {
            for (index, channel) in rule.notify.iter().enumerate() {
                if !channels.contains(&channel.as_str()) {
                    let field = format!("rules.{name}.notify[{index}]");
                    let hint = did_you_mean(channel, channels.iter().copied());
                    problems.push(document.diagnostic(
                        &field,
                        format!("`{channel}` is not a channel of sluice.yaml"),
                        Some(hint),
                    ));
                }
            }
        }
        match compile::compile(read) {
            Ok(stream) if problems.is_empty() => Ok(stream),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more.into_iter().map(|problem| document.place("", problem)));
                problems.sort_by_key(|problem| problem.line);
                Err(problems)
            }
        }
    }
}

/// Reads all streams of a project, given as path and text, or says all that is wrong with them.
pub fn parse_all<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    channels: &[&str],
) -> Result<Vec<Stream>, Vec<Diagnostic>> {
    let (mut streams, mut problems) = (Vec::<Stream>::new(), Vec::new());
    for (file, text) in files {
        match Stream::parse(file, text, channels) {
            Ok(stream) if streams.iter().any(|other| other.name == stream.name) => problems.push(Diagnostic {
                file: file.to_owned(),
                line: 1,
                field: "stream".to_owned(),
                message: format!("another file has a stream `{}` already", stream.name),
                hint: Some("rename one: the name is that of the consumer group and of the offsets".to_owned()),
            }),
            Ok(stream) => streams.push(stream),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(streams) } else { Err(problems) }
}
