// Streams: the results of a task that yields, as they come.

import { inspect } from "node:util";

import { errorOf, type ThornbackError } from "./errors.js";
import { type Reference, REFERENCE, type Referring } from "./reference.js";
import { type CancelOptions, type GetOptions, Ref } from "./object.js";
import type { Runtime } from "./runtime.js";
import { type Id, toHex } from "./session/ids.js";
import type { Slot } from "./slot.js";

/** What has come of one stream. */
export class StreamSlot {
  readonly task: Id;
  readonly items: Slot[] = [];
  taken = 0;
  ended = false;
  failure: ThornbackError | undefined = undefined;
  waiter: (() => void) | undefined = undefined;

  constructor(task: Id) {
    this.task = task;
  }

  /** Whether the next item, the failure or the end is there. */
  get ready(): boolean {
    return this.items.length > 0 || this.ended;
  }

  item(slot: Slot): void {
    this.items.push(slot);
    this.#wake();
  }

  end(failure: ThornbackError | undefined): void {
    if (this.ended) return;
    this.ended = true;
    this.failure = failure;
    this.#wake();
  }

  #wake(): void {
    const { waiter } = this;
    this.waiter = undefined;
    waiter?.();
  }
}

/**
 * The results of a task that yields many: its items in order, then its error if it failed, then the end.
 *
 * Iterating gives values; {@link RefStream.refs} gives refs, to pass items on without reading them. Items are freed as they are taken, the producer is
 * kept from running too far ahead, and leaving the loop early ends the task.
 *
 * ```ts
 * for await (const half of halves(10)) console.log(half);
 * ```
 */
export class RefStream<T> implements AsyncIterableIterator<T>, AsyncDisposable, Disposable, Referring {
  readonly #runtime: Runtime;
  readonly #slot: StreamSlot;
  #disposed = false;
  #reader: ((value: unknown) => unknown) | undefined = undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(runtime: Runtime, slot: StreamSlot) {
    this.#runtime = runtime;
    this.#slot = slot;
    runtime.adoptStream(this, slot);
  }

  /** The task's id, in hexadecimal, for logs. */
  get id(): string {
    return toHex(this.#slot.task);
  }

  /**
   * A ref to the next item, or undefined after the last. Rejects with what the task failed with, after the items before that; with `GetTimeoutError` or
   * the reason of the signal no item is lost.
   */
  nextRef(options?: GetOptions): Promise<Ref<T> | undefined> {
    // Two calls at once get two items.
    const next = this.#last.then(() => this.#next(options));
    this.#last = next.catch(() => undefined);
    return next;
  }

  /** The next item; see {@link RefStream}. */
  async next(): Promise<IteratorResult<T, undefined>> {
    const ref = await this.nextRef();
    if (ref === undefined) return { done: true, value: undefined };
    try {
      return { done: false, value: await ref.get() };
    } finally {
      ref.dispose();
    }
  }

  /** Refs to the items, which are not freed as they are taken but when the refs are let go of. */
  async *refs(): AsyncGenerator<Ref<T>, void, undefined> {
    try {
      for (let ref = await this.nextRef(); ref !== undefined; ref = await this.nextRef()) yield ref;
    } finally {
      this.dispose();
    }
  }

  /** @internal Has items read as an interface says. */
  readWith(reader: (value: unknown) => unknown): void {
    this.#reader = reader;
  }

  /** Ends the producing task; the items that came before can still be taken, then comes `CancelledError`. */
  cancel(options: CancelOptions = {}): void {
    this.#runtime.cancel(this.#slot.task, options);
  }

  /** Ends the stream: the task is cancelled, and items that were not taken are freed. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#runtime.releaseStream(this, this.#slot);
    this.#slot.items.length = 0;
    this.#slot.end(undefined);
  }

  /** What a loop that is left early calls. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.dispose();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    return Promise.resolve();
  }

  [REFERENCE](): Reference {
    return { kind: "stream", id: this.#slot.task };
  }

  [inspect.custom](): string {
    return `RefStream(${this.id})`;
  }

  /** @internal */
  get slot(): StreamSlot {
    return this.#slot;
  }

  async #next(options?: GetOptions): Promise<Ref<T> | undefined> {
    const slot = this.#slot;
    if (!slot.ready) {
      if (slot.waiter) throw errorOf("INTERNAL", "two wait for one stream");
      await this.#runtime.until((wake) => {
        slot.waiter = wake;
        this.#runtime.waiting.add(slot);
        return () => {
          slot.waiter = undefined;
          this.#runtime.waiting.delete(slot);
        };
      }, options);
    }
    const item = slot.items.shift();
    if (item !== undefined) {
      slot.taken++;
      this.#runtime.consumed(slot);
      return new Ref<T>(this.#runtime, item).readWith(this.#reader);
    }
    const { failure } = slot;
    slot.failure = undefined;
    if (failure) throw failure;
    // Nothing is left to free but the count on the stream itself.
    this.dispose();
    return undefined;
  }
}
