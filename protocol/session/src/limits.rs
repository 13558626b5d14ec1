//! The numbers that a conversation keeps to, and their defaults.

use std::time::Duration;

use thornback_wire::framing::FRAME_BYTES_MAX;
use thornback_wire::v1;

/// The protocol version that this crate speaks.
pub const VERSION: u32 = 1;

/// Operations that one frame may hold. A decoded operation is larger than an encoded one can be, so bytes alone would bound nothing.
pub const OPS_MAX: usize = 1 << 16;

/// The window where `Hello.window_bytes` or `Limits.window_bytes` is 0. Credit comes back a quarter of a window at a time, so even a sender that never
/// overdraws always has room for a frame of the largest size.
pub const WINDOW_BYTES_DEFAULT: u64 = 8 << 20;

/// No server announces frames smaller than this.
pub const FRAME_BYTES_MIN: usize = 1 << 10;

/// What a `Welcome` announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame's body, in both directions.
    pub frame_bytes: usize,
    /// Bytes of a value that travels in a frame.
    pub inline_bytes: usize,
    /// Bytes of counted frames that the client may send before it gets credit back.
    pub window_bytes: u64,
    /// Silence after which a side pings; after three times that it gives the connection up. Zero where the carrier tells of a dead peer by itself.
    pub heartbeat: Duration,
    /// How long the session outlives its connection.
    pub grace: Duration,
    /// Bytes of one object; 0 for no limit but the store's.
    pub object_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: FRAME_BYTES_MAX,
            inline_bytes: 100 << 10,
            window_bytes: WINDOW_BYTES_DEFAULT,
            heartbeat: Duration::from_secs(10),
            grace: Duration::from_secs(30),
            object_bytes: 0,
        }
    }
}

impl From<Limits> for v1::Limits {
    fn from(limits: Limits) -> Self {
        Self {
            frame_bytes: limits.frame_bytes as u64,
            inline_bytes: limits.inline_bytes as u64,
            window_bytes: limits.window_bytes,
            heartbeat_ms: millis(limits.heartbeat),
            grace_ms: millis(limits.grace),
            object_bytes: limits.object_bytes,
        }
    }
}

impl From<v1::Limits> for Limits {
    /// Whatever a peer announces becomes something that can be worked with: frames are never larger than the protocol's largest.
    fn from(wire: v1::Limits) -> Self {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            frame_bytes: bytes(wire.frame_bytes).clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX),
            inline_bytes: bytes(wire.inline_bytes).min(FRAME_BYTES_MAX),
            window_bytes: window(wire.window_bytes),
            heartbeat: Duration::from_millis(wire.heartbeat_ms),
            grace: Duration::from_millis(wire.grace_ms),
            object_bytes: wire.object_bytes,
        }
    }
}

/// A window as announced, or the default.
pub(crate) fn window(bytes: u64) -> u64 {
    if bytes == 0 { WINDOW_BYTES_DEFAULT } else { bytes }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
