//! Client of the Midtrans APIs.
