// What code needs that `thornback gen --lang ts` wrote: a codec for each type of an interface, which makes portable values of JavaScript's and reads them
// again, and what puts codecs together. A value that does not fit throws `InvalidArgumentError`, whose message begins with the path to it, as
// `resize.options.width: 70000 is not a u16`.

import { errorOf, type ThornbackError } from "./errors.js";
import { Float } from "./types.js";

export { checkActor, type Contract, contractClass, contractMethod, contractTask } from "./contract.js";
export { Implementation, implement, implementClass } from "./worker/implementation.js";

/** Writes a type of an interface as a portable value, and reads it. */
export interface Codec<T> {
  write(value: T, path: string): unknown;
  read(value: unknown, path: string): T;
  /** Whether a record's field of it may be missing. */
  readonly optional?: boolean;
}

/** A codec of whatever type. */
export interface AnyCodec {
  write(value: never, path: string): unknown;
  read(value: unknown, path: string): unknown;
  readonly optional?: boolean;
}

/** What a function may give at once or later. */
export type Awaitable<T> = T | PromiseLike<T>;

/** An answer of one of two kinds: `err` is an answer like any other, and no failure of the task. */
export type Result<T, E> = { readonly ok: T } | { readonly err: E };

function misfit(path: string, value: unknown, wanted: string): ThornbackError {
  return errorOf("INVALID_ARGUMENT", `${path}: ${show(value)} is not ${wanted}`);
}

/** A value in a few words. */
function show(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    case "object":
      if (value instanceof Uint8Array) return `${value.length} bytes`;
      return Array.isArray(value) ? `a list of ${value.length}` : `an object of ${Object.keys(value).length}`;
    default:
      return `a ${typeof value}`;
  }
}

/** A codec of a type that is itself portable. */
function exactly<T>(wanted: string, is: (value: unknown) => value is T): Codec<T> {
  const check = (value: unknown, path: string): T => {
    if (!is(value)) throw misfit(path, value, wanted);
    return value;
  };
  return { write: check, read: check };
}

export const bool = exactly("a bool", (value): value is boolean => typeof value === "boolean");
export const string = exactly("a string", (value): value is string => typeof value === "string" && value.isWellFormed());
export const bytes = exactly("bytes", (value): value is Uint8Array => value instanceof Uint8Array);
/** One Unicode scalar value, which may be two units of a string. */
export const char = exactly("a char", (value): value is string => {
  return (
    typeof value === "string" &&
    value.isWellFormed() &&
    value !== "" &&
    value.length === String.fromCodePoint(value.codePointAt(0)!).length
  );
});
/** What a function gives that gives nothing, and what an empty side of a result holds. */
export const nothing: Codec<null> = {
  write: (value: unknown, path) => nothing.read(value ?? null, path),
  read(value, path) {
    if (value !== null) throw misfit(path, value, "nothing");
    return value;
  },
};

function integer(wanted: string, least: number, most: number): Codec<number> {
  return exactly(
    wanted,
    (value): value is number => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

export const u8 = integer("a u8", 0, 0xff);
export const u16 = integer("a u16", 0, 0xffff);
export const u32 = integer("a u32", 0, 0xffff_ffff);
export const s8 = integer("an s8", -0x80, 0x7f);
export const s16 = integer("an s16", -0x8000, 0x7fff);
export const s32 = integer("an s32", -0x8000_0000, 0x7fff_ffff);

/** 64 bits are more than a number holds. */
function wide(wanted: string, least: bigint, most: bigint): Codec<bigint> {
  const check = (value: unknown, path: string): bigint => {
    if (typeof value !== "bigint" || value < least || value > most) throw misfit(path, value, wanted);
    return value;
  };
  return {
    write: check,
    read: (value, path) => check(typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value, path),
  };
}

export const u64 = wide("a u64", 0n, 2n ** 64n - 1n);
export const s64 = wide("an s64", -(2n ** 63n), 2n ** 63n - 1n);

export const f64: Codec<number> = {
  write(value: unknown, path) {
    if (typeof value !== "number") throw misfit(path, value, "an f64");
    return Number.isInteger(value) ? new Float(value) : value;
  },
  read(value, path) {
    const float = typeof value === "bigint" && BigInt(Number(value)) === value ? Number(value) : value;
    if (typeof float !== "number") throw misfit(path, value, "an f64");
    return float;
  },
};

export const f32: Codec<number> = {
  write: (value, path) => f64.write(f32.read(value, path), path),
  read(value, path) {
    const float = f64.read(value, path);
    const rounded = Math.fround(float);
    if (Number.isFinite(float) && !Number.isFinite(rounded)) throw misfit(path, value, "an f32");
    return rounded;
  },
};

/** A `list` of anything but u8. */
export function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    write(value: unknown, path) {
      if (!Array.isArray(value)) throw misfit(path, value, "a list");
      return value.map((each: T, i) => item.write(each, `${path}[${i}]`));
    },
    read(value, path) {
      if (!Array.isArray(value)) throw misfit(path, value, "a list");
      return value.map((each, i) => item.read(each, `${path}[${i}]`));
    },
  };
}

/** The value, or null. */
export function option<T>(some: Codec<T>): Codec<T | null> {
  return {
    optional: true,
    write: (value, path) => ((value ?? null) === null ? null : some.write(value as T, path)),
    read: (value, path) => ((value ?? null) === null ? null : some.read(value, path)),
  };
}

export function tuple<T extends readonly unknown[]>(...parts: { readonly [K in keyof T]: Codec<T[K]> }): Codec<T> {
  const wanted = `a tuple: a list of ${parts.length}`;
  const codecs = parts as readonly Codec<unknown>[];
  const check = (value: unknown, path: string): readonly unknown[] => {
    if (!Array.isArray(value) || value.length !== codecs.length) throw misfit(path, value, wanted);
    return value;
  };
  return {
    write: (value, path) => codecs.map((part, i) => part.write(check(value, path)[i], `${path}[${i}]`)),
    read: (value, path) => codecs.map((part, i) => part.read(check(value, path)[i], `${path}[${i}]`)) as unknown as T,
  };
}

export function result<T, E>(ok: Codec<T>, err: Codec<E>): Codec<Result<T, E>> {
  const wanted = "a result: an object of `ok` or `err`";
  return {
    write(value: object, path) {
      const [key, held] = entry(value, path, wanted);
      if (key === "ok") return { ok: ok.write(held as T, `${path}.ok`) };
      if (key === "err") return { err: err.write(held as E, `${path}.err`) };
      throw misfit(path, value, wanted);
    },
    read(value, path) {
      const [key, held] = entry(value, path, wanted);
      if (key === "ok") return { ok: ok.read(held, `${path}.ok`) };
      if (key === "err") return { err: err.read(held, `${path}.err`) };
      throw misfit(path, value, wanted);
    },
  };
}

/** The entries of what came as a map by names. */
function entries(value: unknown): [string, unknown][] | undefined {
  if (value instanceof Map) return [...(value as Map<string, unknown>)];
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) return undefined;
  return Object.entries(value);
}

function entry(value: unknown, path: string, wanted: string): [string, unknown] {
  const all = entries(value);
  if (all?.length !== 1) throw misfit(path, value, wanted);
  return all[0];
}

/** A field of a record: its key, its property, and what it holds. */
export type FieldOf = readonly [key: string, property: string, codec: AnyCodec];

/** A map by the names of its fields. */
export function record<T extends object>(name: string, ...fields: readonly FieldOf[]): Codec<T> {
  const keys = new Set(fields.map(([key]) => key));
  return {
    write(value: unknown, path) {
      if (typeof value !== "object" || value === null) throw misfit(path, value, `a ${name}`);
      const properties = value as Record<string, never>;
      return Object.fromEntries(
        fields.map(([key, property, codec]) => [key, codec.write(properties[property], `${path}.${key}`)]),
      );
    },
    read(value, path) {
      const all = entries(value);
      if (!all) throw misfit(path, value, `a ${name}: a map by the names of its fields`);
      const held = new Map(all);
      for (const key of held.keys()) {
        if (!keys.has(key)) throw errorOf("INVALID_ARGUMENT", `${path}.${key}: a ${name} has no such field`);
      }
      const read = fields.map(([key, property, codec]) => {
        if (!held.has(key) && !codec.optional) throw errorOf("INVALID_ARGUMENT", `${path}.${key}: the field is missing`);
        return [property, codec.read(held.get(key), `${path}.${key}`)];
      });
      return Object.fromEntries(read) as T;
    },
  };
}

/** One of several cases, by `kind`; those that hold something have it as `value`. On the wire, a map of one entry. */
export function variant<T extends { readonly kind: string }>(
  name: string,
  cases: Readonly<Record<T["kind"], AnyCodec | null>>,
): Codec<T> {
  const codecs = new Map<string, AnyCodec | null>(Object.entries(cases));
  const wanted = `a ${name}: one of ${[...codecs.keys()].join(", ")}`;
  return {
    write(value: unknown, path) {
      const { kind, value: held } = (value ?? {}) as { kind?: string; value?: never };
      const codec = codecs.get(kind ?? "");
      if (codec === undefined || kind === undefined) throw misfit(path, value, wanted);
      return { [kind]: codec === null ? null : codec.write(held as never, `${path}.${kind}`) };
    },
    read(value, path) {
      const [kind, held] = entry(value, path, wanted);
      const codec = codecs.get(kind);
      if (codec === undefined) throw misfit(path, kind, wanted);
      if (codec !== null) return { kind, value: codec.read(held, `${path}.${kind}`) } as unknown as T;
      nothing.read(held, `${path}.${kind}`);
      return { kind } as T;
    },
  };
}

/** One of several names. */
export function enumeration<T extends string>(name: string, ...names: readonly T[]): Codec<T> {
  return exactly(`a ${name}: one of ${names.join(", ")}`, (value): value is T => names.includes(value as T));
}

/** Any of several names: of each its text and its property. */
export function flags<T extends object>(
  name: string,
  ...labels: readonly (readonly [text: string, property: string])[]
): Codec<T> {
  const properties = new Map(labels);
  return {
    write(value: unknown, path) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw misfit(path, value, `a ${name}`);
      const given = value as Record<string, unknown>;
      return labels.filter(([text, property]) => bool.write(given[property] as boolean, `${path}.${text}`)).map(([text]) => text);
    },
    read(value, path) {
      if (!Array.isArray(value)) throw misfit(path, value, `a ${name}: a list of names`);
      const set: Record<string, boolean> = Object.fromEntries(labels.map(([, property]) => [property, false]));
      value.forEach((text: string, i) => {
        const property = properties.get(text);
        if (property === undefined)
          throw misfit(`${path}[${i}]`, text, `a flag of ${name}: one of ${[...properties.keys()].join(", ")}`);
        if (set[property]) throw errorOf("INVALID_ARGUMENT", `${path}[${i}]: the flag ${text} is there twice`);
        set[property] = true;
      });
      return set as T;
    },
  };
}
