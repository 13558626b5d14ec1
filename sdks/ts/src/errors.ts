// Errors: one class for each thing that a program may want to tell apart, all of them `ThornbackError`.
//
// An error crosses the wire as a `Failure`. What another language raised arrives as a `TaskError` with its type names, its stack as text, and its
// causes as a chain of `cause`. This module knows no session and no value.

import { create } from "@bufbuild/protobuf";

import { type Code, CODES, codeOf, RETRYABLE } from "./codes.js";
import { type Failure, FailureSchema } from "./gen/thornback/v1/failure_pb.js";
import { fromBytes, type Id, NO_ID, toBytes, toHex } from "./session/ids.js";

/** What `Failure.language` and `Hello.language` say. */
export const LANGUAGE = "typescript";

/** Causes that go over the wire with one failure; a longer chain loses its middle. */
const CHAIN_MAX = 32;
/** Bytes of a stack that go over the wire; a longer one loses its middle. */
const STACK_BYTES_MAX = 64 * 1024;
/** Where this package lies. */
const HERE = new URL(".", import.meta.url).href;

/**
 * Every error of Thornback.
 *
 * ```ts
 * try {
 *   await ref.get({ timeoutMs: 1000 });
 * } catch (error) {
 *   if (error instanceof ThornbackError && error.code === "GET_TIMEOUT") …
 * }
 * ```
 */
export class ThornbackError extends Error {
  /** The registry's name for it; `"INTERNAL"` for a number that only a later version of the server knows. */
  readonly code: Code;
  /** The registry's number for it. */
  readonly codeNumber: number;
  /** What was told over the wire, if this error came that way. */
  declare readonly failure: Failure | undefined;

  constructor(code: Code | Failure, message?: string, options?: ErrorOptions) {
    const failure = typeof code === "string" ? undefined : code;
    super(message ?? failure?.message ?? "", options);
    // Whoever prints an error wants what it says and not how it travelled.
    Object.defineProperty(this, "failure", { value: failure, enumerable: false });
    this.codeNumber = typeof code === "string" ? CODES[code] : code.code;
    this.code = typeof code === "string" ? code : codeOf(code.code);
    this.name = new.target.name;
  }

  /** Whether doing the same again may succeed. */
  get retryable(): boolean {
    return CODES[this.code] === this.codeNumber && RETRYABLE.has(this.code);
  }

  /** Particulars for programs; which ones depends on the code, and none is certain to be there. */
  get details(): Readonly<Record<string, string>> {
    return this.failure?.details ?? {};
  }

  /** The task that failed, in hexadecimal; empty if none did. */
  get taskId(): string {
    return this.failure ? hexOf(this.failure.task) : "";
  }

  /** The actor that it ran on, in hexadecimal; empty if there was none. */
  get actorId(): string {
    return this.failure ? hexOf(this.failure.actor) : "";
  }

  /** The language of the code that raised it; empty if the server made the failure. */
  get language(): string {
    return this.failure?.language ?? "";
  }

  /** For an error of user code: the names of its type and of all types that it also is, most derived first (`"builtins.KeyError"`). */
  get types(): readonly string[] {
    return this.failure?.types ?? [];
  }

  /** The stack as the language that raised it prints it; often empty. */
  get remoteStack(): string {
    return this.failure?.stack ?? "";
  }

  /** Whether one of `types` is this one, in full or by what follows its last dot. */
  isType(name: string): boolean {
    return this.types.some((full) => full === name || full.slice(full.lastIndexOf(".") + 1) === name);
  }
}

/** User code raised an error in a task or an actor. */
export class TaskError extends ThornbackError {}

/**
 * An error of the user's own with a type name that callers in every language can match on: `throw new UserError("images.BadFormat", "…")`.
 */
export class UserError extends Error {
  /** The name, as `Failure.types` tells it. */
  readonly type: string;

  constructor(type: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.type = type;
    this.name = type;
  }
}

/** The task was cancelled. Its `name` is `"AbortError"`, as everywhere in JavaScript. */
export class CancelledError extends ThornbackError {
  override name = "AbortError";
}
/** The task did not finish by its deadline. Its `name` is `"TimeoutError"`. */
export class DeadlineExceededError extends ThornbackError {
  override name = "TimeoutError";
}
/** A `get` ran out of time. The object may still become ready; `get` it again. Its `name` is `"TimeoutError"`. */
export class GetTimeoutError extends ThornbackError {
  override name = "TimeoutError";
}
/** The worker process ended while it ran the task, and no retry was left. */
export class WorkerDiedError extends ThornbackError {}
/** The worker was ended because the node ran out of memory. */
export class OutOfMemoryError extends WorkerDiedError {}
/** The node that ran the task is gone, and no retry was left. */
export class NodeDiedError extends WorkerDiedError {}
/** A call on an actor failed because of the actor. */
export class ActorError extends ThornbackError {}
/** The actor is dead for good. */
export class ActorDiedError extends ActorError {}
/** The actor was lost during the call and is restarting; the call may have run. */
export class ActorUnavailableError extends ActorError {}
/** A live actor has that name already. */
export class ActorNameTakenError extends ActorError {}
/** No live actor has that name or id. */
export class ActorNotFoundError extends ActorError {}
/** Too many calls on one actor wait. */
export class PendingCallsLimitError extends ActorError {}
/** The object's bytes are gone and it cannot be made again. */
export class ObjectLostError extends ThornbackError {}
/** The owner of the object is gone. */
export class OwnerDiedError extends ObjectLostError {}
/** Nobody knows the object: it was freed, or never existed. */
export class ObjectNotFoundError extends ObjectLostError {}
/** The object was lost more often than its task may be run again. */
export class ReconstructionFailedError extends ObjectLostError {}
/** The object store is full and nothing more can be spilled to disk. */
export class OutOfDiskError extends ThornbackError {}
/** The object is larger than the store, or what fills it is all in use. */
export class StoreFullError extends ThornbackError {}
/** A function gave fewer results than it was asked for. */
export class StreamTooShortError extends ThornbackError {}
/** What is served has another signature than what is expected of it. */
export class SignatureMismatchError extends ThornbackError {}
/** No pool serves the function. */
export class FunctionNotFoundError extends ThornbackError {}
/** The call has too few or too many arguments. */
export class WrongArityError extends ThornbackError {}
/** The value cannot be encoded; the message has the path to what is in the way. */
export class UnserializableError extends ThornbackError {}
/** The value is in a format that this language cannot read. */
export class UnsupportedFormatError extends ThornbackError {}
/** An argument of an operation has no meaning. */
export class InvalidArgumentError extends ThornbackError {}
/** No node has the resources that are asked for. */
export class InfeasibleError extends ThornbackError {}
/** The pool's command does not give a worker. */
export class WorkerStartFailedError extends ThornbackError {}
/** A limit of the server would be passed. */
export class LimitExceededError extends ThornbackError {}
/** The placement group was removed. */
export class PlacementGroupRemovedError extends ThornbackError {}
/** Nobody knows the placement group. */
export class PlacementGroupNotFoundError extends ThornbackError {}
/** The connection to the node is gone and could not be resumed. */
export class ConnectionLostError extends ThornbackError {}
/** The session to resume is gone. */
export class SessionExpiredError extends ConnectionLostError {}
/** The server is stopping. */
export class ShuttingDownError extends ConnectionLostError {}
/** The session has no right to what it names. */
export class PermissionDeniedError extends ThornbackError {}
/** The token is missing or wrong. */
export class UnauthenticatedError extends PermissionDeniedError {}
/** One side broke the protocol: a defect of the SDK or of the server, or versions that do not fit. */
export class ProtocolError extends ThornbackError {}
/** A defect of the server, or an error that only a later version of it knows. */
export class InternalError extends ThornbackError {}

type ErrorClass = new (code: Code | Failure, message?: string, options?: ErrorOptions) => ThornbackError;

const CLASSES: Readonly<Record<Code, ErrorClass>> = {
  INTERNAL: InternalError,
  INVALID_ARGUMENT: InvalidArgumentError,
  UNKNOWN_OPERATION: ProtocolError,
  UNSUPPORTED_VERSION: ProtocolError,
  UNAUTHENTICATED: UnauthenticatedError,
  PERMISSION_DENIED: PermissionDeniedError,
  FRAME_TOO_LARGE: ProtocolError,
  MALFORMED_FRAME: ProtocolError,
  FLOW_CONTROL: ProtocolError,
  SEQUENCE_GAP: ProtocolError,
  SESSION_EXPIRED: SessionExpiredError,
  FEATURE_NOT_AGREED: ProtocolError,
  DUPLICATE_ID: InvalidArgumentError,
  SHUTTING_DOWN: ShuttingDownError,
  LIMIT_EXCEEDED: LimitExceededError,
  GET_TIMEOUT: GetTimeoutError,
  CONNECTION_LOST: ConnectionLostError,
  NOT_HELLO: ProtocolError,
  FUNCTION_NOT_FOUND: FunctionNotFoundError,
  WRONG_ARITY: WrongArityError,
  UNSUPPORTED_FORMAT: UnsupportedFormatError,
  UNSERIALIZABLE: UnserializableError,
  TASK_FAILED: TaskError,
  CANCELLED: CancelledError,
  DEADLINE_EXCEEDED: DeadlineExceededError,
  WORKER_DIED: WorkerDiedError,
  OUT_OF_MEMORY: OutOfMemoryError,
  WORKER_START_FAILED: WorkerStartFailedError,
  INFEASIBLE: InfeasibleError,
  NODE_DIED: NodeDiedError,
  STREAM_TOO_SHORT: StreamTooShortError,
  SIGNATURE_MISMATCH: SignatureMismatchError,
  ACTOR_DIED: ActorDiedError,
  ACTOR_UNAVAILABLE: ActorUnavailableError,
  ACTOR_NAME_TAKEN: ActorNameTakenError,
  ACTOR_NOT_FOUND: ActorNotFoundError,
  PENDING_CALLS_LIMIT: PendingCallsLimitError,
  OBJECT_LOST: ObjectLostError,
  OWNER_DIED: OwnerDiedError,
  OBJECT_NOT_FOUND: ObjectNotFoundError,
  OUT_OF_DISK: OutOfDiskError,
  STORE_FULL: StoreFullError,
  RECONSTRUCTION_FAILED: ReconstructionFailedError,
  PLACEMENT_GROUP_REMOVED: PlacementGroupRemovedError,
  PLACEMENT_GROUP_NOT_FOUND: PlacementGroupNotFoundError,
};

/** An error that is made here, in the class of its code. */
export function errorOf(code: Code, message: string, options?: ErrorOptions): ThornbackError {
  return new CLASSES[code](code, message, options);
}

/** The error that a failure from the wire stands for, with its causes. */
export function fromFailure(failure: Failure | undefined): ThornbackError {
  if (!failure) return errorOf("INTERNAL", "the node told of a failure and did not say which");
  // From the inside out and not by recursion, because the chain comes from a peer and may be long.
  const chain: Failure[] = [];
  for (let link: Failure | undefined = failure; link; link = link.cause) chain.push(link);
  let cause: ThornbackError | undefined;
  for (const link of chain.reverse()) {
    const error: ThornbackError = new CLASSES[codeOf(link.code)](link, undefined, cause ? { cause } : undefined);
    // The stack of this process says nothing about what happened elsewhere.
    const head = `${error.name}${link.types[0] ? ` (${link.types[0]})` : ""}: ${link.message}`;
    error.stack = link.stack ? `${head}\n${link.stack}` : head;
    cause = error;
  }
  return cause!;
}

/** What the caller sees of an error that was told once: the same error with the stack of whoever asked, which leads to the line at fault. */
export function toFailure(error: unknown, task: Id = NO_ID, actor: Id = NO_ID): Failure {
  const failure = describe(error, 0, new Set());
  if (failure.task.length === 0) failure.task = toBytes(task);
  if (failure.actor.length === 0) failure.actor = toBytes(actor);
  return failure;
}

function describe(error: unknown, depth: number, seen: Set<unknown>): Failure {
  if (error instanceof ThornbackError && error.failure === undefined && error.code !== "TASK_FAILED") {
    // Made here by this package: the registry has a code for it.
    return create(FailureSchema, {
      code: error.codeNumber,
      message: error.message,
      language: LANGUAGE,
      ...causeOf(error.cause, depth, seen),
    });
  }
  if (error instanceof ThornbackError && error.failure !== undefined) {
    if (depth > 0) return shortened(error.failure, depth);
    // A call in this task failed: what it failed with is the cause, untouched.
    return create(FailureSchema, {
      code: CODES.TASK_FAILED,
      message: error.message,
      language: LANGUAGE,
      types: typeNames(error),
      stack: stackOf(error),
      cause: shortened(error.failure, 1),
    });
  }
  if (!(error instanceof Error)) {
    return create(FailureSchema, {
      code: CODES.TASK_FAILED,
      message: `something that is no Error was thrown: ${inspect(error)}`,
      language: LANGUAGE,
      types: [error === null ? "null" : typeof error],
    });
  }
  seen.add(error);
  return create(FailureSchema, {
    code: CODES.TASK_FAILED,
    message: typeof error.message === "string" ? error.message : "",
    language: LANGUAGE,
    types: typeNames(error),
    stack: stackOf(error),
    ...causeOf(error.cause, depth, seen),
  });
}

function causeOf(cause: unknown, depth: number, seen: Set<unknown>): { cause?: Failure } {
  if (cause === undefined || cause === null || depth + 1 >= CHAIN_MAX || seen.has(cause)) return {};
  return { cause: describe(cause, depth + 1, seen) };
}

/** A chain that is `depth` causes down, with its middle left out where all of it would be too long. */
function shortened(failure: Failure, depth: number): Failure {
  const chain: Failure[] = [];
  for (let link: Failure | undefined = failure; link; link = link.cause) chain.push(link);
  const room = Math.max(CHAIN_MAX - depth, 2);
  if (chain.length <= room) return failure;
  const kept = [...chain.slice(0, Math.ceil(room / 2)), ...chain.slice(chain.length - Math.floor(room / 2))];
  let cause: Failure | undefined;
  for (const link of kept.reverse()) {
    const copy: Failure = { ...link };
    delete copy.cause;
    if (cause) copy.cause = cause;
    cause = copy;
  }
  return cause!;
}

function stackOf(error: Error): string {
  return cutMiddle(typeof error.stack === "string" ? ownFrames(error.stack) : "");
}

/** A stack without the lines of this package that led to the user's code. */
function ownFrames(stack: string): string {
  const lines = stack.split("\n");
  let end = lines.length;
  while (end > 1 && (lines[end - 1].includes(HERE) || lines[end - 1].includes("(node:"))) end--;
  // An error that was made in here has no lines but those.
  const user = lines.slice(0, end);
  return user.some((line) => line.trimStart().startsWith("at ")) ? user.join("\n") : stack;
}

function typeNames(error: Error): string[] {
  const names: string[] = error instanceof UserError ? [error.type] : [];
  for (let proto: unknown = Object.getPrototypeOf(error); proto && proto !== Object.prototype;) {
    const name = (proto as { constructor?: { name?: unknown } }).constructor?.name;
    if (typeof name === "string" && name !== "" && !names.includes(name)) names.push(name);
    proto = Object.getPrototypeOf(proto);
  }
  return names;
}

function inspect(value: unknown): string {
  try {
    return String(value).slice(0, 1000);
  } catch {
    return typeof value;
  }
}

function cutMiddle(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= STACK_BYTES_MAX) return text;
  const half = STACK_BYTES_MAX / 2 - 16;
  const whole = { fatal: false, ignoreBOM: true };
  const decoder = new TextDecoder("utf-8", whole);
  const [head, tail] = [bytes.subarray(0, half), bytes.subarray(bytes.length - half)].map((part) =>
    decoder.decode(part).replaceAll("\ufffd", ""),
  );
  return `${head}\n    …\n${tail}`;
}

function hexOf(bytes: Uint8Array): string {
  return bytes.length === 0 ? "" : toHex(fromBytes(bytes));
}

export { type Code, CODES } from "./codes.js";
