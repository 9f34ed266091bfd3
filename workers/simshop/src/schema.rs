//! The tables that the rows go to, as MariaDB and `MySQL` create them.

/// File name and text of each file in `sql/shop/`, in the order in which references resolve. Every statement
/// is `create table if not exists`, so applying them twice changes nothing.
pub const FILES: &[(&str, &str)] = &[
    ("01_catalogue.sql", include_str!("../../../sql/shop/01_catalogue.sql")),
    ("02_customers.sql", include_str!("../../../sql/shop/02_customers.sql")),
    ("03_logistics.sql", include_str!("../../../sql/shop/03_logistics.sql")),
    ("04_sales.sql", include_str!("../../../sql/shop/04_sales.sql")),
    ("05_generator.sql", include_str!("../../../sql/shop/05_generator.sql")),
];

/// Every statement of [`FILES`], one at a time: a client need not allow several in one call.
pub fn statements() -> impl Iterator<Item = &'static str> {
    FILES.iter().flat_map(|(_, text)| text.split_inclusive(";\n")).map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_statement_creates_one_table() {
        let count = super::statements().inspect(|sql| assert!(sql.contains("create table if not exists"), "{sql}"));
        assert_eq!(count.count(), 16);
    }
}
