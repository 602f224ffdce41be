//! Pages of lists: what was asked for is checked before the store is asked.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oxide_core::api::page::{LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery};
use oxide_store::{PageRequest, StoreError};
use serde::{Serialize, de::DeserializeOwned};

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
pub fn map<T, U>(page: Page<T>, each: impl FnMut(T) -> U) -> Page<U> {
    Page { items: page.items.into_iter().map(each).collect(), next_cursor: page.next_cursor }
}

/// A page of a list that is there as a whole, in the order of its keys. Entries with the same key are told apart by their
/// order. What the list gets meanwhile makes no entry come twice and hides none that was there.
///
/// # Errors
/// 400 if the cursor is no place in this list.
pub fn of_whole<T, K>(all: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> K) -> Result<Page<T>, ApiError>
where
    K: Ord + Serialize + DeserializeOwned,
{
    let after = request.cursor.as_deref().map(read_place::<K>).transpose()?;
    let mut items = Vec::new();
    let mut last: Option<(K, u32)> = None;
    for entry in all {
        let key = key(&entry);
        let number = last.as_ref().filter(|(before, _)| *before == key).map_or(0, |(_, number)| number + 1);
        let place = (key, number);
        if after.as_ref().is_none_or(|after| place > *after) {
            if items.len() == request.limit as usize {
                let next_cursor = last.as_ref().map(write_place).transpose()?;
                return Ok(Page { items, next_cursor });
            }
            items.push(entry);
        }
        last = Some(place);
    }
    Ok(Page { items, next_cursor: None })
}

fn write_place<K: Serialize>(place: &(K, u32)) -> Result<String, ApiError> {
    let text = serde_json::to_vec(place).map_err(|error| ApiError::internal("make a page", error))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

fn read_place<K: DeserializeOwned>(cursor: &str) -> Result<(K, u32), ApiError> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = text.and_then(|text| serde_json::from_slice(&text).ok());
    place.ok_or_else(|| StoreError::BadCursor { cursor: cursor.to_owned() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        assert!(request(Some(0), None).is_err() && request(Some(LIMIT_MAX + 1), None).is_err());
        assert_eq!(request(None, Some(String::new())).unwrap(), PageRequest::first(LIMIT_DEFAULT));
    }

    #[test]
    fn a_list_that_grows_is_read_to_its_end_and_once() {
        let page = |all: &[(&'static str, u32)], request: &PageRequest| {
            of_whole(all.to_vec(), request, |(name, _)| (*name).to_owned()).unwrap()
        };
        let all = [("b", 0), ("b", 1), ("b", 2), ("d", 0), ("é/\"", 0)];
        let first = page(&all, &PageRequest::first(2));
        assert_eq!(first.items, all[..2]);
        // Two come in while somebody reads: the one before the place that was reached is missed, the other one is not.
        let grown = [("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 0), ("d", 0), ("é/\"", 0)];
        let second = page(&grown, &PageRequest::first(4).after(&first).unwrap());
        assert_eq!((&second.items[..], &second.next_cursor), (&grown[3..], &None));
        let before_the_last = page(&grown, &PageRequest::first(6));
        assert_eq!(page(&grown, &PageRequest::first(6).after(&before_the_last).unwrap()).items, grown[6..]);
        assert_eq!(page(&[], &PageRequest::first(1)), Page { items: Vec::new(), next_cursor: None });
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for cursor in ["x".to_owned(), encoded("nonsense"), encoded("[1,0]"), encoded("[\"a\"]")] {
            let request = PageRequest { limit: 1, cursor: Some(cursor.clone()) };
            let error = of_whole(vec!["a"], &request, |name| (*name).to_owned()).unwrap_err();
            assert_eq!(error.kind(), oxide_core::api::error::ErrorKind::BadRequest, "{cursor}");
        }
    }
}
