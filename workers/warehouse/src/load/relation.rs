//! The batch as a relation that a suite's own queries may read while nobody else can.

use super::staging::{SEQUENCE, Staged};
use crate::{error::WarehouseError, ident::quote};

impl Staged {
    /// The rows of the batch, its duplicates aside, as a query in parentheses: in the types of the target, without what the
    /// load adds.
    pub fn relation(&self) -> Result<String, WarehouseError> {
        let columns: Vec<_> = self.columns.iter().map(|column| quote(&column.name)).collect::<Result<_, _>>()?;
        Ok(format!(
            "(select {} from {} as s where not exists (select from {} as o where o.seq = s.{} and o.rules is null))",
            columns.join(", "),
            self.table.quoted(),
            self.out.quoted(),
            quote(SEQUENCE)?
        ))
    }
}
