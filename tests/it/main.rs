//! One integration binary: what needs more than one room, or the built binary.

mod callbacks;
mod channels;
mod channels_kannel;
mod channels_matrix;
mod channels_providers;
mod channels_smtp;
mod channels_twilio;
mod channels_webhook;
#[expect(clippy::disallowed_methods, reason = "it watches a process from outside, by the wall clock")]
mod claims;
mod console;
mod couriers;
#[cfg(feature = "fail-points")]
#[expect(clippy::disallowed_methods, reason = "these tests watch processes from outside, by the wall clock")]
mod crash;
mod demo;
mod exim;
mod handbook;
#[expect(clippy::disallowed_methods, reason = "these tests watch processes from outside, by the wall clock")]
mod hostile;
mod house;
#[cfg(feature = "fail-points")]
#[expect(clippy::disallowed_methods, reason = "these tests watch processes from outside, by the wall clock")]
mod inboxes;
mod oracle;
#[expect(clippy::disallowed_methods, reason = "it watches a process from outside, by the wall clock")]
mod polling;
mod reload;
mod replay;
mod sim;
