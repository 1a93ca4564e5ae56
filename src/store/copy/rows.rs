//! Rows in the text format of COPY, and what of them a whole table comes to.

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::{
    Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _,
    sqlite::{SqliteRow, SqliteValueRef},
};

use super::CopyError;
use crate::ports::StoreError;

/// The content of a table, in whatever order its rows come: how many there are, and the sum of their
/// SHA-256s, taken as four numbers each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) rows: u64,
    sum: [u64; 4],
}

impl Content {
    /// Adds a row, without its line break.
    pub(super) fn add(&mut self, row: &[u8]) {
        let hash = digest(&SHA256, row);
        let (parts, _) = hash.as_ref().as_chunks::<8>();
        for (sum, part) in self.sum.iter_mut().zip(parts) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*part));
        }
        self.rows += 1;
    }

    /// Adds the whole rows of `bytes`, and keeps in it what stands behind the last of them.
    pub(super) fn add_lines(&mut self, bytes: &mut Vec<u8>) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.add(&bytes[start..end]);
            start = end + 1;
        }
        bytes.drain(..start);
    }
}

/// A row in the text format of COPY, with its line break
/// (<https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>). PostgreSQL writes the same
/// bytes when it gives the row back.
pub(super) fn write_row(row: &SqliteRow, out: &mut Vec<u8>) -> Result<(), CopyError> {
    for column in 0..row.len() {
        if column > 0 {
            out.push(b'\t');
        }
        write_value(row.try_get_raw(column)?, out)?;
    }
    out.push(b'\n');
    Ok(())
}

fn write_value(value: SqliteValueRef<'_>, out: &mut Vec<u8>) -> Result<(), CopyError> {
    let unreadable =
        |error: sqlx::error::BoxDynError| CopyError::Failed(StoreError::Corrupt(error.to_string()));
    if value.is_null() {
        out.extend_from_slice(b"\\N");
        return Ok(());
    }
    let info = value.type_info().into_owned();
    match info.name() {
        "INTEGER" | "BOOLEAN" => {
            let number = <i64 as Decode<'_, Sqlite>>::decode(value).map_err(unreadable)?;
            out.extend_from_slice(number.to_string().as_bytes());
        }
        "BLOB" => {
            let bytes = <&[u8] as Decode<'_, Sqlite>>::decode(value).map_err(unreadable)?;
            out.extend_from_slice(b"\\\\x");
            out.extend_from_slice(hex::encode(bytes).as_bytes());
        }
        _ => {
            let text = <&str as Decode<'_, Sqlite>>::decode(value).map_err(unreadable)?;
            write_text(text, out);
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x0c => out.extend_from_slice(b"\\f"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_copy_reads_it() {
        let mut out = Vec::new();
        write_text("a\\N\tb\r\n\\. é\u{8}\u{b}\u{c}", &mut out);
        assert_eq!(out, "a\\\\N\\tb\\r\\n\\\\. é\\b\\v\\f".as_bytes());
    }

    #[test]
    fn the_content_of_a_table_does_not_depend_on_the_order_or_on_how_it_comes() {
        let content = |parts: &[&str]| {
            let (mut content, mut pending) = (Content::default(), Vec::new());
            for part in parts {
                pending.extend_from_slice(part.as_bytes());
                content.add_lines(&mut pending);
            }
            assert_eq!(pending, b"");
            content
        };
        let whole = content(&["a\t1\nb\t2\nb\t2\n"]);
        assert_eq!(whole.rows, 3);
        assert_eq!(content(&["b\t2\na\t", "1", "\nb\t2", "\n"]), whole);
        for other in [
            "a\t1\nb\t2\n",
            "a\t1\nb\t2\nb\t3\n",
            "a\t1\na\t1\nb\t2\n",
            "a\t2\nb\t1\nb\t2\n",
        ] {
            assert_ne!(content(&[other]), whole, "{other:?}");
        }
    }
}
