// What the rest of the package needs of a conversation with a node, wherever its connection is: in this thread (`session.ts`), or in a thread of its own
// (`worker/link.ts`) where a worker's code may keep this one busy. It holds no state.

import type { ClientOp, Welcome } from "../gen/thornback/v1/session_pb.js";
import { errorOf, type ThornbackError } from "../errors.js";
import type { Id } from "./ids.js";
import type { Reader, Writer } from "./wire.js";

/** Bytes for `seq` and `ack` behind the operations of a frame. */
export const TAIL_BYTES = 24;
/** Frames are cut here, though they may be longer: the node can begin with the first while the next is made. */
export const FRAME_BYTES_AIM = 64 * 1024;

/** Who is told what the conversation itself does not handle. None of these may wait. */
export interface Handler {
  /** An operation of the server, by the number of its field in `ServerOp`. The reader is good until this returns. */
  handleOp(number: number, body: Reader): void;
  /** Everything that has come was handled. */
  handleRest(): void;
  /** The node did not take an operation: what it would have made, if it makes anything, and which one it was, if that is still known. */
  handleRefused(made: Id | undefined, op: ClientOp | undefined, error: ThornbackError): void;
  /** The session is over; told once, and last. */
  handleEnd(error: ThornbackError): void;
}

/** A driver's or worker's side of a session. */
export interface Conversation {
  /** What the node said first. */
  readonly welcome: Welcome;
  /** Largest value that is carried in a frame, in bytes. */
  readonly inlineBytes: number;
  /** Largest frame in either direction, in bytes. */
  readonly frameBytes: number;
  /** Why the session is over, once it is. */
  readonly ended: ThornbackError | undefined;
  /** Whether something was posted that `flush` would send. */
  readonly pending: boolean;

  /** Where the next operation is written to, by exactly one of the functions of `ops.ts`. */
  begin(): Writer;
  /** Ends an operation; it is sent soon, after those before it. Throws `LimitExceededError` for one that fits into no frame. */
  end(): void;
  /** Posts an operation through its generated message. */
  post(op: ClientOp["op"]): void;
  /** Sends what was posted, as far as there is credit. */
  flush(): void;
  /** Whether fewer than so many bytes wait to be sent. If not, `Handler.handleRest` is called once there may be. */
  hasRoom(bytes: number): boolean;
  /** Keeps the process alive while somebody waits for the node. */
  hold(alive: boolean): void;
  /** Says goodbye, after everything that was posted, and ends. Resolves once the bytes are on their way. */
  close(): Promise<void>;
  /** Begins the run that came as the `run`th, counted from 0. Not if it was taken back meanwhile: then it is no concern of this worker any more. */
  claim(run: number): boolean;
  /** From now on, or no longer, code runs that may not let this thread go: what is finished then is sent nevertheless. */
  busy(is: boolean): void;
}

/** The largest value that fits into a frame beside what an operation has more. */
export function inlineBytesOf(limit: number, frameBytes: number): number {
  return Math.min(limit, frameBytes - 1024 > 0 ? frameBytes - 1024 : frameBytes >> 1);
}

export function tooLong(size: number, frameBytes: number): ThornbackError {
  return errorOf(
    "LIMIT_EXCEEDED",
    `an operation of ${size} bytes does not fit into a frame of ${frameBytes}; give it less, or put it in pieces`,
  );
}
