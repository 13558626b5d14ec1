//! A whole cluster in one thread, from one seed: many cores with a fake clock, network, disk and workers, and checkers of what they did. It never uses a crate that does real input or output.
