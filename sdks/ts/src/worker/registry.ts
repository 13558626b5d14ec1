// What a worker serves: functions and classes by name.

import { create } from "@bufbuild/protobuf";

import { errorOf } from "../errors.js";
import { type Function as WireFunction, FunctionSchema } from "../gen/thornback/v1/worker_pb.js";
import { type Arity, arityOf, isClass } from "../signature.js";
import type { AnyFunction } from "../task.js";
import { Implementation } from "./implementation.js";

/** One function or class that is served. */
export interface Served {
  readonly name: string;
  readonly target: AnyFunction | (new (...args: unknown[]) => object);
  readonly arity: Arity;
  readonly actor: boolean;
  /** What an interface says of it; empty if none does. */
  readonly signature: string;
}

/** Functions and classes by name. */
export class Registry {
  readonly #served = new Map<string, Served>();

  /** Serves a function or class under a name. */
  add(name: string, target: unknown): void {
    if (typeof target !== "function")
      throw errorOf("INVALID_ARGUMENT", `${name} is a ${typeof target}; functions and classes can be served`);
    if (this.#served.has(name))
      throw errorOf("INVALID_ARGUMENT", `two things are to be served as ${name}; give one of them another prefix`);
    this.#served.set(name, {
      name,
      target: target as AnyFunction,
      arity: arityOf(target),
      actor: isClass(target),
      signature: "",
    });
  }

  /** Serves what an interface says, under its names. */
  addImplementation({ adapters }: Implementation): void {
    for (const { contract, target } of adapters) {
      const { name, actor, signature, params } = contract;
      if (this.#served.has(name)) throw errorOf("INVALID_ARGUMENT", `two things are to be served as ${name}`);
      this.#served.set(name, { name, target, arity: { min: params.length, max: params.length }, actor, signature });
    }
  }

  /**
   * Serves what a module exports: functions and classes under their names, members of exported objects as `object.member`. The default export and what
   * is neither are passed over; what implements an interface is served under the interface's names.
   */
  addModule(exports: Readonly<Record<string, unknown>>, prefix = ""): void {
    for (const [name, target] of Object.entries(exports)) {
      if (name === "default") continue;
      if (target instanceof Implementation) this.addImplementation(target);
      else if (typeof target === "function") this.add(prefix + name, target);
      else if (typeof target === "object" && target !== null && Object.getPrototypeOf(target) === Object.prototype) {
        for (const [member, inner] of Object.entries(target)) {
          if (typeof inner === "function") this.add(`${prefix}${name}.${member}`, inner);
        }
      }
    }
  }

  get(name: string): Served | undefined {
    return this.#served.get(name);
  }

  /** As it is announced. */
  announce(): WireFunction[] {
    return [...this.#served.values()].map(({ name, arity, actor, signature }) => {
      return create(FunctionSchema, { name, minArgs: arity.min, maxArgs: arity.max, actor, signature });
    });
  }
}
