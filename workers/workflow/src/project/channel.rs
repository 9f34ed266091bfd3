//! Who can be told, and how much of it they want.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};

use crate::span::Span;

/// Someone who can be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Channel {
    /// Mail to each address.
    Mail {
        /// Who gets it.
        to: Vec<String>,
        /// Messages that it takes at most; beyond them one tells of many alerts.
        #[serde(default)]
        at_most: Option<Rate>,
    },
    /// A Slack incoming webhook; without one, messages land in `.sluice/outbox/`.
    Slack {
        /// The webhook's address, a secret.
        #[serde(default)]
        webhook: Option<SecretString>,
        /// As for mail.
        #[serde(default)]
        at_most: Option<Rate>,
    },
    /// A program that takes JSON by POST; without its address, messages land in `.sluice/outbox/`.
    Webhook {
        /// Its address, which may hold a secret.
        #[serde(default)]
        url: Option<SecretString>,
        /// What requests are signed with, as those to `/hooks/NAME` are.
        #[serde(default)]
        secret: Option<SecretString>,
        /// As for mail.
        #[serde(default)]
        at_most: Option<Rate>,
    },
    /// Prometheus' Alertmanager; without its address, messages land in `.sluice/outbox/`.
    Alertmanager {
        /// Where it is: `http://127.0.0.1:9093`, before `/api/v2/alerts`. May hold user and password.
        #[serde(default)]
        url: Option<SecretString>,
        /// As for mail.
        #[serde(default)]
        at_most: Option<Rate>,
    },
}

impl Channel {
    /// As `kind` names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mail { .. } => "mail",
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Alertmanager { .. } => "alertmanager",
        }
    }

    /// How many messages it takes.
    pub fn at_most(&self) -> Option<Rate> {
        match self {
            Self::Mail { at_most, .. }
            | Self::Slack { at_most, .. }
            | Self::Webhook { at_most, .. }
            | Self::Alertmanager { at_most, .. } => *at_most,
        }
    }

    /// Whether a program is behind it, which keeps track of cases and wants to hear when one is settled.
    pub fn settles(&self) -> bool {
        matches!(self, Self::Webhook { .. } | Self::Alertmanager { .. })
    }
}

/// So many in a length of time: `10/min`, `1/s`, `100/12h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Span,
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write for example `10/min`, `1/s` or `100/12h`")]
pub struct NotARate(String);

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let fault = || NotARate(text.to_owned());
        let (count, per) = text.split_once('/').ok_or_else(fault)?;
        let per = match per.trim() {
            "s" => Span::from_secs(1),
            "m" | "min" => Span::from_secs(60),
            "h" => Span::from_secs(3_600),
            "d" => Span::from_secs(86_400),
            other => other.parse().map_err(|_| fault())?,
        };
        if per.0 < Duration::from_secs(1) {
            return Err(fault());
        }
        Ok(Self { count: count.trim().parse().map_err(|_| fault())?, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} in {}", self.count, self.per)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let read = |text: &str| text.parse::<Rate>().map(|rate| (rate.count.get(), rate.per.0.as_secs()));
        assert_eq!(read("10/min"), Ok((10, 60)));
        assert_eq!(read("1 / s"), Ok((1, 1)));
        assert_eq!(read("100/12h"), Ok((100, 43_200)));
        for wrong in ["10", "0/min", "-1/s", "10/", "10/0s", "10/5ms", "ten/min", "10/min/s"] {
            assert_eq!(read(wrong), Err(NotARate(wrong.to_owned())), "{wrong}");
        }
    }
}
