//! One conversation, both roles: hello, version, credits, heartbeats, resume. It never touches a socket, a clock or a thread.
