// How calls are run: what a declaration says besides the function's name.

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { errorOf } from "./errors.js";
import { DeclareSchema } from "./gen/thornback/v1/task_pb.js";
import type { PlacementGroup } from "./placement.js";
import type { Returns, Runtime } from "./runtime.js";
import { fromBytes, type Id, NO_ID, toBytes } from "./session/ids.js";

/** Units of a resource that are one of it: amounts are exact to 0.0001. */
export const UNITS = 10_000;

/** Attempts after the first of a task whose worker is lost, where nothing else is said. */
const MAX_RETRIES_DEFAULT = 3;
/** Items that a stream's producer may be ahead where nothing else is said: enough to hide the round trip, little enough to hold. */
const STREAM_WINDOW_DEFAULT = 64;

/** What tasks and actors take, and where they run. */
export interface ResourceOptions {
  /** CPUs, in steps of 0.0001. By default a task takes one; an actor takes one to be placed and none to live. */
  numCpus?: number;
  /** GPUs, in steps of 0.0001. By default none. */
  numGpus?: number;
  /** Main memory in bytes: for placing, not a limit. By default none. */
  memory?: number;
  /** Amounts of custom resources by name, in steps of 0.0001. */
  resources?: Readonly<Record<string, number>>;
  /** What people see in logs, status and errors. By default the function's name. */
  name?: string;
  /** The pool to run in, where several serve the function. */
  pool?: string;
  /** The placement group to run in, and the position of the bundle in it; any by default. */
  placement?: { readonly group: PlacementGroup; readonly bundle?: number };
  /** The node to run on, in hexadecimal; `soft` lets it run elsewhere where that node is gone or cannot. */
  node?: { readonly id: string; readonly soft?: boolean };
  /** Spread over nodes rather than filling one after the other. */
  spread?: boolean;
}

/** What can be said of one call, of a task or of a method. */
export interface CallOptions {
  /** Attempts after the first when its worker or node is lost; -1 without end. By default 3 for tasks, and what the actor says for methods. */
  maxRetries?: number;
  /** Retry also when the code itself fails: always, or with an error of one of these types (see `ThornbackError.types`). By default never. */
  retryErrors?: boolean | readonly string[];
  /** Milliseconds from submission after which it fails with `DeadlineExceededError`. By default none. */
  deadlineMs?: number;
  /** Items that a stream's producer may be ahead of its consumer; 0 for no bound. By default 64. */
  streamWindow?: number;
  /** How many results it has: 1 by default, 0 for none to get, more for as many refs, `"stream"` for a function that yields. */
  returns?: Returns;
  /** Cancels the call when it is aborted. */
  signal?: AbortSignal;
}

/** How a task is run. */
export interface TaskOptions extends ResourceOptions, CallOptions {}

/** How an actor is made and kept. */
export interface ActorOptions extends ResourceOptions {
  /** Restarts after its worker or node is lost; -1 without end. By default 0. */
  maxRestarts?: number;
  /** Default of `maxRetries` for calls of its methods. By default 0. */
  maxTaskRetries?: number;
  /** Calls that may run at once. By default 1. */
  maxConcurrency?: number;
  /** Calls of one program that may wait; one more fails with `PendingCallsLimitError`. By default there is no bound. */
  maxPendingCalls?: number;
  /** Lives until it is killed, whatever happens to its creator. By default it ends with its last handle. */
  detached?: boolean;
  /** Where its name is looked up. By default the session's. */
  namespace?: string;
  /** With a name that a live actor has: give that one, and make none. */
  getIfExists?: boolean;
}

/** What a declaration is of, which decides the defaults. */
export type Kind = "task" | "class" | "method";

/** The number of the declaration of a function with its options, which is sent if it is new. */
export function declare(runtime: Runtime, kind: Kind, functionName: string, options: TaskOptions, signature = ""): number {
  const fields = { ...declaration(kind, functionName, options), signature };
  const key = JSON.stringify([kind, functionName, fields], (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  return runtime.declare(key, (number) => create(DeclareSchema, { ...fields, number }));
}

function declaration(kind: Kind, functionName: string, options: TaskOptions): MessageInitShape<typeof DeclareSchema> {
  const { returns = 1, retryErrors = false, maxRetries, deadlineMs, streamWindow, placement, node } = options;
  const retries = maxRetries ?? (kind === "task" ? MAX_RETRIES_DEFAULT : 0);
  if (!Number.isInteger(retries) || retries < -1) throw invalid("maxRetries", retries, "an integer from -1");
  if (returns !== "stream" && (!Number.isInteger(returns) || returns < 0))
    throw invalid("returns", returns, 'an integer from 0, or "stream"');
  if (deadlineMs !== undefined && !(deadlineMs >= 0)) throw invalid("deadlineMs", deadlineMs, "milliseconds from 0");
  const window = streamWindow ?? STREAM_WINDOW_DEFAULT;
  if (!Number.isInteger(window) || window < 0) throw invalid("streamWindow", window, "an integer from 0");
  return {
    function: functionName,
    pool: options.pool ?? "",
    name: options.name ?? "",
    returns: returns === "stream" ? -1 : returns,
    maxRetries: retries,
    retryExceptions: retryErrors === true,
    retryTypes: Array.isArray(retryErrors) ? [...(retryErrors as readonly string[])] : [],
    streamWindow: window,
    // Zero stands for no deadline at all.
    deadlineMs: deadlineMs === undefined ? 0n : BigInt(Math.max(1, Math.round(Math.min(deadlineMs, Number.MAX_SAFE_INTEGER)))),
    placementGroup: placement ? toBytes(placement.group.rawId) : new Uint8Array(),
    bundle: placement?.bundle ?? -1,
    node: node ? toBytes(parseId("node", node.id)) : new Uint8Array(),
    soft: node?.soft ?? false,
    spread: options.spread ?? false,
    resources: { amounts: amountsOf(options, kind !== "method") },
  };
}

/** Resources in units. With `defaultCpu`, one CPU where none were mentioned. */
export function amountsOf(options: ResourceOptions, defaultCpu: boolean): Record<string, bigint> {
  const { numCpus = defaultCpu ? 1 : undefined, numGpus, memory, resources = {} } = options;
  const amounts: Record<string, bigint> = {};
  const add = (name: string, amount: number | undefined): void => {
    if (amount === undefined) return;
    amounts[name] = unitsOf(name, amount);
  };
  add("CPU", numCpus);
  add("GPU", numGpus);
  add("memory", memory);
  for (const [name, amount] of Object.entries(resources)) {
    if (name in amounts || name === "CPU" || name === "GPU" || name === "memory") {
      throw errorOf("INVALID_ARGUMENT", `the resource ${name} has an option of its own`);
    }
    add(name, amount);
  }
  return Object.fromEntries(Object.entries(amounts).filter(([, units]) => units > 0n));
}

/** An amount of a resource in units. Throws `InvalidArgumentError` for one that cannot be asked for. */
export function unitsOf(name: string, amount: number): bigint {
  const units = amount * UNITS;
  if (!(units >= 0) || units > 9e18)
    throw errorOf("INVALID_ARGUMENT", `${amount} of the resource ${name} cannot be asked for; give a number from 0`);
  const whole = Math.round(units);
  if (whole === 0 && amount !== 0) {
    throw errorOf("INVALID_ARGUMENT", `${amount} of the resource ${name} is less than can be counted, which is 0.0001`);
  }
  return BigInt(whole);
}

/** An id as people see it, as it is used here. */
export function parseId(what: string, hex: string): Id {
  if (!/^[0-9a-f]{32}$/i.test(hex))
    throw errorOf("INVALID_ARGUMENT", `${JSON.stringify(hex)} is no id of a ${what}; it has 32 hexadecimal digits`);
  return hex === "" ? NO_ID : fromBytes(Buffer.from(hex, "hex"));
}

function invalid(option: string, given: unknown, wanted: string): Error {
  return errorOf("INVALID_ARGUMENT", `${option} is ${wanted}, not ${String(given)}`);
}
