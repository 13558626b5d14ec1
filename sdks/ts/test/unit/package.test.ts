// What the package says of itself.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { RETRYABLE } from "../../src/codes.js";
import { CODES, errorOf, type Code, VERSION } from "../../src/index.js";

const PACKAGE = fileURLToPath(new URL("../../../", import.meta.url));
const PROTOCOL = join(PACKAGE, "../../protocol");

test("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as { version: string };
  assert.equal(VERSION, version);
});

test("the lock file names no host", () => {
  const text = readFileSync(join(PACKAGE, "package-lock.json"), "utf8");
  assert.ok(!text.includes('"resolved"'), "run npm with `omit-lockfile-registry-resolved=true`, as .npmrc says");
});

test("error codes are those of the registry, each with a class", () => {
  const registry = readFileSync(join(PROTOCOL, "errors/codes.yaml"), "utf8");
  const entries = [...registry.matchAll(/^\s*- \{code: (\d+), name: (\w+), fault: [^,]+, retryable: (true|false),/gm)];
  assert.ok(entries.length > 30);
  assert.deepEqual(Object.fromEntries(entries.map(([, number, name]) => [name, Number(number)])), CODES);
  assert.deepEqual(new Set(entries.filter(([, , , retryable]) => retryable === "true").map(([, , name]) => name)), RETRYABLE);
  for (const code of Object.keys(CODES) as Code[]) {
    const error = errorOf(code, "text");
    assert.deepEqual([error.code, error.codeNumber, error.retryable], [code, CODES[code], RETRYABLE.has(code)]);
  }
});
