//! Many tasks at once: who gets how much, and what it costs.

mod allocations;
mod at_once;
mod cast;
mod fairness;
mod overload;
mod ways;
mod world;
