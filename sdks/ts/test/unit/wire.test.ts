// The bytes that are written and read by hand, against the generated code.

import assert from "node:assert/strict";
import { test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";

import { ClientFrameSchema, ServerOpSchema } from "../../src/gen/thornback/v1/session_pb.js";
import { fromBytes, Ids, indexOf, output, toBytes, toHex, withIndex } from "../../src/session/ids.js";
import * as ops from "../../src/session/ops.js";
import { MalformedError, Reader, varintLength, Writer } from "../../src/session/wire.js";

const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(fromBytes);
const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 120, maxLength: 300 }));
const value: fc.Arbitrary<ops.RawValue> = fc.record({
  format: fc.integer({ min: 0, max: 5 }),
  data: bytes,
  refs: fc.array(id, { maxLength: 3 }),
  buffers: fc.array(bytes, { maxLength: 3 }),
  schema: fc.string({ unit: "binary", maxLength: 20 }),
});
const number = fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 0, max: 0xffff_fffe }));
const arg: fc.Arbitrary<ops.WireArg> = fc.oneof(
  fc.record({ keyword: fc.string({ maxLength: 5 }), ref: fc.constant(""), value }),
  fc.record({ keyword: fc.string({ maxLength: 5 }), ref: id, value: fc.constant(undefined) }),
);
const parent = fc.oneof(fc.constant(""), id);

function message(raw: ops.RawValue): object {
  return { format: raw.format, data: raw.data, refs: raw.refs.map(toBytes), buffers: [...raw.buffers], schema: raw.schema };
}

function argMessage({ keyword, ref, value: of }: ops.WireArg): object {
  return { keyword, arg: of ? { case: "value", value: message(of) } : { case: "ref", value: toBytes(ref) } };
}

function resultMessage(result: ops.WireResult): object {
  return { result: result ? { case: "value", value: message(result) } : { case: "stored", value: true } };
}

/** Holds what `write` writes to what the generated code writes for `op`. */
function same(write: (writer: Writer) => void, op: object): void {
  const writer = new Writer();
  write(writer);
  const expected = toBinary(ClientFrameSchema, create(ClientFrameSchema, { ops: [{ op }] } as never));
  assert.equal(writer.take().toString("hex"), Buffer.from(expected).toString("hex"));
}

test("operations of the hot path are the bytes that the generated code writes", () => {
  fc.assert(
    fc.property(id, id, number, fc.array(arg, { maxLength: 4 }), parent, (task, actor, declaration, args, of) => {
      // A declaration is never 0, which the generated code would leave out.
      const common = { task: toBytes(task), declaration: declaration + 1, args: args.map(argMessage), parent: toBytes(of) };
      same((writer) => ops.writeSubmit(writer, task, declaration + 1, args, of), { case: "submit", value: common });
      const call = { ...common, actor: toBytes(actor) };
      same((writer) => ops.writeCall(writer, task, actor, declaration + 1, args, of), { case: "call", value: call });
    }),
  );
  fc.assert(
    fc.property(
      id,
      number,
      number,
      fc.array(fc.option(value, { nil: undefined }), { maxLength: 3 }),
      (task, attempt, count, results) => {
        const done = { task: toBytes(task), attempt, results: results.map(resultMessage), yielded: BigInt(count) };
        same((writer) => ops.writeDone(writer, task, attempt, results, count), { case: "done", value: done });
        for (const item of results) {
          const yielded = { task: toBytes(task), attempt, index: BigInt(count), item: resultMessage(item) };
          same((writer) => ops.writeYield(writer, task, attempt, count, item), { case: "yield", value: yielded });
        }
      },
    ),
  );
  fc.assert(
    fc.property(fc.array(id, { maxLength: 20 }), fc.array(id, { maxLength: 20 }), (retain, drop) => {
      const refs = { retain: retain.map(toBytes), drop: drop.map(toBytes) };
      same((writer) => ops.writeRefs(writer, retain, drop), { case: "refs", value: refs });
    }),
  );
  fc.assert(
    fc.property(id, value, number, bytes, (object, of, offset, data) => {
      same((writer) => ops.writePut(writer, object, of), { case: "put", value: { object: toBytes(object), value: message(of) } });
      fc.pre(data.length > 0);
      const write = { object: toBytes(object), offset: BigInt(offset), data };
      same((writer) => ops.writeWrite(writer, object, offset, data), { case: "write", value: write });
    }),
  );
});

function open(op: object): { number: number; body: Reader } {
  const body = new Reader(Buffer.from(toBinary(ServerOpSchema, create(ServerOpSchema, { op } as never))));
  return { number: ops.openOp(body), body };
}

function plain(raw: ops.RawValue | undefined): object | undefined {
  return raw && { ...raw, data: [...raw.data], buffers: raw.buffers.map((buffer) => [...buffer]) };
}

test("operations of the hot path are read as the generated code writes them", () => {
  fc.assert(
    fc.property(id, value, fc.boolean(), (object, of, stored) => {
      const outcome = stored ? { case: "stored", value: 7n } : { case: "value", value: message(of) };
      const { number: found, body } = open({ case: "completion", value: { object: toBytes(object), outcome } });
      assert.equal(found, ops.COMPLETION);
      const read = ops.readCompletion(body);
      assert.equal(read.object, object);
      assert.equal(read.stored, stored);
      assert.deepEqual(plain(read.value), stored ? undefined : plain(of));
    }),
  );
  fc.assert(
    fc.property(id, number, number, fc.array(arg, { maxLength: 4 }), parent, (task, attempt, declaration, args, actor) => {
      const wire = args.map((one) =>
        one.value
          ? argMessage(one)
          : {
              keyword: one.keyword,
              arg: { case: "stored", value: { object: toBytes(one.ref), location: { arena: 3, size: 5n } } },
            },
      );
      const setup = { maxConcurrency: 2 };
      const run = { task: toBytes(task), attempt, declaration, args: wire, actor: toBytes(actor), setup };
      const { number: found, body } = open({ case: "run", value: run });
      assert.equal(found, ops.RUN);
      const read = ops.readRun(body);
      assert.deepEqual([read.task, read.attempt, read.declaration, read.actor], [task, attempt, declaration, actor]);
      assert.deepEqual([...read.setup!], [0x08, 2]);
      assert.deepEqual(
        read.args.map((one) => [one.keyword, one.stored, one.arena, plain(one.value)]),
        args.map((one) => [one.keyword, one.ref, one.value ? 0 : 3, plain(one.value)]),
      );
    }),
  );
});

test("bytes that are no protobuf are refused and nothing else happens", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
      for (const read of [ops.readCompletion, ops.readRun, ops.readValue, ops.openOp]) {
        try {
          read(new Reader(Buffer.from(input)));
        } catch (error) {
          assert.ok(error instanceof MalformedError, String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("integers take as many bytes as they need", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat({ max: 52 }), (large, shift) => {
      const n = Math.floor(large / 2 ** shift);
      const writer = new Writer();
      writer.reserve(10);
      writer.varint(n);
      const written = writer.take();
      assert.equal(written.length, varintLength(n));
      assert.equal(new Reader(written).varint(), n);
    }),
  );
});

test("ids are never made twice, and their parts are where they belong", () => {
  const ids = new Ids();
  const made = new Set(Array.from({ length: 70_000 }, () => ids.next()));
  assert.equal(made.size, 70_000);
  const task = ids.next();
  assert.equal(toHex(task).slice(24), "00000000");
  assert.equal(toHex(output(task, 0)).slice(24), "00000001");
  assert.equal(indexOf(output(task, 299)), 300);
  assert.equal(withIndex(output(task, 5), 0), task);
  assert.equal(toHex(ids.nextPut()).slice(24), "00000001");
  assert.equal(fromBytes(toBytes(task)), task);
});
