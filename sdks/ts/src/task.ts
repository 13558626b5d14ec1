// Tasks: calls of functions that workers serve.

import type { Keywords } from "./arguments.js";
import type { Client } from "./client.js";
import { type Contract, resultReader, writeArguments } from "./contract.js";
import { errorOf } from "./errors.js";
import type { Ref } from "./object.js";
import { type CallOptions, declare, type Kind, type TaskOptions } from "./options.js";
import type { Runtime } from "./runtime.js";
import type { Id } from "./session/ids.js";
import { type Arity, checkArity } from "./signature.js";
import type { RefStream } from "./stream.js";

/** Any function. */
// The parameters of a function that is known by its type alone can be anything.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyFunction = (...args: any[]) => unknown;

/** Arguments of a call: each as itself, or as a ref to it. */
export type Args<A extends readonly unknown[]> =
  { [K in keyof A]: A[K] | Ref<A[K]> } | [...{ [K in keyof A]: A[K] | Ref<A[K]> }, Keywords];

/** What a function that yields yields. */
export type Yielded<R> = R extends AsyncIterable<infer T> ? T : R extends Iterable<infer T> ? T : never;

/** Functions that yield. */
export type Yielding =
  AsyncGenerator<unknown, unknown, never> | Generator<unknown, unknown, never> | AsyncIterableIterator<unknown>;

/** What a call of a function gives: a ref to its result, or the stream of what it yields. */
export type Result<F extends AnyFunction> = [ReturnType<F>] extends [never]
  ? Ref<never>
  : ReturnType<F> extends Yielding
    ? RefStream<Yielded<ReturnType<F>>>
    : Ref<Awaited<ReturnType<F>>>;

/** What a call gives where `returns` says how many results there are. */
export type ResultOf<F extends AnyFunction, O> = O extends { returns: "stream" }
  ? RefStream<Yielded<Awaited<ReturnType<F>>> extends never ? unknown : Yielded<Awaited<ReturnType<F>>>>
  : O extends { returns: 1 }
    ? Ref<Awaited<ReturnType<F>>>
    : O extends { returns: 0 }
      ? undefined
      : O extends { returns: number }
        ? Ref<unknown>[]
        : Result<F>;

/** A function that runs elsewhere: called, it gives a ref at once. */
export interface Task<F extends AnyFunction, O = object> {
  (...args: Args<Parameters<F>>): ResultOf<F, O>;
  /** The function's name. */
  readonly functionName: string;
  /** The same function with other options; those that are not given stay. */
  with<const P extends TaskOptions>(options: P): Task<F, Omit<O, keyof P> & P>;
}

/** What is known of a function or method besides its name. */
export interface Known {
  readonly arity?: Arity;
  readonly yields?: boolean;
  /** What an interface says of it. */
  readonly contract?: Contract;
  /** What must live as long as it can be called. */
  readonly owner?: object;
}

/** Makes a task, or the call of a method where `actor` is given. */
export function makeTask(
  runtime: Runtime,
  kind: Kind,
  functionName: string,
  options: TaskOptions & CallOptions,
  known: Known,
  actor?: Id,
): Task<AnyFunction> {
  const returns = options.returns ?? (known.yields ? "stream" : 1);
  const { signal } = options;
  let number = 0;
  const call = (...args: unknown[]): unknown => {
    if (known.arity) checkArity(functionName, known.arity, args);
    signal?.throwIfAborted();
    const { contract } = known;
    const given = contract ? writeArguments(contract, args) : args;
    if (number === 0) number = declare(runtime, kind, functionName, { ...options, returns }, contract?.signature);
    const results = runtime.call(number, given, returns, actor);
    if (contract) readWith(results, resultReader(contract));
    if (signal) cancelWith(signal, results);
    return returns === 0 ? undefined : results;
  };
  return Object.assign(call, {
    functionName,
    with: (more: TaskOptions) => makeTask(runtime, kind, functionName, { ...options, ...more }, known, actor),
  }) as unknown as Task<AnyFunction>;
}

/** Has the refs of a call read their values as an interface says. */
function readWith(results: unknown, reader: (value: unknown) => unknown): void {
  if (Array.isArray(results)) for (const ref of results as Ref<unknown>[]) ref.readWith(reader);
  else (results as Ref<unknown> | RefStream<unknown>).readWith(reader);
}

/** Cancels a call when a signal is aborted, for as long as somebody holds what it gave. */
function cancelWith(signal: AbortSignal, results: unknown): void {
  const first = Array.isArray(results)
    ? (results[0] as Ref<unknown> | undefined)
    : (results as Ref<unknown> | RefStream<unknown>);
  if (first === undefined) throw errorOf("INVALID_ARGUMENT", "a call without results cannot be cancelled by a signal");
  const weak = new WeakRef(first);
  const abort = (): void => {
    try {
      weak.deref()?.cancel();
    } catch {
      // It was disposed of.
    }
  };
  signal.addEventListener("abort", abort, { once: true });
  listeners.register(first, { signal: new WeakRef(signal), abort });
}

const listeners = new FinalizationRegistry<{ signal: WeakRef<AbortSignal>; abort: () => void }>(({ signal, abort }) => {
  signal.deref()?.removeEventListener("abort", abort);
});

/** The functions and classes of a worker's module, as they are called from elsewhere. */
export type Remote<M> = {
  readonly [K in keyof M as M[K] extends AnyFunction | (new (...args: never[]) => object) ? K : never]: M[K] extends new (
    ...args: infer A
  ) => infer T
    ? import("./actor.js").ActorClass<T & object, A>
    : M[K] extends AnyFunction
      ? Task<M[K]>
      : never;
};

export type { Client };
