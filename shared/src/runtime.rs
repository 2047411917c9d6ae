//! Process start and stop: signals, drain, crypto provider.
