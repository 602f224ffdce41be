//! Writes many rows with few statements.

use std::fmt::Write as _;

use super::{Connection, Values, query};
use crate::StoreError;

/// How many rows one statement takes. Few sizes, so that each statement is prepared once and then kept.
const ROWS_PER_STATEMENT: [usize; 3] = [64, 8, 1];

/// Runs `head VALUES (…), (…) tail` over all rows; `bind` gives the values of one, always as many.
pub(crate) async fn write_rows<T>(
    connection: &mut Connection,
    what: &'static str,
    (head, tail): (&'static str, &'static str),
    mut rows: &[T],
    bind: impl for<'v> Fn(&'v mut Values, &T) -> &'v mut Values,
) -> Result<(), StoreError> {
    for size in ROWS_PER_STATEMENT {
        while rows.len() >= size {
            let (now, later) = rows.split_at(size);
            rows = later;
            let mut values = Values::with_room_for(size * 12);
            for row in now {
                bind(&mut values, row);
            }
            let text = statement(head, tail, size, values.len() / size);
            query(what, text).with(values).execute(connection).await?;
        }
    }
    Ok(())
}

fn statement(head: &str, tail: &str, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(head.len() + tail.len() + 8 + rows * (columns * 6 + 4));
    text.push_str(head);
    text.push_str("VALUES ");
    let mut placeholder = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            placeholder += 1;
            let comma = if column == 0 { "" } else { ", " };
            write!(text, "{comma}${placeholder}").expect("a string takes all that is written to it");
        }
        text.push(')');
    }
    text.push_str(tail);
    text
}

#[cfg(test)]
mod tests {
    use super::statement;

    #[test]
    fn placeholders_are_counted_through_all_rows() {
        assert_eq!(
            statement("INSERT INTO t (a, b) ", " RETURNING a", 2, 2),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) RETURNING a"
        );
    }
}
