"""The conversation with a node: frames, carriers, acknowledgement, credit, resumption.

Nothing in here knows what a task is or how a value is encoded; it moves operations, in order, once.

- :mod:`.frames` assembles operations byte by byte where that is faster than building messages.
- :mod:`.unix` and :mod:`.grpc` carry frames.
- :mod:`.session` is the conversation itself, and who reads the socket when.
- :mod:`.keeper` is the thread that does what nobody else is there to do.
"""
