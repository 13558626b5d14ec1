// What a worker answers for a task that the node interrupts, in whichever thread it answers.

import { create } from "@bufbuild/protobuf";

import { codeOf } from "../codes.js";
import { type Code, CODES, errorOf, LANGUAGE, type ThornbackError } from "../errors.js";
import { type Failure, FailureSchema } from "../gen/thornback/v1/failure_pb.js";

/** Numbers of fields of `ServerOp`. */
export const INTERRUPT = 12;
/** See `INTERRUPT`. */
export const RECALL = 13;

/** What a task ends with that was interrupted. */
export function interruption(number: number, when: string): { error: ThornbackError; failure: Failure } {
  const code: Code = codeOf(number);
  const message = `${code === "DEADLINE_EXCEEDED" ? "the task's deadline passed" : "the task was cancelled"} ${when}`;
  const failure = create(FailureSchema, { code: number === 0 ? CODES.CANCELLED : number, message, language: LANGUAGE });
  return { error: errorOf(code === "INTERNAL" ? "CANCELLED" : code, message), failure };
}
