//! What a load was asked for, as its ledger row keeps it: a replay of the rows that it held back keeps to the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Audit, Balance, Deduplicate, LoadRequest};

/// `sluice.load_ledger.terms`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) key: Vec<String>,
    #[serde(default)]
    pub(super) deduplicate: Deduplicate,
    /// Expressions by name.
    #[serde(default)]
    pub(super) balance: BTreeMap<String, String>,
    /// The cursor that tells the newer of two versions of a row.
    #[serde(default)]
    pub(super) order_by: Option<String>,
    /// What a failed check did that did not say so itself, where there was a gate.
    #[serde(default)]
    pub(super) on_fail: Option<String>,
}

impl Terms {
    pub(super) fn of(request: &LoadRequest, audit: &Audit) -> Self {
        let balance = request.balance.iter().map(|sum| (sum.name().to_owned(), sum.sql().to_owned()));
        Self {
            key: request.key.clone(),
            deduplicate: request.deduplicate.clone(),
            balance: balance.collect(),
            order_by: request.manifest.order_by.clone(),
            on_fail: audit.on_fail.map(str::to_owned),
        }
    }

    /// The sums; they were read before they were kept.
    pub(super) fn sums(&self) -> Result<Vec<Balance>, String> {
        self.balance.iter().map(|(name, expression)| Balance::parse(name, expression)).collect()
    }
}
