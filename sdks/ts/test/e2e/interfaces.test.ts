// The clients and workers that `thornback gen --lang ts` writes, against the real server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

// By its own name, as generated code has it: both must have the same classes.
import { Client, InvalidArgumentError, modulePool, type Ref, SignatureMismatchError, WrongArityError } from "thornback";
import { contractTask } from "thornback/interface";

import { Counter, CounterClass, Echo, echoInterface, type Nested, Shapes, shapesInterface } from "../golden/everything.js";
import { Images, imagesInterface } from "../golden/images.js";
import { binary } from "../support/runtime.js";

let client: Client;
let echo: Echo;
const pool = "interfaces";
const everything = [...shapesInterface, ...echoInterface];
const served = modulePool(new URL("../workers/interfaces.js", import.meta.url), { name: pool, interface: everything });

/** A command that runs `sdks/gen/tests/python_peer.py`. */
function pythonPeer(mode: string): [python: string, ...args: string[]] {
  const repository = new URL("../../../../../", import.meta.url);
  const python = process.env["THORNBACK_TEST_PYTHON"] ?? fileURLToPath(new URL("target/venv-test/bin/python", repository));
  assert.ok(
    existsSync(python),
    `no Python at ${python}; \`cargo xtask test --only ruff\` makes one, or name one in THORNBACK_TEST_PYTHON`,
  );
  return [python, fileURLToPath(new URL("sdks/gen/tests/python_peer.py", repository)), mode];
}

before(async () => {
  client = await Client.local({ binary: binary(), numCpus: 2, objectStoreBytes: 64 << 20 });
  await client.declarePool(served);
  echo = new Echo(client, { pool });
});
after(() => client.close());

/** Has every type in it. */
const nested: Nested = {
  scalars: {
    bool: true,
    aU8: 255,
    aU16: 65_535,
    aU32: 2 ** 32 - 1,
    aU64: 2n ** 64n - 1n,
    anS8: -128,
    anS16: -32_768,
    anS32: -(2 ** 31),
    anS64: -(2n ** 63n),
    anF32: Math.fround(0.1),
    anF64: 1e300,
    aChar: "🦔",
    aString: "hérisson",
  },
  maybe: "",
  outcome: { err: "no" },
  bare: { ok: null },
  pair: [7, "seven"],
  shapes: [{ kind: "empty" }, { kind: "circle", value: 2 }, { kind: "polygon", value: [{ x: 1, y: -0.5 }] }],
  grade: "very-high",
  channels: { red: true, green: false, blue: false, alpha: true },
  bytes: Uint8Array.of(0, 255),
  points: [],
};

/** As it was sent, but that bytes may come as another kind of array of them. */
function plain({ bytes, ...rest }: Nested): object {
  return { ...rest, bytes: [...bytes] };
}

test("every type of an interface goes there and back", () => thereAndBack(echo, pool));

test("an interface is served by Python", async () => {
  await client.declarePool({ name: "python", language: "python", command: pythonPeer("worker"), interface: everything });
  await thereAndBack(new Echo(client, { pool: "python" }), "python");
});

test("an interface is called by Python", async () => {
  const [python, ...args] = pythonPeer("driver");
  const env = { ...process.env, THORNBACK_BINARY: binary() };
  await promisify(execFile)(python, [...args, ...served.command!], { env });
});

test("a worker, and a call, of another interface are refused", async () => {
  await client.declarePool({ ...served, name: "other", interface: imagesInterface });
  await assert.rejects(new Images(client, { pool: "other" }).resize(new Uint8Array(), 1).get(), (error) => {
    return error instanceof SignatureMismatchError && error.message.includes("images.resize");
  });
  const numbers = echoInterface.find(({ label }) => label === "numbers")!;
  const older = { ...numbers, signature: "func(values: list<u8>) -> u64" };
  const call = contractTask<(values: readonly number[]) => bigint>(client, older, { pool });
  await assert.rejects(
    call([1]).get(),
    (error) => error instanceof SignatureMismatchError && error.message.includes("list<u16>"),
  );
});

async function thereAndBack(echo: Echo, pool: string): Promise<void> {
  const other: Nested = { ...nested, maybe: null, outcome: { ok: 3 }, grade: "low", scalars: { ...nested.scalars, aU64: 0n } };
  for (const value of [nested, other]) assert.deepEqual(plain(await echo.thereAndBack(value).get()), plain(value));
  assert.equal(await echo.numbers([1, 65_535]).get(), 65_536n);
  assert.equal(await echo.maybe(null).get(), null);
  assert.equal(await echo.maybe(0).get(), 0);
  assert.deepEqual(await echo.divide(1, 0).get(), { err: "division by zero" });
  assert.equal(await echo.nothing().get(), null);
  assert.equal(await new Shapes(client, { pool }).area({ kind: "circle", value: 2 }).get(), 12);
  const counter = new CounterClass(client, { pool }).create(5n);
  assert.equal(await counter.add(-2n).get(), 3n);
  assert.deepEqual(await counter.historyOf().get(), [-2n]);
  const steps: bigint[] = [];
  for await (const step of counter.steps(2)) steps.push(step);
  assert.deepEqual(steps, [0n, 2n]);
  assert.equal(await counter.reset().get(), null);
}

test("refs of an interface read what it says, one by one and together, and are arguments", async () => {
  const seven: Ref<number> = client.put(7);
  const refs = [echo.numbers([3, 4]), echo.maybe(seven)] as const;
  assert.deepEqual(await client.get(refs), [7n, 7]);
  const items: number[] = [];
  for await (const item of echo.countDown(seven)) items.push(item);
  assert.deepEqual(items, [7, 6, 5, 4, 3, 2, 1]);
});

test("a named actor of a resource is found, and one that cannot be made says why", async () => {
  await new CounterClass(client, { pool }).createNamed("counter of interfaces", 1n);
  const found = new Counter(await client.getActor<object>("counter of interfaces"));
  assert.equal(await found.add(1n).get(), 2n);
  found.handle.kill();
  await assert.rejects(new CounterClass(client, { pool }).create(-1n).add(1n).get(), /begins at 0/);
});

test("what does not fit an interface is named by its path", async () => {
  const wrong = { ...nested, scalars: { ...nested.scalars, aU16: 70_000 } };
  const path = /^there-and-back\.value\.scalars\.a-u16: 70000 is not a u16$/;
  assert.throws(
    () => echo.thereAndBack(wrong),
    (error) => error instanceof InvalidArgumentError && path.test(error.message),
  );
  assert.throws(() => echo.maybe("x" as never), /^InvalidArgumentError: maybe\.value: "x" is not a u8$/);
  // From callers that know no interface; user code does not run.
  const numbers = client.task<(...args: unknown[]) => unknown>("echo.numbers", { pool });
  await assert.rejects(
    numbers([1, 70_000]).get(),
    (error) => error instanceof InvalidArgumentError && /numbers\.values\[1\]: 70000 is not a u16/.test(error.message),
  );
  await assert.rejects(numbers().get(), WrongArityError);
  const area = client.task<(shape: unknown) => unknown>("shapes.area", { pool });
  for (const [shape, message] of [
    [{ square: 1 }, /area\.shape: "square" is not a shape: one of empty, circle, polygon/],
    [{ empty: null, circle: 1 }, /area\.shape: an object of 2 is not a shape/],
    [{ polygon: [{ x: 1, z: 2 }] }, /area\.shape\.polygon\[0\]\.z: a point has no such field/],
    [{ polygon: [{ x: 1 }] }, /area\.shape\.polygon\[0\]\.y: the field is missing/],
  ] as const) {
    await assert.rejects(area(shape).get(), message);
  }
});
