// Values: whatever can be made comes back, and whatever comes from elsewhere is read or refused.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import fc from "fast-check";

import { ThornbackError } from "../../src/index.js";
import { pieceOf, planOf, readLayout, valueOf } from "../../src/layout.js";
import { decode } from "../../src/decode.js";
import { Encoder } from "../../src/encode.js";
import type { Referrer } from "../../src/reference.js";
import { arityOf, isClass, isGenerator } from "../../src/signature.js";
import { decodeValue, encodeValue } from "../../src/values.js";

const referrer: Referrer = { makeRef: (id) => ({ id }), makeStream: (id) => ({ id }), makeActor: (id) => ({ id }) };

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.double().filter((n) => !Number.isInteger(n) || Object.is(n, -0)),
  fc.bigInt({ min: -(2n ** 100n), max: 2n ** 100n }).filter((n) => !Number.isSafeInteger(Number(n))),
  fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()),
  fc.uint8Array(),
  fc.date({ noInvalidDate: true }),
  fc.float64Array({ noNaN: true }),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.array(tie("tree"), { maxLength: 20 }),
    fc.dictionary(fc.string(), tie("tree"), { maxKeys: 20 }),
  ),
}));

test("whatever is data comes back as it was", () => {
  fc.assert(
    fc.property(tree, (value) => {
      const read = decodeValue(encodeValue([value], "it"), referrer) as unknown[];
      // Objects of fast-check may have no prototype, which nobody is told of.
      assert.deepEqual(structuredClone(read[0]), structuredClone(value));
    }),
    { numRuns: 500 },
  );
});

test("arbitrary bytes are a value or refused, and never anything else", () => {
  const check = (bytes: Uint8Array): void => {
    try {
      decode(Buffer.from(bytes), [new Uint8Array(8)], referrer);
    } catch (error) {
      assert.ok(error instanceof ThornbackError && error.code === "UNSUPPORTED_FORMAT", String(error));
    }
  };
  // What once went wrong stays, one input in hexadecimal a line.
  const corpus = new URL("../../../test/corpus/msgpack.txt", import.meta.url);
  assert.ok(existsSync(corpus));
  for (const line of readFileSync(corpus, "utf8").split("\n")) check(Buffer.from(line.replace(/#.*/, "").trim(), "hex"));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check), { numRuns: 5000 });
  // Bytes that are nearly a value get further than noise does.
  const written = tree.map((value) => new Encoder().encode(value, { refs: [], keep: [], buffers: [] }));
  fc.assert(
    fc.property(written, fc.nat(), fc.nat({ max: 255 }), (bytes, at, byte) => {
      const broken = Uint8Array.from(bytes);
      broken[at % broken.length] = byte;
      check(broken);
      check(broken.subarray(0, at % broken.length));
    }),
    { numRuns: 2000 },
  );
});

test("an object in the store is laid out as it is read, in pieces of any size", () => {
  const value = fc.record({
    format: fc.integer({ min: 1, max: 5 }),
    data: fc.uint8Array({ maxLength: 300 }),
    refs: fc.constant([]),
    buffers: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
    schema: fc.string({ unit: "grapheme", maxLength: 30 }),
  });
  fc.assert(
    fc.property(value, fc.integer({ min: 1, max: 500 }), (given, step) => {
      const plan = planOf(given);
      const pieces: Buffer[] = [];
      for (let at = 0; at < plan.size; at += step) pieces.push(pieceOf(plan, at, step));
      const bytes = Buffer.concat(pieces);
      assert.equal(bytes.length, plan.size);
      const read = valueOf(bytes);
      assert.deepEqual(
        [read.format, read.schema, [...read.data], read.buffers.map((buffer) => [...buffer])],
        [given.format, given.schema, [...given.data], given.buffers.map((buffer) => [...buffer])],
      );
    }),
  );
});

test("a header with any byte changed points nowhere outside of the object", () => {
  const plan = planOf({
    format: 5,
    data: new Uint8Array(100),
    refs: [],
    buffers: [new Uint8Array(64), new Uint8Array(9)],
    schema: "some/format",
  });
  const whole = pieceOf(plan, 0, plan.size);
  fc.assert(
    fc.property(fc.nat({ max: 191 }), fc.nat({ max: 255 }), fc.nat({ max: 600 }), (at, byte, size) => {
      const bytes = Buffer.from(whole);
      bytes[at] = byte;
      try {
        const { data, buffers } = readLayout(bytes, size);
        for (const place of [data, ...buffers]) assert.ok(place.start + place.bytes <= size);
      } catch (error) {
        assert.ok(error instanceof ThornbackError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("how many arguments a function takes is read from its source", () => {
  const cases: [(...args: never[]) => unknown, number, number][] = [
    [() => 1, 0, 0],
    [(a: number, b: number) => a + b, 2, 2],
    [(a: number, b = "x,y)") => [a, b], 1, 2],
    [(a: number, ...more: number[]) => [a, more], 1, -1],
    [({ a, b }: Record<string, unknown>, [c, d]: unknown[] = [1, { e: 2 }]) => [a, b, c, d], 1, 2],

    [
      function any() {
        return arguments.length;
      },
      0,
      -1,
    ],
    [async (a: number /* , not one */) => Promise.resolve(a), 1, 1],
    [Math.max, 2, -1],
  ];
  for (const [target, min, max] of cases) assert.deepEqual(arityOf(target), { min, max }, String(target));
  class Base {
    value: string;
    constructor(a: string, b = ")") {
      this.value = a + b;
    }
  }
  class Derived extends Base {}
  class Plain {
    value = (a: number) => a;
  }
  assert.deepEqual(arityOf(Base), { min: 1, max: 2 });
  assert.deepEqual(arityOf(Derived), { min: 1, max: 2 });
  assert.deepEqual(arityOf(Plain), { min: 0, max: 0 });
  assert.ok(isClass(Derived) && !isClass(arityOf));
  assert.ok(
    isGenerator(function* () {
      yield 1;
    }) &&
      isGenerator(async function* () {
        yield Promise.resolve(1);
      }) &&
      !isGenerator(arityOf),
  );
});
