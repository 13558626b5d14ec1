// Functions and classes that serve an interface: adapters that take and give portable values, around those that take and give the interface's. It opens
// no session.

import { type Contract, readArguments, writeResult } from "../contract.js";
import { errorOf } from "../errors.js";
import type { AnyFunction } from "../task.js";

/** What serves a part of an interface. */
export interface Adapter {
  readonly contract: Contract;
  readonly target: AnyFunction | (new (...args: unknown[]) => object);
}

/** What serves an interface: a module exports one, or it is among what `serve` is given, under any name. */
export class Implementation {
  readonly adapters: readonly Adapter[];

  /** @internal */
  constructor(adapters: readonly Adapter[]) {
    this.adapters = adapters;
  }

  /** Both. */
  and(other: Implementation): Implementation {
    return new Implementation([...this.adapters, ...other.adapters]);
  }
}

/** Functions of an interface, as methods of one object: of each its contract and its property. Throws `InvalidArgumentError` that says all that is missing. */
export function implement(target: object, functions: readonly (readonly [Contract, string])[]): Implementation {
  const members = target as Record<string, AnyFunction>;
  check("the implementation", members, functions);
  const adapters = functions.map(([contract, property]) => {
    return { contract, target: adapted(contract, (args) => members[property](...args)) };
  });
  return new Implementation(adapters);
}

/** A class whose instances are actors of an interface. */
export function implementClass(
  contract: Contract,
  target: new (...args: never[]) => object,
  methods: readonly (readonly [Contract, string])[],
): Implementation {
  check(`the class ${target.name}`, target.prototype as Record<string, unknown>, methods);
  class Actor {
    readonly own: Record<string, AnyFunction>;

    constructor(...args: unknown[]) {
      this.own = new target(...(readArguments(contract, args) as never[])) as Record<string, AnyFunction>;
    }
  }
  for (const [method, property] of methods) {
    const value = function (this: Actor, ...args: unknown[]): unknown {
      return adapted(method, (read) => this.own[property](...read))(...args);
    };
    Object.defineProperty(Actor.prototype, method.name, { value });
  }
  return new Implementation([{ contract, target: Actor }]);
}

function check(what: string, members: Readonly<Record<string, unknown>>, wanted: readonly (readonly [Contract, string])[]): void {
  const missing = wanted.map(([, property]) => property).filter((property) => typeof members[property] !== "function");
  if (missing.length > 0)
    throw errorOf("INVALID_ARGUMENT", `${what} does not implement the interface: it has no ${missing.join(", no ")}`);
}

function adapted(contract: Contract, call: (args: unknown[]) => unknown): AnyFunction {
  if (contract.stream) {
    return async function* (...args: unknown[]) {
      const items = call(readArguments(contract, args)) as AsyncIterable<unknown> | Iterable<unknown>;
      for await (const item of items) yield writeResult(contract, item);
    };
  }
  return (...args: unknown[]) => {
    const value = call(readArguments(contract, args));
    return isThenable(value) ? value.then((settled) => writeResult(contract, settled)) : writeResult(contract, value);
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
