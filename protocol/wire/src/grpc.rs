//! The clients and servers of the gRPC carrier, generated. What they carry is the same as everywhere: frames, requests, replies.

pub use services::control_client::ControlClient;
pub use services::control_server::{Control, ControlServer};
pub use services::session_client::SessionClient;
pub use services::session_server::{Session, SessionServer};

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, rustdoc::all)]
mod services {
    // The generated modules name their messages by `super::`.
    use crate::v1::*;

    include!("gen/services.rs");
}
