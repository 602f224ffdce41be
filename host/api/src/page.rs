//! Pages of lists: what was asked for is checked before the store is asked.

use oxide_core::api::page::{LIMIT_DEFAULT, LIMIT_MAX, PageQuery};
use oxide_store::PageRequest;

use crate::error::ApiError;

/// Checks what was asked for. The cursor is checked by the store.
///
/// # Errors
/// 400 if the limit is out of its range.
pub fn request(limit: Option<u32>, cursor: Option<String>) -> Result<PageRequest, ApiError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!("`limit` is 1 to {LIMIT_MAX}, and not {limit}")));
    }
    Ok(PageRequest { limit, cursor: cursor.filter(|cursor| !cursor.is_empty()) })
}

/// The same of the two parameters that every list has.
///
/// # Errors
/// As [`request`].
pub fn request_of(query: PageQuery) -> Result<PageRequest, ApiError> {
    request(query.limit, query.cursor)
}

/// A page of other entries.
pub fn map<T, U>(page: oxide_core::api::page::Page<T>, each: impl FnMut(T) -> U) -> oxide_core::api::page::Page<U> {
    oxide_core::api::page::Page { items: page.items.into_iter().map(each).collect(), next_cursor: page.next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        assert!(request(Some(0), None).is_err() && request(Some(LIMIT_MAX + 1), None).is_err());
        assert_eq!(request(None, Some(String::new())).unwrap(), PageRequest::first(LIMIT_DEFAULT));
    }
}
