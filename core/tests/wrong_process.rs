//! Engines created before a fork refuse calls after it. A file of its own, because the note affects the whole process.

use credgate_core::{Engine, EngineOptions, ErrorKind, Gate, Queue, Request, process};
use std::time::Duration;

#[test]
fn an_engine_from_before_a_fork_is_refused_and_a_new_one_works() {
    let engine = Engine::shared(EngineOptions::default()).expect("an engine");
    let queue = Queue::new(&engine).expect("a queue");
    let gate = Gate::from_json(r#"{"issuer":"https://a.example"}"#).expect("a gate");
    let request = Request {
        query: Some(b"client_id=a&client_secret=b"),
        ..Request::default()
    };

    assert!(!process::notice_fork(), "it is the same process");
    process::note_fork();
    assert!(!process::notice_fork(), "it is noted already");
    assert!(!engine.is_usable());
    let refused = [
        queue.check_process().err(),
        Queue::new(&engine).err(),
        queue.authenticate(&gate, &request, 0).err(),
        queue.next().err(),
        queue.wait(Duration::MAX).err(),
        engine.authenticate_at_once(&gate, &request).err(),
        engine.authenticate_blocking(&gate, &request).err(),
    ];
    for error in refused {
        assert_eq!(
            error.map(|error| error.kind()),
            Some(ErrorKind::WrongProcess)
        );
    }
    drop((queue, engine));

    let engine = Engine::shared(EngineOptions::default()).expect("an engine");
    assert!(
        Queue::new(&engine)
            .expect("a queue")
            .next()
            .expect("usable")
            .is_none()
    );
}
