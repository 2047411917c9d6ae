//! `/livez`, `/readyz` and `/metrics` of every service.
