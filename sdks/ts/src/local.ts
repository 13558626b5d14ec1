// A node for one program: started, found, and gone with it.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { errorOf } from "./errors.js";

/** What a node that is started has. */
export interface LocalOptions {
  /** The server program. By default THORNBACK_BINARY, or `thornback` on the PATH. */
  binary?: string;
  /** CPUs to schedule on. By default those that this process may use. */
  numCpus?: number;
  /** GPUs to schedule on. By default none. */
  numGpus?: number;
  /** Main memory that tasks may ask for, in bytes. By default 70 % of the machine's, less the store. */
  memory?: number;
  /** Custom resources by name. */
  resources?: Readonly<Record<string, number>>;
  /** Bytes of shared memory for objects. By default 30 % of the machine's memory. */
  objectStoreBytes?: number;
  /** Where objects go that the store has no room for. By default a directory of its own. */
  spillDir?: string;
  /** More arguments for the server; see `thornback dev --help`. */
  serverArgs?: readonly string[];
}

/** Between looks at the file in which the server tells where it listens. */
const POLL_MS = 5;
/** How long a server may take to listen, on a machine that is busy with other things. */
const START_TIMEOUT_MS = 30_000;

/** Where a node listens. */
export interface Ports {
  readonly unix: string;
  readonly grpc?: string;
  readonly token_file?: string;
  readonly pid: number;
}

/** A server process. It ends when its standard input does, so it cannot outlive this program. */
export class LocalNode {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  /** Where it listens. */
  readonly ports: Ports;

  private constructor(child: ChildProcess, ended: Promise<void>, ports: Ports) {
    this.#child = child;
    this.#ended = ended;
    this.ports = ports;
  }

  /** Starts a server and waits until it listens. Rejects with `ConnectionLostError` if it does not. */
  static async start(options: LocalOptions): Promise<LocalNode> {
    const binary = options.binary ?? (process.env["THORNBACK_BINARY"] || "thornback");
    const directory = await mkdtemp(join(tmpdir(), "thornback-ports-"));
    const portsFile = join(directory, "ports.json");
    try {
      const child = spawn(binary, ["dev", "--ports-file", portsFile, "--exit-with-stdin", ...flags(options)], {
        stdio: ["pipe", "ignore", "inherit"],
      });
      let failed: Error | undefined;
      let status: string | undefined;
      const ended = new Promise<void>((resolve) => {
        child.once("error", (error) => {
          failed = error;
          resolve();
        });
        child.once("exit", (code, signal) => {
          status = signal ?? `status ${code}`;
          resolve();
        });
      });
      // The program may end while the server runs; that is what ends the server.
      child.stdin.on("error", () => undefined);
      child.unref();
      (child.stdin as unknown as { unref(): void }).unref();
      const deadline = performance.now() + START_TIMEOUT_MS;
      for (;;) {
        const ports = await readPorts(portsFile);
        if (ports) return new LocalNode(child, ended, ports);
        if (failed) {
          const message = `the server ${binary} cannot be started (${failed.message}); put \`thornback\` on PATH, or name it in THORNBACK_BINARY`;
          throw errorOf("CONNECTION_LOST", message, { cause: failed });
        }
        if (status !== undefined) {
          throw errorOf(
            "CONNECTION_LOST",
            `the server ${binary} ended before it listened (${status}); its last words are on standard error`,
          );
        }
        if (performance.now() > deadline) {
          child.stdin.end();
          throw errorOf("CONNECTION_LOST", `the server ${binary} did not listen within ${START_TIMEOUT_MS / 1000} s`);
        }
        await new Promise((resolve) => {
          setTimeout(resolve, POLL_MS);
        });
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** Ends it and waits until it is gone. */
  async stop(): Promise<void> {
    this.#child.ref();
    this.#child.stdin?.end();
    await this.#ended;
  }
}

async function readPorts(path: string): Promise<Ports | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return undefined;
  }
  try {
    return JSON.parse(text) as Ports;
  } catch (error) {
    throw errorOf("INTERNAL", "the server wrote a ports file that is no JSON; is THORNBACK_BINARY a thornback?", {
      cause: error,
    });
  }
}

function flags(options: LocalOptions): string[] {
  const given: [string, string | number | undefined][] = [
    ["--num-cpus", options.numCpus],
    ["--num-gpus", options.numGpus],
    ["--memory", options.memory],
    ["--resources", options.resources && JSON.stringify(options.resources)],
    ["--store-bytes", options.objectStoreBytes],
    ["--spill-dir", options.spillDir],
  ];
  return [...given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)])), ...(options.serverArgs ?? [])];
}
