//! The `thornback` binary: flags, configuration, telemetry and wiring. It holds no logic of the runtime.

fn main() {}
