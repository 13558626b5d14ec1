//! Panics of user code: they fail their task and nothing else.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

use thornback_types::{Code, Failure};

use crate::Error;
use crate::error::LANGUAGE;

thread_local! {
    /// Where the last panic of a task on this thread happened, and its backtrace if there is one.
    static STACK: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes where panics of tasks happen, besides whatever the program does with panics.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if crate::scope::current().is_some() {
                let place = info.location().map_or_else(String::new, |location| format!("at {location}\n"));
                let backtrace = std::backtrace::Backtrace::capture();
                let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
                STACK.replace(Some(if captured { format!("{place}{backtrace}") } else { place }));
            }
            before(info);
        }));
    });
}

/// What a caught panic tells the caller.
pub(super) fn failure(payload: &(dyn Any + Send)) -> Error {
    let said = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let mut failure = Failure::new(Code::TaskFailed, said.unwrap_or("the task panicked"));
    failure.types = vec!["thornback::Panic".into()];
    failure.language = LANGUAGE.into();
    failure.stack = STACK.take().unwrap_or_default();
    failure.into()
}
