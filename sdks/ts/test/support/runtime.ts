// A node for tests, and the module that its workers serve.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Client, type ConnectOptions, type LocalOptions, type Remote } from "../../src/index.js";

/** What the workers of tests serve. */
export type Functions = typeof import("../workers/functions.js");

/** The server: THORNBACK_BINARY, or what cargo builds for tests. */
export function binary(): string {
  const path =
    process.env["THORNBACK_BINARY"] ?? fileURLToPath(new URL("../../../../../target/debug/thornback", import.meta.url));
  if (!existsSync(path))
    throw new Error(`the server is not at ${path}; run \`cargo build -p thornback-server\`, or set THORNBACK_BINARY`);
  return path;
}

/** A client of a node of its own, and the functions of `test/workers/functions.ts`. */
export async function start(options: LocalOptions & ConnectOptions = {}): Promise<{ client: Client; remote: Remote<Functions> }> {
  const client = await Client.local({ binary: binary(), numCpus: 2, objectStoreBytes: 64 << 20, ...options });
  try {
    const remote = await client.import<Functions>(new URL("../workers/functions.js", import.meta.url));
    return { client, remote };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** Waits until something is so, looking again and again; for what nothing tells of. */
export async function eventually(what: string, look: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (await look()) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  throw new Error(`it never came to be that ${what}`);
}
