//! Stories of `delivery_semantics` §20 over every channel: the real program, its real adapters, and behind them the
//! simulated providers over HTTP. A team for each provider, whose handler is reached by it first and by mail then.
//!
//! | scenario | which channels | what is different between them |
//! | --- | --- | --- |
//! | S12 provider down | all | – |
//! | S13 200 with an error inside | all but `wecom_app`, `sms_gateway`, `matrix` | where the wait is short, the same lane may carry it |
//! | S14 time-out | all | seen once where a key tells copies, else at most twice, the second marked where the text is ours |
//! | S15, S16 killed after the claim, after the answer | all | the same |
//! | S17 receipt before the outcome | those whose receipts carry our key | – |
//! | S18 no receipt, late receipt | short messages and calls | – |
//! | S19 a message that kills the process | all at once | – |
//! | S20 body refused | all but calls | – |
//! | S21 a person's cap | short messages and calls | – |
//! | I32 a certificate that nobody vouches for | all | – |
//!
//! `wecom_app` drops what is too much without a word: nothing can follow of it, and our own budget keeps it from happening
//! (`sim::busy`). `sms_gateway` has no limit of its own. Synapse says 429. S43 is told where callbacks are taken.

mod stories;
mod world;
