// The golden bytes of `protocol/vectors`.

import { readFileSync } from "node:fs";

const VECTORS = new URL("../../../../../protocol/vectors/", import.meta.url);

/** The cases of one file. */
export function cases<T extends { name: string }>(file: string): T[] {
  const { cases } = JSON.parse(readFileSync(new URL(`${file}.json`, VECTORS), "utf8")) as { cases: T[] };
  if (cases.length === 0) throw new Error(`${file} has no cases`);
  return cases;
}

/** Bytes from their hexadecimal. */
export function unhex(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}
