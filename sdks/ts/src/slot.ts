// What is known of one object, as long as somebody in this process holds a ref to it. A slot waits for nothing and asks nobody.

import type { ThornbackError } from "./errors.js";
import type { Id } from "./session/ids.js";
import type { RawValue } from "./session/ops.js";

/** Where an object stands. */
export const enum State {
  Pending,
  /** A value that needs no decoding: a number, text, a boolean, null. */
  Plain,
  /** A value as it travelled. */
  Raw,
  /** Kept by the node, to be fetched. */
  Stored,
  Failed,
}

/** What one ref holds, until it is disposed of or collected. */
export interface Hold {
  slot: Slot | undefined;
}

/** One object. */
export class Slot {
  readonly id: Id;
  state: State = State.Pending;
  plain: unknown = undefined;
  raw: RawValue | undefined = undefined;
  error: ThornbackError | undefined = undefined;
  /** Refs of this process that hold it. */
  handles = 1;
  /** Whether it is among those that the collector watches. */
  dear = false;
  /** Whether the session has a count on it at the node. */
  counted = true;
  /** Whether the node tells of its completion. */
  watched: boolean;
  #waiter: (() => void) | undefined = undefined;
  #waiters: Set<() => void> | undefined = undefined;

  constructor(id: Id, watched: boolean) {
    this.id = id;
    this.watched = watched;
  }

  /** Whether it is known what came of it. */
  get ready(): boolean {
    return this.state !== State.Pending;
  }

  /** Has `waiter` called once, when it is known. */
  wait(waiter: () => void): void {
    if (this.#waiter === undefined) this.#waiter = waiter;
    else (this.#waiters ??= new Set()).add(waiter);
  }

  /** Takes a waiter back. */
  unwait(waiter: () => void): void {
    if (this.#waiter === waiter) this.#waiter = undefined;
    else this.#waiters?.delete(waiter);
  }

  setPlain(value: unknown): void {
    this.state = State.Plain;
    this.plain = value;
    this.#wake();
  }

  setRaw(value: RawValue): void {
    this.state = State.Raw;
    this.raw = value;
    this.#wake();
  }

  setStored(): void {
    this.state = State.Stored;
    this.#wake();
  }

  fail(error: ThornbackError): void {
    this.state = State.Failed;
    this.error = error;
    this.raw = undefined;
    this.#wake();
  }

  #wake(): void {
    const [waiter, waiters] = [this.#waiter, this.#waiters];
    this.#waiter = this.#waiters = undefined;
    waiter?.();
    if (waiters) for (const each of waiters) each();
  }
}
