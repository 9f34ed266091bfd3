//! In whose name messages are written, and to what kind of channel.

use std::collections::BTreeMap;

use workflow::project::Channel;

/// What a message says of the project, and how to reach people.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The project's name.
    pub project: String,
    /// ISO 4217.
    pub currency: String,
    /// Where the web page is, for links.
    pub web: Option<String>,
    /// Channels by name: a mail gets tables and charts, a chat the figures.
    pub channels: BTreeMap<String, Channel>,
}

impl Sender {
    /// Whether `channel` is a chat; what is not known is written to as by mail.
    pub(crate) fn is_chat(&self, channel: &str) -> bool {
        matches!(self.channels.get(channel), Some(Channel::Slack { .. }))
    }
}
