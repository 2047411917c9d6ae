//! A Midtrans that runs on your machine: gateway, customer, bank and notifications.
//!
//! It knows nothing of the code under test and computes signatures itself. State is in memory and
//! bounded. Start it in-process with [`Simulator::start`] or as the binary `midtrans-sim`; the
//! same control API serves both, and [`SimClient`] speaks it.
//!
//! # Clocks
//! `time_scale` makes retry intervals (`midtrans.md` 3.1) and refund confirmations N times faster,
//! `expiry_scale` the time to pay, the life of Snap pages and of idempotency keys; it follows
//! `time_scale` unless set, and 0 stops it. **With a high `time_scale` set `expiry_scale`**, or a
//! QRIS order of 15 minutes expires within the second. Times inside bodies are real (WIB) and
//! never scaled, nor are `delay_ms` and the receiver's 15 s.
//!
//! # Gateway
//! As Midtrans': `POST /v2/charge`, `/v2/capture`, `/v2/{id}/cancel|expire|approve|deny|refund`,
//! `/v2/{id}/refund/online/direct`, `GET /v2/{id}/status`, `/v2/{id}/status/b2b`, `/v2/token`,
//! `POST /snap/v1/transactions`, `/snap/v1/transactions/{token}/cancel|expire`. Basic auth with
//! the server key, `Idempotency-Key`, `X-Append-Notification`, `X-Override-Notification`. Body
//! codes 400, 401, 408, 413, 429 and 5xx come with that HTTP status, all others with HTTP 200.
//! DANA and BSI, Danamon, SeaBank, Saqu accounts have ids `A1…ID`, are found by
//! `transaction_id` only, and show it as `order_id` in GET status.
//!
//! A card token decides the charge by its beginning or a word in it: `481111…` accept,
//! `451111…`/`challenge`, `491111…`/`deny` (bank), `461111…`/`fraud` (fraud system), `expired`
//! (411). With `"authentication":true` it is pending until `/sim/orders/{id}/pay` completes 3DS.
//! An OVO phone number ending in `0000` is unknown (404).
//!
//! # Control
//! No authentication. Bodies are JSON and may be empty; an unknown field is a 400. Failure is
//! `{"error":"…"}` with 400 (wrong request), 404 (nothing of that id), 409 (state forbids it).
//! `{id}` is an order id (its latest transaction is meant) or a transaction id. A *transaction* in
//! an answer is the body of GET status, always with the session's own `order_id`.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /sim/orders/{id}/pay` | | transaction; completes 3DS for cards |
//! | `…/expire`, `…/cancel`, `…/approve`, `…/settle` | | transaction |
//! | `…/deny` | `{"fraud_status"?}` | transaction; of a pending payment or a challenge |
//! | `…/capture` | `{"amount"?}` | transaction; of a pre-authorisation |
//! | `…/refund` | `{"amount"?,"refund_key"?,"reason"?,"confirm"?:"later"\|"now"\|"never"}` | transaction; two notifications unless `never` (`later` = 30 s of the scaled clock) |
//! | `…/confirm-refund` | | transaction; the bank confirms the oldest open refund |
//! | `…/reverse` | | transaction; settlement to deny, Permata/echannel/Indomaret only |
//! | `…/chargeback` | `{"amount"?}` | transaction; cards only, partial with an amount |
//! | `…/force` | `{"transaction_status","fraud_status"?}` | transaction; any edge at all |
//! | `…/resend` | `{"transaction_status"?,"times"?,"concurrent"?}` | `{"order_id","times"}`; the newest notification (of that status) again, byte for byte |
//! | `POST /sim/snap/{token or order id}/pick` | `{"payment_type"?,"bank"?,"store"?,"token_id"?,"authentication"?,…}` | the charge answer |
//! | `POST /sim/settle-cards` | | `{"settled"}`; the 16:00 burst, open challenges become cancel |
//! | `POST /sim/pay-all` | | `{"paid"}`; every pending transaction |
//! | `POST /sim/static-qris` | `{"amount"}` | transaction; settlement without charge or pending |
//! | `POST /sim/burst` | `{"orders","prefix"?,"amount"?,"pay"?}` | `{"orders","prefix"}`; GoPay orders `{prefix}-1…` |
//! | `POST /sim/test-notification` | | `{"order_id","ok","http_status","error"}`; the dashboard's button, sent once |
//! | `POST /sim/notices` | `{"kind","fields"?,"forged"?,"raw"?,"whole_path"?}` | `{"http_status","answer","timestamp","sent"}`; a `pay_account`, `subscription`, `payout`, `bi_snap_debit`, `bi_snap_qr`, `bi_snap_va` or `bi_snap_account` notification, sent once |
//! | `GET /sim/bi-snap/public-key` | | PEM: what BI-SNAP notifications of this process verify with |
//! | `POST /sim/notify-url` | `{"url"}` | `{"url"}` |
//! | `POST /sim/tricks` | a [`Trick`] | `{"id"}` |
//! | `GET /sim/tricks` | | `{"tricks":[{"id","trick"}]}` |
//! | `DELETE /sim/tricks`, `/sim/tricks/{id}` | | `{"removed"}` |
//! | `GET /sim/held` | | `{"held":[{"order_id","transaction_status"}]}` |
//! | `POST /sim/release` | `{"order_id"?,"reverse"?}` | `{"released"}`; one after the other |
//! | `GET /sim/log?order_id=&transaction_status=&after=&at_least=&wait_ms=` | | `{"attempts":[Attempt],"traffic":Traffic}`; waits until `at_least` lines match |
//! | `DELETE /sim/log` | | `{"traffic"}`; counters go on |
//! | `GET /sim/idle?wait_ms=` | | `{"idle":bool,"traffic":Traffic}`; waits until nothing is outstanding |
//! | `GET /sim/transactions?order_id=&transaction_status=&limit=` | | `{"count","transactions":[…]}`, oldest first |
//! | `GET /sim/snap?order_id=` | | `{"pages":[{"token","order_id","state"}]}` |
//! | `GET /sim/health` | | `{"status":"ok","merchant_id"}` |
//!
//! [`Attempt`] and [`Traffic`] describe the log's fields. Held notifications do not count as
//! outstanding; a refund confirmation that is due later does.
//!
//! # Tricks
//! A [`Trick`] applies to one order or to all, to notifications of certain statuses or of all, and
//! `times` times or until removed; one trick should do one thing. Examples:
//!
//! | wanted | trick |
//! |---|---|
//! | settlement before pending | `{"order_id":"A","on":["pending"],"hold":true}`, pay, `/sim/release` |
//! | 20 copies at once | `{"on":["settlement"],"duplicate":{"copies":19,"concurrent":true}}` |
//! | lost | `{"on":["settlement"],"drop":true,"times":1}` |
//! | late | `{"on":["pending"],"delay_ms":500}` |
//! | two of one order in flight | `{"parallel":true}` |
//! | missing and unknown fields | `{"omit":["fraud_status"],"add":{"x":1,"metadata":{"a":{}}}}` |
//! | odd transaction id | `{"order_id":"A","transaction_id":"bi-snap"}` (or any text), before the charge |
//! | fee on the customer | `{"order_id":"A","fee":1065}`, before the charge or the payment |
//! | lower capture | `{"order_id":"A","captured_amount":145000}` |
//! | status API | `{"order_id":"A","times":1,"api":{"answer":"not_found"}}`; `expired`, `upper_case`, `transaction_id_as_order_id`, `too_many_requests`, `server_error`, `unavailable`, `forbidden_page`, `down`, `bad_request`, `not_activated`, `malformed`, `running`, `taken`; slow: `{"api":{"delay_ms":3000}}`; a lie: `{"api":{"set":{"transaction_status":"deny"}}}` |
//! | other calls | `"call"`: `charge`, `snap`, `cancel`, `expire`, `refund`, `capture`, `challenge`, `any` |
//! | charged, answer lost | `{"api":{"call":"charge","answer":"down","processed":true}}` |
//! | bank refuses refund or capture | `{"api":{"call":"refund","answer":"refused"}}` |

mod answer;
mod auth;
mod body;
mod bulk;
mod calls;
mod cards;
mod charge;
mod client;
mod control;
mod courier;
mod desk;
mod gateway;
mod idempotency;
mod ledger;
mod log;
mod lookup;
mod methods;
mod model;
mod moves;
mod notices;
mod parcel;
mod post;
pub mod retry;
mod server;
mod signature;
mod snap;
mod trick;
mod tricks;
mod watch;
mod wire;
mod world;

pub use client::{SimClient, SimReply, charge_body};
pub use log::{Attempt, Traffic, Verdict};
pub use notices::{PAYOUT_KEY, public_key};
pub use server::{SimOptions, Simulator};
pub use signature::signature_key;
pub use trick::{ApiAnswer, ApiTrick, Call, Duplicate, Trick};
