// What a worker serves: functions and classes by name.

import { create } from "@bufbuild/protobuf";

import { errorOf } from "../errors.js";
import { type Function as WireFunction, FunctionSchema } from "../gen/thornback/v1/worker_pb.js";
import { type Arity, arityOf, isClass } from "../signature.js";
import type { AnyFunction } from "../task.js";

/** One function or class that is served. */
export interface Served {
  readonly name: string;
  readonly target: AnyFunction | (new (...args: unknown[]) => object);
  readonly arity: Arity;
  readonly actor: boolean;
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
    this.#served.set(name, { name, target: target as AnyFunction, arity: arityOf(target), actor: isClass(target) });
  }

  /**
   * Serves what a module exports: functions and classes under their names, members of exported objects as `object.member`. The default export and what
   * is neither are passed over.
   */
  addModule(exports: Readonly<Record<string, unknown>>, prefix = ""): void {
    for (const [name, target] of Object.entries(exports)) {
      if (name === "default") continue;
      if (typeof target === "function") this.add(prefix + name, target);
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
    return [...this.#served.values()].map(({ name, arity, actor }) => {
      return create(FunctionSchema, { name, minArgs: arity.min, maxArgs: arity.max, actor });
    });
  }
}
