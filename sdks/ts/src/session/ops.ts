// The operations of the hot path, to bytes and from bytes, without a message object for each. Everything else goes through the generated messages.

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

import { type ClientOp, ClientOpSchema, type ServerOp, ServerOpSchema } from "../gen/thornback/v1/session_pb.js";
import { Format } from "../gen/thornback/v1/value_pb.js";
import { type Id, NO_ID } from "./ids.js";
import { MalformedError, Reader, varintLength, type Writer } from "./wire.js";

/** A value as it travels: the fields of `Value`. */
export interface RawValue {
  readonly format: number;
  readonly data: Uint8Array;
  readonly refs: readonly Id[];
  readonly buffers: readonly Uint8Array[];
  readonly schema: string;
}

/** One argument as it travels to the node: a value, or a ref that stands for one. */
export interface WireArg {
  readonly keyword: string;
  readonly ref: Id;
  readonly value: RawValue | undefined;
}

/** One result or stream item as it travels: a value, or undefined for one that was stored. */
export type WireResult = RawValue | undefined;

/** Bytes of `data` and `buffers` together, which is what `Limits.inline_bytes` counts. */
export function payloadBytes(value: RawValue): number {
  let bytes = value.data.length;
  for (const buffer of value.buffers) bytes += buffer.length;
  return bytes;
}

const OPS = 0x1a;
const TAG_SUBMIT = (11 << 3) | 2;
const TAG_CALL = (12 << 3) | 2;
const TAG_PUT = (16 << 3) | 2;
const TAG_WRITE = (18 << 3) | 2;
const TAG_REFS = (24 << 3) | 2;
const TAG_DONE = (30 << 3) | 2;
const TAG_YIELD = (31 << 3) | 2;

/** The head of an operation whose body has so many bytes, as an element of `ClientFrame.ops`. Operations from 16 on have two bytes of tag. */
function head(writer: Writer, tag: number, body: number): void {
  writer.reserve(body + 16);
  const whole = varintLength(tag) + varintLength(body) + body;
  writer.byte(OPS);
  writer.varint(whole);
  writer.varint(tag);
  writer.varint(body);
}

/** A length-delimited field with so many bytes. */
function fieldLength(bytes: number): number {
  return 1 + varintLength(bytes) + bytes;
}

function valueLength(value: RawValue): number {
  let bytes = value.format === 0 ? 0 : 2;
  if (value.data.length > 0) bytes += fieldLength(value.data.length);
  bytes += 18 * value.refs.length;
  for (const buffer of value.buffers) bytes += fieldLength(buffer.length);
  if (value.schema !== "") bytes += fieldLength(Buffer.byteLength(value.schema));
  return bytes;
}

function writeBytes(writer: Writer, tag: number, bytes: Uint8Array): void {
  writer.byte(tag);
  writer.varint(bytes.length);
  writer.bytes(bytes);
}

function writeId(writer: Writer, tag: number, id: Id): void {
  writer.byte(tag);
  writer.byte(16);
  writer.id(id);
}

function writeValue(writer: Writer, value: RawValue): void {
  if (value.format !== 0) {
    writer.byte(0x08);
    writer.byte(value.format);
  }
  if (value.data.length > 0) writeBytes(writer, 0x12, value.data);
  for (const ref of value.refs) writeId(writer, 0x1a, ref);
  for (const buffer of value.buffers) writeBytes(writer, 0x22, buffer);
  if (value.schema !== "") writeBytes(writer, 0x2a, Buffer.from(value.schema));
}

function argLength(arg: WireArg): number {
  const keyword = arg.keyword === "" ? 0 : fieldLength(Buffer.byteLength(arg.keyword));
  return (arg.value === undefined ? 18 : fieldLength(valueLength(arg.value))) + keyword;
}

function argsLength(args: readonly WireArg[]): number {
  let bytes = 0;
  for (const arg of args) bytes += fieldLength(argLength(arg));
  return bytes;
}

function writeArgs(writer: Writer, tag: number, args: readonly WireArg[]): void {
  for (const arg of args) {
    writer.byte(tag);
    writer.varint(argLength(arg));
    if (arg.value === undefined) {
      writeId(writer, 0x12, arg.ref);
    } else {
      writer.byte(0x0a);
      writer.varint(valueLength(arg.value));
      writeValue(writer, arg.value);
    }
    if (arg.keyword !== "") writeBytes(writer, 0x1a, Buffer.from(arg.keyword));
  }
}

/** `Submit`. */
export function writeSubmit(writer: Writer, task: Id, declaration: number, args: readonly WireArg[], parent: Id): void {
  const parentLength = parent === NO_ID ? 0 : 18;
  head(writer, TAG_SUBMIT, 18 + 1 + varintLength(declaration) + argsLength(args) + parentLength);
  writeId(writer, 0x0a, task);
  writer.byte(0x10);
  writer.varint(declaration);
  writeArgs(writer, 0x1a, args);
  if (parent !== NO_ID) writeId(writer, 0x22, parent);
}

/** `Call`. */
export function writeCall(writer: Writer, task: Id, actor: Id, declaration: number, args: readonly WireArg[], parent: Id): void {
  const parentLength = parent === NO_ID ? 0 : 18;
  head(writer, TAG_CALL, 36 + 1 + varintLength(declaration) + argsLength(args) + parentLength);
  writeId(writer, 0x0a, task);
  writeId(writer, 0x12, actor);
  writer.byte(0x18);
  writer.varint(declaration);
  writeArgs(writer, 0x22, args);
  if (parent !== NO_ID) writeId(writer, 0x2a, parent);
}

/** `Put`. */
export function writePut(writer: Writer, object: Id, value: RawValue): void {
  const length = valueLength(value);
  head(writer, TAG_PUT, 18 + fieldLength(length));
  writeId(writer, 0x0a, object);
  writer.byte(0x12);
  writer.varint(length);
  writeValue(writer, value);
}

/** `Write`. */
export function writeWrite(writer: Writer, object: Id, offset: number, data: Uint8Array): void {
  head(writer, TAG_WRITE, 18 + (offset === 0 ? 0 : 1 + varintLength(offset)) + fieldLength(data.length));
  writeId(writer, 0x0a, object);
  if (offset !== 0) {
    writer.byte(0x10);
    writer.varint(offset);
  }
  writeBytes(writer, 0x1a, data);
}

/** `Refs`. */
export function writeRefs(writer: Writer, retain: readonly Id[], drop: readonly Id[]): void {
  head(writer, TAG_REFS, 18 * (retain.length + drop.length));
  for (const id of retain) writeId(writer, 0x0a, id);
  for (const id of drop) writeId(writer, 0x12, id);
}

function resultLength(result: WireResult): number {
  return result === undefined ? 2 : fieldLength(valueLength(result));
}

function writeResult(writer: Writer, tag: number, result: WireResult): void {
  writer.byte(tag);
  writer.varint(resultLength(result));
  if (result === undefined) {
    writer.byte(0x10);
    writer.byte(1);
  } else {
    writer.byte(0x0a);
    writer.varint(valueLength(result));
    writeValue(writer, result);
  }
}

/** `Done` of a task that did not fail. */
export function writeDone(writer: Writer, task: Id, attempt: number, results: readonly WireResult[], yielded: number): void {
  let body = 18 + (attempt === 0 ? 0 : 1 + varintLength(attempt)) + (yielded === 0 ? 0 : 1 + varintLength(yielded));
  for (const result of results) body += fieldLength(resultLength(result));
  head(writer, TAG_DONE, body);
  writeId(writer, 0x0a, task);
  if (attempt !== 0) {
    writer.byte(0x10);
    writer.varint(attempt);
  }
  for (const result of results) writeResult(writer, 0x1a, result);
  if (yielded !== 0) {
    writer.byte(0x28);
    writer.varint(yielded);
  }
}

/** `Yield`. */
export function writeYield(writer: Writer, task: Id, attempt: number, index: number, item: WireResult): void {
  const numbers = (attempt === 0 ? 0 : 1 + varintLength(attempt)) + (index === 0 ? 0 : 1 + varintLength(index));
  head(writer, TAG_YIELD, 18 + numbers + fieldLength(resultLength(item)));
  writeId(writer, 0x0a, task);
  if (attempt !== 0) {
    writer.byte(0x10);
    writer.varint(attempt);
  }
  if (index !== 0) {
    writer.byte(0x18);
    writer.varint(index);
  }
  writeResult(writer, 0x22, item);
}

/** Any operation, through the generated message. */
export function writeOp(writer: Writer, op: ClientOp): void {
  const bytes = toBinary(ClientOpSchema, op);
  writer.reserve(bytes.length + 6);
  writeBytes(writer, OPS, bytes);
}

/** What came of an object: `Completion`. */
export interface Completion {
  object: Id;
  value: RawValue | undefined;
  failure: Uint8Array | undefined;
  stored: boolean;
}

/** One argument of a `Run`. */
export interface RunArg {
  keyword: string;
  value: RawValue | undefined;
  /** The object in which a large argument is stored. */
  stored: Id;
  /** The arena of that object; 0 where the bytes are fetched. */
  arena: number;
}

/** `Run`. */
export interface Run {
  task: Id;
  attempt: number;
  declaration: number;
  args: RunArg[];
  actor: Id;
  /** The body of `ActorSetup`. */
  setup: Uint8Array | undefined;
}

/** Which task a `Run` is of. */
export type RunHead = Pick<Run, "task" | "attempt" | "actor">;

/** Number of the field of `ServerOp` that a tag names. */
export const COMPLETION = 20;
/** See `COMPLETION`. */
export const RUN = 11;

/** Goes to the body of an element of `ServerFrame.ops` and gives the number of its operation. 0 is an operation that nobody here knows. */
export function openOp(reader: Reader): number {
  let number = 0;
  let at = reader.end;
  let end = at;
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if ((tag & 7) === 2 && KNOWN.has(tag >>> 3)) {
      const length = reader.length();
      number = tag >>> 3;
      at = reader.at;
      end = reader.at += length;
    } else {
      reader.skip(tag);
    }
  }
  reader.at = at;
  reader.end = end;
  return number;
}

const KNOWN: ReadonlySet<number> = new Set(ServerOpSchema.fields.map((field) => field.number));

/** Any operation of the server, through the generated message. */
export function readOp(bytes: Uint8Array): ServerOp {
  return readMessage(ServerOpSchema, bytes);
}

/** Any message, whose refusal is a `MalformedError`. */
export function readMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw new MalformedError(`no ${schema.typeName}: ${(error as Error).message}`);
  }
}

/** Reads the body of a `Completion`. */
export function readCompletion(reader: Reader): Completion {
  const completion: Completion = { object: NO_ID, value: undefined, failure: undefined, stored: false };
  while (reader.at < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        completion.object = reader.id();
        break;
      case 0x12:
        completion.value = nested(reader, readValue);
        completion.failure = undefined;
        completion.stored = false;
        break;
      case 0x1a:
        completion.failure = reader.bytes();
        completion.value = undefined;
        completion.stored = false;
        break;
      case 0x20:
        reader.varint();
        completion.stored = true;
        completion.value = completion.failure = undefined;
        break;
      default:
        reader.skip(tag);
    }
  }
  return completion;
}

/** Reads the body of a `Run`. */
export function readRun(reader: Reader): Run {
  const run: Run = { task: NO_ID, attempt: 0, declaration: 0, args: [], actor: NO_ID, setup: undefined };
  while (reader.at < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        run.task = reader.id();
        break;
      case 0x10:
        run.attempt = reader.varint();
        break;
      case 0x18:
        run.declaration = reader.varint();
        break;
      case 0x22:
        run.args.push(nested(reader, readArg));
        break;
      case 0x2a:
        run.actor = reader.id();
        break;
      case 0x32:
        run.setup = reader.bytes();
        break;
      default:
        reader.skip(tag);
    }
  }
  return run;
}

/** Reads of the body of a `Run` only which task it is of. */
export function readRunHead(reader: Reader): RunHead {
  const head: RunHead = { task: NO_ID, attempt: 0, actor: NO_ID };
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x0a) head.task = reader.id();
    else if (tag === 0x10) head.attempt = reader.varint();
    else if (tag === 0x2a) head.actor = reader.id();
    else reader.skip(tag);
  }
  return head;
}

function readArg(reader: Reader): RunArg {
  const arg: RunArg = { keyword: "", value: undefined, stored: NO_ID, arena: 0 };
  while (reader.at < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        arg.value = nested(reader, readValue);
        arg.stored = NO_ID;
        break;
      case 0x1a:
        arg.keyword = reader.string();
        break;
      case 0x22:
        nested(reader, (inner) => {
          readStored(inner, arg);
        });
        arg.value = undefined;
        break;
      default:
        reader.skip(tag);
    }
  }
  return arg;
}

function readStored(reader: Reader, arg: RunArg): void {
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x0a) arg.stored = reader.id();
    else if (tag === 0x12) arg.arena = nested(reader, readArena);
    else reader.skip(tag);
  }
}

function readArena(reader: Reader): number {
  let arena = 0;
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x08) arena = reader.varint();
    else reader.skip(tag);
  }
  return arena;
}

/** Reads the body of a `Value`. */
export function readValue(reader: Reader): RawValue {
  let format: number = Format.UNSPECIFIED;
  let data: Uint8Array = EMPTY;
  let refs: Id[] = NO_IDS;
  let buffers: Uint8Array[] = NO_BUFFERS;
  let schema = "";
  while (reader.at < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case 0x08:
        format = reader.varint();
        break;
      case 0x12:
        data = reader.bytes();
        break;
      case 0x1a:
        if (refs === NO_IDS) refs = [];
        refs.push(reader.id());
        break;
      case 0x22:
        if (buffers === NO_BUFFERS) buffers = [];
        buffers.push(reader.bytes());
        break;
      case 0x2a:
        schema = reader.string();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { format, data, refs, buffers, schema };
}

const EMPTY = Buffer.alloc(0);
// Shared by all values that have none; never written to.
const NO_IDS: Id[] = [];
const NO_BUFFERS: Uint8Array[] = [];

/** Reads a message that is a field of another. */
function nested<T>(reader: Reader, read: (reader: Reader) => T): T {
  const outer = reader.end;
  const length = reader.length();
  reader.end = reader.at + length;
  const result = read(reader);
  reader.end = outer;
  return result;
}
