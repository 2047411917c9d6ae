//! The one path from observations to rows.
