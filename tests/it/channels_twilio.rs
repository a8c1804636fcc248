//! Twilio's own OpenAPI document, which Prism holds our requests against: `bash tests/real/run.sh twilio`. It keeps no state
//! and answers dummies: what is proved is the form of what we ask, and that it refuses another.

use std::time::Duration;

use shiftbell::core::model::OutcomeClass;

use crate::channels::{channel, claim};

#[tokio::test]
#[ignore = "wants a real document: bash tests/real/run.sh twilio"]
async fn what_we_ask_of_twilio_is_what_its_own_document_describes() {
    #[expect(clippy::disallowed_methods, reason = "the script that starts the server says where it is")]
    let server =
        std::env::var("TWILIO_SERVER").expect("TWILIO_SERVER is not set: bash tests/real/run.sh twilio");
    let long = Duration::from_secs(20);
    let section = |adapter: &str, sid: &str| {
        format!(
            "[{adapter}]\naccount = {{ sid = \"{sid}\", token.env = \"T\" }}\nfrom = \"+15005550006\"\n\
             http = {{ base = \"{server}\", allow_private = true }}\n"
        )
    };
    let sid = "AC00000000000000000000000000000000";
    for adapter in ["twilio_sms", "twilio_voice"] {
        let good = channel(&section(adapter, sid), &[("T", "token")], long);
        let outcome = good.send(&claim(1, "+8613800000000")).await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{adapter}: {outcome:?}");
        // That it would say so if it were otherwise: the id of an account has letters and a length in the document.
        let bad = channel(&section(adapter, "AC-nobody"), &[("T", "token")], long);
        let outcome = bad.send(&claim(2, "+8613800000000")).await;
        assert_ne!(outcome.class, OutcomeClass::Accepted, "{adapter}: {outcome:?}");
    }
}
