// Refs: names for values that exist, or are going to.

import { inspect } from "node:util";

import { errorOf } from "./errors.js";
import { type Reference, REFERENCE, type Referring } from "./reference.js";
import type { Runtime } from "./runtime.js";
import { toHex } from "./session/ids.js";
import { type Hold, type Slot, State } from "./slot.js";

/** How to wait. */
export interface GetOptions {
  /** Milliseconds after which the wait is given up with `GetTimeoutError`; the object stays good. By default without end. */
  timeoutMs?: number;
  /** Gives the wait up when it is aborted, with the signal's reason. Whatever makes the object goes on; see {@link Ref.cancel}. */
  signal?: AbortSignal;
}

/** How to wait for some of many; see `Client.wait`. */
export interface WaitOptions extends GetOptions {
  /** How many are to be ready. By default 1. */
  count?: number;
  /** Whether large values are brought to this node meanwhile, and count as ready only then. By default they are. */
  fetch?: boolean;
}

/** How to cancel. */
export interface CancelOptions {
  /** End the worker process of a running task. Not for calls of actors. */
  force?: boolean;
  /** Also the tasks that it submitted. */
  recursive?: boolean;
}

/**
 * A name for a value that exists or is going to: the result of a call, or what was put.
 *
 * It can be given wherever its value is asked for: as an argument the value goes from worker to worker and not through this program, and inside of
 * other values it travels as a ref. The object is freed when nothing refers to it any more; a ref is let go of when it is collected, or at once by
 * {@link Ref.dispose} or `using`.
 *
 * ```ts
 * const sum = add(1, 2);        // Ref<number>
 * const more = add(sum, 3);     // passes the value on
 * console.log(await more.get());
 * ```
 */
export class Ref<T> implements Referring, Disposable {
  readonly #runtime: Runtime;
  readonly #hold: Hold;
  #reader: ((value: unknown) => unknown) | undefined = undefined;
  declare private readonly _type: T;

  /** @internal */
  constructor(runtime: Runtime, slot: Slot) {
    this.#runtime = runtime;
    this.#hold = { slot };
    runtime.adopt(this, this.#hold);
  }

  /** The object's id, in hexadecimal, for logs. */
  get id(): string {
    return toHex(this.slot.id);
  }

  /** Whether it is known that the value is there, or that there will be none. */
  get ready(): boolean {
    return this.slot.ready;
  }

  /** @internal */
  get slot(): Slot {
    const { slot } = this.#hold;
    if (slot === undefined) throw errorOf("INVALID_ARGUMENT", "the ref was disposed of; its object may be gone");
    return slot;
  }

  /** @internal */
  get runtime(): Runtime {
    return this.#runtime;
  }

  /**
   * The value, once it is there. Each call gives a value of its own, but binary data is shared and not to be changed.
   *
   * Rejects with what the task failed with (`TaskError` for an error of its code), `GetTimeoutError`, or the reason of the signal.
   */
  get(options?: GetOptions): Promise<T> {
    const value = this.#runtime.get(this, options);
    return (this.#reader ? value.then(this.#reader) : value) as Promise<T>;
  }

  /** @internal Has values read as an interface says. */
  readWith(reader: ((value: unknown) => unknown) | undefined): this {
    this.#reader = reader;
    return this;
  }

  /** @internal What the value is read with, if an interface says what it is. */
  get reader(): ((value: unknown) => unknown) | undefined {
    return this.#reader;
  }

  /** Ends the task that makes it, if it is not over: this ref then fails with `CancelledError`. For a finished task nothing happens. */
  cancel(options: CancelOptions = {}): void {
    this.#runtime.cancel(this.slot.id, options);
  }

  /** Lets go of the object. The ref is of no use afterwards. Doing it again does nothing. */
  dispose(): void {
    this.#runtime.release(this.#hold);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  [REFERENCE](): Reference {
    const { slot } = this;
    // What failed before it was sent is known to nobody else.
    if (slot.state === State.Failed && !slot.counted) throw slot.error!;
    return { kind: "ref", id: slot.id };
  }

  [inspect.custom](): string {
    const { slot } = this.#hold;
    return slot === undefined ? "Ref(disposed)" : `Ref(${toHex(slot.id)}${slot.ready ? "" : ", pending"})`;
  }
}
