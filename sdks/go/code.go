package thornback

import "strconv"

// Code says what kind of failure an Error is: a number of the registry protocol/errors/codes.yaml, where each has a page. A number that this
// version does not know is kept, and to be treated as CodeInternal.
//
// A Code is an error too, for errors.Is:
//
//	if errors.Is(err, thornback.CodeActorDied) { … }
type Code uint32

// The registry.
const (
	// A defect of the server.
	CodeInternal Code = 1 // INTERNAL
	// An argument of an operation has no meaning.
	CodeInvalidArgument Code = 2 // INVALID_ARGUMENT
	// The operation is not known to this version of the server.
	CodeUnknownOperation Code = 3 // UNKNOWN_OPERATION
	// No protocol version is spoken by both sides.
	CodeUnsupportedVersion Code = 4 // UNSUPPORTED_VERSION
	// The token is missing or wrong.
	CodeUnauthenticated Code = 5 // UNAUTHENTICATED
	// The session has no right to what it names.
	CodePermissionDenied Code = 6 // PERMISSION_DENIED
	// A frame is larger than the agreed limit.
	CodeFrameTooLarge Code = 7 // FRAME_TOO_LARGE
	// A frame cannot be decoded.
	CodeMalformedFrame Code = 8 // MALFORMED_FRAME
	// More was sent than the peer gave credit for.
	CodeFlowControl Code = 9 // FLOW_CONTROL
	// A frame's sequence number does not follow the last one.
	CodeSequenceGap Code = 10 // SEQUENCE_GAP
	// The session to resume is gone.
	CodeSessionExpired Code = 11 // SESSION_EXPIRED
	// The operation needs a feature that the hello did not agree on.
	CodeFeatureNotAgreed Code = 12 // FEATURE_NOT_AGREED
	// The id is in use already.
	CodeDuplicateID Code = 13 // DUPLICATE_ID
	// The server is stopping.
	CodeShuttingDown Code = 14 // SHUTTING_DOWN
	// A limit of the server would be passed.
	CodeLimitExceeded Code = 15 // LIMIT_EXCEEDED
	// A get ran out of time; the object may still become ready. Raised by SDKs.
	CodeGetTimeout Code = 16 // GET_TIMEOUT
	// The connection to the node is gone and could not be resumed. Raised by SDKs.
	CodeConnectionLost Code = 17 // CONNECTION_LOST
	// The first operation of a connection was not Hello, or a second Hello came.
	CodeNotHello Code = 18 // NOT_HELLO
	// No pool serves the function.
	CodeFunctionNotFound Code = 20 // FUNCTION_NOT_FOUND
	// The call has too few or too many arguments, or an unknown keyword.
	CodeWrongArity Code = 21 // WRONG_ARITY
	// The value is in a format that the receiver cannot read.
	CodeUnsupportedFormat Code = 22 // UNSUPPORTED_FORMAT
	// The value cannot be encoded.
	CodeUnserializable Code = 23 // UNSERIALIZABLE
	// User code raised an exception.
	CodeTaskFailed Code = 24 // TASK_FAILED
	// The task was cancelled.
	CodeCancelled Code = 25 // CANCELLED
	// The task did not finish by its deadline.
	CodeDeadlineExceeded Code = 26 // DEADLINE_EXCEEDED
	// The worker process ended while it ran the task, and no retry is left.
	CodeWorkerDied Code = 27 // WORKER_DIED
	// The worker was ended because the node ran out of memory.
	CodeOutOfMemory Code = 28 // OUT_OF_MEMORY
	// The pool's command does not give a worker.
	CodeWorkerStartFailed Code = 29 // WORKER_START_FAILED
	// No node has the resources that are asked for; the task keeps waiting.
	CodeInfeasible Code = 30 // INFEASIBLE
	// The node that ran the task is gone, and no retry is left.
	CodeNodeDied Code = 31 // NODE_DIED
	// A generator of fixed length yielded too few items.
	CodeStreamTooShort Code = 33 // STREAM_TOO_SHORT
	// What is served has another signature than what is expected of it.
	CodeSignatureMismatch Code = 34 // SIGNATURE_MISMATCH
	// The actor is dead for good.
	CodeActorDied Code = 40 // ACTOR_DIED
	// The actor was lost during the call and is restarting; the call may have run.
	CodeActorUnavailable Code = 41 // ACTOR_UNAVAILABLE
	// A live actor has that name in that namespace.
	CodeActorNameTaken Code = 42 // ACTOR_NAME_TAKEN
	// No live actor has that name or id.
	CodeActorNotFound Code = 43 // ACTOR_NOT_FOUND
	// The handle has max_pending_calls calls waiting.
	CodePendingCallsLimit Code = 44 // PENDING_CALLS_LIMIT
	// All copies of the object are gone and it cannot be made again.
	CodeObjectLost Code = 50 // OBJECT_LOST
	// The owner of the object is gone.
	CodeOwnerDied Code = 51 // OWNER_DIED
	// Nobody knows the object: it was freed, or never existed.
	CodeObjectNotFound Code = 52 // OBJECT_NOT_FOUND
	// The object store is full and nothing more can be spilled to disk.
	CodeOutOfDisk Code = 53 // OUT_OF_DISK
	// The object is larger than the store, or what fills it is all in use.
	CodeStoreFull Code = 54 // STORE_FULL
	// The object was lost more often than its task may be run again.
	CodeReconstructionFailed Code = 55 // RECONSTRUCTION_FAILED
	// The placement group of the task or actor was removed.
	CodePlacementGroupRemoved Code = 60 // PLACEMENT_GROUP_REMOVED
	// Nobody knows the placement group.
	CodePlacementGroupNotFound Code = 61 // PLACEMENT_GROUP_NOT_FOUND
)

// Fault says who has to act on a failure.
type Fault string

// Those who may be at fault.
const (
	FaultServer   Fault = "server"
	FaultCaller   Fault = "caller"
	FaultUserCode Fault = "user code"
	FaultNobody   Fault = "nobody"
)

type codeInfo struct {
	name      string
	fault     Fault
	retryable bool
}

var codes = map[Code]codeInfo{
	CodeInternal:               {"INTERNAL", FaultServer, false},
	CodeInvalidArgument:        {"INVALID_ARGUMENT", FaultCaller, false},
	CodeUnknownOperation:       {"UNKNOWN_OPERATION", FaultCaller, false},
	CodeUnsupportedVersion:     {"UNSUPPORTED_VERSION", FaultCaller, false},
	CodeUnauthenticated:        {"UNAUTHENTICATED", FaultCaller, false},
	CodePermissionDenied:       {"PERMISSION_DENIED", FaultCaller, false},
	CodeFrameTooLarge:          {"FRAME_TOO_LARGE", FaultCaller, false},
	CodeMalformedFrame:         {"MALFORMED_FRAME", FaultCaller, false},
	CodeFlowControl:            {"FLOW_CONTROL", FaultCaller, false},
	CodeSequenceGap:            {"SEQUENCE_GAP", FaultCaller, false},
	CodeSessionExpired:         {"SESSION_EXPIRED", FaultNobody, false},
	CodeFeatureNotAgreed:       {"FEATURE_NOT_AGREED", FaultCaller, false},
	CodeDuplicateID:            {"DUPLICATE_ID", FaultCaller, false},
	CodeShuttingDown:           {"SHUTTING_DOWN", FaultNobody, true},
	CodeLimitExceeded:          {"LIMIT_EXCEEDED", FaultCaller, false},
	CodeGetTimeout:             {"GET_TIMEOUT", FaultNobody, true},
	CodeConnectionLost:         {"CONNECTION_LOST", FaultNobody, true},
	CodeNotHello:               {"NOT_HELLO", FaultCaller, false},
	CodeFunctionNotFound:       {"FUNCTION_NOT_FOUND", FaultCaller, false},
	CodeWrongArity:             {"WRONG_ARITY", FaultCaller, false},
	CodeUnsupportedFormat:      {"UNSUPPORTED_FORMAT", FaultCaller, false},
	CodeUnserializable:         {"UNSERIALIZABLE", FaultCaller, false},
	CodeTaskFailed:             {"TASK_FAILED", FaultUserCode, false},
	CodeCancelled:              {"CANCELLED", FaultCaller, false},
	CodeDeadlineExceeded:       {"DEADLINE_EXCEEDED", FaultNobody, true},
	CodeWorkerDied:             {"WORKER_DIED", FaultNobody, true},
	CodeOutOfMemory:            {"OUT_OF_MEMORY", FaultUserCode, true},
	CodeWorkerStartFailed:      {"WORKER_START_FAILED", FaultCaller, false},
	CodeInfeasible:             {"INFEASIBLE", FaultCaller, true},
	CodeNodeDied:               {"NODE_DIED", FaultNobody, true},
	CodeStreamTooShort:         {"STREAM_TOO_SHORT", FaultUserCode, false},
	CodeSignatureMismatch:      {"SIGNATURE_MISMATCH", FaultCaller, false},
	CodeActorDied:              {"ACTOR_DIED", FaultUserCode, false},
	CodeActorUnavailable:       {"ACTOR_UNAVAILABLE", FaultNobody, true},
	CodeActorNameTaken:         {"ACTOR_NAME_TAKEN", FaultCaller, false},
	CodeActorNotFound:          {"ACTOR_NOT_FOUND", FaultCaller, false},
	CodePendingCallsLimit:      {"PENDING_CALLS_LIMIT", FaultCaller, true},
	CodeObjectLost:             {"OBJECT_LOST", FaultNobody, false},
	CodeOwnerDied:              {"OWNER_DIED", FaultNobody, false},
	CodeObjectNotFound:         {"OBJECT_NOT_FOUND", FaultCaller, false},
	CodeOutOfDisk:              {"OUT_OF_DISK", FaultNobody, true},
	CodeStoreFull:              {"STORE_FULL", FaultCaller, true},
	CodeReconstructionFailed:   {"RECONSTRUCTION_FAILED", FaultNobody, false},
	CodePlacementGroupRemoved:  {"PLACEMENT_GROUP_REMOVED", FaultCaller, false},
	CodePlacementGroupNotFound: {"PLACEMENT_GROUP_NOT_FOUND", FaultCaller, false},
}

// String is the name in the registry, as "ACTOR_DIED".
func (c Code) String() string {
	if info, ok := codes[c]; ok {
		return info.name
	}
	return "CODE_" + strconv.FormatUint(uint64(c), 10)
}

// Error is String, so that a Code can be the target of errors.Is.
func (c Code) Error() string { return c.String() }

// Fault says who is at fault.
func (c Code) Fault() Fault {
	if info, ok := codes[c]; ok {
		return info.fault
	}
	return FaultServer
}

// Retryable reports whether the same call may succeed later.
func (c Code) Retryable() bool { return codes[c].retryable }
