// A node in memory: enough of one that a program's own tests need no server. It runs tasks and actors in this process, keeps every object until it is
// closed, and knows no resources; restarts, spilling, logs and lost processes are the real server's to test.

import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { create } from "@bufbuild/protobuf";

import { type Code, CODES } from "../errors.js";
import type { ActorOptions } from "../gen/thornback/v1/actor_pb.js";
import type { Request } from "../gen/thornback/v1/control_pb.js";
import { type Failure, FailureSchema } from "../gen/thornback/v1/failure_pb.js";
import { type ClientOp, Role } from "../gen/thornback/v1/session_pb.js";
import type { Declare } from "../gen/thornback/v1/task_pb.js";
import { type Arg, StoredSchema, type Value } from "../gen/thornback/v1/value_pb.js";
import type { Done } from "../gen/thornback/v1/worker_pb.js";
import type { Connect } from "../session/carrier.js";
import { fromBytes, type Id, output, toBytes, toHex, withIndex } from "../session/ids.js";
import { memory } from "../session/memory.js";
import { serveOver } from "../worker.js";
import { Registry } from "../worker/registry.js";
import { type Said, TestSession } from "./session.js";

type Outcome = { case: "value"; value: Value } | { case: "failure"; value: Failure } | { case: "stored"; value: bigint };

interface TestObject {
  outcome: Outcome | undefined;
  bytes: Uint8Array | undefined;
  parts: Uint8Array[];
  size: number;
  readonly watchers: Set<TestSession>;
  readonly waiters: (() => void)[];
}

interface TestTask {
  readonly id: Id;
  readonly declare: Declare;
  readonly args: readonly Arg[];
  readonly session: TestSession;
  readonly actor: TestActor | undefined;
  readonly creates: boolean;
  attempt: number;
  worker: TestSession | undefined;
  over: boolean;
  deadline: NodeJS.Timeout | undefined;
}

interface TestActor {
  readonly id: Id;
  readonly options: ActorOptions | undefined;
  readonly className: string;
  readonly worker: Promise<TestSession>;
  /** Calls go to the worker one behind the other, whenever their arguments come. */
  last: Promise<void>;
  readonly tasks: Set<TestTask>;
  dead: Failure | undefined;
}

/** A node in memory. */
export class TestNode {
  readonly #registries = new Map<string, Registry>();
  readonly #objects = new Map<Id, TestObject>();
  readonly #tasks = new Map<Id, TestTask>();
  readonly #actors = new Map<Id, TestActor>();
  readonly #sessions = new Set<TestSession>();
  /** Workers that run nothing, by pool. */
  readonly #idle = new Map<string, TestSession[]>();
  /** Who waits for the next worker of a pool to say hello. */
  readonly #starting: ((worker: TestSession) => void)[] = [];
  #launched = 0;

  /** Serves what a module exports in a pool. */
  serve(pool: string, exports: Readonly<Record<string, unknown>>, prefix = ""): void {
    const registry = new Registry();
    registry.addModule(exports, prefix);
    this.#registries.set(pool, registry);
  }

  /** How a client connects. */
  get connect(): Connect {
    return memory((accepted) => {
      const session = new TestSession(accepted, (from, op) => {
        this.#handle(from, op);
      });
      this.#sessions.add(session);
      return {
        frame: (body) => {
          session.frame(body);
        },
        closed: () => {
          this.#end(session);
        },
      };
    });
  }

  /** Ends everything. */
  close(): void {
    for (const task of this.#tasks.values()) clearTimeout(task.deadline);
    for (const session of this.#sessions) session.goodbye();
    this.#sessions.clear();
  }

  #end(session: TestSession): void {
    session.open = false;
    this.#sessions.delete(session);
    // Without a driver there is nobody to work for.
    if (session.role === Role.DRIVER && ![...this.#sessions].some(({ role }) => role === Role.DRIVER)) this.close();
  }

  #handle(session: TestSession, op: ClientOp["op"]): void {
    switch (op.case) {
      case "hello":
        session.role = op.value.role;
        session.pool = op.value.pool;
        session.namespace = op.value.namespace || "test";
        session.welcome(randomBytes(16));
        if (session.role === Role.WORKER) this.#starting.shift()?.(session);
        return;
      case "goodbye":
        this.#end(session);
        return;
      case "declare":
        session.declared.set(op.value.number, op.value);
        return;
      case "submit":
      case "call": {
        const actor = op.case === "call" ? this.#actors.get(fromBytes(op.value.actor)) : undefined;
        const task = this.#task(session, fromBytes(op.value.task), op.value.declaration, op.value.args, actor, false);
        if (op.case === "submit") void this.#run(task);
        else if (actor) this.#call(actor, task);
        else this.#over(task, failure("ACTOR_NOT_FOUND", "no actor has this id"));
        return;
      }
      case "createActor":
        this.#createActor(session, op.value);
        return;
      case "request":
        void this.#request(session, op.value);
        return;
      case "put":
        this.#complete(fromBytes(op.value.object), { case: "value", value: op.value.value! });
        return;
      case "create": {
        const object = this.#object(fromBytes(op.value.object));
        object.size = Number(op.value.size);
        const location = { arena: 0, size: op.value.size };
        session.tell({ case: "created", value: { object: op.value.object, outcome: { case: "location", value: location } } });
        return;
      }
      case "write":
        this.#object(fromBytes(op.value.object)).parts.push(op.value.data);
        return;
      case "seal": {
        const object = this.#object(fromBytes(op.value.object));
        object.bytes = Buffer.concat(object.parts.splice(0));
        this.#complete(fromBytes(op.value.object), { case: "stored", value: BigInt(object.size) });
        return;
      }
      case "watch":
        for (const id of op.value.objects) this.#watch(session, fromBytes(id));
        return;
      case "fetch":
        if (!op.value.quiet) this.#fetch(session, fromBytes(op.value.object));
        return;
      case "cancel":
        this.#cancel(fromBytes(op.value.id), "CANCELLED");
        return;
      case "consumed": {
        const task = this.#tasks.get(fromBytes(op.value.task));
        const value = { task: op.value.task, attempt: task?.attempt ?? 0, consumed: op.value.count };
        task?.worker?.tell({ case: "resume", value });
        return;
      }
      case "refs":
        // Of what is dropped only streams matter here: a stream that nobody takes is cancelled.
        for (const id of op.value.drop)
          if (this.#tasks.get(fromBytes(id))?.declare.returns === -1) this.#cancel(fromBytes(id), "CANCELLED");
        return;
      case "kill": {
        const actor = this.#actors.get(fromBytes(op.value.actor));
        if (!actor) return;
        const end = (): void => {
          this.#endActor(actor, failure("ACTOR_DIED", "the actor was killed"));
        };
        if (op.value.graceful) {
          actor.dead = failure("ACTOR_DIED", "the actor was told to end");
          void Promise.all([...actor.tasks].map((task) => this.#settled(task))).then(end);
        } else {
          end();
        }
        return;
      }
      case "done":
        this.#done(session, op.value);
        return;
      case "yield": {
        const { task: id, attempt, index, item } = op.value;
        const task = this.#tasks.get(fromBytes(id));
        if (!task || task.over || task.attempt !== attempt) return;
        this.#watch(task.session, output(task.id, Number(index)), true);
        if (item?.result.case === "value") this.#complete(output(task.id, Number(index)), item.result);
        return;
      }
      case "returned":
      case "blocked":
      case "unblocked":
        // Each task has a worker of its own, so nothing is sent ahead and nobody's CPU is lent.
        return;
      case "actorExit": {
        const actor = this.#actors.get(fromBytes(op.value.actor));
        if (actor) actor.dead = failure("ACTOR_DIED", "the actor ended itself");
        return;
      }
      default:
    }
  }

  // Objects.

  #object(id: Id): TestObject {
    let object = this.#objects.get(id);
    if (!object) {
      object = { outcome: undefined, bytes: undefined, parts: [], size: 0, watchers: new Set(), waiters: [] };
      this.#objects.set(id, object);
    }
    return object;
  }

  #complete(id: Id, outcome: Outcome): void {
    const object = this.#object(id);
    if (object.outcome) return;
    object.outcome = outcome;
    for (const session of object.watchers) session.tell({ case: "completion", value: { object: toBytes(id), outcome } });
    object.watchers.clear();
    for (const wake of object.waiters.splice(0)) wake();
  }

  #watch(session: TestSession, id: Id, made = false): void {
    const known = this.#objects.get(id);
    if (!known && !made) {
      const outcome: Outcome = { case: "failure", value: failure("OBJECT_NOT_FOUND", "nobody knows this object") };
      session.tell({ case: "completion", value: { object: toBytes(id), outcome } });
      return;
    }
    const object = this.#object(id);
    if (object.outcome) session.tell({ case: "completion", value: { object: toBytes(id), outcome: object.outcome } });
    else object.watchers.add(session);
  }

  #fetch(session: TestSession, id: Id): void {
    const { outcome, bytes } = this.#object(id);
    if (bytes) session.tellBytes(toBytes(id), bytes);
    else if (outcome && outcome.case !== "stored") session.tell({ case: "located", value: { object: toBytes(id), outcome } });
    else {
      const value = failure("OBJECT_NOT_FOUND", "nobody knows this object");
      session.tell({ case: "located", value: { object: toBytes(id), outcome: { case: "failure", value } } });
    }
  }

  #ready(id: Id): Promise<Outcome> {
    const object = this.#object(id);
    return new Promise((resolve) => {
      const look = (): void => {
        resolve(object.outcome!);
      };
      if (object.outcome) look();
      else object.waiters.push(look);
    });
  }

  // Tasks.

  #task(
    session: TestSession,
    id: Id,
    declaration: number,
    args: readonly Arg[],
    actor: TestActor | undefined,
    creates: boolean,
    declare = session.declared.get(declaration)!,
  ): TestTask {
    const task: TestTask = {
      id,
      declare,
      args,
      session,
      actor,
      creates,
      attempt: 0,
      worker: undefined,
      over: false,
      deadline: undefined,
    };
    this.#tasks.set(id, task);
    if (!creates) for (let i = 0; i < declare.returns; i++) this.#watch(session, output(id, i), true);
    if (declare.deadlineMs > 0n)
      task.deadline = setTimeout(() => this.#cancel(id, "DEADLINE_EXCEEDED"), Number(declare.deadlineMs));
    return task;
  }

  async #run(task: TestTask): Promise<void> {
    const { pool, function: name } = task.declare;
    const found = pool !== "" ? pool : [...this.#registries].find(([, registry]) => registry.get(name))?.[0];
    const served = found === undefined ? undefined : this.#registries.get(found)?.get(name);
    if (found === undefined || !served) {
      const pools = [...this.#registries.keys()].join(", ") || "none";
      this.#over(task, failure("FUNCTION_NOT_FOUND", `no pool serves ${JSON.stringify(name)}; pools: ${pools}`));
      return;
    }
    const positional = task.args.filter(({ keyword }) => keyword === "").length;
    const { min, max } = served.arity;
    if (positional < min || (max >= 0 && positional > max)) {
      this.#over(task, failure("WRONG_ARITY", `${name} does not take ${positional} arguments`));
      return;
    }
    const args = await this.#arguments(task);
    if (!args || task.over) return;
    this.#send(task, await this.#worker(found), args);
  }

  /** The arguments with refs replaced; undefined if one of them failed, and with it the task. */
  async #arguments(task: TestTask): Promise<Arg[] | undefined> {
    const args: Arg[] = [];
    for (const arg of task.args) {
      if (arg.arg.case !== "ref") {
        args.push(arg);
        continue;
      }
      const outcome = await this.#ready(fromBytes(arg.arg.value));
      if (outcome.case === "failure") {
        this.#over(task, outcome.value);
        return undefined;
      }
      const stored = create(StoredSchema, { object: arg.arg.value });
      const value = outcome.case === "value" ? outcome : ({ case: "stored", value: stored } as const);
      args.push({ ...arg, arg: value });
    }
    return args;
  }

  #send(task: TestTask, worker: TestSession, args: Arg[]): void {
    if (task.over) return;
    let number = worker.declaring.get(task.declare);
    if (number === undefined) {
      number = worker.declaring.size + 1;
      worker.declaring.set(task.declare, number);
      worker.tell({ case: "declare", value: { ...task.declare, number } });
    }
    task.worker = worker;
    const { options, id } = task.actor ?? {};
    const setup = task.creates
      ? { setup: { maxConcurrency: options?.maxConcurrency ?? 1, asynchronous: true, name: options?.name ?? "" } }
      : {};
    const value = {
      task: toBytes(task.id),
      attempt: task.attempt,
      declaration: number,
      args,
      actor: toBytes(id ?? ""),
      ...setup,
    };
    worker.tell({ case: "run", value });
  }

  async #worker(pool: string): Promise<TestSession> {
    const idle = this.#idle.get(pool)?.pop();
    if (idle) return idle;
    const started = new Promise<TestSession>((resolve) => this.#starting.push(resolve));
    const hello = { pool, launch: BigInt(++this.#launched) };
    void serveOver(this.connect, this.#registries.get(pool)!, hello);
    return started;
  }

  #done(worker: TestSession, done: Done): void {
    const task = this.#tasks.get(fromBytes(done.task));
    if (!task || task.attempt !== done.attempt) return;
    if (!task.actor) this.#idle.set(worker.pool, [...(this.#idle.get(worker.pool) ?? []), worker]);
    if (task.over) return;
    if (done.failure) {
      const { retryExceptions, retryTypes, maxRetries } = task.declare;
      const own = done.failure.code === CODES.TASK_FAILED;
      const retried = own && (retryExceptions || done.failure.types.some((type) => retryTypes.includes(type)));
      if (retried && (maxRetries < 0 || task.attempt < maxRetries) && !task.actor) {
        task.attempt++;
        task.worker = undefined;
        void this.#run(task);
        return;
      }
      this.#over(task, done.failure, Number(done.yielded));
      return;
    }
    done.results.forEach(({ result }, i) => {
      if (result.case === "value") this.#complete(output(task.id, i), result);
    });
    this.#over(task, undefined, Number(done.yielded));
  }

  /** A task is over: what it has not given fails. */
  #over(task: TestTask, why: Failure | undefined, yielded = 0): void {
    if (task.over) return;
    task.over = true;
    clearTimeout(task.deadline);
    task.actor?.tasks.delete(task);
    const { returns } = task.declare;
    if (returns === -1) {
      const value = { task: toBytes(task.id), count: BigInt(yielded), ...(why && { failure: why }) };
      task.session.tell({ case: "streamEnd", value });
    }
    const missing = why ?? failure("STREAM_TOO_SHORT", `${task.declare.function} gave fewer results than it was asked for`);
    for (let i = 0; i < returns; i++) this.#complete(output(task.id, i), { case: "failure", value: missing });
    this.#complete(task.id, { case: "failure", value: missing });
    if (task.creates && task.actor && why) {
      this.#endActor(
        task.actor,
        create(FailureSchema, { ...failure("ACTOR_DIED", "the actor could not be created"), cause: why }),
      );
    }
  }

  /** Resolves when a task is over; its own id stands for that here. */
  async #settled(task: TestTask): Promise<void> {
    if (!task.over) await this.#ready(task.id);
  }

  #cancel(id: Id, code: Code): void {
    const task = this.#tasks.get(id) ?? this.#tasks.get(withIndex(id, 0));
    if (!task || task.over) return;
    if (task.worker) {
      task.worker.tell({ case: "interrupt", value: { task: toBytes(task.id), attempt: task.attempt, code: CODES[code] } });
      return;
    }
    this.#over(
      task,
      failure(
        code,
        code === "CANCELLED" ? "the task was cancelled before it began" : "the task's deadline passed before it began",
      ),
    );
  }

  // Actors.

  #createActor(
    session: TestSession,
    made: { actor: Uint8Array; declaration: number; args: Arg[]; options?: ActorOptions },
  ): void {
    const id = fromBytes(made.actor);
    const declare = { ...session.declared.get(made.declaration)!, returns: 0 };
    const { function: className, pool } = declare;
    const found = pool !== "" ? pool : ([...this.#registries].find(([, registry]) => registry.get(className)?.actor)?.[0] ?? "");
    const known = this.#registries.get(found)?.get(className)?.actor === true;
    const worker = known ? this.#worker(found) : new Promise<TestSession>(() => undefined);
    const actor: TestActor = {
      id,
      options: made.options,
      className,
      worker,
      last: Promise.resolve(),
      tasks: new Set(),
      dead: undefined,
    };
    this.#actors.set(id, actor);
    const task = this.#task(session, id, made.declaration, made.args, actor, true, declare);
    if (!known) this.#over(task, failure("FUNCTION_NOT_FOUND", `no pool serves the class ${JSON.stringify(className)}`));
    else this.#call(actor, task);
  }

  #call(actor: TestActor, task: TestTask): void {
    if (actor.dead) {
      this.#over(task, actor.dead);
      return;
    }
    actor.tasks.add(task);
    const args = this.#arguments(task);
    actor.last = actor.last.then(async () => {
      const resolved = await args;
      if (resolved && !task.over) this.#send(task, await actor.worker, resolved);
    });
  }

  #endActor(actor: TestActor, why: Failure): void {
    actor.dead = why;
    for (const task of [...actor.tasks]) this.#over(task, why);
    void actor.worker.then((worker) => {
      worker.goodbye();
      this.#sessions.delete(worker);
    });
  }

  // Requests.

  async #request(session: TestSession, { number, request }: Request): Promise<void> {
    const reply = (said: object): void => {
      session.tell({ case: "reply", value: { number, reply: said } } as Said);
    };
    const refuse = (code: Code, message: string): void => reply({ case: "failure", value: failure(code, message) });
    const done = (): void => reply({ case: "done", value: {} });
    const find = (name: string, namespace: string): TestActor | undefined => {
      const wanted = namespace || session.namespace;
      return [...this.#actors.values()].find(({ options, dead }) => {
        return !dead && options?.name === name && (options.namespace || session.namespace) === wanted;
      });
    };
    const info = ({ id, options, className }: TestActor, existed: boolean): object => {
      const namespace = options?.namespace || session.namespace;
      return { actor: toBytes(id), name: options?.name ?? "", namespace, state: "alive", className, existed };
    };
    switch (request.case) {
      case "declarePool": {
        const { name, command } = request.value;
        // The pool of a module is served here, by loading it; a command of another kind cannot be.
        const at = command.findIndex((word) => word.endsWith("/bin/worker.js") || word.endsWith("thornback-worker"));
        if (at >= 0 && command.length > at + 1) {
          const prefix = command.includes("--prefix") ? command[command.indexOf("--prefix") + 1] : "";
          try {
            this.serve(name, (await import(pathToFileURL(resolve(command[at + 1])).href)) as Record<string, unknown>, prefix);
          } catch (error) {
            refuse("WORKER_START_FAILED", `the module ${command[at + 1]} cannot be loaded: ${String(error)}`);
            return;
          }
        }
        done();
        return;
      }
      case "createActor": {
        const { options } = request.value;
        const holder = find(options?.name ?? "", options?.namespace ?? "");
        if (holder && !options?.getIfExists)
          refuse("ACTOR_NAME_TAKEN", `a live actor is called ${JSON.stringify(options?.name)}`);
        else if (holder) reply({ case: "actor", value: info(holder, true) });
        else {
          this.#createActor(session, request.value);
          reply({ case: "actor", value: info(this.#actors.get(fromBytes(request.value.actor))!, false) });
        }
        return;
      }
      case "getActor": {
        const found = find(request.value.name, request.value.namespace);
        if (found) reply({ case: "actor", value: info(found, true) });
        else refuse("ACTOR_NOT_FOUND", `no live actor is called ${JSON.stringify(request.value.name)}`);
        return;
      }
      case "listActors": {
        const actors = [...this.#actors.values()].filter(({ dead, options }) => !dead && options?.name);
        reply({ case: "actors", value: { actors: actors.map((actor) => info(actor, true)) } });
        return;
      }
      case "createPlacementGroup":
        // There are no resources, so any group has room.
        this.#watch(session, withIndex(fromBytes(request.value.group), 1), true);
        done();
        this.#complete(withIndex(fromBytes(request.value.group), 1), { case: "value", value: NIL });
        return;
      case "removePlacementGroup":
        done();
        return;
      case "getStatus": {
        const tasks = [...this.#tasks.values()];
        const running = BigInt(tasks.filter(({ over }) => !over).length);
        const counts = {
          tasksRunning: running,
          tasksFinished: BigInt(tasks.length) - running,
          objects: BigInt(this.#objects.size),
        };
        const actors = BigInt([...this.#actors.values()].filter(({ dead }) => !dead).length);
        reply({
          case: "status",
          value: { serverVersion: "testing", ...counts, actors, sessions: BigInt(this.#sessions.size), nodes: 1n },
        });
        return;
      }
      case "listState": {
        const ids = request.value.kind === "actors" ? [...this.#actors.keys()] : [];
        reply({ case: "state", value: { items: ids.map((id) => JSON.stringify({ id: toHex(id) })), truncated: false } });
        return;
      }
      default:
        refuse("UNKNOWN_OPERATION", "the node in memory does not know this request");
    }
  }
}

const NIL = { $typeName: "thornback.v1.Value", format: 2, data: Uint8Array.of(0xc0), refs: [], buffers: [], schema: "" } as Value;

function failure(code: Code, message: string): Failure {
  return create(FailureSchema, { code: CODES[code], message });
}
