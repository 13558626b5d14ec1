// What the workers of tests serve.

import { existsSync, writeFileSync } from "node:fs";

import { type ActorHandle, currentTask, Ref, UserError } from "../../src/index.js";

export function add(a: number, b: number): number {
  return a + b;
}

export function echo<T>(value: T): T {
  return value;
}

export function nothing(): void {}

export function pair(): [number, string] {
  return [1, "two"];
}

export function tooFew(): number[] {
  return [1];
}

export function* yieldsOne(): Generator<number> {
  yield 1;
}

export function fill(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(7);
}

export function lengthOf(bytes: Uint8Array): number {
  return bytes.length;
}

export function fail(message: string): never {
  throw new RangeError(message, { cause: new TypeError("underneath") });
}

export function failAs(type: string): never {
  throw new UserError(type, "of the user's own");
}

export function notData(): unknown {
  return { inside: [() => 1] };
}

export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}

export function printed(line: string): void {
  console.log(line);
}

export function pid(): number {
  return process.pid;
}

/** Fails until a file is there, which it makes. */
export function failOnce(path: string): string {
  if (existsSync(path)) return "at last";
  writeFileSync(path, "");
  throw new TypeError("not yet");
}

export function exitOnce(path: string): string {
  if (existsSync(path)) return "at last";
  writeFileSync(path, "");
  process.exit(3);
}

export function* upTo(count: number): Generator<number> {
  for (let n = 0; n < count; n++) yield n;
}

export async function* thenFail(count: number): AsyncGenerator<number> {
  for (let n = 0; n < count; n++) yield await Promise.resolve(n);
  throw new RangeError("enough");
}

export function* big(count: number, bytes: number): Generator<Uint8Array> {
  for (let n = 0; n < count; n++) yield new Uint8Array(bytes).fill(n);
}

/** Waits for its cancellation, and writes a file when it comes. */
export function untilAborted(path: string): Promise<never> {
  const { signal } = currentTask();
  writeFileSync(`${path}.began`, "");
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      writeFileSync(path, "");
      reject(signal.reason as Error);
    });
  });
}

/** Never ends by itself and does not listen. */
export function deaf(path: string): Promise<never> {
  writeFileSync(`${path}.began`, "");
  return new Promise(() => {
    setInterval(() => undefined, 1000);
  });
}

export async function nested(n: number): Promise<number> {
  const { client } = currentTask();
  const adding = client.task<typeof add>("add", { pool: "functions" });
  const [a, b] = await client.get([adding(n, 1), adding(n, 2)]);
  return a + b;
}

export async function nestedFailure(): Promise<unknown> {
  return currentTask().client.task<typeof fail>("fail", { pool: "functions" })("deep down").get();
}

export async function getInside(refs: { inner: Ref<number> }): Promise<number> {
  return (await refs.inner.get()) + 1;
}

export function makeInside(): { inner: Ref<number> } {
  return { inner: currentTask().client.put(41) };
}

export async function callActor(counter: ActorHandle<Counter>): Promise<number> {
  return counter.call.add(100).get();
}

export function about(): Record<string, unknown> {
  const { taskId, attempt, functionName, actorId, resources, nodeId } = currentTask();
  return { taskId, attempt, functionName, actorId, resources, nodeId };
}

export function options(first: number, given: { scale: number }): number {
  return first * given.scale;
}

export class Counter {
  value: number;
  #running = 0;
  #most = 0;

  constructor(value = 0) {
    if (value < 0) throw new RangeError("counters begin at 0");
    this.value = value;
  }

  add(n: number): number {
    this.value += n;
    return this.value;
  }

  async overlap(): Promise<number> {
    this.#most = Math.max(this.#most, ++this.#running);
    await new Promise((resolve) => {
      setTimeout(resolve, 30);
    });
    this.#running--;
    return this.#most;
  }

  *items(count: number): Generator<number> {
    for (let n = 0; n < count; n++) yield this.value + n;
  }

  pid(): number {
    return process.pid;
  }

  about(): Record<string, unknown> {
    const { actorId, actorName, restarts } = currentTask();
    return { actorId, actorName, restarts };
  }

  die(): never {
    process.exit(1);
  }

  leave(): string {
    currentTask().exitActor();
    return "gone";
  }

  fail(): never {
    throw new RangeError("an actor's");
  }
}
