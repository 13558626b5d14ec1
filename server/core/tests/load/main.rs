//! Many tasks at once: who gets how much, and what it costs.

mod allocations;
mod fairness;
mod world;
