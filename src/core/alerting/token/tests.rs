use proptest::prelude::*;

use super::*;

fn root() -> InstallationKey {
    InstallationKey::new([7; 32])
}

fn keys(revision: u8) -> LinkKeys {
    LinkKeys::new(&root(), &"after-sales".into(), revision)
}

fn now() -> Instant {
    Instant::from_secs(1_790_000_000)
}

fn token() -> LinkToken {
    LinkToken {
        purpose: LinkPurpose::Ack,
        target: LinkTarget::Incident(Id::from_bytes([9; 16])),
        episode: 1,
        level: 1,
        person: "xiaolin".into(),
        expires_at: now() + LINK_LIFE,
        nonce: [3; 8],
    }
}

#[test]
fn a_token_reads_back_and_is_short() {
    let text = keys(0).sign(&token());
    assert!(text.len() <= 90, "{} letters: {text}", text.len());
    assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
    assert_eq!(keys(0).verify(&text, now()), Ok(token()));
    let list = LinkToken {
        target: LinkTarget::List { message: Id::from_bytes([1; 16]), revision: 70_000 },
        episode: 0,
        person: "小林".into(),
        ..token()
    };
    assert_eq!(keys(0).verify(&keys(0).sign(&list), now()), Ok(list));
}

#[test]
fn its_time_ends_at_the_instant_it_names() {
    let text = keys(0).sign(&token());
    let end = token().expires_at;
    assert_eq!(keys(0).verify(&text, end - Span::MILLISECOND), Ok(token()));
    assert_eq!(keys(0).verify(&text, end), Err(BadLink::Expired(token())));
}

#[test]
fn two_keys_are_good_at_a_time() {
    let old = keys(4).sign(&token());
    assert_eq!(keys(5).verify(&old, now()), Ok(token()));
    assert_eq!(keys(6).verify(&old, now()), Err(BadLink::Invalid));
    // A key that does not exist yet signs nothing that is believed.
    assert_eq!(keys(3).verify(&old, now()), Err(BadLink::Invalid));
    // The inbox of a token does not change with the key: pressed before and after a rotation is pressed once.
    assert_eq!(keys(4).inbox(&token()), keys(5).inbox(&token()));
}

#[test]
fn another_desk_and_another_installation_believe_nothing_of_it() {
    let text = keys(0).sign(&token());
    let desk = LinkKeys::new(&root(), &"other".into(), 0);
    let installation = LinkKeys::new(&InstallationKey::new([8; 32]), &"after-sales".into(), 0);
    assert_eq!(desk.verify(&text, now()), Err(BadLink::Invalid));
    assert_eq!(installation.verify(&text, now()), Err(BadLink::Invalid));
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = keys(0).sign(&token());
    let bytes = URL_SAFE_NO_PAD.decode(&good).expect("our own text");
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let text = URL_SAFE_NO_PAD.encode(bad);
        assert_eq!(keys(0).verify(&text, now()), Err(BadLink::Invalid), "bit {bit}");
    }
    // And every letter changed for another: there is one text of a token.
    for place in 0..good.len() {
        for letter in "AZaz09-_=+/. é".chars() {
            let mut bad: Vec<char> = good.chars().collect();
            if std::mem::replace(&mut bad[place], letter) == letter {
                continue;
            }
            let text: String = bad.into_iter().collect();
            assert_eq!(keys(0).verify(&text, now()), Err(BadLink::Invalid), "{text}");
        }
    }
    for cut in 0..good.len() {
        assert_eq!(keys(0).verify(&good[..cut], now()), Err(BadLink::Invalid), "{cut} letters");
    }
    assert_eq!(keys(0).verify(&format!("{good}A"), now()), Err(BadLink::Invalid));
    assert_eq!(keys(0).verify(&"A".repeat(1 << 20), now()), Err(BadLink::Invalid));
}

#[test]
fn a_page_value_is_bound_to_its_token_and_its_time() {
    let text = keys(0).sign(&token());
    let value = keys(0).page_value(&text, 5);
    assert_eq!(value, keys(0).page_value(&text, 5));
    assert_ne!(value, keys(0).page_value(&text, 6));
    assert_ne!(value, keys(0).page_value(&format!("{text}A"), 5));
    assert_ne!(value, keys(1).page_value(&text, 5));
}

fn any_token() -> impl Strategy<Value = LinkToken> {
    (
        prop::sample::select(LinkPurpose::ALL.to_vec()),
        any::<([u8; 16], bool, u32)>(),
        any::<u32>(),
        0_u8..4,
        "[a-z]{1,12}|小林|阿敏",
        1_700_000_000_i64..4_000_000_000,
        any::<[u8; 8]>(),
    )
        .prop_map(|(purpose, (id, listed, revision), episode, level, person, expires, nonce)| {
            LinkToken {
                purpose,
                target: match listed {
                    true => LinkTarget::List { message: Id::from_bytes(id), revision },
                    false => LinkTarget::Incident(Id::from_bytes(id)),
                },
                episode,
                level,
                person: person.as_str().into(),
                expires_at: Instant::from_secs(expires),
                nonce,
            }
        })
}

proptest! {
    /// I42: whatever is done to the bytes of a token, it never says anything but what was signed; so it acts on no
    /// other purpose, incident, list, episode, person or time.
    #[test]
    fn no_token_says_what_was_not_signed(
        token in any_token(),
        other in any_token(),
        cut in 0_usize..120,
        revision in 0_u8..3,
        edits in prop::collection::vec((0_usize..120, any::<u8>()), 0..4),
    ) {
        let keys = keys(revision);
        let before = token.expires_at - Span::MILLISECOND;
        let text = keys.sign(&token);
        prop_assert_eq!(keys.verify(&text, before), Ok(token.clone()));
        prop_assert_eq!(keys.verify(&text, token.expires_at), Err(BadLink::Expired(token.clone())));

        // The head of one and the tail of another, with bytes changed.
        let (a, b) = (URL_SAFE_NO_PAD.decode(&text).unwrap(), URL_SAFE_NO_PAD.decode(keys.sign(&other)).unwrap());
        let mut mixed: Vec<u8> = a.iter().take(cut).chain(b.iter().skip(cut)).copied().collect();
        for (place, byte) in edits {
            if let Some(at) = mixed.get_mut(place) {
                *at = byte;
            }
        }
        if mixed != a && mixed != b {
            prop_assert_eq!(keys.verify(&URL_SAFE_NO_PAD.encode(mixed), before), Err(BadLink::Invalid));
        }
    }

    #[test]
    fn whatever_comes_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,100}") {
        prop_assert_eq!(keys(0).verify(&URL_SAFE_NO_PAD.encode(&bytes), now()), Err(BadLink::Invalid));
        prop_assert_eq!(keys(0).verify(&text, now()), Err(BadLink::Invalid));
        let _ = LinkToken::from_bytes(&bytes, [0; 4]);
    }
}

#[test]
fn a_letter_has_the_links_that_fit_it() {
    let config =
        AlertingConfig { base_url: Some("https://bell.example.com/".to_owned()), ..Default::default() };
    let maker = LinkMaker::new(&root(), &"after-sales".into(), &config).expect("a base URL");
    let one = incident(1);
    let two = incident(2);
    let message = Id::from_bytes([5; 16]);
    let person: PersonId = "xiaolin".into();
    let words = |purpose, members: &[&Incident]| -> Vec<&'static str> {
        maker.links(message, &person, purpose, members, now()).into_iter().map(|(word, _)| word).collect()
    };
    assert_eq!(words(Purpose::Level, &[&one]), ["ack", "snooze", "resolve", "view"]);
    assert_eq!(words(Purpose::Level, &[&one, &two]), ["ack", "view"]);
    assert_eq!(words(Purpose::Cleared, &[&one]), ["view"]);
    assert_eq!(words(Purpose::Canary, &[&one]), [""; 0]);
    assert_eq!(words(Purpose::Level, &[]), [""; 0]);

    let links = maker.links(message, &person, Purpose::Level, &[&one], now());
    assert_eq!(links, maker.links(message, &person, Purpose::Level, &[&one], now()));
    let mut nonces = std::collections::BTreeSet::new();
    for (word, url) in &links {
        let text = url.strip_prefix("https://bell.example.com/a/").expect("the base and the path");
        let token = keys(0).verify(text, now()).expect("our own token");
        assert_eq!(token.purpose.word(), *word);
        assert_eq!((token.target, token.episode), (LinkTarget::Incident(one.id), one.episode));
        assert_eq!(token.person, person);
        assert!(token.expires_at <= now() + LINK_LIFE);
        assert!(nonces.insert(token.nonce), "{word} has a nonce of its own");
    }
    let listed = maker.links(message, &person, Purpose::Digest, &[&one, &two], now());
    let token = keys(0).verify(&listed[0].1["https://bell.example.com/a/".len()..], now()).expect("ours");
    assert_eq!(token.target, LinkTarget::List { message, revision: 0 });
    let none = AlertingConfig::default();
    assert!(LinkMaker::new(&root(), &"after-sales".into(), &none).is_none());
}

fn incident(n: u8) -> Incident {
    let text = r#"{
        "id":"00000000000000000000000000","family":"ticket.reply","rule":"ticket_reply",
        "subject":{"kind":"ticket","source":"s","id":"1"},"generation":"g","episode":3,"status":"open","level":1,
        "step":1,"version":1,"round":0,"team":"t","owner":null,"dimensions":{},"vip":false,"legal":false,
        "complaint":false,"penalty_cents":0,"since":"2026-09-21T14:00:00Z","due":null,"hard_deadline":null,
        "opened_at":"2026-09-21T14:00:00Z","episode_at":"2026-09-21T14:00:00Z","next_level_at":null,"reminders":0,
        "held_delay_ms":null,"acked_by":null,"ack_until":null,"ack_extended":false,"snooze_until":null,
        "resolution":null,"resolved_at":null,"before_resolved":null,"cleared_at":null,"grace_until":null,
        "unverified":false,"unhandled":false,"firing":true,"paused":false,"cycle":null,"levels_from":"2026-09-21T14:00:00Z","audience":[],
        "route_rev":0,"in_fallback":false,"owed":false,"acked_at":null,"unverified_at":null,"url":null,"folded":null,"silenced":null,"predecessor":null,"storm":null,"told":{},
        "notices":[],"facts":{}}"#;
    let mut incident: Incident = serde_json::from_str(text).expect("an incident");
    incident.id = Id::from_bytes([n; 16]);
    incident
}
