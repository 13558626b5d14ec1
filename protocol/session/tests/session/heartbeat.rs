//! Silence: pings, and giving up.

use std::time::Duration;

use thornback_session::{Event, Limits};

use crate::support::{Pair, mark};

fn pair(heartbeat: Duration) -> Pair {
    Pair::with(Limits { heartbeat, grace: Duration::from_secs(60), ..Limits::default() }, 0)
}

#[test]
fn an_idle_session_lives() {
    let mut pair = pair(Duration::from_secs(1));
    pair.pass(Duration::from_secs(3600));
    assert!(pair.client.is_connected() && pair.server.is_connected());
    assert_eq!((pair.client_events.len(), pair.server_events.len()), (0, 0));
    pair.client.send(mark(1, 8)).unwrap();
    pair.drive();
    assert_eq!(pair.at_server, [1]);
}

#[test]
fn a_silent_peer_is_given_up_after_three_heartbeats() {
    let mut pair = pair(Duration::from_secs(1));
    let begin = pair.now;
    let mut pings = 0;
    while pair.server.is_connected() {
        let at = pair.server.poll_timeout().unwrap();
        pair.server.handle_timeout(at);
        pair.now = at;
        while pair.server.poll_transmit(at).is_some() {
            pings += 1;
        }
    }
    assert_eq!(pair.now, begin + Duration::from_secs(3));
    assert_eq!(pings, 2);
    assert_eq!(pair.server.poll_event(), Some(Event::ConnectionDead));
    assert_eq!(pair.server.poll_event(), None);
    // The session itself waits for its client.
    pair.client.connection_lost(pair.now);
    pair.knock_again();
    pair.drive();
    assert!(pair.client.is_connected() && pair.server.is_connected());
}

#[test]
fn without_heartbeats_silence_means_nothing() {
    let pair = pair(Duration::ZERO);
    assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None));
}

#[test]
fn who_asks_learns_that_all_was_taken() {
    let mut pair = pair(Duration::ZERO);
    assert!(pair.client.is_settled(), "nothing was said");
    pair.client.send(mark(1, 8)).unwrap();
    pair.drive();
    assert!(!pair.client.is_settled(), "the server has taken it, and nothing to say");
    pair.client.ping();
    pair.drive();
    assert!(pair.client.is_settled());
}
