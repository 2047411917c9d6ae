//! Turns rows into the column arrays that set-based statements unnest.

/// `columns!(rows, name: |row| expression, …)` binds one `Vec` per column.
macro_rules! columns {
    ($rows:expr, $($name:ident: |$row:ident| $value:expr),+ $(,)?) => {
        $(let $name = $rows.iter().map(|$row| $value).collect::<Vec<_>>();)+
    };
}

pub(crate) use columns;
