// The client: a session with a node, and what can be done through it.

import { basename } from "node:path";

import { ActorClass, ActorHandle, type KnownClass } from "./actor.js";
import { errorOf, LANGUAGE, type ThornbackError } from "./errors.js";
import { ListActorsSchema } from "./gen/thornback/v1/control_pb.js";
import type { Log } from "./gen/thornback/v1/worker_pb.js";
import { type Hello, Role } from "./gen/thornback/v1/session_pb.js";
import { LocalNode, type LocalOptions } from "./local.js";
import { type GetOptions, Ref, type WaitOptions } from "./object.js";
import type { ActorOptions, TaskOptions } from "./options.js";
import { createPlacementGroup, type PlacementGroup, type Strategy } from "./placement.js";
import { modulePool, type Pool, toWire } from "./pool.js";
import { Runtime } from "./runtime.js";
import { connectTo, readToken } from "./session/address.js";
import type { Connect } from "./session/carrier.js";
import { fromBytes, toHex } from "./session/ids.js";
import { Session } from "./session/session.js";
import { arityOf, isClass, isGenerator } from "./signature.js";
import { fromWire, type StateKind, type Status } from "./state.js";
import { type AnyFunction, makeTask, type Remote, type Task } from "./task.js";
import { VERSION } from "./version.js";
import { create } from "@bufbuild/protobuf";

/** What to say when a session is opened. */
export interface ConnectOptions {
  /** Where named actors are made and looked up. By default the server chooses one for this session. */
  namespace?: string;
  /** What people see for this program's work. By default the program's name. */
  jobName?: string;
  /** The token to show to a node that is not reached by its Unix socket. By default what is in `tokenFile`. */
  token?: string;
  /** The file with the token. By default THORNBACK_TOKEN_FILE names it. */
  tokenFile?: string;
  /** What to do with lines that workers print: by default they are printed here, on standard error. `false` asks for none. */
  logs?: boolean | ((lines: WorkerLines) => void);
  /** What to do with warnings of the node, such as a task that no node has the resources for. By default they are printed on standard error. */
  onNotice?: (notice: ThornbackError) => void;
}

/** Lines that a worker printed. */
export interface WorkerLines {
  readonly stream: "stdout" | "stderr";
  /** `"pid=4242"`, or `"Counter pid=4242"` for an actor. */
  readonly source: string;
  readonly lines: readonly string[];
  /** Lines like the last one that were left out. */
  readonly repeated: number;
}

/** A live named actor. */
export interface ActorInfo {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly state: string;
  readonly className: string;
  readonly restarts: number;
}

/** What a task or actor of a module is run with. */
export interface ImportOptions extends Partial<Pool> {
  /** Options of all of the module's tasks. */
  task?: TaskOptions;
  /** Options of all of the module's actors. */
  actor?: ActorOptions;
}

/**
 * A session with a node: where functions are called, values put, and actors made.
 *
 * ```ts
 * await using client = await Client.local();
 * const math = await client.import<typeof import("./math.js")>(new URL("./math.js", import.meta.url));
 * console.log(await math.add(1, 2).get());
 * ```
 *
 * The program ends when nothing waits any more, even if the client was not closed; what nobody waits for may then not have been done.
 */
export class Client implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #node: LocalNode | undefined;

  /** @internal */
  constructor(runtime: Runtime, node?: LocalNode) {
    this.#runtime = runtime;
    this.#node = node;
  }

  /**
   * Connects to the node at `unix:PATH` or `HOST:PORT`; by default to the one that THORNBACK_ADDRESS names.
   *
   * Rejects with `ConnectionLostError` if no node answers there, or with what it refuses the session with.
   */
  static async connect(address = process.env["THORNBACK_ADDRESS"], options: ConnectOptions = {}): Promise<Client> {
    if (address === undefined || address === "") {
      throw errorOf(
        "INVALID_ARGUMENT",
        "THORNBACK_ADDRESS is not set, so no node is known; set it, name one, or start one with Client.local()",
      );
    }
    const token = options.token ?? (address.startsWith("unix:") ? "" : readToken(options.tokenFile));
    return Client.#open(await connectTo(address, token), token, options, undefined);
  }

  /** Starts a node that ends with this program, and connects to it. Rejects with `ConnectionLostError` if it does not start. */
  static async local(options: LocalOptions & ConnectOptions = {}): Promise<Client> {
    const node = await LocalNode.start(options);
    try {
      return await Client.#open(
        await connectTo(node.ports.unix.startsWith("unix:") ? node.ports.unix : `unix:${node.ports.unix}`, ""),
        "",
        options,
        node,
      );
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  /** Joins the node that THORNBACK_ADDRESS names, or starts one if it is not set. */
  static async connectOrLocal(options: LocalOptions & ConnectOptions = {}): Promise<Client> {
    return process.env["THORNBACK_ADDRESS"] ? Client.connect(undefined, options) : Client.local(options);
  }

  /** @internal A client whose frames go where `connect` says. */
  static async over(connect: Connect, options: ConnectOptions = {}): Promise<Client> {
    return Client.#open(connect, "", options, undefined);
  }

  static async #open(connect: Connect, token: string, options: ConnectOptions, node: LocalNode | undefined): Promise<Client> {
    const { logs = true } = options;
    const hello: Partial<Hello> = {
      ...commonHello(token),
      role: Role.DRIVER,
      namespace: options.namespace ?? "",
      jobName: options.jobName ?? basename(process.argv[1] ?? "node"),
      wantLogs: logs !== false,
    };
    const listener = {
      log: typeof logs === "function" ? (log: Log) => logs(linesOf(log)) : print,
      notice:
        options.onNotice ?? ((notice: ThornbackError) => process.stderr.write(`thornback: ${notice.code}: ${notice.message}\n`)),
      ended: () => undefined,
    };
    return new Client(await Runtime.open((handler) => Session.open(connect, hello, handler), listener, false), node);
  }

  /** @internal */
  get runtime(): Runtime {
    return this.#runtime;
  }

  /** The id of the node, in hexadecimal. */
  get nodeId(): string {
    return toHex(fromBytes(this.#runtime.session.welcome.node));
  }

  /** The id of this program's job, in hexadecimal. */
  get jobId(): string {
    return toHex(fromBytes(this.#runtime.session.welcome.job));
  }

  /** Where named actors of this session are made and looked up. */
  get namespace(): string {
    return this.#runtime.session.welcome.namespace;
  }

  /**
   * A function that workers serve under a name, in whatever language.
   *
   * ```ts
   * const resize = client.task<(image: Uint8Array, width: number) => Uint8Array>("images.resize");
   * const thumbnail = await resize(image, 128).get();
   * ```
   */
  task<F extends AnyFunction, const O extends TaskOptions = object>(functionName: string, options?: O): Task<F, O> {
    return makeTask(this.#runtime, "task", functionName, { ...options }, {});
  }

  /** A class that workers serve under a name, in whatever language. */
  actor<C extends new (...args: never[]) => object>(
    className: string,
    options: ActorOptions = {},
  ): ActorClass<InstanceType<C>, ConstructorParameters<C>> {
    return new ActorClass(this.#runtime, className, options);
  }

  /** A function that workers serve under the name that it has here: what is known of it is checked where it is called. */
  taskOf<F extends AnyFunction, const O extends TaskOptions = object>(target: F, options?: O & { as?: string }): Task<F, O> {
    const known = { arity: arityOf(target), yields: isGenerator(target) };
    return makeTask(this.#runtime, "task", options?.as ?? target.name, { ...options }, known);
  }

  /** A class that workers serve under the name that it has here. */
  actorOf<C extends new (...args: never[]) => object>(
    target: C,
    options: ActorOptions & { as?: string } = {},
  ): ActorClass<InstanceType<C>, ConstructorParameters<C>> {
    const known: KnownClass = { arity: arityOf(target), target };
    return new ActorClass(this.#runtime, options.as ?? target.name, options, known);
  }

  /**
   * Loads a module, has a pool of workers serve what it exports, and gives its functions and classes as they are called from here.
   *
   * The module is loaded in this program too, to learn what it exports. Rejects with what its loading throws.
   */
  async import<M>(module: URL | string, options: ImportOptions = {}): Promise<Remote<M>> {
    const { task, actor, ...rest } = options;
    const exports = (await import(module instanceof URL ? module.href : module)) as Record<string, unknown>;
    const served = Object.entries(exports).filter(([name, target]) => name !== "default" && typeof target === "function");
    const pool = modulePool(module, { functions: served.map(([name]) => name), ...rest });
    await this.declarePool(pool);
    const remote: Record<string, unknown> = {};
    for (const [name, target] of served) {
      remote[name] = isClass(target)
        ? this.actorOf(target as new (...args: never[]) => object, { pool: pool.name, ...actor, as: name })
        : this.taskOf(target as AnyFunction, { pool: pool.name, ...task, as: name });
    }
    return remote as Remote<M>;
  }

  /** Tells the node of a pool. Declaring one of the same name again replaces it for workers that are started from then on. */
  async declarePool(pool: Pool): Promise<void> {
    await this.#runtime.request({ case: "declarePool", value: toWire(pool) });
  }

  /**
   * Stores a value once, to be passed to many calls by its ref. Large binary data is not copied and must not be changed before the ref is ready.
   *
   * Throws `UnserializableError` for what is no data. That there is no room (`StoreFullError`, `OutOfDiskError`) shows where the ref is used.
   */
  put<T>(value: T): Ref<T> {
    return this.#runtime.put(value) as Ref<T>;
  }

  /** The values of many refs, in their order. Rejects with the first failure that is known, without waiting for the rest. */
  get<const R extends readonly Ref<unknown>[]>(
    refs: R,
    options?: GetOptions,
  ): Promise<{ -readonly [K in keyof R]: R[K] extends Ref<infer T> ? T : never }> {
    return this.#runtime.getAll(checkRefs(refs, "get"), options) as never;
  }

  /**
   * Waits until `count` of the refs (1 by default) are ready, or `timeoutMs` have passed; gives those and the others, both in the order given. A ref
   * whose task failed is ready.
   *
   * Rejects with `InvalidArgumentError` if a ref is there twice or `count` cannot be had.
   */
  wait<T>(refs: readonly Ref<T>[], options: WaitOptions = {}): Promise<[ready: Ref<T>[], rest: Ref<T>[]]> {
    return this.#runtime.wait(checkRefs(refs, "wait"), options) as Promise<[Ref<T>[], Ref<T>[]]>;
  }

  /** Finds a live actor by its name. Rejects with `ActorNotFoundError` if there is none in the namespace, by default the session's. */
  async getActor<T = Record<string, AnyFunction>>(name: string, namespace = ""): Promise<ActorHandle<T>> {
    const reply = await this.#runtime.request({
      case: "getActor",
      value: { $typeName: "thornback.v1.GetActor", name, namespace },
    });
    if (reply.case !== "actor") throw unexpected();
    const { actor, className } = reply.value;
    return new ActorHandle<T>(this.#runtime, fromBytes(actor), className, reply.value.interface);
  }

  /** Live named actors, of the session's namespace or of all. */
  async listActors(options: { allNamespaces?: boolean } = {}): Promise<ActorInfo[]> {
    const value = create(ListActorsSchema, { allNamespaces: options.allNamespaces ?? false });
    const reply = await this.#runtime.request({ case: "listActors", value });
    if (reply.case !== "actors") throw unexpected();
    return reply.value.actors.map(({ actor, name, namespace, state, className, restarts }) => {
      return { id: toHex(fromBytes(actor)), name, namespace, state, className, restarts };
    });
  }

  /**
   * Reserves bundles of resources together; each names amounts of `CPU`, `GPU`, `memory` or custom resources. It does not wait until they are
   * reserved: get `ready` of the group for that.
   */
  createPlacementGroup(
    bundles: readonly Readonly<Record<string, number>>[],
    options: { strategy?: Strategy; name?: string } = {},
  ): Promise<PlacementGroup> {
    return createPlacementGroup(this.#runtime, bundles, options.strategy ?? "PACK", options.name ?? "");
  }

  /** The node's state now. */
  async status(): Promise<Status> {
    const reply = await this.#runtime.request({ case: "getStatus", value: { $typeName: "thornback.v1.GetStatus" } });
    if (reply.case !== "status") throw unexpected();
    return fromWire(reply.value);
  }

  /** Live things of one kind, at most `limit` (by default as many as the server likes), and whether there were more. */
  async listState(kind: StateKind, limit = 0): Promise<{ items: Record<string, unknown>[]; truncated: boolean }> {
    const reply = await this.#runtime.request({ case: "listState", value: { $typeName: "thornback.v1.ListState", kind, limit } });
    if (reply.case !== "state") throw unexpected();
    const items = reply.value.items.map((item) => JSON.parse(item) as Record<string, unknown>);
    return { items, truncated: reply.value.truncated };
  }

  /** Ends the session, after everything that was submitted is on its way, and the node that `local` started. Doing it again does nothing. */
  async close(): Promise<void> {
    await this.#runtime.session.close();
    await this.#node?.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What drivers and workers say alike. `shared-memory` is not offered: Node can neither take descriptors nor map memory. */
export function commonHello(token: string): Partial<Hello> {
  return {
    token,
    language: LANGUAGE,
    sdk: `thornback-typescript/${VERSION}`,
    pid: BigInt(process.pid),
    features: ["streams", "actors", "logs"],
  };
}

function linesOf(log: Log): WorkerLines {
  return {
    stream: log.stream === "stderr" ? "stderr" : "stdout",
    source: log.source,
    lines: log.lines,
    repeated: log.repeatedCount,
  };
}

function print(log: Log): void {
  let text = log.lines.map((line) => `(${log.source}) ${line}\n`).join("");
  if (log.repeatedCount > 0) text += `(${log.source}) [repeated ${log.repeatedCount}x across workers]\n`;
  process.stderr.write(text);
}

function checkRefs(refs: readonly unknown[], verb: string): readonly Ref<unknown>[] {
  if (!Array.isArray(refs)) throw errorOf("INVALID_ARGUMENT", `${verb} takes a list of refs`);
  const odd = refs.find((ref) => !(ref instanceof Ref)) as unknown;
  if (odd !== undefined) throw errorOf("INVALID_ARGUMENT", `${verb} takes refs; the list holds a ${typeof odd}`);
  return refs as readonly Ref<unknown>[];
}

function unexpected(): ThornbackError {
  return errorOf("INTERNAL", "the node answered a request with a reply of another kind");
}
