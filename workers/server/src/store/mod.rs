//! Reads of the platform's views, one file an area. The rows are what the API sends and the pages show.

pub(crate) mod alerts;
pub(crate) mod board;
pub(crate) mod dags;
pub(crate) mod data;
pub(crate) mod runs;
pub(crate) mod streams;
pub(crate) mod suites;

use serde::Serialize;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The rows, newest first.
    pub(crate) items: Vec<T>,
    /// Hand it back as `cursor` for the next page; null on the last one. Its content is the server's own.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a list that was read with one row too many, which tells whether there is a next page.
    pub(crate) fn cut(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(cursor) } else { None };
        Self { items, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn only_a_full_page_with_more_behind_it_has_a_cursor() {
        let page = |rows: Vec<i64>| Page::cut(rows, 2, ToString::to_string);
        assert_eq!(page(vec![9, 8, 7]).next_cursor.as_deref(), Some("8"));
        assert_eq!(page(vec![9, 8]).next_cursor, None);
        assert_eq!(page(vec![9, 8, 7]).items, [9, 8]);
    }
}
