//! A room of a real Synapse, which `bash tests/real/run.sh matrix` starts: what its transactions and limits really do.

use std::time::Duration;

use shiftbell::channels::Channel;
use shiftbell::core::model::{DuplicateKey, OutcomeClass};

use crate::channels::{channel, claim};

const LONG: Duration = Duration::from_secs(20);

/// Where the server is, a token of a member, and their room.
fn server() -> [String; 3] {
    #[expect(clippy::disallowed_methods, reason = "the script that starts the server says where it is")]
    ["MATRIX_SERVER", "MATRIX_TOKEN", "MATRIX_ROOM"].map(|name| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: bash tests/real/run.sh matrix"))
    })
}

fn matrix(server: &str, token: &str) -> std::sync::Arc<dyn Channel> {
    let text = format!("[matrix]\nserver = {server:?}\ntoken.env = \"T\"\nhttp.allow_private = true");
    channel(&text, &[("T", token)], LONG)
}

#[tokio::test]
#[ignore = "wants a real server: bash tests/real/run.sh matrix"]
async fn a_real_synapse_drops_second_copies_and_says_how_long_to_wait() {
    let [server, token, room] = server();
    let channel = matrix(&server, &token);
    assert!(matches!(channel.card().duplicate_key, DuplicateKey::Strong { .. }));
    let mut first = claim(1, &room);
    first.body.text = "工单 8821 <b>超时</b> & ~!*'()".to_owned();
    let outcome = channel.send(&first).await;
    assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    let again = channel.send(&first).await;
    assert_eq!(
        (again.class, &again.provider_id),
        (OutcomeClass::Accepted, &outcome.provider_id),
        "one message"
    );
    // Another client, as after a restart.
    let again = matrix(&server, &token).send(&first).await;
    assert_eq!(again.provider_id, outcome.provider_id, "{again:?}");
    // Faster than it likes: it says for how long.
    let mut throttled = None;
    for n in 2..40 {
        let outcome = channel.send(&claim(n, &room)).await;
        if outcome.class == OutcomeClass::Throttled {
            throttled = outcome.wait;
            break;
        }
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    }
    assert!(throttled.is_some_and(|wait| !wait.is_zero()), "{throttled:?}");
    let refused = matrix(&server, "syt_nobody").send(&claim(50, &room)).await;
    assert_eq!(refused.class, OutcomeClass::Credential, "{refused:?}");
    assert!(!format!("{refused:?}").contains("syt_nobody"), "{refused:?}");
    let elsewhere = channel.send(&claim(51, "!nobody:localhost")).await;
    assert!(
        [OutcomeClass::Config, OutcomeClass::Throttled].contains(&elsewhere.class),
        "not in that room: {elsewhere:?}"
    );
    assert_eq!(channel.send(&claim(52, "@lin:localhost")).await.class, OutcomeClass::RecipientPermanent);
}
