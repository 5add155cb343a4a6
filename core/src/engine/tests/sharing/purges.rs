//! Tokens that one process purges, or sees refused, are no longer served by the others.

use super::*;

#[test]
fn a_revoked_secret_ends_for_all_sharing_engines() {
    let (provider, fleet) = Numbering::fleet();
    let (one, other) = (fleet.lab(), fleet.lab());
    one.pair("a", "s");
    other.pair("a", "s");
    provider.refuses.store(true, Ordering::SeqCst);
    fleet.advance(820);
    for lab in [&one, &other] {
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
        lab.settle();
        assert_eq!(lab.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
    }
    assert_eq!(fleet.transport.token_requests(), 2);
    assert_eq!(
        fleet.lab().pair("a", "s"),
        "NEGATIVE 401 CredentialsRefused"
    );
}

#[test]
fn a_purge_reaches_all_sharing_engines() {
    let (_, fleet) = Numbering::fleet();
    let (one, other) = (fleet.lab(), fleet.lab());
    for lab in [&one, &other] {
        for id in ["a", "b"] {
            lab.pair(id, "s");
        }
    }
    one.engine.purge(&one.gate, Some("a")).unwrap();
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t3", "not from the store");
    // A process that has cached it learns of the purge within a second.
    until("the other engine drops it", || {
        other.engine.metrics().unwrap().purged == 1
    });
    assert_eq!(other.pair("a", "s"), "SHARED a Bearer t3");
    assert_eq!(other.pair("b", "s"), "HIT b Bearer t2");
    assert_eq!(fleet.lab().pair("b", "s"), "SHARED b Bearer t2");

    other.engine.purge_all(None).unwrap();
    // A new process learns of it before it takes a token.
    let fresh = fleet.lab();
    until("the purge is in the store", || {
        fleet
            .file()
            .query_row("SELECT count(*) FROM purge", [], |row| row.get(0))
            == Ok(2)
    });
    assert_eq!(fresh.pair("b", "s"), "MISS b Bearer t4");
    until("the purge is applied", || {
        one.engine.metrics().unwrap().purged == 3
    });
    assert_eq!(one.pair("b", "s"), "SHARED b Bearer t4");
}

#[test]
fn a_followed_purge_applies_to_the_store_before_it_is_stored() {
    let (_, fleet) = Numbering::fleet();
    let (one, other) = (fleet.lab(), fleet.lab());
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t1");
    assert_eq!(other.pair("a", "s"), "SHARED a Bearer t1");
    // The process that announces it dies before it stores it.
    other.engine.follow_purge(Some("a")).unwrap();
    assert_eq!(
        other.pair("a", "s"),
        "MISS a Bearer t2",
        "not from the store"
    );
    assert_eq!(fleet.lab().pair("a", "s"), "SHARED a Bearer t2");
}

#[test]
fn a_followed_purge_is_stored_once() {
    let (_, fleet) = Numbering::fleet();
    let (one, other) = (fleet.lab(), fleet.lab());
    for lab in [&one, &other] {
        lab.pair("a", "s");
    }
    one.engine.purge_all(Some("a")).unwrap();
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t2");
    let number = || {
        fleet
            .file()
            .query_row("SELECT max(number) FROM purge", [], |row| {
                row.get::<_, i64>(0)
            })
    };
    let stored = number().unwrap();
    other.engine.follow_purge(Some("a")).unwrap();
    assert_eq!(other.pair("a", "s"), "SHARED a Bearer t2");
    assert_eq!(number(), Ok(stored));
}

#[test]
fn purge_is_applied_despite_clock_skew() {
    const DAY: i64 = 86_400;
    let (_, fleet) = Numbering::fleet();
    fleet.clock.step(-2 * DAY);
    fleet.lab().engine.purge_all(None).unwrap();
    fleet.clock.step(2 * DAY);
    let (one, other) = (fleet.lab(), fleet.lab());
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t1");
    assert_eq!(other.pair("a", "s"), "SHARED a Bearer t1");
    fleet.clock.step(-DAY);
    one.engine.purge(&one.gate, Some("a")).unwrap();
    until("the other engine drops it", || {
        other.engine.metrics().unwrap().purged == 1
    });
}

#[test]
fn a_purge_is_written_before_its_process_ends() {
    let (_, fleet) = Numbering::fleet();
    fleet.lab().pair("a", "s");
    for _ in 0..10 {
        fleet.lab().engine.purge_all(None).unwrap();
        let count = "SELECT count(*) FROM purge";
        assert_eq!(fleet.file().query_row(count, [], |row| row.get(0)), Ok(1));
        fleet.file().execute("DELETE FROM purge", []).unwrap();
    }
}

#[test]
fn a_purge_of_one_gate_spares_the_others() {
    let (_, fleet) = Numbering::fleet();
    let audience = r#"{"audience":"https://api.example"}"#;
    let (one, other) = (fleet.lab(), fleet.lab_with(audience));
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t1");
    assert_eq!(other.pair("a", "s"), "MISS a Bearer t2");
    one.engine.purge(&one.gate, None).unwrap();
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t3");
    assert_eq!(
        fleet.lab_with(audience).pair("a", "s"),
        "SHARED a Bearer t2"
    );
    assert_eq!(fleet.lab().pair("a", "s"), "SHARED a Bearer t3");
}

#[test]
fn a_token_refused_upstream_does_not_return_from_the_store() {
    let (_, fleet) = Numbering::fleet();
    let (one, other) = (fleet.lab(), fleet.lab());
    let refuse = |lab: &Lab| {
        let Outcome::Allow(allow) = lab.blocking("client_id=a&client_secret=s") else {
            panic!("denied")
        };
        fleet.advance(10);
        let (engine, grant) = (&lab.engine, allow.grant().unwrap());
        assert!(
            engine
                .note_upstream_status(allow.rules(), grant, 401)
                .unwrap()
        );
    };
    one.pair("a", "s");
    refuse(&other);
    assert_eq!(other.pair("a", "s"), "MISS a Bearer t2");
    refuse(&one);
    assert_eq!(
        one.pair("a", "s"),
        "SHARED a Bearer t2",
        "another token has replaced it"
    );
    assert_eq!(fleet.transport.token_requests(), 2);
}

#[test]
fn a_new_engine_applies_the_latest_of_many_purges() {
    let (_, fleet) = Numbering::fleet();
    let one = fleet.lab();
    one.pair("a", "s");
    for number in 0..3 * crate::store::MAX_PURGES {
        let client = format!("client-{number}");
        one.engine.purge(&one.gate, Some(&client)).unwrap();
    }
    one.engine.purge(&one.gate, Some("a")).unwrap();
    // After this exchange, the purges are in the store.
    assert_eq!(one.pair("b", "s"), "MISS b Bearer t2");
    assert_eq!(fleet.lab().pair("a", "s"), "MISS a Bearer t3");
}

#[test]
fn a_purge_reaches_engines_with_only_the_previous_pepper() {
    let (_, mut fleet) = Numbering::fleet();
    let (old, new) = (fleet.pepper("old"), fleet.pepper("new"));
    fleet.options.store_pepper_file = Some(old.clone());
    let before = fleet.lab();
    before.pair("a", "s");
    fleet.options.store_pepper_file = Some(new);
    fleet.options.store_previous_pepper_files = vec![old];
    let rotated = fleet.lab();
    assert_eq!(rotated.pair("a", "s"), "SHARED a Bearer t1");
    rotated.engine.purge_all(None).unwrap();
    until("the purge is applied", || {
        before.engine.metrics().unwrap().purged == 1
    });
    assert!(before.pair("a", "s").starts_with("MISS"));
}
