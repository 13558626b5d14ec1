//! Logs to standard error.

use tracing_subscriber::EnvFilter;

use crate::Result;
use crate::flags::{LogFormat, Telemetry};

/// Sets the log up for the whole process.
pub(crate) fn start(telemetry: &Telemetry) -> Result {
    let filter = EnvFilter::try_new(&telemetry.log_level).map_err(|error| {
        format!("--log-level {:?}: {error}; use error, warn, info, debug or trace", telemetry.log_level)
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match telemetry.log_format {
        LogFormat::Text => subscriber
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
