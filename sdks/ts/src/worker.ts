// Workers: programs that serve functions and classes to callers of any language.
//
// The program `thornback-worker` serves what a module exports; a program of one's own calls `serve`.

import { Client, commonHello } from "./client.js";
import { errorOf, type ThornbackError } from "./errors.js";
import { type Hello, Role } from "./gen/thornback/v1/session_pb.js";
import { Runtime } from "./runtime.js";
import { readToken } from "./session/address.js";
import type { Connect } from "./session/carrier.js";
import type { Conversation, Handler } from "./session/conversation.js";
import { Session } from "./session/session.js";
import { Executor } from "./worker/executor.js";
import { SessionThread } from "./worker/link.js";
import { Registry } from "./worker/registry.js";

/** Where a worker finds its node; by default in the variables that a node sets for the workers that it starts. */
export interface ServeOptions {
  /** `unix:PATH` or `HOST:PORT`. By default THORNBACK_ADDRESS. */
  address?: string;
  /** The file with the token. By default THORNBACK_TOKEN_FILE. */
  tokenFile?: string;
  /** The pool that it belongs to. By default THORNBACK_POOL. */
  pool?: string;
  /** Comes before every name that is served, as `"images."`. By default nothing. */
  prefix?: string;
}

/** How a worker ended. */
export interface Served {
  /** Why its session is over. */
  readonly reason: ThornbackError;
}

/**
 * Serves functions and classes by name until the node lets go.
 *
 * ```ts
 * import * as images from "./images.js";
 * import { serve } from "thornback/worker";
 *
 * await serve(images, { prefix: "images." });
 * ```
 *
 * Rejects with `ConnectionLostError` if no node answers, or with what it refuses the worker with.
 */
export function serve(exports: Readonly<Record<string, unknown>>, options: ServeOptions = {}): Promise<Served> {
  return serveModule(() => Promise.resolve(exports), options);
}

/** @internal Serves what `load` gives. The session gets ready meanwhile. */
export async function serveModule(
  load: () => Promise<Readonly<Record<string, unknown>>>,
  options: ServeOptions,
): Promise<Served> {
  const address = options.address ?? process.env["THORNBACK_ADDRESS"];
  if (address === undefined || address === "") {
    throw errorOf(
      "INVALID_ARGUMENT",
      "THORNBACK_ADDRESS is not set, so no node is known; a worker is started by its node, or with that variable",
    );
  }
  const token = address.startsWith("unix:") && options.tokenFile === undefined ? "" : readToken(options.tokenFile);
  const thread = new SessionThread();
  const registry = new Registry();
  registry.addModule(await load(), options.prefix);
  const hello = {
    pool: options.pool ?? process.env["THORNBACK_POOL"] ?? "",
    launch: BigInt(process.env["THORNBACK_LAUNCH"] ?? 0),
  };
  const open: Open = (fields, handler) => thread.open(address, token, fields, handler);
  return run(open, token, registry, hello, false);
}

/** Serves over a connection, beside other workers in this thread. */
export function serveOver(connect: Connect, registry: Registry, hello: { pool: string; launch: bigint }): Promise<Served> {
  return run((fields, handler) => Session.open(connect, fields, handler), "", registry, hello, true);
}

type Open = (hello: Partial<Hello>, handler: Handler) => Promise<Conversation>;

/** `shared` says that other workers run in this thread. */
async function run(
  open: Open,
  token: string,
  registry: Registry,
  hello: { pool: string; launch: bigint },
  shared: boolean,
): Promise<Served> {
  let end: ((reason: ThornbackError) => void) | undefined;
  const ended = new Promise<ThornbackError>((resolve) => {
    end = resolve;
  });
  const listener = {
    log: () => undefined,
    notice: (notice: ThornbackError) => process.stderr.write(`thornback worker: ${notice.code}: ${notice.message}\n`),
    ended: (reason: ThornbackError) => end?.(reason),
  };
  const fields = { ...commonHello(token), role: Role.WORKER, ...hello, functions: registry.announce() };
  const runtime = await Runtime.open((handler) => open(fields, handler), listener, !shared);
  const executor = new Executor(runtime, new Client(runtime), registry, shared);
  void executor.left.then(() => runtime.session.close());
  return { reason: await ended };
}

export { currentTask, inTask, TaskContext } from "./worker/context.js";
