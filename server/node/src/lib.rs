//! The event loop of one node: bytes become inputs of the core through the session, and effects of the core become input and output. It makes no decision of its own.
