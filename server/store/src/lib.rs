//! Object bytes: the shared-memory arena of a job, sealing, and spilling to disk. It decides nothing: what to keep and what to evict is the core's to say.
