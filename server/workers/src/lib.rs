//! Worker processes: starting them, forking them from a warmed template, watching and ending them. Which worker to start is the core's decision.
