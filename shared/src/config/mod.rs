//! Settings: flags with environment variables.
