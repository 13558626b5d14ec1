// One conversation, against a node that says what the test tells it to.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { toBinary, create } from "@bufbuild/protobuf";

import {
  Client,
  ConnectionLostError,
  GetTimeoutError,
  ProtocolError,
  type Ref,
  SessionExpiredError,
  StoreFullError,
  ThornbackError,
} from "../../src/index.js";
import { ServerFrameSchema } from "../../src/gen/thornback/v1/session_pb.js";
import { fromBytes, output, toBytes } from "../../src/session/ids.js";
import { type Connection, LIMITS, Peer, welcome } from "../support/peer.js";

// A session does not keep its process alive while nobody waits for it, and a node inside of the process does so neither.
let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => undefined, 1000);
});
after(() => {
  clearInterval(alive);
});

/** The completion of a task's only result, with a small integer. */
function completion(task: Uint8Array, n: number): { case: "completion"; value: object } {
  const object = toBytes(output(fromBytes(task), 0));
  return { case: "completion", value: { object, outcome: { case: "value", value: { format: 2, data: Uint8Array.of(n) } } } };
}

function call(client: Client): Ref<number> {
  return client.task<() => number>("f")();
}

/** Waits for the client to end its session, and gives the code of its goodbye. */
async function goodbye(connection: Connection): Promise<number | undefined> {
  const { failure } = await connection.op("goodbye");
  await connection.until(() => connection.closed);
  return failure?.code;
}

test("the hello says who speaks, and offers no shared memory", async () => {
  const peer = new Peer();
  const { client, connection } = await peer.welcome();
  const [frame] = connection.frames;
  assert.equal(frame.seq, 0n);
  assert.equal(frame.ops.length, 1);
  const [hello] = connection.ops("hello");
  assert.deepEqual([hello.versionMin, hello.versionMax, hello.language], [1, 1, "typescript"]);
  assert.ok(!hello.features.includes("shared-memory"));
  await client.close();
  assert.equal(await goodbye(connection), undefined);
});

test("a refused hello is the error that the node gave", async () => {
  const peer = new Peer();
  const opening = peer.open();
  const connection = await peer.connection();
  connection.send(0, 0, [{ case: "goodbye", value: { failure: { code: 4, message: "no version fits" } } }]);
  await assert.rejects(opening, (error) => error instanceof ProtocolError && error.code === "UNSUPPORTED_VERSION");
  await connection.until(() => connection.closed);
});

test("what answers with something else is no node", async () => {
  for (const bytes of [Buffer.from("HTTP/1.1 400 Bad Request\r\n"), Buffer.alloc(0)]) {
    const peer = new Peer();
    const opening = peer.open();
    (await peer.connection()).sendRaw(bytes);
    await assert.rejects(
      opening,
      (error) => error instanceof ConnectionLostError && /something else listening/.test(error.message),
    );
  }
});

test("operations of one turn travel together, in order, in numbered frames", async () => {
  const { client, connection } = await new Peer().welcome();
  const refs = Array.from({ length: 100 }, () => call(client));
  const last = await connection.op("submit", 100);
  assert.equal(connection.frames.filter(({ seq }) => seq > 0n).length, 1);
  const { ops, seq } = connection.frames.at(-1)!;
  assert.equal(seq, 1n);
  assert.equal(ops[0].op.case, "declare");
  assert.equal(last.declaration, connection.ops("declare")[0].number);
  connection.send(
    1,
    1,
    connection.ops("submit").map(({ task }, n) => completion(task, n)),
  );
  assert.deepEqual(
    await client.get(refs),
    Array.from({ length: 100 }, (_, n) => n),
  );
  await client.close();
});

test("frames beyond the credit wait for it, and none is larger than agreed", async () => {
  const { client, connection } = await new Peer().welcome({ frameBytes: 4096n, windowBytes: 10_000n, inlineBytes: 1000n });
  for (let n = 0; n < 40; n++) client.put("x".repeat(900));
  const bytes = (): number =>
    connection.frames.filter(({ seq }) => seq > 0n).reduce((sum, frame) => sum + frame.ops.length * 930, 0);
  await connection.until(() => connection.ops("put").length >= 8);
  await new Promise(setImmediate);
  // The last frame may overdraw what was left.
  assert.ok(bytes() < 10_000 + 4096, `${bytes()} bytes came`);
  connection.send(0, 1, [{ case: "credit", value: { bytes: 1_000_000n } }]);
  await connection.op("put", 40);
  assert.ok(connection.frames.every(({ ops }) => ops.length <= 4));
  assert.throws(() => client.task("f")(...Array.from({ length: 300 }, () => client.put(1))), /does not fit into a frame/);
  await client.close();
});

test("a program that closes its session lives until what it posted is sent", async () => {
  const peer = new Peer();
  const held: boolean[] = [];
  const opening = Client.over(
    async (events) => {
      const carrier = await peer.connect(events);
      const hold = carrier.hold.bind(carrier);
      carrier.hold = (alive) => {
        held.push(alive);
        hold(alive);
      };
      return carrier;
    },
    { logs: () => undefined },
  );
  const connection = await peer.connection();
  connection.send(0, 0, [welcome({ ...LIMITS, windowBytes: 10_000n })]);
  const client = await opening;
  for (let n = 0; n < 40; n++) client.put("x".repeat(900));
  const impatient = client.task("f")().get({ timeoutMs: 1 });
  const closing = client.close();
  assert.equal(held.at(-1), true);
  // Nor does it end with whoever else waited.
  await assert.rejects(impatient, GetTimeoutError);
  assert.equal(held.at(-1), true);
  connection.send(0, 1, [{ case: "credit", value: { bytes: 1_000_000n } }]);
  await closing;
  await connection.op("put", 40);
  await connection.op("goodbye");
});

test("credit is given back for what was taken", async () => {
  const { client, connection } = await new Peer().welcome();
  const window = Number(connection.ops("hello")[0].windowBytes);
  let sent = 0;
  for (let seq = 1; sent < window / 4 + 100_000; seq++) {
    connection.send(seq, 0, [{ case: "log", value: { lines: ["y".repeat(60_000)] } }]);
    sent += 60_000;
  }
  const { bytes } = await connection.op("credit");
  assert.ok(Number(bytes) >= window / 4);
  assert.equal(connection.frames.at(-1)!.seq, 0n);
  await client.close();
});

test("a lost connection is resumed, what was not taken is sent again, and what comes again is passed over", async () => {
  const peer = new Peer();
  const { client, connection } = await peer.welcome();
  const [first, second] = [call(client), call(client)];
  const { task } = await connection.op("submit", 2);
  const tasks = connection.ops("submit").map((submit) => submit.task);
  connection.send(1, 0, [completion(tasks[0], 1)]);
  assert.equal(await first.get(), 1);
  connection.cut();
  const again = await peer.connection(2);
  const [{ resume }] = again.ops("hello");
  assert.deepEqual([resume?.ack, resume?.secret.length], [1n, 16]);
  again.send(0, 0, [welcome(LIMITS, { resumed: true, ack: 0n })]);
  await again.op("submit", 2);
  assert.equal(again.frames[1].seq, 1n);
  assert.deepEqual(
    again.ops("submit").map((submit) => submit.task),
    tasks,
  );
  // Frame 1 was taken; coming again with another content it changes nothing.
  again.send(1, 1, [completion(task, 99)]);
  again.send(2, 1, [completion(task, 2)]);
  assert.equal(await second.get(), 2);
  const third = call(client);
  const next = await again.op("submit", 3);
  assert.equal(again.frames.at(-1)!.seq, 2n);
  again.send(3, 2, [completion(next.task, 3)]);
  assert.equal(await third.get(), 3);
  await client.close();
});

test("a session that the node no longer knows fails what waits", async () => {
  const peer = new Peer();
  const { client, connection } = await peer.welcome();
  const waiting = call(client).get();
  await connection.op("submit");
  connection.cut();
  (await peer.connection(2)).send(0, 0, [welcome(LIMITS)]);
  await assert.rejects(waiting, SessionExpiredError);
  assert.throws(() => call(client), SessionExpiredError);
});

test("whatever breaks the protocol ends the session with the reason", async () => {
  const frame = (seq: number, ops: object[]): Uint8Array => {
    return toBinary(ServerFrameSchema, create(ServerFrameSchema, { seq: BigInt(seq), ops: ops.map((op) => ({ op })) } as never));
  };
  const log = { case: "log", value: {} };
  const cases: [string, Uint8Array, number][] = [
    ["bytes that are no protobuf", Uint8Array.of(0x1a, 0xff), 8],
    ["an operation that is none", Uint8Array.of(0x08, 1, 0x1a, 3, 0xa2, 1, 9), 8],
    ["a gap", frame(2, [log]), 10],
    ["an acknowledgement of what was never sent", toBinary(ServerFrameSchema, create(ServerFrameSchema, { ack: 9n })), 10],
    ["an operation without a number", frame(0, [log]), 8],
    ["a numbered ping", frame(1, [{ case: "ping", value: {} }]), 8],
    ["a second welcome", frame(0, [{ case: "welcome", value: {} }]), 8],
    ["an id of a wrong length", frame(1, [{ case: "completion", value: { object: new Uint8Array(3) } }]), 8],
  ];
  for (const [name, bytes, code] of cases) {
    const { client, connection } = await new Peer().welcome();
    const waiting = call(client).get();
    connection.sendRaw(bytes);
    await assert.rejects(waiting, ProtocolError, name);
    assert.equal(await goodbye(connection), code, name);
    await client.close();
  }
});

test("what a later version adds is passed over", async () => {
  const { client, connection } = await new Peer().welcome();
  const result = call(client);
  const { task } = await connection.op("submit");
  const known = toBinary(ServerFrameSchema, create(ServerFrameSchema, { seq: 1n, ack: 1n, ops: [{ op: completion(task, 5) }] }));
  // Unknown fields of each wire type around the frame, an operation that nobody knows, and one with unknown fields inside.
  const unknown = [0xf8, 0x3e, 1, 0xf9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8, 0xfa, 0x3e, 2, 8, 8, 0xfd, 0x3e, 1, 2, 3, 4];
  const operation = [0x1a, 5, 0xfa, 0x3e, 2, 1, 2];
  connection.sendRaw(Uint8Array.from([...unknown, ...operation, ...known, ...unknown]));
  assert.equal(await result.get(), 5);
  await client.close();
});

test("a ping is answered with its nonce", async () => {
  const { client, connection } = await new Peer().welcome();
  connection.send(0, 0, [{ case: "ping", value: { nonce: 0xffff_ffff_ffff_ffffn } }]);
  assert.equal((await connection.op("pong")).nonce, 0xffff_ffff_ffff_ffffn);
  await client.close();
});

test("a node that is silent is asked, then given up", async () => {
  const peer = new Peer();
  const { client, connection } = await peer.welcome({ heartbeatMs: 20n });
  await connection.op("ping");
  await connection.until(() => connection.closed);
  const again = await peer.connection(2);
  again.send(0, 0, [{ case: "goodbye", value: { failure: { code: 11, message: "gone" } } }]);
  await assert.rejects(() => client.status(), SessionExpiredError);
});

test("a refused operation fails what it would have made", async () => {
  const { client, connection } = await new Peer().welcome();
  const refs = [call(client), call(client)];
  const { task: id } = await connection.op("submit", 2);
  const { ops } = connection.frames.at(-1)!;
  const index = ops.findIndex(({ op }) => op.case === "submit") + 1;
  connection.send(1, 1, [{ case: "refused", value: { seq: 1n, index, id, failure: { code: 2, message: "not like this" } } }]);
  await assert.rejects(refs[1].get(), /not like this/);
  assert.ok(!refs[0].ready);
  await client.close();
});

test("an argument that finds no room fails the call, and takes it back", async () => {
  const { client, connection } = await new Peer().welcome();
  const result = client.task<(bytes: Uint8Array) => number>("f")(new Uint8Array(20_000));
  const { object } = await connection.op("create");
  const { task } = await connection.op("submit");
  connection.send(1, 1, [
    { case: "created", value: { object, outcome: { case: "failure", value: { code: 54, message: "full" } } } },
  ]);
  await assert.rejects(result.get(), StoreFullError);
  assert.deepEqual((await connection.op("cancel")).id, task);
  await client.close();
});

test("a large value goes in pieces, without gaps, and is sealed behind the last", async () => {
  const { client, connection } = await new Peer().welcome();
  const ref = client.put(new Uint8Array(200_000).fill(9));
  const { object, size } = await connection.op("create");
  connection.send(1, 1, [{ case: "created", value: { object, outcome: { case: "location", value: { arena: 0, size } } } }]);
  await connection.op("seal");
  let at = 0n;
  for (const { offset, data } of connection.ops("write")) {
    assert.equal(offset, at);
    at += BigInt(data.length);
  }
  assert.equal(at, size);
  const bytes = Buffer.concat(connection.ops("write").map(({ data }) => data));
  const reading = ref.get();
  await connection.op("fetch");
  connection.send(2, 1, [{ case: "located", value: { object, outcome: { case: "location", value: { arena: 0, size } } } }]);
  connection.send(3, 1, [{ case: "chunk", value: { object, offset: 0n, data: bytes.subarray(0, 60_000) } }]);
  connection.send(4, 1, [{ case: "chunk", value: { object, offset: 60_000n, data: bytes.subarray(60_000) } }]);
  assert.deepEqual(await reading, new Uint8Array(200_000).fill(9));

  const wrong = ref.get();
  await connection.op("fetch", 2);
  connection.send(5, 1, [{ case: "located", value: { object, outcome: { case: "location", value: { arena: 0, size } } } }]);
  connection.send(6, 1, [{ case: "chunk", value: { object, offset: 5n, data: bytes } }]);
  await assert.rejects(wrong, /out of order/);
  await client.close();
});

test("refs are counted: dropped once with the last, retained where they are found", async () => {
  const { client, connection } = await new Peer().welcome();
  const result = call(client);
  const { task } = await connection.op("submit");
  const inner = new Uint8Array(16).fill(0x5a);
  const value = { format: 2, data: Uint8Array.of(0x91, 0xd8, 1, ...inner), refs: [inner] };
  const object = toBytes(output(fromBytes(task), 0));
  connection.send(1, 1, [{ case: "completion", value: { object, outcome: { case: "value", value } } }]);
  const [found] = (await result.get()) as unknown as [Ref<unknown>];
  const [same] = (await result.get()) as unknown as [Ref<unknown>];
  assert.equal(found.id, same.id);
  result.dispose();
  found.dispose();
  await connection.until(() => connection.ops("refs").some(({ drop }) => drop.length > 0));
  const refs = connection.ops("refs");
  assert.deepEqual(
    refs.flatMap(({ retain }) => retain),
    [inner],
  );
  assert.deepEqual(
    refs.flatMap(({ drop }) => drop),
    [new Uint8Array(object)],
  );
  assert.ok(refs.findIndex(({ retain }) => retain.length > 0) < refs.findIndex(({ drop }) => drop.length > 0));
  same.dispose();
  await connection.until(() => connection.ops("refs").flatMap(({ drop }) => drop).length === 2);
  await client.close();
});

test("who waits for a stream is not collected meanwhile", async () => {
  const { client, connection } = await new Peer().welcome();
  const first = new Promise<number>((resolve) => {
    // Nothing but the stream holds this function while it waits.
    void (async () => {
      for await (const item of client.task<() => Generator<number>>("f").with({ returns: "stream" })()) {
        resolve(item);
        break;
      }
    })();
  });
  const { task } = await connection.op("submit");
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  await new Promise(setImmediate);
  connection.send(1, 1, [completion(task, 5)]);
  assert.equal(await first, 5);
  await client.close();
});

test("a malformed value is the reader's error and not the session's", async () => {
  const { client, connection } = await new Peer().welcome();
  const [bad, good] = [call(client), call(client)];
  await connection.op("submit", 2);
  const [first, second] = connection.ops("submit").map(({ task }) => task);
  const object = toBytes(output(fromBytes(first), 0));
  const value = { format: 2, data: Uint8Array.of(0xc1) };
  connection.send(1, 1, [{ case: "completion", value: { object, outcome: { case: "value", value } } }, completion(second, 1)]);
  await assert.rejects(bad.get(), (error) => error instanceof ThornbackError && error.code === "UNSUPPORTED_FORMAT");
  assert.equal(await good.get(), 1);
  await client.close();
});
