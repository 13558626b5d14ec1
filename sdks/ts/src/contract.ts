// What an interface says of functions, classes and methods, and the calls that go by it. `thornback gen --lang ts` writes contracts; see `interface.ts` for
// their types. It serves nothing.

import { ActorClass, type ActorHandle } from "./actor.js";
import type { Client } from "./client.js";
import { errorOf } from "./errors.js";
import { Ref } from "./object.js";
import type { ActorOptions, CallOptions, TaskOptions } from "./options.js";
import type { AnyCodec } from "./interface.js";
import { type AnyFunction, makeTask, type Task } from "./task.js";

/** What an interface says of a function, of a class and its constructor, or of a method. */
export interface Contract {
  /** The name under which it is served and called. */
  readonly name: string;
  /** Its name in messages. */
  readonly label: string;
  /** The canonical text that both sides compare; a method has none of its own. */
  readonly signature: string;
  /** Whether it is a class. */
  readonly actor: boolean;
  /** Its parameters, all of which are given, by position. */
  readonly params: readonly (readonly [name: string, codec: AnyCodec])[];
  /** What it gives, or each item of its stream. */
  readonly result: AnyCodec;
  /** Whether it gives a stream. */
  readonly stream: boolean;
}

/** Arguments as portable values. Refs pass: what they stand for is looked at where it arrives. */
export function writeArguments(contract: Contract, args: readonly unknown[]): unknown[] {
  checkCount(contract, args);
  return args.map((arg, i) => {
    const [name, codec] = contract.params[i];
    return arg instanceof Ref ? arg : codec.write(arg as never, `${contract.label}.${name}`);
  });
}

/** Portable values as arguments. */
export function readArguments(contract: Contract, args: readonly unknown[]): unknown[] {
  checkCount(contract, args);
  return args.map((arg, i) => {
    const [name, codec] = contract.params[i];
    return codec.read(arg, `${contract.label}.${name}`);
  });
}

function checkCount({ label, params }: Contract, args: readonly unknown[]): void {
  if (args.length === params.length) return;
  throw errorOf("WRONG_ARITY", `${label} takes ${params.length} arguments, and ${args.length} were given`);
}

/** The result of a contract's function, made portable. */
export function writeResult(contract: Contract, value: unknown): unknown {
  return contract.result.write(value as never, `${contract.label}()`);
}

/** What a ref of a contract reads its value with. */
export function resultReader(contract: Contract): (value: unknown) => unknown {
  return (value) => contract.result.read(value, `${contract.label}()`);
}

/** A function of an interface: a call fails with `SignatureMismatchError`, and runs nothing, where another signature is served. */
export function contractTask<F extends AnyFunction>(client: Client, contract: Contract, options: TaskOptions = {}): Task<F> {
  return makeTask(client.runtime, "task", contract.name, options, { contract, yields: contract.stream });
}

/** A class of an interface. */
export function contractClass<T extends object, A extends readonly unknown[]>(
  client: Client,
  contract: Contract,
  options: ActorOptions = {},
): ActorClass<T, A> {
  return new ActorClass<T, A>(client.runtime, contract.name, options, { contract });
}

/** A method of an interface's actor. */
export function contractMethod<F extends AnyFunction>(
  handle: ActorHandle<object>,
  contract: Contract,
  options: CallOptions = {},
): Task<F> {
  return handle.contracted(contract, options);
}

/** Throws `InvalidArgumentError` if an actor is of another class. */
export function checkActor(handle: ActorHandle<object>, contract: Contract): void {
  if (handle.className !== "" && handle.className !== contract.name)
    throw errorOf("INVALID_ARGUMENT", `the actor is a ${handle.className}, and no ${contract.name}`);
}
