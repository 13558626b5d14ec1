// The registry of error codes, `protocol/errors/codes.yaml`, as this language spells it. It decides nothing; `errors.ts` makes classes of it.

/** Each code's number on the wire. */
export const CODES = {
  /** A defect of the server. */
  INTERNAL: 1,
  /** An argument of an operation has no meaning. */
  INVALID_ARGUMENT: 2,
  /** The operation is not known to this version of the server. */
  UNKNOWN_OPERATION: 3,
  /** No protocol version is spoken by both sides. */
  UNSUPPORTED_VERSION: 4,
  /** The token is missing or wrong. */
  UNAUTHENTICATED: 5,
  /** The session has no right to what it names. */
  PERMISSION_DENIED: 6,
  /** A frame is larger than the agreed limit. */
  FRAME_TOO_LARGE: 7,
  /** A frame cannot be decoded. */
  MALFORMED_FRAME: 8,
  /** More was sent than the peer gave credit for. */
  FLOW_CONTROL: 9,
  /** A frame's sequence number does not follow the last one. */
  SEQUENCE_GAP: 10,
  /** The session to resume is gone. */
  SESSION_EXPIRED: 11,
  /** The operation needs a feature that the hello did not agree on. */
  FEATURE_NOT_AGREED: 12,
  /** The id is in use already. */
  DUPLICATE_ID: 13,
  /** The server is stopping. */
  SHUTTING_DOWN: 14,
  /** A limit of the server would be passed. */
  LIMIT_EXCEEDED: 15,
  /** A get ran out of time; the object may still become ready. Raised by SDKs. */
  GET_TIMEOUT: 16,
  /** The connection to the node is gone and could not be resumed. Raised by SDKs. */
  CONNECTION_LOST: 17,
  /** The first operation of a connection was not Hello, or a second Hello came. */
  NOT_HELLO: 18,
  /** No pool serves the function. */
  FUNCTION_NOT_FOUND: 20,
  /** The call has too few or too many arguments, or an unknown keyword. */
  WRONG_ARITY: 21,
  /** The value is in a format that the receiver cannot read. */
  UNSUPPORTED_FORMAT: 22,
  /** The value cannot be encoded. */
  UNSERIALIZABLE: 23,
  /** User code raised an exception. */
  TASK_FAILED: 24,
  /** The task was cancelled. */
  CANCELLED: 25,
  /** The task did not finish by its deadline. */
  DEADLINE_EXCEEDED: 26,
  /** The worker process ended while it ran the task, and no retry is left. */
  WORKER_DIED: 27,
  /** The worker was ended because the node ran out of memory. */
  OUT_OF_MEMORY: 28,
  /** The pool's command does not give a worker. */
  WORKER_START_FAILED: 29,
  /** No node has the resources that are asked for; the task keeps waiting. */
  INFEASIBLE: 30,
  /** The node that ran the task is gone, and no retry is left. */
  NODE_DIED: 31,
  /** A generator of fixed length yielded too few items. */
  STREAM_TOO_SHORT: 33,
  /** What is served has another signature than what is expected of it. */
  SIGNATURE_MISMATCH: 34,
  /** The actor is dead for good. */
  ACTOR_DIED: 40,
  /** The actor was lost during the call and is restarting; the call may have run. */
  ACTOR_UNAVAILABLE: 41,
  /** A live actor has that name in that namespace. */
  ACTOR_NAME_TAKEN: 42,
  /** No live actor has that name or id. */
  ACTOR_NOT_FOUND: 43,
  /** The handle has max_pending_calls calls waiting. */
  PENDING_CALLS_LIMIT: 44,
  /** All copies of the object are gone and it cannot be made again. */
  OBJECT_LOST: 50,
  /** The owner of the object is gone. */
  OWNER_DIED: 51,
  /** Nobody knows the object: it was freed, or never existed. */
  OBJECT_NOT_FOUND: 52,
  /** The object store is full and nothing more can be spilled to disk. */
  OUT_OF_DISK: 53,
  /** The object is larger than the store, or what fills it is all in use. */
  STORE_FULL: 54,
  /** The object was lost more often than its task may be run again. */
  RECONSTRUCTION_FAILED: 55,
  /** The placement group of the task or actor was removed. */
  PLACEMENT_GROUP_REMOVED: 60,
  /** Nobody knows the placement group. */
  PLACEMENT_GROUP_NOT_FOUND: 61,
} as const;

/** The name of a code, as `"GET_TIMEOUT"`. */
export type Code = keyof typeof CODES;

/** Codes after which the same call may succeed. */
export const RETRYABLE: ReadonlySet<Code> = new Set<Code>([
  "SHUTTING_DOWN",
  "GET_TIMEOUT",
  "CONNECTION_LOST",
  "DEADLINE_EXCEEDED",
  "WORKER_DIED",
  "OUT_OF_MEMORY",
  "INFEASIBLE",
  "NODE_DIED",
  "ACTOR_UNAVAILABLE",
  "PENDING_CALLS_LIMIT",
  "OUT_OF_DISK",
  "STORE_FULL",
]);

const NAMES: ReadonlyMap<number, Code> = new Map(Object.entries(CODES).map(([name, number]) => [number, name as Code]));

/** The name of a number, or `"INTERNAL"` for one that only a later version of the server knows. */
export function codeOf(number: number): Code {
  return NAMES.get(number) ?? "INTERNAL";
}
