//! PostgreSQL: the only home of SQL.
