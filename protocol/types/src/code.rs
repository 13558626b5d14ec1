//! The error codes of `protocol/errors/codes.yaml`, which says what each means. A house test holds the two lists equal.

use std::fmt;

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sender of the operation.
    Caller,
    /// The code that the user gave to run.
    UserCode,
    /// A defect of Thornback.
    Server,
    /// Circumstances: a process died, time ran out.
    Nobody,
}

macro_rules! codes {
    ($($number:literal $name:ident $variant:ident $fault:ident $retryable:literal $summary:literal;)*) => {
        /// A code of the registry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Code {
            $(#[doc = $summary] $variant = $number,)*
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The code with this number, if this version knows it.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Code> {
                match number {
                    $($number => Some(Code::$variant),)*
                    _ => None,
                }
            }

            /// The name in the registry.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => stringify!($name),)*
                }
            }

            /// One sentence on what it means.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Code::$variant => $summary,)*
                }
            }

            /// Who has to act.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self {
                    $(Code::$variant => Fault::$fault,)*
                }
            }

            /// Whether the same call may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self {
                    $(Code::$variant => $retryable,)*
                }
            }
        }
    };
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

codes! {
    1 INTERNAL Internal Server false "A defect of the server.";
    2 INVALID_ARGUMENT InvalidArgument Caller false "An argument of an operation has no meaning.";
    3 UNKNOWN_OPERATION UnknownOperation Caller false "The operation is not known to this version of the server.";
    4 UNSUPPORTED_VERSION UnsupportedVersion Caller false "No protocol version is spoken by both sides.";
    5 UNAUTHENTICATED Unauthenticated Caller false "The token is missing or wrong.";
    6 PERMISSION_DENIED PermissionDenied Caller false "The session has no right to what it names.";
    7 FRAME_TOO_LARGE FrameTooLarge Caller false "A frame is larger than the agreed limit.";
    8 MALFORMED_FRAME MalformedFrame Caller false "A frame cannot be decoded.";
    9 FLOW_CONTROL FlowControl Caller false "More was sent than the peer gave credit for.";
    10 SEQUENCE_GAP SequenceGap Caller false "A frame's sequence number does not follow the last one.";
    11 SESSION_EXPIRED SessionExpired Nobody false "The session to resume is gone.";
    12 FEATURE_NOT_AGREED FeatureNotAgreed Caller false "The operation needs a feature that the hello did not agree on.";
    13 DUPLICATE_ID DuplicateId Caller false "The id is in use already.";
    14 SHUTTING_DOWN ShuttingDown Nobody true "The server is stopping.";
    15 LIMIT_EXCEEDED LimitExceeded Caller false "A limit of the server would be passed.";
    16 GET_TIMEOUT GetTimeout Nobody true "A get ran out of time; the object may still become ready. Raised by SDKs.";
    17 CONNECTION_LOST ConnectionLost Nobody true "The connection to the node is gone and could not be resumed. Raised by SDKs.";
    18 NOT_HELLO NotHello Caller false "The first operation of a connection was not Hello, or a second Hello came.";
    20 FUNCTION_NOT_FOUND FunctionNotFound Caller false "No pool serves the function.";
    21 WRONG_ARITY WrongArity Caller false "The call has too few or too many arguments, or an unknown keyword.";
    22 UNSUPPORTED_FORMAT UnsupportedFormat Caller false "The value is in a format that the receiver cannot read.";
    23 UNSERIALIZABLE Unserializable Caller false "The value cannot be encoded.";
    24 TASK_FAILED TaskFailed UserCode false "User code raised an exception.";
    25 CANCELLED Cancelled Caller false "The task was cancelled.";
    26 DEADLINE_EXCEEDED DeadlineExceeded Nobody true "The task did not finish by its deadline.";
    27 WORKER_DIED WorkerDied Nobody true "The worker process ended while it ran the task, and no retry is left.";
    28 OUT_OF_MEMORY OutOfMemory UserCode true "The worker was ended because the node ran out of memory.";
    29 WORKER_START_FAILED WorkerStartFailed Caller false "The pool's command does not give a worker.";
    30 INFEASIBLE Infeasible Caller true "No node has the resources that are asked for; the task keeps waiting.";
    31 NODE_DIED NodeDied Nobody true "The node that ran the task is gone, and no retry is left.";
    33 STREAM_TOO_SHORT StreamTooShort UserCode false "A generator of fixed length yielded too few items.";
    34 SIGNATURE_MISMATCH SignatureMismatch Caller false "What is served has another signature than what is expected of it.";
    40 ACTOR_DIED ActorDied UserCode false "The actor is dead for good.";
    41 ACTOR_UNAVAILABLE ActorUnavailable Nobody true "The actor was lost during the call and is restarting; the call may have run.";
    42 ACTOR_NAME_TAKEN ActorNameTaken Caller false "A live actor has that name in that namespace.";
    43 ACTOR_NOT_FOUND ActorNotFound Caller false "No live actor has that name or id.";
    44 PENDING_CALLS_LIMIT PendingCallsLimit Caller true "The handle has max_pending_calls calls waiting.";
    50 OBJECT_LOST ObjectLost Nobody false "All copies of the object are gone and it cannot be made again.";
    51 OWNER_DIED OwnerDied Nobody false "The owner of the object is gone.";
    52 OBJECT_NOT_FOUND ObjectNotFound Caller false "Nobody knows the object: it was freed, or never existed.";
    53 OUT_OF_DISK OutOfDisk Nobody true "The object store is full and nothing more can be spilled to disk.";
    54 STORE_FULL StoreFull Caller true "The object is larger than the store, or what fills it is all in use.";
    55 RECONSTRUCTION_FAILED ReconstructionFailed Nobody false "The object was lost more often than its task may be run again.";
    60 PLACEMENT_GROUP_REMOVED PlacementGroupRemoved Caller false "The placement group of the task or actor was removed.";
    61 PLACEMENT_GROUP_NOT_FOUND PlacementGroupNotFound Caller false "Nobody knows the placement group.";
}
