//! Every decision of the server: state machines that take a time and an input and give effects out. No sockets, no clocks, no wire types.
