// The task that runs: what its code may know of itself.

import { AsyncLocalStorage } from "node:async_hooks";

import type { Client } from "../client.js";
import { errorOf } from "../errors.js";
import type { Scope } from "../scope.js";
import { type Id, toHex } from "../session/ids.js";

/** One run under way, as the executor knows it. */
export interface Running {
  readonly scope: Scope;
  readonly client: Client;
  readonly task: Id;
  readonly attempt: number;
  readonly functionName: string;
  readonly actor: RunningActor | undefined;
  /** What the task took, by name. */
  readonly resources: Readonly<Record<string, number>>;
}

/** The actor that a worker is. */
export interface RunningActor {
  readonly id: Id;
  readonly name: string;
  readonly restarts: number;
  exit(): void;
}

/** What the code of a task or actor may know of itself; see {@link currentTask}. */
export class TaskContext {
  readonly #running: Running;

  /** @internal */
  constructor(running: Running) {
    this.#running = running;
  }

  /** The worker's client: what it submits is a child of this task. */
  get client(): Client {
    return this.#running.client;
  }

  /** Aborted when the task is cancelled or past its deadline. Give it to whatever takes long. */
  get signal(): AbortSignal {
    return this.#running.scope.signal;
  }

  /** The task's id, in hexadecimal. */
  get taskId(): string {
    return toHex(this.#running.task);
  }

  /** How often the task was begun before. */
  get attempt(): number {
    return this.#running.attempt;
  }

  /** The name of the function or method. */
  get functionName(): string {
    return this.#running.functionName;
  }

  /** Resources that the task was given, by name. */
  get resources(): Readonly<Record<string, number>> {
    return this.#running.resources;
  }

  /** The id of the node, in hexadecimal. */
  get nodeId(): string {
    return this.#running.client.nodeId;
  }

  /** The actor's id in hexadecimal; empty outside of actors. */
  get actorId(): string {
    return this.#running.actor ? toHex(this.#running.actor.id) : "";
  }

  /** The actor's name; empty if it has none, and outside of actors. */
  get actorName(): string {
    return this.#running.actor?.name ?? "";
  }

  /** How often the actor was started before; 0 outside of actors. */
  get restarts(): number {
    return this.#running.actor?.restarts ?? 0;
  }

  /** Ends the actor for good once its running calls are answered, this one included. Queued calls fail with `ActorDiedError`. */
  exitActor(): void {
    if (!this.#running.actor) throw errorOf("INVALID_ARGUMENT", "exitActor() is for the methods of actors; a task just returns");
    this.#running.actor.exit();
  }
}

/** Follows the task through asynchronous code where several run at once. Where one runs at a time, a variable does, at a fraction of the cost. */
const storage = new AsyncLocalStorage<Running>();
let current: Running | undefined;

/**
 * The task that the calling code belongs to.
 *
 * ```ts
 * export async function crawl(url: string) {
 *   const { signal } = currentTask();
 *   return (await fetch(url, { signal })).text();
 * }
 * ```
 *
 * Throws `InvalidArgumentError` outside of tasks; see {@link inTask}.
 */
export function currentTask(): TaskContext {
  const running = currentRunning();
  if (!running) throw errorOf("INVALID_ARGUMENT", "no task runs here; currentTask() is for code that a worker runs");
  return new TaskContext(running);
}

/** Whether the calling code belongs to a task. */
export function inTask(): boolean {
  return currentRunning() !== undefined;
}

export function currentRunning(): Running | undefined {
  return current ?? storage.getStore();
}

/** Runs code as part of a task, and whatever it starts. */
export function follow<R>(running: Running, code: () => R): R {
  return storage.run(running, code);
}

/** Says which task runs, where it is one at a time. */
export function setCurrent(running: Running | undefined): void {
  current = running;
}
