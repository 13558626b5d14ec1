// What the thread of a worker's code and the thread of its session say to each other besides the bytes in shared memory.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { type Code, errorOf, fromFailure, ThornbackError } from "../errors.js";
import { FailureSchema } from "../gen/thornback/v1/failure_pb.js";
import type { Hello } from "../gen/thornback/v1/session_pb.js";
import type { Id } from "../session/ids.js";

/** Words of the memory that both share, by position. */
export const enum Word {
  /** The session's thread was told to look, and has not looked yet. */
  Nudged,
  /** Code runs that may keep its thread. */
  Busy,
  /** The session's thread is going to look by itself, and to go on while code is busy. */
  Looking,
  /** The code's thread wants to hear when bytes are on their way. */
  WantsRoom,
  /** Bytes that the session's thread has taken, modulo 2³². */
  Taken,
  /** Bytes that it has taken and not sent, for want of credit. */
  Unsent,
  /** How many there are. */
  Count,
}

/** What the session's thread is told. */
export type ToSession =
  | { readonly kind: "open"; readonly address: string; readonly token: string; readonly hello: Partial<Hello> }
  | { readonly kind: "slab"; readonly slab: SharedArrayBuffer }
  | { readonly kind: "look" }
  | { readonly kind: "consumed"; readonly bytes: number; readonly connection: number }
  | { readonly kind: "breach"; readonly message: string }
  | { readonly kind: "close" };

/** What it tells. */
export type ToCode =
  | { readonly kind: "opened"; readonly welcome: Uint8Array }
  | { readonly kind: "refused"; readonly error: ErrorAcross }
  | { readonly kind: "runs"; readonly segment: SharedArrayBuffer }
  /** Operations: of each its number, and the length of its body, as varints; then its body. */
  | { readonly kind: "ops"; readonly ops: Uint8Array; readonly bytes: number; readonly connection: number }
  | { readonly kind: "notTaken"; readonly made: Id | undefined; readonly op: Uint8Array | undefined; readonly error: ErrorAcross }
  | { readonly kind: "room" }
  | { readonly kind: "ended"; readonly error: ErrorAcross };

/** An error on its way to the other thread. */
export interface ErrorAcross {
  readonly code: Code;
  readonly message: string;
  readonly failure: Uint8Array | undefined;
  readonly cause: string | undefined;
}

export function across(error: ThornbackError): ErrorAcross {
  return {
    code: error.code,
    message: error.message,
    failure: error.failure && toBinary(FailureSchema, create(FailureSchema, error.failure)),
    cause: error.cause instanceof Error ? error.cause.message : undefined,
  };
}

export function arrived({ code, message, failure, cause }: ErrorAcross): ThornbackError {
  if (failure) return fromFailure(fromBinary(FailureSchema, failure));
  return errorOf(code, message, cause === undefined ? undefined : { cause: new Error(cause) });
}
