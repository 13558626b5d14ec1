//! The words of the protocol: ids, time, resources and error codes. No wire format, no input or output.
