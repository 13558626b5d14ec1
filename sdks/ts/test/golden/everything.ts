// Made by `thornback gen` from the package demo:everything. Do not edit: change the interface and make it again.

import type { ActorClass, ActorHandle, ActorOptions, Client, Ref, Task, TaskOptions } from "thornback";
import * as _i from "thornback/interface";

/** A point in the plane. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

const pointCodec = _i.record<Point>(
  "point",
  ["x", "x", _i.f64],
  ["y", "y", _i.f64],
);

/** What can be drawn. */
export type Shape =
  /** Nothing at all. */
  | { readonly kind: "empty" }
  | { readonly kind: "circle"; readonly value: number }
  | { readonly kind: "polygon"; readonly value: readonly Point[] };

const shapeCodec = _i.variant<Shape>("shape", {
  "empty": null,
  "circle": _i.f64,
  "polygon": _i.list(pointCodec),
});

/** From least to most. */
export type Level = "low" | "middle" | "very-high";

const levelCodec = _i.enumeration<Level>("level", "low", "middle", "very-high");

export interface Channels {
  readonly red: boolean;
  readonly green: boolean;
  readonly blue: boolean;
  readonly alpha: boolean;
}

const channelsCodec = _i.flags<Channels>(
  "channels",
  ["red", "red"],
  ["green", "green"],
  ["blue", "blue"],
  ["alpha", "alpha"],
);

/** Each scalar once. */
export interface Scalars {
  readonly bool: boolean;
  readonly aU8: number;
  readonly aU16: number;
  readonly aU32: number;
  readonly aU64: bigint;
  readonly anS8: number;
  readonly anS16: number;
  readonly anS32: number;
  readonly anS64: bigint;
  readonly anF32: number;
  readonly anF64: number;
  readonly aChar: string;
  readonly aString: string;
}

const scalarsCodec = _i.record<Scalars>(
  "scalars",
  ["bool", "bool", _i.bool],
  ["a-u8", "aU8", _i.u8],
  ["a-u16", "aU16", _i.u16],
  ["a-u32", "aU32", _i.u32],
  ["a-u64", "aU64", _i.u64],
  ["an-s8", "anS8", _i.s8],
  ["an-s16", "anS16", _i.s16],
  ["an-s32", "anS32", _i.s32],
  ["an-s64", "anS64", _i.s64],
  ["an-f32", "anF32", _i.f32],
  ["an-f64", "anF64", _i.f64],
  ["a-char", "aChar", _i.char],
  ["a-string", "aString", _i.string],
);

export interface Nested {
  readonly scalars: Scalars;
  readonly maybe: string | null;
  readonly outcome: _i.Result<number, string>;
  readonly bare: _i.Result<null, null>;
  readonly pair: readonly [number, string];
  readonly shapes: readonly Shape[];
  readonly grade: Level;
  readonly channels: Channels;
  readonly bytes: Uint8Array;
  readonly points: readonly Point[];
}

const nestedCodec = _i.record<Nested>(
  "nested",
  ["scalars", "scalars", scalarsCodec],
  ["maybe", "maybe", _i.option(_i.string)],
  ["outcome", "outcome", _i.result(_i.u32, _i.string)],
  ["bare", "bare", _i.result(_i.nothing, _i.nothing)],
  ["pair", "pair", _i.tuple(_i.u8, _i.string)],
  ["shapes", "shapes", _i.list(shapeCodec)],
  ["grade", "grade", levelCodec],
  ["channels", "channels", channelsCodec],
  ["bytes", "bytes", _i.bytes],
  ["points", "points", _i.list(pointCodec)],
);

const shapesArea: _i.Contract = {
  name: "shapes.area",
  label: "area",
  signature: "func(shape: variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}) -> f64",
  actor: false,
  params: [["shape", shapeCodec]],
  result: _i.f64,
  stream: false,
};

/** What workers serve that serve `shapes`, for `Pool.interface`. */
export const shapesInterface: readonly _i.Contract[] = [shapesArea];

/** Types that more than one interface has. */
export class Shapes {
  readonly area: Task<(shape: Shape) => number>;

  /** The options are those of every call. */
  constructor(client: Client, options: TaskOptions = {}) {
    this.area = _i.contractTask(client, shapesArea, options);
  }
}

/** What serves `shapes`. */
export interface ShapesWorker {
  area(shape: Shape): _i.Awaitable<number>;
}

/** For a worker's module to export, or for `serve`. Throws `InvalidArgumentError` that says everything that is missing. */
export function serveShapes(implementation: ShapesWorker): _i.Implementation {
  return _i.implement(implementation, [[shapesArea, "area"]]);
}

const echoThereAndBack: _i.Contract = {
  name: "echo.there-and-back",
  label: "there-and-back",
  signature: "func(value: record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}) -> record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}",
  actor: false,
  params: [["value", nestedCodec]],
  result: nestedCodec,
  stream: false,
};

const echoNumbers: _i.Contract = {
  name: "echo.numbers",
  label: "numbers",
  signature: "func(values: list<u16>) -> u64",
  actor: false,
  params: [["values", _i.list(_i.u16)]],
  result: _i.u64,
  stream: false,
};

const echoMaybe: _i.Contract = {
  name: "echo.maybe",
  label: "maybe",
  signature: "func(value: option<u8>) -> option<u8>",
  actor: false,
  params: [["value", _i.option(_i.u8)]],
  result: _i.option(_i.u8),
  stream: false,
};

const echoDivide: _i.Contract = {
  name: "echo.divide",
  label: "divide",
  signature: "func(a: s32, b: s32) -> result<s32, string>",
  actor: false,
  params: [["a", _i.s32], ["b", _i.s32]],
  result: _i.result(_i.s32, _i.string),
  stream: false,
};

const echoNothing: _i.Contract = {
  name: "echo.nothing",
  label: "nothing",
  signature: "func()",
  actor: false,
  params: [],
  result: _i.nothing,
  stream: false,
};

const echoCountDown: _i.Contract = {
  name: "echo.count-down",
  label: "count-down",
  signature: "func(from: u32) -> stream<u32>",
  actor: false,
  params: [["from", _i.u32]],
  result: _i.u32,
  stream: true,
};

const counterContract: _i.Contract = {
  name: "echo.counter",
  label: "counter",
  signature: "resource{constructor(start: s64); add: func(n: s64) -> s64; history-of: func() -> list<s64>; reset: func(); steps: func(by: u8) -> stream<s64>}",
  actor: true,
  params: [["start", _i.s64]],
  result: _i.nothing,
  stream: false,
};

const counterAdd: _i.Contract = {
  name: "add",
  label: "add",
  signature: "",
  actor: false,
  params: [["n", _i.s64]],
  result: _i.s64,
  stream: false,
};

const counterHistoryOf: _i.Contract = {
  name: "history-of",
  label: "history-of",
  signature: "",
  actor: false,
  params: [],
  result: _i.list(_i.s64),
  stream: false,
};

const counterSteps: _i.Contract = {
  name: "steps",
  label: "steps",
  signature: "",
  actor: false,
  params: [["by", _i.u8]],
  result: _i.s64,
  stream: true,
};

const counterReset: _i.Contract = {
  name: "reset",
  label: "reset",
  signature: "",
  actor: false,
  params: [],
  result: _i.nothing,
  stream: false,
};

/** What workers serve that serve `echo`, for `Pool.interface`. */
export const echoInterface: readonly _i.Contract[] = [echoThereAndBack, echoNumbers, echoMaybe, echoDivide, echoNothing, echoCountDown, counterContract];

/** Every type there is, there and back. */
export class Echo {
  readonly thereAndBack: Task<(value: Nested) => Nested>;
  readonly numbers: Task<(values: readonly number[]) => bigint>;
  readonly maybe: Task<(value: number | null) => number | null>;
  readonly divide: Task<(a: number, b: number) => _i.Result<number, string>>;
  /** Nothing in, nothing out. */
  readonly nothing: Task<() => null>;
  /** Counts down to 1. */
  readonly countDown: Task<(from: number) => AsyncIterableIterator<number>>;

  /** The options are those of every call. */
  constructor(client: Client, options: TaskOptions = {}) {
    this.thereAndBack = _i.contractTask(client, echoThereAndBack, options);
    this.numbers = _i.contractTask(client, echoNumbers, options);
    this.maybe = _i.contractTask(client, echoMaybe, options);
    this.divide = _i.contractTask(client, echoDivide, options);
    this.nothing = _i.contractTask(client, echoNothing, options);
    this.countDown = _i.contractTask(client, echoCountDown, options);
  }
}

/** Counts, and remembers. */
export class Counter {
  /** The untyped handle, to pass on, kill or dispose of. */
  readonly handle: ActorHandle<object>;
  /** Adds, and gives the sum. */
  readonly add: Task<(n: bigint) => bigint>;
  readonly historyOf: Task<() => readonly bigint[]>;
  readonly steps: Task<(by: number) => AsyncIterableIterator<bigint>>;
  readonly reset: Task<() => null>;

  /** Throws `InvalidArgumentError` for an actor of another class. */
  constructor(handle: ActorHandle<object>) {
    _i.checkActor(handle, counterContract);
    this.handle = handle;
    this.add = _i.contractMethod(handle, counterAdd);
    this.historyOf = _i.contractMethod(handle, counterHistoryOf);
    this.steps = _i.contractMethod(handle, counterSteps);
    this.reset = _i.contractMethod(handle, counterReset);
  }
}

/** Makes actors of the class `echo.counter`. */
export class CounterClass {
  readonly #class: ActorClass<object, [start: bigint]>;

  /** The options are those of every actor. */
  constructor(client: Client, options: ActorOptions = {}) {
    this.#class = _i.contractClass(client, counterContract, options);
  }

  /** Makes an actor; calls may follow at once. */
  create(start: bigint | Ref<bigint>): Counter {
    return new Counter(this.#class.create(start));
  }

  /** Makes an actor that others can find by a name. */
  async createNamed(name: string, start: bigint | Ref<bigint>): Promise<Counter> {
    return new Counter(await this.#class.createNamed(name, start));
  }
}

/** What actors of the class `echo.counter` do. */
export interface CounterWorker {
  /** Adds, and gives the sum. */
  add(n: bigint): _i.Awaitable<bigint>;
  historyOf(): _i.Awaitable<readonly bigint[]>;
  steps(by: number): Iterable<bigint> | AsyncIterable<bigint>;
  reset(): _i.Awaitable<void>;
}

/** What serves `echo`. */
export interface EchoWorker {
  thereAndBack(value: Nested): _i.Awaitable<Nested>;
  numbers(values: readonly number[]): _i.Awaitable<bigint>;
  maybe(value: number | null): _i.Awaitable<number | null>;
  divide(a: number, b: number): _i.Awaitable<_i.Result<number, string>>;
  /** Nothing in, nothing out. */
  nothing(): _i.Awaitable<void>;
  /** Counts down to 1. */
  countDown(from: number): Iterable<number> | AsyncIterable<number>;
}

/** For a worker's module to export, or for `serve`. Throws `InvalidArgumentError` that says everything that is missing. */
export function serveEcho(implementation: EchoWorker, counter: new (start: bigint) => CounterWorker): _i.Implementation {
  return _i.implement(implementation, [[echoThereAndBack, "thereAndBack"], [echoNumbers, "numbers"], [echoMaybe, "maybe"], [echoDivide, "divide"], [echoNothing, "nothing"], [echoCountDown, "countDown"]])
    .and(_i.implementClass(counterContract, counter, [[counterAdd, "add"], [counterHistoryOf, "historyOf"], [counterSteps, "steps"], [counterReset, "reset"]]));
}
