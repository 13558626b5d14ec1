// Everything over gRPC as well, and a worker that dials in by itself.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  Client,
  ConnectionLostError,
  FunctionNotFoundError,
  InvalidArgumentError,
  TaskError,
  UnauthenticatedError,
} from "../../src/index.js";
import { LocalNode } from "../../src/local.js";
import { binary, eventually, type Functions } from "../support/runtime.js";

let node: LocalNode;
before(async () => {
  node = await LocalNode.start({ binary: binary(), numCpus: 2, objectStoreBytes: 64 << 20 });
});
after(() => node.stop());

test("a driver over gRPC does what one over the socket does", async () => {
  const client = await Client.connect(node.ports.grpc, { tokenFile: node.ports.token_file! });
  const remote = await client.import<Functions>(new URL("../workers/functions.js", import.meta.url));
  assert.deepEqual(
    await client.get(Array.from({ length: 100 }, (_, n) => remote.add(n, 1))),
    Array.from({ length: 100 }, (_, n) => n + 1),
  );
  assert.equal((await remote.fill(2_000_000).get()).length, 2_000_000);
  assert.equal(await remote.lengthOf(new Uint8Array(2_000_000)).get(), 2_000_000);
  await assert.rejects(remote.fail("over gRPC").get(), TaskError);
  const items: number[] = [];
  for await (const item of remote.upTo(10)) items.push(item);
  assert.equal(items.length, 10);
  using counter = remote.Counter.create(1);
  assert.equal(await counter.call.add(1).get(), 2);
  await client.close();
});

test("a worker over gRPC dials in with a token, and serves", async () => {
  const directory = mkdtempSync(join(tmpdir(), "thornback-ts-"));
  const program = fileURLToPath(new URL("../../src/bin/worker.js", import.meta.url));
  const module = fileURLToPath(new URL("../workers/functions.js", import.meta.url));
  const client = await Client.connect(`unix:${node.ports.unix.replace(/^unix:/, "")}`);
  const worker = spawn(process.execPath, [program, module, "--prefix", "far."], {
    env: {
      PATH: process.env["PATH"],
      THORNBACK_ADDRESS: node.ports.grpc,
      THORNBACK_TOKEN_FILE: node.ports.token_file,
      THORNBACK_POOL: "dialled",
    },
    stdio: "inherit",
  });
  const exited = new Promise<number | null>((resolve) => worker.once("exit", resolve));
  try {
    const adding = client.task<Functions["add"]>("far.add");
    await eventually("the worker is there", async () => {
      const [answer] = await Promise.allSettled([adding(1, 2).get()]);
      if (answer.status === "fulfilled") return answer.value === 3;
      assert.ok(answer.reason instanceof FunctionNotFoundError);
      return false;
    });
    const large = client.task<Functions["fill"]>("far.fill")(1_000_000);
    assert.equal(await client.task<Functions["lengthOf"]>("far.lengthOf")(large).get(), 1_000_000);
  } finally {
    worker.kill("SIGKILL");
    await exited;
    await client.close();
    rmSync(directory, { recursive: true });
  }
});

test("without the token nobody is let in, and where no node is nobody is reached", async () => {
  const directory = mkdtempSync(join(tmpdir(), "thornback-ts-"));
  const file = join(directory, "token");
  writeFileSync(file, "wrong");
  await assert.rejects(Client.connect(node.ports.grpc, { tokenFile: file }), UnauthenticatedError);
  await assert.rejects(Client.connect(`unix:${join(directory, "nothing")}`), ConnectionLostError);
  await assert.rejects(Client.connect("nowhere"), InvalidArgumentError);
  await assert.rejects(Client.local({ binary: join(directory, "nothing") }), /put `thornback` on PATH/);
  rmSync(directory, { recursive: true });
});

test("a program that is done ends, though it did not close its client", async () => {
  const index = new URL("../../src/index.js", import.meta.url).href;
  const code = `
    import { Client } from ${JSON.stringify(index)};
    const client = await Client.local({ numCpus: 1 });
    console.log((await client.status()).total.CPU);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
    env: { ...process.env, THORNBACK_BINARY: binary() },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const status = await new Promise((resolve) => child.once("exit", resolve));
  assert.deepEqual([status, output], [0, "1\n"]);
});
