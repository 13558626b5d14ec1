// Actors: instances of classes in workers of their own, called through handles.

import { create } from "@bufbuild/protobuf";
import { inspect } from "node:util";

import { encodeArgs } from "./arguments.js";
import { type Contract, writeArguments } from "./contract.js";
import { errorOf } from "./errors.js";
import { type ActorOptions as WireOptions, ActorOptionsSchema, CreateActorSchema } from "./gen/thornback/v1/actor_pb.js";
import { CreateNamedActorSchema } from "./gen/thornback/v1/control_pb.js";
import { ArgSchema, ValueSchema } from "./gen/thornback/v1/value_pb.js";
import { type Reference, REFERENCE, type Referring } from "./reference.js";
import { type ActorOptions, type CallOptions, declare } from "./options.js";
import type { Runtime } from "./runtime.js";
import { fromBytes, type Id, toBytes, toHex } from "./session/ids.js";
import type { WireArg } from "./session/ops.js";
import { type Arity, arityOf, checkArity, isGenerator } from "./signature.js";
import { type AnyFunction, type Args, type Known, makeTask, type Task } from "./task.js";

/** The methods of a class, as they are called from elsewhere. */
export type Methods<T> = {
  readonly [K in keyof T as T[K] extends AnyFunction ? K : never]: T[K] extends AnyFunction ? Task<T[K]> : never;
};

/** How to end an actor. */
export interface KillOptions {
  /** Let it use a restart, if one is left. */
  restart?: boolean;
  /** Let the calls that are queued already finish first. */
  graceful?: boolean;
}

/** A class that workers serve. */
export class ActorClass<T extends object, A extends readonly unknown[] = readonly unknown[]> {
  readonly #runtime: Runtime;
  readonly #options: ActorOptions;
  readonly #known: KnownClass;
  /** Its name. */
  readonly className: string;

  /** @internal */
  constructor(runtime: Runtime, className: string, options: ActorOptions, known: KnownClass = {}) {
    this.#runtime = runtime;
    this.className = className;
    this.#options = options;
    this.#known = known;
  }

  /** The same class with other options; those that are not given stay. */
  with(options: ActorOptions): ActorClass<T, A> {
    return new ActorClass<T, A>(this.#runtime, this.className, { ...this.#options, ...options }, this.#known);
  }

  /** Makes an actor. Calls may follow at once; if it cannot be made, they fail with the reason. It ends with its last handle. */
  create(...args: Args<A>): ActorHandle<T> {
    const runtime = this.#runtime;
    const { declaration, wire, done } = this.#prepare(args);
    const id = runtime.nextId();
    const value = create(CreateActorSchema, {
      actor: toBytes(id),
      declaration,
      args: wire.map(toArg),
      options: this.#wireOptions(""),
      parent: toBytes(runtime.scope()?.task ?? ""),
    });
    runtime.session.post({ case: "createActor", value });
    done();
    return new ActorHandle<T>(runtime, id, this.className, new Uint8Array(), this.#known.target);
  }

  /**
   * Makes an actor that others can find by a name; see `Client.getActor`.
   *
   * Rejects with `ActorNameTakenError` if a live actor has the name, unless `getIfExists` is set: then that one is given.
   */
  async createNamed(name: string, ...args: Args<A>): Promise<ActorHandle<T>> {
    const runtime = this.#runtime;
    if (name === "") throw errorOf("INVALID_ARGUMENT", "a named actor has a name");
    const { declaration, wire, done } = this.#prepare(args);
    const value = create(CreateNamedActorSchema, {
      actor: toBytes(runtime.nextId()),
      declaration,
      args: wire.map(toArg),
      options: this.#wireOptions(name),
    });
    const reply = await runtime.request({ case: "createActor", value });
    done();
    if (reply.case !== "actor") throw errorOf("INTERNAL", "the node answered a request with a reply of another kind");
    return new ActorHandle<T>(runtime, fromBytes(reply.value.actor), this.className, reply.value.interface, this.#known.target);
  }

  #prepare(args: readonly unknown[]): { declaration: number; wire: WireArg[]; done: () => void } {
    if (this.#known.arity) checkArity(this.className, this.#known.arity, args);
    const runtime = this.#runtime;
    const { contract } = this.#known;
    const given = contract ? writeArguments(contract, args) : args;
    const declaration = declare(runtime, "class", this.className, this.#options, contract?.signature);
    const { wire, keep } = encodeArgs(runtime, given);
    return {
      declaration,
      wire,
      done: () => {
        for (const ref of keep ?? []) ref.dispose();
      },
    };
  }

  #wireOptions(name: string): WireOptions {
    const { maxRestarts = 0, maxTaskRetries = 0, maxConcurrency = 1, maxPendingCalls = 0, ...rest } = this.#options;
    for (const [option, given, least] of [
      ["maxRestarts", maxRestarts, -1],
      ["maxTaskRetries", maxTaskRetries, -1],
      ["maxConcurrency", maxConcurrency, 1],
      ["maxPendingCalls", maxPendingCalls, 0],
    ] as const) {
      if (!Number.isInteger(given) || given < least) {
        throw errorOf("INVALID_ARGUMENT", `${option} is an integer from ${least}, not ${given}`);
      }
    }
    return create(ActorOptionsSchema, {
      name,
      namespace: rest.namespace ?? "",
      getIfExists: rest.getIfExists ?? false,
      detached: rest.detached ?? false,
      maxRestarts,
      maxTaskRetries,
      maxConcurrency,
      maxPendingCalls,
      asynchronous: true,
      // CPUs that were not mentioned are needed only to place it.
      holdResources: rest.numCpus !== undefined,
    });
  }
}

/** What is known of a class besides its name. */
export interface KnownClass {
  readonly arity?: Arity;
  /** What an interface says of it. */
  readonly contract?: Contract;
  /** The class itself, where this program has it. */
  readonly target?: new (...args: never[]) => object;
}

/**
 * A handle to an actor. It can be passed to tasks and other actors, inside any value. When the last handle anywhere is gone, an actor without a name
 * ends; a handle goes when it is collected, or at once by {@link ActorHandle.dispose} or `using`.
 *
 * ```ts
 * const counter = Counter.create(10);
 * console.log(await counter.call.increment(5).get());
 * ```
 */
export class ActorHandle<T> implements Referring, Disposable {
  readonly #runtime: Runtime;
  readonly #id: Id;
  readonly #interface: Uint8Array;
  readonly #target: KnownClass["target"];
  readonly #methods = new Map<string, Task<AnyFunction>>();
  #disposed = false;
  /** The name of its class. */
  readonly className: string;
  /** Its methods: `handle.call.increment(1)` gives a ref to the result. */
  readonly call: Methods<T>;

  /** @internal */
  constructor(runtime: Runtime, id: Id, className: string, interfaceBytes: Uint8Array, target?: KnownClass["target"]) {
    this.#runtime = runtime;
    this.#id = id;
    this.className = className;
    this.#interface = interfaceBytes;
    this.#target = target;
    this.call = new Proxy({} as Methods<T>, {
      get: (_, name) => {
        // Nothing that looks for a promise's `then` is to find a method.
        if (typeof name !== "string" || name === "then") return undefined;
        let method = this.#methods.get(name);
        if (!method) {
          method = this.method(name as never);
          this.#methods.set(name, method);
        }
        return method;
      },
    });
    runtime.adoptActor(this, id);
  }

  /** The actor's id, in hexadecimal, for logs. */
  get id(): string {
    return toHex(this.#id);
  }

  /** A method with options: `handle.method("items", { returns: "stream" })`. */
  method<K extends keyof Methods<T> & string, const O extends CallOptions = object>(
    name: K,
    options?: O,
  ): T[K] extends AnyFunction ? Task<T[K], O> : never {
    const task = makeTask(this.#runtime, "method", name, { ...options }, this.#knownMethod(name), this.#id);
    return task as unknown as T[K] extends AnyFunction ? Task<T[K], O> : never;
  }

  /** @internal A method of an interface. */
  contracted(contract: Contract, options: CallOptions): Task<AnyFunction> {
    const known = { owner: this, contract, yields: contract.stream };
    return makeTask(this.#runtime, "method", contract.name, options, known, this.#id);
  }

  /** Ends the actor at once and for good: queued and running calls fail with `ActorDiedError`. */
  kill(options: KillOptions = {}): void {
    const { restart = false, graceful = false } = options;
    this.#runtime.session.post({
      case: "kill",
      value: { $typeName: "thornback.v1.Kill", actor: toBytes(this.#id), restart, graceful },
    });
  }

  /** Lets go of the actor. Doing it again does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#runtime.releaseActor(this, this.#id);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  [REFERENCE](): Reference {
    return { kind: "actor", id: this.#id, className: this.className, interface: this.#interface };
  }

  [inspect.custom](): string {
    return `ActorHandle(${this.className} ${this.id})`;
  }

  #knownMethod(name: string): Known {
    const target = this.#target;
    // The method keeps the actor alive as its handle does.
    if (!target) return { owner: this };
    const method = (target.prototype as Record<string, unknown>)[name];
    if (typeof method !== "function") {
      throw errorOf("FUNCTION_NOT_FOUND", `the class ${this.className} has no method ${JSON.stringify(name)}`);
    }
    return { owner: this, arity: arityOf(method), yields: isGenerator(method) };
  }
}

function toArg(arg: WireArg): ReturnType<typeof create<typeof ArgSchema>> {
  const { keyword, ref, value } = arg;
  if (value === undefined) return create(ArgSchema, { keyword, arg: { case: "ref", value: toBytes(ref) } });
  const { format, data, refs, buffers, schema } = value;
  return create(ArgSchema, {
    keyword,
    arg: { case: "value", value: create(ValueSchema, { format, data, refs: refs.map(toBytes), buffers: [...buffers], schema }) },
  });
}
