//! Lists: a query with filters, and one page of what it finds.

use std::{fmt::Write as _, str::FromStr};

use oxide_core::api::page::{LIMIT_MAX, Page};

use crate::{
    StoreError,
    sql::{Connection, Row, Value, query},
};

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many entries; from 1 to [`LIMIT_MAX`], and what lies outside is moved there.
    pub limit: u32,
    /// The `next_cursor` of the page before; none for the first page.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// The first page.
    pub fn first(limit: u32) -> PageRequest {
        PageRequest { limit, cursor: None }
    }

    /// The page that follows another one; none if there is none.
    pub fn after<T>(self, page: &Page<T>) -> Option<PageRequest> {
        page.next_cursor.clone().map(|cursor| PageRequest { limit: self.limit, cursor: Some(cursor) })
    }

    fn limit(&self) -> usize {
        self.limit.clamp(1, LIMIT_MAX) as usize
    }

    /// The cursor of a list by one key, such as an id or a number.
    pub(crate) fn key<K: FromStr>(&self) -> Result<Option<K>, StoreError> {
        let read = |cursor: &String| cursor.parse().map_err(|_| StoreError::BadCursor { cursor: cursor.clone() });
        self.cursor.as_ref().map(read).transpose()
    }

    /// The cursor of a list by `N` texts.
    pub(crate) fn texts<const N: usize>(&self) -> Result<Option<[String; N]>, StoreError> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bad = || StoreError::BadCursor { cursor: cursor.clone() };
        let text = hex::decode(cursor).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
        let parts: Vec<String> = serde_json::from_str(&text).map_err(|_| bad())?;
        parts.try_into().map(Some).map_err(|_| bad())
    }

    /// Makes a page of the entries that [`List::fetch`] has found: one more than wanted, if there is a next page.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, cursor: impl FnOnce(&T) -> String) -> Page<T> {
        let more = items.len() > self.limit();
        items.truncate(self.limit());
        let next_cursor = items.last().filter(|_| more).map(cursor);
        Page { items, next_cursor }
    }
}

/// A cursor of several texts. Not for people: names may hold anything.
pub(crate) fn cursor_of(texts: &[&str]) -> String {
    hex::encode(crate::row::to_json(&texts).as_bytes())
}

/// A `SELECT` whose conditions depend on what is asked for. All texts are constants of the program; what is asked for goes
/// into values.
pub(crate) struct List {
    what: &'static str,
    text: String,
    values: Vec<Value>,
    has_conditions: bool,
}

impl List {
    /// `select` is the statement up to its conditions. `what` completes "the store could not …".
    pub(crate) fn new(what: &'static str, select: &str) -> List {
        List { what, text: select.to_owned(), values: Vec::new(), has_conditions: false }
    }

    /// Only what meets this condition. `?` stands for the value, wherever it is needed.
    pub(crate) fn only(mut self, condition: &str, value: impl Into<Value>) -> List {
        self.values.push(value.into());
        let placeholder = format!("${}", self.values.len());
        self.and(&condition.replace('?', &placeholder));
        self
    }

    /// Only what meets this condition, if there is a value for it.
    pub(crate) fn maybe(self, condition: &str, value: Option<impl Into<Value>>) -> List {
        match value {
            Some(value) => self.only(condition, value),
            None => self,
        }
    }

    /// Only what meets this condition, which needs no value.
    pub(crate) fn plainly(mut self, condition: &str) -> List {
        self.and(condition);
        self
    }

    /// Only what has one of these values in the column, if there is a choice.
    pub(crate) fn one_of<V: Into<Value> + Clone>(mut self, column: &str, choice: Option<&[V]>) -> List {
        match choice {
            None => {}
            Some([]) => self.and("1 = 0"),
            Some(choice) => {
                let placeholders: Vec<String> =
                    (1..=choice.len()).map(|place| format!("${}", self.values.len() + place)).collect();
                self.values.extend(choice.iter().cloned().map(Into::into));
                self.and(&format!("{column} IN ({})", placeholders.join(", ")));
            }
        }
        self
    }

    /// Only what comes after the entry with these texts, in the order of these two columns.
    pub(crate) fn after_both(mut self, (first, second): (&str, &str), texts: Option<[String; 2]>) -> List {
        if let Some([one, two]) = texts {
            let place = self.values.len();
            self.values.extend([one.into(), two.into()]);
            self.and(&format!("({first}, {second}) > (${}, ${})", place + 1, place + 2));
        }
        self
    }

    /// Only what comes after these values, in the order of these columns.
    pub(crate) fn after_all<const N: usize>(mut self, columns: &str, values: [Value; N]) -> List {
        let place = self.values.len();
        let placeholders: Vec<String> = (1..=N).map(|offset| format!("${}", place + offset)).collect();
        self.values.extend(values);
        self.and(&format!("{columns} > ({})", placeholders.join(", ")));
        self
    }

    fn and(&mut self, condition: &str) {
        let word = if self.has_conditions { "AND" } else { "WHERE" };
        self.has_conditions = true;
        write!(self.text, " {word} {condition}").expect("a string takes all that is written to it");
    }

    /// The rows of a page in this order, and one more if there is a next page.
    pub(crate) async fn fetch(
        self,
        connection: &mut Connection,
        order: &str,
        request: &PageRequest,
    ) -> Result<Vec<Row>, StoreError> {
        self.fetch_some(connection, order, request.limit() as u32 + 1).await
    }

    /// At most so many rows in this order.
    pub(crate) async fn fetch_some(
        mut self,
        connection: &mut Connection,
        order: &str,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        self.values.push(limit.into());
        write!(self.text, " ORDER BY {order} LIMIT ${}", self.values.len()).expect("a string takes all of it");
        let statement = query(self.what, self.text);
        self.values.into_iter().fold(statement, |statement, value| statement.bind(value)).fetch_all(connection).await
    }
}

/// Bytes as hexadecimal digits.
pub(crate) mod hex {
    use std::fmt::Write as _;

    pub(crate) fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("a string takes all that is written to it");
        }
        text
    }

    /// The bytes; none if it is no even number of digits.
    pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
        if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        (0..text.len()).step_by(2).map(byte).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_joined_and_numbered() {
        let list = List::new("list", "SELECT a FROM t")
            .maybe("b = ?", None::<&str>)
            .only("c = ?", "x")
            .one_of("d", Some(&["y", "z"]))
            .after_both(("e", "f"), Some(["1".into(), "2".into()]));
        assert_eq!(list.text, "SELECT a FROM t WHERE c = $1 AND d IN ($2, $3) AND (e, f) > ($4, $5)");
        assert_eq!(list.values.len(), 5);
        assert_eq!(
            List::new("list", "SELECT a FROM t").one_of("d", Some(&[] as &[&str])).text,
            "SELECT a FROM t WHERE 1 = 0"
        );
    }

    #[test]
    fn a_cursor_is_read_back_and_a_wrong_one_is_told() {
        let cursor = cursor_of(&["ünïcode, and spaces", ""]);
        assert!(cursor.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let request = PageRequest { limit: 5, cursor: Some(cursor) };
        assert_eq!(request.texts::<2>().unwrap(), Some(["ünïcode, and spaces".to_owned(), String::new()]));
        assert!(matches!(request.texts::<1>(), Err(StoreError::BadCursor { .. })));
        for bad in ["x", "abc", "ff", "5b"] {
            let request = PageRequest { limit: 5, cursor: Some(bad.into()) };
            assert!(matches!(request.texts::<1>(), Err(StoreError::BadCursor { .. })), "{bad}");
            assert!(matches!(request.key::<u64>(), Err(StoreError::BadCursor { .. })), "{bad}");
        }
        assert_eq!(PageRequest::first(5).texts::<2>().unwrap(), None);
    }

    #[test]
    fn a_page_names_the_next_one_only_if_there_is_one() {
        let request = PageRequest::first(2);
        let page = request.page(vec![1, 2, 3], ToString::to_string);
        assert_eq!((page.items.as_slice(), page.next_cursor.as_deref()), ([1, 2].as_slice(), Some("2")));
        assert_eq!(request.page(vec![1, 2], ToString::to_string).next_cursor, None);
        assert_eq!(request.page(Vec::<i32>::new(), ToString::to_string).next_cursor, None);
    }
}
