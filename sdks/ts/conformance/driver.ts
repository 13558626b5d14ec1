// The driver's face: carries out the commands of the suite, one line after the other.

import { createInterface } from "node:readline";

import {
  type ActorHandle,
  type ActorOptions,
  type AnyFunction,
  type CallOptions,
  Client,
  Keywords,
  Ref,
  RefStream,
  type TaskOptions,
  ThornbackError,
  VERSION,
} from "../src/index.js";
import { type Names, type Notation, read, tell } from "./values.js";

const FEATURES = [
  "actors",
  "bigint",
  "busy",
  "concurrent",
  "grpc",
  "handles",
  "interrupt",
  "keywords",
  "local_unserializable",
  "nested",
  "resume",
  "returns",
  "stacks",
  "streams",
  "timestamp",
  "uuid",
  "varargs",
];

/** What is refused with no code of the registry. */
const INVALID_ARGUMENT = 2;

/** One command; which keys there are depends on `do`. */
interface Command {
  readonly id: number;
  readonly do: string;
  readonly [key: string]: unknown;
}

/** Options of the suite. */
interface Options {
  readonly returns?: number | "stream";
  readonly max_retries?: number;
  readonly retry_exceptions?: boolean;
  readonly deadline_ms?: number;
  readonly stream_window?: number;
  readonly resources?: Readonly<Record<string, number>>;
  readonly name?: string;
  readonly namespace?: string;
  readonly get_if_exists?: boolean;
  readonly detached?: boolean;
  readonly max_restarts?: number;
  readonly max_task_retries?: number;
  readonly max_concurrency?: number;
  readonly max_pending_calls?: number;
}

/** Keys of each command besides `id` and `do`. */
const KEYS: Readonly<Partial<Record<string, readonly string[]>>> = {
  hello: ["protocol"],
  open: ["address", "token_file", "namespace"],
  close: [],
  reset: [],
  drop: ["names"],
  put: ["value", "as"],
  call: ["function", "pool", "args", "keywords", "options", "as"],
  create: ["class", "pool", "args", "options", "as"],
  invoke: ["actor", "method", "args", "keywords", "options", "as"],
  find: ["name", "namespace", "as"],
  get: ["refs", "timeout_ms"],
  wait: ["refs", "count", "timeout_ms"],
  next: ["stream", "timeout_ms", "as"],
  cancel: ["ref", "force", "recursive"],
  kill: ["actor", "restart", "graceful"],
};

/** Answers commands until there are no more. */
export async function drive(): Promise<void> {
  const driver = new Driver();
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command;
    process.stdout.write(`${JSON.stringify({ id: command.id, ...(await answer(driver, command)) })}\n`);
  }
  await driver.close();
}

async function answer(driver: Driver, command: Command): Promise<object> {
  try {
    return { result: await driver.carryOut(command) };
  } catch (error) {
    if (error instanceof ThornbackError) return { failure: failureOf(error) };
    return { crash: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function failureOf(error: Error): object {
  const ours = error instanceof ThornbackError ? error : undefined;
  return {
    code: ours?.codeNumber ?? INVALID_ARGUMENT,
    message: error.message,
    types: ours?.types ?? [],
    language: ours?.language ?? "",
    stack: ours?.remoteStack ?? "",
    cause: error.cause instanceof Error ? failureOf(error.cause) : null,
    timeout: error.name === "TimeoutError",
    cancelled: error.name === "AbortError",
  };
}

class Driver implements Names {
  readonly #named = new Map<string, unknown>();
  #client: Client | undefined;
  #found = 0;

  named(name: string): unknown {
    if (!this.#named.has(name)) throw new Error(`nothing has the name ${name}`);
    return this.#named.get(name);
  }

  found(thing: unknown): string {
    const name = `found${++this.#found}`;
    this.#named.set(name, thing);
    return name;
  }

  async close(): Promise<void> {
    this.#named.clear();
    await this.#client?.close();
    this.#client = undefined;
  }

  async carryOut(command: Command): Promise<object> {
    const keys = KEYS[command.do];
    if (!keys) throw new Error(`there is no command ${command.do}`);
    const odd = Object.keys(command).find((key) => key !== "id" && key !== "do" && !keys.includes(key));
    if (odd !== undefined) throw new Error(`${command.do} has no key ${odd}`);
    switch (command.do) {
      case "hello":
        return { protocol: 1, language: "typescript", sdk: `thornback-typescript/${VERSION}`, features: FEATURES };
      case "open":
        await this.#connect(command);
        break;
      case "close":
        await this.close();
        break;
      case "reset":
        for (const name of [...this.#named.keys()]) this.#drop(name);
        break;
      case "drop":
        for (const name of command["names"] as string[]) this.#drop(name);
        break;
      case "put":
        this.#bind(command["as"], this.#session().put(read(command["value"] as Notation, this)));
        break;
      case "call": {
        const options: TaskOptions = { ...callOptions(command), ...poolAndResources(command) };
        const task = this.#session().task<AnyFunction, TaskOptions>(command["function"] as string, options);
        this.#bind(command["as"], task(...this.#args(command)));
        break;
      }
      case "create":
        await this.#create(command);
        break;
      case "invoke": {
        const actor = this.named(command["actor"] as string) as ActorHandle<Record<string, AnyFunction>>;
        this.#bind(command["as"], actor.method(command["method"] as string, callOptions(command))(...this.#args(command)));
        break;
      }
      case "find":
        this.#bind(
          command["as"],
          await this.#session().getActor(command["name"] as string, command["namespace"] as string | undefined),
        );
        break;
      case "get": {
        const values = await this.#session().get(this.#refs(command), patience(command));
        return { values: values.map((value) => tell(value, this)) };
      }
      case "wait": {
        const [ready, rest] = await this.#session().wait(this.#refs(command), {
          count: command["count"] as number,
          ...patience(command),
        });
        const nameOf = new Map((command["refs"] as string[]).map((name) => [this.named(name), name]));
        return { ready: ready.map((ref) => nameOf.get(ref)), pending: rest.map((ref) => nameOf.get(ref)) };
      }
      case "next": {
        const ref = await (this.named(command["stream"] as string) as RefStream<unknown>).nextRef(patience(command));
        if (ref) this.#bind(command["as"], ref);
        return { item: ref !== undefined };
      }
      case "cancel": {
        const { force, recursive } = command as { force?: boolean; recursive?: boolean };
        (this.named(command["ref"] as string) as Ref<unknown> | RefStream<unknown>).cancel({
          force: force ?? false,
          recursive: recursive ?? false,
        });
        break;
      }
      case "kill": {
        const { restart, graceful } = command as { restart?: boolean; graceful?: boolean };
        (this.named(command["actor"] as string) as ActorHandle<object>).kill({
          restart: restart ?? false,
          graceful: graceful ?? false,
        });
      }
    }
    return {};
  }

  async #connect(command: Command): Promise<void> {
    const { address, token_file: tokenFile, namespace } = command as unknown as Record<string, string | undefined>;
    this.#client = await Client.connect(address, {
      ...(tokenFile !== undefined && { tokenFile }),
      ...(namespace !== undefined && { namespace }),
      logs: false,
    });
  }

  /** The client of the session that is open. */
  #session(): Client {
    if (!this.#client) throw new Error("no session is open");
    return this.#client;
  }

  async #create(command: Command): Promise<void> {
    const options = (command["options"] ?? {}) as Options;
    const actorOptions: ActorOptions = {
      ...poolAndResources(command),
      ...known({
        namespace: options.namespace,
        getIfExists: options.get_if_exists,
        detached: options.detached,
        maxRestarts: options.max_restarts,
        maxTaskRetries: options.max_task_retries,
        maxConcurrency: options.max_concurrency,
        maxPendingCalls: options.max_pending_calls,
      }),
    };
    const made = this.#session().actor<new (...args: unknown[]) => object>(command["class"] as string, actorOptions);
    const args = this.#args(command);
    this.#bind(command["as"], options.name === undefined ? made.create(...args) : await made.createNamed(options.name, ...args));
  }

  #args(command: Command): unknown[] {
    const args = ((command["args"] ?? []) as Notation[]).map((value) => read(value, this));
    const keywords = Object.entries((command["keywords"] ?? {}) as Record<string, Notation>);
    if (keywords.length === 0) return args;
    return [...args, new Keywords(Object.fromEntries(keywords.map(([name, value]) => [name, read(value, this)])))];
  }

  #refs(command: Command): Ref<unknown>[] {
    return (command["refs"] as string[]).map((name) => this.named(name) as Ref<unknown>);
  }

  #bind(names: unknown, made: unknown): void {
    if (Array.isArray(names)) {
      for (const [i, name] of (names as string[]).entries()) this.#named.set(name, (made as unknown[])[i]);
    } else if (names !== undefined) this.#named.set(names as string, made);
  }

  /** Forgets a name and lets go of what it stands for. */
  #drop(name: string): void {
    (this.named(name) as Ref<unknown> | RefStream<unknown> | ActorHandle<object>).dispose();
    this.#named.delete(name);
  }
}

/** The options that are given. */
function known<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

function patience(command: Command): { timeoutMs?: number } {
  return known({ timeoutMs: command["timeout_ms"] as number | undefined });
}

function callOptions(command: Command): CallOptions {
  const options = (command["options"] ?? {}) as Options;
  return known({
    returns: options.returns,
    maxRetries: options.max_retries,
    retryErrors: options.retry_exceptions,
    deadlineMs: options.deadline_ms,
    streamWindow: options.stream_window,
  });
}

function poolAndResources(command: Command): TaskOptions & ActorOptions {
  const { CPU, ...resources } = ((command["options"] ?? {}) as Options).resources ?? {};
  return known({ pool: command["pool"] as string | undefined, numCpus: CPU, resources });
}
