//! Bytes to messages and back: the generated protobuf and FlatBuffers code, framing, and conversions to the words of `thornback-types`. It never opens a socket.
