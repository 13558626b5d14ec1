//! The carriers of a session: the gRPC stream and the Unix socket. Frames go in and out; what they mean is decided elsewhere.
