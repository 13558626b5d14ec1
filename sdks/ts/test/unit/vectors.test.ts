// Replays `protocol/vectors`: what others wrote is read, means what they meant, and is written the same again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createRegistry, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";

import { ThornbackError } from "../../src/errors.js";
import { file_thornback_v1_actor as actor } from "../../src/gen/thornback/v1/actor_pb.js";
import { file_thornback_v1_control as control } from "../../src/gen/thornback/v1/control_pb.js";
import { file_thornback_v1_failure as failure } from "../../src/gen/thornback/v1/failure_pb.js";
import { file_thornback_v1_object as object } from "../../src/gen/thornback/v1/object_pb.js";
import { file_thornback_v1_session as session } from "../../src/gen/thornback/v1/session_pb.js";
import { file_thornback_v1_task as task } from "../../src/gen/thornback/v1/task_pb.js";
import { file_thornback_v1_value as value, Format } from "../../src/gen/thornback/v1/value_pb.js";
import { file_thornback_v1_worker as worker } from "../../src/gen/thornback/v1/worker_pb.js";
import { decode } from "../../src/decode.js";
import { Encoder } from "../../src/encode.js";
import { readLayout } from "../../src/layout.js";
import { REFERENCE, type Reference, type Referrer } from "../../src/reference.js";
import { Cutter } from "../../src/session/unix.js";
import { fromSchema, schemaOf, Tensor } from "../../src/tensor.js";
import { Extension, Float, Timestamp, Uuid } from "../../src/types.js";
import { cases, unhex } from "../support/vectors.js";

const files = [actor, control, failure, object, session, task, value, worker];
const registry = createRegistry(...files);

interface MessageCase {
  name: string;
  message: string;
  hex: string;
  json: JsonValue;
}

for (const file of ["actor", "control", "failure", "object", "session", "task", "value", "worker"]) {
  test(`messages of ${file}.json are read and written again`, () => {
    for (const { name, message, hex, json } of cases<MessageCase>(file)) {
      const schema = registry.getMessage(message);
      assert.ok(schema, `${message} is not generated`);
      const read = fromBinary(schema, new Uint8Array(unhex(hex)));
      assert.deepEqual(read, fromJson(schema, json, { registry }), name);
      const written = new Uint8Array(toBinary(schema, read));
      assert.equal(written.length, unhex(hex).length, name);
      assert.deepEqual(fromBinary(schema, written), read, name);
      assert.deepEqual(
        toJson(schema, read, { registry, useProtoFieldName: true }),
        toJson(schema, fromJson(schema, json), { useProtoFieldName: true }),
      );
    }
  });
}

/** What the notation of a value holds. */
type Notation = Record<string, unknown>;

interface ValueCase {
  name: string;
  format: string;
  data: string;
  schema?: string;
  buffers?: string[];
  refs?: string[];
  value: Notation;
}

/** Stands for a ref, a stream or an actor handle. */
class Stand {
  readonly reference: Reference;

  constructor(reference: Reference) {
    this.reference = reference;
  }

  [REFERENCE](): Reference {
    return this.reference;
  }
}

const referrer: Referrer = {
  makeRef: (id) => new Stand({ kind: "ref", id }),
  makeStream: (id) => new Stand({ kind: "stream", id }),
  makeActor: (id, className, interfaceBytes) => new Stand({ kind: "actor", id, className, interface: interfaceBytes }),
};

/** A value as it is given to the encoder. */
function build(notation: Notation, buffers: readonly Buffer[]): unknown {
  const [[kind, of]] = Object.entries(notation) as [string, never][];
  const id = (hex: string): string => unhex(hex).toString("latin1");
  switch (kind) {
    case "nil":
      return null;
    case "bool":
    case "str":
      return of;
    case "int":
    case "bigint":
      return BigInt(of);
    case "float":
      return new Float(unhex(of).readDoubleBE());
    case "bytes":
      return new Uint8Array(unhex(of));
    case "list":
      return (of as Notation[]).map((item) => build(item, buffers));
    case "map":
      return new Map((of as [Notation, Notation][]).map(([key, value]) => [build(key, buffers), build(value, buffers)]));
    case "ref":
    case "stream":
      return new Stand({ kind, id: id(of) });
    case "actor": {
      const actor = of as { id: string; class_name: string; interface: string };
      return new Stand({
        kind,
        id: id(actor.id),
        className: actor.class_name,
        interface: new Uint8Array(unhex(actor.interface)),
      });
    }
    case "tensor": {
      const { dtype, shape, strides, buffer, data } = of as {
        dtype: string;
        shape: number[];
        strides: number[] | null;
        buffer?: number;
        data?: string;
      };
      return new Tensor(dtype, shape, buffer === undefined ? unhex(data!) : buffers[buffer], strides);
    }
    case "timestamp": {
      const [seconds, nanoseconds] = of as [number, number];
      return new Timestamp(BigInt(seconds), nanoseconds);
    }
    case "uuid":
      return new Uuid(of);
    case "ext": {
      const [type, data] = of as [number, string];
      return new Extension(type, unhex(data));
    }
    default:
      throw new Error(`the notation ${kind} is not known`);
  }
}

/** A value as it was decoded, in the same notation. */
function describe(value: unknown, expected: Notation, buffers: readonly Uint8Array[]): Notation {
  const [[kind, of]] = Object.entries(expected);
  if (value === null) return { nil: null };
  if (typeof value === "boolean") return { bool: value };
  if (typeof value === "string") return { str: value };
  // The language has one kind of number; which one was meant is the encoder's to keep.
  if (typeof value === "number" && kind === "float") {
    const bits = Buffer.alloc(8);
    bits.writeDoubleBE(value);
    return { float: bits.toString("hex") };
  }
  if (typeof value === "number") return { int: String(value) };
  if (typeof value === "bigint") return { [kind === "bigint" ? "bigint" : "int"]: String(value) };
  if (Array.isArray(value)) return { list: value.map((item, i) => describe(item, (of as Notation[])[i], buffers)) };
  if (value instanceof Stand) {
    const { reference } = value;
    const id = Buffer.from(reference.id, "latin1").toString("hex");
    if (reference.kind !== "actor") return { [reference.kind]: id };
    return { actor: { id, class_name: reference.className, interface: Buffer.from(reference.interface!).toString("hex") } };
  }
  if (value instanceof Date)
    return { timestamp: [Math.floor(value.getTime() / 1000), (((value.getTime() % 1000) + 1000) % 1000) * 1e6] };
  if (value instanceof Timestamp) return { timestamp: [Number(value.seconds), value.nanoseconds] };
  if (value instanceof Uuid) return { uuid: value.toString().replaceAll("-", "") };
  if (value instanceof Extension) return { ext: [value.type, Buffer.from(value.data).toString("hex")] };
  if (ArrayBuffer.isView(value) && !(value instanceof Uint8Array))
    return describe(Tensor.from(value as Float64Array), expected, buffers);
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (value instanceof Tensor) {
    const { dtype, shape, strides, data } = value;
    const where = (of as { buffer?: number }).buffer;
    if (where !== undefined) assert.deepEqual(Buffer.from(data), Buffer.from(buffers[where]));
    return {
      tensor: {
        dtype,
        shape,
        strides,
        ...(where === undefined ? { data: Buffer.from(data).toString("hex") } : { buffer: where }),
      },
    };
  }
  const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value as object);
  const wanted = of as [Notation, Notation][];
  // Objects of this language order keys that look like integers, and order has no meaning.
  const sorted = value instanceof Map ? wanted : wanted.toSorted(([a], [b]) => position(entries, a) - position(entries, b));
  return { map: entries.map(([key, item], i) => [describe(key, sorted[i][0], buffers), describe(item, sorted[i][1], buffers)]) };
}

function position(entries: readonly (readonly unknown[])[], key: Notation): number {
  return entries.findIndex(([name]) => name === key["str"]);
}

/** The notation with the keys of maps in an order of their own. */
function sortMaps(notation: unknown): unknown {
  if (Array.isArray(notation)) return notation.map(sortMaps);
  if (typeof notation !== "object" || notation === null) return notation;
  return Object.fromEntries(
    Object.entries(notation).map(([kind, of]) => {
      const inner = sortMaps(of);
      return [
        kind,
        kind === "map" ? (inner as unknown[]).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : inner,
      ];
    }),
  );
}

test("values are written as they should be", () => {
  for (const { name, format, data, schema, buffers = [], refs = [], value } of cases<ValueCase>("values")) {
    const given = build(value, buffers.map(unhex));
    if (format === "FORMAT_TENSOR") {
      assert.equal(schemaOf(given as Tensor), schema, name);
      continue;
    }
    if (format !== "FORMAT_MSGPACK") continue;
    const collected = { refs: [], keep: [], buffers: [] as Uint8Array[] };
    const written = new Encoder().encode(given, collected);
    if (JSON.stringify(value).includes('"buffer"')) {
      // Short elements are kept in the value here; that they mean the same is shown by the test below.
      continue;
    }
    assert.equal(written.toString("hex"), data, name);
    assert.deepEqual(
      collected.refs.map((id: string) => Buffer.from(id, "latin1").toString("hex")),
      refs,
      name,
    );
  }
});

for (const file of ["values", "values_lenient"]) {
  test(`values of ${file}.json are read as they were meant`, () => {
    for (const { name, format, data, schema, buffers = [], value } of cases<ValueCase>(file)) {
      if (format === "FORMAT_RAW" || format === "FORMAT_PRIVATE" || format === "FORMAT_ARROW") continue;
      const parts = buffers.map(unhex);
      const read = format === "FORMAT_TENSOR" ? fromSchema(schema!, parts[0]) : decode(unhex(data), parts, referrer);
      assert.deepEqual(sortMaps(describe(read, value, parts)), sortMaps(value), name);
    }
  });
}

test("values that are none are refused", () => {
  for (const { name, data, ...rest } of cases<{ name: string; data: string; code: string }>("values_invalid")) {
    assert.throws(
      () => decode(unhex(data), [], referrer),
      (error) => error instanceof ThornbackError && error.code === rest.code,
      name,
    );
  }
});

test("headers of stored objects are read, and those that lie refused", () => {
  interface HeaderCase {
    name: string;
    header: string;
    size: number;
    invalid?: boolean;
    layout?: { format: string; schema: string; data: [number, number]; buffers: [number, number][]; device: [number, number] };
  }
  for (const { name, header, size, invalid, layout } of cases<HeaderCase>("object_headers")) {
    if (invalid) {
      assert.throws(() => readLayout(unhex(header), size), ThornbackError, name);
      continue;
    }
    const read = readLayout(unhex(header), size);
    const found = {
      format: `FORMAT_${Format[read.format]}`,
      schema: read.schema,
      data: [read.data.start, read.data.bytes],
      buffers: read.buffers.map(({ start, bytes }) => [start, bytes]),
      device: [...read.device],
    };
    assert.deepEqual(found, layout, name);
  }
});

test("frames are cut out of a stream however it is split", () => {
  interface FramingCase {
    name: string;
    limit: number;
    stream: string;
    frames: string[];
    rest?: string;
    code?: string | null;
  }
  for (const { name, limit, stream, frames, rest, code } of cases<FramingCase>("framing")) {
    const bytes = unhex(stream);
    for (const step of [1, 2, 3, 5, 7, bytes.length || 1]) {
      const cutter = new Cutter();
      cutter.frameBytesMax = limit;
      const found: string[] = [];
      let refusal: string | undefined;
      try {
        for (let at = 0; at < bytes.length; at += step) {
          cutter.feed(bytes.subarray(at, at + step), (body) => found.push(body.toString("hex")));
        }
      } catch (error) {
        refusal = (error as ThornbackError).code;
      }
      assert.deepEqual(found, frames, `${name}, ${step} bytes at a time`);
      assert.equal(refusal, code ?? undefined, name);
      if (!code) assert.equal(cutter.rest.toString("hex"), rest ?? "", name);
    }
  }
});
