// Runs what the node sends: one task at a time, or as many calls of an actor as it allows, each started in order.

import { create } from "@bufbuild/protobuf";

import type { Client } from "../client.js";
import { errorOf, toFailure } from "../errors.js";
import type { Failure } from "../gen/thornback/v1/failure_pb.js";
import { type Declare, DeclareSchema } from "../gen/thornback/v1/task_pb.js";
import { ActorSetupSchema, DoneSchema, InterruptSchema, RecallSchema, ResumeSchema } from "../gen/thornback/v1/worker_pb.js";
import { COPY_BYTES_MAX } from "../extensions.js";
import { UNITS } from "../options.js";
import type { Runtime } from "../runtime.js";
import { Scope } from "../scope.js";
import type { Conversation } from "../session/conversation.js";
import { fromBytes, type Id, output, toBytes } from "../session/ids.js";
import {
  payloadBytes,
  readMessage,
  readRun,
  RUN,
  type Run,
  type RunArg,
  type WireResult,
  writeDone,
  writeYield,
} from "../session/ops.js";
import type { Reader } from "../session/wire.js";
import type { AnyFunction } from "../task.js";
import { compact, type Encoded, encodeValue } from "../values.js";
import { currentRunning, follow, type Running, type RunningActor, setCurrent } from "./context.js";
import { INTERRUPT, interruption, RECALL } from "./interruption.js";
import type { Registry } from "./registry.js";

/** What is finished is sent before the next task begins if that may take longer than this. */
const QUICK_MS = 0.5;
/** Tasks that return at once are run one after the other for so long before the connection is looked at again. */
const TURN_MS = 5;
/** How long the code of an interrupted task may take to end by itself before its worker goes on without it. */
const INTERRUPT_GRACE_MS = 100;

const DECLARE = 10;
const RESUME = 14;

/** A declaration of the node's, with what it names here. */
interface Declared {
  readonly message: Declare;
  readonly resources: Readonly<Record<string, number>>;
  /** Whether it returned at once and quickly, the last time. */
  quick: boolean;
}

/** A run that has not begun. */
interface Queued {
  readonly run: Run;
  /** The place in which it came. */
  readonly number: number;
  readonly declared: Declared;
}

/** A run that was started, and the scope of the code that it runs. */
class Job extends Scope implements Running {
  readonly run: Run;
  readonly declared: Declared;
  readonly client: Client;
  /** The actor whose call it is; of a creation, once the actor is being made. */
  actor: RunningActor | undefined;
  yielded = 0;
  consumed = 0;
  /** Wakes a stream that waits for its consumer. */
  gate: (() => void) | undefined;
  answered = false;

  constructor(session: Conversation, run: Run, declared: Declared, client: Client, actor: RunningActor | undefined) {
    super(session, run.task);
    this.run = run;
    this.declared = declared;
    this.client = client;
    this.actor = actor;
  }

  get scope(): Scope {
    return this;
  }

  get attempt(): number {
    return this.run.attempt;
  }

  get functionName(): string {
    return this.declared.message.function;
  }

  get resources(): Readonly<Record<string, number>> {
    return this.declared.resources;
  }
}

/** Runs what one session's node sends. */
export class Executor {
  readonly #runtime: Runtime;
  readonly #client: Client;
  readonly #registry: Registry;
  /** Whether other code of tasks runs in this process besides this executor's. */
  readonly #shared: boolean;
  readonly #declarations = new Map<number, Declared>();
  /** Runs that have not begun, each with what its declaration said when it came: a number may be declared again. */
  #queue: Queued[] = [];
  #next = 0;
  /** How many runs have come. */
  #runs = 0;
  readonly #running = new Map<Id, Job>();
  #limit = 1;
  #actor: (RunningActor & { instance: Record<string, unknown> | undefined; className: string }) | undefined;
  /** Nothing new is begun: the actor could not be made, or wants to end. */
  #leaving = false;
  #left: (() => void) | undefined;
  #flushed = 0;
  #again = false;

  /** Resolves when this worker has no purpose any more. */
  readonly left: Promise<void>;

  constructor(runtime: Runtime, client: Client, registry: Registry, shared: boolean) {
    this.#runtime = runtime;
    this.#client = client;
    this.#registry = registry;
    this.#shared = shared;
    this.left = new Promise((resolve) => {
      this.#left = resolve;
    });
    runtime.scope = () => currentRunning()?.scope;
    runtime.workerOps = (number, reader) => {
      this.#handleOp(number, reader);
    };
    runtime.onRest = () => {
      this.#pump();
    };
  }

  #handleOp(number: number, reader: Reader): void {
    if (number === RUN) {
      const run = readRun(reader);
      this.#queue.push({ run, number: this.#runs++, declared: this.#declarations.get(run.declaration) ?? UNDECLARED });
      return;
    }
    const bytes = reader.buffer.subarray(reader.at, reader.end);
    switch (number) {
      case DECLARE:
        this.#declare(readMessage(DeclareSchema, bytes));
        return;
      case INTERRUPT: {
        const { task, attempt, code } = readMessage(InterruptSchema, bytes);
        this.#interrupt(fromBytes(task), attempt, code);
        return;
      }
      case RECALL:
        this.#recall(new Set(readMessage(RecallSchema, bytes).tasks.map(fromBytes)));
        return;
      case RESUME: {
        const { task, attempt, consumed } = readMessage(ResumeSchema, bytes);
        const job = this.#running.get(fromBytes(task));
        if (job?.attempt !== attempt) return;
        job.consumed = Math.max(job.consumed, Number(consumed));
        job.gate?.();
        return;
      }
      default:
    }
  }

  #declare(message: Declare): void {
    const amounts = Object.entries(message.resources?.amounts ?? {});
    const resources = Object.fromEntries(amounts.map(([name, units]) => [name, Number(units) / UNITS]));
    this.#declarations.set(message.number, { message, resources, quick: false });
  }

  #interrupt(task: Id, attempt: number, code: number): void {
    const at = this.#queue.findIndex(({ run }, i) => i >= this.#next && run.task === task && run.attempt === attempt);
    if (at >= 0) {
      const [{ run }] = this.#queue.splice(at, 1);
      this.#postFailure(run, interruption(code, "before it began").failure, 0);
      return;
    }
    const job = this.#running.get(task);
    if (job?.attempt !== attempt || job.answered) return;
    const { error, failure } = interruption(code, "while it ran");
    job.scope.interrupt(error);
    job.gate?.();
    setTimeout(() => {
      // The language has no way to end code that does not listen; its worker goes on without it.
      if (!job.answered) this.#finish(job, () => this.#postFailure(job.run, failure, job.yielded));
    }, INTERRUPT_GRACE_MS);
  }

  #recall(tasks: ReadonlySet<Id>): void {
    const waiting = this.#queue.slice(this.#next);
    const back = waiting.filter(({ run }) => tasks.has(run.task));
    this.#queue = waiting.filter(({ run }) => !tasks.has(run.task));
    this.#next = 0;
    const returned = back.map(({ run }) => toBytes(run.task));
    this.#runtime.session.post({ case: "returned", value: { $typeName: "thornback.v1.Returned", tasks: returned } });
  }

  /** Begins what there is room for. */
  #pump(): void {
    const { session } = this.#runtime;
    const begun = performance.now();
    let now = begun;
    this.#flushed = begun;
    // What the first of several gives must not wait for the others.
    const several = this.#queue.length - this.#next > 1 && this.#limit > this.#running.size;
    if (several) session.busy(true);
    while (!this.#leaving && this.#running.size < this.#limit && this.#next < this.#queue.length) {
      const { run, number, declared } = this.#queue[this.#next++];
      if (this.#next === this.#queue.length) {
        this.#queue = [];
        this.#next = 0;
      }
      if (!session.claim(number)) continue;
      now = this.#start(run, declared, now);
      if (now - begun > TURN_MS && this.#next < this.#queue.length) {
        this.#pumpSoon();
        break;
      }
    }
    if (several) session.busy(false);
    if (this.#leaving && this.#running.size === 0) this.#left?.();
  }

  #pumpSoon(): void {
    if (this.#again) return;
    this.#again = true;
    setImmediate(() => {
      this.#again = false;
      this.#pump();
    });
  }

  /** Begins a run at the time `now`, and gives the time when the executor can go on: for a function that returns at once, when it has. */
  #start(run: Run, declared: Declared, now: number): number {
    const { session } = this.#runtime;
    // It may take long, and what is answered must not wait for it.
    if (session.pending && (!declared.quick || now - this.#flushed > QUICK_MS)) {
      session.flush();
      this.#flushed = now;
    }
    const job = new Job(session, run, declared, this.#client, this.#actor);
    this.#running.set(run.task, job);
    if (run.setup) {
      // Calls wait until the actor is made.
      this.#limit = 0;
      void this.#createActor(job, run.setup);
      return performance.now();
    }
    let outcome: unknown;
    try {
      const target = this.#target(job);
      if (run.args.some(isAbsent)) {
        this.#settle(
          job,
          this.#fetchArguments(job).then((args) => this.#call(job, target, args)),
        );
        return performance.now();
      }
      outcome = this.#call(job, target, this.#arguments(job));
    } catch (error) {
      this.#finish(job, () => {
        this.#fail(job, error);
      });
      return performance.now();
    }
    if (declared.message.returns < 0 || isThenable(outcome)) {
      declared.quick = false;
      this.#settle(job, outcome);
      return performance.now();
    }
    this.#answerNow(job, outcome);
    const after = performance.now();
    declared.quick = after - now < QUICK_MS;
    return after;
  }

  /** Whether a variable says which task runs, and not the chain of what was started by whom. */
  get #alone(): boolean {
    return !this.#shared && this.#limit <= 1;
  }

  /** Runs code as the job's. */
  #enter<R>(job: Job, code: () => R): R {
    if (!this.#alone) return follow(job, code);
    setCurrent(job);
    return code();
  }

  /** Calls the job's function or method. */
  #call(job: Job, target: AnyFunction, args: unknown[]): unknown {
    const self = job.run.actor === "" ? undefined : this.#actor?.instance;
    if (!this.#alone) return follow(job, () => target.apply(self, args));
    setCurrent(job);
    return target.apply(self, args);
  }

  /** Answers a job whose function has returned; encoding its result may still fail. */
  #answerNow(job: Job, outcome: unknown): void {
    let results: Encoded[];
    try {
      results = this.#results(job, outcome);
    } catch (error) {
      this.#finish(job, () => {
        this.#fail(job, error);
      });
      return;
    }
    const { inlineBytes } = this.#runtime.session;
    for (const result of results) {
      if (payloadBytes(result) <= inlineBytes) continue;
      this.#settle(job, this.#storeAll(job, results));
      return;
    }
    this.#finish(job, () => {
      this.#postDone(job, results);
    });
  }

  /** Answers a job once what it gave has settled. */
  #settle(job: Job, outcome: unknown): void {
    const answer = async (): Promise<() => void> => {
      const value = await (outcome as Promise<unknown>);
      if (value instanceof Stored) {
        return () => {
          this.#postDone(job, value.results);
        };
      }
      if (job.declared.message.returns < 0) {
        await this.#stream(job, value);
        return () => {
          this.#postDone(job, []);
        };
      }
      const stored = await this.#storeAll(job, this.#results(job, value));
      return () => {
        this.#postDone(job, stored.results);
      };
    };
    answer().then(
      (post) => {
        this.#finish(job, post);
      },
      (error: unknown) => {
        this.#finish(job, () => {
          this.#fail(job, error);
        });
      },
    );
  }

  /** Ends a job by `post`, once, and begins what waits for its place. */
  #finish(job: Job, post: () => void): void {
    if (job.answered) return;
    job.answered = true;
    job.scope.end();
    if (currentRunning() === job) setCurrent(undefined);
    this.#running.delete(job.task);
    try {
      post();
    } catch (error) {
      this.#postFailure(job.run, toFailure(error, job.task, job.run.actor), job.yielded);
    }
    if (this.#next < this.#queue.length || this.#leaving) this.#pumpSoon();
  }

  #target(job: Job): AnyFunction {
    const { function: name } = job.declared.message;
    if (job.run.actor !== "" && this.#actor) {
      const { instance, className } = this.#actor;
      const method = instance?.[name];
      if (typeof method !== "function" || name === "constructor" || name in Object.prototype) {
        throw errorOf("FUNCTION_NOT_FOUND", `the actor class ${className} has no method ${JSON.stringify(name)}`);
      }
      return method as AnyFunction;
    }
    const served = this.#registry.get(name);
    if (!served || served.actor)
      throw errorOf("FUNCTION_NOT_FOUND", `this worker does not serve the function ${JSON.stringify(name)}`);
    return served.target as AnyFunction;
  }

  #arguments(job: Job): unknown[] {
    const args: unknown[] = [];
    let keywords: Record<string, unknown> | undefined;
    for (const { keyword, value } of job.run.args) {
      const raw = value!;
      // What is not copied while it is decoded must not lie in the frame's memory, which has other tasks' arguments in it.
      const own = raw.data.length > COPY_BYTES_MAX || raw.buffers.length > 0 || raw.format !== MSGPACK ? compact(raw) : raw;
      const decoded = this.#runtime.decode(own);
      if (keyword === "") args.push(decoded);
      else (keywords ??= {})[keyword] = decoded;
    }
    // What other languages pass by keyword comes as one object, the way this one passes options.
    if (keywords) args.push(keywords);
    return args;
  }

  async #fetchArguments(job: Job): Promise<unknown[]> {
    for (const arg of job.run.args) {
      if (arg.value !== undefined) continue;
      if (arg.stored === "" || arg.arena !== 0) throw errorOf("INTERNAL", "the node sent an argument that cannot be read here");
      arg.value = await this.#runtime.fetch(arg.stored);
    }
    return this.#arguments(job);
  }

  /** The results of a function, encoded. */
  #results(job: Job, value: unknown): Encoded[] {
    const { returns, function: name } = job.declared.message;
    if (returns === 1) return [encodeValue(value, `the result of ${name}`)];
    if (returns === 0) return [];
    if (typeof value !== "object" || value === null || !(Symbol.iterator in value) || value instanceof Map) {
      throw new TypeError(
        `${name} returned a ${typeof value}, and ${returns} results were asked for; return an array of that length`,
      );
    }
    // A generator's results are taken as far as they go: the node says of each that is missing that it is.
    const lazy = "next" in value;
    const results: Encoded[] = [];
    for (const item of value as Iterable<unknown>) {
      if (results.length === returns && lazy) break;
      results.push(encodeValue(item, `result ${results.length + 1} of ${name}`));
    }
    if (!lazy && results.length !== returns)
      throw new RangeError(`${name} returned ${results.length} results, and ${returns} were asked for`);
    return results;
  }

  async #storeAll(job: Job, results: readonly Encoded[]): Promise<Stored> {
    const sent: WireResult[] = [];
    for (const [i, result] of results.entries()) sent.push(await this.#storeIfLarge(job, i, result));
    return new Stored(sent);
  }

  async #storeIfLarge(job: Job, index: number, result: Encoded): Promise<WireResult> {
    if (payloadBytes(result) <= this.#runtime.session.inlineBytes) return result;
    await this.#runtime.storeResult(output(job.task, index), result, job.task, job.attempt);
    return undefined;
  }

  async #stream(job: Job, value: unknown): Promise<void> {
    const { streamWindow, function: name } = job.declared.message;
    if (typeof value !== "object" || value === null || !(Symbol.asyncIterator in value || Symbol.iterator in value)) {
      throw new TypeError(
        `${name} returned a ${typeof value}; a function that is called for a stream yields, or returns something iterable`,
      );
    }
    const { session } = this.#runtime;
    const iterator = iterate(value as Partial<AsyncIterable<unknown> & Iterable<unknown>>);
    let done = false;
    try {
      for (;;) {
        while (streamWindow > 0 && job.yielded >= job.consumed + streamWindow && !job.scope.interrupted) {
          // Meanwhile others may have the processor: what consumes the items, perhaps.
          job.scope.block();
          await new Promise<void>((resolve) => {
            job.gate = resolve;
          });
          job.gate = undefined;
          job.scope.unblock();
        }
        if (job.scope.interrupted) throw job.scope.interrupted;
        const step = await this.#enter(job, () => iterator.next());
        if (step.done) {
          done = true;
          return;
        }
        const item = encodeValue(step.value, `item ${job.yielded} of ${name}`);
        const sent = await this.#storeIfLarge(job, job.yielded, item);
        if (job.answered) return;
        writeYield(session.begin(), job.task, job.attempt, job.yielded, sent);
        session.end();
        job.yielded++;
      }
    } finally {
      // What the function opened it may close; a failure of that comes too late to be told.
      if (!done) {
        const closed = this.#enter(job, () => iterator.return?.());
        if (closed) await Promise.resolve(closed).catch(() => undefined);
      }
    }
  }

  async #createActor(job: Job, setup: Uint8Array): Promise<void> {
    const { maxConcurrency, restarts, name } = readMessage(ActorSetupSchema, setup);
    const className = job.declared.message.function;
    const actor = {
      id: job.run.actor,
      name,
      restarts,
      className,
      instance: undefined as Record<string, unknown> | undefined,
      exit: () => {
        this.#exitActor();
      },
    };
    this.#actor = job.actor = actor;
    try {
      const served = this.#registry.get(className);
      if (!served?.actor)
        throw errorOf("FUNCTION_NOT_FOUND", `this worker does not serve the class ${JSON.stringify(className)}`);
      const args = await this.#fetchArguments(job);
      const make = served.target as new (...args: unknown[]) => object;
      actor.instance = this.#enter(job, () => new make(...args)) as Record<string, unknown>;
      setCurrent(undefined);
      this.#finish(job, () => {
        this.#postDone(job, job.declared.message.returns === 0 ? [] : [encodeValue(null, "nothing")]);
      });
      this.#limit = Math.max(maxConcurrency, 1);
      this.#pumpSoon();
    } catch (error) {
      setCurrent(undefined);
      this.#leaving = true;
      this.#finish(job, () => {
        this.#fail(job, error);
      });
    }
  }

  #exitActor(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#runtime.session.post({
      case: "actorExit",
      value: { $typeName: "thornback.v1.ActorExit", actor: toBytes(this.#actor!.id) },
    });
  }

  #postDone(job: Job, results: readonly WireResult[]): void {
    const { session } = this.#runtime;
    writeDone(session.begin(), job.task, job.attempt, results, job.yielded);
    session.end();
  }

  #fail(job: Job, error: unknown): void {
    const { interrupted } = job.scope;
    const failure = interrupted
      ? interruption(interrupted.codeNumber, "while it ran").failure
      : toFailure(error, job.task, job.run.actor);
    this.#postFailure(job.run, failure, job.yielded);
  }

  #postFailure(run: Run, failure: Failure, yielded: number): void {
    if (failure.task.length === 0) failure.task = toBytes(run.task);
    if (failure.actor.length === 0) failure.actor = toBytes(run.actor);
    const done = create(DoneSchema, { task: toBytes(run.task), attempt: run.attempt, failure, yielded: BigInt(yielded) });
    this.#runtime.session.post({ case: "done", value: done });
  }
}

const MSGPACK = 2;

/** Results as they go into `Done`. */
class Stored {
  readonly results: readonly WireResult[];

  constructor(results: readonly WireResult[]) {
    this.results = results;
  }
}

const UNDECLARED: Declared = {
  message: create(DeclareSchema, { function: "a function that the node has not declared", returns: 1 }),
  resources: {},
  quick: false,
};

function isAbsent({ value }: RunArg): boolean {
  return value === undefined;
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

function iterate(value: Partial<AsyncIterable<unknown> & Iterable<unknown>>): AsyncIterator<unknown> | Iterator<unknown> {
  return value[Symbol.asyncIterator]?.() ?? value[Symbol.iterator]!();
}
